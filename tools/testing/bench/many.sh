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

# settled COUNT: so many emulated functions are authenticated. Whoever looks takes time of the CPU.
settled() {
	settled=0
	while [ $settled -lt "$1" ]; do
		read_line "/sys/bus/pci/devices/$(emulated $settled)/authenticated"
		[ "$line" = 1 ] || return
		settled=$((settled + 1))
	done
}

# responder_time: what the responder has had of CPUs so far, in microseconds, into $spent.
responder_time() {
	read_line "/proc/$server/stat"
	# shellcheck disable=SC2086 # They are words.
	set -- $line
	spent=$(((${14} + ${15}) * 10000))
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
	responder_time
	before=$spent
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
	responder_time
	sample of_responder us $((spent - before)) "$*"
	read_line "/sys/class/spdm/pci-$(emulated 0)/exchanges"
	sample exchanges - "$line" "$*"
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

# measure ASYM DELAY COUNT...: with so many devices, one number after the other.
measure() {
	asym=$1 delay=$2
	shift 2
	ask set all "delay-ms=$delay"
	behind='answers at once'
	[ "$delay" = 0 ] || behind="$delay ms per answer"
	for count in "$@"; do
		devices="$asym, $(printf %2d "$count") devices, $behind"
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
}

start_spdm ecdsa-p384
use_tracing
echo 1 >$tracing/events/spdm/enable
# The roots of the drives bear the same names: with both, a chain that is known is verified again.
clear_roots
serve_emulated $most ecdsa-p384 hash=sha384 version=1.3
measure ecdsa-p384 0 1 4 8 16
measure ecdsa-p384 50 1 4 8 16
end_emulation
# Signatures that take a third of the time: what is left of the difference is the requester's.
serve_emulated $most ecdsa-p256 hash=sha256 version=1.3
measure ecdsa-p256 50 1 8
end_emulation
