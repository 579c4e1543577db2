// SPDX-License-Identifier: GPL-2.0

//! How an attestation is set up, and what there is to say about it besides the verdict.

use crate::{
    algorithms::{Asym, BaseHash},
    capabilities::Capabilities,
    measurements::MeasurementStatus,
    version::Version,
};

/// Which kind of signature algorithm to use where a responder has both (from version 1.4).
///
/// The default is [`Preference::ClassicFirst`]. A signature over a fresh nonce cannot be forged later, so there is
/// nothing to harvest now; a device keeps the identity that it had before its firmware learnt ML-DSA; and its
/// chain is a tenth of the size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// A base asymmetric algorithm, or else a post-quantum one.
    #[default]
    ClassicFirst,
    /// A post-quantum algorithm, or else a base asymmetric one.
    PqcFirst,
    /// No post-quantum algorithm.
    ClassicOnly,
    /// Nothing but a post-quantum algorithm, so nothing below version 1.4.
    PqcOnly,
}

/// Limits and policy of an attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long the whole of it may take, in microseconds. 30 s by default.
    pub deadline_us: u64,
    /// Which kind of signature algorithm to use.
    pub signature_preference: Preference,
    /// What the key is for that the responder is known by, if it is known. A key of the other kind would be another
    /// identity, so its kind is offered alone at first, if `signature_preference` allows either.
    pub known_asym: Option<Asym>,
    /// Certificate slots that may be used, as a slot mask. All by default.
    pub slots: u8,
    /// Whether to leave out what the last attestation with the same workspace and chain buffer has shown, if it
    /// succeeded: the certificates if their digest is the same, and with a responder that keeps negotiated state
    /// (CACHE_CAP) all but CHALLENGE. It is so by default.
    pub cache: bool,
    /// Whether to take the device's measurements when it is authenticated. Not by default.
    pub measurements: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            deadline_us: 30_000_000,
            signature_preference: Preference::default(),
            known_asym: None,
            slots: 0xff,
            cache: true,
            measurements: false,
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
    pub asym: Option<Asym>,
    /// Certificate slots that exist; up to version 1.2 those with a chain.
    pub supported_slots: u8,
    /// Certificate slots with a chain.
    pub provisioned_slots: u8,
    /// The slot whose chain is trusted, or [`RAW_KEY_SLOT`](crate::trust::RAW_KEY_SLOT).
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
    /// What became of the measurements.
    pub measurements: MeasurementStatus,
}
