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
