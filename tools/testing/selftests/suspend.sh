#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 480
#
# The system sleeps (S3): a verdict does not survive that, and is made anew before the driver resumes.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

entry=/sys/class/spdm/pci-0000:01:00.0

# ram_and_wake [ORDER...]: the system sleeps, with what is done to its devices before it wakes.
ram_and_wake() {
	for order; do host "$order" >/dev/null; done
	sleep_and_wake
}

# rebinds N: the driver of drive N is unbound and bound again, in bounded time.
rebinds() {
	bdf "$1" >/sys/bus/pci/drivers/nvme/unbind
	bounded 10 sh -c "printf %s $(bdf "$1") >/sys/bus/pci/drivers/nvme/bind"
}

ktap_print_header
if ! grep -qw deep /sys/power/mem_sleep; then
	ktap_set_plan 1
	ktap_test_skip 'this machine does not sleep'
	ktap_finished
fi
ktap_set_plan 59
start_spdm ecdsa-p384
load_nvme
drive_reads 0
sleeps_well ram_and_wake
configure 0
configure 1
accepts 0
accepts 1
identity=$(attribute 0 identity)
controller=$(basename /sys/bus/pci/devices/0000:01:00.0/nvme/nvme*)

# Another device after sleep, whose certificate is as good.
configure 0 key=7
log_mark
sleep_and_wake
verdict 0
ktap_test_match 'a drive that was swapped is refused' '0 failed identity-changed: *' "$verdict"
ktap_test_result 'it was attested' challenged 0 1
ktap_test_result 'before its driver resumed' \
	in_order 'spdm pci-0000:01:00.0: not authenticated' "nvme $controller: .* queues"
verdict 1
ktap_test_equal 'the other drive was not swapped' '1 authenticated' "$verdict"
sleep_and_wake
verdict 0
ktap_test_match 'more sleep does not make it any better' '0 failed identity-changed: *' "$verdict"
configure 0
ktap_test_result 'when the old one is back it is accepted' accepts 0
ktap_test_equal 'as the same' "$identity" "$(attribute 0 identity)"

# One that fails.
configure 0 fault=bad-signature
sleep_and_wake
verdict 0
ktap_test_equal 'one with a bad signature' '0 failed bad-signature: CHALLENGE' "$verdict"
ktap_test_result 'it works, as policy is audit' drive_reads 0
configure 0
ktap_test_result 'and is accepted when its signature is good' accepts 0

# One that was refused before.
configure 0 fault=bad-signature
refuses 0 'bad-signature: CHALLENGE' "$EKEYREJECTED"
configure 0
sleep_and_wake
verdict 0
case $verdict in
1*) challenges=1 ;;
*) challenges=0 ;;
esac
ktap_test_result 'sleep alone turns no refusal into its opposite' challenged 0 $challenges
ktap_test_result 'only an attestation does' accepts 0

# Which devices are attested after sleep.
echo always >$entry/resume_policy
configure 0 fault=bad-signature
refuses 0 'bad-signature: CHALLENGE' "$EKEYREJECTED"
configure 0
sleep_and_wake
verdict 0
ktap_test_equal 'with always, one that was refused, too' '1 authenticated' "$verdict"
echo never >$entry/resume_policy
configure 0
sleep_and_wake
verdict 0
ktap_test_equal 'with never, its verdict is gone' '0 stale' "$verdict"
ktap_test_result 'without a message' challenged 0 0
ktap_test_result 'the other one was attested' is_authenticated 1
sleep_and_wake
verdict 0
ktap_test_equal 'and stays gone' '0 stale' "$verdict"
ktap_test_result 'its driver can be bound again' rebinds 0
ktap_test_result 'it works' drive_reads 0
ktap_test_result 'it is attested when somebody asks' accepts 0
echo enforce >$entry/policy
sleep_and_wake
verdict 0
ktap_test_equal 'but what is enforced is attested in any case' '1 authenticated' "$verdict"
ktap_test_result 'and works' drive_reads 0
echo audit >$entry/policy
ktap_test_equal 'it says so' never "$(cat $entry/resume_policy)"
if echo sometimes 2>/dev/null >$entry/resume_policy; then
	ktap_test_fail 'there is no such policy'
else
	ktap_test_pass 'there is no such policy'
fi
echo authenticated >$entry/resume_policy
accepts 0
sleep_and_wake
verdict 0
ktap_test_equal 'with authenticated, it is as before' '1 authenticated' "$verdict"

# Sleep in the middle of an attestation.
starts 0 23
sleep_and_wake
wait "$attesting"
ktap_test_result 'what sleep interrupts is made up for' has_verdict 0 '1 authenticated'
echo 1 >/sys/bus/pci/devices/0000:01:00.0/remove
configure 0 fault=not-ready at=CHALLENGE rd-exponent=21
echo 1 >/sys/bus/pci/rescan &
wait_for 10 has_misbehaved 0
sleep_and_wake 7 # it waits for probes before it sleeps
wait
ktap_test_result 'a first attestation is made up for' wait_for 10 is_authenticated 0
ktap_test_result 'its driver binds' wait_for 10 is_bound 0
ktap_test_result 'and works' drive_reads 0
ktap_test_result 'the other one, too' drive_reads 1
ktap_finished
