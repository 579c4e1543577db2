#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A TSM that registers after devices were found: they are its own, and ours again when it goes.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

function=/sys/bus/pci/devices/$(emulated 0)

is_ours() {
	[ -e "/sys/class/spdm/pci-$(emulated 0)/state" ] && [ "$(cat "$function/authenticated")" = 1 ]
}

is_theirs() {
	[ ! -e "/sys/class/spdm/pci-$(emulated 0)" ] && [ -e "$function/tsm" ]
}

messages() {
	cat /sys/class/misc/doe_emu0/requests
}

# comes_and_goes: a TSM does, while the removal of another function, which waits for an answer that does not come, has the
# PCI core's lock. Nobody writes to the attribute that the TSM replaces.
comes_and_goes() {
	mailbox=/sys/class/misc/doe_emu1
	echo 'silent ignore-abort' >$mailbox/fault
	echo 2>/dev/null >"/sys/class/spdm/pci-$(emulated 1)/identity" &
	usleep 100000
	echo 0 >$mailbox/plugged &
	removing=$!
	usleep 100000
	insmod /modules/tsm_test.ko
	rmmod tsm_test
	kill -0 $removing 2>/dev/null
	unseen=$?
	wait $removing
	echo >$mailbox/fault
	echo 1 >$mailbox/plugged
	return $unseen
}

ktap_print_header
needs_emulation
ktap_set_plan 17
start_spdm ecdsa-p384
configure 0
accepts 0
emulate 2
ktap_test_result 'without a TSM a function is attested' wait_for 60 is_ours

for turn in 1 2; do
	ktap_test_result "a TSM registers, turn $turn" insmod /modules/tsm_test.ko
	ktap_test_result 'the function is let go' wait_for 60 is_theirs
	ktap_test_equal 'its attribute is that of the TSM' '' "$(cat "$function/authenticated")"
	before=$(messages)
	echo 1 >"$function/reset"
	usleep 500000
	ktap_test_equal 'no message is sent to it' "$before" "$(messages)"
	verdict 0
	ktap_test_equal 'a drive that no TSM attests has not noticed' '1 authenticated' "$verdict"
	if [ $turn = 2 ]; then
		# In the middle of an attestation.
		rmmod tsm_test
		wait_for 60 is_ours
		ask set 0 fault=not-ready at=CHALLENGE rd-exponent=22
		echo re 2>/dev/null >"$function/authenticated" &
		writer=$!
		usleep 1000000
		ktap_test_result 'a TSM registers in the middle of an attestation' \
			bounded 20 insmod /modules/tsm_test.ko
		ktap_test_result 'it gets the function' wait_for 60 is_theirs
		wait $writer
		ask set 0 fault=none
	fi
	rmmod tsm_test
	ktap_test_result 'the TSM goes, and the function is attested again' wait_for 60 is_ours
done

tries=0
until comes_and_goes || [ $tries = 5 ]; do tries=$((tries + 1)); done
ktap_test_result 'a TSM comes and goes while nobody can look' [ $tries -lt 5 ]
ktap_test_result 'and the function is attested again' wait_for 60 is_ours
end_emulation
ktap_finished
