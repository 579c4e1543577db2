#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-kernel.sh tree STOCK PART: fills /cache/PART, which is /test, too, with a source tree (hard
# links to the one of /cache/STOCK) with the patches in tools/patches, spdm in it and the
# configuration in kernel.config.
#
# test-kernel.sh build: brings the spdm in the kernel in /test up to date and builds what has
# changed.
set -euo pipefail

here=/clone/tools/testing
kernel_make=$here/scripts/inside/kernel-make.sh

# tinyconfig with the settings in kernel.config, all of which must be accepted.
configure() {
	local refused config=$here/kernel.config
	"$kernel_make" test tinyconfig
	(cd /test/build && /test/linux/scripts/kconfig/merge_config.sh -m .config "$config")
	"$kernel_make" test olddefconfig
	refused=$(grep -E '^CONFIG_[A-Z0-9_]+=' "$config" | grep -v '=n$' |
		grep -vxFf /test/build/.config || true)
	if [ -n "$refused" ]; then
		echo "error: the kernel does not accept these settings of kernel.config:"
		echo "$refused"
		exit 1
	fi
}

case $1 in
tree)
	cp -al "/cache/$2/linux" "/cache/$3/linux"
	mkdir "/cache/$3/build"
	for patch in /clone/tools/patches/*.patch; do
		# A new file for each that it changes: the others are hard links.
		patch -d /test/linux -p1 -s -F 0 <"$patch"
	done
	"$here/scripts/in-tree.sh" /test/linux
	configure
	;;
build)
	# What an earlier build wrote before it was killed may be half of a file that looks up to
	# date. A build that fails cleans up by itself.
	mark=/test/.building
	[ ! -e $mark ] || find /test/build -type f -newer $mark ! -name .config -delete
	/cache/src/tools/testing/scripts/in-tree.sh /test/linux
	cmp -s /cache/pki/roots/all.pem /test/roots.pem || cp /cache/pki/roots/all.pem /test/roots.pem
	touch $mark
	status=0
	{ "$kernel_make" test olddefconfig && "$kernel_make" test bzImage modules; } || status=$?
	rm -f $mark
	exit "$status"
	;;
esac
