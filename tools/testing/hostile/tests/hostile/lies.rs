// SPDX-License-Identifier: GPL-2.0

//! A device that signs what it made up: no signature can tell, so each field has to be checked, or
//! to be one that does not matter.

use crate::bench::{Bench, Link};
use openssl::sha::sha256;
use spdm_responder::message::Exchange;

/// OpaqueData in CHALLENGE_AUTH, in bytes.
const OPAQUE: usize = 16;
/// Size of a SHA-256 digest in bytes.
const DIGEST: usize = 32;

/// Capabilities, by bit, that a device with CERT_CAP and CHAL_CAP may have, or may not have, as it
/// likes, because no other one must come with them (DSP0274, "Responder flag fields definitions").
/// Bits that the version reserves are among them.
fn optional_capabilities(minor: u8) -> u32 {
    // CACHE_CAP, MEAS_CAP of 01b or 10b.
    const V1_0: u32 = 0x0000_0019;
    // ENCAP_CAP; MUT_AUTH_CAP needs it in 1.1 only.
    const V1_1: u32 = V1_0 | 0x0000_1000;
    // MUT_AUTH_CAP, CHUNK_CAP, ALIAS_CERT_CAP, SET_CERT_CAP.
    const V1_2: u32 = V1_1 | 0x000E_0100;
    // EP_INFO_CAP of 01b or 10b, MEL_CAP, GET_KEY_PAIR_INFO_CAP, SET_KEY_PAIR_INFO_CAP.
    const V1_3: u32 = V1_2 | 0x31C0_0000;
    // LARGE_RESP_CAP is none of them: what is fetched then looks different.
    match minor {
        0 => V1_0 | !0x0000_003F,
        1 => V1_1 | !0x0001_FFFF,
        2 => V1_2 | !0x003F_FFFF,
        3 => V1_3 | 0xC000_0000,
        _ => V1_3,
    }
}

/// The bits of a byte that are reserved, or say nothing that an attestation depends on.
fn ignored(minor: u8, exchange: Exchange, byte: usize) -> u8 {
    let reserved_before = |version| if minor < version { 0xFF } else { 0 };
    match (exchange, byte) {
        // Param1, Param2, reserved; UpdateVersionNumber of the only version.
        (Exchange::Version, 2..=4) => 0xFF,
        (Exchange::Version, 6) => 0xF0,

        // Param1: from 1.3 whether SupportedAlgorithms follows.
        (Exchange::Capabilities, 2) => match minor {
            0..3 => 0xFF,
            _ => 0xFE,
        },
        // Param2, reserved; extended flags, none of which an attestation depends on.
        (Exchange::Capabilities, 3..=4 | 6..=7) => 0xFF,
        // CTExponent, which is 14: less, or 15.
        (Exchange::Capabilities, 5) => 0x0F,
        (Exchange::Capabilities, 8..=11) => optional_capabilities(minor).to_le_bytes()[byte - 8],

        // Param1: the number of algorithm structures from 1.1.
        (Exchange::Algorithms, 2) => reserved_before(1),
        (Exchange::Algorithms, 3) => 0xFF,
        // MeasurementSpecificationSel: the one that was offered.
        (Exchange::Algorithms, 6) => 0x01,
        // OtherParamsSelection: the format of opaque data, MultiKeyConn.
        (Exchange::Algorithms, 7) => match minor {
            0 | 1 => 0xFF,
            2 => 0xF0,
            _ => 0xE0,
        },
        // MeasurementHashAlgo: nobody asks for measurements.
        (Exchange::Algorithms, 8..=11) => 0xFF,
        // PqcAsymSel.
        (Exchange::Algorithms, 20..=23) => reserved_before(4),
        (Exchange::Algorithms, 24..=30 | 34..=35) => 0xFF,
        // MELspecificationSel.
        (Exchange::Algorithms, 31) => reserved_before(3),

        // Param1: supported slots, of which slot 0 has the chain.
        (Exchange::Digests, 2) => reserved_before(3) | 0xFE,

        // Param1: the slot in the lower half, LargeCertChain at the top. Param2: the certificate
        // model.
        (Exchange::Certificate, 2) => match minor {
            0..4 => 0xF0,
            _ => 0x70,
        },
        (Exchange::Certificate, 3) => reserved_before(3) | 0xF8,

        // Param1: in 1.0 the slot, later in the lower half, and BasicMutAuthReq at the top.
        (Exchange::Challenge, 2) => match minor {
            0 => 0,
            _ => 0x70,
        },
        // Param2: slots with chains, of which this one is slot 0.
        (Exchange::Challenge, 3) => 0xFE,
        // The nonce is as good as any other; so is opaque data.
        (Exchange::Challenge, at) => {
            let nonce = 4 + DIGEST;
            let opaque = nonce + 32 + 2;
            match at {
                _ if (nonce..nonce + 32).contains(&at) => 0xFF,
                _ if (opaque..opaque + OPAQUE).contains(&at) => 0xFF,
                _ => 0,
            }
        }
        _ => 0,
    }
}

fn bench(minor: u8) -> Bench {
    Bench::new(&format!(
        "version=1.{minor} asym=ecdsa-p256 hash=sha256 opaque={OPAQUE}"
    ))
}

/// Sizes of the responses of an honest device, without signature.
fn sizes(bench: &mut Bench) -> Vec<(Exchange, usize)> {
    let (sender, receiver) = std::sync::mpsc::channel();
    bench.device(|device| {
        device.set_edit(Some(Box::new(move |exchange, message| {
            sender.send((exchange, message.len())).unwrap();
        })));
    });
    bench.honest();
    bench.device(|device| device.set_edit(None));
    receiver.iter().collect()
}

#[test]
fn every_bit_of_every_response_is_checked_or_ignored() {
    let mut wrong = Vec::new();
    for minor in 0..5 {
        let mut bench = bench(minor);
        let sizes = sizes(&mut bench);
        assert_eq!(sizes.iter().map(|s| s.0).collect::<Vec<_>>(), Exchange::ALL);
        for (exchange, size) in sizes {
            for byte in 0..size {
                let bits: &[u8] = match byte {
                    // The chain.
                    300.. => &[0, 7],
                    _ => &[0, 1, 2, 3, 4, 5, 6, 7],
                };
                for &bit in bits {
                    bench.device(|device| {
                        device.set_edit(Some(Box::new(move |at, message| {
                            if at == exchange {
                                message[byte] ^= 1 << bit;
                            }
                        })));
                    });
                    let outcome = bench.attest();
                    let harmless = ignored(minor, exchange, byte) & (1 << bit) != 0;
                    if outcome.is_authenticated() != harmless {
                        let (name, verdict) = (exchange.response_name(), outcome.verdict);
                        wrong.push(format!("1.{minor} {name} {byte}.{bit}: {verdict}"));
                    }
                }
            }
        }
        bench.device(|device| device.set_edit(None));
        bench.honest();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_response_has_one_length() {
    for link in Link::ALL {
        for minor in 0..5 {
            let mut bench = bench(minor).over(link);
            for (exchange, size) in sizes(&mut bench) {
                // Of a chain only the end: in between one length is like the other.
                let shorter = (0..size).filter(|&length| length < 64 || length + 64 > size);
                for length in shorter.chain(size + 1..size + 9) {
                    bench.device(|device| {
                        device.set_edit(Some(Box::new(move |at, message| {
                            if at == exchange {
                                message.resize(length, 0);
                            }
                        })));
                    });
                    let outcome = bench.attest();
                    let name = exchange.response_name();
                    assert!(
                        !outcome.is_authenticated(),
                        "1.{minor} {name}, {length} bytes of {size}: {outcome:?}"
                    );
                }
            }
            bench.device(|device| device.set_edit(None));
            bench.honest();
        }
    }
}

/// The device changes its chain, and says so in DIGESTS and CHALLENGE_AUTH: only certificates and
/// RootHash can tell.
#[test]
fn every_byte_of_the_chain_is_vouched_for() {
    let mut bench = bench(3);
    let honest = bench.honest();
    let chain = bench.chain().to_vec();
    assert!(chain.len() > 1000 && honest.exchanges == 6);
    for byte in 0..chain.len() {
        for bit in 0..8 {
            let mut changed = chain.clone();
            changed[byte] ^= 1 << bit;
            let digest = sha256(&changed);
            bench.device(|device| {
                device.set_edit(Some(Box::new(move |at, message| match at {
                    Exchange::Digests | Exchange::Challenge => {
                        message[4..4 + DIGEST].copy_from_slice(&digest);
                    }
                    Exchange::Certificate => message[8..].copy_from_slice(&changed),
                    _ => {}
                })));
            });
            let outcome = bench.attest();
            let what = format!("byte {byte}, bit {bit}: {}", outcome.verdict);
            // Two bytes after Length are reserved.
            assert_eq!(outcome.is_authenticated(), (2..4).contains(&byte), "{what}");
            // It is the chain that is refused, never the digest.
            assert!(!outcome.verdict.starts_with("digest-mismatch"), "{what}");
            assert!(!outcome.verdict.starts_with("cert-chain-hash"), "{what}");
        }
    }
    bench.device(|device| device.set_edit(None));
    bench.honest();
}
