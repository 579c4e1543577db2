// SPDX-License-Identifier: GPL-2.0

//! The PKI maker: keys, roots and the certificate chains of [`Variant`].
//!
//! Everything is kept in one directory, so that making RSA keys is paid for once and a root that
//! was given to a requester stays the root:
//!
//! * `roots/<asym>.der`, `roots/<asym>.pem`, `roots/all.pem`: what a requester should trust;
//! * `keys/<asym>-<name>.pem`: private keys;
//! * `certificates/<digest of what it should contain>.der`.
//!
//! Two processes may use one directory at a time: a file appears complete or not at all, and who
//! comes second takes what the first one made.

use crate::algorithm::{sign_message, Asym, Hash};
use crate::message::hex;
use crate::variant::Variant;
use anyhow::{anyhow, Context, Result};
use openssl::asn1::{Asn1Integer, Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::x509::{X509Extension, X509Name, X509NameBuilder, X509};
use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The CMA name of QEMU's NVMe drive.
pub const QEMU_NVME_SAN: &str = "Vendor=1b36:Device=0010:CC=010802:REV=02:SSVID=1af4:SSID=1100";

/// The CMA name of the functions of doe_emu, without a serial number.
pub const DOE_EMU_SAN: &str = "Vendor=1b36:Device=d0e0:CC=ff0000:REV=01:SSVID=1b36:SSID=d0e0";

/// Largest certificate chain with its header in bytes, before 1.4.
const MAX_CHAIN: usize = 0xFFFF;

const OID_SUBJECT_KEY_ID: &str = "2.5.29.14";
const OID_KEY_USAGE: &str = "2.5.29.15";
const OID_SUBJECT_ALT_NAME: &str = "2.5.29.17";
const OID_BASIC_CONSTRAINTS: &str = "2.5.29.19";
const OID_AUTHORITY_KEY_ID: &str = "2.5.29.35";
const OID_EXTENDED_KEY_USAGE: &str = "2.5.29.37";
/// otherName of the PCI-SIG for component measurement and authentication (PCIe r6, 6.31.3).
const OID_CMA: &str = "2.23.147";
/// id-DMTF-eku-responder-auth.
const OID_EKU_RESPONDER: &str = "1.3.6.1.4.1.412.274.3";
/// id-DMTF-eku-requester-auth.
const OID_EKU_REQUESTER: &str = "1.3.6.1.4.1.412.274.4";
/// id-kp-serverAuth.
const OID_EKU_SERVER: &str = "1.3.6.1.5.5.7.3.1";
/// id-DMTF-SPDM-extension.
const OID_SPDM_EXTENSION: &str = "1.3.6.1.4.1.412.274.6";
/// id-DMTF-hardware-identity.
const OID_HARDWARE_IDENTITY: &str = "1.3.6.1.4.1.412.274.2";
/// An OID that nobody knows: below the arc for examples, 2.999.
const OID_UNKNOWN: &str = "2.999.274";

/// Family of the keys of an authority that nobody trusts.
const OTHER: &str = "other-";

/// keyUsage as the octets of its BIT STRING, unused bits first.
const USAGE_SIGNATURE: &[u8] = &[7, 0x80];
const USAGE_AGREEMENT: &[u8] = &[3, 0x08];
const USAGE_AUTHORITY: &[u8] = &[1, 0x06];

/// What a leaf certificate says about its device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The CMA name.
    pub san: String,
    /// Number of the leaf key: another number is another device of the same kind.
    pub key: u32,
}

impl Default for Identity {
    fn default() -> Self {
        Identity {
            san: QEMU_NVME_SAN.to_owned(),
            key: 0,
        }
    }
}

/// What is wrong around the certificates of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Right,
    WrongRootHash,
    /// Length differs by this from what is sent.
    Length(i16),
    TrailingBytes,
    CutCertificate,
    Garbage,
}

/// A certificate chain with the key that its device signs with.
#[derive(Debug)]
pub struct Chain {
    /// The certificates in DER, in the order in which they are sent.
    pub certificates: Vec<Vec<u8>>,
    /// The root in DER, sent or not.
    pub root: Vec<u8>,
    /// The key that signs: the leaf's, unless the chain is stolen.
    pub key: PKey<Private>,
    framing: Framing,
}

impl Chain {
    /// The chain as it is sent: Length, RootHash, certificates (DSP0274, "Certificates and
    /// certificate chains").
    ///
    /// # Errors
    ///
    /// Fails if the hash does.
    pub fn to_spdm(&self, hash: Hash) -> Result<Vec<u8>> {
        let mut root_hash = hash.digest(&self.root)?;
        let mut certificates = self.certificates.concat();
        match self.framing {
            Framing::Right | Framing::Length(_) => {}
            Framing::WrongRootHash => root_hash[0] ^= 1,
            Framing::TrailingBytes => certificates.extend([0; 4]),
            Framing::CutCertificate => certificates.truncate(certificates.len().saturating_sub(4)),
            Framing::Garbage => certificates.fill(0xA5),
        }
        let length = u16::try_from(4 + root_hash.len() + certificates.len())?;
        let claimed = match self.framing {
            Framing::Length(by) => length.wrapping_add_signed(by),
            _ => length,
        };
        let mut chain = Vec::with_capacity(usize::from(length));
        chain.extend(claimed.to_le_bytes());
        chain.extend([0; 2]);
        chain.extend(root_hash);
        chain.extend(certificates);
        Ok(chain)
    }
}

/// A key by its algorithm and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct KeyName {
    asym: Asym,
    name: String,
}

impl KeyName {
    fn new(asym: Asym, name: impl Into<String>) -> Self {
        KeyName {
            asym,
            name: name.into(),
        }
    }
}

/// What a certificate should contain. Its `Debug` form, hashed, names its file: whatever changes
/// the certificate must be in here.
#[derive(Clone, Debug)]
struct Recipe {
    subject: String,
    issuer: String,
    key: KeyName,
    signer: KeyName,
    /// Key whose identifier is the subject's: `key`, unless that is a lie.
    key_id: KeyName,
    /// Key whose identifier is the authority's: `signer`, unless that is a lie.
    authority_id: KeyName,
    basic_constraints: Option<(bool, Option<u8>)>,
    key_usage: Option<&'static [u8]>,
    ekus: Vec<&'static str>,
    /// CMA names, by extension.
    sans: Vec<Vec<String>>,
    from: &'static str,
    until: &'static str,
    /// An unknown extension, critical or not.
    unknown: Option<bool>,
    hardware_identity: bool,
    version_1: bool,
    spoiled: bool,
}

impl Recipe {
    fn authority(subject: String, issuer: &str, key: KeyName, signer: &KeyName) -> Self {
        Recipe {
            subject,
            issuer: issuer.to_owned(),
            key_id: key.clone(),
            key,
            authority_id: signer.clone(),
            signer: signer.clone(),
            basic_constraints: Some((true, None)),
            key_usage: Some(USAGE_AUTHORITY),
            ekus: Vec::new(),
            sans: Vec::new(),
            from: "20200101000000Z",
            until: "20491231235959Z",
            unknown: None,
            hardware_identity: false,
            version_1: false,
            spoiled: false,
        }
    }

    fn root(asym: Asym, family: &str) -> Self {
        let name = format!("linux-spdm test root {asym}");
        let key = KeyName::new(asym, format!("{family}root"));
        Recipe::authority(name.clone(), &name, key.clone(), &key)
    }

    fn intermediate(family: &str, number: usize, issuer: &Recipe) -> Self {
        let asym = issuer.key.asym;
        Recipe::authority(
            format!("linux-spdm test CA {number} {asym}"),
            &issuer.subject,
            KeyName::new(asym, format!("{family}ca{number}")),
            &issuer.key,
        )
    }

    fn leaf(family: &str, identity: &Identity, issuer: &Recipe) -> Self {
        let asym = issuer.key.asym;
        Recipe {
            basic_constraints: Some((false, None)),
            key_usage: Some(USAGE_SIGNATURE),
            ekus: vec![OID_EKU_RESPONDER],
            sans: vec![vec![identity.san.clone()]],
            ..Recipe::authority(
                format!("linux-spdm test device {}", identity.key),
                &issuer.subject,
                KeyName::new(asym, format!("{family}device-{}", identity.key)),
                &issuer.key,
            )
        }
    }

    /// Root, `intermediates`, leaf; with other keys for another `family`.
    fn chain(asym: Asym, identity: &Identity, family: &str, intermediates: usize) -> Vec<Self> {
        let mut chain = vec![Recipe::root(asym, family)];
        for number in 1..=intermediates {
            let issuer = &chain[number - 1];
            chain.push(Recipe::intermediate(family, number, issuer));
        }
        let leaf = Recipe::leaf(family, identity, &chain[intermediates]);
        chain.push(leaf);
        chain
    }

    fn digest(&self) -> Result<Vec<u8>> {
        Ok(Hash::Sha256.digest(format!("{self:?}").as_bytes())?)
    }
}

/// What a chain should contain.
struct ChainRecipe {
    root: Recipe,
    certificates: Vec<Recipe>,
    /// The key that signs, if it is not the leaf's.
    key: Option<KeyName>,
    framing: Framing,
}

impl ChainRecipe {
    fn new(asym: Asym, variant: Variant, identity: &Identity) -> Self {
        let with = |intermediates| Recipe::chain(asym, identity, "", intermediates);
        let without_root = |intermediates| with(intermediates).split_off(1);
        let leaf = |change: fn(&mut Recipe)| {
            let mut chain = with(1);
            change(&mut chain[2]);
            chain
        };
        let leaf_name = |sans: Vec<Vec<String>>| {
            let mut chain = with(1);
            chain[2].sans = sans;
            chain
        };
        let intermediate = |change: fn(&mut Recipe)| {
            let mut chain = with(1);
            change(&mut chain[1]);
            chain
        };
        let other_san =
            || "Vendor=1b36:Device=0011:CC=010802:REV=02:SSVID=1af4:SSID=1100".to_owned();

        let mut key = None;
        let mut framing = Framing::Right;
        let mut root = Recipe::root(asym, "");
        let certificates = match variant {
            Variant::Ok | Variant::Len3 => with(1),
            Variant::Len1 => without_root(0),
            Variant::Len2 => with(0),
            Variant::Len4 => with(2),
            Variant::Len5 => with(3),
            Variant::NoRoot => without_root(1),
            Variant::NoRoot3 => without_root(2),
            Variant::NoRoot4 => without_root(3),
            Variant::NoRoot5 => without_root(4),
            Variant::NoExpiry => leaf(|c| c.until = "99991231235959Z"),
            Variant::NoEku => leaf(|c| c.ekus.clear()),
            Variant::ManyEkus => leaf(|c| {
                c.ekus = vec![OID_EKU_SERVER, OID_EKU_REQUESTER, OID_EKU_RESPONDER];
            }),
            Variant::ExtraExtension => leaf(|c| c.unknown = Some(false)),
            Variant::HardwareIdentity => leaf(|c| c.hardware_identity = true),
            Variant::Untrusted => {
                root = Recipe::root(asym, OTHER);
                Recipe::chain(asym, identity, OTHER, 1)
            }
            Variant::UntrustedSameId => {
                let mut chain = Recipe::chain(asym, identity, OTHER, 1);
                for (forged, right) in chain.iter_mut().zip(with(1)) {
                    forged.key_id = right.key_id;
                    forged.authority_id = right.authority_id;
                }
                root = chain[0].clone();
                chain
            }
            Variant::SelfSigned => {
                let mut chain = without_root(0);
                chain[0].issuer = chain[0].subject.clone();
                chain[0].signer = chain[0].key.clone();
                chain[0].authority_id = chain[0].key.clone();
                root = chain[0].clone();
                chain
            }
            Variant::Stolen => {
                key = Some(KeyName::new(asym, "thief"));
                with(1)
            }
            Variant::RootHash => {
                framing = Framing::WrongRootHash;
                with(1)
            }
            Variant::Expired => leaf(|c| c.until = "20211231235959Z"),
            Variant::NotYet => leaf(|c| (c.from, c.until) = ("20800101000000Z", "20991231235959Z")),
            Variant::ExpiredIntermediate => intermediate(|c| c.until = "20211231235959Z"),
            Variant::CaLeaf => leaf(|c| c.basic_constraints = Some((true, None))),
            Variant::NoKeyUsage => leaf(|c| c.key_usage = None),
            Variant::WrongKeyUsage => leaf(|c| c.key_usage = Some(USAGE_AGREEMENT)),
            Variant::WrongEku => leaf(|c| c.ekus = vec![OID_EKU_REQUESTER]),
            Variant::NoBasicConstraints => leaf(|c| c.basic_constraints = None),
            Variant::LeafV1 => leaf(|c| c.version_1 = true),
            Variant::KeyMismatch => leaf(|c| {
                c.key.asym = c.key.asym.another();
                c.key_id = c.key.clone();
            }),
            Variant::NoSan => leaf_name(vec![]),
            Variant::OtherSan => leaf_name(vec![vec![other_san()]]),
            Variant::TwoSans => leaf_name(vec![vec![other_san(), identity.san.clone()]]),
            Variant::TwoSanExtensions => {
                leaf_name(vec![vec![other_san()], vec![identity.san.clone()]])
            }
            Variant::OddCaseSan => leaf_name(vec![vec![identity.san.to_uppercase()]]),
            Variant::LongSan => leaf_name(vec![vec![format!("{}:", identity.san)]]),
            Variant::PathLength => {
                let mut chain = with(2);
                chain[1].basic_constraints = Some((true, Some(0)));
                chain
            }
            Variant::Hundred => {
                let mut chain = with(98);
                // One key will do, and it need not be made 98 times.
                let shared = chain[1].key.clone();
                for certificate in &mut chain[2..] {
                    certificate.signer = shared.clone();
                    certificate.authority_id = shared.clone();
                }
                for certificate in &mut chain[2..99] {
                    certificate.key = shared.clone();
                    certificate.key_id = shared.clone();
                }
                chain
            }
            Variant::Loop => {
                let mut chain = without_root(2);
                chain[0].issuer = chain[1].subject.clone();
                chain[0].signer = chain[1].key.clone();
                chain[0].authority_id = chain[1].key.clone();
                chain
            }
            Variant::Reordered => {
                let mut chain = with(1);
                chain.reverse();
                // The device still signs with the leaf's key.
                key = Some(chain[0].key.clone());
                chain
            }
            Variant::Gap => {
                let mut chain = with(1);
                chain.remove(1);
                chain
            }
            Variant::IssuerNotCa => intermediate(|c| c.basic_constraints = Some((false, None))),
            Variant::IssuerNoCertSign => intermediate(|c| c.key_usage = Some(USAGE_SIGNATURE)),
            Variant::BadCertSignature => leaf(|c| c.spoiled = true),
            Variant::BadIntermediateSignature => intermediate(|c| c.spoiled = true),
            Variant::UnknownCritical => leaf(|c| c.unknown = Some(true)),
            Variant::LengthShort => {
                framing = Framing::Length(-4);
                with(1)
            }
            Variant::LengthLong => {
                framing = Framing::Length(4);
                with(1)
            }
            Variant::TrailingBytes => {
                framing = Framing::TrailingBytes;
                with(1)
            }
            Variant::CutCertificate => {
                framing = Framing::CutCertificate;
                with(1)
            }
            Variant::NoCertificates => {
                key = with(1).pop().map(|leaf| leaf.key);
                Vec::new()
            }
            Variant::Garbage => {
                framing = Framing::Garbage;
                with(1)
            }
        };
        ChainRecipe {
            root,
            certificates,
            key,
            framing,
        }
    }
}

type ChainId = (Asym, Variant, Identity);

/// A directory of keys and certificates.
pub struct Pki {
    directory: PathBuf,
    keys: Mutex<HashMap<KeyName, PKey<Private>>>,
    chains: Mutex<HashMap<ChainId, Arc<Chain>>>,
}

impl Pki {
    /// Opens `directory`, and creates it if it is missing.
    ///
    /// # Errors
    ///
    /// Fails if a directory cannot be made.
    pub fn open(directory: &Path) -> Result<Pki> {
        for part in ["keys", "certificates", "roots"] {
            let path = directory.join(part);
            fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        }
        Ok(Pki {
            directory: directory.to_owned(),
            keys: Mutex::default(),
            chains: Mutex::default(),
        })
    }

    /// Where everything is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the root of `asym` is, in DER.
    pub fn root_path(&self, asym: Asym) -> PathBuf {
        let asym = asym.of_keys();
        self.directory.join("roots").join(format!("{asym}.der"))
    }

    /// The root of `asym` in DER. It is made, and written to `roots/`, if it is not there yet.
    ///
    /// # Errors
    ///
    /// Fails if the directory cannot be read or written, or OpenSSL fails.
    pub fn root(&self, asym: Asym) -> Result<Vec<u8>> {
        let der = self.certificate(&Recipe::root(asym.of_keys(), ""))?;
        let path = self.root_path(asym);
        if fs::read(&path).ok().as_deref() != Some(&der) {
            let pem = X509::from_der(&der)?.to_pem()?;
            write_whole(&path.with_extension("pem"), &pem)?;
            write_whole(&path, &der)?;
        }
        Ok(der)
    }

    /// Makes every root, and `roots/all.pem` of those that any kernel can load: without ML-DSA.
    ///
    /// # Errors
    ///
    /// As [`Pki::root`].
    pub fn all_roots(&self) -> Result<()> {
        let mut all = Vec::new();
        for asym in Asym::ALL {
            if asym.of_keys() != asym {
                continue;
            }
            let root = X509::from_der(&self.root(asym)?)?;
            if asym.pqc().is_none() {
                all.extend(root.to_pem()?);
            }
        }
        let path = self.directory.join("roots/all.pem");
        if fs::read(&path).ok().as_ref() != Some(&all) {
            write_whole(&path, &all)?;
        }
        Ok(())
    }

    /// A chain; the same one every time.
    ///
    /// # Errors
    ///
    /// Fails if the directory cannot be read or written, or OpenSSL fails.
    pub fn chain(&self, asym: Asym, variant: Variant, identity: &Identity) -> Result<Arc<Chain>> {
        let asym = asym.of_keys();
        let id = (asym, variant, identity.clone());
        if let Some(chain) = lock(&self.chains).get(&id) {
            return Ok(chain.clone());
        }
        let recipe = ChainRecipe::new(asym, variant, identity);
        // Whoever uses a chain needs the root of the others to be there as well.
        self.root(asym)?;
        let root = self.certificate(&recipe.root)?;
        let mut certificates = Vec::with_capacity(recipe.certificates.len());
        for certificate in &recipe.certificates {
            certificates.push(self.certificate(certificate)?);
        }
        // Only the chain of a hundred can be too long: drop intermediates from its middle.
        let room = MAX_CHAIN - 4 - Hash::Sha512.size();
        while certificates.iter().map(Vec::len).sum::<usize>() > room {
            let middle = certificates.len() / 2;
            certificates.remove(middle);
        }
        let key = recipe
            .key
            .as_ref()
            .or(recipe.certificates.last().map(|leaf| &leaf.key))
            .ok_or_else(|| anyhow!("a chain without a key"))?;
        let chain = Arc::new(Chain {
            certificates,
            root,
            key: self.key(key)?,
            framing: recipe.framing,
        });
        Ok(lock(&self.chains).entry(id).or_insert(chain).clone())
    }

    fn key(&self, name: &KeyName) -> Result<PKey<Private>> {
        // Held while the key is made, so that it is made once.
        let mut keys = lock(&self.keys);
        if let Some(key) = keys.get(name) {
            return Ok(key.clone());
        }
        let path = self
            .directory
            .join("keys")
            .join(format!("{}-{}.pem", name.asym, name.name));
        let pem = read_or_make(&path, PRIVATE, || {
            Ok(name.asym.generate()?.private_key_to_pem_pkcs8()?)
        })?;
        let key = PKey::private_key_from_pem(&pem)
            .with_context(|| format!("{} is no private key", path.display()))?;
        keys.insert(name.clone(), key.clone());
        Ok(key)
    }

    fn certificate(&self, recipe: &Recipe) -> Result<Vec<u8>> {
        // The keys are part of what it should contain: a directory whose keys were removed must
        // not serve certificates of the old ones.
        let mut name = recipe.digest()?;
        for key in [
            &recipe.key,
            &recipe.signer,
            &recipe.key_id,
            &recipe.authority_id,
        ] {
            name.extend(key_id(&self.key(key)?)?);
        }
        let name = hex(&Hash::Sha256.digest(&name)?[..16]);
        let path = self
            .directory
            .join("certificates")
            .join(format!("{name}.der"));
        read_or_make(&path, PUBLIC, || self.make_certificate(recipe))
    }

    fn make_certificate(&self, recipe: &Recipe) -> Result<Vec<u8>> {
        let key = self.key(&recipe.key)?;
        let signer = self.key(&recipe.signer)?;
        let mut builder = X509::builder()?;
        builder.set_version(if recipe.version_1 { 0 } else { 2 })?;
        // Different for every certificate, and positive.
        let mut serial = recipe.digest()?;
        serial.truncate(16);
        serial[0] = serial[0] & 0x3F | 0x40;
        let serial = Asn1Integer::from_bn(BigNum::from_slice(&serial)?.as_ref())?;
        builder.set_serial_number(&serial)?;
        builder.set_subject_name(common_name(&recipe.subject)?.as_ref())?;
        builder.set_issuer_name(common_name(&recipe.issuer)?.as_ref())?;
        builder.set_not_before(Asn1Time::from_str_x509(recipe.from)?.as_ref())?;
        builder.set_not_after(Asn1Time::from_str_x509(recipe.until)?.as_ref())?;
        builder.set_pubkey(&key)?;
        if !recipe.version_1 {
            for extension in self.extensions(recipe)? {
                builder.append_extension(extension)?;
            }
        }
        let mut certificate = match recipe.signer.asym.pqc() {
            None => {
                let digest: MessageDigest = recipe.signer.asym.certificate_digest();
                builder.sign(&signer, digest)?;
                builder.build().to_der()?
            }
            Some((_, arc)) => {
                // A signature of any kind, to be replaced: the wrapper knows none without a digest.
                let any = Asym::EcdsaP256.generate()?;
                builder.sign(&any, MessageDigest::sha256())?;
                sign_again(&builder.build().to_der()?, &signer, arc)?
            }
        };
        if recipe.spoiled {
            // The end of the certificate is the end of its signature.
            if let Some(last) = certificate.last_mut() {
                *last ^= 1;
            }
        }
        Ok(certificate)
    }

    fn extensions(&self, recipe: &Recipe) -> Result<Vec<X509Extension>> {
        let mut extensions = Vec::new();
        let mut add = |oid: &str, critical: bool, value: Vec<u8>| -> Result<()> {
            let oid = Asn1Object::from_str(oid)?;
            let value = Asn1OctetString::new_from_bytes(&value)?;
            extensions.push(X509Extension::new_from_der(&oid, critical, &value)?);
            Ok(())
        };
        if let Some((authority, path_length)) = recipe.basic_constraints {
            let mut fields = Vec::new();
            if authority {
                fields.push(der(0x01, &[0xFF]));
            }
            if let Some(length) = path_length {
                fields.push(der(0x02, &[length]));
            }
            add(OID_BASIC_CONSTRAINTS, true, der(0x30, &fields.concat()))?;
        }
        if let Some(usage) = recipe.key_usage {
            add(OID_KEY_USAGE, true, der(0x03, usage))?;
        }
        if !recipe.ekus.is_empty() {
            let oids: Result<Vec<_>> = recipe.ekus.iter().copied().map(der_oid).collect();
            add(OID_EXTENDED_KEY_USAGE, false, der(0x30, &oids?.concat()))?;
        }
        let subject = key_id(&self.key(&recipe.key_id)?)?;
        add(OID_SUBJECT_KEY_ID, false, der(0x04, &subject))?;
        let authority = key_id(&self.key(&recipe.authority_id)?)?;
        add(
            OID_AUTHORITY_KEY_ID,
            false,
            der(0x30, &der(0x80, &authority)),
        )?;
        for names in &recipe.sans {
            let mut value = Vec::new();
            for name in names {
                let text = der(0xA0, &der(0x0C, name.as_bytes()));
                value.extend(der(0xA0, &[der_oid(OID_CMA)?, text].concat()));
            }
            add(OID_SUBJECT_ALT_NAME, false, der(0x30, &value))?;
        }
        if recipe.hardware_identity {
            let entry = der(0x30, &der_oid(OID_HARDWARE_IDENTITY)?);
            add(OID_SPDM_EXTENSION, false, der(0x30, &entry))?;
        }
        if let Some(critical) = recipe.unknown {
            add(OID_UNKNOWN, critical, der(0x05, &[]))?;
        }
        Ok(extensions)
    }
}

/// A certificate, signed anew with ML-DSA, whose OID ends with `arc` (RFC 9881).
fn sign_again(certificate: &[u8], signer: &PKey<Private>, arc: u8) -> Result<Vec<u8>> {
    let algorithm = der(0x30, &der_oid(&format!("2.16.840.1.101.3.4.3.{arc}"))?);
    let (_, certificate, _) = element(certificate)?;
    let (_, fields, _) = element(certificate)?;
    // Of the fields the third is the algorithm: version, serial number, signature.
    let (version, _, rest) = element(fields)?;
    let (serial, _, rest) = element(rest)?;
    let (_, _, rest) = element(rest)?;
    let fields = der(0x30, &[version, serial, &algorithm, rest].concat());
    let mut signature = vec![0];
    signature.extend(sign_message(signer, &[], &fields)?);
    let signature = der(0x03, &signature);
    Ok(der(0x30, &[fields, algorithm, signature].concat()))
}

/// The first DER element: the whole of it, its content, and what follows it.
fn element(bytes: &[u8]) -> Result<(&[u8], &[u8], &[u8])> {
    let short = || anyhow!("a DER element past the end");
    let first = usize::from(*bytes.get(1).ok_or_else(short)?);
    let (header, length) = if first < 0x80 {
        (2, first)
    } else {
        let header = 2 + (first & 0x7F);
        let length = bytes.get(2..header).ok_or_else(short)?;
        let length = length
            .iter()
            .fold(0, |n, &byte| (n << 8) | usize::from(byte));
        (header, length)
    };
    let (whole, rest) = bytes.split_at_checked(header + length).ok_or_else(short)?;
    Ok((whole, &whole[header..], rest))
}

/// The key identifier: the first 20 bytes of the SHA-256 of the public key.
fn key_id(key: &PKey<Private>) -> Result<Vec<u8>> {
    let mut id = Hash::Sha256.digest(&key.public_key_to_der()?)?;
    id.truncate(20);
    Ok(id)
}

fn common_name(text: &str) -> Result<X509Name> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("O", "linux-spdm")?;
    name.append_entry_by_text("CN", text)?;
    Ok(name.build())
}

/// A DER element.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut element = vec![tag];
    let length = content.len().to_be_bytes();
    let leading = length.iter().take_while(|&&byte| byte == 0).count();
    let length = &length[leading..];
    match length {
        [] => element.push(0),
        [short] if *short < 0x80 => element.push(*short),
        // CAST: a length of at most eight bytes.
        long => {
            element.push(0x80 | long.len() as u8);
            element.extend(long);
        }
    }
    element.extend(content);
    element
}

fn der_oid(oid: &str) -> Result<Vec<u8>> {
    Ok(der(0x06, Asn1Object::from_str(oid)?.as_slice()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The maps are caches: whole after every insert, so a panic elsewhere does no harm.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Mode of a file that everybody may read.
const PUBLIC: u32 = 0o644;
/// Mode of a private key.
const PRIVATE: u32 = 0o600;

/// Writes a file beside `path`.
fn write_beside(path: &Path, mode: u32, content: &[u8]) -> Result<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let beside = path.with_extension(format!("{}-{number}.new", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)
        .with_context(|| format!("write {}", beside.display()))?;
    file.write_all(content)
        .with_context(|| format!("write {}", beside.display()))?;
    Ok(beside)
}

/// Writes a file that is there complete or not at all.
fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    let beside = write_beside(path, PUBLIC, content)?;
    fs::rename(&beside, path).with_context(|| format!("write {}", path.display()))
}

/// Reads a file, or writes what `make` makes; if another process was faster, takes its content.
fn read_or_make(path: &Path, mode: u32, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    match fs::read(path) {
        Ok(content) => return Ok(content),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    }
    let content = make()?;
    let beside = write_beside(path, mode, &content)?;
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    match linked {
        Ok(()) => Ok(content),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::read(path).with_context(|| format!("read {}", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("write {}", path.display())),
    }
}
