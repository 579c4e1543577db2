#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make tools: spdmctl, its manual page and the completions of shells.

# shellcheck source=tools/testing/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=tools/testing/scripts/prepare.sh
. "$scripts/prepare.sh"

as_root "$@"
check_host
open_cache
prepare_root
lock build
prepare_programs
unlock
for file in spdmctl spdmctl.8 spdmctl.bash spdmctl.zsh spdmctl.fish; do
	echo "$cache/target/tools/$file"
done
