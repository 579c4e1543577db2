#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds the responder, the program that boots guests and the one that sets up MCTP. What runs in a guest
# has no symbols there, to keep that small.
set -euo pipefail

cd /cache/src/tools/testing
export CARGO_TARGET_DIR=/cache/target
cargo build --config /clone/tools/testing/scripts/inside/cargo.toml --locked --bins -p vm -p spdm-responder -p mctpcfg
mkdir -p /cache/target/in-guest
for program in spdm-responder mctpcfg; do
	strip -o /cache/target/in-guest/$program /cache/target/debug/$program
done

# A program for any machine, so without libraries; for its target, so that build scripts need none of that.
OPENSSL_STATIC=1 RUSTFLAGS='-C target-feature=+crt-static' cargo build \
	--config /clone/tools/testing/scripts/inside/cargo.toml --locked --bins -p spdmctl \
	--target x86_64-unknown-linux-gnu
mkdir -p /cache/target/tools
strip -o /cache/target/tools/spdmctl /cache/target/x86_64-unknown-linux-gnu/debug/spdmctl
cd /cache/target/tools
./spdmctl generate man >spdmctl.8
for shell in bash zsh fish; do
	./spdmctl generate "$shell" >"spdmctl.$shell"
done
