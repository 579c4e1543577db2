#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
#
# Suspend-to-idle: firmware does not know, devices may keep their power, and verdicts are made anew all the same.
# Nothing wakes an emulated machine from it, so the kernel's own test of it (pm_test) goes all the way but for the idling.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

# The system suspends to idle up to the last phase of its devices, and resumes.
sleep_and_wake() {
	echo mem >/sys/power/state
}

ktap_print_header
needs_pm_test s2idle /sys/power/mem_sleep
ktap_set_plan 14
echo s2idle >/sys/power/mem_sleep
echo platform >/sys/power/pm_test
echo 1 >/sys/module/suspend/parameters/pm_test_delay
start_spdm ecdsa-p384
load_nvme
drive_reads 0
configure 0
configure 1
accepts 0
accepts 1
controller=$(basename /sys/bus/pci/devices/0000:01:00.0/nvme/nvme*)

log_mark
ktap_test_result 'the system idles and wakes' sleep_and_wake
log_since >/run/log
ktap_test_result 'to idle, not to RAM' grep -q 'suspend entry (s2idle)' /run/log
verdict 0
ktap_test_equal 'a drive is authenticated after that' '1 authenticated' "$verdict"
ktap_test_result 'because it was attested again' challenged 0 2
ktap_test_result 'so was the other drive' challenged 1 2
ktap_test_result 'before user space ran' \
	in_order 'spdm pci-0000:01:00.0: authenticated' 'Restarting tasks|PM: suspend exit'
ktap_test_result 'the drive works' drive_reads 0

configure 0 key=7
sleep_and_wake
verdict 0
ktap_test_match 'a drive that was swapped is refused' '0 failed identity-changed: *' "$verdict"
configure 0 slot0=untrusted
sleep_and_wake
verdict 0
ktap_test_match 'it stays refused' '0 failed identity-changed: *' "$verdict"
configure 0
accepts 0
configure 0 slot0=untrusted
sleep_and_wake
verdict 0
ktap_test_match 'one that nobody trusts any more is refused' '0 failed untrusted-root: slot 0:*' "$verdict"
configure 0
accepts 0
configure 0 fault=silence
sleep_and_wake
verdict 0
ktap_test_equal 'one that is silent' '0 failed timeout: GET_VERSION' "$verdict"
configure 0
accepts 0
configure 0 fault=not-ready at=CHALLENGE rd-exponent=21
sleep_and_wake
verdict 0
ktap_test_equal 'one that is slow is authenticated' '1 authenticated' "$verdict"
ktap_test_result 'it works' drive_reads 0
echo none >/sys/power/pm_test
ktap_test_result "its controller is the same, $controller" [ -d "/sys/class/nvme/$controller" ]
ktap_finished
