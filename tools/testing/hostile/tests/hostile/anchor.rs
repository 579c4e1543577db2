// SPDX-License-Identifier: GPL-2.0

//! Trust: the rules of `keyring/`, with OpenSSL in place of the kernel's keys.

use crate::keyring::chain::{self, Profile};
use crate::keyring::pci_identity::PciIdentity;
use crate::keyring::x509::{Certificate, Certificates};
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::hash::{Hasher, MessageDigest};
use openssl::md::{Md, MdRef};
use openssl::pkey::{PKey, Public};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;
use openssl::sign::RsaPssSaltlen;
use openssl::x509::X509;
use spdm_core::{
    Asym, BaseAsym, BaseHash, CertChain, ChainBuffer, ChainError, Digest, Hash, OutOfMemory,
    SignatureError, Signed, TrustAnchor,
};
use spdm_responder::algorithm::verify_message;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::SystemTime;

/// QEMU's NVMe drive, which the responder's certificates name.
const DRIVE: PciIdentity = PciIdentity {
    vendor: 0x1b36,
    device: 0x0010,
    class: 0x01_0802,
    revision: 0x02,
    subsystem: Some((0x1af4, 0x1100)),
    serial: None,
};

/// A running hash of OpenSSL's.
pub struct OpensslHash {
    hasher: Hasher,
    base_hash: BaseHash,
}

impl OpensslHash {
    pub fn new(base_hash: BaseHash) -> Self {
        let hasher = Hasher::new(message_digest(base_hash)).unwrap();
        OpensslHash { hasher, base_hash }
    }

    pub fn digest(base_hash: BaseHash, data: &[u8]) -> Digest {
        let mut hash = Self::new(base_hash);
        hash.update(data);
        hash.finish()
    }
}

impl Hash for OpensslHash {
    fn update(&mut self, data: &[u8]) {
        self.hasher.update(data).unwrap();
    }

    fn finish(mut self) -> Digest {
        let digest = self.hasher.finish().unwrap();
        Digest::new(self.base_hash, |bytes| bytes.copy_from_slice(&digest))
    }
}

fn message_digest(base_hash: BaseHash) -> MessageDigest {
    match base_hash {
        BaseHash::Sha256 => MessageDigest::sha256(),
        BaseHash::Sha384 => MessageDigest::sha384(),
        BaseHash::Sha512 => MessageDigest::sha512(),
        BaseHash::Sha3_256 => MessageDigest::sha3_256(),
        BaseHash::Sha3_384 => MessageDigest::sha3_384(),
        BaseHash::Sha3_512 => MessageDigest::sha3_512(),
    }
}

fn md(base_hash: BaseHash) -> &'static MdRef {
    match base_hash {
        BaseHash::Sha256 => Md::sha256(),
        BaseHash::Sha384 => Md::sha384(),
        BaseHash::Sha512 => Md::sha512(),
        BaseHash::Sha3_256 => Md::sha3_256(),
        BaseHash::Sha3_384 => Md::sha3_384(),
        BaseHash::Sha3_512 => Md::sha3_512(),
    }
}

/// Memory for a chain.
pub struct Memory {
    chain: Vec<u8>,
    most: usize,
}

impl Memory {
    /// For a chain of at most `most` bytes.
    pub fn new(most: usize) -> Self {
        let chain = Vec::new();
        Memory { chain, most }
    }

    /// The same without the chain.
    pub fn clear(&mut self) {
        *self = Memory::new(self.most);
    }
}

impl ChainBuffer for Memory {
    fn reserve(&mut self, len: usize) -> Result<&mut [u8], OutOfMemory> {
        // The requester has to see to that.
        assert!(len <= self.most, "{len} bytes for a chain");
        self.chain = vec![0; len];
        Ok(&mut self.chain)
    }

    fn get(&self) -> &[u8] {
        &self.chain
    }
}

/// A check that the anchor makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Chain,
    ChainAgain,
    Signature,
}

/// A check whose result is turned into this one, by its number from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glitch {
    Passes(usize),
    Fails(usize),
}

/// Trusts some roots, or a public key.
pub struct Anchor {
    /// They may change while a device is attested.
    pub roots: Rc<RefCell<Vec<X509>>>,
    pub glitch: Option<Glitch>,
    /// Checks that were made, and whether they passed.
    pub checks: RefCell<Vec<(Check, bool)>>,
    provisioned: Option<Vec<u8>>,
    /// The chain whose signatures were right last, its RootHash and its key. It comes again and again,
    /// and its signatures take a third of the time of an attestation.
    signed: Option<(Vec<u8>, Vec<u8>, PKey<Public>)>,
}

impl Anchor {
    pub fn new(roots: Vec<X509>) -> Self {
        Anchor {
            roots: Rc::new(RefCell::new(roots)),
            glitch: None,
            checks: RefCell::default(),
            provisioned: None,
            signed: None,
        }
    }

    /// Takes down the result of a check, and changes it if it is to be changed.
    fn made<T, E>(
        &self,
        check: Check,
        result: Result<T, E>,
        passed: impl FnOnce() -> T,
        failed: E,
    ) -> Result<T, E> {
        let mut checks = self.checks.borrow_mut();
        let number = checks.len();
        let result = match self.glitch {
            Some(Glitch::Passes(at)) if at == number => Ok(passed()),
            Some(Glitch::Fails(at)) if at == number => Err(failed),
            _ => result,
        };
        checks.push((check, result.is_ok()));
        result
    }

    /// Trusts a SubjectPublicKeyInfo.
    pub fn provision(&mut self, key: Vec<u8>) {
        self.provisioned = Some(key);
    }

    /// Whether a root is the first certificate of a chain, or issued it.
    fn vouch(&self, first: &Certificate<'_>, x509: &X509) -> Result<(), ChainError> {
        let roots = self.roots.borrow();
        if roots.iter().any(|root| root.to_der().unwrap() == first.raw) {
            return Ok(());
        }
        let issuer = roots.iter().find(|root| {
            let same = root.subject_key_id().map(|id| id.as_slice())
                == x509.authority_key_id().map(|id| id.as_slice());
            same && root
                .subject_name()
                .try_cmp(x509.issuer_name())
                .is_ok_and(|order| order.is_eq())
        });
        let issuer = issuer.ok_or(ChainError::UntrustedRoot)?;
        if is_signed_by(x509, issuer) {
            Ok(())
        } else if first.is_self_issued() {
            Err(ChainError::UntrustedRoot)
        } else {
            Err(ChainError::BadCertificateSignature)
        }
    }

    /// Verifies the signatures of a chain up to a root, and RootHash.
    fn verify_signatures(&self, chain: &CertChain<'_>) -> Result<PKey<Public>, ChainError> {
        let mut certificates = Certificates::new(chain.certificates);
        let mut issuer: Option<X509> = None;
        loop {
            let certificate = certificates.read().map_err(|_| ChainError::Malformed)?;
            let x509 = X509::from_der(certificate.raw).map_err(|_| ChainError::Malformed)?;
            match &issuer {
                Some(issuer) if !is_signed_by(&x509, issuer) => {
                    return Err(ChainError::BadCertificateSignature);
                }
                Some(_) => {}
                None => {
                    self.vouch(&certificate, &x509)?;
                    let digest = OpensslHash::digest(chain.base_hash, certificate.raw);
                    if certificate.is_self_issued() && digest.as_bytes() != chain.root_hash {
                        return Err(ChainError::RootHashMismatch);
                    }
                }
            }
            if certificates.is_empty() {
                return x509.public_key().map_err(|_| ChainError::Malformed);
            }
            issuer = Some(x509);
        }
    }

    fn check_chain(&mut self, chain: &CertChain<'_>) -> Result<PKey<Public>, ChainError> {
        match &self.signed {
            Some((certificates, root_hash, key))
                if certificates == chain.certificates && root_hash == chain.root_hash =>
            {
                self.check_again(chain).map(|()| key.clone())
            }
            _ => {
                check(chain)?;
                let key = self.verify_signatures(chain)?;
                let (certificates, root_hash) = (chain.certificates, chain.root_hash);
                self.signed = Some((certificates.to_vec(), root_hash.to_vec(), key.clone()));
                Ok(key)
            }
        }
    }

    fn check_again(&self, chain: &CertChain<'_>) -> Result<(), ChainError> {
        check(chain)?;
        let first = Certificates::new(chain.certificates).read();
        let first = first.map_err(|_| ChainError::Malformed)?;
        self.vouch(&first, &X509::from_der(first.raw).unwrap())
    }
}

/// The key of the last certificate, whoever signed it.
fn leaf_key(chain: &CertChain<'_>) -> PKey<Public> {
    let mut certificates = Certificates::new(chain.certificates);
    let mut leaf = certificates.read().unwrap();
    while !certificates.is_empty() {
        leaf = certificates.read().unwrap();
    }
    X509::from_der(leaf.raw).unwrap().public_key().unwrap()
}

fn is_signed_by(certificate: &X509, issuer: &X509) -> bool {
    let key = issuer.public_key().unwrap();
    certificate.verify(&key).unwrap_or(false)
}

fn check(chain: &CertChain<'_>) -> Result<(), ChainError> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let profile = Profile {
        now: now.unwrap().as_secs().try_into().unwrap(),
        asym: chain.asym,
        model: chain.model,
        version: chain.version,
        device: Some(&DRIVE),
        name: None,
    };
    chain::check(chain.certificates, &profile).map_err(|refused| refused.error)?;
    Ok(())
}

impl TrustAnchor for Anchor {
    type LeafKey = PKey<Public>;

    fn recheck(&mut self, _key: &PKey<Public>, chain: &CertChain<'_>) -> Result<(), ChainError> {
        let result = self.check_again(chain);
        self.made(Check::ChainAgain, result, || (), ChainError::Internal)
    }

    fn raw_key(&mut self, _asym: Asym, base_hash: BaseHash) -> Option<(PKey<Public>, Digest)> {
        let key = self.provisioned.as_ref()?;
        let digest = OpensslHash::digest(base_hash, key);
        Some((PKey::public_key_from_der(key).unwrap(), digest))
    }

    fn verify_chain(&mut self, chain: &CertChain<'_>) -> Result<PKey<Public>, ChainError> {
        let result = self.check_chain(chain);
        let key = || leaf_key(chain);
        self.made(Check::Chain, result, key, ChainError::Internal)
    }

    fn verify_signature(
        &self,
        key: &PKey<Public>,
        signed: &Signed<'_>,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let right = is_right(key, signed, signature);
        let result = right.then_some(()).ok_or(SignatureError::Bad);
        self.made(Check::Signature, result, || (), SignatureError::Internal)
    }
}

/// Whether a signature is right.
fn is_right(key: &PKey<Public>, signed: &Signed<'_>, signature: &[u8]) -> bool {
    assert_eq!(signature.len(), signed.asym.signature_size());
    let digest = signed.digest.as_bytes();
    let Asym::Base(base_asym) = signed.asym else {
        return verify_message(key, signed.context, signed.message, signature).unwrap();
    };
    match base_asym {
        BaseAsym::RsaPss2048 | BaseAsym::RsaPss3072 | BaseAsym::RsaPss4096 => {
            let mut context = PkeyCtx::new(key).unwrap();
            context.verify_init().unwrap();
            context.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
            context.set_signature_md(md(signed.base_hash)).unwrap();
            let salt = RsaPssSaltlen::DIGEST_LENGTH;
            context.set_rsa_pss_saltlen(salt).unwrap();
            context.verify(digest, signature).unwrap_or(false)
        }
        BaseAsym::RsaSsa2048 | BaseAsym::RsaSsa3072 | BaseAsym::RsaSsa4096 => {
            let mut context = PkeyCtx::new(key).unwrap();
            context.verify_init().unwrap();
            context.set_rsa_padding(Padding::PKCS1).unwrap();
            context.set_signature_md(md(signed.base_hash)).unwrap();
            context.verify(digest, signature).unwrap_or(false)
        }
        BaseAsym::EcdsaP256 | BaseAsym::EcdsaP384 | BaseAsym::EcdsaP521 => {
            let (r, s) = signature.split_at(signature.len() / 2);
            let (r, s) = (
                BigNum::from_slice(r).unwrap(),
                BigNum::from_slice(s).unwrap(),
            );
            let signature = EcdsaSig::from_private_components(r, s).unwrap();
            let key = key.ec_key().unwrap();
            signature.verify(digest, &key).unwrap_or(false)
        }
    }
}
