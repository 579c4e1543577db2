#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make faults: the ways in which the responder can misbehave.

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
inside /cache/target/debug/spdm-responder faults
