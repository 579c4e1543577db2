#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A device that was reset has to prove itself again. The test kernel's PCI core tells of resets before and after them,
# and the driver waits for the verdict; on the stock kernel it does not.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

reset() {
	echo 1 >"/sys/bus/pci/devices/$(bdf "$1")/reset"
}

ktap_print_header
ktap_set_plan 21
start_spdm ecdsa-p384
load_nvme
drive_reads 0
configure 0
accepts 0
accepts 1

ktap_test_result 'a drive is reset' reset 0
ktap_test_result 'it is authenticated' wait_for 10 has_verdict 0 '1 authenticated'
ktap_test_result 'because it was attested again' challenged 0 2
ktap_test_result 'it works' drive_reads 0

configure 0 fault=not-ready at=CHALLENGE rd-exponent=22
reset 0 &
resetting=$!
wait_for 10 has_misbehaved 0
verdict 0
ktap_test_equal 'until then there is no verdict' '0 pending' "$verdict"
verdict 1
ktap_test_equal 'the other drive was not reset' '1 authenticated' "$verdict"
if built_in; then
	ktap_test_result 'and the reset has not ended' kill -0 $resetting
	wait $resetting
	ktap_test_result 'when it has there is a verdict' has_verdict 0 '1 authenticated'
else
	wait $resetting
	ktap_test_skip 'this kernel does not tell of resets'
	ktap_test_skip 'this kernel does not tell of resets'
fi
ktap_test_result 'then there is one' wait_for 10 has_verdict 0 '1 authenticated'

configure 0 key=7
reset 0
is_other() {
	verdict 0
	case $verdict in '0 failed identity-changed: '*) ;; *) return 1 ;; esac
}
ktap_test_result 'another device after a reset is refused' wait_for 10 is_other
configure 0
ktap_test_result 'the first one is accepted' accepts 0
configure 0 fault=silence
reset 0
ktap_test_result 'one that is silent after a reset is refused' \
	wait_for 10 has_verdict 0 '0 failed timeout: GET_VERSION'
configure 0
accepts 0

# A reset in the middle of an attestation: what was proven before it does not count.
starts 0 22
reset 0
wait "$attesting"
ktap_test_result 'a drive that is reset while it is attested' wait_for 10 has_verdict 0 '1 authenticated'
# Where the PCI core tells of it, the first one is cancelled before it comes to the challenge.
if built_in; then challenges=1; else challenges=2; fi
ktap_test_result 'is attested once more' challenged 0 $challenges

turns=0
configure 0
while [ $turns -lt 5 ] && reset 0; do turns=$((turns + 1)); done
ktap_test_result 'after five resets in a row it is authenticated' wait_for 10 has_verdict 0 '1 authenticated'
ktap_test_result 'and works' drive_reads 0

echo enforce >/sys/class/spdm/pci-0000:01:00.0/policy
configure 0 key=7
reset 0
ktap_test_result 'with enforce, another device after a reset is refused' wait_for 10 is_other
ktap_test_result 'and has no driver' wait_for 20 is_unbound 0
configure 0
ktap_test_result 'who asks meanwhile waits for that, and the first one is accepted' accepts 0
ktap_test_result 'it has its driver' wait_for 20 is_bound 0
ktap_test_result 'and works again' drive_reads 0
echo audit >/sys/class/spdm/pci-0000:01:00.0/policy
ktap_finished
