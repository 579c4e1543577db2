// SPDX-License-Identifier: GPL-2.0

//! The verdict, and the two proofs that it is made from.

use crate::{
    algorithms::{Asym, BaseHash},
    platform::Digest,
    trust::{CertChain, ChainError, SignatureError, Signed, TrustAnchor, RAW_KEY_SLOT},
};

/// Proof that a certificate chain is trusted. Only a successful verification makes one, or a public key that was
/// provisioned in its place.
#[derive(Clone)]
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

    /// Takes the public key that was provisioned for the responder, if there is one.
    pub(crate) fn provisioned<A: TrustAnchor<LeafKey = K>>(
        anchor: &mut A,
        asym: Asym,
        base_hash: BaseHash,
    ) -> Option<Self> {
        anchor
            .raw_key(asym, base_hash)
            .map(|(leaf_key, digest)| Self {
                slot: RAW_KEY_SLOT,
                leaf_key,
                digest,
            })
    }

    /// Has `chain` judged again. `digest` is the hash of the whole of it.
    pub(crate) fn recheck<A: TrustAnchor<LeafKey = K>>(
        &self,
        anchor: &mut A,
        chain: &CertChain<'_>,
        digest: &Digest,
    ) -> Option<Self>
    where
        K: Clone,
    {
        let same = self.digest == *digest && self.slot == chain.slot;
        (same && anchor.recheck(&self.leaf_key, chain).is_ok()).then(|| self.clone())
    }

    pub(crate) const fn slot(&self) -> u8 {
        self.slot
    }

    /// Hash of the chain, or of the provisioned key, as the responder must name it.
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

    /// The certificate slot that was challenged, 0 to 7, or [`RAW_KEY_SLOT`].
    pub const fn slot(&self) -> u8 {
        self.slot
    }

    /// Key of the leaf certificate, or the provisioned one.
    pub const fn leaf_key(&self) -> &K {
        &self.leaf_key
    }

    /// The same, to keep.
    pub fn into_leaf_key(self) -> K {
        self.leaf_key
    }
}
