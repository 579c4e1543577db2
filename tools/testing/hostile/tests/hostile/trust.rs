// SPDX-License-Identifier: GPL-2.0

//! What a verdict is made from, when a check goes wrong by itself or what it goes by changes.

use crate::anchor::{Check, Glitch};
use crate::bench::{Bench, Carried, AUTHENTICATED};
use spdm_core::MeasurementStatus;
use std::cell::Cell;
use std::rc::Rc;

/// What an attestation before this one has left: nothing, the chain, the chain and what was negotiated.
const LEFT: [(&str, bool); 3] = [
    ("flags=0x16", false),
    ("flags=0x16", true),
    ("flags=0x17", true),
];

/// Devices of each version, that have been attested before.
fn benches(words: &str) -> impl Iterator<Item = Bench> + '_ {
    (0..5).flat_map(move |minor| {
        LEFT.map(|(flags, caching)| {
            let asym = "asym=ecdsa-p256 hash=sha256";
            let mut bench = Bench::new(&format!("version=1.{minor} {asym} {flags} {words}"));
            bench.measurements = true;
            if caching {
                bench = bench.caching();
            }
            bench.honest();
            bench
        })
    })
}

/// The checks of the last attestation.
fn checks(bench: &Bench) -> Vec<(Check, bool)> {
    bench.anchor.checks.borrow().clone()
}

/// A check that does not come to its end denies, whichever it is.
#[test]
fn f1_a_check_that_fails_by_itself() {
    for mut bench in benches("") {
        bench.honest();
        let honest = checks(&bench);
        assert!(honest.len() == 3 && honest.iter().all(|(_, passed)| *passed));
        for (number, (check, _)) in honest.into_iter().enumerate() {
            bench.honest();
            bench.anchor.glitch = Some(Glitch::Fails(number));
            let outcome = bench.attest();
            bench.anchor.glitch = None;
            assert_eq!(checks(&bench)[number], (check, false));
            let status = outcome.report.measurements;
            match (number, check) {
                (0, Check::Chain) => assert_eq!(outcome.verdict, "internal-error: slot 0"),
                // It is looked at once more, or fetched.
                (0, Check::ChainAgain) => {
                    assert!(outcome.is_authenticated());
                    let rest = &checks(&bench)[1..];
                    assert!(rest.len() == 3 && rest.iter().all(|(_, passed)| *passed));
                    assert_ne!(rest[0].0, Check::Signature);
                }
                (1, Check::Signature) => {
                    assert_eq!(outcome.verdict, "signature-not-checked: CHALLENGE");
                }
                (2, Check::Signature) => {
                    assert!(outcome.is_authenticated());
                    assert!(matches!(status, MeasurementStatus::Failed(_)), "{status:?}");
                }
                check => panic!("{check:?}"),
            }
        }
        bench.honest();
    }
}

/// A check that passes by itself does not make up for the other one.
#[test]
fn f1_a_check_that_passes_by_itself() {
    for mut bench in benches("") {
        bench.set("slot0=untrusted fault=bad-signature");
        for number in 0..3 {
            bench.device(|device| device.connected());
            bench.anchor.glitch = Some(Glitch::Passes(number));
            let outcome = bench.attest();
            bench.anchor.glitch = None;
            assert!(!outcome.is_authenticated(), "{number}: {outcome:?}");
        }
        bench.set("slot0=ok fault=none");
        bench.device(|device| device.connected());
        bench.honest();
    }
}

/// The keyring changes at any moment: the verdict is that of before or that of after, and the next one that of after.
#[test]
fn l9_keyring_changed_meanwhile() {
    const UNTRUSTED: &str = "untrusted-root: slot 0";
    for mut bench in benches("portion=512") {
        let exchanges = bench.honest().exchanges;
        let roots = bench.anchor.roots.take();
        for at in 0..exchanges {
            for (before, after) in [(&roots[..], &[][..]), (&[], &roots)] {
                bench.anchor.roots.replace(roots.clone());
                bench.honest();
                bench.anchor.roots.replace(before.to_vec());
                let keyring = bench.anchor.roots.clone();
                let later = after.to_vec();
                let changed = Rc::new(Cell::new(false));
                let done = changed.clone();
                bench.tamper(move |number, carried| {
                    if number == at && matches!(carried, Carried::Request(_)) {
                        keyring.replace(later.clone());
                        done.set(true);
                    }
                });
                let verdict = bench.attest().verdict;
                bench.leave_alone();
                assert!(
                    [AUTHENTICATED, UNTRUSTED].contains(&&verdict[..]),
                    "{at}: {verdict}"
                );
                assert!(changed.get() || before.is_empty());
                if changed.get() {
                    let expected = [AUTHENTICATED, UNTRUSTED][usize::from(after.is_empty())];
                    assert_eq!(bench.attest().verdict, expected, "{at}");
                }
            }
        }
        bench.anchor.roots.replace(roots);
        bench.honest();
    }
}
