// SPDX-License-Identifier: GPL-2.0

//! The table of targets.

use crate::response::{Before, State, GET_MEASUREMENTS};
use crate::{conversation, readers};

/// Something to fuzz.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    kind: Kind,
}

enum Kind {
    State(State),
    Function(fn(&[u8]), fn() -> Vec<Vec<u8>>),
}

impl Target {
    /// Runs it on `input`.
    ///
    /// # Panics
    ///
    /// If that found something.
    pub fn run(&self, input: &[u8]) {
        match &self.kind {
            Kind::State(state) => _ = state.run(input),
            Kind::Function(run, _) => run(input),
        }
    }

    /// Inputs to begin with.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        match &self.kind {
            Kind::State(state) => state.seeds(),
            Kind::Function(_, seeds) => seeds(),
        }
    }
}

const fn state(
    name: &'static str,
    request: u8,
    nth: usize,
    before: Before,
    devices: &'static [&'static str],
) -> Target {
    let state = State {
        devices,
        request,
        nth,
        before,
    };
    Target {
        name,
        kind: Kind::State(state),
    }
}

const fn function(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target {
        name,
        kind: Kind::Function(run, seeds),
    }
}

const VERSION: u8 = 0x84;
const CAPABILITIES: u8 = 0xE1;
const ALGORITHMS: u8 = 0xE3;
const DIGESTS: u8 = 0x81;
const CERTIFICATE: u8 = 0x82;
const CHALLENGE: u8 = 0x83;
const CHUNK_SEND: u8 = 0x85;
const CHUNK_GET: u8 = 0x86;
const RESPOND_IF_READY: u8 = 0xFF;

/// A list of devices: what is common to all of them, after what is particular to each.
macro_rules! devices {
    ($common:literal; $($own:literal),*) => {
        &[$(concat!($own, " hash=sha256 ", $common)),*]
    };
}

/// One of each version.
macro_rules! versions {
    ($common:literal) => {
        devices!($common; "version=1.0 asym=ecdsa-p256", "version=1.1 asym=ecdsa-p256",
                 "version=1.2 asym=ecdsa-p256", "version=1.3 asym=ecdsa-p256",
                 "version=1.4 asym=ecdsa-p256")
    };
}

/// One of each version with CHUNK_CAP that carries 42 bytes at once.
macro_rules! chunks {
    ($common:literal) => {
        devices!($common; "version=1.2 asym=ecdsa-p256 transfer=42",
                 "version=1.3 asym=ecdsa-p256 transfer=42", "version=1.4 asym=ecdsa-p256 transfer=42")
    };
}

use Before::{Attestation, Forgotten, Key, Nothing};

/// Every target there is.
pub const TARGETS: &[Target] = &[
    state("version", VERSION, 0, Nothing, versions!("")),
    state(
        "version-after-resynch",
        VERSION,
        1,
        Nothing,
        versions!("fault=resynch at=DIGESTS"),
    ),
    state(
        "version-after-forgotten",
        VERSION,
        0,
        Forgotten,
        versions!("flags=7"),
    ),
    state("capabilities", CAPABILITIES, 0, Nothing, versions!("")),
    state(
        "capabilities-again",
        CAPABILITIES,
        0,
        Attestation,
        versions!(""),
    ),
    state("algorithms", ALGORITHMS, 0, Nothing, versions!("")),
    state(
        "algorithms-pqc",
        ALGORITHMS,
        0,
        Nothing,
        devices!("flags=0x20006 version=1.4"; "asym=mldsa44", "asym=mldsa65", "asym=mldsa87"),
    ),
    state(
        "algorithms-again",
        ALGORITHMS,
        0,
        Attestation,
        versions!(""),
    ),
    state("digests", DIGESTS, 0, Nothing, versions!("slot3=len2")),
    state("digests-again", DIGESTS, 0, Attestation, versions!("")),
    state(
        "digests-multi-key",
        DIGESTS,
        0,
        Nothing,
        devices!("asym=ecdsa-p256 flags=0x14000006 slot3=ok"; "version=1.3", "version=1.4"),
    ),
    state(
        "certificate-multi-key",
        CERTIFICATE,
        0,
        Nothing,
        devices!("asym=ecdsa-p256 flags=0x14000006 model0=alias"; "version=1.3", "version=1.4"),
    ),
    state("certificate", CERTIFICATE, 0, Nothing, versions!("")),
    state(
        "certificate-portion",
        CERTIFICATE,
        1,
        Nothing,
        versions!("portion=500"),
    ),
    state(
        "certificate-slot",
        CERTIFICATE,
        1,
        Nothing,
        versions!("slot0=untrusted slot5=len2"),
    ),
    state(
        "certificate-large",
        CERTIFICATE,
        0,
        Nothing,
        devices!("flags=0x80000006 version=1.4"; "asym=ecdsa-p256", "asym=mldsa44"),
    ),
    state("challenge", CHALLENGE, 0, Nothing, versions!("")),
    state(
        "challenge-opaque",
        CHALLENGE,
        0,
        Nothing,
        versions!("opaque=64"),
    ),
    state(
        "challenge-rsa",
        CHALLENGE,
        0,
        Nothing,
        devices!("asym=rsassa-2048"; "version=1.0", "version=1.2", "version=1.4"),
    ),
    state(
        "challenge-pqc",
        CHALLENGE,
        0,
        Nothing,
        devices!("flags=0x80000006 version=1.4"; "asym=mldsa44"),
    ),
    state("challenge-again", CHALLENGE, 0, Attestation, versions!("")),
    state(
        "challenge-alone",
        CHALLENGE,
        0,
        Attestation,
        versions!("flags=7"),
    ),
    state(
        "challenge-forgotten",
        CHALLENGE,
        0,
        Forgotten,
        versions!("flags=7"),
    ),
    state(
        "challenge-key",
        CHALLENGE,
        0,
        Key,
        devices!("asym=ecdsa-p256 flags=0x10004"; "version=1.1", "version=1.2", "version=1.3",
                   "version=1.4"),
    ),
    state(
        "measurements",
        GET_MEASUREMENTS,
        0,
        Nothing,
        versions!("flags=0x16"),
    ),
    state(
        "measurements-unsigned",
        GET_MEASUREMENTS,
        0,
        Nothing,
        versions!("flags=0xe"),
    ),
    state(
        "measurements-count",
        GET_MEASUREMENTS,
        1,
        Nothing,
        versions!("flags=0x16 fault=measurement-one-by-one"),
    ),
    state(
        "measurements-one",
        GET_MEASUREMENTS,
        2,
        Nothing,
        versions!("flags=0x16 fault=measurement-one-by-one"),
    ),
    state(
        "measurements-two",
        GET_MEASUREMENTS,
        3,
        Nothing,
        versions!("flags=0x16 fault=measurement-one-by-one"),
    ),
    state(
        "error-version",
        VERSION,
        0,
        Nothing,
        versions!("fault=busy at=VERSION"),
    ),
    state(
        "error-capabilities",
        CAPABILITIES,
        0,
        Nothing,
        versions!("fault=busy at=CAPABILITIES"),
    ),
    state(
        "error-digests",
        DIGESTS,
        0,
        Nothing,
        versions!("fault=not-ready at=DIGESTS"),
    ),
    state(
        "error-certificate",
        CERTIFICATE,
        0,
        Nothing,
        versions!("fault=not-ready at=CERTIFICATE"),
    ),
    state(
        "error-challenge",
        CHALLENGE,
        0,
        Nothing,
        versions!("fault=not-ready at=CHALLENGE_AUTH"),
    ),
    state(
        "error-resynch",
        DIGESTS,
        0,
        Nothing,
        versions!("fault=resynch at=DIGESTS"),
    ),
    state(
        "error-large-response",
        DIGESTS,
        0,
        Nothing,
        chunks!("flags=0x20006"),
    ),
    state(
        "respond-if-ready",
        RESPOND_IF_READY,
        0,
        Nothing,
        versions!("fault=not-ready at=DIGESTS"),
    ),
    state(
        "respond-if-ready-challenge",
        RESPOND_IF_READY,
        0,
        Nothing,
        versions!("fault=not-ready at=CHALLENGE_AUTH"),
    ),
    state(
        "chunk-first",
        CHUNK_GET,
        0,
        Nothing,
        chunks!("flags=0x20006 portion=500"),
    ),
    state(
        "chunk-next",
        CHUNK_GET,
        1,
        Nothing,
        chunks!("flags=0x20006 portion=500"),
    ),
    state(
        "chunk-certificate",
        CHUNK_GET,
        4,
        Nothing,
        chunks!("flags=0x20006 portion=500"),
    ),
    state(
        "chunk-ack",
        CHUNK_SEND,
        0,
        Nothing,
        devices!("asym=ecdsa-p256 flags=0x20006 transfer=42"; "version=1.3", "version=1.4"),
    ),
    state(
        "chunk-ack-last",
        CHUNK_SEND,
        1,
        Nothing,
        devices!("asym=ecdsa-p256 flags=0x20006 transfer=42"; "version=1.3", "version=1.4"),
    ),
    function(
        "conversation",
        conversation::on_the_way,
        conversation::seeds,
    ),
    function(
        "conversation-signed",
        conversation::signed,
        conversation::seeds,
    ),
    function("transport", conversation::transport, conversation::seeds),
    function("der", readers::der, readers::der_seeds),
    function("x509", readers::x509, readers::der_seeds),
    function("public-key", readers::public_key, readers::public_key_seeds),
    function("extensions", readers::extensions, readers::extensions_seeds),
    function(
        "subject-alt-name",
        readers::subject_alt_name,
        readers::subject_alt_name_seeds,
    ),
    function("chain", readers::chain, readers::chain_seeds),
    function(
        "trusted-chain",
        readers::trusted_chain,
        readers::chain_seeds,
    ),
    function("pss", readers::pss, readers::pss_seeds),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A genuine response in its place: each state is reached, and an oracle that refused everything
    /// would be noticed.
    #[test]
    fn genuine_responses_are_accepted() {
        for target in TARGETS {
            let Kind::State(state) = &target.kind else {
                continue;
            };
            for seed in state.seeds() {
                let outcome = state.run(&seed).unwrap();
                assert!(outcome.is_authenticated(), "{}: {outcome:?}", target.name);
            }
        }
    }

    /// Each octet of each seed changed, as a fuzzer would begin to.
    #[test]
    fn seeds_and_their_neighbours() {
        for target in TARGETS {
            let seeds = target.seeds();
            assert!(!seeds.is_empty(), "{}", target.name);
            for seed in seeds.iter().take(4) {
                target.run(seed);
                for at in (0..seed.len()).step_by(1 + seed.len() / 64) {
                    let mut input = seed.clone();
                    input[at] ^= 0xFF;
                    target.run(&input);
                    target.run(&seed[..at]);
                }
            }
        }
    }

    #[test]
    fn names_are_different() {
        let mut names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TARGETS.len());
    }
}
