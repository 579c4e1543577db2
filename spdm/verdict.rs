// SPDX-License-Identifier: GPL-2.0

//! The verdict, and the two proofs that it is made from.

use crate::{
    platform::Digest,
    trust::{CertChain, ChainError, SignatureError, Signed, TrustAnchor},
};

/// Proof that a certificate chain is trusted. Only a successful verification makes one.
pub(crate) struct TrustedChain<K> {
    slot: u8,
    leaf_key: K,
    digest: Digest,
}

impl<K> TrustedChain<K> {
    /// Has `chain` verified. `digest` is the hash of the whole of it.
    pub(crate) fn verify<A: TrustAnchor<LeafKey = K>>(
        anchor: &mut A,
        chain: &CertChain<'_>,
        digest: Digest,
    ) -> Result<Self, ChainError> {
        Ok(Self {
            leaf_key: anchor.verify_chain(chain)?,
            slot: chain.slot,
            digest,
        })
    }

    pub(crate) const fn slot(&self) -> u8 {
        self.slot
    }

    /// Hash of the chain, as the responder must name it.
    pub(crate) const fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// Proof that the key of a trusted chain signed a transcript. Only a successful verification makes one.
pub(crate) struct VerifiedSignature(());

impl VerifiedSignature {
    /// Has `signature` verified with the key of `chain`.
    ///
    /// `signed` must be made from this attestation's own transcript, which has its nonce.
    pub(crate) fn verify<A: TrustAnchor>(
        anchor: &A,
        chain: &TrustedChain<A::LeafKey>,
        signed: &Signed<'_>,
        signature: &[u8],
    ) -> Result<Self, SignatureError> {
        anchor.verify_signature(&chain.leaf_key, signed, signature)?;
        Ok(Self(()))
    }
}

/// The verdict: the device holds the key of a trusted certificate chain that was issued to it.
///
/// There is no other way to one than a verified chain and a verified signature.
#[derive(Debug)]
#[must_use]
pub struct Authenticated<K> {
    slot: u8,
    leaf_key: K,
}

impl<K> Authenticated<K> {
    pub(crate) fn new(chain: TrustedChain<K>, _: VerifiedSignature) -> Self {
        Self {
            slot: chain.slot,
            leaf_key: chain.leaf_key,
        }
    }

    /// The certificate slot that was challenged, 0 to 7.
    pub const fn slot(&self) -> u8 {
        self.slot
    }

    /// Key of the leaf certificate.
    pub const fn leaf_key(&self) -> &K {
        &self.leaf_key
    }

    /// Key of the leaf certificate, to keep.
    pub fn into_leaf_key(self) -> K {
        self.leaf_key
    }
}
