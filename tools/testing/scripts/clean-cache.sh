#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make clean-cache: removes what `make run` and `make test` have prepared.

# shellcheck source=tools/testing/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [ ! -e "$cache" ]; then
	echo "there is nothing in $cache"
	exit 0
fi
as_root "$@"
open_cache
flock -n -x "$use_fd" || die "$cache is in use" "let the other run finish, or stop it"
size=$(du -sh "$cache" | cut -f 1)
rm -rf --one-file-system "$cache"
echo "removed $cache ($size)"
