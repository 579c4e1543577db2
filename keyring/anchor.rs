// SPDX-License-Identifier: GPL-2.0

//! Trust in one device's certificate chains and signatures.

use super::{
    chain::{
        self,
        Profile,
        Refused, //
    },
    cma::{
        Cma,
        KernelCredentials,
        NotTrusted, //
    },
    hash::KernelHash,
    key::{
        Key,
        Signature, //
    },
    pci_identity::PciIdentity,
    text::Text,
    x509::{
        Certificate,
        Certificates, //
    },
};
use crate::bindings;
use core::ffi::CStr;
use kernel::prelude::*;
use spdm_core::{
    algorithms::{
        BaseAsym,
        BaseHash, //
    },
    trust::{
        CertChain,
        ChainError,
        SignatureError,
        Signed,
        TrustAnchor, //
    },
};

/// Judges the certificate chains and signatures of one device.
pub(crate) struct Anchor<'a> {
    cma: &'a Cma,
    device: Option<&'a PciIdentity>,
    detail: Text,
}

impl<'a> Anchor<'a> {
    /// Makes an anchor with the root certificates in `cma`. If `device` is a PCI function, certificates
    /// have to name it.
    pub(crate) fn new(cma: &'a Cma, device: Option<&'a PciIdentity>) -> Self {
        Self {
            cma,
            device,
            detail: Text::EMPTY,
        }
    }

    /// Which certificate or name the last chain that was refused was refused for; may be empty.
    pub(crate) fn detail(&self) -> &str {
        self.detail.as_str()
    }

    fn verify(&self, chain: &CertChain<'_>) -> Result<LeafKey, Refused> {
        let profile = Profile {
            // SAFETY: The function may be called from anywhere.
            now: unsafe { bindings::ktime_get_real_seconds() },
            base_asym: chain.base_asym,
            version: chain.version,
            device: self.device,
        };
        let leaf = chain::check(chain.certificates, &profile)?;

        let _credentials = KernelCredentials::assume();
        let mut certificates = Certificates::new(chain.certificates);
        let mut issuer: Option<Key> = None;
        while !certificates.is_empty() {
            let certificate = certificates.read().map_err(|_| ChainError::Malformed)?;
            let key = Key::from_certificate(certificate.raw)
                .map_err(|error| Refused::at(parse_error(error, &certificate), &certificate.subject))?;
            // Each certificate is verified with the key of the one before it, and with no other.
            match &issuer {
                Some(issuer) => key
                    .verify_issuer(issuer)
                    .map_err(|error| Refused::at(issuer_error(error), &certificate.subject))?,
                None => {
                    self.cma
                        .vouches_for(&key)
                        .map_err(|reason| not_trusted(&reason, &certificate))?;
                    check_root_hash(chain, &certificate)?;
                }
            }
            issuer = Some(key.into_key());
        }
        let key = issuer.ok_or(ChainError::Malformed)?;
        LeafKey::new(key, chain.base_asym, &leaf).map_err(Refused::from)
    }
}

impl TrustAnchor for Anchor<'_> {
    type LeafKey = LeafKey;

    fn verify_chain(&mut self, chain: &CertChain<'_>) -> Result<LeafKey, ChainError> {
        self.verify(chain).map_err(|refused| {
            self.detail = refused.detail;
            refused.error
        })
    }

    fn verify_signature(
        &self,
        key: &LeafKey,
        signed: &Signed<'_>,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        key.verify(signed, signature)
    }
}

/// Public key of a trusted chain's leaf certificate.
pub(crate) struct LeafKey {
    key: Key,
    base_asym: BaseAsym,
    identity: [u8; 32],
    subject: Text,
    issuer: Text,
    hardware_identity: bool,
}

impl LeafKey {
    fn new(key: Key, base_asym: BaseAsym, leaf: &Certificate<'_>) -> Result<Self, ChainError> {
        let identity = KernelHash::digest(BaseHash::Sha256, leaf.public_key.raw)
            .map_err(|_| ChainError::Internal)?;
        Ok(Self {
            key,
            base_asym,
            identity: identity
                .as_bytes()
                .try_into()
                .map_err(|_| ChainError::Internal)?,
            subject: chain::name_text("", &leaf.subject),
            issuer: chain::name_text("", &leaf.issuer),
            hardware_identity: leaf.extensions.hardware_identity,
        })
    }

    /// SHA-256 of the leaf's SubjectPublicKeyInfo: the identity of the device.
    pub(crate) fn identity(&self) -> &[u8; 32] {
        &self.identity
    }

    /// commonName of the leaf's subject, in printable ASCII; may be empty.
    pub(crate) fn subject(&self) -> &str {
        self.subject.as_str()
    }

    /// commonName of the leaf's issuer, in printable ASCII; may be empty.
    pub(crate) fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// Whether the leaf has DMTF's hardware identity OID, which a leaf of the alias certificate model
    /// must not have (DSP0274, "Definition of certificate OIDs").
    pub(crate) fn hardware_identity(&self) -> bool {
        self.hardware_identity
    }

    fn verify(&self, signed: &Signed<'_>, signature: &[u8]) -> Result<(), SignatureError> {
        // The chain was verified for this algorithm, and the encoding has one size.
        if signed.base_asym != self.base_asym || signature.len() != self.base_asym.signature_size() {
            return Err(SignatureError::Bad);
        }
        let (key_algorithm, encoding) = match self.base_asym {
            BaseAsym::RsaSsa2048 | BaseAsym::RsaSsa3072 | BaseAsym::RsaSsa4096 => {
                (c"rsa", c"pkcs1")
            }
            BaseAsym::EcdsaP256 | BaseAsym::EcdsaP384 | BaseAsym::EcdsaP521 => {
                (c"ecdsa", c"p1363")
            }
        };
        let signature = Signature::new(
            signature,
            signed.digest.as_bytes(),
            key_algorithm,
            kernel_hash_name(signed.base_hash),
            encoding,
        )
        .map_err(|_| SignatureError::Internal)?;
        self.key.verify(&signature).map_err(|error| {
            if is_wrong_signature(error) {
                SignatureError::Bad
            } else {
                SignatureError::Internal
            }
        })
    }
}

/// RootHash is the digest of the root certificate (DSP0274, "Certificate chain format"). If the chain
/// leaves the root out, there is nothing to compare it with: the kernel keeps of a certificate in a
/// keyring only its key and its names.
fn check_root_hash(chain: &CertChain<'_>, first: &Certificate<'_>) -> Result<(), Refused> {
    if !first.is_self_issued() {
        return Ok(());
    }
    let digest =
        KernelHash::digest(chain.base_hash, first.raw).map_err(|_| ChainError::Internal)?;
    if digest.as_bytes() == chain.root_hash {
        Ok(())
    } else {
        Err(Refused::at(ChainError::RootHashMismatch, &first.subject))
    }
}

/// Why the kernel did not make a key of `certificate`.
fn parse_error(error: Error, certificate: &Certificate<'_>) -> ChainError {
    let signed = certificate.signed;
    if error == EKEYREJECTED {
        // SAFETY: `signed` is valid for its length.
        if unsafe { bindings::spdm_certificate_revoked(signed.as_ptr(), signed.len()) } {
            ChainError::Revoked
        } else {
            ChainError::BadCertificateSignature
        }
    } else if error == ENOPKG || error == ENOENT {
        ChainError::UnsupportedAlgorithm
    } else if is_wrong_signature(error) && certificate.is_self_issued() {
        ChainError::BadCertificateSignature
    } else if error == EBADMSG || error == EINVAL || error == EMSGSIZE {
        ChainError::Malformed
    } else {
        ChainError::Internal
    }
}

/// Why the kernel did not verify a certificate's signature.
fn issuer_error(error: Error) -> ChainError {
    if is_wrong_signature(error) {
        ChainError::BadCertificateSignature
    } else if error == ENOPKG || error == ENOENT {
        ChainError::UnsupportedAlgorithm
    } else {
        ChainError::Internal
    }
}

/// Why nobody vouches for a chain that begins with `first`.
fn not_trusted(reason: &NotTrusted, first: &Certificate<'_>) -> Refused {
    let error = match reason {
        NotTrusted::IssuerNotCa => ChainError::IssuerNotCa,
        // A root that only bears the name of a trusted one is not it.
        NotTrusted::Signature(_) if first.is_self_issued() => ChainError::UntrustedRoot,
        NotTrusted::Signature(error) => issuer_error(*error),
        NotTrusted::Unknown => ChainError::UntrustedRoot,
    };
    Refused::at(error, &first.issuer)
}

/// Whether the kernel's `error` says that a signature is wrong.
///
/// The rest says that it could not be verified. Of what a device controls, algorithm, sizes and encoding
/// have been checked before, so that is not its doing.
fn is_wrong_signature(error: Error) -> bool {
    [EKEYREJECTED, EBADMSG, EINVAL].contains(&error)
}

/// The kernel's name of a hash.
fn kernel_hash_name(base_hash: BaseHash) -> &'static CStr {
    match base_hash {
        BaseHash::Sha256 => c"sha256",
        BaseHash::Sha384 => c"sha384",
        BaseHash::Sha512 => c"sha512",
        BaseHash::Sha3_256 => c"sha3-256",
        BaseHash::Sha3_384 => c"sha3-384",
        BaseHash::Sha3_512 => c"sha3-512",
    }
}
