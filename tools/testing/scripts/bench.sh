#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make bench: measures attestations in guests, and prints one table.
#
#   KERNEL=stock|test    the distribution's kernel (default), or the one for tests, which checks itself and is slow
#   BENCH=pattern        the scripts of tools/testing/bench whose name matches, and "host", which is the requester alone on
#                        the host; all by default
#   RUNS=n               how often each measurement is taken (10)
#   CPUS=n               virtual CPUs of the guest (1). With more, QEMU's emulation sometimes runs into kernel code that
#                        is being patched, and the guest dies.
#   JSON=file            where the samples are kept (bench.json in the cache)
#   COMPARE=file         such a file of before, to compare with
#   RESPONDER=host:port  a responder that is already running, and
#   ROOT=file            its root certificate (PEM or DER): its attestations only

# shellcheck source=tools/testing/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=tools/testing/scripts/prepare.sh
. "$scripts/prepare.sh"

kernel=${KERNEL:-stock}
case $kernel in
stock | test) ;;
*) die "KERNEL=$kernel: there is stock and test" ;;
esac
[[ ${RUNS:=10} =~ ^[1-9][0-9]*$ ]] || die "RUNS=$RUNS is not a number of runs"
[[ ${CPUS:=1} =~ ^[1-9][0-9]*$ ]] || die "CPUS=$CPUS is not a number of CPUs"
if [ -n "${RESPONDER:-}" ]; then
	[[ $RESPONDER =~ ^.+:[0-9]+$ ]] || die "RESPONDER=$RESPONDER is not host:port"
	: "${BENCH:=attest}"
	[ "$BENCH" = attest ] || die "BENCH=$BENCH is for our own responder: with RESPONDER there is BENCH=attest"
fi
wanted() {
	# shellcheck disable=SC2053 # It is a pattern.
	[[ $1 == ${BENCH:-*} ]]
}

list=()
for script in "$top"/tools/testing/bench/*.sh; do
	name=${script##*/}
	name=${name%.sh}
	[ "$name" != common ] && wanted "$name" || continue
	list+=("/cache/src/tools/testing/bench/$name.sh")
done
[ "${#list[@]}" -gt 0 ] || wanted host || die "BENCH=$BENCH: there is no such script in tools/testing/bench"
for file in "${ROOT:-}" "${COMPARE:-}"; do
	[ -z "$file" ] || [ -r "$file" ] || die "$file cannot be read"
done

host_samples() {
	inside /cache/src/tools/testing/scripts/inside/bench-host.sh "$RUNS" >"$run_dir/host"
}

as_root "$@"
check_host
open_cache
JSON=$(realpath -m "${JSON:-$cache/bench.json}")
: >>"$JSON" || die "JSON=$JSON cannot be written"
prepare_root
prepare_stock_kernel
[ "$kernel" = stock ] || prepare_test_kernel
lock build
prepare_programs
modules=$cache/module
if [ "$kernel" = stock ]; then
	prepare_module
	make_run_directory
	cp "$cache/module/spdm/spdm.ko" "$run_dir/"
	arguments=(--kernel /part/vmlinuz --modules /part/modules --release "$stock_release" --spdm /run/spdm/spdm.ko)
else
	build_test_kernel
	modules=$test_part/modules
	make_run_directory
	cp "$test_part/build/arch/x86/boot/bzImage" "$run_dir/"
	arguments=(--kernel /run/spdm/bzImage)
fi
mkdir "$run_dir/modules"
find "$modules" -name '*.ko' ! -name spdm.ko -exec cp {} "$run_dir/modules" \;
for module in "$run_dir"/modules/*.ko; do
	arguments+=(--extra "/run/spdm/modules/${module##*/}")
done
arguments+=(--extra /run/spdm/in-guest/spdm-responder)
if wanted host; then
	step 'the requester alone' bench-host host_samples
	arguments+=(--host /run/spdm/host)
fi
unlock

if [ -n "${ROOT:-}" ]; then
	cp "$ROOT" "$run_dir/root"
	arguments+=(--root /run/spdm/root)
fi
if [ -n "${COMPARE:-}" ]; then
	cp "$COMPARE" "$run_dir/before.json"
	arguments+=(--compare /run/spdm/before.json)
fi
[ -z "${RESPONDER:-}" ] || arguments+=(--responder "$RESPONDER")
mounts+=("$run_dir=/run/spdm")
status=0
inside /run/spdm/vm bench "${arguments[@]}" --runs "$RUNS" --cpus "$CPUS" --json /run/spdm/bench.json \
	--responder-program /run/spdm/spdm-responder --pki /cache/pki --directory /run/spdm/guest "${list[@]}" ||
	status=$?
if [ -s "$run_dir/bench.json" ]; then
	cp "$run_dir/bench.json" "$JSON"
	echo "  samples: $JSON (to compare with later: make bench COMPARE=file)"
fi
keep_guest_logs
printf '  %-58s%7s s\n' total "$(since "$started")"
exit "$status"
