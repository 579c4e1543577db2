#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# module.sh stock: builds spdm.ko and the modules that only tests use, for the stock kernel, in
# /cache/module. module.sh test: the latter for the test kernel, in /test/modules.
set -euo pipefail

src=/cache/src
kernel=$1
case $kernel in
stock) out=/cache/module ;;
test) out=/test/modules ;;
esac
mark=$out/.building

# A build that was cut off may have left half a file that looks up to date.
[ ! -e "$mark" ] || rm -rf "$out"
mkdir -p "$out"
touch "$mark"

build() { # SOURCE OUTPUT ARGUMENTS...
	mkdir -p "$2"
	"$src/tools/testing/scripts/inside/kernel-make.sh" "$kernel" M="$1" MO="$2" "${@:3}" modules
}

symbols=()
if [ "$kernel" = stock ]; then
	build "$src" "$out/spdm"
	symbols=(KBUILD_EXTRA_SYMBOLS="$out/spdm/Module.symvers")
fi
for makefile in "$src"/tools/testing/doe_emu/Makefile "$src"/tools/testing/modules/*/Makefile; do
	[ -f "$makefile" ] || continue
	directory=${makefile%/Makefile}
	build "$directory" "$out/${directory##*/}" ${symbols[@]+"${symbols[@]}"}
done
rm -f "$mark"
