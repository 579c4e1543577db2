#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Which device it is: a drive has one identity, until somebody accepts another one.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

entry=/sys/class/spdm/pci-0000:01:00.0

# gives TEXT: what writing the text to identity fails with, or "ok".
gives() {
	result=ok
	if ! echo "$1" 2>/run/error >$entry/identity; then
		read_line /run/error
		result=${line##*: }
	fi
}

ktap_print_header
ktap_set_plan 18
start_spdm ecdsa-p384
configure 0 fault=bad-signature
forget 0
ktap_test_equal 'before the first proof there is no identity' 0 "$(wc -c <$entry/identity)"
configure 0
accepts 0
first=$(cat $entry/identity)
ktap_test_equal 'then there is one' 64 "${#first}"
accepts 0
ktap_test_equal 'and the same again' "$first" "$(cat $entry/identity)"

configure 0 key=7
ktap_test_result 'another key is another device' refuses 0 'identity-changed: *' "$EKEYREJECTED"
verdict 0
other=${verdict##* }
ktap_test_equal 'which says who it is' 64 "${#other}"
ktap_test_equal 'the identity is still the first one' "$first" "$(cat $entry/identity)"
configure 0
ktap_test_result 'the first one is accepted' accepts 0

# Renewed certificates around the same key.
configure 0 slot0=len5
ktap_test_result 'another chain for the same key is the same device' accepts 0
configure 0 version=1.1 hash=sha256
ktap_test_result 'so is another version' accepts 0

configure 0 key=7
for text in "${other%?}" "${other}0" "${other%?}g" x; do
	gives "$text"
	ktap_test_equal "no identity: $(echo "$text" | tail -c 5)" "$EINVAL" "$result"
done
ktap_test_equal 'the identity is still the first one' "$first" "$(cat $entry/identity)"
gives "$other"
ktap_test_equal 'another one can be accepted' 'ok 1' "$result $(authenticated 0)"
configure 0
ktap_test_result 'then it is the first one that is refused' refuses 0 'identity-changed: *' "$EKEYREJECTED"
gives ''
ktap_test_equal 'and whoever comes next can be accepted' 'ok 1' "$result $(authenticated 0)"
ktap_test_equal 'which is the first one' "$first" "$(cat $entry/identity)"
ktap_finished
