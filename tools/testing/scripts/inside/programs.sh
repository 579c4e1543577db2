#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds the programs that run on the host's side: the responder and the one that boots guests.
set -euo pipefail

cd /cache/src/tools/testing
export CARGO_TARGET_DIR=/cache/target
cargo build --config /clone/tools/testing/scripts/inside/cargo.toml --locked --bins -p vm -p spdm-responder
