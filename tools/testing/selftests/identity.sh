#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Which device it is: a drive has one identity, until somebody accepts another one.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

entry=/sys/class/spdm/pci-0000:01:00.0

# offered: who drive 0 says it is.
offered() {
	read_line $entry/offered_identity
	offered=$line
}

ktap_print_header
ktap_set_plan 41
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
offered
ktap_test_equal 'and offers that' "$other" "$offered"
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
	gives $entry/identity "$text"
	ktap_test_equal "no identity: $(echo "$text" | tail -c 5)" "$EINVAL" "$result"
done
ktap_test_equal 'the identity is still the first one' "$first" "$(cat $entry/identity)"
gives $entry/identity "$other"
ktap_test_equal 'another one can be accepted' 'ok 1' "$result $(authenticated 0)"
configure 0
ktap_test_result 'then it is the first one that is refused' refuses 0 'identity-changed: *' "$EKEYREJECTED"
gives $entry/identity ''
ktap_test_equal 'and whoever comes next can be accepted' 'ok 1' "$result $(authenticated 0)"
ktap_test_equal 'which is the first one' "$first" "$(cat $entry/identity)"
offered
ktap_test_equal 'who is accepted offers nothing' '' "$offered"

# Without a root: only who was accepted, and only by somebody.
clear_roots
ktap_test_result 'an identity that was only learnt is no root' refuses 0 'untrusted-root: *' "$ENOKEY"
offered
ktap_test_equal 'the device says who it is' "$first" "$offered"
gives $entry/identity "$other"
ktap_test_equal 'the wrong one does not help' "$ENOKEY 0" "$result $(authenticated 0)"
gives $entry/identity "$offered"
ktap_test_equal 'it can be accepted' ok "$result"
verdict 0
ktap_test_equal 'which is told from a root' '1 accepted' "$verdict"
re 0
verdict 0
ktap_test_equal 'it holds the next time' '1 accepted' "$error$verdict"
ktap_test_equal 'it is shown' "$first" "$(cat $entry/identity)"
configure 0 key=7
ktap_test_result 'another device is not accepted' refuses 0 'untrusted-root: *' "$ENOKEY"
offered
ktap_test_equal 'it says who it is' "$other" "$offered"
configure 0 fault=bad-signature
ktap_test_result 'to say so is not to prove it' refuses 0 'bad-signature: CHALLENGE' "$EKEYREJECTED"
offered
ktap_test_equal 'and no reason to accept anybody' '' "$offered"
configure 0 slot0=expired
ktap_test_result 'certificates have to be in order' refuses 0 'certificate-expired: *' "$EKEYEXPIRED"
configure 0
re 0
verdict 0
ktap_test_equal 'then it is accepted again' '1 accepted' "$error$verdict"
log_mark
if grep -qw deep /sys/power/mem_sleep; then
	sleep_and_wake
	verdict 0
	ktap_test_equal 'also after sleep' '1 accepted' "$verdict"
	configure 0 key=7
	sleep_and_wake
	verdict 0
	ktap_test_match 'but not one that was swapped' '0 failed untrusted-root: *' "$verdict"
	configure 0
	re 0
else
	ktap_test_skip 'this machine does not sleep'
	ktap_test_skip 'this machine does not sleep'
fi
ktap_test_result 'a reset has it attested' sh -c 'echo 1 >/sys/bus/pci/devices/0000:01:00.0/reset'
ktap_test_result 'as the same' wait_for 10 has_verdict 0 '1 accepted'
add_root ecdsa-p384 >/dev/null
ktap_test_result 'with its root it is more than accepted' accepts 0
gives $entry/identity ''
ktap_test_equal 'what was accepted can be forgotten' 'ok 1' "$result $(authenticated 0)"

# Somebody accepts another device while this one proves itself.
starts 0 21
gives $entry/identity "$other"
wait "$attesting"
ktap_test_equal 'what is accepted meanwhile is what counts' \
	"$EKEYREJECTED 0 $other" "$result $(authenticated 0) $(cat $entry/identity)"
configure 0 key=7
ktap_test_result 'who was accepted is authenticated' accepts 0
ktap_finished
