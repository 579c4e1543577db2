// SPDX-License-Identifier: GPL-2.0

//! Attestations that leave out what the last one has shown: the chain, and with CACHE_CAP all but
//! CHALLENGE. Never at the price of a check.

use crate::bench::{Bench, Link};
use crate::faults::{expected, faults, play_for};
use spdm_responder::fault::Fault;
use spdm_responder::message::Exchange;

/// Exchanges of an attestation without a chain to fetch.
const WITHOUT_CHAIN: usize = 5;

fn bench(minor: u8, flags: u32) -> Bench {
    let versions = &"1.0,1.1,1.2,1.3,1.4"[..4 * usize::from(minor) + 3];
    let words = format!("version={versions} asym=ecdsa-p256 hash=sha256 flags={flags}");
    let mut bench = Bench::new(&words).caching();
    assert_eq!(bench.honest().exchanges, WITHOUT_CHAIN + 1);
    bench
}

/// The bench, with state kept and without, and the exchanges of the next honest attestation.
fn benches() -> impl Iterator<Item = (u8, Bench, usize)> {
    (0..5).flat_map(|minor| {
        [(6, WITHOUT_CHAIN), (7, 1)].map(|(flags, next)| (minor, bench(minor, flags), next))
    })
}

#[test]
fn the_second_attestation_is_shorter() {
    for (minor, mut bench, next) in benches() {
        for _ in 0..3 {
            assert_eq!(bench.honest().exchanges, next, "1.{minor}");
        }
    }
}

/// Every fault, played while the chain and what was negotiated are kept.
#[test]
fn every_fault_again() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (minor, mut bench, next) in benches() {
        for info in faults(minor, Link::Doe) {
            for &at in info.at {
                // What is not sent cannot be wrong, nor left out.
                let sent = match at {
                    Exchange::Certificate => false,
                    Exchange::Challenge => true,
                    _ => next != 1,
                };
                let left_out = [Fault::CertificatesLeftOut, Fault::DigestsTwice];
                if !sent
                    || info.fault == Fault::LateAnswer
                    || next == 1 && left_out.contains(&info.fault)
                {
                    continue;
                }
                let expected = expected(info.fault, at, minor, Link::Doe);
                let play = play_for(&mut bench, info, at, minor, Link::Doe, &expected);
                wrong.extend(play.map(|what| format!("{next}: {what}")));
                count += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}: {wrong:#?}", wrong.len());
    assert!(count > 900, "{count}");
}

/// The root is no longer trusted.
#[test]
fn distrusted_root() {
    for (minor, mut bench, _) in benches() {
        bench.distrust();
        assert_eq!(
            bench.attest().verdict,
            "untrusted-root: slot 0",
            "1.{minor}"
        );
    }
}

/// The same chain, and another key that signs.
#[test]
fn held_chain_and_another_key() {
    for (minor, mut bench, _) in benches() {
        bench.set("slot0=stolen");
        bench.device(|device| device.connected());
        assert_eq!(
            bench.attest().verdict,
            "bad-signature: CHALLENGE",
            "1.{minor}"
        );
        bench.set("slot0=ok");
        bench.device(|device| device.connected());
        // A failure leaves nothing.
        assert_eq!(bench.honest().exchanges, WITHOUT_CHAIN + 1, "1.{minor}");
    }
}

/// Another chain is fetched, and judged as ever.
#[test]
fn another_chain() {
    for (minor, mut bench, _) in benches() {
        bench.set("slot0=untrusted");
        bench.device(|device| device.connected());
        assert_eq!(
            bench.attest().verdict,
            "untrusted-root: slot 0",
            "1.{minor}"
        );
    }
}

/// A device that forgot what was negotiated is asked everything but its chain.
#[test]
fn forgotten_state() {
    for (minor, mut bench, next) in benches() {
        bench.device(|device| device.connected());
        let refused = usize::from(next == 1);
        let exchanges = bench.honest().exchanges;
        let what = format!("1.{minor}: {exchanges}");
        assert!(
            (WITHOUT_CHAIN + refused..=WITHOUT_CHAIN + 1 + refused).contains(&exchanges),
            "{what}"
        );
        assert_eq!(bench.honest().exchanges, next, "{what}");
    }
}
