// SPDX-License-Identifier: GPL-2.0

//! The certificate chains, judged by OpenSSL: the good ones are good, and each bad one has the
//! defect it is named after and no other.

mod requester;

use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509StoreContext, X509};
use requester::split_certificates;
use spdm_responder::algorithm::{
    is_pqc, sign_digest, sign_message, verify_digest, verify_message, Asym, Hash,
};
use spdm_responder::pki::{Identity, Pki, QEMU_NVME_SAN};
use spdm_responder::variant::{Variant, Verdict, VARIANTS};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Shared with the other tests: making RSA keys takes seconds.
fn pki() -> Pki {
    Pki::open(&directory("pki")).unwrap()
}

/// The extensions of a certificate as OpenSSL prints them, without blanks: name, then value.
fn extensions(certificate: &X509) -> Vec<(String, String)> {
    let text = String::from_utf8(certificate.to_text().unwrap()).unwrap();
    let mut extensions: Vec<(String, String)> = Vec::new();
    let lines = text
        .lines()
        .skip_while(|l| !l.contains("X509v3 extensions:"));
    for line in lines.skip(1) {
        let indent = line.len() - line.trim_start().len();
        if indent < 12 {
            break;
        }
        match (indent, extensions.last_mut()) {
            (12, _) => extensions.push((line.trim().to_owned(), String::new())),
            (_, Some(last)) => last.1.push_str(line.trim()),
            _ => {}
        }
    }
    extensions
}

/// What is wrong with a chain.
fn defects(asym: Asym, pki: &Pki, variant: Variant) -> Vec<String> {
    let identity = Identity::default();
    let chain = pki.chain(asym, variant, &identity).unwrap();
    let mut defects = Vec::new();
    let mut add = |what: &str| defects.push(what.to_owned());

    // Length, RootHash, and certificates to the last byte.
    let sent = chain.to_spdm(Hash::Sha384).unwrap();
    if usize::from(u16::from_le_bytes([sent[0], sent[1]])) != sent.len() {
        add("Length");
    }
    let root = pki.root(asym).unwrap();
    let hash = Hash::Sha384.digest(&root).unwrap();
    if sent[4..52] != hash {
        add("RootHash");
    }
    let certificates = match split_certificates(&sent[52..]) {
        Ok(certificates) => certificates,
        Err(error) => {
            add(&error);
            return defects;
        }
    };
    let Some(leaf) = certificates.last() else {
        add("no certificates");
        return defects;
    };

    // The path, by OpenSSL.
    let mut store = X509StoreBuilder::new().unwrap();
    store.add_cert(X509::from_der(&root).unwrap()).unwrap();
    store.set_flags(X509VerifyFlags::X509_STRICT).unwrap();
    let mut others = Stack::new().unwrap();
    for certificate in &certificates {
        others.push(certificate.clone()).unwrap();
    }
    let mut context = X509StoreContext::new().unwrap();
    let error = context
        .init(&store.build(), leaf, &others, |context| {
            Ok((!context.verify_cert()?).then(|| context.error()))
        })
        .unwrap();
    if let Some(error) = error {
        add(error.error_string());
    }
    // OpenSSL sorts; SPDM does not: each certificate is issued by the one before.
    for pair in certificates.windows(2) {
        let (issuer, subject) = (pair[0].subject_name(), pair[1].issuer_name());
        if issuer.try_cmp(subject).unwrap().is_ne() {
            add("order");
            break;
        }
    }
    if certificates.len() > 10 {
        add("too many certificates");
    }

    // The leaf, by the profile of DSP0274 and PCIe r6, 6.31.3.
    let extensions = extensions(leaf);
    let names: HashSet<_> = extensions.iter().map(|e| &e.0).collect();
    if names.len() != extensions.len() {
        add("an extension twice");
    }
    let value = |name: &str| {
        let mut values = extensions.iter().filter(|e| e.0.starts_with(name));
        values.next().map(|e| e.1.as_str())
    };
    match value("X509v3 Basic Constraints: critical") {
        Some("CA:FALSE") => {}
        Some(_) => add("leaf is a CA"),
        None => add("no basicConstraints"),
    }
    match value("X509v3 Key Usage: critical") {
        Some("Digital Signature") => {}
        Some(_) => add("keyUsage"),
        None => add("no keyUsage"),
    }
    match value("X509v3 Extended Key Usage") {
        Some(usage) if !usage.contains("1.3.6.1.4.1.412.274.3") => add("extendedKeyUsage"),
        _ => {}
    }
    match value("X509v3 Subject Alternative Name") {
        Some(name) if name == format!("othername: 2.23.147:{QEMU_NVME_SAN}") => {}
        Some(_) => add("subjectAltName"),
        None => add("no subjectAltName"),
    }

    // The key.
    let public = leaf.public_key().unwrap();
    let bits = match asym.of_keys() {
        Asym::Rsassa2048 => 2048,
        Asym::Rsassa3072 => 3072,
        Asym::Rsassa4096 => 4096,
        Asym::EcdsaP256 => 256,
        Asym::EcdsaP384 => 384,
        Asym::EcdsaP521 => 521,
        _ => 0,
    };
    let right = match asym.pqc() {
        Some((kind, _)) => public.is_a(kind),
        None => public.bits() == bits,
    };
    if !right {
        add("another algorithm");
    }
    let verified = if is_pqc(&chain.key) {
        let signature = sign_message(&chain.key, b"context", &[7; 100]).unwrap();
        verify_message(&public, b"context", &[7; 100], &signature)
    } else {
        let padding = asym.rsa_padding();
        let signature = sign_digest(&chain.key, (padding, None), Hash::Sha256, &[7; 32]).unwrap();
        verify_digest(&public, padding, Hash::Sha256, &[7; 32], &signature)
    };
    if !verified.unwrap() {
        add("not the key of the leaf");
    }
    defects
}

fn expected(variant: Variant) -> &'static [&'static str] {
    // In the order in which `defects` looks for them.
    match variant {
        Variant::Untrusted => &["RootHash", "self-signed certificate in certificate chain"],
        // Its key identifiers lead to the right root, whose key did not sign it.
        Variant::UntrustedSameId => &["RootHash", "certificate signature failure"],
        Variant::SelfSigned => &["RootHash", "self-signed certificate"],
        Variant::Stolen => &["not the key of the leaf"],
        Variant::RootHash => &["RootHash"],
        Variant::Expired | Variant::ExpiredIntermediate => &["certificate has expired"],
        Variant::NotYet => &["certificate is not yet valid"],
        Variant::CaLeaf => &["leaf is a CA"],
        Variant::NoKeyUsage => &["no keyUsage"],
        Variant::WrongKeyUsage => &["keyUsage"],
        Variant::WrongEku => &["extendedKeyUsage"],
        Variant::NoBasicConstraints => &["no basicConstraints"],
        Variant::LeafV1 => &["no basicConstraints", "no keyUsage", "no subjectAltName"],
        Variant::KeyMismatch => &["another algorithm"],
        Variant::NoSan => &["no subjectAltName"],
        Variant::OtherSan | Variant::TwoSans | Variant::OddCaseSan | Variant::LongSan => {
            &["subjectAltName"]
        }
        // OpenSSL takes a certificate with an extension twice for no candidate at all.
        Variant::TwoSanExtensions => &[
            "unable to get local issuer certificate",
            "an extension twice",
            "subjectAltName",
        ],
        Variant::PathLength => &["path length constraint exceeded"],
        Variant::Hundred => &["too many certificates"],
        Variant::Loop => &["unable to get local issuer certificate"],
        // Whoever takes the last certificate for the leaf looks at the root.
        Variant::Reordered => &[
            "order",
            "leaf is a CA",
            "keyUsage",
            "no subjectAltName",
            "not the key of the leaf",
        ],
        Variant::Gap => &["unable to get local issuer certificate", "order"],
        Variant::IssuerNotCa | Variant::IssuerNoCertSign => &["invalid CA certificate"],
        Variant::BadCertSignature | Variant::BadIntermediateSignature => {
            &["certificate signature failure"]
        }
        Variant::UnknownCritical => &["unhandled critical extension"],
        Variant::LengthShort | Variant::LengthLong => &["Length"],
        Variant::TrailingBytes | Variant::Garbage => &["no certificate"],
        Variant::CutCertificate => &["a certificate past the end"],
        Variant::NoCertificates => &["no certificates"],
        _ => &[],
    }
}

#[test]
fn every_variant_has_its_defect_and_no_other() {
    let pki = pki();
    let mut wrong = Vec::new();
    for asym in [Asym::EcdsaP384, Asym::EcdsaP256, Asym::EcdsaP521] {
        for info in VARIANTS {
            let expected = expected(info.variant);
            let found = defects(asym, &pki, info.variant);
            if found != expected {
                wrong.push(format!("{} {asym}: {found:?}", info.name));
            }
            let good = info.verdict == Verdict::Good;
            assert_eq!(expected.is_empty(), good, "{}", info.name);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn good_chains_of_every_algorithm() {
    let pki = pki();
    for asym in Asym::ALL {
        for variant in [Variant::Ok, Variant::Len1, Variant::NoRoot3] {
            assert!(defects(asym, &pki, variant).is_empty(), "{asym}");
        }
        let found = defects(asym, &pki, Variant::KeyMismatch);
        assert_eq!(found, ["another algorithm"], "{asym}");
    }
}

#[test]
fn lengths_are_what_they_are_called() {
    let pki = pki();
    for (variant, length, has_root) in [
        (Variant::Len1, 1, false),
        (Variant::Len2, 2, true),
        (Variant::Len3, 3, true),
        (Variant::Len4, 4, true),
        (Variant::Len5, 5, true),
        (Variant::NoRoot, 2, false),
        (Variant::NoRoot3, 3, false),
        (Variant::NoRoot4, 4, false),
        (Variant::NoRoot5, 5, false),
        (Variant::Hundred, 100, true),
    ] {
        let chain = pki.chain(Asym::EcdsaP256, variant, &Identity::default());
        let chain = chain.unwrap();
        assert_eq!(chain.certificates.len(), length);
        assert_eq!(chain.certificates[0] == chain.root, has_root);
        assert_eq!(chain.root, pki.root(Asym::EcdsaP256).unwrap());
    }
    // 64 KiB hold fewer with larger keys.
    let chain = pki.chain(Asym::Rsassa4096, Variant::Hundred, &Identity::default());
    let chain = chain.unwrap();
    assert!(chain.certificates.len() > 20);
    assert!(chain.to_spdm(Hash::Sha512).unwrap().len() < 0x10000);
}

#[test]
fn hardware_identity_and_unknown_extension_are_there() {
    let pki = pki();
    let leaf = |variant| {
        let chain = pki.chain(Asym::EcdsaP384, variant, &Identity::default());
        X509::from_der(chain.unwrap().certificates.last().unwrap()).unwrap()
    };
    let has = |certificate: &X509, name: &str| {
        let extensions = extensions(certificate);
        extensions.iter().any(|e| e.0.starts_with(name))
    };
    let extension = "1.3.6.1.4.1.412.274.6";
    assert!(has(&leaf(Variant::HardwareIdentity), extension));
    assert!(!has(&leaf(Variant::Ok), extension));
    assert!(has(&leaf(Variant::ExtraExtension), "2.999.274"));
    assert!(has(&leaf(Variant::UnknownCritical), "2.999.274: critical"));
    let until = leaf(Variant::NoExpiry).not_after().to_string();
    assert_eq!(until, "Dec 31 23:59:59 9999 GMT");
}

#[test]
fn another_device_has_another_key_and_name() {
    let pki = pki();
    let identity = Identity {
        san: "Vendor=8086:Device=1234:CC=020000:REV=01".to_owned(),
        key: 1,
    };
    let one = pki
        .chain(Asym::EcdsaP384, Variant::Ok, &Identity::default())
        .unwrap();
    let other = pki.chain(Asym::EcdsaP384, Variant::Ok, &identity).unwrap();
    assert!(!one.key.public_eq(&other.key));
    let leaf = X509::from_der(other.certificates.last().unwrap()).unwrap();
    let extensions = extensions(&leaf);
    assert!(extensions.iter().any(|e| e.1.ends_with(&identity.san)));
    // The same again, from memory and from the directory.
    let again = pki.chain(Asym::EcdsaP384, Variant::Ok, &identity).unwrap();
    assert_eq!(again.certificates, other.certificates);
    let reopened = self::pki();
    let again = reopened.chain(Asym::EcdsaP384, Variant::Ok, &identity);
    assert_eq!(again.unwrap().certificates, other.certificates);
}

#[test]
fn roots_are_kept_and_can_be_read() {
    let directory = directory("pki-roots");
    let _ = std::fs::remove_dir_all(&directory);
    let pki = Pki::open(&directory).unwrap();
    let root = pki.root(Asym::EcdsaP256).unwrap();
    assert_eq!(std::fs::read(pki.root_path(Asym::EcdsaP256)).unwrap(), root);
    let pem = std::fs::read(directory.join("roots/ecdsa-p256.pem")).unwrap();
    assert_eq!(X509::from_pem(&pem).unwrap().to_der().unwrap(), root);
    // Several at once find the same one.
    let roots: Vec<_> = (0..4)
        .map(|_| {
            let directory = directory.clone();
            std::thread::spawn(move || {
                let pki = Pki::open(&directory).unwrap();
                pki.root(Asym::EcdsaP521).unwrap()
            })
        })
        .collect();
    let roots: Vec<_> = roots.into_iter().map(|t| t.join().unwrap()).collect();
    assert!(roots.iter().all(|r| *r == roots[0]));
    // Without its keys a directory is a new one: certificates of lost keys are not served.
    std::fs::remove_dir_all(directory.join("keys")).unwrap();
    let pki = Pki::open(&directory).unwrap();
    assert_ne!(pki.root(Asym::EcdsaP256).unwrap(), root);
    let new = std::fs::read(pki.root_path(Asym::EcdsaP256)).unwrap();
    assert_eq!(new, pki.root(Asym::EcdsaP256).unwrap());
}
