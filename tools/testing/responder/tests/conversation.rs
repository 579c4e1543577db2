// SPDX-License-Identifier: GPL-2.0

//! Messages of the responder, without a socket: honest ones for every version and algorithm, and
//! every misbehaviour.

mod requester;

use requester::{Found, Requester};
use spdm_responder::algorithm::{Asym, Hash};
use spdm_responder::config::Config;
use spdm_responder::device::{Device, Reply};
use spdm_responder::fault::{Fault, Harm, FAULTS};
use spdm_responder::pki::Pki;
use std::path::Path;
use std::sync::Arc;

const VERSIONS: [u8; 5] = [0x10, 0x11, 0x12, 0x13, 0x14];

/// Whether a fault can be played to a requester that does not ask for large chains.
fn is_playable(fault: Fault, version: u8, asym: Asym) -> bool {
    match fault {
        Fault::PssSalt | Fault::PssAsPkcs1 => asym == Asym::Rsapss2048,
        Fault::ChainOf4Gib | Fault::EmptyContext => false,
        // 1.4 has no reserved flags.
        Fault::FlagsLater => version < 0x14,
        _ => !fault.is_chunk() && !fault.is_multi_key(),
    }
}

/// Keys are kept between runs: making RSA keys takes seconds.
fn pki() -> Arc<Pki> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pki");
    Arc::new(Pki::open(&directory).unwrap())
}

fn device(words: &str) -> Device {
    let all = Config::new(0).changed("version=1.0,1.1,1.2,1.3,1.4");
    let config = all.and_then(|config| config.changed(words)).unwrap();
    Device::new(pki(), config).unwrap()
}

fn send(device: &mut Device, request: &[u8]) -> Option<Vec<u8>> {
    match device.respond(request).reply {
        Reply::Message(message) => Some(message),
        _ => None,
    }
}

fn attest(device: &mut Device, requester: &Requester) -> Result<Found, String> {
    requester.attest(&mut |request| send(device, request))
}

fn trusting(asym: Asym) -> Requester {
    Requester::new(pki().root(asym).unwrap())
}

/// Up to and with CAPABILITIES.
fn start(device: &mut Device, version: u8) {
    send(device, &[0x10, 0x84, 0, 0]).unwrap();
    let size = [4, 12, 20][usize::from(version & 0xF).min(2)];
    let mut capabilities = vec![version, 0xE1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    capabilities.extend([0, 16, 0, 0, 0, 16, 0, 0]);
    let capabilities = send(device, &capabilities[..size]).unwrap();
    assert_eq!(capabilities[1], 0x61);
}

/// Up to and with ALGORITHMS.
fn negotiate(device: &mut Device, version: u8) {
    let mut algorithms = vec![
        version, 0xE3, 0, 0, 32, 0, 0, 0, 0xFF, 1, 0, 0, 0x3F, 0, 0, 0,
    ];
    algorithms.resize(32, 0);
    start(device, version);
    assert_eq!(send(device, &algorithms).unwrap()[1], 0x63);
    assert!(device.is_negotiated());
}

fn error_code(device: &mut Device, request: &[u8]) -> u8 {
    let response = send(device, request).unwrap();
    assert_eq!(response[1], 0x7F, "{response:02x?}");
    response[2]
}

#[test]
fn every_version_hash_and_signature() {
    let mut count = 0;
    for asym in Asym::BASE {
        let requester = trusting(asym);
        for hash in Hash::ALL {
            let mut device = device(&format!("asym={asym} hash={hash}"));
            for version in VERSIONS {
                let requester = Requester {
                    versions: vec![version],
                    ..requester.clone()
                };
                let found = attest(&mut device, &requester).unwrap();
                assert_eq!(found.version, version);
                assert_eq!((found.hash, found.asym), (hash.bit(), asym.bit()));
                count += 1;
            }
            assert_eq!(device.stats().challenges, VERSIONS.len() as u64);
            assert_eq!(
                device.stats().violations,
                0,
                "{}",
                device.stats().last_violation
            );
            assert_eq!(device.stats().faults, 0);
        }
    }
    assert_eq!(count, 270);
}

#[test]
fn the_device_chooses_what_it_prefers() {
    let mut device = device("asym=ecdsa-p256,ecdsa-p521 hash=sha3-256,sha256 version=1.1,1.2");
    let mut requester = trusting(Asym::EcdsaP256);
    let found = attest(&mut device, &requester).unwrap();
    assert_eq!((found.version, found.hash, found.asym), (0x12, 8, 0x10));
    requester.asyms = Asym::EcdsaP521.bit();
    requester.hashes = Hash::Sha256.bit();
    requester.root = pki().root(Asym::EcdsaP521).unwrap();
    let found = attest(&mut device, &requester).unwrap();
    assert_eq!((found.hash, found.asym), (1, 0x100));
    requester.hashes = Hash::Sha512.bit();
    assert_eq!(attest(&mut device, &requester).unwrap_err(), "ERROR 0x01");
}

#[test]
fn slots_portions_structures_and_opaque_data() {
    let words = "slot0=untrusted slot1=empty slot2=none slot5=ok portion=100 opaque=32";
    let mut device = device(words);
    for version in VERSIONS {
        let mut requester = Requester {
            versions: vec![version],
            tables: vec![2, 3, 4, 5],
            slot: 5,
            ..trusting(Asym::EcdsaP384)
        };
        let found = attest(&mut device, &requester).unwrap();
        assert_eq!(found.slots, 0x21);
        assert_eq!(found.supported, if version >= 0x13 { 0x23 } else { 0 });
        assert_eq!(found.opaque, 32);
        assert_eq!(found.round_trips, 5 + found.chain.len().div_ceil(100));
        requester.slot = 0;
        assert_eq!(attest(&mut device, &requester).unwrap_err(), "RootHash");
        requester.slot = 1;
        let error = attest(&mut device, &requester).unwrap_err();
        assert_eq!(error, "slot not provisioned");
    }
    assert_eq!(device.stats().violations, 0);
    // What fits in the requester's DataTransferSize.
    device.set("portion=0").unwrap();
    let requester = Requester {
        room: 300,
        slot: 5,
        ..trusting(Asym::EcdsaP384)
    };
    let found = attest(&mut device, &requester).unwrap();
    assert_eq!(found.round_trips, 5 + found.chain.len().div_ceil(292));
}

/// DIGESTS and CERTIFICATE where there are several keys, octet by octet.
#[test]
fn several_keys() {
    const MULTI_KEY_CAP: [&str; 2] = ["flags=0x14000006", "flags=0x18000006"];
    for (flags, asks) in [
        (MULTI_KEY_CAP[0], true),
        (MULTI_KEY_CAP[1], true),
        (MULTI_KEY_CAP[1], false),
    ] {
        let words = "slot0=ok slot1=ok slot4=ok hash=sha256 asym=ecdsa-p256";
        let keys = "pair1=9 model1=alias uses1=0x8001 pair4=1";
        let mut device = device(&format!("{flags} {words} {keys}"));
        start(&mut device, 0x13);
        let mut algorithms = vec![0x13, 0xE3, 0, 0, 32, 0, 0, 0, 0xFF, 1, 0, 0, 0x3F, 0, 0, 0];
        algorithms.resize(32, 0);
        algorithms[7] = if asks { 0x12 } else { 2 };
        assert_eq!(send(&mut device, &algorithms).unwrap()[1], 0x63);

        let digests = send(&mut device, &[0x13, 0x81, 0, 0]).unwrap();
        assert_eq!(digests[..4], [0x13, 0x01, 0x13, 0x13]);
        let (digests, keys) = digests[4..].split_at(96);
        let expected = [1, 9, 1, 1, 2, 1, 0x0F, 0, 0x01, 0x80, 0x0F, 0];
        assert_eq!(keys, if asks { &expected[..] } else { &[] });
        // The first and the last have one key pair, and so one key and one chain.
        let (first, rest) = digests.split_at(32);
        assert_eq!(first == &rest[..32], !asks);
        assert_eq!(first, &rest[32..]);
        for (slot, model) in [(0, 1), (1, 2), (4, 1)] {
            let certificate = [0x13, 0x82, slot, 0, 0, 0, 0, 4];
            let certificate = send(&mut device, &certificate).unwrap();
            assert_eq!(certificate[2..4], [slot, if asks { model } else { 0 }]);
        }
        // The key of slot 1 is not for challenges.
        let challenge = |slot| [&[0x13, 0x83, slot, 0][..], &[7; 40]].concat();
        let response = send(&mut device, &challenge(1)).unwrap();
        assert_eq!(response[1], if asks { 0x7F } else { 0x03 });
        assert_eq!(send(&mut device, &challenge(4)).unwrap()[1], 0x03);
    }
    // What cannot be had is not asked for, what has to be had is.
    for (flags, other) in [("", 0x10), (MULTI_KEY_CAP[0], 0)] {
        let mut device = device(flags);
        start(&mut device, 0x14);
        let mut algorithms = vec![
            0x14, 0xE3, 0, 0, 32, 0, 0, other, 0xFF, 1, 0, 0, 0x3F, 0, 0, 0,
        ];
        algorithms.resize(32, 0);
        assert_eq!(error_code(&mut device, &algorithms), 0x01);
    }
}

#[test]
fn requests_out_of_order_are_unexpected() {
    let mut device = device("");
    let digests = [0x12, 0x81, 0, 0];
    let certificate = [0x12, 0x82, 0, 0, 0, 0, 0, 4];
    assert_eq!(error_code(&mut device, &[0x12, 0xE1, 0, 0]), 0x04);
    assert_eq!(error_code(&mut device, &digests), 0x04);
    send(&mut device, &[0x10, 0x84, 0, 0]).unwrap();
    assert_eq!(error_code(&mut device, &[0x10, 0xE3, 0, 0]), 0x04);
    assert_eq!(error_code(&mut device, &certificate), 0x04);
    negotiate(&mut device, 0x12);
    assert_eq!(error_code(&mut device, &[0x12, 0xE1, 0, 0]), 0x04);
    assert_eq!(error_code(&mut device, &[0x12, 0xE3, 0, 0]), 0x04);
    assert_eq!(device.stats().violations, 6);
    // These are in order.
    assert_eq!(send(&mut device, &digests).unwrap()[1], 0x01);
    assert_eq!(send(&mut device, &certificate).unwrap()[1], 0x02);
    // GET_VERSION begins anew.
    send(&mut device, &[0x10, 0x84, 0, 0]).unwrap();
    assert_eq!(error_code(&mut device, &digests), 0x04);
}

#[test]
fn wrong_requests_are_refused() {
    let mut device = device("slot1=empty version=1.1,1.3");
    assert_eq!(error_code(&mut device, &[0x11, 0x84, 0, 0]), 0x41);
    assert_eq!(error_code(&mut device, &[0x10, 0x84]), 0x01);
    send(&mut device, &[0x10, 0x84, 0, 0]).unwrap();
    assert_eq!(error_code(&mut device, &[0x12, 0xE1, 0, 0]), 0x41);
    assert_eq!(error_code(&mut device, &[0x11, 0xE1, 0, 0]), 0x01);
    let mut capabilities = vec![0x13, 0xE1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    capabilities.extend([41, 0, 0, 0, 41, 0, 0, 0]);
    assert_eq!(error_code(&mut device, &capabilities), 0x01);
    capabilities[16] = 0;
    assert_eq!(error_code(&mut device, &capabilities), 0x01);
    negotiate(&mut device, 0x13);
    let certificate = |slot, offset, length| [0x13, 0x82, slot, 0, offset, 0, 0, length];
    assert_eq!(error_code(&mut device, &[0x11, 0x81, 0, 0]), 0x41);
    assert_eq!(error_code(&mut device, &certificate(1, 0, 4)), 0x01);
    assert_eq!(error_code(&mut device, &certificate(7, 0, 4)), 0x01);
    assert_eq!(error_code(&mut device, &certificate(9, 0, 4)), 0x01);
    assert_eq!(error_code(&mut device, &certificate(0, 0, 0)), 0x01);
    let past = [0x13, 0x82, 0, 0, 0xFF, 0xFF, 0, 4];
    assert_eq!(error_code(&mut device, &past), 0x01);
    let mut challenge = vec![0x13, 0x83, 0, 0];
    challenge.resize(36, 0);
    assert_eq!(error_code(&mut device, &challenge), 0x01);
    challenge.resize(44, 0);
    challenge[3] = 0xFF;
    assert_eq!(error_code(&mut device, &challenge), 0x01);
    challenge[2..4].copy_from_slice(&[1, 0]);
    assert_eq!(error_code(&mut device, &challenge), 0x01);
    // An unknown request, with its code in the error data.
    let response = send(&mut device, &[0x13, 0xFE, 0, 0]).unwrap();
    assert_eq!(response[1..], [0x7F, 0x07, 0xFE]);
    // SlotSizeRequested: the size and nothing else.
    let size = [0x13, 0x82, 0, 1, 0, 0, 0, 0];
    let response = send(&mut device, &size).unwrap();
    assert_eq!(response.len(), 8);
    assert_eq!(response[4..6], [0, 0]);
    assert!(response[7] > 0);
}

#[test]
fn respond_if_ready_is_checked() {
    let mut device = device("fault=not-ready times=1 at=DIGESTS rd-exponent=10");
    negotiate(&mut device, 0x12);
    assert_eq!(error_code(&mut device, &[0x12, 0xFF, 0x81, 0]), 0x04);
    let response = send(&mut device, &[0x12, 0x81, 0, 0]).unwrap();
    let &[0x12, 0x7F, 0x42, 0, 10, 0x81, token, 4] = &response[..] else {
        panic!("{response:02x?}");
    };
    assert_eq!(
        error_code(&mut device, &[0x12, 0xFF, 0x81, token ^ 1]),
        0x01
    );
    assert_eq!(error_code(&mut device, &[0x12, 0xFF, 0x82, token]), 0x01);
    assert_eq!(error_code(&mut device, &[0x11, 0xFF, 0x81, token]), 0x41);
    std::thread::sleep(std::time::Duration::from_millis(2));
    let violations = device.stats().violations;
    let response = send(&mut device, &[0x12, 0xFF, 0x81, token]).unwrap();
    assert_eq!(response[1], 0x01);
    assert_eq!(device.stats().violations, violations);
    // It was promised once.
    assert_eq!(error_code(&mut device, &[0x12, 0xFF, 0x81, token]), 0x04);
}

/// Every fault in every version: it is played, the requester notices if it has to, and afterwards
/// everything is well.
#[test]
fn every_fault() {
    for asym in [Asym::EcdsaP384, Asym::Rsassa2048, Asym::Rsapss2048] {
        let mut device = device(&format!("asym={asym} slot1=ok portion=500 rd-exponent=8"));
        for version in VERSIONS {
            let requester = Requester {
                versions: vec![version],
                tables: vec![3, 5],
                ..trusting(asym)
            };
            // Those of chunks need a requester that has them: see hostile.
            let faults = FAULTS.iter().filter(|f| {
                !f.fault.is_chunk() && !f.fault.is_measurement() && !f.fault.is_multi_key()
            });
            for info in faults.filter(|f| !f.fault.is_transport()) {
                device.reset();
                device.set(&format!("fault={}", info.name)).unwrap();
                let result = attest(&mut device, &requester).map(|_| ());
                let what = format!("{} in {version:#x} with {asym}: {result:?}", info.name);
                let faults = device.stats().faults;
                if version < info.since || !is_playable(info.fault, version, asym) {
                    assert_eq!((faults, result.is_ok()), (0, true), "{what}");
                    continue;
                }
                assert!(faults > 0, "not played: {what}");
                match info.harm {
                    Harm::Fatal => assert!(result.is_err(), "{what}"),
                    Harm::None => assert!(result.is_ok(), "{what}"),
                    Harm::Open => {}
                }
                assert_eq!(device.stats().violations, 0, "{what}");
                device.connected();
                device.set("fault=none").unwrap();
                attest(&mut device, &requester).unwrap();
            }
        }
    }
}

/// Faults of any message, at each message.
#[test]
fn every_fault_at_every_message() {
    let mut device = device("portion=500 rd-exponent=8");
    let requester = trusting(Asym::EcdsaP384);
    for info in FAULTS
        .iter()
        .filter(|f| !f.fault.is_transport() && !f.fault.is_measurement())
    {
        let version = info.since.max(0x13);
        if !is_playable(info.fault, version, Asym::EcdsaP384) {
            continue;
        }
        for at in info.at {
            device.connected();
            device.reset();
            let words = format!(
                "version=1.0,1.1,1.2,1.{} fault={} at={}",
                version & 0xF,
                info.name,
                at.response_name()
            );
            device.set(&words).unwrap();
            let result = attest(&mut device, &requester).map(|_| ());
            assert!(device.stats().faults > 0, "not played: {words}");
            match info.harm {
                Harm::Fatal => assert!(result.is_err(), "{words}"),
                Harm::None => assert!(result.is_ok(), "{words}: {result:?}"),
                Harm::Open => {}
            }
        }
    }
}

/// What only the signature can tell must be told by the signature, and by nothing before it.
#[test]
fn what_is_changed_on_the_way_breaks_the_signature() {
    let mut device = device("");
    let names = [
        "version-withheld",
        "capabilities-changed",
        "offer-changed",
        "algorithms-changed",
        "replay",
        "vca-left-out",
        "certificates-left-out",
        "measurement-signature",
        "other-prefix",
        "error-in-transcript",
        "digests-twice",
        "bad-signature",
        "byte-order",
        "zero-signature",
        "zero-r",
        "zero-s",
        "ones-signature",
        "r-over-n",
        "der-signature-cut",
    ];
    for version in VERSIONS {
        let words = format!("version=1.0,1.{}", (version & 0xF).max(1));
        device.set(&words).unwrap();
        for name in names {
            device.set(&format!("fault={name}")).unwrap();
            let result = attest(&mut device, &trusting(Asym::EcdsaP384));
            assert_eq!(result.unwrap_err(), "signature", "{name} {words}");
            device.set("fault=none").unwrap();
        }
    }
}

/// What a device changes is in its transcript: a requester that did not look at that field would
/// find nothing wrong with the signature.
#[test]
fn what_the_device_changes_is_signed() {
    let mut device = device("slot1=ok");
    let mut requester = trusting(Asym::EcdsaP384);
    requester.tables = vec![2, 5];
    for name in [
        "reserved",
        "flags-later",
        "duplicate-versions",
        "many-versions",
    ] {
        device.set(&format!("fault={name}")).unwrap();
        attest(&mut device, &requester).unwrap();
        assert!(device.stats().faults > 0);
    }
}

#[test]
fn faults_are_played_as_often_as_told() {
    let mut device = device("rd-exponent=8");
    let requester = trusting(Asym::EcdsaP384);
    let honest = attest(&mut device, &requester).unwrap().round_trips;
    for fault in ["busy", "not-ready"] {
        for times in [1, 3] {
            device.reset();
            let words = format!("fault={fault} times={times} at=CERTIFICATE");
            device.set(&words).unwrap();
            let found = attest(&mut device, &requester).unwrap();
            assert_eq!(found.round_trips, honest + times, "{words}");
            assert_eq!(device.stats().faults, times as u64);
        }
    }
    device.reset();
    device.set("fault=silence times=1").unwrap();
    assert_eq!(attest(&mut device, &requester).unwrap_err(), "no response");
    attest(&mut device, &requester).unwrap();
}

#[test]
fn a_late_answer_meets_the_next_request() {
    let mut device = device("fault=late-answer at=VERSION");
    assert_eq!(send(&mut device, &[0x10, 0x84, 0, 0]), None);
    let mut capabilities = vec![0x12, 0xE1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    capabilities.extend([0, 16, 0, 0, 0, 16, 0, 0]);
    assert_eq!(send(&mut device, &capabilities).unwrap()[1], 0x04);
    // From then on it is in step again.
    attest(&mut device, &trusting(Asym::EcdsaP384)).unwrap();
}

#[test]
fn the_delay_is_told_not_waited_for() {
    let mut device = device("delay-ms=60000");
    let answer = device.respond(&[0x10, 0x84, 0, 0]);
    assert_eq!(answer.delay.as_secs(), 60);
}

/// Several faults at once are nobody's use case, but must not stop the device.
#[test]
fn any_two_faults_at_once() {
    let mut device = device("asym=ecdsa-p256 slot1=ok portion=900 rd-exponent=1");
    let requester = Requester {
        tables: vec![2, 3],
        ..trusting(Asym::EcdsaP256)
    };
    for first in FAULTS {
        for second in FAULTS {
            device.connected();
            let words = format!("fault={},{}", first.name, second.name);
            device.set(&words).unwrap();
            let _ = attest(&mut device, &requester);
        }
    }
    device.set("fault=none").unwrap();
    device.connected();
    attest(&mut device, &requester).unwrap();
}
