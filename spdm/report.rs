// SPDX-License-Identifier: GPL-2.0

//! How an attestation is set up, and what there is to say about it besides the verdict.

use crate::{
    algorithms::{BaseAsym, BaseHash},
    capabilities::Capabilities,
    version::Version,
};

/// Limits of an attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long the whole of it may take, in microseconds. 30 s by default.
    pub deadline_us: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            deadline_us: 30_000_000,
        }
    }
}

/// What went over the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that were sent, those sent again included.
    pub exchanges: u32,
    /// Bytes that were sent.
    pub bytes_out: u32,
    /// Bytes that were received.
    pub bytes_in: u32,
}

/// What both sides agreed on: `None`, or an empty mask, as long as the responder has not said it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// Version of the connection.
    pub version: Option<Version>,
    /// Capabilities of the responder.
    pub capabilities: Option<Capabilities>,
    /// Hash algorithm.
    pub base_hash: Option<BaseHash>,
    /// Signature algorithm of the responder.
    pub base_asym: Option<BaseAsym>,
    /// Certificate slots that exist; up to version 1.2 those with a chain.
    pub supported_slots: u8,
    /// Certificate slots with a chain.
    pub provisioned_slots: u8,
    /// The slot whose chain is trusted.
    pub slot: Option<u8>,
}

/// What there is to say about an attestation, whether it succeeded or failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What went over the link.
    pub stats: Stats,
    /// What was negotiated in the end, or before the failure.
    pub negotiated: Negotiated,
    /// Slots whose chain ends at an unknown root, as a slot mask: another root may make them trusted.
    pub untrusted_slots: u8,
}
