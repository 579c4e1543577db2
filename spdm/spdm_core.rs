// SPDX-License-Identifier: GPL-2.0

//! Requester of the Security Protocol and Data Model (DMTF DSP0274).
//!
//! It attests a responder: negotiates version, capabilities and algorithms, fetches the certificate chains,
//! has one of them verified, challenges its key and takes the measurements. Versions 1.0 to 1.4.
//!
//! The crate is the protocol alone. A [`Transport`] carries its messages, a [`Platform`] has hashes, nonces
//! and time, a [`TrustAnchor`] judges certificate chains and signatures, and every buffer is the caller's.
//! [`Requester::attest`] is the way in; [`Authenticated`] is what comes out when all of it was right.
//!
//! What a responder sends is hostile until it has been checked: it is parsed once, in the module of its
//! message, into a type whose fields are valid. No input makes this crate panic, and every wait in it ends.

// Kbuild says so itself.
#![cfg_attr(not(CONFIG_RUST), no_std)]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

pub mod algorithms;
pub mod buffer;
pub mod capabilities;
pub mod error;
pub mod evidence;
pub mod measurements;
pub mod message;
pub mod platform;
pub mod report;
pub mod requester;
pub mod transport;
pub mod trust;
pub mod verdict;
pub mod version;

mod certificate;
mod challenge;
mod chunk;
mod digests;
mod error_response;
mod exchange;
mod kept;
mod negotiation;
mod transcript;

#[cfg(test)]
mod testing;

pub use crate::{
    algorithms::{
        Asym, BaseAsym, BaseAsyms, BaseHash, BaseHashes, PqcAsym, PqcAsyms, SupportedAlgorithms,
    },
    buffer::ResponseBuffer,
    capabilities::Capabilities,
    error::{Error, ErrorCode, Reason, SlotError},
    evidence::{Record, SignedFor},
    measurements::{MeasurementBlock, MeasurementBlocks, MeasurementStatus},
    message::RequestCode,
    platform::{Digest, Hash, Interrupted, Platform, Unsupported},
    report::{Config, Negotiated, Preference, Report, Stats},
    requester::{Requester, Workspace},
    transport::{Transport, TransportError},
    trust::{
        CertChain, CertificateModel, ChainBuffer, ChainError, OutOfMemory, SignatureError, Signed,
        TrustAnchor,
    },
    verdict::Authenticated,
    version::Version,
};
