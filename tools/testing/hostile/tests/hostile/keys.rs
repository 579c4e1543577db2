// SPDX-License-Identifier: GPL-2.0

//! Several keys: what DIGESTS says of them, and what a device may lie about it (1.3).

use crate::bench::{Bench, Link, AUTHENTICATED};
use crate::faults::play;
use spdm_core::MeasurementStatus;
use spdm_responder::fault::FAULTS;

/// MULTI_KEY_CAP = only, GET_KEY_PAIR_INFO_CAP, and what every device has.
const ONLY: &str = "flags=0x14000006";

fn bench(minor: u8, words: &str) -> Bench {
    Bench::new(&format!(
        "version=1.{minor} asym=ecdsa-p256 hash=sha256 {words}"
    ))
}

#[test]
fn every_fault() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for link in Link::ALL {
        for minor in 3..5 {
            for slots in ["", "slot2=ok slot5=untrusted"] {
                let mut bench = bench(minor, &format!("{ONLY} portion=512 {slots}")).over(link);
                bench.honest();
                for info in FAULTS.iter().filter(|info| info.fault.is_multi_key()) {
                    wrong.extend(play(&mut bench, info, info.at[0], minor, link));
                    count += 1;
                }
                let stats = bench.device(|device| device.stats().clone());
                assert_eq!(stats.violations, 0, "{}", stats.last_violation);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(count, 2 * 2 * 2 * 9);
}

/// Faults of every other kind, where there are several keys.
#[test]
fn the_slot_whose_key_is_for_challenges() {
    for minor in 3..5 {
        for (words, slot) in [
            ("slot0=ok slot1=ok", 0),
            ("slot0=ok uses0=0x4 slot1=ok uses1=0x2", 1),
            (
                "slot0=untrusted slot1=ok uses1=0x5 slot6=ok model6=generic uses6=0xffff",
                6,
            ),
            ("slot0=none slot3=ok model3=alias pair3=200", 3),
            // One key pair for two slots, one of them another owner's.
            ("slot0=untrusted pair0=4 slot4=ok pair4=4", 4),
        ] {
            let mut bench = bench(minor, &format!("{ONLY} {words}"));
            let outcome = bench.honest();
            assert_eq!(outcome.report.negotiated.slot, Some(slot), "{words}");
            assert_eq!(bench.device(|device| device.stats().violations), 0);
        }
        for (words, verdict) in [
            ("uses0=0xd", "slot-key-usage: slot 0"),
            ("uses0=0x4 slot1=expired", "certificate-expired: slot 1"),
            ("uses0=0x4 slot1=untrusted", "untrusted-root: slot 1"),
            ("model0=generic", "certificate-info: GET_DIGESTS"),
            ("uses0=0x4000", "key-usage: GET_DIGESTS"),
            ("pair0=0", "key-pair-id: GET_DIGESTS"),
            ("slot1=ok pair1=1 uses1=0x2", "key-pair-id: GET_DIGESTS"),
        ] {
            let mut bench = bench(minor, &format!("{ONLY} {words}"));
            assert_eq!(bench.attest().verdict, verdict, "{words}");
        }
    }
}

/// The hardware identity OID must not be in the leaf of an alias certificate, and the model is that of its slot.
#[test]
fn c10_certificate_models() {
    for minor in 3..5 {
        for (model, verdict) in [
            ("device", AUTHENTICATED),
            ("generic", AUTHENTICATED),
            ("alias", "leaf-hardware-identity: slot 1"),
        ] {
            let words = format!("slot0=none slot1=hardware-identity model1={model}");
            let mut bench = bench(minor, &format!("{ONLY} {words}"));
            assert_eq!(bench.attest().verdict, verdict, "{model}");
        }
    }
    // With one key for all slots the flag says it (1.2).
    for minor in 2..5 {
        let mut bench = bench(minor, "slot0=hardware-identity flags=0x40006");
        assert_eq!(bench.attest().verdict, "leaf-hardware-identity: slot 0");
        bench.set("flags=0x6");
        bench.honest();
    }
}

/// One key is enough where the device leaves the choice (MULTI_KEY_CAP = negotiable).
#[test]
fn one_key_where_there_is_a_choice() {
    for minor in 3..5 {
        let mut bench = bench(minor, "flags=0x18000006 uses0=0x4 slot1=ok pair1=0");
        bench.honest();
        assert_eq!(bench.device(|device| device.stats().violations), 0);
    }
}

/// Measurements by a key that is not for them are not to be had, and by one that is they are signed.
#[test]
fn measurements_need_a_key_for_them() {
    for minor in 3..5 {
        let mut bench = bench(minor, "flags=0x14000016 uses0=0x6");
        bench.measurements = true;
        let status = bench.honest().report.measurements;
        assert_eq!(status, MeasurementStatus::Taken { signed: true });
        bench.set("uses0=0x2");
        let MeasurementStatus::Failed(error) = bench.honest().report.measurements else {
            panic!("measurements by the wrong key");
        };
        let expected = "error-response: GET_MEASUREMENTS: InvalidRequest";
        assert_eq!(error.to_string(), expected);
    }
}

/// The chain that was kept is not taken again when its key is no longer for challenges.
#[test]
fn c16_use_is_withdrawn() {
    for minor in 3..5 {
        let mut bench = bench(minor, ONLY).caching();
        assert_eq!(bench.honest().exchanges, 6);
        assert_eq!(bench.honest().exchanges, 5);
        bench.set("uses0=0xd");
        assert_eq!(bench.attest().verdict, "slot-key-usage: slot 0");
        bench.set("uses0=0xf");
        assert_eq!(bench.honest().exchanges, 6);
    }
}
