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
    device_key::{
        is_wrong_signature,
        DeviceKey,
        ProvisionedKey, //
    },
    hash::KernelHash,
    key::Key,
    pci_identity::PciIdentity,
    text::Text,
    x509::{
        Certificate,
        Certificates,
        PublicKey, //
    },
};
use crate::bindings;
use kernel::{
    prelude::*,
    sync::Arc, //
};
use spdm_core::{
    algorithms::{
        Asym,
        BaseHash, //
    },
    platform::Digest,
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

/// What a device's public key is trusted for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// A certificate in `.cma` vouches for it.
    Root,
    /// An administrator has accepted its identity, or provisioned the key itself; `.cma` knows nothing of it.
    Identity,
}

/// Judges the certificate chains and signatures of one device.
pub(crate) struct Anchor<'a> {
    cma: &'a Cma,
    device: Option<&'a PciIdentity>,
    name: Option<&'a [u8]>,
    accepted: Option<&'a Identity>,
    public_key: Option<&'a ProvisionedKey>,
    refusal: Option<Refusal>,
    offered: Option<Identity>,
}

/// The refusal of a chain that tells most.
struct Refusal {
    asym: Asym,
    slot: u8,
    error: ChainError,
    /// Which certificate or name it was.
    detail: Text,
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
            name: None,
            accepted,
            public_key: None,
            refusal: None,
            offered: None,
        }
    }

    /// Trusts `public_key` of a device that has no certificates.
    pub(crate) fn with_public_key(self, public_key: Option<&'a ProvisionedKey>) -> Self {
        Self { public_key, ..self }
    }

    /// Wants certificates to have the DMTF device information `name`.
    #[cfg(CONFIG_SPDM_MCTP)]
    pub(crate) fn with_name(self, name: Option<&'a [u8]>) -> Self {
        Self { name, ..self }
    }

    /// Which certificate or name the chain in `slot` was refused for with `error`; may be empty.
    pub(crate) fn detail(&self, slot: u8, error: ChainError) -> &str {
        match &self.refusal {
            Some(refusal) if refusal.slot == slot && refusal.error == error => {
                refusal.detail.as_str()
            }
            _ => "",
        }
    }

    /// Keeps the refusal of `chain`, unless one of a slot before it is the one that the requester reports.
    fn keep(&mut self, chain: &CertChain<'_>, refused: &Refused<'_>) {
        let untrusted = |error| error == ChainError::UntrustedRoot;
        let told = self.refusal.as_ref().is_some_and(|last| {
            last.asym == chain.asym
                && last.slot < chain.slot
                && (!untrusted(last.error) || untrusted(refused.error))
        });
        if !told {
            self.refusal = Some(Refusal {
                asym: chain.asym,
                slot: chain.slot,
                error: refused.error,
                detail: refused.detail(),
            });
        }
    }

    /// Identity in the leaf of the last chain that was refused because no root vouches for it. The device has
    /// not proven it.
    pub(crate) fn offered(&self) -> Option<Identity> {
        self.offered
    }

    /// What `chain` is held against now.
    fn profile(&self, chain: &CertChain<'_>) -> Profile<'a> {
        Profile {
            // SAFETY: The function may be called from anywhere.
            now: unsafe { bindings::ktime_get_real_seconds() },
            asym: chain.asym,
            model: chain.model,
            version: chain.version,
            device: self.device,
            name: self.name,
        }
    }

    fn verify<'c>(&mut self, chain: &CertChain<'c>) -> Result<LeafKey, Refused<'c>> {
        chain::check(chain.certificates, &self.profile(chain))?;

        self.cma.settle();
        let _credentials = KernelCredentials::assume();
        let mut certificates = Certificates::new(chain.certificates);
        let mut issuer = None;
        // Which root vouches for the chain, or why none does.
        let mut voucher = None;
        loop {
            let Ok(certificate) = certificates.read() else {
                return Err(ChainError::Malformed.into());
            };
            let key =
                self.verify_certificate(chain, &certificate, issuer.as_ref(), &mut voucher)?;
            if certificates.is_empty() {
                let voucher = voucher.ok_or(ChainError::Internal)?;
                return self.leaf_key(chain, &certificate, voucher);
            }
            issuer = Some(key);
        }
    }

    /// Decides on a chain in which everything is right but, perhaps, its root.
    fn leaf_key<'c>(
        &mut self,
        chain: &CertChain<'_>,
        leaf: &Certificate<'_>,
        voucher: Result<Key, Refused<'c>>,
    ) -> Result<LeafKey, Refused<'c>> {
        let (voucher, untrusted) = match voucher {
            Ok(voucher) => (Some(voucher), None),
            Err(refused) => (None, Some(refused)),
        };
        let key = LeafKey::new(
            chain.asym,
            &leaf.public_key,
            chain::name_text("", &leaf.subject),
            chain::name_text("", &leaf.issuer),
            voucher,
        )?;
        match untrusted {
            Some(refused) if self.accepted != Some(key.identity()) => {
                self.offered = Some(*key.identity());
                Err(refused)
            }
            _ => Ok(key),
        }
    }

    /// Verifies one certificate, the next after that of `issuer` or the first, and returns its key. If it is the
    /// first, `voucher` says which root vouches for it.
    // Not inlined: from here the kernel goes deep.
    #[inline(never)]
    fn verify_certificate<'c>(
        &self,
        chain: &CertChain<'_>,
        certificate: &Certificate<'c>,
        issuer: Option<&Key>,
        voucher: &mut Option<Result<Key, Refused<'c>>>,
    ) -> Result<Key, Refused<'c>> {
        let refuse = |error| Refused::at(error, certificate.subject);
        if issuer.is_none() {
            // Its signature was verified when it was added.
            if let Ok(root) = self.cma.find(certificate) {
                if is_revoked(certificate) {
                    return Err(refuse(ChainError::Revoked));
                }
                if !root.is_public_key(certificate.public_key.octets) {
                    return Err(refuse(ChainError::Malformed));
                }
                check_root_hash(chain, certificate).map_err(refuse)?;
                *voucher = Some(Ok(root.clone()));
                return Ok(root);
            }
        }
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
                let vouched = self
                    .cma
                    .vouches_for(&key)
                    .map_err(|reason| not_trusted(&reason, certificate));
                // That nobody vouches for the chain is worth more to know, unless it may be trusted nevertheless.
                let trusted = vouched.is_ok();
                *voucher = Some(vouched);
                if trusted || self.accepted.is_some() {
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
            self.keep(chain, &refused);
            refused.error
        })
    }

    fn recheck(&mut self, key: &LeafKey, chain: &CertChain<'_>) -> Result<(), ChainError> {
        // Where none vouched for it, one may do so by now.
        let voucher = key.0.voucher.as_ref().ok_or(ChainError::UntrustedRoot)?;
        chain::check(chain.certificates, &self.profile(chain)).map_err(|refused| refused.error)?;

        self.cma.settle();
        let _credentials = KernelCredentials::assume();
        if !self.cma.still_has(voucher) {
            return Err(ChainError::UntrustedRoot);
        }
        let mut certificates = Certificates::new(chain.certificates);
        while !certificates.is_empty() {
            let certificate = certificates.read().map_err(|_| ChainError::Malformed)?;
            if is_revoked(&certificate) {
                return Err(ChainError::Revoked);
            }
        }
        Ok(())
    }

    fn verify_signature(
        &self,
        key: &LeafKey,
        signed: &Signed<'_>,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        key.0.key.verify(signed, signature)
    }

    fn raw_key(&mut self, asym: Asym, base_hash: BaseHash) -> Option<(LeafKey, Digest)> {
        let public_key = self.public_key?.parts()?;
        if public_key.kind != chain::key_kind(asym) {
            return None;
        }
        let digest = KernelHash::digest(base_hash, public_key.raw).ok()?;
        let key = LeafKey::new(asym, &public_key, Text::EMPTY, Text::EMPTY, None).ok()?;
        Some((key, digest))
    }
}

/// A device's public key that is trusted: of a chain's leaf certificate, or provisioned.
// Not in itself: the requester hands it on from one state to the next, by way of the stack, and may keep it.
#[derive(Clone)]
pub(crate) struct LeafKey(Arc<Leaf>);

struct Leaf {
    key: DeviceKey,
    /// The key in `.cma` that vouched for its chain.
    voucher: Option<Key>,
    identity: Identity,
    subject: Text,
    issuer: Text,
}

impl LeafKey {
    // Not inlined: what it needs of the stack is none of the verification's.
    #[inline(never)]
    fn new(
        asym: Asym,
        public_key: &PublicKey<'_>,
        subject: Text,
        issuer: Text,
        voucher: Option<Key>,
    ) -> Result<Self, ChainError> {
        let identity = KernelHash::digest(BaseHash::Sha256, public_key.raw)
            .map_err(|_| ChainError::Internal)?;
        let leaf = Leaf {
            key: DeviceKey::new(asym, public_key.octets).map_err(|_| ChainError::Internal)?,
            voucher,
            identity: identity
                .as_bytes()
                .try_into()
                .map_err(|_| ChainError::Internal)?,
            subject,
            issuer,
        };
        Arc::new(leaf, GFP_KERNEL)
            .map(Self)
            .map_err(|_| ChainError::Internal)
    }

    /// What it is trusted for.
    pub(crate) fn trust(&self) -> Trust {
        match self.0.voucher {
            Some(_) => Trust::Root,
            None => Trust::Identity,
        }
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
    if error == EKEYREJECTED {
        if is_revoked(certificate) {
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

/// Whether the kernel's blacklist names `certificate`.
fn is_revoked(certificate: &Certificate<'_>) -> bool {
    let signed = certificate.signed;
    // SAFETY: `signed` is valid for its length.
    unsafe { bindings::spdm_certificate_revoked(signed.as_ptr(), signed.len()) }
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

#[cfg(CONFIG_SPDM_KUNIT_TEST)]
#[kunit_tests(spdm_keyring_anchor)]
mod tests {
    use super::{
        super::test_chain::{
            IDENTITY,
            LEAF,
            PSS_SIGNATURE,
            ROOT,
            RSA_KEY,
            SIGNATURE, //
        },
        *,
    };
    use spdm_core::{
        algorithms::BaseAsym,
        trust::CertificateModel, //
    };
    #[cfg(all(CONFIG_SYSTEM_BLACKLIST_KEYRING, not(MODULE)))]
    use {
        super::super::test_chain::REVOKED_ROOT,
        kernel::error::to_result, //
    };

    const P256: Asym = Asym::Base(BaseAsym::EcdsaP256);

    /// A chain that leaves the root out.
    const LEAF_ALONE: CertChain<'static> = CertChain {
        slot: 0,
        base_hash: BaseHash::Sha384,
        root_hash: &[0; 48],
        certificates: &LEAF,
        asym: P256,
        model: CertificateModel::Unknown,
        version: 0x13,
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
            asym: P256,
            model: CertificateModel::Unknown,
            version: 0x13,
        })
    }

    #[test]
    fn a_chain_is_judged_again() -> Result {
        let with_root = cma(&ROOT)?;
        let key = verify(&with_root, &LEAF).map_err(|_| EINVAL)?;
        let chain = LEAF_ALONE;
        let recheck = |cma: &Cma, key: &LeafKey, device: &PciIdentity| {
            Anchor::new(cma, Some(device), None)
                .recheck(key, &chain)
                .err()
        };
        assert!(recheck(&with_root, &key, &DEVICE).is_none());
        assert!(recheck(&cma(&[])?, &key, &DEVICE) == Some(ChainError::UntrustedRoot));
        // The same certificate, but not the one that vouched.
        assert!(recheck(&cma(&ROOT)?, &key, &DEVICE) == Some(ChainError::UntrustedRoot));
        let other = PciIdentity {
            revision: 0x03,
            ..DEVICE
        };
        assert!(recheck(&with_root, &key, &other) == Some(ChainError::SubjectAltNameMismatch));

        // A root may have come since.
        let empty = cma(&[])?;
        let mut anchor = Anchor::new(&empty, Some(&DEVICE), Some(&IDENTITY));
        let accepted = anchor.verify_chain(&chain).map_err(|_| EINVAL)?;
        assert!(anchor.recheck(&accepted, &chain) == Err(ChainError::UntrustedRoot));
        Ok(())
    }

    // Modules must not add to the blacklist.
    #[test]
    #[cfg(all(CONFIG_SYSTEM_BLACKLIST_KEYRING, not(MODULE)))]
    fn what_the_blacklist_names_is_refused() -> Result {
        let without_it = cma(&ROOT)?;
        let with_it = cma(&certificates(&[&ROOT, &REVOKED_ROOT])?)?;
        let chain = certificates(&[&REVOKED_ROOT, &LEAF])?;
        let key = verify(&with_it, &LEAF).map_err(|_| EINVAL)?;
        let recheck = || {
            Anchor::new(&with_it, Some(&DEVICE), None)
                .recheck(
                    &key,
                    &CertChain {
                        certificates: &chain,
                        ..LEAF_ALONE
                    },
                )
                .err()
        };
        let refused = verify(&without_it, &chain).err();
        assert!(refused == Some(ChainError::BadCertificateSignature));
        assert!(verify(&with_it, &chain).err() == Some(ChainError::RootHashMismatch));
        assert!(recheck().is_none());

        let revoked = Certificates::new(&REVOKED_ROOT)
            .read()
            .map_err(|_| EINVAL)?;
        let hash = KernelHash::digest(BaseHash::Sha256, revoked.signed).map_err(|_| EINVAL)?;
        let hash = hash.as_bytes();
        // SAFETY: `hash` is valid for its length.
        to_result(unsafe {
            bindings::mark_hash_blacklisted(
                hash.as_ptr(),
                hash.len(),
                bindings::blacklist_hash_type_BLACKLIST_HASH_X509_TBS,
            )
        })?;
        for cma in [&without_it, &with_it] {
            assert!(verify(cma, &chain).err() == Some(ChainError::Revoked));
        }
        assert!(recheck() == Some(ChainError::Revoked));
        Ok(())
    }

    /// Verifies a signature of "abc".
    fn verify_signature(
        key: &LeafKey,
        asym: Asym,
        base_hash: BaseHash,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let digest = KernelHash::digest(base_hash, b"abc").map_err(|_| SignatureError::Internal)?;
        key.0.key.verify(
            &Signed {
                asym,
                base_hash,
                digest: &digest,
                message: b"abc",
                context: &[],
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
                    asym: P256,
                    model: CertificateModel::Unknown,
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

    /// What a device without certificates is trusted with that has the public key `der`.
    fn raw_key(der: &[u8], asym: Asym) -> Result<Option<LeafKey>> {
        let (empty, key) = (cma(&[])?, ProvisionedKey::new(der)?);
        let mut anchor = Anchor::new(&empty, Some(&DEVICE), None).with_public_key(Some(&key));
        let Some((leaf_key, digest)) = anchor.raw_key(asym, BaseHash::Sha384) else {
            return Ok(None);
        };
        let expected = KernelHash::digest(BaseHash::Sha384, der).map_err(|_| EINVAL)?;
        assert!(digest == expected);
        Ok(Some(leaf_key))
    }

    #[test]
    fn trusts_a_provisioned_key() -> Result {
        let mut certificates = Certificates::new(&LEAF);
        let leaf = certificates.read().map_err(|_| EINVAL)?;
        let der = leaf.public_key.raw;
        let key = raw_key(der, P256)?.ok_or(ENOKEY)?;
        assert!(key.trust() == Trust::Identity);
        assert_eq!(key.identity(), &IDENTITY);
        assert_eq!((key.subject(), key.issuer()), ("", ""));
        assert!(verify_signature(&key, P256, BaseHash::Sha256, &SIGNATURE).is_ok());
        assert!(
            verify_signature(&key, P256, BaseHash::Sha384, &SIGNATURE) == Err(SignatureError::Bad)
        );
        // It is for one algorithm, and for nobody else.
        for base_asym in BaseAsym::ALL {
            let asym = Asym::Base(base_asym);
            assert_eq!(raw_key(der, asym)?.is_some(), asym == P256);
        }
        let empty = cma(&[])?;
        let mut anchor = Anchor::new(&empty, Some(&DEVICE), None);
        assert!(anchor.raw_key(P256, BaseHash::Sha384).is_none());
        // A certificate, half a key and nothing are no keys.
        for der in [&LEAF[..], &der[..40], &[]] {
            assert!(ProvisionedKey::new(der).err() == Some(EINVAL));
        }
        Ok(())
    }

    #[test]
    fn pss_signatures_are_verified() -> Result {
        let pss = Asym::Base(BaseAsym::RsaPss2048);
        let sha256 = BaseHash::Sha256;
        let key = raw_key(&RSA_KEY, pss)?.ok_or(ENOKEY)?;
        let bad = Err(SignatureError::Bad);
        assert!(verify_signature(&key, pss, sha256, &PSS_SIGNATURE).is_ok());
        assert!(verify_signature(&key, pss, BaseHash::Sha384, &PSS_SIGNATURE) == bad);
        assert!(verify_signature(&key, pss, sha256, &PSS_SIGNATURE[1..]) == bad);
        // Not by PKCS #1 version 1.5.
        let rsassa = Asym::Base(BaseAsym::RsaSsa2048);
        assert!(verify_signature(&key, rsassa, sha256, &PSS_SIGNATURE) == bad);
        let key_of_rsassa = raw_key(&RSA_KEY, rsassa)?.ok_or(ENOKEY)?;
        assert!(verify_signature(&key_of_rsassa, rsassa, sha256, &PSS_SIGNATURE) == bad);
        // Zero, one and more than the modulus.
        assert!(verify_signature(&key, pss, sha256, &[0; 256]) == bad);
        let mut one = [0; 256];
        one[255] = 1;
        assert!(verify_signature(&key, pss, sha256, &one) == bad);
        assert!(verify_signature(&key, pss, sha256, &[0xff; 256]) == bad);
        for index in (0..PSS_SIGNATURE.len()).step_by(17) {
            let mut signature = PSS_SIGNATURE;
            signature[index] ^= 0x10;
            assert!(verify_signature(&key, pss, sha256, &signature) == bad);
        }
        Ok(())
    }

    #[test]
    fn tells_who_an_unknown_device_says_it_is() -> Result {
        let empty = cma(&[])?;
        let mut anchor = Anchor::new(&empty, Some(&DEVICE), None);
        let chain = LEAF_ALONE;
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
        let chain = LEAF_ALONE;
        assert!(anchor.verify_chain(&chain).err() == Some(ChainError::UntrustedRoot));
        assert_eq!(anchor.detail(0, ChainError::UntrustedRoot), "CN=Root");
        assert_eq!(anchor.detail(1, ChainError::UntrustedRoot), "");
        assert_eq!(anchor.detail(0, ChainError::Expired), "");
        let other = PciIdentity {
            revision: 0x03,
            ..DEVICE
        };
        let mut anchor = Anchor::new(&cma, Some(&other), None);
        assert!(anchor.verify_chain(&chain).err() == Some(ChainError::SubjectAltNameMismatch));
        let detail = anchor.detail(0, ChainError::SubjectAltNameMismatch);
        assert!(detail.starts_with("Vendor=1b36:Device=0010:"));
        Ok(())
    }

    #[test]
    fn a_root_is_found_as_what_it_is() -> Result {
        let _credentials = KernelCredentials::assume();
        let cma = cma(&ROOT)?;
        let finds = |der: &[u8]| -> Result<bool> {
            let certificate = Certificates::new(der).read().map_err(|_| EINVAL)?;
            Ok(cma.find(&certificate).is_ok())
        };
        assert!(finds(&ROOT)?);
        assert!(!finds(&LEAF)?);
        // Serial number, year of notBefore, public key, signature.
        for index in [14, 49, 128, ROOT.len() - 1] {
            let mut changed = ROOT;
            changed[index] ^= 0x01;
            assert!(!finds(&changed)?);
        }
        // What would be the same in the 16 bits of an identifier's length.
        let mut serial = KVec::from_elem(0, 0x1_0001, GFP_KERNEL)?;
        serial[0] = 0x01;
        let certificate = Certificate {
            serial: &serial,
            ..Certificates::new(&ROOT).read().map_err(|_| EINVAL)?
        };
        assert!(cma.find(&certificate).err() == Some(EOVERFLOW));
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
            asym: P256,
            model: CertificateModel::Unknown,
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
        let (p256, sha256) = (P256, BaseHash::Sha256);
        let bad = Err(SignatureError::Bad);
        assert!(verify_signature(&key, p256, sha256, &SIGNATURE).is_ok());
        // Of another digest, another algorithm, another size.
        assert!(verify_signature(&key, p256, BaseHash::Sha384, &SIGNATURE) == bad);
        assert!(verify_signature(&key, Asym::Base(BaseAsym::EcdsaP384), sha256, &SIGNATURE) == bad);
        assert!(
            verify_signature(&key, Asym::Base(BaseAsym::RsaSsa2048), sha256, &SIGNATURE) == bad
        );
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
