#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make bench-host: what the requester costs on the host, without a kernel and without cryptography.
#
#   RUNS=n       how often each measurement is taken (10)
#   CRITERION=1  criterion's benchmarks of each step instead

# shellcheck source=tools/testing/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=tools/testing/scripts/prepare.sh
. "$scripts/prepare.sh"

[[ ${RUNS:=10} =~ ^([2-9]|[1-9][0-9]+)$ ]] || die "RUNS=$RUNS: at least two runs"

passed_on+=(RUNS CRITERION)
as_root "$@"
check_host
open_cache
prepare_root
lock build
step 'sources' sync inside /clone/tools/testing/scripts/inside/sync.sh
inside /cache/src/tools/testing/scripts/inside/bench-host.sh "$RUNS" ${CRITERION:+criterion}
unlock
