// SPDX-License-Identifier: GPL-2.0

//! ML-DSA: large chains and large signatures, over a message and a context string (1.4).

use crate::bench::{Bench, Link, AUTHENTICATED};
use crate::faults::{expected, faults, play_for};
use spdm_responder::algorithm::Asym;
use spdm_responder::fault::Fault;
use spdm_responder::message::Exchange;

const ALL: [Asym; 3] = [Asym::MlDsa44, Asym::MlDsa65, Asym::MlDsa87];

/// CHALLENGE_AUTH of ML-DSA-87 is larger than what the link carries, so it comes in chunks.
fn bench(asym: Asym) -> Bench {
    let words = format!("version=1.4 asym={asym} hash=sha512 flags=0x20006");
    Bench::new(&words).with_buffer(8192)
}

#[test]
fn every_algorithm() {
    for asym in ALL {
        for link in Link::ALL {
            bench(asym).over(link).honest();
        }
    }
}

#[test]
fn every_fault_of_the_challenge() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for asym in ALL {
        let mut bench = bench(asym);
        for info in faults(4, Link::Doe) {
            // There is no modulus; and an answer in chunks is not late as a whole.
            let idle = [
                Fault::ROverN,
                Fault::LateAnswer,
                Fault::PssSalt,
                Fault::PssAsPkcs1,
            ];
            if info.at != [Exchange::Challenge] || idle.contains(&info.fault) {
                continue;
            }
            let before = bench.device(|device| device.stats().faults);
            let at = Exchange::Challenge;
            let expected = match info.fault {
                // It reaches into the signature, but not past it.
                Fault::OpaquePastEnd => "requester-context-mismatch: CHALLENGE".to_owned(),
                fault => expected(fault, at, 4, Link::Doe),
            };
            let play = play_for(&mut bench, info, at, 4, Link::Doe, &expected);
            wrong.extend(play.map(|what| format!("{asym}: {what}")));
            let played = bench.device(|device| device.stats().faults) - before;
            assert!(played > 0, "{asym}: {}", info.name);
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count >= 60, "{count}");
}

#[test]
fn chains() {
    for asym in ALL {
        let mut bench = bench(asym);
        for (chain, verdict) in [
            ("len1", AUTHENTICATED),
            ("noroot3", AUTHENTICATED),
            ("untrusted", "untrusted-root: slot 0"),
            ("stolen", "bad-signature: CHALLENGE"),
            ("bad-cert-signature", "bad-certificate-signature: slot 0"),
            ("key-mismatch", "leaf-key-mismatch: slot 0"),
        ] {
            bench.set(&format!("slot0={chain}"));
            assert_eq!(bench.attest().verdict, verdict, "{asym}");
        }
    }
}
