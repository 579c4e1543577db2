// SPDX-License-Identifier: GPL-2.0

//! A device that sends and receives 42 bytes at once: nearly everything comes in chunks, and
//! CHALLENGE goes in chunks from 1.3 on.

use crate::bench::{Bench, Link};
use crate::faults::{expected, faults, play_for};
use spdm_responder::fault::{Fault, FaultInfo, FAULTS};
use spdm_responder::message::Exchange;

fn bench(minor: u8, link: Link) -> Bench {
    let versions = &"1.0,1.1,1.2,1.3,1.4"[..4 * usize::from(minor) + 3];
    let words = format!("version={versions} asym=ecdsa-p256 hash=sha512");
    let chunks = "flags=0x20006 transfer=42 portion=512";
    Bench::new(&format!("{words} {chunks}")).over(link)
}

/// Versions with chunks, and both links.
fn everywhere() -> impl Iterator<Item = (u8, Link)> {
    (2..5).flat_map(|minor| Link::ALL.map(|link| (minor, link)))
}

/// Exchanges whose responses are larger than 42 bytes.
const LARGE: [Exchange; 4] = [
    Exchange::Capabilities,
    Exchange::Digests,
    Exchange::Certificate,
    Exchange::Challenge,
];

/// Plays a fault; what is wrong with what came of it.
fn in_chunks(
    bench: &mut Bench,
    info: &FaultInfo,
    at: Exchange,
    minor: u8,
    link: Link,
) -> Option<String> {
    let illegal = at == Exchange::Capabilities && minor == 2;
    let reason = match info.fault {
        // CAPABILITIES of 1.2 must fit.
        Fault::Oversize | Fault::SupportedAlgorithmsUnasked if illegal => "large-response-illegal",
        // Refused before it is fetched.
        Fault::Oversize if at != Exchange::Version => "large-message-size",
        Fault::PortionTooLong => "large-message-size",
        // SupportedAlgorithms said that there is none, so none was offered.
        Fault::AsymAndPqc => "algorithm-not-offered",
        // What is padded is ERROR LargeResponse, unless it fits behind CHUNK_SEND_ACK.
        Fault::DoePadding if LARGE.contains(&at) => "error-data-size",
        fault => {
            let expected = expected(fault, at, minor, link);
            return play_for(bench, info, at, minor, link, &expected);
        }
    };
    let expected = format!("{reason}: {}", at.request_name());
    play_for(bench, info, at, minor, link, &expected)
}

#[test]
fn k1_to_k8_every_fault_of_chunks() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (minor, link) in everywhere() {
        let mut bench = bench(minor, link);
        bench.honest();
        for info in FAULTS.iter().filter(|info| info.fault.is_chunk()) {
            if info.since > 0x10 | minor {
                continue;
            }
            for &at in info.at {
                wrong.extend(in_chunks(&mut bench, info, at, minor, link));
                count += 1;
            }
        }
        let stats = bench.device(|device| device.stats().clone());
        assert_eq!(stats.violations, 0, "{}", stats.last_violation);
    }
    assert!(wrong.is_empty(), "{} of {count}: {wrong:#?}", wrong.len());
    assert!(count > 600, "{count}");
}

/// Wrong only without CHUNK_CAP; and what delays a message at once, which CHALLENGE here is not.
const WITHOUT_CHUNKS: [Fault; 3] = [
    Fault::TransferSizeBelowMax,
    Fault::LargeResponse,
    Fault::LateAnswer,
];

/// Chunks carry every other fault as well.
#[test]
fn every_fault_in_chunks() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (minor, link) in everywhere() {
        let mut bench = bench(minor, link);
        for info in faults(minor, link) {
            for &at in info.at {
                if !WITHOUT_CHUNKS.contains(&info.fault) {
                    wrong.extend(in_chunks(&mut bench, info, at, minor, link));
                    count += 1;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}: {wrong:#?}", wrong.len());
    assert!(count > 1000, "{count}");
}
