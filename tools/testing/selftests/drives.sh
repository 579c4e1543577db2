#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Several drives: each has a verdict of its own, in its own time. And several who ask for it.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

function=/sys/bus/pci/devices/0000:01:00.0

waits_for() {
	wait "$1"
}

ktap_print_header
ktap_set_plan 30
start_spdm ecdsa-p384
load_nvme

ktap_test_result 'a drive without DOE is in its slot' [ -d "/sys/bus/pci/devices/$(bdf 2)" ]
ktap_test_result 'it has no attribute' [ ! -e "/sys/bus/pci/devices/$(bdf 2)/authenticated" ]
ktap_test_result 'it has no entry in the class' [ ! -e "/sys/class/spdm/pci-$(bdf 2)" ]
ktap_test_result 'and it works' drive_reads 2
ktap_test_result 'the root port has no attribute' \
	[ ! -e "$(readlink -f $function/..)/authenticated" ]
ktap_test_equal 'there are entries for the two others only' \
	'pci-0000:01:00.0 pci-0000:02:00.0' "$(cd /sys/class/spdm && echo pci-*)"

# One is bad.
ktap_test_result 'both are good' accepts 1
for bad in 0 1; do
	good=$((1 - bad))
	configure $bad fault=bad-signature
	configure $good
	ktap_test_result "drive $bad is bad" refuses $bad 'bad-signature: CHALLENGE' "$EKEYREJECTED"
	verdict $good
	ktap_test_equal "the verdict on drive $good is what it was" '1 authenticated' "$verdict"
	ktap_test_result "drive $good is authenticated again" accepts $good
	verdict $bad
	ktap_test_equal "the verdict on drive $bad is what it was" '0 failed bad-signature: CHALLENGE' "$verdict"
	ktap_test_result "drive $bad still works, as policy is audit" drive_reads $bad
	configure $bad
	accepts $bad
done

# One is slow. The other one does not wait for it.
starts 0 22
verdict 0
ktap_test_equal 'while an attestation runs there is no verdict' '0 pending' "$verdict"
ktap_test_equal 'and no reason and no identity that is proven' ' ' "$(attribute 0 reason) $(attribute 0 subject)"
ktap_test_result 'the other drive is attested meanwhile' bounded 2 accepts 1
verdict 0
ktap_test_equal 'before the slow one is done' '0 pending' "$verdict"
ktap_test_result 'which then succeeds' waits_for "$attesting"
ktap_test_result 'and took the time that it had asked for' [ "$(attribute 0 duration_us)" -ge 4000000 ]

# Many ask at once.
configure 0
writers=
for writer in 1 2 3 4 5; do
	attest 0 &
	writers="$writers $!"
done
attest 1
failed=0
for writer in $writers; do
	wait "$writer" || failed=$((failed + 1))
done
ktap_test_equal 'five writers all get their verdict' 0 $failed
ktap_test_result 'from five attestations, one after the other' challenged 0 5
verdict 0
ktap_test_equal 'which is that the drive is authenticated' '1 authenticated' "$verdict"

# A writer that is killed.
starts 0 23
kill -KILL "$attesting"
wait "$attesting" 2>/dev/null
verdict 0
ktap_test_match 'a writer that is killed leaves no verdict behind' '0 failed interrupted: CHALLENGE' "$verdict"
configure 0
ktap_test_result 'and does not harm the next one' bounded 3 accepts 0

# Both at once, in the background of one another.
starts 0 21
first=$attesting
starts 1 21
ktap_test_result 'two slow drives at once' waits_for "$first"
ktap_test_result 'end at about the same time' bounded 2 waits_for "$attesting"
ktap_finished
