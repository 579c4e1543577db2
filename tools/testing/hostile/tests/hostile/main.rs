// SPDX-License-Identifier: GPL-2.0

//! What a hostile device may try, and what comes of it: never a verdict of authenticated, always an
//! error with the right name, within bounds of time and of exchanges, and the next honest
//! attestation succeeds.
#![forbid(unsafe_code)]

mod again;
mod anchor;
#[allow(dead_code, reason = "the fuzz targets use more of it")]
mod bench;
mod chains;
mod chunks;
mod codecs;
mod faults;
mod generated;
mod keyring;
mod keys;
mod lies;
mod measurements;
mod model;
mod oracle;
mod pqc;
mod trust;
