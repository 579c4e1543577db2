#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-host.sh RUNS|criterion: what the requester costs on the host: samples of it, or criterion's benchmarks.
set -euo pipefail

export CARGO_TARGET_DIR=/cache/target PKI=/cache/pki
cd /cache/src/tools/testing
# What is measured is optimized; the rest is what the tests use, too.
options=(--config scripts/inside/cargo.toml)
for package in spdm_core spdm-bench; do
	for setting in opt-level=3 debug-assertions=false overflow-checks=false; do
		options+=(--config "profile.dev.package.$package.$setting")
	done
done
if [ "$1" = criterion ]; then
	exec cargo "${options[@]}" bench --locked --profile dev --package spdm-bench --features criterion --bench exchanges
fi
cargo "${options[@]}" build --quiet --locked --package spdm-bench --bins >&2
"$CARGO_TARGET_DIR/debug/spdm-bench" $PKI "$1"
"$CARGO_TARGET_DIR/debug/copies" $PKI
