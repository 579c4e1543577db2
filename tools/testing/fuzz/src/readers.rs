// SPDX-License-Identifier: GPL-2.0

//! What reads certificates and keys.

use crate::anchor::{Anchor, OpensslHash};
use crate::bench::pki;
use crate::keyring::chain::{self, Profile};
use crate::keyring::der::{tag, Reader};
use crate::keyring::pci_identity::PciIdentity;
use crate::keyring::pss;
use crate::keyring::x509::{Certificate, Certificates, OtherName, PublicKey};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer};
use openssl::x509::X509;
use spdm_core::{Asym, BaseAsym, BaseHash, CertChain, CertificateModel, TrustAnchor, Unsupported};
use spdm_responder::algorithm;
use spdm_responder::config::Config;
use spdm_responder::variant::VARIANTS;
use std::sync::OnceLock;

/// Certificates of a chain.
struct Chain {
    certificates: Vec<u8>,
    root_hash: Vec<u8>,
}

/// The chains that the test responder has, good ones and bad ones.
fn chains() -> Vec<Chain> {
    let identity = Config::new(0).identity();
    let chains = VARIANTS.iter().map(|variant| {
        let chain = pki().chain(algorithm::Asym::EcdsaP256, variant.variant, &identity);
        let bytes = chain.unwrap().to_spdm(algorithm::Hash::Sha256).unwrap();
        Chain {
            certificates: bytes[36..].to_vec(),
            root_hash: bytes[4..36].to_vec(),
        }
    });
    chains.collect()
}

fn each_certificate(chain: &[u8], mut each: impl FnMut(&Certificate<'_>)) {
    let mut certificates = Certificates::new(chain);
    while let Ok(certificate) = certificates.read() {
        each(&certificate);
    }
}

fn all_certificates(mut each: impl FnMut(&Certificate<'_>)) {
    for chain in chains() {
        each_certificate(&chain.certificates, &mut each);
    }
}

/// Encodes a value.
fn encode(tag: u8, value: &[u8]) -> Vec<u8> {
    let len = value.len().to_be_bytes();
    let octets = len
        .iter()
        .position(|&octet| octet != 0)
        .map_or(&len[7..], |at| &len[at..]);
    let mut out = vec![tag];
    if value.len() >= 0x80 {
        out.push(0x80 | octets.len() as u8);
    }
    out.extend(octets);
    out.extend(value);
    out
}

/// All of the reader, at every value that nests: what was read has one encoding.
pub fn der(input: &[u8]) {
    fn walk(bytes: &[u8], depth: usize) {
        let mut reader = Reader::new(bytes);
        let mut read = 0;
        while let Ok(element) = reader.any() {
            assert_eq!(encode(element.tag, element.value), element.raw);
            assert_eq!(bytes[read..][..element.raw.len()], *element.raw);
            let this = || Reader::new(element.raw);
            if let Ok(number) = this().unsigned() {
                assert!(number.is_empty() || number[0] != 0 || number.len() == 1);
            }
            if let Ok(number) = this().small_unsigned() {
                let octets = number.to_be_bytes();
                let unsigned = this().unsigned().unwrap();
                assert!(octets.ends_with(unsigned));
            }
            if let Ok((unused, octets)) = this().bit_string() {
                assert!(unused < 8 && (unused == 0 || !octets.is_empty()));
            }
            if this().object_identifier().is_ok() {
                assert_eq!(element.tag, tag::OBJECT_IDENTIFIER);
            }
            _ = this().integer();
            _ = this().default_false();
            _ = this().optional(element.tag).unwrap().unwrap();
            if depth > 0 {
                walk(element.value, depth - 1);
            }
            read += element.raw.len();
        }
        assert_eq!(reader.is_empty(), read == bytes.len());
    }
    walk(input, 8);
}

/// Whole certificates.
pub fn der_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    all_certificates(|certificate| seeds.push(certificate.raw.to_vec()));
    seeds.sort();
    seeds.dedup();
    seeds
}

/// Certificates, one after the other; OpenSSL understands those that it reads as we do.
pub fn x509(input: &[u8]) {
    let mut rest = input;
    each_certificate(input, |certificate| {
        let (raw, after) = rest.split_at(certificate.raw.len());
        assert_eq!(raw, certificate.raw);
        rest = after;
        _ = certificate.subject.common_name();
        let Ok(theirs) = X509::from_der(raw) else {
            return;
        };
        let names = theirs.issuer_name().try_cmp(theirs.subject_name());
        if certificate.is_self_issued() {
            assert!(names.is_ok_and(|order| order.is_eq()));
        }
        assert_eq!(theirs.version(), 2);
        assert!(certificate.signed.len() < raw.len());
    });
}

/// The same, that of a SubjectPublicKeyInfo.
pub fn public_key(input: &[u8]) {
    if let Ok(key) = PublicKey::new(input) {
        assert_eq!(key.raw, input);
        assert!(input.ends_with(key.octets));
    }
}

pub fn public_key_seeds() -> Vec<Vec<u8>> {
    let keys = algorithm::Asym::ALL.map(|asym| {
        let root = X509::from_der(&pki().root(asym).unwrap()).unwrap();
        root.public_key().unwrap().public_key_to_der().unwrap()
    });
    keys.into()
}

/// A certificate with these `extensions`.
fn certificate_with(extensions: &[u8]) -> Vec<u8> {
    static CHAIN: OnceLock<Chain> = OnceLock::new();
    let chain = CHAIN.get_or_init(|| chains().remove(0));
    let mut certificates = Certificates::new(&chain.certificates);
    let certificate = certificates.read().unwrap();
    let mut whole = Reader::new(certificate.raw)
        .constructed(tag::SEQUENCE)
        .unwrap();
    let mut fields = whole.constructed(tag::SEQUENCE).unwrap();
    let mut signed = Vec::new();
    while let Ok(field) = fields.any() {
        if field.tag != tag::context_constructed(3) {
            signed.extend(field.raw);
        }
    }
    signed.extend(encode(
        tag::context_constructed(3),
        &encode(tag::SEQUENCE, extensions),
    ));
    let mut parts = encode(tag::SEQUENCE, &signed);
    while let Ok(part) = whole.any() {
        parts.extend(part.raw);
    }
    encode(tag::SEQUENCE, &parts)
}

/// Extensions, one after the other.
pub fn extensions(input: &[u8]) {
    let certificate = certificate_with(input);
    if let Ok(read) = Certificates::new(&certificate).read() {
        assert!(!input.is_empty());
        let usage = read.extensions.basic_constraints;
        assert!(usage.is_none_or(|usage| usage.ca || usage.path_length.is_none()));
    }
}

/// Extensions of the certificates there are.
pub fn extensions_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    all_certificates(|certificate| {
        let mut fields = Reader::new(certificate.signed)
            .constructed(tag::SEQUENCE)
            .unwrap();
        while let Ok(field) = fields.any() {
            if field.tag == tag::context_constructed(3) {
                let list = Reader::new(field.value).any().unwrap();
                seeds.push(list.value.to_vec());
            }
        }
    });
    seeds.sort();
    seeds.dedup();
    seeds
}

const SUBJECT_ALT_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x1D, 0x11];

const DEVICE: PciIdentity = PciIdentity {
    vendor: 0x1b36,
    device: 0x0010,
    class: 0x01_0802,
    revision: 0x02,
    subsystem: Some((0x1af4, 0x1100)),
    serial: Some(0x0123_4567_89ab_cdef),
};

/// The value of subjectAltName, and the names in it.
pub fn subject_alt_name(input: &[u8]) {
    let value = [SUBJECT_ALT_NAME, &encode(tag::OCTET_STRING, input)].concat();
    let certificate = certificate_with(&encode(tag::SEQUENCE, &value));
    let Ok(read) = Certificates::new(&certificate).read() else {
        return;
    };
    if let OtherName::One(name) = read.extensions.cma_name {
        let model = b"Vendor=1b36:Device=0010:CC=010802:REV=02:SSVID=1af4:SSID=1100";
        let specimen = [&model[..], b":0123456789abcdef"].concat();
        assert_eq!(DEVICE.is_named(name), name == model || name == specimen);
    }
}

pub fn subject_alt_name_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for extensions in extensions_seeds() {
        let mut list = Reader::new(&extensions);
        while let Ok(mut extension) = list.constructed(tag::SEQUENCE) {
            let kind = extension.any().unwrap();
            let value = extension.any().unwrap();
            if kind.raw == SUBJECT_ALT_NAME {
                seeds.push(value.value.to_vec());
            }
        }
    }
    seeds
}

/// The rules for chains, in every model and version.
pub fn chain(input: &[u8]) {
    use CertificateModel::{Alias, Device, Generic, Unknown};
    let Some((&selector, certificates)) = input.split_first() else {
        return;
    };
    let model = [Unknown, Device, Alias, Generic][usize::from(selector) & 3];
    let profile = Profile {
        now: 1_800_000_000,
        asym: Asym::Base(BaseAsym::EcdsaP256),
        model,
        version: 0x10 + (selector >> 2) % 5,
        device: Some(&DEVICE),
        name: None,
    };
    match chain::check(certificates, &profile) {
        Ok(()) => {
            let mut count = 0;
            each_certificate(certificates, |_| count += 1);
            assert!((1..=chain::MAX_CERTIFICATES).contains(&count));
        }
        Err(refused) => _ = refused.detail(),
    }
}

pub fn chain_seeds() -> Vec<Vec<u8>> {
    let chains = chains().into_iter().enumerate();
    let seeds = chains.map(|(nth, chain)| [&[nth as u8], &chain.certificates[..]].concat());
    seeds.collect()
}

/// Chains, with their signatures and their root: none but those that were issued.
pub fn trusted_chain(input: &[u8]) {
    struct World {
        anchor: Anchor,
        chains: Vec<Chain>,
    }
    thread_local!(static WORLD: std::cell::RefCell<World> = std::cell::RefCell::new(World {
        anchor: Anchor::new(vec![
            X509::from_der(&pki().root(algorithm::Asym::EcdsaP256).unwrap()).unwrap(),
        ]),
        chains: chains(),
    }));
    let Some((&selector, certificates)) = input.split_first() else {
        return;
    };
    WORLD.with_borrow_mut(|world| {
        let nth = usize::from(selector) % world.chains.len();
        let chain = CertChain {
            slot: 0,
            base_hash: BaseHash::Sha256,
            root_hash: &world.chains[nth].root_hash,
            certificates,
            asym: Asym::Base(BaseAsym::EcdsaP256),
            model: CertificateModel::Device,
            version: 0x12,
        };
        if world.anchor.verify_chain(&chain).is_ok() {
            let issued = |chain: &Chain| chain.certificates == certificates;
            assert!(world.chains.iter().any(issued));
        }
    });
}

const MESSAGE: &[u8] = b"what is signed";

/// An encoded message of RSASSA-PSS.
pub fn pss(input: &[u8]) {
    let new = || Ok::<_, Unsupported>(OpensslHash::new(BaseHash::Sha256));
    let digest = OpensslHash::digest(BaseHash::Sha256, MESSAGE);
    let mut encoded = input.to_vec();
    if pss::is_encoding_of(&mut encoded, &digest, new).unwrap() {
        // 0x01 and the salt in front of the hash and the trailer.
        assert_eq!(input.last(), Some(&0xBC));
        assert_eq!(encoded[encoded.len() - 66], 0x01);
        assert!(encoded[..encoded.len() - 66]
            .iter()
            .all(|&octet| octet == 0));
    }
}

/// What OpenSSL's signatures encode.
pub fn pss_seeds() -> Vec<Vec<u8>> {
    let seeds = [2048, 3072].map(|bits| {
        let key = PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
        let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
        signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
        signer
            .set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)
            .unwrap();
        let signature = signer.sign_oneshot_to_vec(MESSAGE).unwrap();
        let mut encoded = vec![0; signature.len()];
        let rsa = key.rsa().unwrap();
        rsa.public_decrypt(&signature, &mut encoded, Padding::NONE)
            .unwrap();
        encoded
    });
    seeds.into()
}
