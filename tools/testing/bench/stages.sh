#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 600
#
# Where the time of an attestation goes, by the function graph tracer on the calls into the kernel, and how many
# signatures are verified. "own" is what there is between the first and the last exchange besides that, "rest" is with what
# comes before and after. Tracing costs some time itself.

# shellcheck source=tools/testing/bench/common.sh
. /bench.sh

cache=/sys/module/spdm/parameters/cache
entry=/sys/class/spdm/pci-0000:01:00.0

# stages CASE...: attests the drive and takes the trace to pieces. A call that lasts has its time at its closing
# brace, which is that of the call by its depth: the functions that are traced do not call each other.
stages() {
	clear_trace
	re 0
	stop_trace
	verdict 0
	if [ "$verdict" != '1 authenticated' ]; then
		echo "the drive is not authenticated: $verdict"
		exit 1
	fi
	read_line $entry/duration_us
	awk -v total="$line" -v name="$*" '
		/pci_doe/ { what = "exchange" }
		/public_key_verify_signature/ { what = "verify" }
		/sha512_(update|final)/ { what = "hash" }
		/key_create_or_update/ { what = "keys" }
		/(pci_doe|public_key_verify_signature|update|final|key_create_or_update)/ { calls[what]++ }
		match($0, /[0-9]+\.[0-9]+ \|/) { now = substr($0, RSTART, RLENGTH - 2) * 1000000 }
		/pci_doe/ && !first { first = now }
		match($0, /[0-9.]+ us/) {
			took = substr($0, RSTART, RLENGTH - 3)
			sum[what] += took
			counted += first ? took : 0
			# A call without others in it has the time of its beginning.
			if (what == "exchange")
				own = now + (/;$/ ? took : 0) - first - counted
		}
		END {
			rest = total
			for (what in sum) {
				printf "sample %s us %d %s\n", what, sum[what], name
				rest -= sum[what]
			}
			printf "sample rest us %d %s\n", rest, name
			printf "sample own us %d %s\n", own, name
			printf "sample total us %d %s\n", total, name
			printf "sample verifications - %d %s\n", calls["verify"], name
		}' $trace
}

start_spdm ecdsa-p384
use_tracing
: >$tracing/set_ftrace_filter
for function in pci_doe public_key_verify_signature __sha512_update __sha512_final key_create_or_update; do
	echo $function >>$tracing/set_ftrace_filter 2>/dev/null || :
done
echo function_graph >$tracing/current_tracer
echo 1 >$tracing/options/funcgraph-abstime
for flags in 6 0x16; do
	with=
	[ $flags = 6 ] || with=', with measurements'
	configure 0 "version=1.3 hash=sha384 asym=ecdsa-p384 flags=$flags"
	echo N >$cache
	re 0
	times "$runs" stages "first$with"
	echo Y >$cache
	re 0
	times "$runs" stages "again, chain kept$with"
done
echo nop >$tracing/current_tracer
