// SPDX-License-Identifier: GPL-2.0

//! Measurements: what becomes of them, whatever the device does about them. The verdict stays.

use crate::bench::{Bench, AUTHENTICATED};
use spdm_core::MeasurementStatus;
use spdm_responder::algorithm::Asym;
use spdm_responder::fault::{Fault, FAULTS};
use spdm_responder::message::Exchange;

const SIGNED: &str = "signed";

/// What becomes of the measurements. The device is authenticated.
fn status(bench: &mut Bench) -> String {
    let outcome = bench.attest();
    assert_eq!(outcome.verdict, AUTHENTICATED);
    match outcome.report.measurements {
        MeasurementStatus::Taken { signed: true } => SIGNED.to_owned(),
        MeasurementStatus::Failed(error) => error.to_string(),
        status => format!("{status:?}"),
    }
}

fn bench(words: &str) -> Bench {
    let words = format!("flags=0x16 asym=ecdsa-p256 {words}");
    let mut bench = Bench::new(&words).with_buffer(8192);
    bench.measurements = true;
    bench
}

#[test]
fn every_version_and_algorithm() {
    for asym in Asym::ALL {
        // Signatures of ML-DSA-87 come in chunks.
        let (versions, flags) = match asym.pqc() {
            Some(_) => (4..5, "0x20016"),
            None => (0..5, "0x16"),
        };
        for minor in versions {
            let mut bench = bench(&format!("version=1.{minor} asym={asym} flags={flags}"));
            assert_eq!(status(&mut bench), SIGNED, "1.{minor} {asym}");
            bench.set("fault=measurement-one-by-one");
            assert_eq!(status(&mut bench), SIGNED, "1.{minor} {asym}, one by one");
        }
    }
}

#[test]
fn every_fault() {
    for minor in 0..5 {
        let mut bench = bench(&format!("version=1.{minor}"));
        for info in FAULTS {
            if !info.fault.is_measurement() || info.since > 0x10 + minor {
                continue;
            }
            let expected = match info.fault {
                Fault::MeasurementOneByOne => SIGNED,
                Fault::MeasurementUnsigned => "truncated-response",
                Fault::MeasurementBadSignature | Fault::MeasurementContext => "bad-signature",
                Fault::MeasurementCount => "measurement-count",
                Fault::MeasurementLength => "measurement-block",
                Fault::MeasurementIndex0 | Fault::MeasurementIndexTwice => "measurement-index",
                Fault::MeasurementSpecification | Fault::MeasurementValueSize => {
                    "measurement-block"
                }
                Fault::MeasurementChanged => "measurements-changed",
                Fault::MeasurementSlot => "wrong-slot",
                fault => panic!("{fault:?}"),
            };
            bench.set(&format!("fault={}", info.name));
            let status = status(&mut bench);
            assert_eq!(
                status.trim_end_matches(": GET_MEASUREMENTS"),
                expected,
                "1.{minor} {}",
                info.name
            );
            assert!(bench.device(|device| device.stats().faults) > 0);
            bench.set("fault=none");
        }
        assert_eq!(self::status(&mut bench), SIGNED);
        let stats = bench.device(|device| device.stats().clone());
        assert_eq!(stats.violations, 0, "{}", stats.last_violation);
    }
}

/// A device that signs whatever it says cannot make up a block that does not hold together.
#[test]
fn every_byte_of_a_signed_record() {
    for minor in 0..5 {
        // Before the nonce: header, NumberOfBlocks, MeasurementRecordLength, the first blocks.
        for at in 0..8 + 2 * (7 + 48) {
            let mut bench = bench(&format!("version=1.{minor}"));
            bench.device(|device| {
                device.set_edit(Some(Box::new(move |exchange, message| {
                    if exchange == Exchange::Measurements {
                        message[at] ^= 0xff;
                    }
                })))
            });
            let outcome = bench.attest();
            assert_eq!(outcome.verdict, AUTHENTICATED);
            // What is in a value, or its type, is the device's word; the rest has one right form.
            if matches!(outcome.report.measurements, MeasurementStatus::Taken { .. }) {
                let in_block = at.checked_sub(8).map(|at| at % (7 + 48));
                let may_vary = matches!(in_block, Some(0 | 4 | 7..));
                // Param1, Param2 up to 1.0.
                assert!(may_vary || at == 2 || at == 3, "1.{minor} byte {at}");
            }
        }
    }
}
