#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make stress: the selftests of that name, for TIME seconds each (600); T=test/stress is that of one kernel. The SEED
# that a run begins with is among its lines.
set -euo pipefail

TIME=${TIME:-600}
[[ $TIME =~ ^[1-9][0-9]*$ ]] || {
	echo "error: TIME=$TIME is not a number of seconds" >&2
	exit 1
}
[[ ${SEED:-0} =~ ^[0-9]+$ ]] || {
	echo "error: SEED=$SEED is not a number" >&2
	exit 1
}
export T=${T:-/stress} STRESS_TIME=$TIME
exec "$(dirname "${BASH_SOURCE[0]}")/test.sh"
