// SPDX-License-Identifier: GPL-2.0

//! The attestation, one state after the other.
//!
//! A request is a method of the state in which the standard allows it, and its result is the state that it
//! leads to: there is no way to send one out of order.

use crate::{
    capabilities::{Capabilities, GetCapabilities, MIN_DATA_TRANSFER_SIZE},
    certificate::{split_chain, GetCertificate, Portion, CERTIFICATE_SIZE},
    challenge::{Challenge, CONTEXT_SIZE, NONCE_SIZE},
    digests::{slot_bit, slots, GetDigests, SlotDigests},
    error::{Error, Reason, SlotError},
    exchange::Link,
    message::{copy, RequestCode},
    negotiation::{Algorithms, NegotiateAlgorithms},
    platform::{Hash, Platform},
    report::{Config, Negotiated, Report},
    transcript::{challenge_auth_digest, digest_of, Vca, M1},
    transport::Transport,
    trust::{CertChain, ChainBuffer, ChainError, SignatureError, Signed, TrustAnchor},
    verdict::{Authenticated, TrustedChain, VerifiedSignature},
    version::{GetVersion, Version},
};

/// How often a responder may ask to start over (RequestResynch).
const MAX_RESYNCHS: usize = 3;

/// What an attestation keeps that is too large for a stack: about 1 KiB, and a running hash `H`.
///
/// It can be used for one attestation after the other.
pub struct Workspace<H> {
    vca: Vca,
    m1: M1<H>,
    digests: SlotDigests,
}

impl<H: Hash> Workspace<H> {
    /// Makes an empty one.
    pub const fn new() -> Self {
        Self {
            vca: Vca::new(),
            m1: M1::new(),
            digests: SlotDigests::new(),
        }
    }
}

impl<H: Hash> Default for Workspace<H> {
    fn default() -> Self {
        Self::new()
    }
}

/// Attests one responder.
pub struct Requester<'a, T, P: Platform> {
    /// The way to the responder.
    pub transport: &'a mut T,
    /// Hashes, nonces and time.
    pub platform: &'a mut P,
    /// Where responses are received: its size, or the transport's if that is smaller, becomes
    /// DataTransferSize. At least 42 bytes.
    pub buffer: &'a mut [u8],
    /// Other memory.
    pub workspace: &'a mut Workspace<P::Hash>,
    /// Limits.
    pub config: Config,
}

impl<T: Transport, P: Platform> Requester<'_, T, P> {
    /// Attests the responder.
    ///
    /// `report` is written whatever the outcome. If it is success, `chain` holds the trusted certificate
    /// chain: its head, RootHash and certificates.
    ///
    /// # Errors
    ///
    /// [`Error`]: why the device is not to be trusted, or could not be asked.
    pub fn attest<A: TrustAnchor, C: ChainBuffer>(
        &mut self,
        anchor: &mut A,
        chain: &mut C,
        report: &mut Report,
    ) -> Result<Authenticated<A::LeafKey>, Error> {
        *report = Report::default();
        let buffer = data_transfer_buffer(self.buffer, self.transport)
            .map_err(|reason| Error::new(reason, RequestCode::GetVersion))?;
        let mut connection = Connection {
            link: Link::new(self.transport, self.platform, self.config.deadline_us),
            buffer,
            workspace: self.workspace,
            report,
        };
        let result = connection.attest(anchor, chain);
        connection.report.stats = connection.link.stats;
        result
    }
}

/// The part of `buffer` to receive responses in.
fn data_transfer_buffer<'b>(
    buffer: &'b mut [u8],
    transport: &impl Transport,
) -> Result<&'b mut [u8], Reason> {
    let len = buffer.len().min(transport.max_message_size());
    // A response of this size must fit with its padding.
    let len = len & !transport.alignment().saturating_sub(1);
    match u32::try_from(len) {
        Ok(MIN_DATA_TRANSFER_SIZE..) => buffer.get_mut(..len).ok_or(Reason::Internal),
        _ => Err(Reason::BufferTooSmall),
    }
}

/// What all states share.
struct Connection<'a, T, P: Platform> {
    link: Link<'a, T, P>,
    buffer: &'a mut [u8],
    workspace: &'a mut Workspace<P::Hash>,
    report: &'a mut Report,
}

impl<'a, T: Transport, P: Platform> Connection<'a, T, P> {
    /// Goes through all states, and starts again if the responder asks for it.
    fn attest<A: TrustAnchor, C: ChainBuffer>(
        &mut self,
        anchor: &mut A,
        chain: &mut C,
    ) -> Result<Authenticated<A::LeafKey>, Error> {
        for _ in 0..MAX_RESYNCHS {
            match self.attest_once(anchor, chain) {
                Err(error) if error.reason() == Reason::RequestResynch => (),
                result => return result,
            }
        }
        self.attest_once(anchor, chain)
    }

    fn attest_once<A: TrustAnchor, C: ChainBuffer>(
        &mut self,
        anchor: &mut A,
        chain: &mut C,
    ) -> Result<Authenticated<A::LeafKey>, Error> {
        self.get_version()?
            .get_capabilities()?
            .negotiate_algorithms()?
            .get_digests()?
            .get_trusted_chain(anchor, chain)?
            .challenge(anchor)
    }

    /// GET_VERSION: always allowed, and forgets everything before it.
    fn get_version(&mut self) -> Result<AfterVersion<'_, 'a, T, P>, Error> {
        self.link.reset();
        self.workspace.vca.clear();
        self.report.negotiated = Negotiated::default();
        self.report.untrusted_slots = 0;

        let request = GetVersion::new();
        let version = self
            .link
            .exchange(&request, self.buffer, &mut self.workspace.vca)?;
        self.report.negotiated.version = Some(version);
        Ok(AfterVersion {
            connection: self,
            version,
        })
    }
}

/// The version is known.
struct AfterVersion<'c, 'a, T, P: Platform> {
    connection: &'c mut Connection<'a, T, P>,
    version: Version,
}

impl<'c, 'a, T: Transport, P: Platform> AfterVersion<'c, 'a, T, P> {
    fn get_capabilities(self) -> Result<AfterCapabilities<'c, 'a, T, P>, Error> {
        let Connection {
            link,
            buffer,
            workspace,
            report,
        } = &mut *self.connection;
        let data_transfer_size = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let request = GetCapabilities::new(self.version, data_transfer_size);
        let capabilities: Capabilities = link.exchange(&request, buffer, &mut workspace.vca)?;
        report.negotiated.capabilities = Some(capabilities);
        capabilities
            .allow_attestation()
            .map_err(|reason| Error::new(reason, RequestCode::GetCapabilities))?;
        link.set_capabilities(&capabilities);
        Ok(AfterCapabilities {
            connection: self.connection,
            version: self.version,
        })
    }
}

/// The responder's capabilities are known, and suffice.
struct AfterCapabilities<'c, 'a, T, P: Platform> {
    connection: &'c mut Connection<'a, T, P>,
    version: Version,
}

impl<'c, 'a, T: Transport, P: Platform> AfterCapabilities<'c, 'a, T, P> {
    fn negotiate_algorithms(self) -> Result<AfterAlgorithms<'c, 'a, T, P>, Error> {
        let fail = |reason| Error::new(reason, RequestCode::NegotiateAlgorithms);
        let Connection {
            link,
            buffer,
            workspace,
            report,
        } = &mut *self.connection;
        let request = NegotiateAlgorithms::new(
            self.version,
            link.platform.base_asyms(),
            link.platform.base_hashes(),
        )
        .map_err(fail)?;
        let algorithms = link.exchange(&request, buffer, &mut workspace.vca)?;
        report.negotiated.base_hash = Some(algorithms.base_hash);
        report.negotiated.base_asym = Some(algorithms.base_asym);
        // Nothing is sent any more that comes before this in a transcript.
        workspace
            .m1
            .start(link.platform, algorithms.base_hash, &workspace.vca)
            .map_err(fail)?;
        Ok(AfterAlgorithms {
            connection: self.connection,
            version: self.version,
            algorithms,
        })
    }
}

/// The algorithms are known. M1 runs.
struct AfterAlgorithms<'c, 'a, T, P: Platform> {
    connection: &'c mut Connection<'a, T, P>,
    version: Version,
    algorithms: Algorithms,
}

impl<'c, 'a, T: Transport, P: Platform> AfterAlgorithms<'c, 'a, T, P> {
    fn get_digests(self) -> Result<AfterDigests<'c, 'a, T, P>, Error> {
        let Connection {
            link,
            buffer,
            workspace,
            report,
        } = &mut *self.connection;
        let base_hash = self.algorithms.base_hash;
        let request = GetDigests::new(self.version, base_hash);
        let digests = link.exchange(&request, buffer, &mut workspace.m1)?;
        report.negotiated.supported_slots = digests.supported;
        report.negotiated.provisioned_slots = digests.provisioned;
        let provisioned = digests.provisioned;
        workspace
            .digests
            .store(&digests, base_hash)
            .map_err(|reason| Error::new(reason, RequestCode::GetDigests))?;
        Ok(AfterDigests {
            connection: self.connection,
            version: self.version,
            algorithms: self.algorithms,
            provisioned,
        })
    }
}

/// The digests of the certificate chains are known.
struct AfterDigests<'c, 'a, T, P: Platform> {
    connection: &'c mut Connection<'a, T, P>,
    version: Version,
    algorithms: Algorithms,
    provisioned: u8,
}

impl<'c, 'a, T: Transport, P: Platform> AfterDigests<'c, 'a, T, P> {
    /// Fetches the chain of one provisioned slot after the other until one is trusted.
    ///
    /// # Errors
    ///
    /// If none is: the most telling of the failures.
    fn get_trusted_chain<A: TrustAnchor, C: ChainBuffer>(
        mut self,
        anchor: &mut A,
        chain: &mut C,
    ) -> Result<AfterCertificate<'c, 'a, T, P, A::LeafKey>, Error> {
        let mut failure = Reason::NoProvisionedSlot;
        for slot in slots(self.provisioned) {
            match self.get_chain(slot, anchor, chain) {
                Ok(trusted) => {
                    self.connection.report.negotiated.slot = Some(slot);
                    return Ok(AfterCertificate {
                        connection: self.connection,
                        version: self.version,
                        algorithms: self.algorithms,
                        chain: trusted,
                    });
                }
                Err(reason @ (Reason::Slot { .. } | Reason::Chain { .. })) => {
                    if matches!(
                        reason,
                        Reason::Chain {
                            error: ChainError::UntrustedRoot,
                            ..
                        }
                    ) {
                        self.connection.report.untrusted_slots |= slot_bit(slot);
                    }
                    if telling(reason) > telling(failure) {
                        failure = reason;
                    }
                }
                Err(reason) => return Err(Error::new(reason, RequestCode::GetCertificate)),
            }
        }
        Err(Error::new(failure, RequestCode::GetCertificate))
    }

    /// Fetches the chain of `slot` and has it verified.
    #[inline(never)]
    fn get_chain<A: TrustAnchor, C: ChainBuffer>(
        &mut self,
        slot: u8,
        anchor: &mut A,
        chain: &mut C,
    ) -> Result<TrustedChain<A::LeafKey>, Reason> {
        self.get_certificate(slot, chain)?;
        let chain = chain.get();
        let base_hash = self.algorithms.base_hash;
        let bad_slot = |error| Reason::Slot { slot, error };

        let digest = digest_of(self.connection.link.platform, base_hash, &[chain])?;
        if self.connection.workspace.digests.get(slot) != Some(digest.as_bytes()) {
            return Err(bad_slot(SlotError::DigestMismatch));
        }
        let (root_hash, certificates) = split_chain(chain, base_hash).map_err(bad_slot)?;
        let chain = CertChain {
            slot,
            base_hash,
            root_hash,
            certificates,
            base_asym: self.algorithms.base_asym,
            version: self.version.as_byte(),
        };
        TrustedChain::verify(anchor, &chain, digest).map_err(|error| Reason::Chain { slot, error })
    }

    /// Fetches the chain of `slot` into `chain`, portion by portion.
    fn get_certificate<C: ChainBuffer>(&mut self, slot: u8, chain: &mut C) -> Result<(), Reason> {
        let largest = self
            .connection
            .buffer
            .len()
            .saturating_sub(CERTIFICATE_SIZE);
        let largest = u16::try_from(largest).unwrap_or(u16::MAX);

        let first = self.get_portion(slot, 0, largest)?;
        // A GET_CERTIFICATE reaches no further than this.
        let total = u16::try_from(first.len_to_end()).map_err(|_| Reason::Slot {
            slot,
            error: SlotError::TooLarge,
        })?;
        let room = chain
            .reserve(total.into())
            .map_err(|_| Reason::OutOfMemory)?;
        let mut room = fill(room, first.bytes)?;

        while !room.is_empty() {
            let left = u16::try_from(room.len()).map_err(|_| Reason::Internal)?;
            let offset = total.checked_sub(left).ok_or(Reason::Internal)?;
            let portion = self.get_portion(slot, offset, left.min(largest))?;
            if portion.len_to_end() != room.len() {
                return Err(Reason::ChainLengthChanged);
            }
            room = fill(room, portion.bytes)?;
        }
        Ok(())
    }

    fn get_portion(&mut self, slot: u8, offset: u16, length: u16) -> Result<Portion<'_>, Reason> {
        let request = GetCertificate::new(self.version, slot, offset, length);
        let Connection {
            link,
            buffer,
            workspace,
            ..
        } = &mut *self.connection;
        link.exchange(&request, buffer, &mut workspace.m1)
            .map_err(|error| match error.reason() {
                Reason::ErrorResponse(code) => Reason::Slot {
                    slot,
                    error: SlotError::ErrorResponse(code),
                },
                reason => reason,
            })
    }
}

/// Writes `bytes` to the beginning of `room` and returns the rest of it.
fn fill<'r>(room: &'r mut [u8], bytes: &[u8]) -> Result<&'r mut [u8], Reason> {
    let (now, later) = room
        .split_at_mut_checked(bytes.len())
        .ok_or(Reason::Internal)?;
    copy(now, bytes)?;
    Ok(later)
}

/// Ranks the failures of slots: the more a person can learn from one, the higher.
///
/// Slots whose root nobody knows are usual, such as another owner's. That a chain of a known root is no
/// good, or not what DIGESTS said, is worth more than that.
fn telling(failure: Reason) -> u8 {
    match failure {
        Reason::Slot {
            error: SlotError::ErrorResponse(_),
            ..
        } => 1,
        Reason::Chain {
            error: ChainError::UntrustedRoot,
            ..
        } => 2,
        Reason::Slot { .. } | Reason::Chain { .. } => 3,
        _ => 0,
    }
}

/// The chain of a slot is trusted.
struct AfterCertificate<'c, 'a, T, P: Platform, K> {
    connection: &'c mut Connection<'a, T, P>,
    version: Version,
    algorithms: Algorithms,
    chain: TrustedChain<K>,
}

impl<T: Transport, P: Platform, K> AfterCertificate<'_, '_, T, P, K> {
    /// Lets the responder prove that it has the key of its chain.
    #[inline(never)]
    fn challenge<A: TrustAnchor<LeafKey = K>>(self, anchor: &A) -> Result<Authenticated<K>, Error> {
        let fail = |reason| Error::new(reason, RequestCode::Challenge);
        let Connection {
            link,
            buffer,
            workspace,
            ..
        } = self.connection;
        let request = Challenge::new(
            self.version,
            self.chain.slot(),
            self.algorithms,
            nonce(link.platform),
            requester_context(link.platform),
        );
        let response = link.exchange(&request, buffer, &mut workspace.m1)?;
        if response.cert_chain_hash != self.chain.digest().as_bytes() {
            return Err(fail(Reason::CertChainHashMismatch));
        }

        let Algorithms {
            base_hash,
            base_asym,
            ..
        } = self.algorithms;
        let transcript = workspace.m1.finish().map_err(fail)?;
        let digest = challenge_auth_digest(link.platform, self.version, base_hash, &transcript)
            .map_err(fail)?;
        let signed = Signed {
            base_asym,
            base_hash,
            digest: &digest,
        };
        let signature = VerifiedSignature::verify(anchor, &self.chain, &signed, response.signature)
            .map_err(|error| {
                fail(match error {
                    SignatureError::Bad => Reason::BadSignature,
                    SignatureError::Internal => Reason::SignatureNotChecked,
                })
            })?;
        Ok(Authenticated::new(self.chain, signature))
    }
}

/// A fresh nonce.
fn nonce(platform: &mut impl Platform) -> [u8; NONCE_SIZE] {
    let mut nonce = [0; NONCE_SIZE];
    platform.nonce(&mut nonce);
    nonce
}

/// A RequesterContext that the responder cannot guess.
fn requester_context(platform: &mut impl Platform) -> [u8; CONTEXT_SIZE] {
    let mut context = [0; CONTEXT_SIZE];
    for (to, from) in context.iter_mut().zip(nonce(platform)) {
        *to = from;
    }
    context
}

#[cfg(test)]
mod tests {
    use core::cell::{Cell, RefCell};
    use std::{boxed::Box, rc::Rc, vec, vec::Vec};

    use super::*;
    use crate::{
        algorithms::{BaseAsym, BaseHash},
        digests::contains,
        report::Stats,
        testing::{
            Bench, Certificates, Instead, CHALLENGE, GET_CAPABILITIES, GET_CERTIFICATE,
            GET_DIGESTS, GET_VERSION, GOOD_KEY, NEGOTIATE_ALGORITHMS, VERSIONS,
        },
    };

    #[test]
    fn every_version_with_every_algorithm() {
        for version in VERSIONS {
            for base_hash in BaseHash::ALL {
                for base_asym in BaseAsym::ALL {
                    let mut bench = Bench::new(version);
                    bench.responder.base_hash = base_hash;
                    bench.responder.base_asym = base_asym;
                    let verdict = bench.attest().unwrap();
                    assert_eq!(verdict.slot(), 0);
                    assert_eq!(verdict.leaf_key(), &GOOD_KEY);
                    assert_eq!(verdict.into_leaf_key(), GOOD_KEY);

                    let capabilities = bench.report.negotiated.capabilities;
                    assert_eq!(capabilities.unwrap().flags(), 6);
                    assert_eq!(
                        bench.report.negotiated,
                        Negotiated {
                            version: Some(version),
                            capabilities,
                            base_hash: Some(base_hash),
                            base_asym: Some(base_asym),
                            supported_slots: 1,
                            provisioned_slots: 1,
                            slot: Some(0),
                        }
                    );
                    assert_eq!(bench.report.untrusted_slots, 0);
                    assert_eq!(bench.chain_bytes(), bench.responder.chain(0));
                }
            }
        }
    }

    #[test]
    fn six_exchanges() {
        for (version, out, into) in [
            (Version::V1_0, 88, 716),
            (Version::V1_1, 96, 716),
            (Version::V1_2, 104, 724),
            (Version::V1_3, 112, 732),
        ] {
            let mut bench = Bench::new(version);
            bench.succeeds(0);
            assert_eq!(
                bench.responder.codes(),
                [
                    GET_VERSION,
                    GET_CAPABILITIES,
                    NEGOTIATE_ALGORITHMS,
                    GET_DIGESTS,
                    GET_CERTIFICATE,
                    CHALLENGE
                ]
            );
            assert_eq!(
                bench.report.stats,
                Stats {
                    exchanges: 6,
                    bytes_out: out,
                    bytes_in: into,
                }
            );
        }
    }

    #[test]
    fn a_workspace_is_used_again() {
        let mut bench = Bench::new(Version::V1_2);
        for _ in 0..3 {
            bench.succeeds(0);
            assert_eq!(bench.report.stats.exchanges, 6);
        }
    }

    #[test]
    fn data_transfer_size_is_the_buffers() {
        for (buffer_size, max_message_size, alignment, told) in [
            (4096, 5000, 4, 4096),
            (5000, 4096, 4, 4096),
            (4099, 5000, 4, 4096),
            (4099, 5000, 1, 4099),
        ] {
            let mut bench = Bench::new(Version::V1_2);
            bench.buffer_size = buffer_size;
            bench.max_message_size = max_message_size;
            bench.alignment = alignment;
            bench.succeeds(0);
            let request = &bench.responder.requests[1];
            assert_eq!(request[12..16], u32::to_le_bytes(told));
            assert_eq!(request[16..20], u32::to_le_bytes(told));
        }
    }

    #[test]
    fn buffer_too_small() {
        for (buffer_size, max_message_size) in [(0, 4096), (41, 4096), (43, 4096), (4096, 41)] {
            let mut bench = Bench::new(Version::V1_2);
            bench.buffer_size = buffer_size;
            bench.max_message_size = max_message_size;
            bench.fails("buffer-too-small: GET_VERSION");
            assert_eq!(bench.report, Report::default());
        }
    }

    #[test]
    fn buffer_just_large_enough() {
        // CHALLENGE_AUTH: 4 + 32 + 32 + 2 + 64 bytes, and 2 of padding.
        let mut bench = Bench::new(Version::V1_2);
        bench.responder.base_hash = BaseHash::Sha256;
        bench.responder.base_asym = BaseAsym::EcdsaP256;
        bench.buffer_size = 136;
        bench.succeeds(0);
        bench.buffer_size = 132;
        bench.fails("response-too-large: CHALLENGE");
    }

    /// A responder with chains in these slots; those of `good` are trusted.
    fn with_slots(version: Version, provisioned: u8, good: u8) -> Bench {
        let mut bench = Bench::new(version);
        for slot in 0..8 {
            let certificates = if contains(good, slot) {
                Certificates::good()
            } else {
                Certificates::of_another_owner()
            };
            bench.responder.slots[usize::from(slot)] =
                contains(provisioned, slot).then_some(certificates);
        }
        bench
    }

    #[test]
    fn slots_are_tried_in_order_until_one_is_trusted() {
        for version in VERSIONS {
            for good in 0..8 {
                let mut bench = with_slots(version, 0xff, 1 << good);
                bench.succeeds(good);
                assert_eq!(bench.report.negotiated.slot, Some(good));
                assert_eq!(bench.report.untrusted_slots, (1 << good) - 1);
                assert!(bench.anchor.seen.iter().copied().eq(0..=good));
                assert_eq!(bench.chain_bytes(), bench.responder.chain(good.into()));
                let challenge = bench.responder.requests.last().unwrap();
                assert_eq!(challenge[1..3], [CHALLENGE, good]);
            }
        }
    }

    #[test]
    fn slots_without_a_chain_are_left_out() {
        let mut bench = with_slots(Version::V1_3, 0b1001_0100, 0b1000_0000);
        bench.responder.empty_slots = 0b0000_0011;
        bench.succeeds(7);
        assert_eq!(bench.anchor.seen, [2, 4, 7]);
    }

    #[test]
    fn no_slot_is_trusted() {
        let mut bench = with_slots(Version::V1_2, 0b0000_1110, 0);
        bench.fails("untrusted-root: slot 1");
        assert_eq!(bench.report.untrusted_slots, 0b0000_1110);
        assert_eq!(bench.report.negotiated.slot, None);
        assert_eq!(bench.report.negotiated.provisioned_slots, 0b0000_1110);
        assert!(!bench.responder.codes().contains(&CHALLENGE));
    }

    #[test]
    fn the_most_telling_failure_is_reported() {
        let mut bench = with_slots(Version::V1_2, 0b0000_1111, 0);
        bench.anchor.refused = vec![(1, ChainError::Expired), (3, ChainError::LeafIsCa)];
        bench.fails("certificate-expired: slot 1");
        assert_eq!(bench.report.untrusted_slots, 0b0000_0101);

        // Slot 0 is refused, slot 1 is of another owner.
        let mut bench = with_slots(Version::V1_2, 0b0000_0011, 0);
        bench.responder.instead = Some(Box::new(|responder, request| {
            (request[1..3] == [GET_CERTIFICATE, 0])
                .then(|| Instead::Response(responder.error(0x0c, &[])))
        }));
        bench.fails("untrusted-root: slot 1");

        let mut bench = with_slots(Version::V1_2, 0b0000_0011, 0);
        bench.responder.edit_chain = Some(|chain| chain[0] ^= 1);
        bench.fails("chain-length-mismatch: slot 0");
    }

    #[test]
    fn a_bad_slot_does_not_spoil_a_good_one() {
        // Refused in the first portion, and in the second.
        for offset in [0, 200] {
            let mut bench = with_slots(Version::V1_2, 0b0000_0011, 0b0000_0010);
            bench.responder.portion = 200;
            bench.responder.instead = Some(Box::new(move |responder, request| {
                request
                    .starts_with(&[0x12, GET_CERTIFICATE, 0, 0, offset])
                    .then(|| Instead::Response(responder.error(0x0c, &[])))
            }));
            bench.succeeds(1);
            assert_eq!(bench.anchor.seen, [1]);
        }

        let mut bench =
            with_slots(Version::V1_2, 0b0000_0011, 0b0000_0011).lie(GET_DIGESTS, |response| {
                response[4] ^= 1;
            });
        bench.succeeds(1);
    }

    #[test]
    fn a_bad_signature_is_final() {
        let mut bench =
            with_slots(Version::V1_2, 0b0000_0011, 0b0000_0011).tamper(CHALLENGE, |response| {
                *response.last_mut().unwrap() ^= 1;
            });
        bench.fails("bad-signature: CHALLENGE");
        let codes = bench.responder.codes();
        assert_eq!(codes.iter().filter(|code| **code == CHALLENGE).count(), 1);
        // Whose key it was can be seen.
        assert_eq!(bench.report.negotiated.slot, Some(0));
    }

    #[test]
    fn a_broken_link_is_final() {
        let mut bench = with_slots(Version::V1_2, 0b0000_0011, 0b0000_0010);
        bench.responder.instead = Some(Box::new(|_, request| {
            (request[1..3] == [GET_CERTIFICATE, 0])
                .then_some(Instead::Failure(crate::transport::TransportError::Timeout))
        }));
        bench.fails("timeout: GET_CERTIFICATE");
    }

    #[test]
    fn resynch_forgets_everything() {
        // Another version after it, and other slots.
        let mut bench = with_slots(Version::V1_3, 0b0000_0011, 0b0000_0010);
        bench.responder.versions = vec![0x1200, 0x1300];
        bench.responder.ct_exponent = 22;
        let mut first = true;
        bench.responder.instead = Some(Box::new(move |responder, request| {
            if request[1] != CHALLENGE || !first {
                return None;
            }
            first = false;
            responder.versions = vec![0x1200];
            responder.ct_exponent = 3;
            responder.slots[0] = None;
            Some(Instead::Response(responder.error(0x43, &[])))
        }));
        bench.succeeds(1);
        let negotiated = bench.report.negotiated;
        assert_eq!(negotiated.version, Some(Version::V1_2));
        assert_eq!(negotiated.provisioned_slots, 0b0000_0010);
        assert_eq!(bench.report.untrusted_slots, 0);
        let mut expected = vec![101_000; 3];
        expected.extend([(1 << 22) + 1000; 4]);
        expected.extend([101_000; 6]);
        assert_eq!(bench.timeouts, expected);
    }

    #[test]
    fn every_truncation_is_refused() {
        for version in VERSIONS {
            let codes: Vec<u8> = {
                let mut bench = Bench::new(version);
                bench.succeeds(0);
                bench.responder.codes()
            };
            for code in codes {
                let mut len = 0;
                loop {
                    let whole = Rc::new(Cell::new(false));
                    let seen = whole.clone();
                    let mut bench = Bench::new(version).tamper(code, move |response| {
                        seen.set(len >= response.len());
                        response.truncate(len);
                    });
                    bench.alignment = 1;
                    let result = bench.attest();
                    if whole.get() {
                        assert!(result.is_ok());
                        break;
                    }
                    let name = result.err().unwrap().name();
                    assert_eq!(name, "truncated-response");
                    len += 1;
                }
            }
        }
    }

    #[test]
    fn every_bit_counts() {
        for version in VERSIONS {
            let responses = Rc::new(RefCell::new(Vec::new()));
            let seen = responses.clone();
            let mut bench = Bench::new(version);
            bench.responder.slots[0].as_mut().unwrap().between.clear();
            bench.responder.opaque_data = vec![1, 2, 3, 4];
            bench.tamper = Some(Box::new(move |code, response| {
                seen.borrow_mut().push((code, response.len()));
            }));
            bench.succeeds(0);
            for &(code, len) in responses.borrow().iter() {
                for (at, bit) in (0..len).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
                    let mut bench = Bench::new(version).tamper(code, move |response| {
                        if let Some(byte) = response.get_mut(at) {
                            *byte ^= 1 << bit;
                        }
                    });
                    bench.responder.slots[0].as_mut().unwrap().between.clear();
                    bench.responder.opaque_data = vec![1, 2, 3, 4];
                    assert!(bench.attest().is_err(), "{code:#x}: byte {at}, bit {bit}");
                }
            }
        }
    }

    /// Pseudorandom numbers, the same in each run (xorshift64*).
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
            high as usize % limit
        }

        fn change(&mut self, message: &mut Vec<u8>) {
            for _ in 0..=self.below(3) {
                let at = self.below(message.len().min(40) + 1);
                let byte = [0, 1, 2, 3, 0x10, 0x42, 0x7f, 0x80, 0xfe, 0xff][self.below(10)];
                match self.below(8) {
                    0 => message.truncate(at),
                    1 => message.resize(message.len() + self.below(600), byte),
                    2 => message.insert(at, byte),
                    3 if at < message.len() => _ = message.remove(at),
                    _ if at < message.len() => message[at] = byte,
                    _ => (),
                }
            }
        }
    }

    #[test]
    fn random_lies_end_in_time() {
        let random = Rc::new(RefCell::new(Random(0x5bd1_e995)));
        let mut names = std::collections::BTreeSet::new();
        for nth in 0..20_000 {
            let mut bench = Bench::new(VERSIONS[nth % 4]);
            bench.responder.slots[1] = Some(Certificates::of_another_owner());
            let targets = [(); 2].map(|()| random.borrow_mut().below(6));
            let lies = random.clone();
            bench.responder.lie = Some(Box::new(move |code, response| {
                let known = [
                    GET_VERSION,
                    GET_CAPABILITIES,
                    NEGOTIATE_ALGORITHMS,
                    GET_DIGESTS,
                    GET_CERTIFICATE,
                    CHALLENGE,
                ];
                let target = known.iter().position(|known| *known == code).unwrap();
                if targets.contains(&target) {
                    lies.borrow_mut().change(response);
                }
            }));
            let start_us = bench.platform.clock.get();
            let result = bench.attest();
            names.insert(result.map_or_else(|error| error.name(), |_| "authenticated"));
            assert!(bench.platform.clock.get() - start_us <= bench.config.deadline_us);
            assert!(bench.report.stats.exchanges < 1000);
        }
        // Some lies are harmless, and the others are seen through in many places.
        assert!(names.contains("authenticated"));
        assert!(names.len() > 25, "{names:?}");
        assert!(!names.contains("internal-error"));
    }
}
