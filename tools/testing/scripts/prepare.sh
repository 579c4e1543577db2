# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # Shared with those who source it.
#
# The parts of the cache: each is made in a directory of its own ending in .tmp and renamed when it
# is complete, so what has its final name is whole. Sourced after common.sh.

# make_part NAME TEXT GIGABYTES COMMAND...: makes $cache/NAME by COMMAND, to which $part is the
# directory to fill, unless it is there.
make_part() {
	local name=$1 text=$2 space=$3
	shift 3
	[ -e "$cache/$name" ] || lock "${name%-*}"
	if [ -e "$cache/$name" ]; then
		ready "$text"
		[ -z "$lock_fd" ] || unlock
		return
	fi
	need_space "$space" "$text"
	# What was interrupted, of this version or another.
	rm -rf --one-file-system "$cache/${name%-*}"-*.tmp
	part=$cache/$name.tmp
	mkdir "$part"
	step "$text" "${name%-*}" "$@"
	mv "$part" "$cache/$name"
	unlock
	drop_other_versions "${name%-*}" "$name"
}

prepare_root() {
	local name
	name=root-$(key "$scripts/make-root.sh")
	root=$cache/$name
	if [ ! -e "$root" ] && ! command -v mmdebstrap >/dev/null; then
		step 'mmdebstrap for this host' mmdebstrap install_mmdebstrap
	fi
	make_part "$name" 'Debian 13 root with compilers, Rust and QEMU' 8 make_root
}

install_mmdebstrap() {
	apt-get update -q && apt-get install -q -y --no-install-recommends mmdebstrap
}

make_root() {
	isolated bash "$scripts/make-root.sh" "$part"
}

prepare_stock_kernel() {
	local name
	name=stock-$(key "${root##*/}" "$scripts/inside/stock-kernel.sh" "$scripts/inside/kernel-make.sh")
	make_part "$name" 'stock kernel, and a build tree like it' 4 make_stock_kernel
	stock=$cache/$name
	mounts=("$stock=/part")
	stock_release=$(cat "$stock/release")
}

make_stock_kernel() {
	local mounts=("$part=/part")
	inside /clone/tools/testing/scripts/inside/stock-kernel.sh
}

# The copy of the tree, the programs and the certificates. All quick when there is nothing to do.
prepare_programs() {
	step 'sources' sync inside /clone/tools/testing/scripts/inside/sync.sh
	step 'responder and guest programs' programs \
		inside /clone/tools/testing/scripts/inside/programs.sh
	step 'test certificates' pki inside /cache/target/debug/spdm-responder pki --out /cache/pki
}

prepare_module() {
	step "spdm.ko for $stock_release" module \
		inside /cache/src/tools/testing/scripts/inside/module.sh stock
}

# A directory of this run, where the builds of another one cannot change what it boots.
make_run_directory() {
	run_dir=$(mktemp -d "$cache/run.XXXXXX")
	cp "$cache/target/debug/vm" "$cache/target/debug/spdm-responder" "$run_dir/"
	mkdir "$run_dir/guest" "$run_dir/in-guest"
	cp "$cache/target/in-guest"/* "$cache/target/tools/spdmctl" "$run_dir/in-guest/"
}

# Consoles and the responder's records outlive the run.
keep_guest_logs() {
	rm -rf "$cache/log/guest"
	mkdir "$cache/log/guest"
	[ -z "$run_dir" ] || (cd "$run_dir/guest" &&
		find . \( -name '*.log' -o -name '*.tap' -o -name '*.err' \) \
			-exec cp --parents {} "$cache/log/guest/" \;)
}

prepare_test_kernel() {
	local name
	name=test-$(key "${stock##*/}" "$top/tools/testing/kernel.config" "$top"/tools/patches/*.patch \
		"$scripts/inside/test-kernel.sh" "$scripts/inside/kernel-make.sh")
	make_part "$name" 'source and configuration of the test kernel' 4 make_test_kernel "${stock##*/}"
	test_part=$cache/$name
	mounts+=("$test_part=/test")
}

make_test_kernel() {
	local mounts=("${mounts[@]}" "$part=/test")
	inside /clone/tools/testing/scripts/inside/test-kernel.sh tree "$1" "${part##*/}"
}

build_test_kernel() {
	step 'test kernel, with spdm built in' test-kernel \
		inside /clone/tools/testing/scripts/inside/test-kernel.sh build
	step 'test modules for it' test-modules \
		inside /cache/src/tools/testing/scripts/inside/module.sh test
}
