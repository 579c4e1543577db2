// SPDX-License-Identifier: GPL-2.0

//! Tests of the rules for certificate chains.

use crate::builder::*;
use crate::chain::{check, Profile, MAX_CERTIFICATES};
use crate::pci_identity::PciIdentity;
use spdm_core::algorithms::{Asym, BaseAsym, PqcAsym};
use spdm_core::trust::{CertificateModel, ChainError};

/// QEMU's NVMe drive.
const DEVICE: PciIdentity = PciIdentity {
    vendor: 0x1b36,
    device: 0x0010,
    class: 0x01_0802,
    revision: 0x02,
    subsystem: Some((0x1af4, 0x1100)),
    serial: None,
};

const PROFILE: Profile<'static> = Profile {
    now: NOW,
    asym: Asym::Base(BaseAsym::EcdsaP384),
    model: CertificateModel::Device,
    version: 0x12,
    device: Some(&DEVICE),
    name: None,
};

/// Checks certificates; returns the error and its detail.
fn check_bytes(bytes: &[u8], profile: &Profile<'_>) -> Result<(), (ChainError, String)> {
    check(bytes, profile).map_err(|refused| (refused.error, refused.detail().as_str().into()))
}

fn check_parts(chain: &[Parts]) -> Result<(), (ChainError, String)> {
    let bytes: Vec<u8> = chain.iter().flat_map(Parts::der).collect();
    check_bytes(&bytes, &PROFILE)
}

/// Expects that a chain is accepted.
#[track_caller]
fn accepted(chain: &[Parts]) {
    assert_eq!(check_parts(chain), Ok(()));
}

/// Expects that a chain is refused, for the certificate or name `detail`.
#[track_caller]
fn refused(chain: &[Parts], error: ChainError, detail: &str) {
    assert_eq!(check_parts(chain), Err((error, detail.into())));
}

/// Root, intermediate, leaf.
fn chain() -> [Parts; 3] {
    [
        Parts::ca("Root", "Root"),
        Parts::ca("Root", "Inter"),
        Parts::leaf("Inter", "Leaf"),
    ]
}

#[test]
fn accepts_chains_of_one_to_ten() {
    for len in 1..=MAX_CERTIFICATES {
        let mut certificates = vec![];
        let mut issuer = String::from("Root");
        for number in 1..len {
            let subject = if number == 1 {
                "Root".into()
            } else {
                format!("CA {number}")
            };
            certificates.push(Parts::ca(&issuer, &subject));
            issuer = subject;
        }
        certificates.push(Parts::leaf(&issuer, "Leaf"));
        accepted(&certificates);
        // Without the root.
        if len > 1 {
            accepted(&certificates[1..]);
        }
    }
}

#[test]
fn refuses_more_certificates() {
    // A loop: as long as one likes.
    let leaf = Parts::leaf("A", "Leaf");
    for len in [MAX_CERTIFICATES, 100] {
        let mut certificates = vec![];
        for number in 0..len {
            certificates.push(match number % 2 {
                0 => Parts::ca("B", "A"),
                _ => Parts::ca("A", "B"),
            });
        }
        certificates.push(leaf.clone());
        refused(&certificates, ChainError::TooLong, "");
    }
}

#[test]
fn refuses_what_is_no_chain() {
    let bytes: Vec<u8> = chain().iter().flat_map(Parts::der).collect();
    let malformed = Err((ChainError::Malformed, String::new()));
    assert_eq!(check_bytes(&[], &PROFILE), malformed);
    assert_eq!(
        check_bytes(&[bytes.clone(), vec![0]].concat(), &PROFILE),
        malformed
    );
    assert_eq!(
        check_bytes(&[bytes.clone(), vec![0x30, 0]].concat(), &PROFILE),
        malformed
    );
    let [root, inter, _] = chain();
    let boundaries = [root.der().len(), root.der().len() + inter.der().len()];
    for len in 0..bytes.len() {
        let result = check_bytes(&bytes[..len], &PROFILE);
        if boundaries.contains(&len) {
            // A CA at the end is no leaf.
            assert!(matches!(result, Err((ChainError::LeafIsCa, _))), "{len}");
        } else {
            assert_eq!(result, malformed, "{len}");
        }
    }
}

#[test]
fn no_flipped_byte_panics() {
    let bytes: Vec<u8> = chain().iter().flat_map(Parts::der).collect();
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[index] ^= 1 << bit;
            let _ = check_bytes(&bytes, &PROFILE);
        }
    }
}

#[test]
fn issuers_precede() {
    let [root, inter, leaf] = chain();
    refused(
        &[root.clone(), leaf.clone()],
        ChainError::BadCertificateSignature,
        "CN=Leaf",
    );
    refused(
        &[inter.clone(), root.clone(), leaf.clone()],
        ChainError::BadCertificateSignature,
        "CN=Root",
    );
    // Leaf first.
    refused(&[leaf, inter, root], ChainError::IssuerNotCa, "CN=Leaf");
}

#[test]
fn certificates_are_valid_now() {
    let bytes: Vec<u8> = chain().iter().flat_map(Parts::der).collect();
    let at = |now| check_bytes(&bytes, &Profile { now, ..PROFILE });
    // 2024-01-01 to 2029-01-01.
    let (from, to) = (1_704_067_200, 1_861_920_000);
    assert!(at(from).is_ok());
    assert!(at(to).is_ok());
    assert_eq!(
        at(from - 1),
        Err((ChainError::NotYetValid, "CN=Root".into()))
    );
    assert_eq!(at(to + 1), Err((ChainError::Expired, "CN=Root".into())));
    // No clock.
    assert_eq!(at(0), Err((ChainError::NotYetValid, "CN=Root".into())));
    for index in 0..3 {
        let mut chain = chain();
        chain[index].not_after = tlv(0x17, b"251231235959Z");
        let name = format!("CN={}", ["Root", "Inter", "Leaf"][index]);
        refused(&chain, ChainError::Expired, &name);
        chain[index].not_before = tlv(0x17, b"260101000001Z");
        chain[index].not_after = tlv(0x18, b"99991231235959Z");
        refused(&chain, ChainError::NotYetValid, &name);
    }
}

#[test]
fn issuers_are_cas() {
    for index in 0..2 {
        let name = ["CN=Root", "CN=Inter"][index];
        let with = |extension: Option<Vec<u8>>, usage: Option<u8>| {
            let mut chain = chain();
            chain[index].extensions = extension.into_iter().chain(usage.map(key_usage)).collect();
            chain
        };
        let ca = || Some(basic_constraints(true, None));
        accepted(&with(ca(), None));
        accepted(&with(ca(), Some(KEY_CERT_SIGN | DIGITAL_SIGNATURE)));
        refused(
            &with(ca(), Some(DIGITAL_SIGNATURE)),
            ChainError::IssuerNotCa,
            name,
        );
        refused(
            &with(None, Some(KEY_CERT_SIGN)),
            ChainError::IssuerNotCa,
            name,
        );
        refused(&with(None, None), ChainError::IssuerNotCa, name);
        let no_ca = Some(basic_constraints(false, None));
        refused(
            &with(no_ca, Some(KEY_CERT_SIGN)),
            ChainError::IssuerNotCa,
            name,
        );
    }
}

#[test]
fn path_length_is_kept() {
    let limited = |root: Option<u8>, inter: Option<u8>| {
        let mut chain = chain();
        chain[0].extensions[0] = basic_constraints(true, root);
        chain[1].extensions[0] = basic_constraints(true, inter);
        chain
    };
    accepted(&limited(Some(1), Some(0)));
    accepted(&limited(Some(1), None));
    accepted(&limited(None, Some(5)));
    refused(&limited(Some(0), None), ChainError::PathTooLong, "CN=Inter");
    refused(
        &limited(Some(0), Some(5)),
        ChainError::PathTooLong,
        "CN=Inter",
    );
    // A limit of an issuer further up holds for all that follow, whatever they say.
    let mut long = vec![
        Parts::ca("Root", "Root").replace(0, basic_constraints(true, Some(2))),
        Parts::ca("Root", "A").replace(0, basic_constraints(true, Some(9))),
        Parts::ca("A", "B"),
    ];
    let mut ok = long.clone();
    ok.push(Parts::leaf("B", "Leaf"));
    accepted(&ok);
    long.push(Parts::ca("B", "C"));
    long.push(Parts::leaf("C", "Leaf"));
    refused(&long, ChainError::PathTooLong, "CN=C");
    // A self-issued certificate does not count (RFC 5280 section 6.1.4 (l)).
    accepted(&[
        Parts::ca("Root", "Root"),
        Parts::ca("Root", "Inter").replace(0, basic_constraints(true, Some(0))),
        Parts::ca("Inter", "Inter"),
        Parts::leaf("Inter", "Leaf"),
    ]);
}

#[test]
fn unknown_critical_extensions_are_refused() {
    for index in 0..3 {
        let mut chain = chain();
        let unknown = |critical| extension("1.3.6.1.4.1.99999.1", critical, &[0x05, 0x00]);
        chain[index].extensions.push(unknown(false));
        accepted(&chain);
        chain[index].extensions.pop();
        chain[index].extensions.push(unknown(true));
        let name = format!("CN={}", ["Root", "Inter", "Leaf"][index]);
        refused(&chain, ChainError::UnknownCriticalExtension, &name);
    }
}

/// Checks a chain whose leaf is `leaf`.
fn check_leaf(leaf: Parts, profile: &Profile<'_>) -> Result<(), ChainError> {
    let [root, inter, _] = chain();
    let bytes: Vec<u8> = [root, inter, leaf].iter().flat_map(Parts::der).collect();
    check_bytes(&bytes, profile).map_err(|(error, _)| error)
}

#[test]
fn leaf_is_no_ca() {
    let leaf = Parts::leaf("Inter", "Leaf");
    for version in [0x10, 0x11, 0x12, 0x13] {
        let profile = Profile { version, ..PROFILE };
        assert_eq!(check_leaf(leaf.clone(), &profile), Ok(()));
        let ca = leaf
            .clone()
            .replace(BASIC_CONSTRAINTS, basic_constraints(true, None));
        assert_eq!(check_leaf(ca, &profile), Err(ChainError::LeafIsCa));
        let silent = check_leaf(leaf.clone().without(BASIC_CONSTRAINTS), &profile);
        if version >= 0x13 {
            assert_eq!(silent, Err(ChainError::LeafLacksBasicConstraints));
        } else {
            assert_eq!(silent, Ok(()));
        }
    }
}

#[test]
fn leaf_signs() {
    let leaf = Parts::leaf("Inter", "Leaf");
    let check = |leaf| check_leaf(leaf, &PROFILE);
    assert_eq!(
        check(leaf.clone().without(KEY_USAGE)),
        Err(ChainError::LeafKeyUsage)
    );
    for bits in [0x40, 0x20, KEY_CERT_SIGN, 0x7e] {
        let leaf = leaf.clone().replace(KEY_USAGE, key_usage(bits));
        assert_eq!(check(leaf), Err(ChainError::LeafKeyUsage));
    }
    let more = leaf
        .clone()
        .replace(KEY_USAGE, key_usage(DIGITAL_SIGNATURE | 0x60));
    assert_eq!(check(more), Ok(()));
}

#[test]
fn leaf_is_a_responder() {
    let leaf = Parts::leaf("Inter", "Leaf");
    let check = |leaf| check_leaf(leaf, &PROFILE);
    assert_eq!(check(leaf.clone().without(EXTENDED_KEY_USAGE)), Ok(()));
    let with = |purposes: &[&str]| {
        leaf.clone()
            .replace(EXTENDED_KEY_USAGE, extended_key_usage(purposes))
    };
    let (tls, requester, responder, any) = (
        "1.3.6.1.5.5.7.3.1",
        "1.3.6.1.4.1.412.274.4",
        "1.3.6.1.4.1.412.274.3",
        "2.5.29.37.0",
    );
    assert_eq!(check(with(&[any])), Ok(()));
    assert_eq!(check(with(&[tls, requester, responder])), Ok(()));
    assert_eq!(check(with(&[tls])), Err(ChainError::LeafExtendedKeyUsage));
    assert_eq!(
        check(with(&[requester])),
        Err(ChainError::LeafExtendedKeyUsage)
    );
}

#[test]
fn leaf_key_is_the_negotiated_one() {
    let keys = [
        (Asym::Base(BaseAsym::RsaSsa2048), rsa_key(2048)),
        (Asym::Base(BaseAsym::RsaPss2048), rsa_key(2048)),
        (Asym::Base(BaseAsym::RsaSsa3072), rsa_key(3072)),
        (Asym::Base(BaseAsym::RsaPss3072), rsa_key(3072)),
        (Asym::Base(BaseAsym::RsaSsa4096), rsa_key(4096)),
        (Asym::Base(BaseAsym::RsaPss4096), rsa_key(4096)),
        (
            Asym::Base(BaseAsym::EcdsaP256),
            ec_key("1.2.840.10045.3.1.7", 32),
        ),
        (Asym::Base(BaseAsym::EcdsaP384), ec_key("1.3.132.0.34", 48)),
        (Asym::Base(BaseAsym::EcdsaP521), ec_key("1.3.132.0.35", 66)),
        (
            Asym::Pqc(PqcAsym::MlDsa44),
            ml_dsa_key("2.16.840.1.101.3.4.3.17", 1312),
        ),
        (
            Asym::Pqc(PqcAsym::MlDsa65),
            ml_dsa_key("2.16.840.1.101.3.4.3.18", 1952),
        ),
        (
            Asym::Pqc(PqcAsym::MlDsa87),
            ml_dsa_key("2.16.840.1.101.3.4.3.19", 2592),
        ),
    ];
    for (asym, its_key) in &keys {
        let profile = Profile {
            asym: *asym,
            ..PROFILE
        };
        for (_, key) in &keys {
            let mut leaf = Parts::leaf("Inter", "Leaf");
            leaf.public_key = key.clone();
            let expected = if key == its_key {
                Ok(())
            } else {
                Err(ChainError::LeafKeyMismatch)
            };
            assert_eq!(check_leaf(leaf, &profile), expected);
        }
        for bits in [2047, 2049, 3071, 4095, 8192] {
            let mut leaf = Parts::leaf("Inter", "Leaf");
            leaf.public_key = rsa_key(bits);
            assert_eq!(check_leaf(leaf, &profile), Err(ChainError::LeafKeyMismatch));
        }
    }
}

/// Checks a leaf with other names in its subjectAltName.
fn check_names(names: &[&[u8]], device: &PciIdentity) -> Result<(), (ChainError, String)> {
    let leaf = Parts::leaf("Inter", "Leaf").replace(SUBJECT_ALT_NAME, subject_alt_name(names));
    let [root, inter, _] = chain();
    let bytes: Vec<u8> = [root, inter, leaf].iter().flat_map(Parts::der).collect();
    check_bytes(
        &bytes,
        &Profile {
            device: Some(device),
            ..PROFILE
        },
    )
}

#[test]
fn leaf_names_the_device() {
    let check = |name: &str| check_names(&[&cma_name(name)], &DEVICE);
    assert_eq!(check(DEVICE_NAME), Ok(()));
    for other in [
        "Vendor=1b37:Device=0010:CC=010802:REV=02:SSVID=1af4:SSID=1100",
        "Vendor=1b36:Device=0011:CC=010802:REV=02:SSVID=1af4:SSID=1100",
        "Vendor=1b36:Device=0010:CC=010803:REV=02:SSVID=1af4:SSID=1100",
        "Vendor=1b36:Device=0010:CC=010802:REV=03:SSVID=1af4:SSID=1100",
        "Vendor=1b36:Device=0010:CC=010802:REV=02:SSVID=1af5:SSID=1100",
        "Vendor=1b36:Device=0010:CC=010802:REV=02:SSVID=1af4:SSID=1101",
        // Odd case, other widths, other order, parts missing or too much.
        "Vendor=1B36:Device=0010:CC=010802:REV=02:SSVID=1AF4:SSID=1100",
        "vendor=1b36:device=0010:cc=010802:rev=02:ssvid=1af4:ssid=1100",
        "Vendor=1b36:Device=10:CC=010802:REV=02:SSVID=1af4:SSID=1100",
        "Vendor=01b36:Device=0010:CC=010802:REV=02:SSVID=1af4:SSID=1100",
        "Device=0010:Vendor=1b36:CC=010802:REV=02:SSVID=1af4:SSID=1100",
        "Vendor=1b36:Device=0010:CC=010802:REV=02",
        "Vendor=1b36:Device=0010:CC=010802:REV=02:SSVID=1af4:SSID=110",
        "Vendor=1b36:Device=0010:CC=010802:REV=02:SSVID=1af4:SSID=1100:",
        "Vendor=1b36:Device=0010:CC=010802:REV=02:SSVID=1af4:SSID=1100 ",
        "Vendor=1b36:Device=0010:CC=010802:REV=02:SSVID=1af4:SSID=1100:0000000000000000",
        "Vendor=1b36:Device=0010:CC=010802:REV=02:SSVID=1af4:SSID=1100:SSID=1100",
        "",
    ] {
        assert_eq!(
            check(other),
            Err((ChainError::SubjectAltNameMismatch, other.into()))
        );
    }
    // The name cannot end the line that shows it.
    assert_eq!(
        check("Vendor=1b36\nauthenticated\0"),
        Err((
            ChainError::SubjectAltNameMismatch,
            "Vendor=1b36\\x0aauthenticated\\x00".into()
        ))
    );
}

#[test]
fn leaf_has_one_cma_name() {
    let missing = Err((ChainError::SubjectAltNameMissing, "CN=Leaf".into()));
    let own = cma_name(DEVICE_NAME);
    let dns = tlv(0x82, b"device.example.com");
    let text = tlv(0x0c, DEVICE_NAME.as_bytes());
    let check = |names: &[&[u8]]| check_names(names, &DEVICE);
    assert_eq!(check(&[&dns, &own]), Ok(()));
    assert_eq!(check(&[&dns]), missing);
    assert_eq!(check(&[&other_name("2.23.148", &text)]), missing);
    assert_eq!(check(&[&own, &own]), missing);
    assert_eq!(check(&[&own, &cma_name("Vendor=0000")]), missing);
    let without = Parts::leaf("Inter", "Leaf").without(SUBJECT_ALT_NAME);
    assert_eq!(
        check_leaf(without, &PROFILE),
        Err(ChainError::SubjectAltNameMissing)
    );
}

#[test]
fn leaf_has_the_name_that_is_wanted() {
    let check = |names: &[&[u8]], name| {
        let leaf = Parts::leaf("Inter", "Leaf").replace(SUBJECT_ALT_NAME, subject_alt_name(names));
        check_leaf(
            leaf,
            &Profile {
                device: None,
                name,
                ..PROFILE
            },
        )
    };
    let (own, cma) = (dmtf_name("ACME:WIDGET:1"), cma_name(DEVICE_NAME));
    let wanted = Some(&b"ACME:WIDGET:1"[..]);
    assert_eq!(check(&[&own], wanted), Ok(()));
    assert_eq!(check(&[&cma, &own], wanted), Ok(()));
    assert_eq!(check(&[&cma], None), Ok(()));
    let missing = Err(ChainError::SubjectAltNameMissing);
    assert_eq!(check(&[&cma], wanted), missing);
    assert_eq!(check(&[&own, &own], wanted), missing);
    let mismatch = Err(ChainError::SubjectAltNameMismatch);
    for other in [
        "ACME:WIDGET:2",
        "ACME:WIDGET:1 ",
        "ACME:WIDGET:",
        "",
        "acme:widget:1",
    ] {
        assert_eq!(check(&[&dmtf_name(other)], wanted), mismatch);
    }
}

#[test]
fn only_pci_functions_are_named() {
    let profile = Profile {
        device: None,
        ..PROFILE
    };
    let leaf = Parts::leaf("Inter", "Leaf").without(SUBJECT_ALT_NAME);
    assert_eq!(check_leaf(leaf, &profile), Ok(()));
    // The other rules hold all the same.
    let leaf = Parts::leaf("Inter", "Leaf").without(KEY_USAGE);
    assert_eq!(check_leaf(leaf, &profile), Err(ChainError::LeafKeyUsage));
}

#[test]
fn names_follow_the_header_type_and_the_serial_number() {
    let model = "Vendor=8086:Device=abcd:CC=060400:REV=ff";
    let port = PciIdentity {
        vendor: 0x8086,
        device: 0xabcd,
        class: 0x06_0400,
        revision: 0xff,
        subsystem: None,
        serial: None,
    };
    assert!(port.is_named(model.as_bytes()));
    assert!(!port.is_named(format!("{model}:SSVID=0000:SSID=0000").as_bytes()));
    assert!(!port.is_named(format!("{model}:0011223344aabbcc").as_bytes()));

    let port = PciIdentity {
        serial: Some(0x0011_2233_44aa_bbcc),
        ..port
    };
    assert!(port.is_named(model.as_bytes()));
    assert!(port.is_named(format!("{model}:0011223344aabbcc").as_bytes()));
    for serial in [
        ":0011223344aabbcd",
        ":1011223344aabbcc",
        ":0011223344AABBCC",
        ":11223344aabbcc",
        ":0011223344aabbcc0",
        ":0011223344aabbc",
        "0011223344aabbcc",
        ":",
    ] {
        assert!(
            !port.is_named(format!("{model}{serial}").as_bytes()),
            "{serial}"
        );
    }

    let drive = PciIdentity {
        serial: Some(u64::MAX),
        ..DEVICE
    };
    assert!(drive.is_named(DEVICE_NAME.as_bytes()));
    assert!(drive.is_named(format!("{DEVICE_NAME}:ffffffffffffffff").as_bytes()));
    assert!(!drive.is_named(b"Vendor=1b36:Device=0010:CC=010802:REV=02:ffffffffffffffff"));
}

#[test]
fn c10_hardware_identity_in_an_alias_leaf() {
    let hardware = sequence(&[&sequence(&[&oid("1.3.6.1.4.1.412.274.2")])]);
    let mutable = sequence(&[&sequence(&[&oid("1.3.6.1.4.1.412.274.5")])]);
    let with = |mut parts: Parts, oids: &[u8]| {
        parts = parts.with(extension("1.3.6.1.4.1.412.274.6", false, oids));
        parts
    };
    let check_as = |model, chain: &[Parts]| {
        let profile = Profile { model, ..PROFILE };
        let bytes: Vec<u8> = chain.iter().flat_map(Parts::der).collect();
        check_bytes(&bytes, &profile).map_err(|(error, detail)| (error.name(), detail))
    };
    let [root, inter, leaf] = chain();
    let chain = [root, inter, with(leaf, &hardware)];
    for model in [
        CertificateModel::Unknown,
        CertificateModel::Device,
        CertificateModel::Generic,
    ] {
        assert_eq!(check_as(model, &chain), Ok(()));
    }
    assert_eq!(
        check_as(CertificateModel::Alias, &chain),
        Err(("leaf-hardware-identity", "CN=Leaf".into()))
    );
    // The device certificate that issued it has the OID, and another OID does no harm.
    let [root, inter, leaf] = self::chain();
    let chain = [root, with(inter, &hardware), with(leaf, &mutable)];
    assert_eq!(check_as(CertificateModel::Alias, &chain), Ok(()));
}
