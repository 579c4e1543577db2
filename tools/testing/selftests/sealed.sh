#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# guest: own
#
# Trust can be sealed: after that not even root changes what is trusted.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

sealed=/sys/class/spdm/sealed
entry=/sys/class/spdm/pci-0000:01:00.0

ktap_print_header
ktap_set_plan 21
start_spdm ecdsa-p384
configure 0
accepts 0
identity=$(cat $entry/identity)

ktap_test_equal 'trust is not sealed at first' 0 "$(cat $sealed)"
for text in 2 x ''; do
	gives $sealed "$text"
	ktap_test_equal "writing \"$text\"" "$EINVAL" "$result"
done
for name in cache measurements; do
	gives /sys/module/spdm/parameters/$name Y
	ktap_test_equal "$name can be chosen" 'ok Y' "$result $(cat /sys/module/spdm/parameters/$name)"
done
gives $sealed 1
ktap_test_equal 'it can be sealed' 'ok 1' "$result $(cat $sealed)"
gives $sealed 0
ktap_test_equal 'for ever' "$EPERM 1" "$result $(cat $sealed)"

keyctl show %:.cma | wc -l >/run/before
add_root rsassa-2048 >/dev/null 2>/run/error
read_line /run/error
ktap_test_match 'no root is added' "*$EPERM" "$line"
ktap_test_equal 'the roots are what they were' "$(cat /run/before)" "$(keyctl show %:.cma | wc -l)"
gives $entry/identity ''
ktap_test_equal 'no other identity is accepted' "$EPERM $identity" "$result $(cat $entry/identity)"
gives $entry/policy off
ktap_test_equal 'no other policy' "$EPERM audit" "$result $(cat $entry/policy)"
gives $entry/resume_policy never
ktap_test_equal 'nor for sleep' "$EPERM authenticated" "$result $(cat $entry/resume_policy)"
gives $entry/slot_mask 1
ktap_test_equal 'nor for slots' "$EPERM 0xff" "$result $(cat $entry/slot_mask)"

for name in cache measurements; do
	gives /sys/module/spdm/parameters/$name N
	ktap_test_equal "$name stays" "$EPERM Y" "$result $(cat /sys/module/spdm/parameters/$name)"
done

ktap_test_result 'a drive is attested as ever' accepts 0
configure 0 slot0=untrusted
ktap_test_result 'and refused as ever' refuses 0 'untrusted-root: slot 0: *' "$ENOKEY"
configure 0 key=7
ktap_test_result 'and another device is refused' refuses 0 'identity-changed: *' "$EKEYREJECTED"
configure 0
ktap_test_result 'the first one is not' accepts 0
if built_in; then
	ktap_test_skip 'the module stays: it is built in'
else
	rmmod spdm 2>/dev/null
	ktap_test_result 'the module stays' [ "$(cat $sealed)" = 1 ]
fi
ktap_finished
