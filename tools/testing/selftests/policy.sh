#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What follows from a verdict: nothing, a word, or no driver.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

function=/sys/bus/pci/devices/0000:01:00.0
entry=/sys/class/spdm/pci-0000:01:00.0

# sets POLICY: what writing it fails with, or "ok".
sets() {
	result=ok
	if ! echo "$1" 2>/run/error >$entry/policy; then
		read_line /run/error
		result=${line##*: }
	fi
}

# is_master: whether the function may use the bus.
is_master() {
	[ $((0x$(hexdump -s 4 -n 1 -ve '1/1 "%02x"' "$function/config") & 4)) -ne 0 ]
}

ktap_print_header
ktap_set_plan 36
start_spdm ecdsa-p384
load_nvme
drive_reads 0
configure 0
accepts 0
accepts 1

ktap_test_equal 'the policy is audit' audit "$(cat $entry/policy)"
for text in bogus '' AUDIT 'audit enforce'; do
	sets "$text"
	ktap_test_equal "there is no policy \"$text\"" "$EINVAL" "$result"
done
ktap_test_equal 'it is still audit' audit "$(cat $entry/policy)"

sets enforce
ktap_test_equal 'it can be enforce' 'ok enforce' "$result $(cat $entry/policy)"
ktap_test_result 'a drive that is authenticated keeps its driver' is_bound 0
ktap_test_equal 'nothing stands in the way of drivers' '(null)' "$(cat $function/driver_override)"
configure 0 fault=bad-signature
refuses 0 'bad-signature: CHALLENGE' "$EKEYREJECTED"
ktap_test_result 'a drive that is refused loses it' wait_for 20 is_unbound 0
ktap_test_result 'and the bus' wait_for 5 fails is_master
ktap_test_equal 'no other comes' spdm-not-authenticated "$(cat $function/driver_override)"
echo 0000:01:00.0 2>/dev/null >/sys/bus/pci/drivers/nvme/bind
ktap_test_result 'not even by hand' is_unbound 0
echo >$function/driver_override
echo 0000:01:00.0 2>/dev/null >/sys/bus/pci/drivers/nvme/bind
ktap_test_result 'or not for long' wait_for 20 is_unbound 0
ktap_test_result 'the other drive is not concerned' drive_reads 1
configure 0
ktap_test_result 'the drive is attested again' accepts 0
ktap_test_result 'and gets its driver back' wait_for 20 is_bound 0
ktap_test_result 'and works' drive_reads 0
ktap_test_result 'with the bus' is_master
ktap_test_equal 'nothing is left in the way of drivers' '(null)' "$(cat $function/driver_override)"

configure 0 fault=bad-signature
refuses 0 'bad-signature: CHALLENGE' "$EKEYREJECTED"
wait_for 20 is_unbound 0
sets audit
ktap_test_result 'with audit it gets its driver back, refused as it is' wait_for 20 is_bound 0
ktap_test_result 'and works' drive_reads 0
sets enforce
ktap_test_result 'with enforce it loses it' wait_for 20 is_unbound 0
sets off
ktap_test_result 'with off it gets it back' wait_for 20 is_bound 0

count 0 requests
before=$count
verdict 0
ktap_test_equal 'off is a state, and no verdict' '0 off' "$verdict"
re 0
ktap_test_equal 'nobody attests it' "$EPERM" "$error"
count 0 requests
ktap_test_equal 'no message is sent' "$before" "$count"
configure 0
sets audit
verdict 0
ktap_test_equal 'after off it is attested' 'ok 1 authenticated' "$result $verdict"

# A slow drive and enforce: no driver before the verdict.
echo 0000:01:00.0 >/sys/bus/pci/drivers/nvme/unbind
sets enforce
starts 0 21
echo 0000:01:00.0 2>/dev/null >/sys/bus/pci/drivers_probe &
ktap_test_result 'a slow drive has no driver before its verdict' is_unbound 0
wait
ktap_test_result 'then it is authenticated' is_authenticated 0
ktap_test_result 'and gets it' wait_for 20 is_bound 0
ktap_test_result 'and works' drive_reads 0

# Another device after sleep.
configure 0 key=7
sleep_and_wake
verdict 0
ktap_test_match 'another device after sleep is refused' '0 failed identity-changed: *' "$verdict"
ktap_test_result 'and loses its driver' wait_for 20 is_unbound 0
ktap_test_result 'and the bus' wait_for 5 fails is_master
configure 0
sets audit
attest 0
ktap_test_result 'until somebody says otherwise' drive_reads 0
ktap_finished
