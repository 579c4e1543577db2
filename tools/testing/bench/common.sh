# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2034,SC2154 # Variables are for the scripts, and from lib.sh.
#
# For the measurements of `make bench`, which run in a guest as selftests do: words to report samples. Times are the
# kernel's own: `duration_us`, or time stamps of traces.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

tracing=/sys/kernel/tracing

# How often each measurement is taken.
runs=$(sed -n 's/.*spdm\.runs=\([0-9]*\).*/\1/p' /proc/cmdline)

# sample METRIC UNIT VALUE CASE...: one value of a metric. Words of METRIC and UNIT have no spaces.
sample() {
	printf 'sample %s\n' "$*"
}

# times N COMMAND...: runs the command so often.
times() {
	left=$1
	shift
	while [ "$left" -gt 0 ]; do
		"$@"
		left=$((left - 1))
	done
}

# use_tracing: traces have the time stamps of the monotonic clock, which goes on at resume before any driver does.
use_tracing() {
	echo mono >$tracing/trace_clock
	echo 16384 >$tracing/buffer_size_kb
	echo >$tracing/trace
}

# clear_trace, stop_trace: what is between the two is in the file $trace.
trace=/tmp/trace
clear_trace() {
	echo >$tracing/trace
	echo 1 >$tracing/tracing_on
}

stop_trace() {
	echo 0 >$tracing/tracing_on
	cat $tracing/trace >$trace
}

# span EVENTS: microseconds from the first to the last event in the trace that matches, and how many there are, into
# $span and $events.
span() {
	# shellcheck disable=SC2046 # They are two words.
	set -- $(awk -v events="$1" '
		$0 !~ events || /^#/ { next }
		{
			for (i = 1; i <= NF; i++)
				if ($i ~ /^[0-9]+\.[0-9]+:$/) {
					split($i, part, /[.:]/)
					now = part[1] * 1000000 + part[2]
					break
				}
			if (!n++)
				first = now
		}
		END { printf "%d %d", now - first, n }' $trace)
	span=$1 events=$2
}

# --- Mailboxes in software, see doe_emu/README.rst ---------------------------------------------

emulated() {
	printf '10000:00:%02x.0' "$1"
}

# mailboxes COUNT: so many functions that can be put into their slots, and a responder in this guest that answers for
# them.
mailboxes() {
	insmod /modules/doe_emu.ko devices="$1" plugged=0
	mkfifo /tmp/in /tmp/out
	number=0
	devices=
	while [ $number -lt "$1" ]; do
		devices="$devices --device /dev/doe_emu$number"
		number=$((number + 1))
	done
	# shellcheck disable=SC2086 # They are words.
	spdm-responder doe-emu $devices --pki /tmp/pki --set 'asym=ecdsa-p384 hash=sha384 version=1.3' --control-stdin \
		</tmp/in >/tmp/out 2>/tmp/responder.log &
	server=$!
	exec 4>/tmp/in 5</tmp/out
	line=
	until [ "$line" = ready ]; do IFS= read -r line <&5 || break; done
	clear_roots
	add_root /tmp/pki/roots/ecdsa-p384.der >/dev/null
}

# ask LINE: the responder in this guest.
ask() {
	echo "$*" >&4
	IFS= read -r line <&5
	case $line in error*) echo "$* gives $line" ;; esac
}

no_mailboxes() {
	exec 4>&-
	kill "$server"
	wait
	rmmod doe_emu
}
