#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kernel-make.sh stock|test ARGUMENTS...: make in the build tree of that kernel, the stock one with
# the compiler that Debian builds its kernels with, the test one with clang.
set -euo pipefail

kernel=$1
shift
case $kernel in
stock)
	release=$(cat /part/release)
	exec make -s -j"$(nproc)" -C /part/linux O=/part/build KERNELRELEASE="$release" \
		LOCALVERSION="+${release#*+}" CROSS_COMPILE=x86_64-linux-gnu- \
		CC=x86_64-linux-gnu-gcc-14 "$@"
	;;
test)
	exec make -s -j"$(nproc)" -C /test/linux O=/test/build LLVM=1 "$@"
	;;
esac
