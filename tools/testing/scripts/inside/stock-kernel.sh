#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes in /part, from the newest stock kernel of the series in Debian's backports suite:
#
#   release    its release name
#   vmlinuz    its image, as shipped
#   modules/   its modules, as shipped, with modules.dep
#   linux/     its source
#   build/     a build tree for external modules in Rust (KDIR), which its headers package is not
#   version    version of the packages
#
# The headers package carries no Rust metadata; a tree prepared from the same source, configuration
# and compilers does, and what could make it differ from the shipped kernel is checked here.
set -euo pipefail

series=7.3
kernel_make=/clone/tools/testing/scripts/inside/kernel-make.sh

die() {
	echo "error: $*"
	exit 1
}

cd /part
sed -n 's/^deb \(.*\) trixie main.*/deb \1 trixie-backports main/p' \
	/etc/apt/sources.list >/etc/apt/sources.list.d/backports.list
apt-get update -q

# The source says which version is newest; the binary packages are named after the release.
version=$(apt-cache policy "linux-source-$series" | sed -n 's/^ *Candidate: //p')
[ -n "$version" ] && [ "$version" != '(none)' ] ||
	die "the backports suite has no linux-source-$series"
release=$(apt-cache search --names-only "^linux-headers-$series\.[0-9]+\+deb[0-9]+-amd64\$" |
	sed 's/^linux-headers-\([^ ]*\) .*/\1/' | sort -V | tail -n 1)
[ -n "$release" ] || die "the backports suite has no linux-headers-$series.*-amd64"
echo "stock kernel $release, source version $version"
for package in binary modules headers; do
	apt-cache madison "linux-$package-$release" | grep -qF " $version " ||
		die "linux-$package-$release is not of version $version: the mirror is being" \
			"updated, try again later"
done

mkdir debs files
cd debs
chown _apt . 2>/dev/null || true
apt-get download -q "linux-source-$series=$version" "linux-headers-$release=$version" \
	"linux-binary-$release=$version" "linux-modules-$release=$version" ||
	die "the mirror no longer has version $version of the kernel packages"
cd ..
for package in headers binary modules; do
	dpkg-deb -x "debs/linux-$package-$release"_*.deb files
done
mkdir linux build
dpkg-deb --fsys-tarfile "debs/linux-source-$series"_*.deb |
	tar -xO "./usr/src/linux-source-$series.tar.xz" |
	tar -xJ -C linux --strip-components=1 \
		--exclude='*/tools/testing/selftests' --exclude='*/arch/*/boot/dts' \
		--exclude='*/Documentation/devicetree' --exclude='*/Documentation/translations'
rm -rf debs

headers=files/usr/src/linux-headers-$release
mv "files/usr/lib/modules/$release/vmlinuz" vmlinuz
mkdir -p "modules/lib/modules"
mv "files/usr/lib/modules/$release" modules/lib/modules/
depmod -b modules "$release"
cp "$headers/.config" build/.config
echo "$release" >release
echo "$version" >version

setting() {
	sed -n "s/^CONFIG_$1=\"\(.*\)\"\$/\1/p" "$headers/.config"
}
same() { # WHAT SHIPPED HERE
	[ "$2" = "$3" ] || die "$1 differs: the stock kernel was built with \"$2\", here it is" \
		"\"$3\"; a module in Rust needs the same one"
}
grep -q '^CONFIG_RUST=y' "$headers/.config" || die "the stock kernel $release has no Rust support"
same rustc "$(setting RUSTC_VERSION_TEXT)" "$(rustc --version)"
same bindgen "$(setting BINDGEN_VERSION_TEXT)" "$(bindgen --version)"

"$kernel_make" stock olddefconfig prepare modules_prepare

# The release in the module's vermagic, and every Rust symbol that a module may want.
same 'the release' "$release" \
	"$(sed -n 's/^#define UTS_RELEASE "\(.*\)"$/\1/p' build/include/generated/utsrelease.h)"
same 'CONFIG_RUST' y "$(sed -n 's/^CONFIG_RUST=//p' build/.config)"
cp "$headers/Module.symvers" build/Module.symvers
cut -f 2 build/Module.symvers | sort >shipped
sed -n 's/^EXPORT_SYMBOL_RUST_GPL(\([^)]*\));.*/\1/p' build/rust/exports_*_generated.h |
	sort -u >exported
missing=$(comm -23 exported shipped)
[ -s exported ] && [ -z "$missing" ] ||
	die "$(wc -w <<<"$missing") Rust symbols of this build are not in the stock kernel, such" \
		"as $(head -n 3 <<<"$missing" | tr '\n' ' ')"
echo "$(wc -l <exported) Rust symbols equal those of the stock kernel"
rm -rf files shipped exported
