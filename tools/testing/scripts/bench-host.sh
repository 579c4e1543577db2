#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make bench-host: criterion's benchmarks of each step of the requester, on the host and without cryptography.

# shellcheck source=tools/testing/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=tools/testing/scripts/prepare.sh
. "$scripts/prepare.sh"

as_root "$@"
check_host
open_cache
prepare_root
lock build
step 'sources' sync inside /clone/tools/testing/scripts/inside/sync.sh
inside /cache/src/tools/testing/scripts/inside/bench-host.sh criterion
unlock
