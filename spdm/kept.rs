// SPDX-License-Identifier: GPL-2.0

//! What a successful attestation leaves for the next one, so that it can leave out messages.
//!
//! * The certificate chain: if DIGESTS names its hash again, it is not fetched and its signatures are not verified
//!   again. Whether it is still trusted is judged again ([`TrustAnchor::recheck`]).
//! * The negotiated state, if the responder keeps it, too (CACHE_CAP): then CHALLENGE alone is sent.
//!
//! None of it is a verdict: that needs a signature over a fresh nonce each time. And none of it outlives a failure.

use crate::{
    capabilities::Capabilities,
    certificate::split_chain,
    error::Reason,
    negotiation::Algorithms,
    platform::Platform,
    report::{Config, Negotiated},
    transcript::digest_of,
    trust::{CertChain, CertificateModel, TrustAnchor},
    verdict::TrustedChain,
    version::Version,
};

/// What was negotiated, and all that a CHALLENGE needs to know of it.
#[derive(Clone, Copy)]
pub(crate) struct Session {
    pub(crate) version: Version,
    pub(crate) capabilities: Capabilities,
    pub(crate) algorithms: Algorithms,
}

/// What a successful attestation leaves for the next one.
pub(crate) struct Kept<K> {
    /// How it was set up.
    pub(crate) config: Config,
    pub(crate) session: Session,
    /// What there was to say about it.
    pub(crate) negotiated: Negotiated,
    pub(crate) model: CertificateModel,
    pub(crate) chain: TrustedChain<K>,
}

impl<K: Clone> Kept<K> {
    /// Whether an attestation that is set up by `config` would have come to the same.
    pub(crate) fn is_for(&self, config: &Config) -> bool {
        // It came to the key that the responder is known by since.
        let known_asym = self.config.known_asym;
        self.config
            == Config {
                known_asym,
                ..*config
            }
    }

    /// Has the chain judged again, of which the caller still has the bytes.
    ///
    /// Returns `None` if it has to be verified as if nothing were known about it.
    #[inline(never)]
    pub(crate) fn trust_again<A: TrustAnchor<LeafKey = K>>(
        &self,
        platform: &impl Platform,
        anchor: &mut A,
        bytes: &[u8],
    ) -> Option<TrustedChain<K>> {
        let Algorithms {
            base_hash, asym, ..
        } = self.session.algorithms;
        // Whoever kept them: these are the bytes that were verified.
        let digest = digest_of(platform, base_hash, &[bytes]).ok()?;
        let (root_hash, certificates) = split_chain(bytes, self.session.version, base_hash).ok()?;
        let chain = CertChain {
            slot: self.chain.slot(),
            base_hash,
            root_hash,
            certificates,
            asym,
            model: self.model,
            version: self.session.version.as_byte(),
        };
        self.chain.recheck(anchor, &chain, &digest)
    }
}

/// Whether an attestation that began with CHALLENGE and failed so can succeed if it begins with GET_VERSION: whether
/// the reason is what the responder answered. It may have forgotten what was negotiated.
pub(crate) fn may_have_forgotten(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::Timeout
            | Reason::Deadline
            | Reason::Gone
            | Reason::Interrupted
            | Reason::Transport
            | Reason::OutOfMemory
            | Reason::Internal
            | Reason::SignatureNotChecked
    )
}

/// Whether the responder says itself that it has forgotten: then what it said about its chain is as good as before.
pub(crate) fn says_so(reason: Reason) -> bool {
    matches!(reason, Reason::ErrorResponse(_) | Reason::RequestResynch)
}

#[cfg(test)]
mod tests {
    use std::{boxed::Box, vec, vec::Vec};

    use super::*;
    use crate::{
        algorithms::BaseHash,
        testing::{
            each_version, refuse, Bench, Certificates, Instead, BUSY, CHALLENGE, CHUNK_GET,
            GET_CAPABILITIES, GET_CERTIFICATE, GET_DIGESTS, GET_VERSION, NEGOTIATE_ALGORITHMS,
            OTHER_ROOT, REQUEST_RESYNCH, VERSIONS,
        },
        transport::TransportError,
        trust::ChainError,
        version::Version::V1_3,
    };

    const CACHE_CAP: u32 = 1 << 0;
    const UNEXPECTED_REQUEST: u8 = 0x04;

    const WHOLE: [u8; 6] = [
        GET_VERSION,
        GET_CAPABILITIES,
        NEGOTIATE_ALGORITHMS,
        GET_DIGESTS,
        GET_CERTIFICATE,
        CHALLENGE,
    ];
    const WITHOUT_CHAIN: [u8; 5] = [
        GET_VERSION,
        GET_CAPABILITIES,
        NEGOTIATE_ALGORITHMS,
        GET_DIGESTS,
        CHALLENGE,
    ];
    const CHALLENGE_ALONE: [u8; 1] = [CHALLENGE];

    /// A responder that was attested once.
    fn attested(version: Version) -> Bench {
        let mut bench = Bench::new(version);
        assert_eq!(bench.codes_of_success(), WHOLE);
        bench
    }

    /// The same, and it keeps negotiated state.
    fn attested_with_cache_cap(version: Version) -> Bench {
        let mut bench = Bench::new(version);
        bench.responder.flags |= CACHE_CAP;
        assert_eq!(bench.codes_of_success(), WHOLE);
        bench
    }

    /// Both.
    fn all_attested() -> impl Iterator<Item = Bench> {
        VERSIONS
            .into_iter()
            .flat_map(|version| [attested(version), attested_with_cache_cap(version)])
    }

    each_version!(chain_is_left_out);
    fn chain_is_left_out(version: Version) {
        let mut bench = attested(version);
        let negotiated = bench.report.negotiated;
        for again in 1..4 {
            assert_eq!(bench.codes_of_success(), WITHOUT_CHAIN);
            assert_eq!(bench.report.negotiated, negotiated);
            // Not one signature in the chain was verified again, but it was judged again.
            assert_eq!(bench.anchor.seen, [0]);
            assert_eq!(bench.anchor.seen_again.len(), again);
            assert_eq!(bench.chain_bytes(), bench.responder.chain(0));
        }
    }

    each_version!(all_but_challenge_is_left_out);
    fn all_but_challenge_is_left_out(version: Version) {
        let mut bench = attested_with_cache_cap(version);
        let negotiated = bench.report.negotiated;
        for again in 1..4 {
            assert_eq!(bench.codes_of_success(), CHALLENGE_ALONE);
            assert_eq!(bench.report.negotiated, negotiated);
            assert_eq!(bench.anchor.seen, [0]);
            assert_eq!(bench.anchor.seen_again.len(), again);
        }
    }

    each_version!(bytes_that_are_saved);
    fn bytes_that_are_saved(version: Version) {
        for (flags, part) in [(0, 3), (CACHE_CAP, 7)] {
            let mut bench = Bench::new(version);
            bench.responder.flags |= flags;
            // Three certificates with P-384 have 1.6 KB.
            bench.responder.slots[0].as_mut().unwrap().between = vec![0x30; 1500];
            let [first, second] = [(); 2].map(|()| {
                bench.succeeds(0);
                bench.report.stats.bytes_out + bench.report.stats.bytes_in
            });
            assert!(second * part < first, "{version}: {second} of {first}");
        }
    }

    each_version!(another_slot_than_the_first);
    fn another_slot_than_the_first(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.slots[3] = bench.responder.slots[0].take();
        bench.responder.slots[1] = Some(Certificates::of_another_owner());
        bench.succeeds(3);
        assert_eq!(bench.anchor.seen, [1, 3]);
        bench.succeeds(3);
        assert_eq!(bench.report.stats.exchanges, 5);
        assert_eq!(bench.anchor.seen, [1, 3]);
        assert_eq!(bench.anchor.seen_again, [3]);
    }

    each_version!(responses_in_chunks: V1_2 V1_3);
    fn responses_in_chunks(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.flags |= CACHE_CAP | (1 << 17);
        bench.responder.transmit_size = 64;
        bench.succeeds(0);
        let codes = bench.codes_of_success();
        assert_eq!(codes[0], CHALLENGE);
        assert!(codes.len() > 3 && codes[1..].iter().all(|code| *code == CHUNK_GET));
    }

    #[test]
    fn off_switch() {
        for mut bench in all_attested() {
            bench.config.cache = false;
            assert_eq!(bench.codes_of_success(), WHOLE);
            assert_eq!(bench.codes_of_success(), WHOLE);
            // It left nothing.
            bench.config.cache = true;
            assert_eq!(bench.codes_of_success(), WHOLE);
            assert_ne!(bench.codes_of_success(), WHOLE);
        }
    }

    #[test]
    fn another_policy() {
        for mut bench in all_attested() {
            bench.config.slots = 0x0f;
            assert_eq!(bench.codes_of_success(), WHOLE);
            assert_ne!(bench.codes_of_success(), WHOLE);
        }
    }

    #[test]
    fn root_removed() {
        for mut bench in all_attested() {
            bench.anchor.roots.clear();
            let error = bench.attest().err().unwrap();
            assert_eq!(error.name(), "untrusted-root");
            assert_eq!(bench.report.untrusted_slots, 1);
            // The chain was fetched and verified.
            assert_eq!(bench.anchor.seen, [0, 0]);
        }
    }

    #[test]
    fn expired_or_revoked_since() {
        for reason in [ChainError::Expired, ChainError::Revoked] {
            for mut bench in all_attested() {
                bench.anchor.refused = vec![(0, reason)];
                let error = bench.attest().err().unwrap();
                assert_eq!(error.name(), reason.name());
                assert_eq!(bench.anchor.seen, [0, 0]);
            }
        }
    }

    #[test]
    fn nothing_outlives_a_failure() {
        for code in WHOLE {
            for mut bench in all_attested() {
                bench.responder.instead = Some(Box::new(move |_, request| {
                    (request[1] == code).then_some(Instead::Failure(TransportError::Timeout))
                }));
                // Some requests are not made any more.
                let failed = bench.attest().is_err();
                bench.responder.instead = None;
                assert_eq!(bench.codes_of_success() == WHOLE, failed);
            }
        }
    }

    #[test]
    fn c3_digest_changed() {
        for mut bench in all_attested() {
            bench.responder.slots[0].as_mut().unwrap().between.push(7);
            assert!(bench.codes_of_success().ends_with(&WHOLE));
            assert_eq!(bench.anchor.seen, [0, 0]);
            assert_eq!(bench.chain_bytes(), bench.responder.chain(0));
            // From now on it is this chain's.
            assert_ne!(bench.codes_of_success(), WHOLE);
        }
    }

    #[test]
    fn c6_another_device() {
        for mut bench in all_attested() {
            bench.responder.slots[0] = Some(Certificates::new(OTHER_ROOT, [0x18; 24]));
            let error = bench.attest().err().unwrap();
            assert_eq!(error.name(), "untrusted-root");
        }
    }

    #[test]
    fn another_device_with_the_same_chain() {
        // It has everything but the key.
        for mut bench in all_attested() {
            bench.tamper = Some(Box::new(|code, response| {
                if code == CHALLENGE {
                    *response.last_mut().unwrap() ^= 1;
                }
            }));
            let error = bench.attest().err().unwrap();
            assert_eq!(error.name(), "bad-signature");
            // If it did not even say what it negotiated, nothing was taken as known after that.
            let kept = bench.responder.flags & CACHE_CAP != 0;
            assert_eq!(bench.anchor.seen.len(), if kept { 2 } else { 1 });
        }
    }

    each_version!(c4_cert_chain_hash_is_not_the_chains);
    fn c4_cert_chain_hash_is_not_the_chains(version: Version) {
        for bench in [attested(version), attested_with_cache_cap(version)] {
            bench
                .lie(CHALLENGE, |response| response[4] ^= 1)
                .fails("cert-chain-hash-mismatch: CHALLENGE");
        }
    }

    each_version!(c1_slot_no_longer_provisioned);
    fn c1_slot_no_longer_provisioned(version: Version) {
        let mut bench = attested(version);
        bench.responder.slots[2] = bench.responder.slots[0].take();
        bench.succeeds(2);
        assert_eq!(bench.report.stats.exchanges, 6);
    }

    #[test]
    fn c16_key_may_no_longer_be_challenged() {
        let mut bench = Bench::new(V1_3);
        // MULTI_KEY_CAP and GET_KEY_PAIR_INFO_CAP.
        bench.responder.flags |= (1 << 26) | (1 << 28);
        bench.succeeds(0);
        bench.succeeds(0);
        assert_eq!(bench.report.stats.exchanges, 5);
        bench.responder.keys[0].2 = 0x0001;
        bench.fails("slot-key-usage: slot 0");
    }

    #[test]
    fn other_bytes_than_those_that_were_verified() {
        for mut bench in all_attested() {
            bench.chain.bytes[60] ^= 1;
            assert_eq!(bench.codes_of_success(), WHOLE);
            bench.chain.bytes.clear();
            assert_eq!(bench.codes_of_success(), WHOLE);
        }
    }

    #[test]
    fn something_else_was_negotiated() {
        for version in VERSIONS {
            let mut bench = attested(version);
            bench.responder.base_hash = BaseHash::Sha256;
            assert_eq!(bench.codes_of_success(), WHOLE);
        }
        let mut bench = attested(V1_3);
        bench.responder.versions = vec![0x1200];
        assert_eq!(bench.codes_of_success(), WHOLE);
    }

    each_version!(cache_cap_since_yesterday);
    fn cache_cap_since_yesterday(version: Version) {
        let mut bench = attested(version);
        bench.responder.flags |= CACHE_CAP;
        assert_eq!(bench.codes_of_success(), WITHOUT_CHAIN);
        assert_eq!(bench.codes_of_success(), CHALLENGE_ALONE);
    }

    each_version!(responder_has_forgotten_and_says_so);
    fn responder_has_forgotten_and_says_so(version: Version) {
        for error in [UNEXPECTED_REQUEST, REQUEST_RESYNCH, 0x01, 0x41] {
            let mut bench = attested_with_cache_cap(version);
            bench.responder.instead = Some(refuse(CHALLENGE, 1, error, &[]));
            let codes = bench.codes_of_success();
            assert_eq!(codes, [&[CHALLENGE][..], &WITHOUT_CHAIN].concat());
            // It keeps it again.
            assert_eq!(bench.codes_of_success(), CHALLENGE_ALONE);
        }
    }

    each_version!(e10_responder_has_forgotten_even_the_version);
    fn e10_responder_has_forgotten_even_the_version(version: Version) {
        let mut bench = attested_with_cache_cap(version);
        let mut first = true;
        bench.responder.instead = Some(Box::new(move |_, _| {
            core::mem::take(&mut first)
                .then(|| Instead::Response(vec![0x10, 0x7f, UNEXPECTED_REQUEST, 0]))
        }));
        // Nothing tells this from a lie.
        let after: &[u8] = match version {
            Version::V1_0 => &WITHOUT_CHAIN,
            _ => &WHOLE,
        };
        let codes = bench.codes_of_success();
        assert_eq!(codes, [&[CHALLENGE][..], after].concat());
    }

    each_version!(s2_responder_has_forgotten_and_signs_nevertheless);
    fn s2_responder_has_forgotten_and_signs_nevertheless(version: Version) {
        let mut bench = attested_with_cache_cap(version);
        let mut first = true;
        bench.tamper = Some(Box::new(move |code, response| {
            if code == CHALLENGE && core::mem::take(&mut first) {
                *response.last_mut().unwrap() ^= 1;
            }
        }));
        let codes = bench.codes_of_success();
        assert_eq!(codes, [&[CHALLENGE][..], &WHOLE].concat());
        assert_eq!(bench.anchor.seen, [0, 0]);
    }

    each_version!(e1_endless_busy);
    fn e1_endless_busy(version: Version) {
        let mut bench = attested_with_cache_cap(version);
        bench.responder.instead = Some(refuse(CHALLENGE, usize::MAX, BUSY, &[]));
        bench.fails("busy: CHALLENGE");
    }

    each_version!(e7_resynch_loop);
    fn e7_resynch_loop(version: Version) {
        let mut bench = attested_with_cache_cap(version);
        bench.responder.requests.clear();
        bench.responder.instead = Some(refuse(CHALLENGE, usize::MAX, REQUEST_RESYNCH, &[]));
        let error = bench.attest().err().unwrap();
        assert_eq!(error.name(), "request-resynch");
        let codes = bench.responder.codes();
        assert_eq!(codes.iter().filter(|code| **code == CHALLENGE).count(), 5);
    }

    each_version!(e8_silence);
    fn e8_silence(version: Version) {
        for (error, reason) in [
            (TransportError::Timeout, "timeout"),
            (TransportError::Gone, "device-gone"),
            (TransportError::Interrupted, "interrupted"),
            (TransportError::Io, "transport-error"),
        ] {
            let mut bench = attested_with_cache_cap(version)
                .instead(CHALLENGE, move |_| Instead::Failure(error));
            bench.responder.requests.clear();
            assert_eq!(bench.attest().err().unwrap().name(), reason);
            assert_eq!(bench.responder.codes(), CHALLENGE_ALONE);
        }
    }

    each_version!(times_and_sizes_are_kept);
    fn times_and_sizes_are_kept(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.flags |= CACHE_CAP;
        bench.responder.ct_exponent = 21;
        bench.succeeds(0);
        bench.timeouts.clear();
        bench.succeeds(0);
        assert_eq!(bench.timeouts, [(1 << 21) + 1000]);
    }

    #[test]
    fn s1_nonces_are_fresh() {
        for mut bench in all_attested() {
            let mut nonces = Vec::new();
            for _ in 0..3 {
                bench.succeeds(0);
                let challenge = bench.responder.requests.last().unwrap();
                nonces.push(challenge[4..36].to_vec());
            }
            assert!(nonces[0] != nonces[1] && nonces[1] != nonces[2]);
        }
    }

    each_version!(s1_replay_of_the_last_challenge_auth);
    fn s1_replay_of_the_last_challenge_auth(version: Version) {
        for flags in [0, CACHE_CAP] {
            let mut bench = Bench::new(version);
            bench.responder.flags |= flags;
            let mut last = None;
            bench.tamper = Some(Box::new(move |code, response| {
                if code == CHALLENGE {
                    *response = last.get_or_insert(response.clone()).clone();
                }
            }));
            bench.succeeds(0);
            let reason = match version < V1_3 {
                true => "bad-signature",
                false => "requester-context-mismatch",
            };
            assert_eq!(bench.attest().err().unwrap().name(), reason);
        }
    }

    each_version!(every_bit_counts);
    fn every_bit_counts(version: Version) {
        // The responses that there still are, and their sizes.
        let sizes = match version {
            Version::V1_0 | Version::V1_1 => [8, 12, 36, 52, 86 + 96],
            Version::V1_2 => [8, 20, 36, 52, 86 + 96],
            _ => [8, 20, 36, 52, 86 + 8 + 96],
        };
        for flags in [0, CACHE_CAP] {
            for (code, size) in WITHOUT_CHAIN.into_iter().zip(sizes) {
                if flags != 0 && code != CHALLENGE {
                    continue;
                }
                for (at, bit) in (0..size).flat_map(|at| [0, 3, 7].map(|bit| (at, bit))) {
                    let mut bench = Bench::new(version);
                    bench.responder.flags |= flags;
                    bench.succeeds(0);
                    let mut bench = bench.tamper(code, move |response| response[at] ^= 1 << bit);
                    assert!(
                        bench.attest().is_err(),
                        "{version} {code:#x}: byte {at}, bit {bit}"
                    );
                }
            }
        }
    }
}
