// SPDX-License-Identifier: GPL-2.0

//! Transcripts: the messages that a signature covers, as they were sent (DSP0274, "M1/M2").

use crate::{
    algorithms::{Asym, BaseHash},
    error::Reason,
    evidence::{combined_prefix, SignedFor, PREFIX_SIZE},
    message::copy,
    platform::{Digest, Hash, Platform, MAX_DIGEST_SIZE},
    trust::Signed,
    version::Version,
};

/// Collects messages in the order sent, without ERROR, RESPOND_IF_READY, padding and signature.
pub(crate) trait Transcript {
    /// Whether its messages are evidence by themselves. VCA is recorded with what it begins.
    const RECORDED: bool;

    /// Adds a message.
    ///
    /// # Errors
    ///
    /// [`Reason::Internal`] if there is no room for it.
    fn append(&mut self, message: &[u8]) -> Result<(), Reason>;
}

/// The messages before a hash algorithm is negotiated: version, capabilities and algorithms ("VCA").
///
/// They begin every transcript, so they are kept. They never have more than 302 bytes: VERSION up to 38,
/// CAPABILITIES up to 148, ALGORITHMS up to 60, and the requests 4, 20 and 32.
pub(crate) struct Vca {
    bytes: [u8; 320],
    len: usize,
}

impl Vca {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; 320],
            len: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Transcript for Vca {
    const RECORDED: bool = false;

    fn append(&mut self, message: &[u8]) -> Result<(), Reason> {
        let free = self.bytes.get_mut(self.len..).ok_or(Reason::Internal)?;
        copy(free, message)?;
        self.len = self.len.saturating_add(message.len());
        Ok(())
    }
}

/// M1, which CHALLENGE_AUTH signs, or L1, which MEASUREMENTS signs. Hashed as it grows, once the hash algorithm is known.
pub(crate) struct Running<H> {
    // Never on the stack: a running hash has some 200 bytes, and each move may be a copy.
    hash: Option<H>,
}

impl<H: Hash> Running<H> {
    pub(crate) const fn new() -> Self {
        Self { hash: None }
    }

    /// Starts, with VCA or with nothing.
    ///
    /// # Errors
    ///
    /// [`Reason::HashUnavailable`].
    #[inline(never)]
    pub(crate) fn start<P>(
        &mut self,
        platform: &P,
        base_hash: BaseHash,
        vca: &[u8],
    ) -> Result<(), Reason>
    where
        P: Platform<Hash = H>,
    {
        match platform.hash(base_hash) {
            Ok(hash) => self.hash.insert(hash).update(vca),
            Err(_) => return Err(Reason::HashUnavailable),
        }
        Ok(())
    }

    /// Ends, with its digest.
    ///
    /// # Errors
    ///
    /// [`Reason::Internal`] if it was not started.
    #[inline(never)]
    pub(crate) fn finish(&mut self) -> Result<Digest, Reason> {
        match self.hash.take() {
            Some(hash) => Ok(hash.finish()),
            None => Err(Reason::Internal),
        }
    }
}

impl<H: Hash> Transcript for Running<H> {
    const RECORDED: bool = true;

    fn append(&mut self, message: &[u8]) -> Result<(), Reason> {
        self.hash.as_mut().ok_or(Reason::Internal)?.update(message);
        Ok(())
    }
}

/// Hashes `parts`, one after the other.
///
/// # Errors
///
/// [`Reason::HashUnavailable`].
// Not inlined: see `Running`.
#[inline(never)]
pub(crate) fn digest_of<P: Platform>(
    platform: &P,
    base_hash: BaseHash,
    parts: &[&[u8]],
) -> Result<Digest, Reason> {
    match platform.hash(base_hash) {
        Ok(mut hash) => {
            for part in parts {
                hash.update(part);
            }
            Ok(hash.finish())
        }
        Err(_) => Err(Reason::HashUnavailable),
    }
}

/// What a responder's signature is made for, and over (DSP0274, "Signature generation").
///
/// RSA and ECDSA hash the message that they sign; ML-DSA signs the message itself. Up to version 1.1 the digest of
/// the transcript takes the place of the message's; from 1.2 the message is a prefix, which ties the signature to
/// its version and purpose, and the transcript's digest.
pub(crate) struct SignedMessage {
    digest: Digest,
    bytes: [u8; PREFIX_SIZE + MAX_DIGEST_SIZE],
    len: usize,
    what: SignedFor,
}

impl SignedMessage {
    /// # Errors
    ///
    /// [`Reason::HashUnavailable`].
    #[inline(never)]
    pub(crate) fn new<P: Platform>(
        platform: &P,
        what: SignedFor,
        version: Version,
        base_hash: BaseHash,
        transcript: &Digest,
    ) -> Result<Self, Reason> {
        let mut message = Self {
            digest: *transcript,
            bytes: [0; PREFIX_SIZE + MAX_DIGEST_SIZE],
            len: 0,
            what,
        };
        let Some(prefix) = combined_prefix(version, what) else {
            return Ok(message);
        };
        let parts = prefix.iter().chain(transcript.as_bytes());
        for (to, from) in message.bytes.iter_mut().zip(parts) {
            *to = *from;
            message.len = message.len.saturating_add(1);
        }
        message.digest = digest_of(platform, base_hash, &[message.as_bytes()])?;
        Ok(message)
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// What the trust anchor is to verify.
    pub(crate) fn signed(&self, asym: Asym, base_hash: BaseHash) -> Signed<'_> {
        Signed {
            asym,
            base_hash,
            digest: &self.digest,
            message: self.as_bytes(),
            context: if self.len == 0 {
                &[]
            } else {
                self.what.context().as_bytes()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vca_is_bounded() {
        let mut vca = Vca::new();
        assert_eq!(vca.append(&[1; 308]), Ok(()));
        assert_eq!(vca.append(&[2; 13]), Err(Reason::Internal));
        assert_eq!(vca.append(&[2; 12]), Ok(()));
        assert_eq!(vca.append(&[]), Ok(()));
        assert_eq!(vca.append(&[3]), Err(Reason::Internal));
        assert_eq!(vca.as_bytes().len(), 320);
        assert!(vca.as_bytes().starts_with(&[1; 308]));
        assert!(vca.as_bytes().ends_with(&[2; 12]));
        vca.clear();
        assert!(vca.as_bytes().is_empty());
    }
}
