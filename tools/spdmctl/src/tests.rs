// SPDX-License-Identifier: GPL-2.0

//! Evidence of attestations of the test responder, which shares no code with this program or the kernel's requester:
//! it is accepted as it is, and refused if anything about it is another.

use crate::file::{Evidence, CHALLENGE, INFO, MEASUREMENTS, VCA};
use crate::message::{hex, Negotiated, VERSION_12};
use crate::verify::{verify, Expected};
use openssl::sha::sha256;
use openssl::x509::X509;
use spdm_responder::config::Config;
use spdm_responder::device::{Device, Reply};
use spdm_responder::pki::Pki;
use std::sync::{Arc, OnceLock};

fn pki() -> Arc<Pki> {
    static PKI: OnceLock<Arc<Pki>> = OnceLock::new();
    // Below the build directory, so that keys are made once.
    let directory = std::env::current_exe()
        .unwrap()
        .with_file_name("spdmctl-pki");
    PKI.get_or_init(|| Arc::new(Pki::open(&directory).unwrap()))
        .clone()
}

/// A requester that does what has to be done, believes everything, and keeps what it saw.
struct Requester {
    device: Device,
    version: u8,
    transcript: Vec<u8>,
}

impl Requester {
    fn ask(&mut self, request: &[u8]) -> Vec<u8> {
        let Reply::Message(message) = self.device.respond(request).reply else {
            panic!("no answer to {}", hex(request));
        };
        assert_ne!(message[1], 0x7f, "{} to {}", hex(&message), hex(request));
        self.transcript.extend(request);
        self.transcript.extend(&message);
        message
    }

    fn message(&self, code: u8, param1: u8, param2: u8, rest: &[u8]) -> Vec<u8> {
        [&[self.version, code, param1, param2], rest].concat()
    }
}

/// What an attestation leaves, with that nonce.
fn evidence_of(words: &str, minor: u8, nonce: [u8; 32]) -> Evidence {
    let config = Config::new(0).changed(words).unwrap();
    let mut device = Device::new(pki(), config).unwrap();
    device.connected();
    let mut requester = Requester {
        device,
        version: 0x10,
        transcript: Vec::new(),
    };
    requester.ask(&[0x10, 0x84, 0, 0]);
    requester.version = 0x10 + minor;
    let capabilities = match minor {
        0 => Vec::new(),
        1 => vec![0; 8],
        _ => [&[0; 8], &[0, 0x12, 0, 0][..], &[0, 0x12, 0, 0]].concat(),
    };
    let request = requester.message(0xe1, 0, 0, &capabilities);
    requester.ask(&request);
    let opaque = if minor >= 2 { 2 } else { 0 };
    let pqc = if minor >= 4 { 7 } else { 0 };
    let mut algorithms = vec![32, 0, 1, opaque, 0xff, 1, 0, 0, 0x3f, 0, 0, 0, pqc];
    algorithms.resize(28, 0);
    let request = requester.message(0xe3, 0, 0, &algorithms);
    requester.ask(&request);
    let vca = requester.transcript.clone();
    let negotiated = Negotiated::from_vca(&vca).unwrap();
    let size = negotiated.asym.signature_size;

    let request = requester.message(0x81, 0, 0, &[]);
    requester.ask(&request);
    let mut chain = Vec::new();
    loop {
        let offset = (chain.len() as u16).to_le_bytes();
        let request = requester.message(0x82, 0, 0, &[&offset[..], &[0, 4]].concat());
        let portion = requester.ask(&request);
        chain.extend(&portion[8..]);
        if portion[6..8] == [0, 0] {
            break;
        }
    }
    let context: &[u8] = if minor >= 3 { b"requests" } else { b"" };
    let request = requester.message(0x83, 0, 0, &[&nonce, context].concat());
    requester.ask(&request);
    let challenge = std::mem::take(&mut requester.transcript);

    if negotiated.version >= VERSION_12 {
        requester.transcript = vca.clone();
    }
    let slot: &[u8] = if minor >= 1 { &[0] } else { &[] };
    let request = requester.message(0xe0, 1, 0xff, &[&nonce, slot, context].concat());
    requester.ask(&request);
    let measurements = requester.transcript;

    let header = 4 + negotiated.hash.size();
    let leaf = crate::verify::certificates(&chain[header..])
        .unwrap()
        .pop()
        .unwrap();
    let key = leaf.public_key().unwrap().public_key_to_der().unwrap();
    let field = if negotiated.asym.name.starts_with("mldsa") {
        "pqc_asym"
    } else {
        "base_asym"
    };
    let info = format!(
        "device=/devices/pci0000:00/0000:01:00.0\nname=pci-0000:01:00.0\nkernel=7.3\nformat=1\n\
        state=authenticated\nreason=\nversion={}\nbase_hash={}\n{field}={}\nslot=0\n\
        attested_at=1790000000000000000\nidentity={}\nchallenge_signature_size={size}\n\
        measurements_signature_size={size}\nmeasurements_status=signed\n",
        negotiated.version_text(),
        negotiated.hash.name,
        negotiated.asym.name,
        hex(&sha256(&key)),
    );
    let mut evidence = Evidence::default();
    evidence.append(0, &chain);
    evidence.append(VCA, &vca);
    evidence.append(MEASUREMENTS, &measurements);
    evidence.append(CHALLENGE, &challenge);
    evidence.append(INFO, info.as_bytes());
    evidence
}

fn expected(asym: &str) -> Expected {
    let root = pki().root(asym.parse().unwrap()).unwrap();
    Expected {
        roots: vec![X509::from_der(&root).unwrap()],
        ..Default::default()
    }
}

const NONCE: [u8; 32] = [0x5a; 32];

fn words(minor: u8, asym: &str, hash: &str) -> String {
    format!("version=1.{minor} asym={asym} hash={hash} flags=0x16")
}

/// Evidence of a device with P-256.
fn usual(minor: u8) -> Evidence {
    evidence_of(&words(minor, "ecdsa-p256", "sha256"), minor, NONCE)
}

#[track_caller]
fn refused(evidence: &Evidence, expected: &Expected, why: &str) {
    let error = verify(evidence, expected).expect_err("accepted");
    let text = format!("{error:#}");
    assert!(text.contains(why), "{text}");
}

#[test]
fn every_version_and_algorithm() {
    for asym in [
        "rsassa-2048",
        "rsassa-3072",
        "rsassa-4096",
        "ecdsa-p256",
        "ecdsa-p384",
        "ecdsa-p521",
    ] {
        for minor in 0..5 {
            let evidence = evidence_of(&words(minor, asym, "sha384"), minor, NONCE);
            let verified = verify(&evidence, &expected(asym)).unwrap();
            assert_eq!(verified.negotiated.asym.name, asym);
            assert_eq!(verified.measurements.len(), 7);
            assert!(!verified.fresh && verified.measured);
            assert_eq!(verified.nonce, hex(&NONCE));
        }
    }
    for hash in [
        "sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512",
    ] {
        let evidence = evidence_of(&words(2, "ecdsa-p384", hash), 2, NONCE);
        assert_eq!(
            verify(&evidence, &expected("ecdsa-p384"))
                .unwrap()
                .negotiated
                .hash
                .name,
            hash
        );
    }
    for asym in ["mldsa44", "mldsa65"] {
        let evidence = evidence_of(&words(4, asym, "sha512"), 4, NONCE);
        verify(&evidence, &expected(asym)).unwrap();
    }
}

#[test]
fn every_byte_of_the_file_counts() {
    let evidence = usual(3);
    let bytes = evidence.to_bytes();
    assert_eq!(Evidence::from_bytes(&bytes).unwrap(), evidence);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(Evidence::from_bytes(&changed).is_err(), "byte {at}");
    }
    for len in 0..bytes.len() {
        assert!(Evidence::from_bytes(&bytes[..len]).is_err(), "{len} bytes");
    }
    assert!(Evidence::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
}

/// Who changes a file can make its SHA-256 right again.
#[test]
fn every_byte_of_what_was_signed_counts() {
    for minor in [1, 3] {
        let evidence = usual(minor);
        verify(&evidence, &expected("ecdsa-p256")).unwrap();
        for kind in [0, VCA, MEASUREMENTS, CHALLENGE] {
            for at in 0..evidence.get(kind).len() {
                let mut changed = evidence.clone();
                changed.0.get_mut(&kind).unwrap()[at] ^= 1;
                let result = verify(&changed, &expected("ecdsa-p256"));
                assert!(result.is_err(), "1.{minor}, type {kind}, byte {at}");
            }
        }
    }
}

#[test]
fn another_nonce() {
    let evidence = usual(3);
    let mut wanted = expected("ecdsa-p256");
    wanted.nonce = Some(NONCE.to_vec());
    assert!(verify(&evidence, &wanted).unwrap().fresh);
    wanted.nonce = Some(vec![0x5b; 32]);
    refused(&evidence, &wanted, "the nonce is 5a5a");
}

#[test]
fn another_root() {
    refused(&usual(3), &expected("ecdsa-p384"), "vouches for the chain");
}

#[test]
fn another_devices_chain() {
    let mut evidence = usual(3);
    let other = evidence_of(&(words(3, "ecdsa-p256", "sha256") + " key=7"), 3, NONCE);
    evidence.0.insert(0, other.get(0).to_vec());
    refused(
        &evidence,
        &expected("ecdsa-p256"),
        "another certificate chain",
    );
    let mut wanted = expected("ecdsa-p256");
    wanted.identity = Some(vec![7; 32]);
    refused(&other, &wanted, "the identity is");
}

#[test]
fn measurements_of_another_attestation() {
    for minor in 0..5 {
        let mut evidence = usual(minor);
        let other = evidence_of(&words(minor, "ecdsa-p256", "sha256"), minor, [0x11; 32]);
        evidence
            .0
            .insert(MEASUREMENTS, other.get(MEASUREMENTS).to_vec());
        refused(&evidence, &expected("ecdsa-p256"), "of another attestation");
    }
}

/// The kernel's lines are not signed, but may not lie about what is.
#[test]
fn info_that_contradicts() {
    let evidence = usual(3);
    let text = String::from_utf8(evidence.get(INFO).to_vec()).unwrap();
    for (from, to, why) in [
        ("version=1.3", "version=1.2", "version="),
        ("base_hash=sha256", "base_hash=sha384", "base_hash="),
        ("base_asym=ecdsa-p256", "base_asym=ecdsa-p384", "base_asym="),
        ("slot=0", "slot=1", "slot="),
        ("format=1", "format=2", "format"),
        (
            "state=authenticated",
            "state=failed",
            "did not authenticate",
        ),
        (
            "measurements_status=signed",
            "measurements_status=unsigned",
            "measurements_signature_size",
        ),
        ("identity=", "identity=00", "identity="),
    ] {
        let mut changed = evidence.clone();
        assert!(text.contains(from));
        changed
            .0
            .insert(INFO, text.replacen(from, to, 1).into_bytes());
        refused(&changed, &expected("ecdsa-p256"), why);
    }
}

#[test]
fn a_stale_recording() {
    let mut wanted = expected("ecdsa-p256");
    wanted.max_age = Some(60);
    let evidence = usual(3);
    let text = String::from_utf8(evidence.get(INFO).to_vec()).unwrap();
    let mut old = evidence.clone();
    old.0.insert(
        INFO,
        text.replace("attested_at=1790000000", "attested_at=1690000000")
            .into_bytes(),
    );
    refused(&old, &wanted, "s old");
}

#[test]
fn reference_values() {
    let evidence = usual(3);
    let lines: Vec<_> = verify(&evidence, &expected("ecdsa-p256"))
        .unwrap()
        .measurements
        .iter()
        .map(crate::message::Block::line)
        .collect();
    assert_eq!(lines[4], "5 version raw 6669726d776172652031");
    let mut wanted = expected("ecdsa-p256");
    wanted.reference = Some(format!("# pinned\n\n{}\n", lines.join("\n")));
    verify(&evidence, &wanted).unwrap();
    let newer = evidence_of(
        &(words(3, "ecdsa-p256", "sha256") + " firmware=2"),
        3,
        NONCE,
    );
    refused(&newer, &wanted, "measurement 2 is not the expected one");
}
