#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 480
#
# Suspend-to-idle: firmware does not know, devices may keep their power, and verdicts are made anew all the same.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

ktap_print_header
if ! grep -qw s2idle /sys/power/mem_sleep; then
	ktap_set_plan 1
	ktap_test_skip 'this machine does not suspend to idle'
	ktap_finished
fi
ktap_set_plan 31
start_spdm ecdsa-p384
load_nvme
controller=$(basename /sys/bus/pci/devices/0000:01:00.0/nvme/nvme*)
log_mark
sleeps_well idle_and_wake
log_since >/run/log
ktap_test_result 'to idle, not to RAM' grep -q 'suspend entry (s2idle)' /run/log
ktap_test_result "its controller is the same, $controller" [ -d "/sys/class/nvme/$controller" ]
ktap_finished
