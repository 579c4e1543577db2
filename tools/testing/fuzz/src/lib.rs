// SPDX-License-Identifier: GPL-2.0

//! Targets for libFuzzer: what a device sends, in every state of an attestation, and the readers of
//! `keyring/`.
//!
//! A target must not panic whatever its input is. Beyond that, an attestation may end in
//! `authenticated` only if what counted was genuine, and within its bounds of time and exchanges.
#![forbid(unsafe_code)]

#[allow(dead_code, reason = "the hostile tests use more of it")]
#[path = "../../hostile/tests/hostile/anchor.rs"]
mod anchor;
#[allow(dead_code, reason = "the hostile tests use more of it")]
#[path = "../../hostile/tests/hostile/bench.rs"]
mod bench;
#[path = "../../hostile/tests/hostile/keyring.rs"]
mod keyring;

mod conversation;
#[path = "../../hostile/tests/hostile/oracle.rs"]
mod oracle;
mod readers;
mod response;
mod targets;

pub use targets::{Target, TARGETS};
