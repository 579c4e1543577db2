#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
#
# Hibernation, as far as it goes without a disk for the image: the kernel's own test of it (pm_test) makes the devices
# quiet for the image (freeze) and wakes them again (thaw), where no image is written.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

# Devices are frozen, and thawed.
freeze_and_thaw() {
	echo disk >/sys/power/state
}

ktap_print_header
needs_pm_test disk /sys/power/state
ktap_set_plan 9
start_spdm ecdsa-p384
load_nvme
drive_reads 0
configure 0
configure 1
accepts 0
accepts 1
echo platform >/sys/power/pm_test
if [ -e /sys/module/hibernate/parameters/pm_test_delay ]; then
	echo 1 >/sys/module/hibernate/parameters/pm_test_delay
fi

log_mark
ktap_test_result 'devices are frozen and thawed' freeze_and_thaw
verdict 0
ktap_test_equal 'a drive is authenticated after that' '1 authenticated' "$verdict"
ktap_test_result 'because it was attested again' challenged 0 2
ktap_test_result 'so was the other drive' challenged 1 2
ktap_test_result 'before user space ran' \
	in_order 'spdm pci-0000:01:00.0: authenticated' 'Restarting tasks|PM: hibernation: hibernation exit'
ktap_test_result 'the drive works' drive_reads 0

configure 0 key=7
freeze_and_thaw
verdict 0
ktap_test_match 'a drive that was swapped is refused' '0 failed identity-changed: *' "$verdict"
configure 0
accepts 0
configure 0 fault=silence
freeze_and_thaw
verdict 0
ktap_test_equal 'one that is silent' '0 failed timeout: GET_VERSION' "$verdict"
echo none >/sys/power/pm_test
configure 0
ktap_test_result 'and is accepted when it answers' accepts 0
ktap_finished
