#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make fuzz: fuzzes every target, or TARGET, for TIME seconds each; 600 by default.

# shellcheck source=tools/testing/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=tools/testing/scripts/prepare.sh
. "$scripts/prepare.sh"

seconds=${TIME:-600}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "TIME=$seconds is not a number of seconds"

as_root "$@"
check_host
open_cache
prepare_root
lock build
step 'sources' sync inside /clone/tools/testing/scripts/inside/sync.sh
inside /cache/src/tools/testing/scripts/inside/fuzz.sh "$seconds" ${TARGET:+"$TARGET"}
unlock
echo "found, corpus, log: $cache/fuzz"
