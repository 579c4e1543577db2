#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make coverage: which lines of the protocol crate and of the certificate reader the unit tests run.

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
step 'unit tests, counted' coverage inside /cache/src/tools/testing/scripts/inside/check.sh coverage
unlock
cat "$cache/coverage/report"
