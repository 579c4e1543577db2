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
