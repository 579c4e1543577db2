#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh NAME [FILTER]: one of the checks of `make test` that need no guest, on the copy of the
# tree in /cache/src. Fails if the check does.
set -euo pipefail

src=/cache/src
testing=$src/tools/testing
export CARGO_TARGET_DIR=/cache/target
cargo=(cargo --config "$testing/scripts/inside/cargo.toml" --locked)

# no_warnings LOG: fails if a compiler or checker complained in what is in LOG.
no_warnings() {
	cat "$1"
	! grep -qE 'warning|error' "$1"
}

fmt() {
	cd "$testing"
	cargo fmt --all --check -- --color never
	rustfmt --check --color never --edition 2021 "$src/cma/spdm.rs"
}

clippy() {
	cd "$testing"
	"${cargo[@]}" clippy --quiet --workspace --all-targets -- -D warnings
}

unit() {
	cd "$testing"
	"${cargo[@]}" test --workspace --no-fail-fast -- "$@"
}

# A second for each target.
fuzz() {
	"$testing/scripts/inside/fuzz.sh" 1
}

# How much of the protocol crate and of the certificate reader their unit tests run.
coverage() {
	local out=/cache/coverage programs=() program
	cd "$testing"
	mkdir -p $out
	rm -f $out/*.profraw
	export CARGO_TARGET_DIR=$out/target LLVM_PROFILE_FILE=$out/%m.profraw
	# To count branches is an unstable option of this rustc.
	export RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Cinstrument-coverage -Zcoverage-options=branch'
	# Which files the tests are is known only to cargo.
	"${cargo[@]}" test --package spdm_core --package keyring-tests --lib --no-run \
		--message-format json >$out/programs
	while read -r program; do
		"$program" --quiet
		programs+=(--object "$program")
	done < <(sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' $out/programs)
	llvm-profdata merge --sparse $out/*.profraw --output $out/profile
	llvm-cov export --format=lcov "${programs[@]}" --instr-profile $out/profile \
		--sources $src/spdm $src/keyring >$out/lcov
	awk -f "$testing/scripts/inside/coverage.awk" $out/lcov >$out/report
}

doc() {
	cd "$testing"
	RUSTDOCFLAGS='-D warnings' "${cargo[@]}" doc --quiet --no-deps -p spdm_core
}

shell() {
	cd "$src"
	grep -rlE '^#!/bin/(ba)?sh|^#!/bin/busybox sh|^# shellcheck shell=' .ci tools |
		xargs -P "$(nproc)" -n 4 shellcheck --external-sources --source-path=SCRIPTDIR --source-path="$src" \
			--exclude=SC2015,SC2317 # "a && b || die"; functions that are called by name
}

style() {
	cd /part/linux
	# What is not a patch has no MAINTAINERS entry; exported functions are in Rust, their symbols
	# in C; attributes that are made at run time are not const.
	find "$src" -path '*/target/*' -prune -o -type f \
		\( -name '*.[chS]' -o -name Kconfig -o -name '*.rs' \) -print |
		xargs perl scripts/checkpatch.pl --no-tree --file --terse --show-types \
			--max-line-length=100 --ignore FILE_PATH_CHANGES,EXPORT_SYMBOL,CONST_STRUCT
}

# The same module for a kernel that has MCTP, which the stock one has not: with the stock kernel's configuration and
# that. It is looked at and never loaded, as what it takes for a struct net is none of the stock kernel's.
with_mctp=(CONFIG_MCTP=y KCFLAGS=-DCONFIG_MCTP=1)

# The module with everything on that looks at it: W=1, sparse for the shims, clippy with the
# kernel's lints. From the start, because only what is compiled is looked at.
kbuild() {
	local out=/cache/module-checks variant
	rm -rf $out
	for variant in '' -mctp; do
		mkdir -p $out/spdm$variant
		[ -z "$variant" ] || set -- "${with_mctp[@]}"
		# Debian's sparse does not know one keyword of the kernel's headers.
		"$testing/scripts/inside/kernel-make.sh" stock M=$src MO=$out/spdm$variant W=1 CLIPPY=1 \
			C=1 CHECK='sparse -D__typeof_unqual__=__typeof__' "$@" modules \
			>$out/log 2>&1 || { cat $out/log; return 1; }
		# The stock headers package has no vmlinux to take BTF from.
		grep -v '^Skipping BTF generation' $out/log >$out/left || true
		no_warnings $out/left
	done
}

# built: makes the modules to be looked at, as they are loaded, and prints their names.
built() {
	local out=/cache/module-mctp
	mkdir -p $out
	"$testing/scripts/inside/kernel-make.sh" stock M=$src MO=$out "${with_mctp[@]}" modules >&2
	printf '%s\n' /cache/module/spdm/spdm.ko $out/spdm.ko
}

# Nothing in the module can panic: the functions that do it are not called.
symbols() {
	local module
	for module in $(built); do
		nm --undefined-only --demangle "$module" >/tmp/undefined
		[ -s /tmp/undefined ]
		! grep -E 'panic|unwrap_failed|expect_failed|slice_.*_fail|rust_begin_unwind' /tmp/undefined || return 1
	done
	# So that it is known that MCTP is in the last one.
	grep -q sock_create_kern /tmp/undefined
}

# No function of the module needs 2 KiB of stack or more, which is an eighth of what there is, or an amount that only
# running it tells.
stack() {
	local module
	for module in $(built); do
		objdump --disassemble "$module" | perl /part/linux/scripts/checkstack.pl x86_64 1 >/tmp/stack
		# So that it is known to have seen functions.
		[ "$(wc -l </tmp/stack)" -gt 50 ]
		head -n 5 /tmp/stack
		sed 's/.*:[[:space:]]*//' /tmp/stack |
			awk '!/^[0-9]+$/ || $1 >= 2048 { bad = 1 } END { exit bad }'
	done
}

# The protocol crate has no unsafe code, and says so to the compiler.
unsafe() {
	grep -q '^#!\[forbid(unsafe_code)\]' "$src/spdm/spdm_core.rs"
}

name=$1
shift
"$name" "$@"
