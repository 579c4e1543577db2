#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# guest: own
# timeout: 900
#
# The system sleeps again and again, five times, or a hundred times with `make stress`: no device is missed, no
# attestation left out, and nothing is lost.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

kmemleak=/sys/kernel/debug/kmemleak

# cycle: one, after which each of the drives has signed once more, and is authenticated.
cycle() {
	sleep_and_wake || return 1
	turns=$((turns + 1))
	for number in 0 1 3 4; do
		has_verdict "$number" '1 authenticated' && challenged "$number" $((turns + 1)) && continue
		echo "# drive $number after $turns: $verdict"
		return 1
	done
}

cycles() {
	while [ "$turns" -lt "$wanted" ]; do cycle || return 1; done
}

ktap_print_header
if grep -q selftest.time= /proc/cmdline; then wanted=100; else wanted=5; fi
turns=0
ktap_set_plan 7
start_spdm ecdsa-p384
load_nvme
plug 3 4
for number in 0 1 3 4; do
	configure "$number"
	accepts "$number"
	drive_reads "$number"
done
# What the first sleep allocates for good is none of it.
sleep_and_wake
for number in 0 1 3 4; do
	configure "$number"
	accepts "$number"
done
[ ! -e $kmemleak ] || echo clear >$kmemleak
read -r begin rest </proc/uptime
memory() { sed -n 's/^Slab: *\([0-9]*\) kB/\1/p' /proc/meminfo; }
before=$(memory)
ktap_test_result "four drives are authenticated after each of $wanted cycles" cycles
read -r end rest </proc/uptime
echo "# ${begin%.*} to ${end%.*} s after boot, slab $before to $(memory) kB"
for number in 0 1 3 4; do ktap_test_result "drive $number works" drive_reads "$number"; done
ktap_test_equal 'as often as that the system slept' $((wanted + 1)) "$(cat /sys/power/suspend_stats/success)"
if [ ! -e $kmemleak ]; then
	ktap_test_skip 'nothing is lost: this kernel has no kmemleak'
else
	sleep 6
	echo scan >$kmemleak
	sleep 1
	echo scan >$kmemleak
	sed 's/^/# /' $kmemleak
	ktap_test_equal 'nothing is lost' '' "$(cat $kmemleak)"
fi
ktap_finished
