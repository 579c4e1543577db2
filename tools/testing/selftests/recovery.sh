#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# guest: own
# hotplug: native
# timeout: 400
#
# Errors on the link (AER), resets by slot and bus, drives that are torn out. The slots are the kernel's (pciehp), as
# they are in most machines; QEMU's links come up again after a reset then, and recovery succeeds. Its ports have no
# DPC, whose recovery is that of a fatal AER error but for who resets the link.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

function=/sys/bus/pci/devices/0000:01:00.0
port=/sys/bus/pci/devices/0000:00:01.0

is_gone() {
	[ ! -e "$function" ] && [ ! -e /sys/class/spdm/pci-0000:01:00.0 ]
}

is_other() {
	verdict 0
	case $verdict in '0 failed identity-changed: '*) ;; *) return 1 ;; esac
}

by_method() {
	echo "$1" >"$function/reset_method" && echo 1 >"$function/reset"
}

by_bridge() {
	echo 1 >"$port/reset_subordinate"
}

# injects ERROR: the port reports it.
injects() {
	monitor pcie_aer_inject_error port0 "$1" >/dev/null && wait_for 20 has_logged 'device recovery'
}

has_logged() {
	log_since | grep -q "$1"
}

was_challenged() {
	count 0 challenges
	[ "$count" -ge "$1" ]
}

# put_in: a drive into the slot, when the kernel has switched that off; it waits a second then. What is in the slot at
# that moment, QEMU takes out.
put_in() {
	wait_for 20 grep -q 0 /sys/bus/pci/slots/1/power
	usleep 2000000
	drive add 0 >/dev/null
}

# happens TEXT COMMAND...: what the command does makes drive 0 prove itself again, and it is refused if it is another.
happens() {
	title=$1
	shift
	configure 0
	accepts 0
	log_mark
	ktap_test_result "$title" "$@"
	ktap_test_result "$title: the drive is attested again" wait_for 20 was_challenged 2
	ktap_test_result "$title: it is authenticated" wait_for 20 has_verdict 0 '1 authenticated'
	# More than once, if what happened came to more than one reset.
	configure 0 key=7
	log_mark
	"$@"
	ktap_test_result "$title: another drive is refused" wait_for 20 is_other
	configure 0
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
ktap_set_plan 48
start_spdm ecdsa-p384
load_nvme
drive_reads 0
ktap_test_result 'the slots are the kernel'"'"'s' [ -e /sys/bus/pci_express/drivers/pciehp/0000:00:01.0:pcie004 ]

happens 'function level reset' by_method flr
happens 'reset of the slot' by_method bus
happens 'reset of all that is behind the port' by_bridge
ktap_test_result 'the drive works' drive_reads 0
happens 'error that is not fatal' injects COMP_ABORT
ktap_test_result 'the drive works' drive_reads 0
happens 'fatal error' injects DLP
ktap_test_result 'recovery succeeds' has_logged 'device recovery successful'
accepts 0
ktap_test_result 'the drive works' drive_reads 0

# Without a driver nobody restores its config space, and recovery is called a failure.
echo 0000:01:00.0 >/sys/bus/pci/drivers/nvme/unbind
happens 'fatal error without a driver' injects DLP
ktap_test_result 'recovery fails' has_logged 'device recovery failed'
echo 1 >"$function/remove"
echo 1 >/sys/bus/pci/rescan
ktap_test_result 'found anew, it is authenticated' wait_for 20 is_authenticated 0
ktap_test_result 'and works' drive_reads 0

# Torn out, and what comes into the slot after that.
configure 0
accepts 0
identity=$(attribute 0 identity)
log_mark
ktap_test_result 'a drive is torn out' tears_out
ktap_test_result 'and leaves nothing behind' wait_for 30 is_gone
ktap_test_result 'the kernel was not asked' has_logged 'Card not present\|Link Down'
put_in
ktap_test_result 'it is put back, and authenticated' wait_for 30 is_authenticated 0
ktap_test_equal 'as what it was' "$identity" "$(attribute 0 identity)"
ktap_test_result 'it works' drive_reads 0

starts 0 23
ktap_test_result 'a drive is torn out while it is attested' bounded 20 tears_out
ktap_test_result 'it is gone' wait_for 30 is_gone
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
wait_for 30 is_gone
configure 0 fault=bad-signature
put_in
ktap_test_result 'one that lies is put in, and refused' \
	wait_for 30 has_verdict 0 '0 failed bad-signature: CHALLENGE'
configure 0
accepts 0
ktap_test_result 'the slot is switched off' sh -c 'echo 0 >/sys/bus/pci/slots/1/power'
ktap_test_result 'the drive is gone' wait_for 30 is_gone
put_in
ktap_test_result 'and authenticated when it is back' wait_for 30 is_authenticated 0
ktap_test_result 'and works' drive_reads 0
ktap_finished
