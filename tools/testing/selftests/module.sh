#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The module goes and comes back, at any time.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

nothing_left() {
	[ ! -e /sys/class/spdm ] && [ ! -e /sys/bus/pci/devices/0000:01:00.0/authenticated ]
}

ktap_print_header
if built_in; then
	ktap_set_plan 1
	ktap_test_skip 'spdm is no module in this kernel'
	ktap_finished
fi
ktap_set_plan 20
start_spdm ecdsa-p384
load_nvme
configure 0
configure 1
accepts 0

ktap_test_result 'the module can be unloaded' unload_spdm
ktap_test_result 'which leaves nothing behind' nothing_left
ktap_test_result 'drives go on working' drive_reads 0
ktap_test_result 'the module can be loaded again' start_spdm ecdsa-p384
ktap_test_result 'and attests' accepts 0

turns=0
while [ $turns -lt 10 ] && unload_spdm && load_spdm; do turns=$((turns + 1)); done
ktap_test_equal 'it comes and goes ten times' 10 "$turns"

# While an attestation runs.
start_spdm ecdsa-p384
starts 0 23
ktap_test_result 'it can be unloaded while a drive is attested' bounded 3 unload_spdm
ktap_test_result 'which leaves nothing behind' nothing_left
ktap_test_result 'who asked for the attestation gets an error' fails wait "$attesting"

# While the attestation that it began itself runs, and a driver waits for that.
unload_nvme
configure 0 fault=not-ready at=DIGESTS rd-exponent=23
load_spdm
ktap_test_result 'a drive is slow when the module is loaded' wait_for 5 has_misbehaved 0
load_nvme &
loading=$!
usleep 1000000
verdict 0
ktap_test_equal 'its driver waits' '0 pending' "$verdict"
ktap_test_result 'the driver of the other one does not' wait_for 10 drive_reads 1
ktap_test_result 'the module can be unloaded meanwhile' bounded 3 unload_spdm
ktap_test_result 'and its driver goes on' wait "$loading"
ktap_test_result 'with a drive that works' drive_reads 0
ktap_test_result 'nothing is left behind' nothing_left

configure 0
ktap_test_result 'the module can be loaded again after that' start_spdm ecdsa-p384
ktap_test_result 'one drive is authenticated' accepts 0
ktap_test_result 'and the other' accepts 1
count 0 violations
ktap_test_equal 'nothing was asked against the standard' 0 "$count"
ktap_finished
