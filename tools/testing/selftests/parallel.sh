#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
#
# Devices are attested at the same time when the system wakes. Emulated drives cannot show this, because QEMU answers
# for one of them at a time; mailboxes in software can, whose responder runs while the system wakes.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

functions='10000:00:00.0 10000:00:01.0 10000:00:02.0 10000:00:03.0'

all_authenticated() {
	[ "$(cat /sys/bus/pci/devices/10000:*/authenticated | grep -c 1)" = 4 ]
}

# all_at_once: each has been sent a message before the first had its verdict.
all_at_once() {
	waking | awk '
		/spdm_message: name=pci-10000:/ { if (!begun[$6]++) last = NR }
		/spdm_verdict: name=pci-10000:/ { if (!ended) ended = NR }
		END { exit !(length(begun) == 4 && last < ended) }
	'
}

# others_went_on: while mailbox 0 was silent, each other one answered more than once. To have a verdict within that second
# would take a fast machine.
others_went_on() {
	waking | awk '
		/spdm_message: name=pci-10000:.* dir=response/ { answers[$6]++ }
		/spdm_verdict: name=pci-10000:00:00.0 / {
			for (name in answers)
				count += answers[name] > 1
			exit
		}
		END { exit count != 3 }
	'
}

ktap_print_header
if [ ! -e /modules/doe_emu.ko ] || [ ! -e /bin/spdm-responder ] || ! grep -qw deep /sys/power/mem_sleep; then
	ktap_set_plan 1
	ktap_test_skip 'there is no test module, or no responder in the guest, or no sleep'
	ktap_finished
fi
ktap_set_plan 13
start_spdm ecdsa-p384
insmod /modules/doe_emu.ko devices=4 plugged=0
mkfifo /tmp/in /tmp/out
spdm-responder doe-emu --device /dev/doe_emu0 --device /dev/doe_emu1 --device /dev/doe_emu2 --device /dev/doe_emu3 \
	--pki /tmp/pki --set 'asym=ecdsa-p256 hash=sha256' --control-stdin </tmp/in >/tmp/out 2>/tmp/responder.log &
server=$!
exec 4>/tmp/in 5</tmp/out
until [ "$line" = ready ]; do IFS= read -r line <&5 || break; done
ktap_test_equal 'a responder serves four mailboxes' ready "$line"
add_root /tmp/pki/roots/ecdsa-p256.der >/dev/null
for number in 0 1 2 3; do echo 1 >/sys/class/misc/doe_emu$number/present; done
echo 1 >/sys/bus/pci/rescan
ktap_test_result 'all are authenticated' wait_for 20 all_authenticated

# Each takes its time for an answer.
for number in 0 1 2 3; do echo 200000 >/sys/class/misc/doe_emu$number/delay_us; done
trace_sleep
ktap_test_result 'the system sleeps and wakes' sleep_and_wake
trace_ends
ktap_test_result 'all are authenticated again' all_authenticated
ktap_test_result 'at the same time' all_at_once
for function in $functions; do
	ktap_test_equal 'before its driver was woken, and before processes were' \
		'parent attester messages verdict driver processes' "$(order_of "$function")"
done

# One that is silent holds up no other one.
for number in 0 1 2 3; do echo 0 >/sys/class/misc/doe_emu$number/delay_us; done
echo silent >/sys/class/misc/doe_emu0/fault
trace_sleep
sleep_and_wake
trace_ends
for function in $functions; do
	cat "/sys/class/spdm/pci-$function/state"
done >/run/states
ktap_test_equal 'one that is silent is refused, the others are authenticated' \
	'failed authenticated authenticated authenticated' "$(xargs </run/states)"
ktap_test_result 'they had answered before it was given up' others_went_on
echo none >/sys/class/misc/doe_emu0/fault
ktap_test_result 'then it is authenticated, too' sh -c \
	"echo re >/sys/bus/pci/devices/10000:00:00.0/authenticated"
exec 4>&-
kill "$server"
wait
ktap_test_result 'the mailboxes go' rmmod doe_emu
ktap_finished
