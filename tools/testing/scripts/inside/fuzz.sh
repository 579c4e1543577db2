#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fuzz.sh SECONDS [TARGET]: fuzzes each target, or one, for so long, as many at a time as there are CPUs. What was
# found lies in /cache/fuzz/found/TARGET, and what is worth going on from in /cache/fuzz/corpus/TARGET.
set -euo pipefail

seconds=$1
only=${2:-}
out=/cache/fuzz
program=$out/target/x86_64-unknown-linux-gnu/release/fuzz

# What cargo-fuzz passes to rustc, but for the address sanitizer, which only the unstable rustc has: what is
# fuzzed has no unsafe code. LLVM's own libFuzzer is in the root. With a target, build scripts go without all that.
passes='-Cpasses=sancov-module'
for option in level=4 inline-8bit-counters pc-table trace-compares; do
	passes+=" -Cllvm-args=-sanitizer-coverage-$option"
done
cd /cache/src/tools/testing
CUSTOM_LIBFUZZER_PATH=$(clang --print-file-name=libclang_rt.fuzzer-x86_64.a) CARGO_TARGET_DIR=$out/target \
	RUSTFLAGS="$passes -Ccodegen-units=1 -Cdebug-assertions=on -Coverflow-checks=on" \
	cargo build --locked --release --target x86_64-unknown-linux-gnu --package fuzz --features libfuzzer

mapfile -t targets < <("$program" 2>/dev/null || true)
[ "${#targets[@]}" -gt 0 ]
if [ -n "$only" ]; then
	printf '%s\n' "${targets[@]}" | grep -qxF -e "$only" || {
		echo "error: no target $only; there are: ${targets[*]}"
		exit 1
	}
	targets=("$only")
fi

# The first of them makes the keys.
rm -rf $out/seeds $out/log
mkdir -p $out/log
for target in "${targets[@]}"; do
	mkdir -p "$out/seeds/$target" "$out/corpus/$target" "$out/found/$target"
	"$program" --target="$target" --seeds="$out/seeds/$target"
done

# fuzz TARGET: libFuzzer's exit status is that of what it found.
fuzz() {
	local log=$out/log/$1 status=0
	"$program" --target="$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=70000 \
		-print_final_stats=1 -verbosity=0 -artifact_prefix="$out/found/$1/" \
		"$out/corpus/$1" "$out/seeds/$1" >"$log" 2>&1 || status=$?
	awk -v target="$1" '/number_of_executed_units/ { runs = $2 } /average_exec_per_sec/ { rate = $2 }
		END { printf "%-28s %10d executions, %6d a second\n", target, runs, rate }' "$log"
	[ "$status" -eq 0 ] || {
		tail -n 20 "$log"
		echo "$1: found something: $out/found/$1"
		return 1
	}
}
export -f fuzz
export seconds out program
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I TARGET bash -c 'fuzz TARGET' >$out/report || {
	cat $out/report
	exit 1
}
cat $out/report
awk '{ runs += $2 } END { printf "%d targets, %d executions\n", NR, runs }' $out/report
