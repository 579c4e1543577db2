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

/// Identity of a device: SHA-256 of its leaf certificate's SubjectPublicKeyInfo.
pub(crate) type Identity = [u8; 32];

/// What a device's certificate chain is trusted for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// A certificate in `.cma` vouches for it.
    Root,
    /// An administrator has accepted the identity in its leaf; `.cma` knows nothing of it.
    Identity,
}

/// Judges the certificate chains and signatures of one device.
pub(crate) struct Anchor<'a> {
    cma: &'a Cma,
    device: Option<&'a PciIdentity>,
    accepted: Option<&'a Identity>,
    detail: Text,
    offered: Option<Identity>,
}

impl<'a> Anchor<'a> {
    /// Makes an anchor with the root certificates in `cma`. If `device` is a PCI function, certificates
    /// have to name it. A chain that no root vouches for is trusted all the same if its leaf has the identity
    /// `accepted`, and only if it keeps all other rules.
    pub(crate) fn new(
        cma: &'a Cma,
        device: Option<&'a PciIdentity>,
        accepted: Option<&'a Identity>,
    ) -> Self {
        Self {
            cma,
            device,
            accepted,
            detail: Text::EMPTY,
            offered: None,
        }
    }

    /// Which certificate or name the last chain that was refused was refused for; may be empty.
    pub(crate) fn detail(&self) -> &str {
        self.detail.as_str()
    }

    /// Identity in the leaf of the last chain that was refused because no root vouches for it. The device has
    /// not proven it.
    pub(crate) fn offered(&self) -> Option<Identity> {
        self.offered
    }

    fn verify<'c>(&mut self, chain: &CertChain<'c>) -> Result<LeafKey, Refused<'c>> {
        let profile = Profile {
            // SAFETY: The function may be called from anywhere.
            now: unsafe { bindings::ktime_get_real_seconds() },
            base_asym: chain.base_asym,
            version: chain.version,
            device: self.device,
        };
        chain::check(chain.certificates, &profile)?;

        self.cma.settle();
        let _credentials = KernelCredentials::assume();
        let mut certificates = Certificates::new(chain.certificates);
        let mut issuer = None;
        // Why no root vouches for the chain.
        let mut untrusted = None;
        loop {
            let Ok(certificate) = certificates.read() else {
                return Err(ChainError::Malformed.into());
            };
            let key =
                self.verify_certificate(chain, &certificate, issuer.as_ref(), &mut untrusted)?;
            if certificates.is_empty() {
                return self.leaf_key(key, chain, &certificate, untrusted);
            }
            issuer = Some(key);
        }
    }

    /// Decides on a chain in which everything is right but, perhaps, its root.
    fn leaf_key<'c>(
        &mut self,
        key: Key,
        chain: &CertChain<'_>,
        leaf: &Certificate<'_>,
        untrusted: Option<Refused<'c>>,
    ) -> Result<LeafKey, Refused<'c>> {
        let trust = match untrusted {
            None => Trust::Root,
            Some(_) => Trust::Identity,
        };
        let key = LeafKey::new(key, chain.base_asym, leaf, trust)?;
        match untrusted {
            Some(refused) if self.accepted != Some(key.identity()) => {
                self.offered = Some(*key.identity());
                Err(refused)
            }
            _ => Ok(key),
        }
    }

    /// Verifies one certificate, the next after that of `issuer` or the first, and returns its key. If it is the
    /// first and no root vouches for it, `untrusted` says so.
    // Not inlined: from here the kernel goes deep.
    #[inline(never)]
    fn verify_certificate<'c>(
        &self,
        chain: &CertChain<'_>,
        certificate: &Certificate<'c>,
        issuer: Option<&Key>,
        untrusted: &mut Option<Refused<'c>>,
    ) -> Result<Key, Refused<'c>> {
        let refuse = |error| Refused::at(error, certificate.subject);
        let key = Key::from_certificate(certificate.raw)
            .map_err(|error| refuse(parse_error(error, certificate)))?;
        // Two parsers read this certificate: that they saw different keys in it must not pass.
        if !key.is_public_key(certificate.public_key.octets) {
            return Err(refuse(ChainError::Malformed));
        }
        match issuer {
            // With the key of the certificate before it, and with no other.
            Some(issuer) => key
                .verify_issuer(issuer)
                .map_err(|error| refuse(issuer_error(error)))?,
            None => {
                *untrusted = self
                    .cma
                    .vouches_for(&key)
                    .map_err(|reason| not_trusted(&reason, certificate))
                    .err();
                // That nobody vouches for the chain is worth more to know, unless it may be trusted nevertheless.
                if untrusted.is_none() || self.accepted.is_some() {
                    check_root_hash(chain, certificate).map_err(refuse)?;
                }
            }
        }
        Ok(key.into_key())
    }
}

impl TrustAnchor for Anchor<'_> {
    type LeafKey = LeafKey;

    fn verify_chain(&mut self, chain: &CertChain<'_>) -> Result<LeafKey, ChainError> {
        self.offered = None;
        self.verify(chain).map_err(|refused| {
            self.detail = refused.detail();
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
// In a box: the requester hands it on from one state to the next, by way of the stack.
pub(crate) struct LeafKey(KBox<Leaf>);

struct Leaf {
    key: Key,
    base_asym: BaseAsym,
    trust: Trust,
    identity: Identity,
    subject: Text,
    issuer: Text,
    hardware_identity: bool,
}

impl LeafKey {
    // Not inlined: what it needs of the stack is none of the verification's.
    #[inline(never)]
    fn new(
        key: Key,
        base_asym: BaseAsym,
        leaf: &Certificate<'_>,
        trust: Trust,
    ) -> Result<Self, ChainError> {
        let identity = KernelHash::digest(BaseHash::Sha256, leaf.public_key.raw)
            .map_err(|_| ChainError::Internal)?;
        let leaf = Leaf {
            key,
            base_asym,
            trust,
            identity: identity
                .as_bytes()
                .try_into()
                .map_err(|_| ChainError::Internal)?,
            subject: chain::name_text("", &leaf.subject),
            issuer: chain::name_text("", &leaf.issuer),
            hardware_identity: leaf.extensions.hardware_identity,
        };
        KBox::new(leaf, GFP_KERNEL)
            .map(Self)
            .map_err(|_| ChainError::Internal)
    }

    /// What its chain is trusted for.
    pub(crate) fn trust(&self) -> Trust {
        self.0.trust
    }

    /// The identity of the device.
    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// commonName of the leaf's subject, in printable ASCII; may be empty.
    pub(crate) fn subject(&self) -> &str {
        self.0.subject.as_str()
    }

    /// commonName of the leaf's issuer, in printable ASCII; may be empty.
    pub(crate) fn issuer(&self) -> &str {
        self.0.issuer.as_str()
    }

    /// Whether the leaf has DMTF's hardware identity OID, which a leaf of the alias certificate model
    /// must not have (DSP0274, "Definition of certificate OIDs").
    #[expect(dead_code, reason = "the certificate model is not looked at yet")]
    pub(crate) fn hardware_identity(&self) -> bool {
        self.0.hardware_identity
    }

    fn verify(&self, signed: &Signed<'_>, signature: &[u8]) -> Result<(), SignatureError> {
        // The chain was verified for this algorithm, and the encoding has one size.
        if signed.base_asym != self.0.base_asym
            || signature.len() != self.0.base_asym.signature_size()
        {
            return Err(SignatureError::Bad);
        }
        let (key_algorithm, encoding) = match self.0.base_asym {
            BaseAsym::RsaSsa2048 | BaseAsym::RsaSsa3072 | BaseAsym::RsaSsa4096 => {
                (c"rsa", c"pkcs1")
            }
            BaseAsym::EcdsaP256 | BaseAsym::EcdsaP384 | BaseAsym::EcdsaP521 => (c"ecdsa", c"p1363"),
        };
        let signature = Signature::new(
            signature,
            signed.digest.as_bytes(),
            key_algorithm,
            kernel_hash_name(signed.base_hash),
            encoding,
        )
        .map_err(|_| SignatureError::Internal)?;
        self.0.key.verify(&signature).map_err(|error| {
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
fn check_root_hash(chain: &CertChain<'_>, first: &Certificate<'_>) -> Result<(), ChainError> {
    if !first.is_self_issued() {
        return Ok(());
    }
    let digest =
        KernelHash::digest(chain.base_hash, first.raw).map_err(|_| ChainError::Internal)?;
    if digest.as_bytes() == chain.root_hash {
        Ok(())
    } else {
        Err(ChainError::RootHashMismatch)
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
fn not_trusted<'c>(reason: &NotTrusted, first: &Certificate<'c>) -> Refused<'c> {
    let error = match reason {
        NotTrusted::IssuerNotCa => ChainError::IssuerNotCa,
        // A root that only bears the name of a trusted one is not it.
        NotTrusted::Signature(_) if first.is_self_issued() => ChainError::UntrustedRoot,
        NotTrusted::Signature(error) => issuer_error(*error),
        NotTrusted::Unknown => ChainError::UntrustedRoot,
    };
    Refused::at(error, first.issuer)
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

#[cfg(CONFIG_SPDM_KUNIT_TEST)]
#[kunit_tests(spdm_keyring_anchor)]
mod tests {
    use super::{
        super::test_chain::{
            IDENTITY,
            LEAF,
            ROOT,
            SIGNATURE, //
        },
        *,
    };

    const DEVICE: PciIdentity = PciIdentity {
        vendor: 0x1b36,
        device: 0x0010,
        class: 0x01_0802,
        revision: 0x02,
        subsystem: Some((0x1af4, 0x1100)),
        serial: None,
    };

    /// Makes a keyring that holds `roots`.
    fn cma(roots: &[u8]) -> Result<Cma> {
        let cma = Cma::with_name(c".spdm-test")?;
        cma.add_roots(roots)?;
        Ok(cma)
    }

    fn certificates(parts: &[&[u8]]) -> Result<KVec<u8>> {
        let mut certificates = KVec::new();
        for part in parts {
            certificates.extend_from_slice(part, GFP_KERNEL)?;
        }
        Ok(certificates)
    }

    /// Verifies a chain against `cma`, with the RootHash of [`ROOT`].
    fn verify(cma: &Cma, certificates: &[u8]) -> Result<LeafKey, ChainError> {
        let root_hash =
            KernelHash::digest(BaseHash::Sha384, &ROOT).map_err(|_| ChainError::Internal)?;
        Anchor::new(cma, Some(&DEVICE), None).verify_chain(&CertChain {
            slot: 0,
            base_hash: BaseHash::Sha384,
            root_hash: root_hash.as_bytes(),
            certificates,
            base_asym: BaseAsym::EcdsaP256,
            version: 0x13,
        })
    }

    /// Verifies a signature of "abc".
    fn verify_signature(
        key: &LeafKey,
        base_asym: BaseAsym,
        base_hash: BaseHash,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let digest = KernelHash::digest(base_hash, b"abc").map_err(|_| SignatureError::Internal)?;
        key.verify(
            &Signed {
                base_asym,
                base_hash,
                digest: &digest,
            },
            signature,
        )
    }

    #[test]
    fn trusts_only_what_the_keyring_vouches_for() -> Result {
        let chain = certificates(&[&ROOT, &LEAF])?;
        assert!(verify(&cma(&[])?, &chain).err() == Some(ChainError::UntrustedRoot));
        assert!(verify(&cma(&LEAF)?, &chain).err() == Some(ChainError::UntrustedRoot));
        let cma = cma(&ROOT)?;
        assert!(verify(&cma, &chain).is_ok());
        // Without the root.
        assert!(verify(&cma, &LEAF).is_ok());
        Ok(())
    }

    #[test]
    fn trusts_an_accepted_identity_without_a_root() -> Result {
        let empty = cma(&[])?;
        let chain = certificates(&[&ROOT, &LEAF])?;
        let root_hash = KernelHash::digest(BaseHash::Sha384, &ROOT).map_err(|_| EINVAL)?;
        let trust = |cma: &Cma, accepted, certificates: &[u8], root_hash: &[u8]| {
            Anchor::new(cma, Some(&DEVICE), accepted)
                .verify_chain(&CertChain {
                    slot: 0,
                    base_hash: BaseHash::Sha384,
                    root_hash,
                    certificates,
                    base_asym: BaseAsym::EcdsaP256,
                    version: 0x13,
                })
                .map(|key| key.trust())
        };
        let hash = root_hash.as_bytes();
        assert!(trust(&empty, Some(&IDENTITY), &chain, hash) == Ok(Trust::Identity));
        assert!(trust(&empty, Some(&IDENTITY), &LEAF, hash) == Ok(Trust::Identity));
        // A root says more than an identity.
        assert!(trust(&cma(&ROOT)?, Some(&IDENTITY), &chain, hash) == Ok(Trust::Root));
        let mut other = IDENTITY;
        other[31] ^= 1;
        assert!(trust(&empty, Some(&other), &chain, hash) == Err(ChainError::UntrustedRoot));
        // All other rules hold.
        let swapped = certificates(&[&LEAF, &ROOT])?;
        assert!(trust(&empty, Some(&IDENTITY), &swapped, hash).is_err());
        assert!(
            trust(&empty, Some(&IDENTITY), &chain, &[0; 48]) == Err(ChainError::RootHashMismatch)
        );
        Ok(())
    }

    #[test]
    fn tells_who_an_unknown_device_says_it_is() -> Result {
        let empty = cma(&[])?;
        let mut anchor = Anchor::new(&empty, Some(&DEVICE), None);
        let chain = CertChain {
            slot: 0,
            base_hash: BaseHash::Sha384,
            root_hash: &[0; 48],
            certificates: &LEAF,
            base_asym: BaseAsym::EcdsaP256,
            version: 0x13,
        };
        assert!(anchor.verify_chain(&chain).is_err());
        assert!(anchor.offered() == Some(IDENTITY));
        Ok(())
    }

    #[test]
    fn tells_who_the_device_is() -> Result {
        let key = verify(&cma(&ROOT)?, &LEAF).map_err(|_| EINVAL)?;
        assert_eq!(key.identity(), &IDENTITY);
        assert_eq!(key.subject(), "Leaf");
        assert_eq!(key.issuer(), "Root");
        Ok(())
    }

    #[test]
    fn names_what_was_refused() -> Result {
        let cma = cma(&[])?;
        let mut anchor = Anchor::new(&cma, Some(&DEVICE), None);
        let chain = CertChain {
            slot: 0,
            base_hash: BaseHash::Sha384,
            root_hash: &[0; 48],
            certificates: &LEAF,
            base_asym: BaseAsym::EcdsaP256,
            version: 0x13,
        };
        assert!(anchor.verify_chain(&chain).err() == Some(ChainError::UntrustedRoot));
        assert_eq!(anchor.detail(), "CN=Root");
        let other = PciIdentity {
            revision: 0x03,
            ..DEVICE
        };
        let mut anchor = Anchor::new(&cma, Some(&other), None);
        assert!(anchor.verify_chain(&chain).err() == Some(ChainError::SubjectAltNameMismatch));
        assert!(anchor.detail().starts_with("Vendor=1b36:Device=0010:"));
        Ok(())
    }

    #[test]
    fn root_hash_is_that_of_the_root() -> Result {
        let cma = cma(&ROOT)?;
        let chain = certificates(&[&ROOT, &LEAF])?;
        let refused = Anchor::new(&cma, Some(&DEVICE), None).verify_chain(&CertChain {
            slot: 0,
            base_hash: BaseHash::Sha256,
            root_hash: &[0; 32],
            certificates: &chain,
            base_asym: BaseAsym::EcdsaP256,
            version: 0x13,
        });
        assert!(refused.err() == Some(ChainError::RootHashMismatch));
        Ok(())
    }

    #[test]
    fn no_certificate_may_be_changed() -> Result {
        let cma = cma(&ROOT)?;
        let mut chain = certificates(&[&ROOT, &LEAF])?;
        // Each verification takes milliseconds, and this runs at every boot.
        for index in (0..chain.len()).step_by(41) {
            chain[index] ^= 0x01;
            assert!(verify(&cma, &chain).is_err());
            chain[index] ^= 0x01;
        }
        assert!(verify(&cma, &chain).is_ok());
        // The last byte belongs to the signature.
        let last = chain.len() - 1;
        chain[last] ^= 0x01;
        assert!(verify(&cma, &chain).err() == Some(ChainError::BadCertificateSignature));
        Ok(())
    }

    #[test]
    fn signatures_are_verified() -> Result {
        let key = verify(&cma(&ROOT)?, &LEAF).map_err(|_| EINVAL)?;
        let (p256, sha256) = (BaseAsym::EcdsaP256, BaseHash::Sha256);
        let bad = Err(SignatureError::Bad);
        assert!(verify_signature(&key, p256, sha256, &SIGNATURE).is_ok());
        // Of another digest, another algorithm, another size.
        assert!(verify_signature(&key, p256, BaseHash::Sha384, &SIGNATURE) == bad);
        assert!(verify_signature(&key, BaseAsym::EcdsaP384, sha256, &SIGNATURE) == bad);
        assert!(verify_signature(&key, BaseAsym::RsaSsa2048, sha256, &SIGNATURE) == bad);
        assert!(verify_signature(&key, p256, sha256, &SIGNATURE[1..]) == bad);
        assert!(verify_signature(&key, p256, sha256, &[]) == bad);
        // r or s zero, or not below the order.
        assert!(verify_signature(&key, p256, sha256, &[0; 64]) == bad);
        assert!(verify_signature(&key, p256, sha256, &[0xff; 64]) == bad);
        for part in [0..32, 32..64] {
            let mut signature = SIGNATURE;
            signature[part.clone()].fill(0);
            assert!(verify_signature(&key, p256, sha256, &signature) == bad);
            signature[part].fill(0xff);
            assert!(verify_signature(&key, p256, sha256, &signature) == bad);
        }
        // r and s exchanged, and in the other byte order.
        let mut signature = SIGNATURE;
        signature.rotate_left(32);
        assert!(verify_signature(&key, p256, sha256, &signature) == bad);
        let mut signature = SIGNATURE;
        signature[..32].reverse();
        signature[32..].reverse();
        assert!(verify_signature(&key, p256, sha256, &signature) == bad);
        for index in (0..SIGNATURE.len()).step_by(7) {
            let mut signature = SIGNATURE;
            signature[index] ^= 0x10;
            assert!(verify_signature(&key, p256, sha256, &signature) == bad);
        }
        Ok(())
    }
}
