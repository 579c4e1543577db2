#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A driver's probe waits for the verdict on its own drive, and for no other.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

bind() {
	bdf "$1" >"/sys/bus/pci/drivers/nvme/bind"
}

unbind() {
	bdf "$1" >"/sys/bus/pci/drivers/nvme/unbind"
}

ktap_print_header
ktap_set_plan 16
start_spdm ecdsa-p384
load_nvme
for number in 0 1 2; do
	ktap_test_result "drive $number works" drive_reads $number
	unbind $number
done
configure 0
configure 1

log_mark
starts 0 22
bind 0 &
binding=$!
ktap_test_result 'a drive without DOE is probed while another is attested' bounded 2 bind 2
ktap_test_result 'so is one with a verdict' bounded 2 bind 1
ktap_test_result 'they work' drive_reads 2
ktap_test_result 'both' drive_reads 1
verdict 0
ktap_test_equal 'the slow one has no verdict yet' '0 pending' "$verdict"
ktap_test_result 'and no driver' is_unbound 0
wait "$attesting" "$binding"
ktap_test_result 'then it is authenticated' is_authenticated 0
ktap_test_result 'and works' drive_reads 0
ktap_test_result 'the verdict came before the probe' \
	in_order "spdm pci-$(bdf 0): authenticated" "pci function $(bdf 0)"

# The same with a drive that never answers: the probe waits for the verdict, whatever it is.
unbind 0
configure 0 fault=silence
log_mark
attest 0 &
usleep 300000
bind 0
wait
verdict 0
ktap_test_equal 'a silent drive is refused' '0 failed timeout: GET_VERSION' "$verdict"
ktap_test_result 'it works nevertheless, as policy is audit' drive_reads 0
ktap_test_result 'this verdict came before the probe, too' \
	in_order "spdm pci-$(bdf 0): not authenticated" "pci function $(bdf 0)"
configure 0
ktap_test_result 'the next verdict is a good one' accepts 0
ktap_finished
