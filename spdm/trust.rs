// SPDX-License-Identifier: GPL-2.0

//! Whom the requester trusts: certificate chains and signatures are judged behind these traits.

use crate::{
    algorithms::{Asym, BaseHash},
    platform::Digest,
};

/// SlotID of a responder's public key that was provisioned here, in place of certificates.
pub const RAW_KEY_SLOT: u8 = 0xff;

/// No memory for a certificate chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// Memory for one certificate chain.
pub trait ChainBuffer {
    /// Makes room for a chain of exactly `len` bytes and returns it. What it held before is lost.
    ///
    /// The requester bounds `len` before it calls.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`].
    fn reserve(&mut self, len: usize) -> Result<&mut [u8], OutOfMemory>;

    /// The room made by the last successful [`ChainBuffer::reserve`]; empty before.
    fn get(&self) -> &[u8];
}

/// What the key in a leaf certificate belongs to (DSP0274, "Certificate models").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateModel {
    /// The responder does not say, or the version does not know models.
    Unknown,
    /// DeviceCert: the device's own key, the same for its life.
    Device,
    /// AliasCert: a key that the device made and certified itself. Its certificate must not have the hardware
    /// identity OID.
    Alias,
    /// GenericCert (1.3): a key for whatever its owner likes.
    Generic,
}

/// A certificate chain as a responder sent it (DSP0274, "Certificates and certificate chains").
#[derive(Clone, Copy, Debug)]
pub struct CertChain<'a> {
    /// Slot that it came from, 0 to 7.
    pub slot: u8,
    /// Negotiated hash, by which `root_hash` was made.
    pub base_hash: BaseHash,
    /// The RootHash field: digest of the root certificate.
    pub root_hash: &'a [u8],
    /// DER certificates one after the other, the one nearest the root first, the leaf last.
    pub certificates: &'a [u8],
    /// Negotiated signature algorithm: the leaf's key must be of this kind and size.
    pub asym: Asym,
    /// Model of the slot's certificates.
    pub model: CertificateModel,
    /// SPDM version of the connection, as in a message header: 0x12 for 1.2.
    pub version: u8,
}

/// Why a certificate chain is not to be trusted. Each has a stable name, [`ChainError::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainError {
    /// Not a sequence of well-formed X.509 version 3 certificates.
    Malformed,
    /// More certificates than a chain may have.
    TooLong,
    /// No certificate of `.cma` vouches for the chain.
    UntrustedRoot,
    /// RootHash is not the hash of the root certificate.
    RootHashMismatch,
    /// A certificate's signature is wrong, or its issuer is not the certificate before it.
    BadCertificateSignature,
    /// A certificate uses an algorithm that the kernel lacks.
    UnsupportedAlgorithm,
    /// A certificate has expired.
    Expired,
    /// A certificate is not yet valid.
    NotYetValid,
    /// An issuing certificate is not a CA or may not sign certificates.
    IssuerNotCa,
    /// More certificates follow a CA than its pathLenConstraint allows.
    PathTooLong,
    /// The leaf is a CA certificate.
    LeafIsCa,
    /// The leaf lacks basicConstraints, which SPDM 1.3 requires.
    LeafLacksBasicConstraints,
    /// The leaf's keyUsage lacks digitalSignature.
    LeafKeyUsage,
    /// The leaf's extendedKeyUsage lacks the SPDM responder's or anyExtendedKeyUsage.
    LeafExtendedKeyUsage,
    /// The leaf's key is not of the negotiated kind and size.
    LeafKeyMismatch,
    /// The leaf has the hardware identity OID, which its certificate model forbids.
    HardwareIdentity,
    /// A critical extension is unknown.
    UnknownCriticalExtension,
    /// A certificate was revoked (the kernel's blacklist names it).
    Revoked,
    /// The leaf has no CMA subjectAltName, or more than one.
    SubjectAltNameMissing,
    /// The leaf's CMA subjectAltName names another device.
    SubjectAltNameMismatch,
    /// No memory, or another failure of the kernel itself.
    Internal,
}

impl ChainError {
    /// Stable name, for `reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed-certificate",
            Self::TooLong => "chain-too-long",
            Self::UntrustedRoot => "untrusted-root",
            Self::RootHashMismatch => "root-hash-mismatch",
            Self::BadCertificateSignature => "bad-certificate-signature",
            Self::UnsupportedAlgorithm => "unsupported-certificate-algorithm",
            Self::Expired => "certificate-expired",
            Self::NotYetValid => "certificate-not-yet-valid",
            Self::IssuerNotCa => "issuer-not-ca",
            Self::PathTooLong => "path-too-long",
            Self::LeafIsCa => "leaf-is-ca",
            Self::LeafLacksBasicConstraints => "leaf-lacks-basic-constraints",
            Self::LeafKeyUsage => "leaf-key-usage",
            Self::LeafExtendedKeyUsage => "leaf-extended-key-usage",
            Self::LeafKeyMismatch => "leaf-key-mismatch",
            Self::HardwareIdentity => "leaf-hardware-identity",
            Self::UnknownCriticalExtension => "unknown-critical-extension",
            Self::Revoked => "certificate-revoked",
            Self::SubjectAltNameMissing => "subject-alt-name-missing",
            Self::SubjectAltNameMismatch => "subject-alt-name-mismatch",
            Self::Internal => "internal-error",
        }
    }
}

/// A signature was not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// It is wrong.
    Bad,
    /// It could not be checked: no memory, or the algorithm is missing.
    Internal,
}

/// What a responder signed.
///
/// RSA and ECDSA sign `digest`. ML-DSA signs `message`, with `context` as its context string.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// Signature algorithm.
    pub asym: Asym,
    /// Hash that `digest` was made with.
    pub base_hash: BaseHash,
    /// Digest of `message`.
    pub digest: &'a Digest,
    /// The message, up to 164 bytes ("M" in DSP0274, "Signature generation"); empty up to version 1.1, in
    /// which no algorithm signs one.
    pub message: &'a [u8],
    /// What the signature is for ("spdm_context"); empty up to version 1.1.
    pub context: &'a [u8],
}

/// Judges certificate chains and signatures.
pub trait TrustAnchor {
    /// Public key of a trusted chain's leaf.
    type LeafKey: Clone;

    /// Verifies `chain` up to a trusted root, and that its leaf belongs to the device.
    ///
    /// # Errors
    ///
    /// [`ChainError`].
    fn verify_chain(&mut self, chain: &CertChain<'_>) -> Result<Self::LeafKey, ChainError>;

    /// Judges `chain` again, which [`TrustAnchor::verify_chain`] once returned `key` for: whether it would do so now,
    /// as far as that can have changed. Its root may no longer be trusted, a certificate may have expired or been
    /// revoked. Signatures need not be verified again.
    ///
    /// If it fails, the chain is fetched and verified as if nothing were known about it, and so by default.
    ///
    /// # Errors
    ///
    /// [`ChainError`].
    fn recheck(&mut self, key: &Self::LeafKey, chain: &CertChain<'_>) -> Result<(), ChainError> {
        let _ = (key, chain);
        Err(ChainError::Internal)
    }

    /// The public key that an administrator provisioned for a responder without certificates (slot 0xFF), if
    /// there is one and it is for `asym`, and the `base_hash` digest of its SubjectPublicKeyInfo. There is
    /// none by default.
    fn raw_key(&mut self, asym: Asym, base_hash: BaseHash) -> Option<(Self::LeafKey, Digest)> {
        let _ = (asym, base_hash);
        None
    }

    /// Verifies `signature` as the responder sent it: ECDSA as r and s one after the other (big-endian,
    /// each of the curve's size), RSASSA as PKCS #1 version 1.5, RSAPSS with a salt of the digest's size, ML-DSA
    /// as FIPS 204 encodes it.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    fn verify_signature(
        &self,
        key: &Self::LeafKey,
        signed: &Signed<'_>,
        signature: &[u8],
    ) -> Result<(), SignatureError>;
}
