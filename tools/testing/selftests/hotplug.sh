#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Drives that come and go, also in the middle of an attestation.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

# rescan: finds what was removed by software.
rescan() {
	echo 1 >/sys/bus/pci/rescan
}

take_out() {
	echo 1 >"/sys/bus/pci/devices/$(bdf "$1")/remove"
}

ktap_print_header
ktap_set_plan 28
start_spdm ecdsa-p384
load_nvme
configure 0
accepts 0

# A good one.
ktap_test_result 'the slot is empty' is_gone 3
configure 3
log_mark
wait_for 10 drive add 3 >/dev/null
ktap_test_result 'a drive that is put in is authenticated' wait_for 20 is_authenticated 3
ktap_test_result 'its driver binds' wait_for 20 is_bound 3
ktap_test_result 'and reads' drive_reads 3
ktap_test_result 'the verdict comes before the probe' \
	in_order "spdm pci-$(bdf 3): authenticated" "pci function $(bdf 3)"
drive remove 3 >/dev/null
ktap_test_result 'a drive that is taken out leaves nothing behind' wait_for 20 is_gone 3
verdict 0
ktap_test_equal 'another drive has not noticed' '1 authenticated' "$verdict"

# A slow one: its driver waits, and no other.
configure 3 fault=not-ready at=CHALLENGE rd-exponent=22
log_mark
wait_for 10 drive add 3 >/dev/null
ktap_test_result 'a slow drive is put in' wait_for 20 has_misbehaved 3
verdict 3
ktap_test_equal 'there is no verdict yet' '0 pending' "$verdict"
ktap_test_result 'and no driver' [ ! -e "/sys/bus/pci/devices/$(bdf 3)/nvme" ]
ktap_test_result 'another drive is attested meanwhile' accepts 0
verdict 3
ktap_test_equal 'there is still no verdict' '0 pending' "$verdict"
ktap_test_result 'then the drive is authenticated' wait_for 20 is_authenticated 3
ktap_test_result 'and its driver binds' wait_for 20 is_bound 3
ktap_test_result 'in this order' \
	in_order "spdm pci-$(bdf 3): authenticated" "pci function $(bdf 3)"

# In the middle of an attestation.
configure 3 fault=not-ready at=CHALLENGE rd-exponent=23
attest 3 &
writer=$!
ktap_test_result 'a slow drive is attested again' wait_for 10 has_misbehaved 3
ktap_test_result 'it can be removed meanwhile' bounded 4 take_out 3
ktap_test_result 'and is gone' is_gone 3
if wait "$writer"; then
	ktap_test_fail 'who waited for its verdict gets an error'
else
	ktap_test_pass 'who waited for its verdict gets an error'
fi
configure 3
rescan
ktap_test_result 'it is found again' wait_for 20 is_authenticated 3
drive_reads 3
unload_nvme
configure 3 fault=not-ready at=CHALLENGE rd-exponent=23
attest 3 &
writer=$!
wait_for 10 has_misbehaved 3
drive remove 3 >/dev/null
ktap_test_result 'it can be taken out meanwhile' wait_for 20 is_gone 3
wait "$writer"

# While its driver waits for the verdict.
load_nvme
configure 3 fault=not-ready at=CHALLENGE rd-exponent=22
wait_for 10 drive add 3 >/dev/null
ktap_test_result 'a slow drive is put in again' wait_for 20 has_misbehaved 3
drive remove 3 >/dev/null
ktap_test_result 'it can be taken out while its driver waits' wait_for 30 is_gone 3

# A bad one, and a silent one.
configure 4 fault=bad-signature
wait_for 10 drive add 4 >/dev/null
ktap_test_result 'a bad drive is put in, and refused' \
	wait_for 20 has_verdict 4 '0 failed bad-signature: CHALLENGE'
drive remove 4 >/dev/null
ktap_test_result 'it is taken out' wait_for 20 is_gone 4
configure 4 fault=silence
wait_for 10 drive add 4 >/dev/null
ktap_test_result 'a silent drive is refused' \
	wait_for 20 has_verdict 4 '0 failed timeout: GET_VERSION'
drive remove 4 >/dev/null
ktap_test_result 'it is taken out, too' wait_for 20 is_gone 4
verdict 0
ktap_test_equal 'the first drive has not noticed any of this' '1 authenticated' "$verdict"
ktap_finished
