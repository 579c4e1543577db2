// SPDX-License-Identifier: GPL-2.0

//! Tests with certificates that somebody else's code made.

use crate::builder::{tlv, DEVICE_NAME};
use crate::chain::{check, Profile};
use crate::pci_identity::PciIdentity;
use crate::x509::{Certificates, KeyKind, OtherName};
use openssl::asn1::{Asn1Integer, Asn1Object, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
    SubjectKeyIdentifier,
};
use openssl::x509::{X509Builder, X509NameBuilder, X509};
use spdm_core::algorithms::{Asym, BaseAsym};
use spdm_core::trust::CertificateModel;

/// Makes a key for `base_asym`.
fn key(base_asym: BaseAsym) -> PKey<Private> {
    let ec = |curve| {
        let group = EcGroup::from_curve_name(curve).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    };
    let rsa = |bits| PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
    match base_asym {
        BaseAsym::RsaSsa2048 | BaseAsym::RsaPss2048 => rsa(2048),
        BaseAsym::RsaSsa3072 | BaseAsym::RsaPss3072 => rsa(3072),
        BaseAsym::RsaSsa4096 | BaseAsym::RsaPss4096 => rsa(4096),
        BaseAsym::EcdsaP256 => ec(Nid::X9_62_PRIME256V1),
        BaseAsym::EcdsaP384 => ec(Nid::SECP384R1),
        BaseAsym::EcdsaP521 => ec(Nid::SECP521R1),
    }
}

/// Makes a certificate; without an issuer, a self-signed one.
fn certificate(
    subject: &str,
    key: &PKey<Private>,
    issuer: Option<(&X509, &PKey<Private>)>,
    ca: bool,
) -> X509 {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("C", "DE").unwrap();
    name.append_entry_by_text("O", "Example").unwrap();
    name.append_entry_by_text("CN", subject).unwrap();
    let name = name.build();

    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    // A serial number whose top bit is set: encoded with a zero in front.
    let serial = BigNum::from_hex_str("f123456789abcdef0123").unwrap();
    builder
        .set_serial_number(&Asn1Integer::from_bn(&serial).unwrap())
        .unwrap();
    builder.set_subject_name(&name).unwrap();
    builder
        .set_issuer_name(issuer.map_or(&name, |(issuer, _)| issuer.subject_name()))
        .unwrap();
    builder
        .set_not_before(&Asn1Time::from_unix(1_700_000_000).unwrap())
        .unwrap();
    // After 2049: a GeneralizedTime.
    builder
        .set_not_after(&Asn1Time::from_unix(4_000_000_000).unwrap())
        .unwrap();
    builder.set_pubkey(key).unwrap();

    let mut constraints = BasicConstraints::new();
    constraints.critical();
    let mut usage = KeyUsage::new();
    usage.critical();
    if ca {
        constraints.ca().pathlen(3);
        usage.key_cert_sign().crl_sign();
    } else {
        usage.digital_signature().non_repudiation();
        let purposes = ExtendedKeyUsage::new()
            .client_auth()
            .other("1.3.6.1.4.1.412.274.3")
            .build()
            .unwrap();
        builder.append_extension(purposes).unwrap();
        let context = builder.x509v3_context(None, None);
        let names = SubjectAlternativeName::new()
            .dns("device.example.com")
            .other_name2(
                Asn1Object::from_str("2.23.147").unwrap(),
                &tlv(0x0c, DEVICE_NAME.as_bytes()),
            )
            .build(&context)
            .unwrap();
        builder.append_extension(names).unwrap();
    }
    builder
        .append_extension(constraints.build().unwrap())
        .unwrap();
    builder.append_extension(usage.build().unwrap()).unwrap();
    let context = builder.x509v3_context(issuer.map(|(issuer, _)| &**issuer), None);
    let key_id = SubjectKeyIdentifier::new().build(&context).unwrap();
    builder.append_extension(key_id).unwrap();
    if issuer.is_some() {
        let context = builder.x509v3_context(issuer.map(|(issuer, _)| &**issuer), None);
        let authority = AuthorityKeyIdentifier::new()
            .keyid(true)
            .issuer(true)
            .build(&context)
            .unwrap();
        builder.append_extension(authority).unwrap();
    }
    builder
        .sign(issuer.map_or(key, |(_, key)| key), MessageDigest::sha384())
        .unwrap();
    builder.build()
}

/// Makes root, intermediate and a leaf whose key is for `base_asym`.
fn chain(base_asym: BaseAsym) -> [X509; 3] {
    let keys = [BaseAsym::RsaSsa2048, BaseAsym::EcdsaP256, base_asym].map(key);
    let root = certificate("Root", &keys[0], None, true);
    let inter = certificate("Intermediate", &keys[1], Some((&root, &keys[0])), true);
    let leaf = certificate("Device", &keys[2], Some((&inter, &keys[1])), false);
    [root, inter, leaf]
}

#[test]
fn reads_what_openssl_made() {
    let device = PciIdentity {
        vendor: 0x1b36,
        device: 0x0010,
        class: 0x01_0802,
        revision: 0x02,
        subsystem: Some((0x1af4, 0x1100)),
        serial: None,
    };
    for (base_asym, kind) in [
        (BaseAsym::RsaSsa2048, KeyKind::Rsa(2048)),
        (BaseAsym::RsaSsa3072, KeyKind::Rsa(3072)),
        (BaseAsym::RsaSsa4096, KeyKind::Rsa(4096)),
        (BaseAsym::EcdsaP256, KeyKind::P256),
        (BaseAsym::EcdsaP384, KeyKind::P384),
        (BaseAsym::EcdsaP521, KeyKind::P521),
    ] {
        let chain = chain(base_asym);
        let bytes: Vec<u8> = chain.iter().flat_map(|one| one.to_der().unwrap()).collect();
        let mut certificates = Certificates::new(&bytes);
        for made in &chain {
            let read = certificates.read().unwrap();
            assert_eq!(read.raw, made.to_der().unwrap());
            assert_eq!(read.signature, made.signature().as_slice());
            assert_eq!(read.not_before, 1_700_000_000);
            assert_eq!(read.not_after, 4_000_000_000);
            assert_eq!(
                read.public_key.raw,
                made.public_key().unwrap().public_key_to_der().unwrap()
            );
            let name = made.subject_name().entries_by_nid(Nid::COMMONNAME).next();
            assert_eq!(
                read.subject.common_name(),
                Some(name.unwrap().data().as_slice())
            );
            let leaf = std::ptr::eq(made, &chain[2]);
            if leaf {
                assert_eq!(read.public_key.kind, kind);
            }
            let constraints = read.extensions.basic_constraints.unwrap();
            assert_eq!(constraints.ca, !leaf);
            assert_eq!(constraints.path_length, (!leaf).then_some(3));
            let usage = read.extensions.key_usage.unwrap();
            assert_eq!(usage.digital_signature, leaf);
            assert_eq!(usage.certificate_signature, !leaf);
            let expected = if leaf {
                OtherName::One(DEVICE_NAME.as_bytes())
            } else {
                OtherName::Absent
            };
            assert_eq!(read.extensions.cma_name, expected);
            assert!(!read.extensions.unknown_critical);
        }
        assert!(certificates.is_empty());

        let profile = Profile {
            now: 1_800_000_000,
            asym: Asym::Base(base_asym),
            model: CertificateModel::Device,
            version: 0x13,
            device: Some(&device),
            name: None,
        };
        assert!(check(&bytes, &profile).is_ok());
    }
}

#[test]
fn truncation_and_flipped_bytes_of_a_real_certificate() {
    let [_, _, leaf] = chain(BaseAsym::EcdsaP384);
    let der = leaf.to_der().unwrap();
    for len in 0..der.len() {
        assert!(Certificates::new(&der[..len]).read().is_err(), "{len}");
    }
    for index in 0..der.len() {
        for mask in 1..=0xff {
            let mut der = der.clone();
            der[index] ^= mask;
            let mut certificates = Certificates::new(&der);
            while !certificates.is_empty() && certificates.read().is_ok() {}
        }
    }
}
