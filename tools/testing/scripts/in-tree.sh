#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# in-tree.sh KERNEL_SRC: puts this tree into a kernel source tree as drivers/spdm, and wires it up.
# Again after a change: only what has changed is copied.
set -euo pipefail

die() {
	printf 'error: %s\n' "$@" >&2
	exit 1
}

from=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)
to=${1:-}
[ -n "$to" ] || die "say which kernel source: make in-tree KERNEL_SRC=/path/to/linux"
[ -f "$to/Kbuild" ] && [ -f "$to/drivers/Kconfig" ] && [ -f "$to/drivers/Makefile" ] ||
	die "$to is not the top of a kernel source tree"
[ -d "$to/rust/kernel" ] || die "$to has no Rust support: Linux 7.3 is what this is for"
[ -w "$to/drivers/Kconfig" ] || die "$to cannot be written to"

parts=(Kconfig Makefile)
for room in spdm doe mctp keyring cma; do
	[ ! -d "$from/$room" ] || parts+=("$room")
done

# copy FILE: by content, so that an unchanged file keeps its time; never through a hard link.
copy() {
	local target=$to/drivers/spdm/$1
	cmp -s "$from/$1" "$target" && return
	mkdir -p "$(dirname "$target")"
	cp "$from/$1" "$target.new"
	mv "$target.new" "$target"
}

# Only what is source: what a build made stays behind.
wanted=$(cd "$from" && find "${parts[@]}" -type f \
	\( -name '*.rs' -o -name '*.[chS]' -o -name Kconfig -o -name Makefile \) \
	! -name bindings_generated.rs ! -name '*.mod.c' ! -name '.*' | sort)
while read -r file; do
	copy "$file"
done <<<"$wanted"

# What is no longer there goes, but not what the kernel's build made.
(cd "$to/drivers/spdm" && find . -type f \
	\( -name '*.rs' -o -name '*.[chS]' -o -name Kconfig -o -name Makefile \) \
	! -name bindings_generated.rs ! -name '*.mod.c' ! -name '.*' -printf '%P\n' | sort) |
	comm -13 <(echo "$wanted") - |
	while read -r file; do rm "$to/drivers/spdm/$file"; done

# edit FILE LINE SED-COMMAND: the file without LINE, and with it where the command puts it.
edit() {
	grep -vxF "$2" "$to/$1" | sed "$3" >"$to/$1.new"
	grep -qxF "$2" "$to/$1.new" || die "$to/$1 does not look as expected"
	if cmp -s "$to/$1.new" "$to/$1"; then rm "$to/$1.new"; else mv "$to/$1.new" "$to/$1"; fi
}

line='source "drivers/spdm/Kconfig"'
edit drivers/Kconfig "$line" "/^endmenu/i $line"
# First: initcalls of a level run in the order of this file, and drivers are to find the verdict.
line="obj-\$(CONFIG_SPDM)"$'\t\t'"+= spdm/"
edit drivers/Makefile "$line" "0,/^obj-/s,^obj-,$line\nobj-,"
