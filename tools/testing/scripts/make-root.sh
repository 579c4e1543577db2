#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make-root.sh DIRECTORY: installs a Debian 13 root with everything that builds and runs the tests.
# The name of the cached root depends on the text of this file.
set -euo pipefail

suite=trixie
packages=(
	# compilers and what kernel and crates need
	build-essential bc bison flex cpio rsync kmod xz-utils zstd python3 perl pahole
	libssl-dev libelf-dev libdw-dev pkgconf openssl
	rustc cargo rust-src rustfmt rust-clippy bindgen clang lld llvm libclang-rt-19-dev
	# checks
	sparse shellcheck python3-docutils
	# guests
	qemu-system-x86 ovmf busybox-static keyutils
	ca-certificates
)

options=(--variant=minbase --components=main --include="$(IFS=,; echo "${packages[*]}")")

# The host's mirror and proxy, if it has settings of its own; else the tool's defaults.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
# shellcheck disable=SC2016 # The words are apt's.
mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' \
	'Created-By: Packages' 2>/dev/null |
	sed -n "s,^$codename main \(https\?://.*[^/]\)/*\$,\1,p" | head -n 1)
proxy=$(mktemp)
trap 'rm -f "$proxy"' EXIT
apt-config dump | grep -E '^Acquire::https?::(Proxy|proxy)' >"$proxy" || true
[ ! -s "$proxy" ] || options+=(--aptopt="$proxy")

if [ -n "$mirror" ]; then
	options+=("$suite" "$1" "deb $mirror $suite main" "deb $mirror $suite-updates main")
else
	options+=("$suite" "$1")
fi
mmdebstrap "${options[@]}"
