#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# guest: own
# hotplug: native
# timeout: 400
#
# Errors on the link (AER), resets by slot and bus. The slots are the kernel's (pciehp), as they are in most machines;
# QEMU's links come up again after a reset then, and recovery succeeds. Its ports have no DPC, whose recovery is that of
# a fatal AER error but for who resets the link.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

function=/sys/bus/pci/devices/0000:01:00.0
port=/sys/bus/pci/devices/0000:00:01.0

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

ktap_print_header
ktap_set_plan 37
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
if built_in; then
	ktap_test_result 'its driver starts over when there is a verdict' \
		in_order 'spdm pci-0000:01:00.0: ' 'restart after slot reset'
else
	ktap_test_skip 'this kernel does not tell of resets'
fi
accepts 0
ktap_test_result 'the drive works' drive_reads 0
echo enforce >/sys/class/spdm/pci-0000:01:00.0/policy
configure 0 key=7
log_mark
injects DLP
ktap_test_result 'another drive loses its driver, if that is policy' wait_for 20 is_unbound 0
if built_in; then
	ktap_test_result 'which has not used it' fails has_logged 'restart after slot reset'
else
	ktap_test_skip 'this kernel does not tell of resets'
fi
configure 0
accepts 0
ktap_test_result 'the first one gets it back' wait_for 20 is_bound 0
ktap_test_result 'and works' drive_reads 0
echo audit >/sys/class/spdm/pci-0000:01:00.0/policy

# Without a driver nobody restores its config space, and recovery is called a failure.
echo 0000:01:00.0 >/sys/bus/pci/drivers/nvme/unbind
happens 'fatal error without a driver' injects DLP
ktap_test_result 'recovery fails' has_logged 'device recovery failed'
echo 1 >"$function/remove"
echo 1 >/sys/bus/pci/rescan
ktap_test_result 'found anew, it is authenticated' wait_for 20 is_authenticated 0
ktap_test_result 'and works' drive_reads 0
ktap_finished
