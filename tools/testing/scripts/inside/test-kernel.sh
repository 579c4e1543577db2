#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-kernel.sh base STOCK PART: fills /cache/PART with a source tree (hard links to the one of
# /cache/STOCK) and a built kernel of the configuration in kernel.config, without spdm.
#
# test-kernel.sh update: drops the tree into the kernel in /test and builds what has changed.
set -euo pipefail

here=/clone/tools/testing
kernel_make=$here/scripts/inside/kernel-make.sh

# configure FILE: tinyconfig with the settings in FILE, all of which must be accepted.
configure() {
	local refused
	"$kernel_make" test tinyconfig
	(cd /test/build && /test/linux/scripts/kconfig/merge_config.sh -m .config "$1")
	"$kernel_make" test olddefconfig
	refused=$(grep -E '^CONFIG_[A-Z0-9_]+=' "$1" | grep -v '=n$' |
		grep -vxFf /test/build/.config || true)
	if [ -n "$refused" ]; then
		echo "error: the kernel does not accept these settings of kernel.config:"
		echo "$refused"
		exit 1
	fi
}

case $1 in
base)
	cp -al "/cache/$2/linux" "/cache/$3/linux"
	mkdir "/cache/$3/build"
	grep -v '^CONFIG_SPDM' "$here/kernel.config" >/test/base.config
	configure /test/base.config
	"$kernel_make" test bzImage
	;;
update)
	# What an earlier, interrupted build wrote may be half of a file that looks up to date.
	mark=/test/.building
	[ ! -e $mark ] || find /test/build -type f -newer $mark -delete
	touch $mark
	/cache/src/tools/testing/scripts/in-tree.sh /test/linux
	cmp -s /cache/pki/roots/all.pem /test/roots.pem || cp /cache/pki/roots/all.pem /test/roots.pem
	if grep -q '^CONFIG_SPDM=y' /test/build/.config; then
		"$kernel_make" test olddefconfig
	else
		configure "$here/kernel.config"
	fi
	"$kernel_make" test bzImage modules
	rm -f $mark
	;;
esac
