// SPDX-License-Identifier: GPL-2.0

//! Tests of the certificate reader.

use crate::builder::*;
use crate::der::Malformed;
use crate::x509::*;

/// Reads one certificate and expects the end.
fn read(der: &[u8]) -> Result<Certificate<'_>, Malformed> {
    let mut certificates = Certificates::new(der);
    let certificate = certificates.read()?;
    if !certificates.is_empty() {
        return Err(Malformed);
    }
    assert_eq!(certificate.raw, der);
    Ok(certificate)
}

/// Expects that a certificate is refused.
#[track_caller]
fn refused(parts: &Parts) {
    assert!(read(&parts.der()).is_err());
}

#[test]
fn reads_a_leaf() {
    let parts = Parts::leaf("Issuer", "Leaf");
    let der = parts.der();
    let leaf = read(&der).unwrap();
    assert!(leaf.signed.len() < der.len());
    assert_eq!(leaf.signed[0], 0x30);
    assert_eq!(leaf.serial, [0x17]);
    assert!(parts.issuer.ends_with(leaf.issuer.octets()));
    assert_eq!(leaf.issuer.octets().len(), parts.issuer.len() - 2);
    assert_eq!(leaf.signature, [0x30, 0x00]);
    assert_eq!(leaf.issuer.common_name(), Some(&b"Issuer"[..]));
    assert_eq!(leaf.subject.common_name(), Some(&b"Leaf"[..]));
    assert!(!leaf.is_self_issued());
    assert_eq!(leaf.not_before, 1_704_067_200);
    assert_eq!(leaf.not_after, 1_861_920_000);
    assert_eq!(leaf.public_key.raw, parts.public_key);
    assert!(parts.public_key.ends_with(leaf.public_key.octets));
    assert_eq!(leaf.public_key.octets.len(), 97);
    assert_eq!(leaf.public_key.kind, KeyKind::P384);
    let extensions = leaf.extensions;
    assert_eq!(
        extensions.basic_constraints,
        Some(BasicConstraints {
            ca: false,
            path_length: None
        })
    );
    assert_eq!(
        extensions.key_usage,
        Some(KeyUsage {
            digital_signature: true,
            certificate_signature: false
        })
    );
    assert_eq!(
        extensions.extended_key_usage,
        Some(ExtendedKeyUsage {
            any: false,
            responder: true
        })
    );
    assert_eq!(extensions.cma_name, OtherName::One(DEVICE_NAME.as_bytes()));
    assert!(!extensions.hardware_identity);
    assert!(!extensions.unknown_critical);
}

#[test]
fn reads_a_root() {
    let der = Parts::ca("Root", "Root").der();
    let root = read(&der).unwrap();
    assert!(root.is_self_issued());
    assert_eq!(root.extensions.cma_name, OtherName::Absent);
    assert_eq!(
        root.extensions.key_usage,
        Some(KeyUsage {
            digital_signature: false,
            certificate_signature: true
        })
    );
}

#[test]
fn reads_certificates_one_after_the_other() {
    let (a, b) = (Parts::ca("A", "A").der(), Parts::leaf("A", "B").der());
    let both = [&a[..], &b].concat();
    let mut certificates = Certificates::new(&both);
    assert_eq!(certificates.read().unwrap().raw, a);
    assert!(!certificates.is_empty());
    assert_eq!(certificates.read().unwrap().raw, b);
    assert!(certificates.is_empty());
    assert!(certificates.read().is_err());
}

#[test]
fn refuses_truncation_at_every_length() {
    let der = Parts::leaf("Issuer", "Leaf").der();
    for len in 0..der.len() {
        assert!(read(&der[..len]).is_err(), "{len}");
    }
    // Also with the outer lengths made right again.
    let parts = Parts::leaf("Issuer", "Leaf");
    for index in 0..parts.extensions.len() {
        let extension = &parts.extensions[index];
        for len in 1..extension.len() {
            refused(&parts.clone().replace(index, extension[..len].to_vec()));
        }
    }
}

#[test]
fn refuses_trailing_bytes_everywhere() {
    let with = |bytes: &[u8]| [bytes, &[0x05, 0x00]].concat();
    let parts = Parts::leaf("Issuer", "Leaf");
    assert!(read(&with(&parts.der())).is_err());
    for change in [
        (|parts, with| parts.signature = with(&parts.signature))
            as fn(&mut Parts, &dyn Fn(&[u8]) -> Vec<u8>),
        |parts, with| parts.not_after = with(&parts.not_after),
        |parts, with| parts.public_key = with(&parts.public_key),
        |parts, with| parts.unique_ids = with(&parts.unique_ids),
        |parts, with| parts.version = tlv(0xa0, &with(&[0x02, 0x01, 0x02])),
        |parts, with| {
            let value = with(&sequence(&[]));
            parts.extensions[BASIC_CONSTRAINTS] = extension("2.5.29.19", true, &value);
        },
        |parts, with| {
            let value = with(&tlv(0x03, &[7, 0x80]));
            parts.extensions[KEY_USAGE] = extension("2.5.29.15", true, &value);
        },
        |parts, with| {
            let value = with(&sequence(&[&oid("2.5.29.37.0")]));
            parts.extensions[EXTENDED_KEY_USAGE] = extension("2.5.29.37", true, &value);
        },
        |parts, with| {
            let value = with(&sequence(&[&cma_name(DEVICE_NAME)]));
            parts.extensions[SUBJECT_ALT_NAME] = extension("2.5.29.17", true, &value);
        },
        |parts, with| {
            let value = sequence(&[&oid("2.5.29.15"), &with(&tlv(0x04, &[3, 2, 7, 0x80]))]);
            parts.extensions[KEY_USAGE] = value;
        },
    ] {
        let mut changed = parts.clone();
        change(&mut changed, &with);
        refused(&changed);
    }
    assert!(read(&parts.der()).is_ok());
}

#[test]
fn refuses_other_versions() {
    let mut parts = Parts::leaf("Issuer", "Leaf");
    for version in [
        vec![],
        tlv(0xa0, &[0x02, 0x01, 0x00]),
        tlv(0xa0, &[0x02, 0x01, 0x01]),
        tlv(0xa0, &[0x02, 0x01, 0x03]),
        tlv(0xa0, &[0x02, 0x02, 0x00, 0x02]),
        tlv(0xa0, &[]),
    ] {
        parts.version = version;
        refused(&parts);
    }
}

#[test]
fn signatures_are_whole_octets() {
    let mut parts = Parts::leaf("Issuer", "Leaf");
    parts.signature = tlv(0x03, &[0x01, 0x30, 0x00]);
    refused(&parts);
}

#[test]
fn signature_algorithms_must_agree() {
    let mut parts = Parts::leaf("Issuer", "Leaf");
    parts.outer_algorithm = sequence(&[&oid("1.2.840.10045.4.3.2")]);
    refused(&parts);
    let mut parts = Parts::leaf("Issuer", "Leaf");
    parts.inner_algorithm = sequence(&[&oid("1.2.840.10045.4.3.3"), &tlv(0x05, &[])]);
    refused(&parts);
}

#[test]
fn unique_identifiers_are_skipped() {
    let mut parts = Parts::leaf("Issuer", "Leaf");
    parts.unique_ids = [tlv(0x81, &[0, 1]), tlv(0x82, &[0, 2])].concat();
    assert!(read(&parts.der()).is_ok());
    parts.unique_ids = [tlv(0x82, &[0, 2]), tlv(0x81, &[0, 1])].concat();
    refused(&parts);
}

#[test]
fn knows_keys() {
    let kind = |public_key| {
        let mut parts = Parts::leaf("Issuer", "Leaf");
        parts.public_key = public_key;
        read(&parts.der()).map(|leaf| leaf.public_key.kind)
    };
    assert_eq!(kind(ec_key("1.2.840.10045.3.1.7", 32)), Ok(KeyKind::P256));
    assert_eq!(kind(ec_key("1.3.132.0.34", 48)), Ok(KeyKind::P384));
    assert_eq!(kind(ec_key("1.3.132.0.35", 66)), Ok(KeyKind::P521));
    assert_eq!(kind(ec_key("1.3.132.0.10", 32)), Ok(KeyKind::Other));
    for bits in [512, 1023, 1024, 2047, 2048, 2049, 3072, 4095, 4096, 16384] {
        assert_eq!(kind(rsa_key(bits)), Ok(KeyKind::Rsa(bits)));
    }
    // Ed25519.
    let ed25519 = sequence(&[&sequence(&[&oid("1.3.101.112")]), &tlv(0x03, &[0; 33])]);
    assert_eq!(kind(ed25519), Ok(KeyKind::Other));
    // Points of another size, compressed, or of no curve.
    assert_eq!(kind(ec_key("1.3.132.0.34", 32)), Err(Malformed));
    assert_eq!(kind(ec_key("1.3.132.0.34", 49)), Err(Malformed));
    let mut compressed = vec![0x00, 0x02];
    compressed.resize(2 + 96, 0x5a);
    let algorithm = sequence(&[&oid("1.2.840.10045.2.1"), &oid("1.3.132.0.34")]);
    let compressed = sequence(&[&algorithm, &tlv(0x03, &compressed)]);
    assert_eq!(kind(compressed), Err(Malformed));
    let no_curve = sequence(&[&sequence(&[&oid("1.2.840.10045.2.1")]), &tlv(0x03, &[0, 4])]);
    assert_eq!(kind(no_curve), Err(Malformed));
    // RSA without the NULL, with a negative modulus, and with something behind the exponent.
    let bits = sequence(&[&algorithm, &tlv(0x03, &[0x04, 0x04, 0x50])]);
    assert_eq!(kind(bits), Err(Malformed));
    let rsa = |algorithm: &[u8], numbers: &[&[u8]]| {
        let key = [&[0x00][..], &sequence(numbers)].concat();
        sequence(&[algorithm, &tlv(0x03, &key)])
    };
    let algorithm = sequence(&[&oid("1.2.840.113549.1.1.1"), &tlv(0x05, &[])]);
    let (n, e) = (tlv(0x02, &[0x7f; 256]), tlv(0x02, &[3]));
    assert_eq!(kind(rsa(&algorithm, &[&n, &e])), Ok(KeyKind::Rsa(2047)));
    assert_eq!(kind(rsa(&algorithm, &[&n, &e, &e])), Err(Malformed));
    assert_eq!(kind(rsa(&algorithm, &[&n])), Err(Malformed));
    assert_eq!(
        kind(rsa(&algorithm, &[&tlv(0x02, &[0x80; 256]), &e])),
        Err(Malformed)
    );
    let no_null = sequence(&[&oid("1.2.840.113549.1.1.1")]);
    assert_eq!(kind(rsa(&no_null, &[&n, &e])), Err(Malformed));
}

#[test]
fn knows_ml_dsa_keys() {
    let kinds = [
        ("2.16.840.1.101.3.4.3.17", 1312, KeyKind::MlDsa44),
        ("2.16.840.1.101.3.4.3.18", 1952, KeyKind::MlDsa65),
        ("2.16.840.1.101.3.4.3.19", 2592, KeyKind::MlDsa87),
    ];
    for (algorithm, size, kind) in kinds {
        let read = |key: &[u8]| PublicKey::new(key).map(|key| key.kind);
        assert_eq!(read(&ml_dsa_key(algorithm, size)), Ok(kind));
        for size in [0, 32, size - 1, size + 1, 2 * size] {
            assert_eq!(read(&ml_dsa_key(algorithm, size)), Err(Malformed));
        }
        for (_, other, _) in kinds {
            assert_eq!(read(&ml_dsa_key(algorithm, other)).is_ok(), size == other);
        }
        // RFC 9881 section 2: no parameters, not even NULL.
        let null = sequence(&[&oid(algorithm), &tlv(0x05, &[])]);
        let key = tlv(0x03, &vec![0; 1 + size]);
        assert_eq!(read(&sequence(&[&null, &key])), Err(Malformed));
    }
    // HashML-DSA-65 and SLH-DSA.
    for other in ["2.16.840.1.101.3.4.3.33", "2.16.840.1.101.3.4.3.20"] {
        let key = ml_dsa_key(other, 1952);
        assert_eq!(PublicKey::new(&key).map(|key| key.kind), Ok(KeyKind::Other));
    }
}

#[test]
fn reads_a_public_key_without_a_certificate() {
    let der = ec_key("1.3.132.0.34", 48);
    let key = PublicKey::new(&der).unwrap();
    assert_eq!((key.raw, key.kind), (&der[..], KeyKind::P384));
    for len in 0..der.len() {
        assert!(PublicKey::new(&der[..len]).is_err(), "{len}");
    }
    assert!(PublicKey::new(&[&der[..], b"\n"].concat()).is_err());
    assert!(PublicKey::new(&[&der[..], &der].concat()).is_err());
    assert!(PublicKey::new(b"-----BEGIN PUBLIC KEY-----").is_err());
    assert!(PublicKey::new(&Parts::leaf("Issuer", "Leaf").der()).is_err());
}

#[test]
fn basic_constraints_are_der() {
    let read_value = |value: &[u8]| {
        let parts =
            Parts::leaf("I", "L").replace(BASIC_CONSTRAINTS, extension("2.5.29.19", true, value));
        read(&parts.der()).map(|leaf| leaf.extensions.basic_constraints.unwrap())
    };
    let ca = |path_length| BasicConstraints {
        ca: true,
        path_length,
    };
    assert_eq!(read_value(&[0x30, 3, 1, 1, 0xff]), Ok(ca(None)));
    assert_eq!(read_value(&[0x30, 6, 1, 1, 0xff, 2, 1, 0]), Ok(ca(Some(0))));
    assert_eq!(
        read_value(&[0x30, 7, 1, 1, 0xff, 2, 2, 0x7f, 0xff]),
        Ok(ca(Some(0x7fff)))
    );
    for value in [
        // FALSE is the default, and left out.
        &[0x30, 3, 1, 1, 0][..],
        &[0x30, 3, 1, 1, 1],
        // A path length without being a CA.
        &[0x30, 3, 2, 1, 0],
        // A negative or endless one.
        &[0x30, 6, 1, 1, 0xff, 2, 1, 0xff],
        &[0x30, 10, 1, 1, 0xff, 2, 5, 1, 0, 0, 0, 0],
        &[0x30, 9, 1, 1, 0xff, 2, 1, 0, 2, 1, 0],
        &[0x31, 0],
        &[],
    ] {
        assert_eq!(read_value(value), Err(Malformed), "{value:x?}");
    }
}

#[test]
fn key_usage_is_der() {
    let read_value = |value: &[u8]| {
        let parts = Parts::leaf("I", "L").replace(KEY_USAGE, extension("2.5.29.15", true, value));
        read(&parts.der()).map(|leaf| leaf.extensions.key_usage.unwrap())
    };
    let usage = |digital_signature, certificate_signature| KeyUsage {
        digital_signature,
        certificate_signature,
    };
    assert_eq!(read_value(&[3, 2, 7, 0x80]), Ok(usage(true, false)));
    assert_eq!(read_value(&[3, 2, 2, 0x84]), Ok(usage(true, true)));
    assert_eq!(read_value(&[3, 2, 1, 0x06]), Ok(usage(false, true)));
    assert_eq!(read_value(&[3, 3, 7, 0x08, 0x80]), Ok(usage(false, false)));
    // Trailing zero bits change nothing, and no bit is no usage.
    assert_eq!(read_value(&[3, 3, 0, 0x84, 0]), Ok(usage(true, true)));
    assert_eq!(read_value(&[3, 2, 0, 0x80]), Ok(usage(true, false)));
    assert_eq!(read_value(&[3, 1, 0]), Ok(usage(false, false)));
    for value in [
        &[3, 0][..],
        &[3, 1, 1],
        &[3, 2, 8, 0x00],
        &[3, 2, 7, 0xc0],
        &[4, 2, 7, 0x80],
        &[],
    ] {
        assert_eq!(read_value(value), Err(Malformed), "{value:x?}");
    }
}

#[test]
fn reads_extended_key_usage() {
    let read_purposes = |purposes: &[&str]| {
        let parts = Parts::leaf("I", "L").replace(EXTENDED_KEY_USAGE, extended_key_usage(purposes));
        read(&parts.der()).map(|leaf| leaf.extensions.extended_key_usage.unwrap())
    };
    let usage = |any, responder| Ok(ExtendedKeyUsage { any, responder });
    assert_eq!(read_purposes(&["1.3.6.1.5.5.7.3.1"]), usage(false, false));
    assert_eq!(
        read_purposes(&["1.3.6.1.4.1.412.274.4"]),
        usage(false, false)
    );
    assert_eq!(
        read_purposes(&["1.3.6.1.4.1.412.274.4", "1.3.6.1.4.1.412.274.3"]),
        usage(false, true)
    );
    assert_eq!(read_purposes(&["2.5.29.37.0"]), usage(true, false));
    assert_eq!(read_purposes(&[]), Err(Malformed));
}

#[test]
fn reads_cma_names() {
    let read_names = |names: &[&[u8]]| {
        let parts = Parts::leaf("I", "L").replace(SUBJECT_ALT_NAME, subject_alt_name(names));
        let der = parts.der();
        read(&der).map(|leaf| match leaf.extensions.cma_name {
            OtherName::Absent => None,
            OtherName::One(name) => Some(String::from_utf8(name.to_vec()).unwrap()),
            OtherName::Several => Some("several".into()),
        })
    };
    let dmtf = dmtf_name("ACME:WIDGET:1");
    let dns = tlv(0x82, b"example.com");
    let directory = tlv(0xa4, &name("Device"));
    let one = cma_name("one");
    assert_eq!(read_names(&[&one]), Ok(Some("one".into())));
    assert_eq!(
        read_names(&[&dmtf, &dns, &one, &directory]),
        Ok(Some("one".into()))
    );
    assert_eq!(read_names(&[&dmtf, &dns]), Ok(None));
    assert_eq!(read_names(&[&one, &one]), Ok(Some("several".into())));
    assert_eq!(
        read_names(&[&one, &dns, &one, &one]),
        Ok(Some("several".into()))
    );
    assert_eq!(read_names(&[]), Err(Malformed));
    // Of another type, two in one, none in one, without the explicit tag.
    let text = tlv(0x0c, b"one");
    assert_eq!(
        read_names(&[&other_name("2.23.147", &tlv(0x13, b"one"))]),
        Err(Malformed)
    );
    let two = [&text[..], &text].concat();
    assert_eq!(read_names(&[&other_name("2.23.147", &two)]), Err(Malformed));
    assert_eq!(read_names(&[&other_name("2.23.147", &[])]), Err(Malformed));
    assert_eq!(
        read_names(&[&nest(0xa0, &[&oid("2.23.147"), &text])]),
        Err(Malformed)
    );
}

#[test]
fn refuses_duplicate_extensions() {
    let parts = Parts::leaf("Issuer", "Leaf");
    for extension in parts.extensions.clone() {
        refused(&parts.clone().with(extension));
    }
    let unknown = extension("1.2.3.4", false, &[1]);
    let once = parts.with(unknown);
    assert!(read(&once.der()).is_ok());
    refused(&once.with(extension("1.2.3.4", true, &[2])));
}

#[test]
fn notices_unknown_critical_extensions() {
    let unknown = |kind, critical| {
        let parts = Parts::leaf("I", "L").with(extension(kind, critical, &[0x05, 0x00]));
        let der = parts.der();
        read(&der).unwrap().extensions.unknown_critical
    };
    assert!(!unknown("1.2.3.4", false));
    assert!(unknown("1.2.3.4", true));
    // nameConstraints and policyConstraints, which nobody here would apply.
    assert!(unknown("2.5.29.30", true));
    assert!(unknown("2.5.29.36", true));
    // The kernel reads these.
    assert!(!unknown("2.5.29.14", true));
    assert!(!unknown("2.5.29.35", true));
}

#[test]
fn bounds_the_number_of_extensions() {
    let mut parts = Parts::leaf("Issuer", "Leaf");
    for number in parts.extensions.len()..32 {
        parts = parts.with(extension(&format!("1.2.3.{number}"), false, &[]));
    }
    assert!(read(&parts.der()).is_ok());
    refused(&parts.clone().with(extension("1.2.3.99", false, &[])));
    parts.extensions.clear();
    parts.unique_ids = tlv(0xa3, &sequence(&[]));
    refused(&parts);
}

#[test]
fn notices_the_hardware_identity() {
    let read_oids = |oids: &[&[u8]]| {
        let parts =
            Parts::leaf("I", "L").with(extension("1.3.6.1.4.1.412.274.6", false, &sequence(oids)));
        read(&parts.der()).map(|leaf| leaf.extensions.hardware_identity)
    };
    let hardware = sequence(&[&oid("1.3.6.1.4.1.412.274.2")]);
    let mutable = sequence(&[&oid("1.3.6.1.4.1.412.274.5"), &tlv(0x04, &[1])]);
    assert_eq!(read_oids(&[&hardware]), Ok(true));
    assert_eq!(read_oids(&[&mutable, &hardware]), Ok(true));
    assert_eq!(read_oids(&[&mutable]), Ok(false));
    assert_eq!(read_oids(&[&tlv(0x05, &[])]), Err(Malformed));
}

#[test]
fn names_for_people() {
    let common_name = |name: Vec<u8>| {
        let mut parts = Parts::leaf("I", "L");
        parts.subject = name;
        let der = parts.der();
        read(&der)
            .unwrap()
            .subject
            .common_name()
            .map(<[u8]>::to_vec)
    };
    let attribute = |kind, text: &[u8]| tlv(0x31, &sequence(&[&oid(kind), &tlv(0x13, text)]));
    let country = attribute("2.5.4.6", b"DE");
    assert_eq!(common_name(sequence(&[])), None);
    assert_eq!(common_name(sequence(&[&country])), None);
    let (a, b) = (attribute("2.5.4.3", b"a"), attribute("2.5.4.3", b"b"));
    assert_eq!(
        common_name(sequence(&[&country, &a, &b])),
        Some(b"b".to_vec())
    );
    // Broken names have no text, but hurt nobody.
    assert_eq!(common_name(sequence(&[&a, &[0x31, 0x05]])), None);
    assert_eq!(
        common_name(sequence(&[&tlv(0x31, &[0x02, 0x01, 0x00])])),
        None
    );
}

#[test]
fn no_flipped_byte_panics() {
    let der = Parts::leaf("Issuer", "Leaf").der();
    let mut read_anyway = 0;
    for index in 0..der.len() {
        for mask in 1..=0xff {
            let mut der = der.clone();
            der[index] ^= mask;
            read_anyway += u32::from(read(&der).is_ok());
        }
    }
    // Names, serial number, key and signature may be anything.
    assert!(read_anyway > 0);
}

#[test]
fn no_random_bytes_panic() {
    // xorshift64*
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    let seed = Parts::leaf("Issuer", "Leaf").der();
    for _ in 0..200_000 {
        let mut der = seed.clone();
        for _ in 0..next() % 6 {
            let index = next() as usize % der.len();
            match next() % 3 {
                0 => der[index] = next() as u8,
                1 => drop(der.remove(index)),
                _ => der.insert(index, next() as u8),
            }
        }
        let mut certificates = Certificates::new(&der);
        while !certificates.is_empty() && certificates.read().is_ok() {}
    }
}

#[test]
fn reads_dmtf_names() {
    let read_name = |names: &[&[u8]]| {
        let parts = Parts::leaf("I", "L").replace(SUBJECT_ALT_NAME, subject_alt_name(names));
        let der = parts.der();
        read(&der).map(|leaf| match leaf.extensions.dmtf_name {
            OtherName::One(name) => Some(name.to_vec()),
            OtherName::Absent | OtherName::Several => None,
        })
    };
    let (cma, one) = (cma_name("one"), dmtf_name("ACME:WIDGET:1"));
    assert_eq!(
        read_name(&[&cma, &one]),
        Ok(Some(b"ACME:WIDGET:1".to_vec()))
    );
    assert_eq!(read_name(&[&cma]), Ok(None));
    assert_eq!(read_name(&[&one, &one]), Ok(None));
    // Nobody need know it, so one that is no text is as good as none.
    let other = other_name("1.3.6.1.4.1.412.274.1", &tlv(0x13, b"ACME:WIDGET:1"));
    assert_eq!(read_name(&[&cma, &other]), Ok(None));
}
