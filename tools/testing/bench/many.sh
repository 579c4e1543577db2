#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 1800
#
# Several devices at once, behind mailboxes in software that answer in parallel: from the first message to the last
# verdict, when they are found and after sleep.

# shellcheck source=tools/testing/bench/common.sh
. /bench.sh

most=16
[ -e /modules/doe_emu.ko ] || exit 0

# settled COUNT: so many emulated functions are authenticated. Whoever looks takes time of the only CPU.
settled() {
	settled=0
	while [ $settled -lt "$1" ]; do
		read_line "/sys/bus/pci/devices/$(emulated $settled)/authenticated"
		[ "$line" = 1 ] || return
		settled=$((settled + 1))
	done
}

# found COUNT CASE...: COUNT functions are put into their slots at once.
found() {
	count=$1
	shift
	number=0
	while [ $number -lt "$count" ]; do
		echo 1 >/sys/class/misc/doe_emu$number/present
		number=$((number + 1))
	done
	clear_trace
	echo 1 >/sys/bus/pci/rescan
	seconds=15
	until settled "$count" || [ $seconds = 0 ]; do
		sleep 1
		seconds=$((seconds - 1))
	done
	stop_trace
	settled "$count" || echo "not all of $count are authenticated"
	span 'spdm_(message|verdict): name=pci-10000'
	sample found us "$span" "$*"
}

# again COUNT CASE...: each is asked for by a writer of its own.
again() {
	count=$1
	shift
	clear_trace
	number=0
	jobs=
	while [ $number -lt "$count" ]; do
		echo re >"/sys/bus/pci/devices/$(emulated $number)/authenticated" &
		jobs="$jobs $!"
		number=$((number + 1))
	done
	for job in $jobs; do
		wait "$job" || echo 'an attestation failed'
	done
	stop_trace
	span 'spdm_(message|verdict): name=pci-10000'
	sample again us "$span" "$*"
}

# woken COUNT CASE...: the system sleeps.
woken() {
	count=$1
	shift
	clear_trace
	sleep_and_wake
	stop_trace
	settled "$count" || echo "not all of $count are authenticated"
	span 'spdm_(message|verdict): name=pci-10000'
	sample resume us "$span" "$*"
}

gone() {
	number=0
	while [ $number -lt $most ]; do
		echo 0 >/sys/class/misc/doe_emu$number/plugged
		number=$((number + 1))
	done
}

start_spdm ecdsa-p384
use_tracing
echo 1 >$tracing/events/spdm/enable
mailboxes $most
for delay in 0 50; do
	ask set all delay-ms=$delay
	behind='answers at once'
	[ $delay = 0 ] || behind="$delay ms per answer"
	for count in 1 4 8 16; do
		devices="$(printf %2d $count) devices, $behind"
		# Sleeping takes seconds each time.
		nth=0
		while [ $nth -lt "$runs" ]; do
			found "$count" "$devices"
			again "$count" "$devices"
			[ $((nth % 3)) != 0 ] || woken "$count" "$devices"
			gone
			nth=$((nth + 1))
		done
	done
done
no_mailboxes
