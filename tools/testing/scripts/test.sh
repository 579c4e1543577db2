#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make test: every check there is. T=name runs one: fmt, shell, style, unsafe, clippy, unit, fuzz, doc,
# kbuild, symbols, stack, kunit, stock/SCRIPT, test/SCRIPT. T=text runs those whose name contains the text
# or matches it as a shell pattern. T=unit/text runs the unit tests with that text in their name.
#
# Results are TAP lines; the last line is "N passed, N failed".

# shellcheck source=tools/testing/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=tools/testing/scripts/prepare.sh
. "$scripts/prepare.sh"

pattern=${T:-}
filter=()
case $pattern in
unit/*)
	filter=("${pattern#unit/}")
	pattern=unit
	;;
esac

wanted() {
	case $pattern in
	'') ;;
	fmt | shell | style | unsafe | clippy | unit | fuzz | doc | kbuild | symbols | stack | kunit)
		[ "$1" = "$pattern" ]
		;;
	*)
		# shellcheck disable=SC2053 # It is a pattern.
		[[ $1 == *$pattern* ]]
		;;
	esac
}

# Passes everything on, counts results, has the last word.
count() {
	local line passed=0 failed=0
	while IFS= read -r line; do
		case $line in
		'ok '*) passed=$((passed + 1)) ;;
		'not ok '*) failed=$((failed + 1)) ;;
		esac
		printf '%s\n' "$line"
	done
	printf '%d passed, %d failed\n' "$passed" "$failed"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# check NAME TEXT COMMAND...: one result.
check() {
	local name=$1 text=$2 log=$cache/log/check-$1.log from=$EPOCHREALTIME
	shift 2
	wanted "$name" || return 0
	if inside /cache/src/tools/testing/scripts/inside/check.sh "$@" >"$log" 2>&1; then
		echo "ok - $name: $text ($(since "$from") s)"
	else
		tail -n 30 "$log" | sed 's/^/# /'
		echo "# the whole log is $log"
		echo "not ok - $name: $text"
	fi
}

# The results of cargo test, one line each, as they come.
unit_results() {
	local log=$1 line name crate=unknown
	while IFS= read -r line; do
		printf '%s\n' "$line" >>"$log"
		case $line in
		*Running*'('*) crate=${line##*/} crate=${crate%-*} ;;
		*Doc-tests*) crate=${line##* }-doc ;;
		'test '*' ... ok')
			name=${line#test }
			echo "ok - unit/$crate ${name% ... ok}"
			;;
		'test '*' ... FAILED')
			name=${line#test }
			echo "not ok - unit/$crate ${name% ... FAILED}"
			;;
		esac
	done
}

unit() {
	local log=$cache/log/check-unit.log status=0
	wanted unit || return 0
	: >"$log"
	# The subshell ends with this script, and what it runs with the subshell.
	inside /cache/src/tools/testing/scripts/inside/check.sh unit ${filter[@]+"${filter[@]}"} \
		> >(unit_results "$log") 2>&1 || status=$?
	wait $! 2>/dev/null || true
	[ "$status" -eq 0 ] || {
		grep -E -A 20 '^error|^---- .* stdout' "$log" | head -n 60 | sed 's/^/# /'
		echo "# the whole log is $log"
		echo "not ok - unit: every test program builds and passes"
	}
}

# guest NAME ARGUMENTS...: plans the selftests on one kernel, in three lists that may take their turns at the same time:
# those with guests of their own, and two of the others.
guest() {
	local name=$1 script one=() other=() own=()
	shift
	if [ "$name" = test ] && wanted kunit; then one=(--kunit); fi
	for script in "$top"/tools/testing/selftests/*.sh; do
		[ "${script##*/}" != lib.sh ] || continue
		script=${script##*/}
		wanted "$name/${script%.sh}" || continue
		script=tools/testing/selftests/$script
		if grep -qx '# guest: own' "$top/$script"; then
			own+=("/cache/src/$script")
		elif [ "${#one[@]}" -le "${#other[@]}" ]; then
			one+=("/cache/src/$script")
		else
			other+=("/cache/src/$script")
		fi
	done
	local module
	for module in "$run_dir/$name-modules"/*.ko; do
		[ ! -f "$module" ] || set -- "$@" --extra "/run/spdm/$name-modules/${module##*/}"
	done
	local program
	for program in spdm-responder mctpcfg spdmctl; do
		set -- "$@" --extra "/run/spdm/in-guest/$program"
	done
	[ -z "${STRESS_TIME:-}" ] || set -- "$@" --setting "time=$STRESS_TIME" --more-time "$STRESS_TIME"
	[ -z "${SEED:-}" ] || set -- "$@" --setting "seed=$SEED"
	set -- /run/spdm/vm test --name "$name" --responder-program /run/spdm/spdm-responder \
		--pki /cache/pki --directory /run/spdm/guest "$@"
	[ "${#one[@]}" -eq 0 ] || guests+=(-- "$@" "${one[@]}")
	[ "${#other[@]}" -eq 0 ] || guests+=(-- "$@" "${other[@]}")
	[ "${#own[@]}" -eq 0 ] || guests+=(-- "$@" "${own[@]}")
}

needs() { # NAME...: whether one of these is wanted
	local name
	for name; do
		if wanted "$name"; then return 0; fi
	done
	return 1
}

selftests_of() {
	local script
	for script in "$top"/tools/testing/selftests/*.sh; do
		script=${script##*/}
		[ "$script" = lib.sh ] || printf '%s/%s\n' "$1" "${script%.sh}"
	done
}

as_root "$@"
check_host
open_cache
# From here on all that is printed goes through the counter.
exec > >(trap '' INT; count)
counter=$!
counter_pipe=$(readlink /proc/$$/fd/1)
guests=()
failed_guest=

mapfile -t stock_tests < <(selftests_of stock)
mapfile -t test_tests < <(selftests_of test)

prepare_root
if needs style kbuild symbols stack kunit "${stock_tests[@]}" "${test_tests[@]}"; then
	prepare_stock_kernel
else
	mounts=()
fi
if needs kunit "${test_tests[@]}"; then
	prepare_test_kernel
fi
lock build
step 'sources' sync inside /clone/tools/testing/scripts/inside/sync.sh

check fmt 'the code is formatted' fmt
check shell 'shellcheck has no complaint' shell
check style 'checkpatch has no complaint' style
check unsafe 'the protocol crate forbids unsafe code' unsafe
check clippy 'clippy has no complaint about host programs' clippy
unit
check fuzz 'every fuzz target finds nothing in a second' fuzz
check doc 'documentation builds without a warning' doc
check kbuild 'spdm.ko builds without a warning of W=1, sparse and clippy' kbuild

if needs symbols stack kunit "${stock_tests[@]}" "${test_tests[@]}"; then
	prepare_programs
	prepare_module
	check symbols 'nothing in spdm.ko can panic' symbols
	check stack 'every function in spdm.ko needs less than 2 KiB of stack' stack
	make_run_directory
	mkdir "$run_dir/stock-modules" "$run_dir/test-modules"
	find "$cache/module" -name '*.ko' -exec cp {} "$run_dir/stock-modules" \;
	mv "$run_dir/stock-modules/spdm.ko" "$run_dir/"
fi
if needs kunit "${test_tests[@]}"; then
	build_test_kernel
	find "$test_part/modules" -name '*.ko' -exec cp {} "$run_dir/test-modules" \;
	cp "$test_part/build/arch/x86/boot/bzImage" "$run_dir/"
fi
unlock

mounts+=("$run_dir=/run/spdm")
# What takes longest first.
if needs kunit "${test_tests[@]}"; then
	guest test --kernel /run/spdm/bzImage
fi
if needs "${stock_tests[@]}"; then
	guest stock --kernel /part/vmlinuz --modules /part/modules --release "$stock_release" \
		--spdm /run/spdm/spdm.ko
fi
[ "${#guests[@]}" -eq 0 ] ||
	inside /cache/src/tools/testing/scripts/inside/side-by-side.sh "${guests[@]}" || failed_guest=1
keep_guest_logs
[ -z "$failed_guest" ] || echo "# logs of the guests: $cache/log/guest"

printf '# %s s in all\n' "$(since "$started")"
exec >&-
status=0
wait "$counter" || status=1
[ -z "$failed_guest" ] || status=1
exit "$status"
