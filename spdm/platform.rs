// SPDX-License-Identifier: GPL-2.0

//! What the requester needs of its surroundings: hashes, nonces, time.

use crate::{
    algorithms::{BaseAsyms, BaseHash, BaseHashes, PqcAsyms},
    evidence::{Record, SignedFor},
};

/// Size of the largest digest in bytes.
pub(crate) const MAX_DIGEST_SIZE: usize = 64;

/// A digest of at most 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    // Invariant: bytes from `len` on are zero, and `len` is at most 64.
    bytes: [u8; MAX_DIGEST_SIZE],
    len: usize,
}

impl Digest {
    /// Makes a digest of the bytes that `fill` writes for `algorithm`.
    pub fn new(algorithm: BaseHash, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut bytes = [0; MAX_DIGEST_SIZE];
        let len = algorithm.digest_size();
        if let Some(digest) = bytes.get_mut(..len) {
            fill(digest);
        }
        Self { bytes, len }
    }

    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// A running hash.
pub trait Hash: Sized {
    /// Adds `data`.
    fn update(&mut self, data: &[u8]);
    /// Ends the hash.
    fn finish(self) -> Digest;
}

/// The algorithm is not available here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported;

/// The attestation was cancelled while it waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

/// Hashes, nonces and time.
pub trait Platform {
    /// Its running hash.
    type Hash: Hash;

    /// Hash algorithms that may be offered to a responder.
    fn base_hashes(&self) -> BaseHashes;

    /// Signature algorithms that may be offered to a responder.
    fn base_asyms(&self) -> BaseAsyms;

    /// Post-quantum signature algorithms that may be offered to a responder. None by default.
    fn pqc_asyms(&self) -> PqcAsyms {
        PqcAsyms::NONE
    }

    /// Starts a hash.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] if `algorithm` is not one of [`Platform::base_hashes`].
    fn hash(&self, algorithm: BaseHash) -> Result<Self::Hash, Unsupported>;

    /// Fills `nonce` with unpredictable bytes.
    fn nonce(&mut self, nonce: &mut [u8; 32]);

    /// Fills `nonce` with what a responder is to sign in its next answer: unpredictable bytes, or those of a verifier
    /// who will check the signature. By default as [`Platform::nonce`].
    fn requester_nonce(&mut self, what: SignedFor, nonce: &mut [u8; 32]) {
        let _ = what;
        self.nonce(nonce);
    }

    /// Keeps a part of the evidence. By default nothing is kept.
    fn record(&mut self, record: Record<'_>) {
        let _ = record;
    }

    /// Monotonic time in microseconds.
    fn now_us(&self) -> u64;

    /// Waits for `us` microseconds or a little longer.
    ///
    /// # Errors
    ///
    /// [`Interrupted`] if the attestation was cancelled meanwhile.
    fn sleep_us(&mut self, us: u64) -> Result<(), Interrupted>;
}
