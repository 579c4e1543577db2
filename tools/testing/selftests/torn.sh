#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# guest: own
# hotplug: native
# timeout: 400
#
# Drives that are torn out of their slot, and what comes into it after that.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

port=/sys/bus/pci/devices/0000:00:01.0

has_logged() {
	log_since | grep -q "$1"
}

# put_in: a drive into the slot, when the kernel has switched that off; it waits a second then. What is in the slot at
# that moment, QEMU takes out.
put_in() {
	wait_for 20 grep -q 0 /sys/bus/pci/slots/1/power
	usleep 2000000
	drive add 0 >/dev/null
}

# slot_control WORD: of the slot of drive 0; low byte first, in octal.
slot_control() {
	printf '%b' "$1" | dd of="$port/config" bs=2 seek=54 count=1 conv=notrunc 2>/dev/null
}

# tears_out: drive 0 leaves its slot, of which only the port tells. QEMU takes a drive out when its slot has neither
# power nor indicator, so that is what the slot has for a moment, in which its interrupts are off.
tears_out() {
	slot_control '\0321\0007'
	slot_control '\0361\0001'
}

ktap_print_header
ktap_set_plan 16
leave_pciehp_its_locks
start_spdm ecdsa-p384
load_nvme
drive_reads 0
configure 0
accepts 0
identity=$(attribute 0 identity)
log_mark
ktap_test_result 'a drive is torn out' tears_out
ktap_test_result 'and leaves nothing behind' wait_for 30 is_gone 0
ktap_test_result 'the kernel was not asked' has_logged 'Card not present\|Link Down'
put_in
ktap_test_result 'it is put back, and authenticated' wait_for 30 is_authenticated 0
ktap_test_equal 'as what it was' "$identity" "$(attribute 0 identity)"
ktap_test_result 'it works' drive_reads 0

starts 0 23
ktap_test_result 'a drive is torn out while it is attested' bounded 20 tears_out
ktap_test_result 'it is gone' wait_for 30 is_gone 0
if wait "$attesting"; then
	ktap_test_fail 'who waited for its verdict gets an error'
else
	ktap_test_pass 'who waited for its verdict gets an error'
fi
configure 0 key=7
put_in
ktap_test_result 'another one is put in, and authenticated' wait_for 30 is_authenticated 0
ktap_test_match 'as another one' '?*' "$(attribute 0 identity | grep -v "$identity")"
tears_out
wait_for 30 is_gone 0
configure 0 fault=bad-signature
put_in
ktap_test_result 'one that lies is put in, and refused' \
	wait_for 30 has_verdict 0 '0 failed bad-signature: CHALLENGE'
configure 0
accepts 0
ktap_test_result 'the slot is switched off' sh -c 'echo 0 >/sys/bus/pci/slots/1/power'
ktap_test_result 'the drive is gone' wait_for 30 is_gone 0
put_in
ktap_test_result 'and authenticated when it is back' wait_for 30 is_authenticated 0
ktap_test_result 'and works' drive_reads 0
ktap_finished
