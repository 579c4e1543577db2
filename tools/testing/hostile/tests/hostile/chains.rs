// SPDX-License-Identifier: GPL-2.0

//! Every certificate chain that the responder has, with every signature algorithm.

use crate::bench::{Bench, AUTHENTICATED};
use spdm_responder::algorithm::Asym;
use spdm_responder::variant::{Variant, Verdict, VARIANTS};

/// What becomes of a chain in slot 0, in the version of the last digit.
fn expected(variant: Variant, minor: u8) -> &'static str {
    match variant {
        Variant::Ok
        | Variant::Len1
        | Variant::Len2
        | Variant::Len3
        | Variant::Len4
        | Variant::Len5
        | Variant::NoRoot
        | Variant::NoRoot3
        | Variant::NoRoot4
        | Variant::NoRoot5
        | Variant::NoExpiry
        | Variant::NoEku
        | Variant::ManyEkus
        | Variant::ExtraExtension
        | Variant::HardwareIdentity => AUTHENTICATED,
        // Mandatory from 1.3.
        Variant::NoBasicConstraints if minor < 3 => AUTHENTICATED,
        Variant::NoBasicConstraints => "leaf-lacks-basic-constraints: slot 0",
        Variant::Untrusted | Variant::UntrustedSameId | Variant::SelfSigned | Variant::Loop => {
            "untrusted-root: slot 0"
        }
        Variant::Stolen => "bad-signature: CHALLENGE",
        Variant::RootHash => "root-hash-mismatch: slot 0",
        Variant::Expired | Variant::ExpiredIntermediate => "certificate-expired: slot 0",
        Variant::NotYet => "certificate-not-yet-valid: slot 0",
        Variant::CaLeaf => "leaf-is-ca: slot 0",
        Variant::NoKeyUsage | Variant::WrongKeyUsage => "leaf-key-usage: slot 0",
        Variant::WrongEku => "leaf-extended-key-usage: slot 0",
        Variant::KeyMismatch => "leaf-key-mismatch: slot 0",
        // Several names are as good as none.
        Variant::NoSan | Variant::TwoSans => "subject-alt-name-missing: slot 0",
        Variant::OtherSan | Variant::OddCaseSan | Variant::LongSan => {
            "subject-alt-name-mismatch: slot 0"
        }
        Variant::PathLength => "path-too-long: slot 0",
        Variant::Hundred => "chain-too-long: slot 0",
        Variant::Reordered | Variant::IssuerNotCa | Variant::IssuerNoCertSign => {
            "issuer-not-ca: slot 0"
        }
        Variant::Gap | Variant::BadCertSignature | Variant::BadIntermediateSignature => {
            "bad-certificate-signature: slot 0"
        }
        Variant::UnknownCritical => "unknown-critical-extension: slot 0",
        Variant::LengthShort | Variant::LengthLong | Variant::NoCertificates => {
            "chain-length-mismatch: slot 0"
        }
        // Version 1 has no extensions; one extension must not be there twice (RFC 5280, 4.2).
        Variant::LeafV1
        | Variant::TwoSanExtensions
        | Variant::TrailingBytes
        | Variant::CutCertificate
        | Variant::Garbage => "malformed-certificate: slot 0",
    }
}

#[test]
fn every_chain_with_every_algorithm() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for asym in Asym::BASE {
        let mut bench = Bench::new(&format!("asym={asym} hash=sha256"));
        for minor in 0..5 {
            for info in VARIANTS {
                bench.set(&format!("version=1.{minor} slot0={}", info.name));
                let outcome = bench.attest();
                let expected = expected(info.variant, minor);
                if outcome.verdict != expected {
                    let (name, verdict) = (info.name, outcome.verdict);
                    wrong.push(format!(
                        "{name} {asym} 1.{minor}: {verdict}, not {expected}"
                    ));
                }
                // The responder's own table says the same.
                let good = expected == AUTHENTICATED;
                let lenient = info.variant == Variant::NoBasicConstraints && minor < 3;
                assert_eq!(good, info.verdict == Verdict::Good || lenient);
                count += 1;
            }
            bench.set("slot0=ok");
            bench.honest();
        }
        assert_eq!(bench.device(|device| device.stats().violations), 0);
    }
    assert!(wrong.is_empty(), "{} of {count}: {wrong:#?}", wrong.len());
    assert_eq!(count, VARIANTS.len() * 9 * 5);
}

#[test]
fn only_what_root_is_trusted_counts() {
    for (first, second) in [("untrusted", "ok"), ("expired", "len2"), ("garbage", "ok")] {
        let mut bench = Bench::new("asym=ecdsa-p256");
        bench.set(&format!("slot0={first} slot3={second}"));
        let outcome = bench.honest();
        assert_eq!(outcome.report.negotiated.slot, Some(3));
        // The chain that was refused leaves nothing behind.
        bench.set(&format!("slot0={first} slot3=none"));
        assert!(!bench.attest().is_authenticated());
    }
}
