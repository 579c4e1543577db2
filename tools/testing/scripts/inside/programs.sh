#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds the responder and the program that boots guests. The responder may run in a guest, too:
# one without symbols, to keep that small.
set -euo pipefail

cd /cache/src/tools/testing
export CARGO_TARGET_DIR=/cache/target
cargo build --config /clone/tools/testing/scripts/inside/cargo.toml --locked --bins -p vm -p spdm-responder
mkdir -p /cache/target/in-guest
strip -o /cache/target/in-guest/spdm-responder /cache/target/debug/spdm-responder
