#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# guest: own
# drives: 1024
# hotplug: native
# timeout: 1800
#
# Hibernation: the system writes an image of itself to a drive and is switched off. When it is switched on again, its
# devices may be others, and have forgotten everything. A drive may be the one that the image is on.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

# freeze_and_thaw: devices are made quiet as for an image, which is not written, and wake again.
freeze_and_thaw() {
	echo platform >/sys/power/pm_test
	if [ -e /sys/module/hibernate/parameters/pm_test_delay ]; then
		echo 1 >/sys/module/hibernate/parameters/pm_test_delay
	fi
	echo disk >/sys/power/state
	echo none >/sys/power/pm_test
}

ktap_print_header
if ! grep -qw disk /sys/power/state; then
	ktap_set_plan 1
	ktap_test_skip 'this kernel does not hibernate'
	ktap_finished
fi
ktap_set_plan 39
leave_pciehp_its_locks
start_spdm ecdsa-p384
load_nvme
drive_reads 0
ktap_test_result 'there is room for an image' swap_to 2
sleeps_well hibernate

# Should the image not be written, devices wake at once.
identity=$(attribute 0 identity)
configure 0 key=7
log_mark
ktap_test_result 'devices are frozen and thawed' freeze_and_thaw
verdict 0
ktap_test_match 'a drive that is another after that is refused' '0 failed identity-changed: *' "$verdict"
ktap_test_result 'before user space ran' in_order 'spdm pci-0000:01:00.0: not authenticated' \
	'Restarting tasks|PM: hibernation: hibernation exit'
configure 0
ktap_test_result 'it is as it was' works 0

# The image is on a drive that has to prove itself, and so is all that the system has swapped.
swapoff "/dev/$(block_device "$swap")"
swap_to 0
hibernate
ktap_test_result 'the drive with the image is authenticated' has_verdict 0 '1 authenticated'
ktap_test_equal 'as the same' "$identity" "$(attribute 0 identity)"
# It is another one with the same image; and one is no longer there.
hibernate 'responder set 0 key=7' 'drive remove 1'
verdict 0
ktap_test_match 'if it was swapped it is refused' '0 failed identity-changed: *' "$verdict"
ktap_test_result 'but works, as policy is audit' swapoff "/dev/$(block_device "$swap")"
ktap_test_result 'a drive that was taken away is gone' wait_for 60 is_gone 1
ktap_finished
