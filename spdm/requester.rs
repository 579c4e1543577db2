// SPDX-License-Identifier: GPL-2.0

//! The attestation, one state after the other.
//!
//! A request is a method of the state in which the standard allows it, and its result is the state that it
//! leads to: there is no way to send one out of order.

use crate::{
    algorithms::{Asym, BaseHash},
    buffer::ResponseBuffer,
    capabilities::{Capabilities, GetCapabilities, MIN_DATA_TRANSFER_SIZE},
    certificate::{split_chain, Access, GetCertificate, Portion},
    challenge::{Challenge, CONTEXT_SIZE, NONCE_SIZE},
    chunk::max_message_size,
    digests::{contains, slot_bit, slots, GetDigests, SlotDigests, SlotKeys},
    error::{Error, ErrorCode, Reason, SlotError},
    evidence::{Record, SignedFor},
    exchange::Link,
    kept::{may_have_forgotten, says_so, Kept, Session},
    measurements::{GetMeasurements, MeasurementStatus, Operation},
    message::{copy, Request as _, RequestCode},
    negotiation::{Algorithms, NegotiateAlgorithms, Offer},
    platform::{Hash, Platform},
    report::{Config, Negotiated, Preference, Report},
    transcript::{digest_of, Running, SignedMessage, Vca},
    transport::Transport,
    trust::{
        CertChain, CertificateModel, ChainBuffer, ChainError, SignatureError, TrustAnchor,
        RAW_KEY_SLOT,
    },
    verdict::{Authenticated, TrustedChain, VerifiedSignature},
    version::{GetVersion, Version},
};

/// How often to start over, because a responder asks for it (RequestResynch) or did not know a retry as one.
const MAX_RESYNCHS: usize = 3;

/// What an attestation keeps that is too large for a stack, about 1 KiB and a running hash `H`, and what it leaves for
/// the next attestation of the same responder if it succeeds, a leaf key `K` among that.
///
/// It can be used for one attestation after the other.
pub struct Workspace<H, K> {
    vca: Vca,
    // M1, and L1 after that.
    running: Running<H>,
    digests: SlotDigests,
    // If it is there, `vca` belongs to it.
    kept: Option<Kept<K>>,
}

impl<H: Hash, K> Workspace<H, K> {
    /// Makes an empty one.
    pub const fn new() -> Self {
        Self {
            vca: Vca::new(),
            running: Running::new(),
            digests: SlotDigests::new(),
            kept: None,
        }
    }
}

impl<H: Hash, K> Default for Workspace<H, K> {
    fn default() -> Self {
        Self::new()
    }
}

/// Attests one responder.
pub struct Requester<'a, T, P: Platform, K> {
    /// The way to the responder.
    pub transport: &'a mut T,
    /// Hashes, nonces and time.
    pub platform: &'a mut P,
    /// Where responses are received. The size of the largest message that could be put together in it becomes
    /// MaxSPDMmsgSize, and that or the transport's, if it is smaller, DataTransferSize: at least 42 bytes.
    pub buffer: &'a mut dyn ResponseBuffer,
    /// Other memory, and what the last attestation of this responder left.
    pub workspace: &'a mut Workspace<P::Hash, K>,
    /// Limits.
    pub config: Config,
}

impl<T: Transport, P: Platform, K: Clone> Requester<'_, T, P, K> {
    /// Attests the responder.
    ///
    /// `report` is written whatever the outcome. If it is success, `chain` holds the trusted certificate
    /// chain: its head, RootHash and certificates. If it still does so at the next attestation, that may be shorter
    /// ([`Config::cache`]).
    ///
    /// # Errors
    ///
    /// [`Error`]: why the device is not to be trusted, or could not be asked.
    // Not inlined: the stack that it needs is not needed while the caller looks at the result.
    #[inline(never)]
    pub fn attest<A: TrustAnchor<LeafKey = K>, C: ChainBuffer>(
        &mut self,
        anchor: &mut A,
        chain: &mut C,
        report: &mut Report,
    ) -> Result<Authenticated<K>, Error> {
        *report = Report::default();
        let data_transfer_size = data_transfer_size(self.buffer, self.transport)
            .map_err(|reason| Error::new(reason, RequestCode::GetVersion))?;
        let mut connection = Connection {
            link: Link::new(
                self.transport,
                self.platform,
                self.config.deadline_us,
                data_transfer_size,
            ),
            buffer: self.buffer,
            workspace: self.workspace,
            config: self.config,
            signature_preference: match (self.config.signature_preference, self.config.known_asym) {
                (Preference::ClassicFirst | Preference::PqcFirst, Some(Asym::Base(_))) => {
                    Preference::ClassicOnly
                }
                (Preference::ClassicFirst | Preference::PqcFirst, Some(Asym::Pqc(_))) => {
                    Preference::PqcOnly
                }
                (preference, _) => preference,
            },
            report,
        };
        let result = connection.attest(anchor, chain);
        connection.report.stats = connection.link.stats;
        result
    }
}

/// Size in bytes of the largest response that is received into `buffer` at once.
fn data_transfer_size(
    buffer: &dyn ResponseBuffer,
    transport: &impl Transport,
) -> Result<usize, Reason> {
    let alignment = transport.alignment();
    let len = max_message_size(buffer.max_len(), alignment).min(transport.max_message_size());
    // A response of this size must fit with its padding.
    let len = len & !alignment.saturating_sub(1);
    match u32::try_from(len) {
        Ok(MIN_DATA_TRANSFER_SIZE..) => Ok(len),
        _ => Err(Reason::BufferTooSmall),
    }
}

/// A size as a message has it.
fn message_size(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// What all states share.
struct Connection<'a, T, P: Platform, K> {
    link: Link<'a, T, P>,
    buffer: &'a mut dyn ResponseBuffer,
    workspace: &'a mut Workspace<P::Hash, K>,
    config: Config,
    /// That of `config`, or the one kind that is left.
    signature_preference: Preference,
    report: &'a mut Report,
}

impl<'a, T: Transport, P: Platform, K: Clone> Connection<'a, T, P, K> {
    /// Goes through all states that nothing is known about. Starts again if the responder asks for it or is out of step,
    /// and once with the other kind of signature algorithm if no chain for the one that was negotiated is trusted.
    fn attest<A: TrustAnchor<LeafKey = K>, C: ChainBuffer>(
        &mut self,
        anchor: &mut A,
        chain: &mut C,
    ) -> Result<Authenticated<K>, Error> {
        // A success puts it back. Whatever else happens, nothing is known from here on.
        let config = &self.config;
        let usable = |kept: &mut Kept<K>| config.cache && kept.is_for(config);
        let mut kept = self.workspace.kept.take_if(usable);
        self.workspace.kept = None;

        if let Some(last) = &kept {
            match self.attest_again(last, anchor, chain) {
                Some(Err(error)) if may_have_forgotten(error.reason()) => {
                    if !says_so(error.reason()) {
                        kept = None;
                    }
                }
                Some(result) => return result,
                None => {}
            }
        }
        let mut resynchs = 0..MAX_RESYNCHS;
        let mut first = None;
        loop {
            let result = self.attest_once(kept.as_ref(), anchor, chain);
            let Err(error) = result else {
                return result;
            };
            if self.is_out_of_step(error) && resynchs.next().is_some() {
                continue;
            }
            match (&first, self.other_kind(error)) {
                (None, Some(only)) => {
                    first = Some((error, self.report.negotiated, self.report.untrusted_slots));
                    self.signature_preference = only;
                }
                (Some((error_of_first, negotiated, untrusted_slots)), _) => {
                    self.report.untrusted_slots |= untrusted_slots;
                    if tells_of_no_chain(error) {
                        self.report.negotiated = *negotiated;
                        return Err(*error_of_first);
                    }
                    return Err(error);
                }
                (None, None) => return Err(error),
            }
        }
    }

    /// Whether it is worth starting over after `error`. A responder that takes a retry for another request has an answer
    /// to that, and signs it, too.
    #[inline(never)]
    fn is_out_of_step(&self, error: Error) -> bool {
        match error.reason() {
            Reason::RequestResynch => true,
            reason => self.link.has_retried() && may_have_forgotten(reason),
        }
    }

    /// The kind of signature algorithm that is worth a negotiation of its own after `error`: the one that was not
    /// negotiated, if both are allowed and there can be chains for it.
    #[inline(never)]
    fn other_kind(&self, error: Error) -> Option<Preference> {
        match self.config.signature_preference {
            Preference::ClassicFirst | Preference::PqcFirst => {}
            Preference::ClassicOnly | Preference::PqcOnly => return None,
        }
        let Negotiated {
            version,
            capabilities,
            asym,
            ..
        } = self.report.negotiated;
        let other = match (self.signature_preference, asym) {
            (Preference::ClassicOnly, _) if tells_of_no_chain(error) => Preference::PqcOnly,
            (Preference::PqcOnly, _) if tells_of_no_chain(error) => Preference::ClassicOnly,
            (_, Some(Asym::Base(_))) if is_untrusted(error) => Preference::PqcOnly,
            (_, Some(Asym::Pqc(_))) if is_untrusted(error) => Preference::ClassicOnly,
            _ => return None,
        };
        let told = capabilities.and_then(|capabilities| capabilities.supported_algorithms());
        let platform = &*self.link.platform;
        let common = match other {
            Preference::PqcOnly if version < Some(Version::V1_4) => 0,
            Preference::PqcOnly => {
                platform.pqc_asyms().bits() & told.map_or(u32::MAX, |told| told.pqc_asym)
            }
            _ => platform.base_asyms().bits() & told.map_or(u32::MAX, |told| told.base_asym),
        };
        (common != 0).then_some(other)
    }

    // Not inlined: while this runs, the stack that its caller needs is little.
    #[inline(never)]
    fn attest_once<A: TrustAnchor<LeafKey = K>, C: ChainBuffer>(
        &mut self,
        kept: Option<&Kept<K>>,
        anchor: &mut A,
        chain: &mut C,
    ) -> Result<Authenticated<K>, Error> {
        let negotiated = self
            .get_version()?
            .get_capabilities()?
            .negotiate_algorithms()?;
        let trusted = if negotiated.session.capabilities.raw_key() {
            negotiated.get_raw_key(anchor)?
        } else {
            let digests = negotiated.get_digests()?;
            match kept.and_then(|kept| digests.trust_again(kept, anchor, chain)) {
                Some(trusted) => digests.with_chain(trusted),
                None => digests.get_trusted_chain(anchor, chain)?,
            }
        };
        trusted.challenge(anchor)
    }

    /// Attests by CHALLENGE alone, if that is possible.
    #[inline(never)]
    fn attest_again<A: TrustAnchor<LeafKey = K>, C: ChainBuffer>(
        &mut self,
        kept: &Kept<K>,
        anchor: &mut A,
        chain: &C,
    ) -> Option<Result<Authenticated<K>, Error>> {
        let connection = self.resume(kept, anchor, chain)?;
        Some(connection.challenge(anchor))
    }

    /// Goes on where the last attestation ended, if the responder keeps what was negotiated and its chain is still
    /// trusted.
    fn resume<A: TrustAnchor<LeafKey = K>, C: ChainBuffer>(
        &mut self,
        kept: &Kept<K>,
        anchor: &mut A,
        chain: &C,
    ) -> Option<AfterCertificate<'_, 'a, T, P, K>> {
        let session = kept.session;
        if !session.capabilities.keeps_negotiated_state() {
            return None;
        }
        let Connection {
            link,
            workspace,
            report,
            ..
        } = &mut *self;
        let trusted = kept.trust_again(link.platform, anchor, chain.get())?;
        let base_hash = session.algorithms.base_hash;
        begin(
            link.platform,
            &mut workspace.running,
            SignedFor::ChallengeAuth,
            base_hash,
            workspace.vca.as_bytes(),
        )
        .ok()?;
        link.set_capabilities(&session.capabilities);
        report.negotiated = kept.negotiated;
        Some(AfterCertificate {
            connection: self,
            session,
            model: kept.model,
            chain: trusted,
        })
    }

    /// GET_VERSION: always allowed, and forgets everything before it.
    fn get_version(&mut self) -> Result<AfterVersion<'_, 'a, T, P, K>, Error> {
        self.link.reset();
        self.workspace.vca.clear();
        self.report.negotiated = Negotiated::default();
        self.report.untrusted_slots = 0;
        self.report.measurements = MeasurementStatus::NotTaken;

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
struct AfterVersion<'c, 'a, T, P: Platform, K> {
    connection: &'c mut Connection<'a, T, P, K>,
    version: Version,
}

impl<'c, 'a, T: Transport, P: Platform, K: Clone> AfterVersion<'c, 'a, T, P, K> {
    fn get_capabilities(self) -> Result<AfterCapabilities<'c, 'a, T, P, K>, Error> {
        let Connection {
            link,
            buffer,
            workspace,
            report,
            ..
        } = &mut *self.connection;
        let request = GetCapabilities::new(
            self.version,
            message_size(link.data_transfer_size()),
            message_size(link.max_message_size(*buffer)),
        );
        let capabilities: Capabilities = link.exchange(&request, *buffer, &mut workspace.vca)?;
        report.negotiated.capabilities = Some(capabilities);
        capabilities
            .allow_attestation()
            .map_err(|reason| Error::new(reason, RequestCode::GetCapabilities))?;
        link.set_capabilities(&capabilities);
        Ok(AfterCapabilities {
            connection: self.connection,
            version: self.version,
            capabilities,
        })
    }
}

/// The responder's capabilities are known, and suffice.
struct AfterCapabilities<'c, 'a, T, P: Platform, K> {
    connection: &'c mut Connection<'a, T, P, K>,
    version: Version,
    capabilities: Capabilities,
}

impl<'c, 'a, T: Transport, P: Platform, K: Clone> AfterCapabilities<'c, 'a, T, P, K> {
    fn negotiate_algorithms(self) -> Result<AfterAlgorithms<'c, 'a, T, P, K>, Error> {
        let fail = |reason| Error::new(reason, RequestCode::NegotiateAlgorithms);
        let Connection {
            link,
            buffer,
            workspace,
            signature_preference,
            report,
            ..
        } = &mut *self.connection;
        let offer = Offer::new(
            self.version,
            link.platform,
            *signature_preference,
            self.capabilities.supported_algorithms(),
            self.capabilities.multi_key_only(),
        )
        .map_err(fail)?;
        let request = NegotiateAlgorithms::new(self.version, offer);
        let algorithms = link.exchange(&request, *buffer, &mut workspace.vca)?;
        report.negotiated.base_hash = Some(algorithms.base_hash);
        report.negotiated.asym = Some(algorithms.asym);
        // Nothing is sent any more that comes before this in a transcript.
        begin(
            link.platform,
            &mut workspace.running,
            SignedFor::ChallengeAuth,
            algorithms.base_hash,
            workspace.vca.as_bytes(),
        )
        .map_err(fail)?;
        Ok(AfterAlgorithms {
            connection: self.connection,
            session: Session {
                version: self.version,
                capabilities: self.capabilities,
                algorithms,
            },
        })
    }
}

/// The algorithms are known. M1 runs.
struct AfterAlgorithms<'c, 'a, T, P: Platform, K> {
    connection: &'c mut Connection<'a, T, P, K>,
    session: Session,
}

impl<'c, 'a, T: Transport, P: Platform, K: Clone> AfterAlgorithms<'c, 'a, T, P, K> {
    /// Takes the public key that was provisioned for a responder without certificates.
    fn get_raw_key<A: TrustAnchor<LeafKey = K>>(
        self,
        anchor: &mut A,
    ) -> Result<AfterCertificate<'c, 'a, T, P, K>, Error> {
        let Algorithms {
            base_hash, asym, ..
        } = self.session.algorithms;
        let chain = TrustedChain::provisioned(anchor, asym, base_hash)
            .ok_or_else(|| Error::new(Reason::NoPublicKey, RequestCode::Challenge))?;
        self.connection.report.negotiated.slot = Some(RAW_KEY_SLOT);
        Ok(AfterCertificate {
            connection: self.connection,
            session: self.session,
            model: CertificateModel::Unknown,
            chain,
        })
    }

    fn get_digests(self) -> Result<AfterDigests<'c, 'a, T, P, K>, Error> {
        let Connection {
            link,
            buffer,
            workspace,
            report,
            ..
        } = &mut *self.connection;
        let Session {
            version,
            algorithms,
            ..
        } = self.session;
        let base_hash = algorithms.base_hash;
        let request = GetDigests::new(version, base_hash, algorithms.multi_key);
        let digests = link.exchange(&request, *buffer, &mut workspace.running)?;
        report.negotiated.supported_slots = digests.supported;
        report.negotiated.provisioned_slots = digests.provisioned;
        let (provisioned, keys) = (digests.provisioned, digests.keys);
        workspace
            .digests
            .store(&digests, base_hash)
            .map_err(|reason| Error::new(reason, RequestCode::GetDigests))?;
        Ok(AfterDigests {
            connection: self.connection,
            session: self.session,
            provisioned,
            keys,
        })
    }
}

/// The digests of the certificate chains are known.
struct AfterDigests<'c, 'a, T, P: Platform, K> {
    connection: &'c mut Connection<'a, T, P, K>,
    session: Session,
    provisioned: u8,
    keys: Option<SlotKeys>,
}

impl<'c, 'a, T: Transport, P: Platform, K: Clone> AfterDigests<'c, 'a, T, P, K> {
    /// Fetches the chain of one provisioned slot after the other until one is trusted.
    ///
    /// # Errors
    ///
    /// If none is: the most telling of the failures.
    fn get_trusted_chain<A: TrustAnchor<LeafKey = K>, C: ChainBuffer>(
        mut self,
        anchor: &mut A,
        chain: &mut C,
    ) -> Result<AfterCertificate<'c, 'a, T, P, K>, Error> {
        let candidates = self.candidates();
        let mut failure = match candidates {
            0 => Reason::NoProvisionedSlot,
            _ => Reason::NoPermittedSlot,
        };
        for slot in slots(candidates & self.connection.config.slots) {
            match self.get_chain(slot, anchor, chain) {
                Ok(trusted) => return Ok(self.with_chain(trusted)),
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

    fn with_chain(self, chain: TrustedChain<K>) -> AfterCertificate<'c, 'a, T, P, K> {
        let slot = chain.slot();
        self.connection.report.negotiated.slot = Some(slot);
        AfterCertificate {
            model: self.certificate_model(slot),
            session: self.session,
            connection: self.connection,
            chain,
        }
    }

    /// Takes the chain of the last attestation, if DIGESTS still names it and it is still trusted.
    fn trust_again<A: TrustAnchor<LeafKey = K>, C: ChainBuffer>(
        &self,
        kept: &Kept<K>,
        anchor: &mut A,
        chain: &C,
    ) -> Option<TrustedChain<K>> {
        let slot = kept.chain.slot();
        let Connection {
            link, workspace, ..
        } = &*self.connection;
        let same = kept.session.version == self.session.version
            && kept.session.algorithms == self.session.algorithms
            && contains(self.candidates(), slot)
            && kept.model == self.certificate_model(slot)
            && self.keys.is_none_or(|keys| keys.may_be_challenged(slot))
            && workspace.digests.get(slot) == Some(kept.chain.digest().as_bytes());
        if !same {
            return None;
        }
        kept.trust_again(link.platform, anchor, chain.get())
    }

    /// The slots that have certificates.
    fn candidates(&self) -> u8 {
        match &self.keys {
            None => self.provisioned,
            Some(keys) => slots(self.provisioned)
                .filter(|slot| keys.model(*slot).is_some())
                .fold(0, |mask, slot| mask | slot_bit(slot)),
        }
    }

    /// The model of the certificates in `slot`.
    fn certificate_model(&self, slot: u8) -> CertificateModel {
        let told = self.keys.and_then(|keys| keys.model(slot));
        told.unwrap_or(match self.session.version {
            Version::V1_0 | Version::V1_1 => CertificateModel::Unknown,
            _ if self.session.capabilities.alias_certificates() => CertificateModel::Alias,
            _ => CertificateModel::Device,
        })
    }

    /// Fetches the chain of `slot` and has it verified.
    #[inline(never)]
    fn get_chain<A: TrustAnchor<LeafKey = K>, C: ChainBuffer>(
        &mut self,
        slot: u8,
        anchor: &mut A,
        chain: &mut C,
    ) -> Result<TrustedChain<K>, Reason> {
        let bad_slot = |error| Reason::Slot { slot, error };
        if self.keys.is_some_and(|keys| !keys.may_be_challenged(slot)) {
            return Err(bad_slot(SlotError::KeyUsage));
        }
        self.get_certificate(slot, chain)?;
        // While signatures are verified, nothing is received.
        self.connection.buffer.release();
        let chain = chain.get();
        let Session {
            version,
            algorithms: Algorithms {
                base_hash, asym, ..
            },
            ..
        } = self.session;

        let digest = digest_of(self.connection.link.platform, base_hash, &[chain])?;
        if self.connection.workspace.digests.get(slot) != Some(digest.as_bytes()) {
            return Err(bad_slot(SlotError::DigestMismatch));
        }
        let (root_hash, certificates) = split_chain(chain, version, base_hash).map_err(bad_slot)?;
        let chain = CertChain {
            slot,
            base_hash,
            root_hash,
            certificates,
            asym,
            model: self.certificate_model(slot),
            version: version.as_byte(),
        };
        TrustedChain::verify(anchor, &chain, digest).map_err(|error| Reason::Chain { slot, error })
    }

    /// Fetches the chain of `slot` into `chain`, portion by portion.
    fn get_certificate<C: ChainBuffer>(&mut self, slot: u8, chain: &mut C) -> Result<(), Reason> {
        let access = Access {
            version: self.session.version,
            slot,
            large: self.session.version >= Version::V1_4
                && self.session.capabilities.large_chains(),
            model: self.keys.and_then(|keys| keys.model(slot)),
        };
        let Connection {
            link,
            buffer,
            workspace,
            ..
        } = &mut *self.connection;
        let running = &mut workspace.running;
        let largest = link
            .data_transfer_size()
            .saturating_sub(access.certificate_size());
        let largest = message_size(largest).min(access.max_chain());

        let first = get_portion(
            link,
            *buffer,
            running,
            GetCertificate::new(access, 0, largest),
        )?;
        let total = first.0.len_to_end();
        if total > access.max_chain() {
            let error = SlotError::TooLarge;
            return Err(refuse(link, &first, Reason::Slot { slot, error }));
        }
        let len = usize::try_from(total).map_err(|_| Reason::OutOfMemory)?;
        link.platform.record(Record::ChainEnds(chain.get()));
        let room = chain
            .reserve(len)
            .map_err(|_| refuse(link, &first, Reason::OutOfMemory))?;
        let mut room = place(link, room, 0, &first)?;

        while !room.is_empty() {
            let left = message_size(room.len());
            let offset = total.checked_sub(left).ok_or(Reason::Internal)?;
            let request = GetCertificate::new(access, offset, left.min(largest));
            let portion = get_portion(link, *buffer, running, request)?;
            if portion.0.len_to_end() != left {
                return Err(refuse(link, &portion, Reason::ChainLengthChanged));
            }
            room = place(link, room, len.saturating_sub(room.len()), &portion)?;
        }
        Ok(())
    }
}

/// Makes one GET_CERTIFICATE. Returns the portion, and the message that it came in, which is yet to be recorded.
fn get_portion<'b, T: Transport, P: Platform>(
    link: &mut Link<'_, T, P>,
    buffer: &'b mut dyn ResponseBuffer,
    running: &mut Running<P::Hash>,
    request: GetCertificate,
) -> Result<(Portion<'b>, &'b [u8]), Reason> {
    let slot = request.slot();
    let response = link
        .exchange_unrecorded(&request, buffer, running)
        .map_err(|error| match error.reason() {
            Reason::ErrorResponse(code) => Reason::Slot {
                slot,
                error: SlotError::ErrorResponse(code),
            },
            reason => reason,
        })?;
    link.platform.record(Record::Message(request.as_bytes()));
    Ok(response)
}

/// Records a portion that has no place in the chain: the device may sign it nevertheless. Returns `reason`.
fn refuse<T, P: Platform>(
    link: &mut Link<'_, T, P>,
    (_, message): &(Portion<'_>, &[u8]),
    reason: Reason,
) -> Reason {
    link.platform.record(Record::Message(message));
    reason
}

/// Copies a portion to the beginning of `room`, which begins at `offset` of the chain, and records it. Returns the rest of
/// `room`.
fn place<'r, T, P: Platform>(
    link: &mut Link<'_, T, P>,
    room: &'r mut [u8],
    offset: usize,
    (portion, message): &(Portion<'_>, &[u8]),
) -> Result<&'r mut [u8], Reason> {
    let len = portion.bytes.len();
    let (now, later) = room.split_at_mut_checked(len).ok_or(Reason::Internal)?;
    copy(now, portion.bytes)?;
    link.platform.record(Record::Portion {
        message,
        offset,
        len,
    });
    Ok(later)
}

/// Ranks the failures of slots: the more a person can learn from one, the higher.
///
/// Slots whose root nobody knows are usual, such as another owner's. That a chain of a known root is no
/// good, or not what DIGESTS said, is worth more than that.
fn telling(failure: Reason) -> u8 {
    match failure {
        Reason::Slot {
            error: SlotError::ErrorResponse(_) | SlotError::KeyUsage,
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

/// Whether a failure is that nobody knows the root of any chain.
fn is_untrusted(error: Error) -> bool {
    matches!(
        error.reason(),
        Reason::Chain {
            error: ChainError::UntrustedRoot,
            ..
        }
    )
}

/// Whether a failure with one kind of signature algorithm alone tells no more than that there are no certificates for
/// it.
fn tells_of_no_chain(error: Error) -> bool {
    match error.reason() {
        Reason::ErrorResponse(_) => error.request() == RequestCode::NegotiateAlgorithms,
        Reason::NoAlgorithm | Reason::NothingToOffer => true,
        Reason::NoProvisionedSlot | Reason::NoPermittedSlot => true,
        Reason::Slot {
            error: SlotError::ErrorResponse(_) | SlotError::KeyUsage,
            ..
        } => true,
        _ => false,
    }
}

/// The chain of a slot is trusted.
struct AfterCertificate<'c, 'a, T, P: Platform, K> {
    connection: &'c mut Connection<'a, T, P, K>,
    session: Session,
    model: CertificateModel,
    chain: TrustedChain<K>,
}

impl<T: Transport, P: Platform, K: Clone> AfterCertificate<'_, '_, T, P, K> {
    /// Leaves what is known for the next attestation.
    #[inline(never)]
    fn keep(&mut self) {
        let Connection {
            workspace,
            config,
            report,
            ..
        } = &mut *self.connection;
        workspace.kept = Some(Kept {
            config: *config,
            session: self.session,
            negotiated: report.negotiated,
            model: self.model,
            chain: self.chain.clone(),
        });
    }

    /// Lets the responder prove that it has the key of its chain.
    #[inline(never)]
    fn challenge<A: TrustAnchor<LeafKey = K>>(
        mut self,
        anchor: &A,
    ) -> Result<Authenticated<K>, Error> {
        let fail = |reason| Error::new(reason, RequestCode::Challenge);
        let Connection {
            link,
            buffer,
            workspace,
            ..
        } = &mut *self.connection;
        let Session {
            version,
            algorithms,
            ..
        } = self.session;
        let request = Challenge::new(
            version,
            self.chain.slot(),
            algorithms,
            requester_nonce(link.platform, SignedFor::ChallengeAuth),
            requester_context(link.platform),
        );
        let response = link.exchange(&request, *buffer, &mut workspace.running)?;
        if response.cert_chain_hash != self.chain.digest().as_bytes() {
            return Err(fail(Reason::CertChainHashMismatch));
        }

        let verified = verify(
            anchor,
            &self.chain,
            link.platform,
            (SignedFor::ChallengeAuth, version, &algorithms),
            &mut workspace.running,
            response.signature,
        );
        link.platform.record(Record::Signature {
            signature: response.signature,
            responder_nonce: response.nonce_offset(),
            verified: verified.is_ok(),
        });
        let signature = verified.map_err(fail)?;
        if self.connection.config.measurements {
            self.measure(anchor)?;
        }
        if self.connection.config.cache {
            self.keep();
        }
        Ok(Authenticated::new(self.chain, signature))
    }

    /// Takes the measurements of a responder that has proved itself.
    ///
    /// # Errors
    ///
    /// What ends an attestation whatever was proven: the device is gone, or somebody cancelled it.
    #[inline(never)]
    fn measure<A: TrustAnchor<LeafKey = K>>(&mut self, anchor: &A) -> Result<(), Error> {
        let Session {
            capabilities,
            algorithms,
            ..
        } = &self.session;
        let status = match capabilities.measurements() {
            Some(signed) if algorithms.measurements => {
                match self.get_measurements(signed, anchor) {
                    Ok(()) => MeasurementStatus::Taken { signed },
                    Err(reason) => {
                        let error = Error::new(reason, RequestCode::GetMeasurements);
                        if matches!(reason, Reason::Gone | Reason::Interrupted) {
                            return Err(error);
                        }
                        MeasurementStatus::Failed(error)
                    }
                }
            }
            _ => MeasurementStatus::Unsupported,
        };
        self.connection.report.measurements = status;
        Ok(())
    }

    /// Takes all at once or, if the responder does not hand them out so, one by one.
    fn get_measurements<A: TrustAnchor<LeafKey = K>>(
        &mut self,
        signed: bool,
        anchor: &A,
    ) -> Result<(), Reason> {
        self.begin_l1()?;
        match self.get_measurement(Operation::All, signed, anchor) {
            Err(Reason::ErrorResponse(_) | Reason::ResponseTooLarge | Reason::LargeMessageSize) => {
                self.get_each_measurement(signed, anchor)
            }
            result => result.map(|_| ()),
        }
    }

    /// Takes one measurement after the other. The last is signed, and with it all.
    fn get_each_measurement<A: TrustAnchor<LeafKey = K>>(
        &mut self,
        signed: bool,
        anchor: &A,
    ) -> Result<(), Reason> {
        self.begin_l1()?;
        let total = self.get_measurement(Operation::Count, false, anchor)?;
        // From 1.2, an ERROR makes the responder forget what it has to sign.
        let forgets = signed && self.session.version >= Version::V1_2;
        let mut there = [false; 0xff];
        // Those below were forgotten.
        let mut forgotten = 0;
        let mut found = 0u8;
        // Indices need not be consecutive.
        for index in 1..=0xfe {
            if found == total {
                break;
            }
            let last = found.checked_add(1) == Some(total);
            let sign = signed && last && !is_any_below(&there, forgotten);
            if sign && forgotten != 0 {
                self.count_again(total, anchor)?;
            }
            match self.get_measurement(Operation::Index(index), sign, anchor) {
                Ok(_) => {
                    found = found.saturating_add(1);
                    if let Some(there) = there.get_mut(usize::from(index)) {
                        *there = true;
                    }
                }
                Err(reason @ Reason::ErrorResponse(ErrorCode::UNSUPPORTED_REQUEST)) => {
                    return Err(reason)
                }
                Err(Reason::ErrorResponse(_)) => {
                    if forgets {
                        forgotten = index;
                        self.begin_l1()?;
                    }
                }
                Err(reason) => return Err(reason),
            }
        }
        if found != total || total == 0 {
            return Err(Reason::MeasurementCount);
        }
        let mut again = (0..forgotten).zip(there).filter(|(_, there)| *there);
        let mut next = again.next();
        if next.is_some() {
            self.count_again(total, anchor)?;
        }
        while let Some((index, _)) = next {
            next = again.next();
            self.get_measurement(Operation::Index(index), next.is_none(), anchor)?;
        }
        Ok(())
    }

    /// Asks once more how many there are, which was forgotten: unless that is signed, too, somebody on the way could
    /// tell a smaller number, and keep the last measurements to himself.
    fn count_again<A: TrustAnchor<LeafKey = K>>(
        &mut self,
        total: u8,
        anchor: &A,
    ) -> Result<(), Reason> {
        if self.get_measurement(Operation::Count, false, anchor)? == total {
            Ok(())
        } else {
            Err(Reason::MeasurementCount)
        }
    }

    /// Begins L1, which has VCA from version 1.2.
    fn begin_l1(&mut self) -> Result<(), Reason> {
        let Connection {
            link, workspace, ..
        } = &mut *self.connection;
        begin(
            link.platform,
            &mut workspace.running,
            SignedFor::Measurements,
            self.session.algorithms.base_hash,
            match self.session.version {
                Version::V1_0 | Version::V1_1 => &[],
                Version::V1_2 | Version::V1_3 | Version::V1_4 => workspace.vca.as_bytes(),
            },
        )
    }

    /// Makes one GET_MEASUREMENTS. Returns how many there are, if that was asked for.
    fn get_measurement<A: TrustAnchor<LeafKey = K>>(
        &mut self,
        operation: Operation,
        sign: bool,
        anchor: &A,
    ) -> Result<u8, Reason> {
        let Connection {
            link,
            buffer,
            workspace,
            ..
        } = &mut *self.connection;
        let Session {
            version,
            algorithms,
            ..
        } = self.session;
        let nonce = sign.then(|| requester_nonce(link.platform, SignedFor::Measurements));
        let request = GetMeasurements::new(
            version,
            algorithms,
            operation,
            self.chain.slot(),
            nonce.as_ref(),
            requester_context(link.platform),
        );
        let response = link
            .exchange(&request, *buffer, &mut workspace.running)
            .map_err(|error| error.reason())?;
        link.platform.record(Record::Measurements(response.record));
        if sign {
            let verified = verify(
                anchor,
                &self.chain,
                link.platform,
                (SignedFor::Measurements, version, &algorithms),
                &mut workspace.running,
                response.signature,
            );
            link.platform.record(Record::Signature {
                signature: response.signature,
                responder_nonce: response.nonce_offset(),
                verified: verified.is_ok(),
            });
            verified?;
        }
        Ok(response.total)
    }
}

/// Whether `there` is true for any index below `end`.
fn is_any_below(there: &[bool], end: u8) -> bool {
    let below = there.get(..usize::from(end));
    below.unwrap_or_default().contains(&true)
}

/// Begins a transcript.
#[inline(never)]
fn begin<P: Platform>(
    platform: &mut P,
    running: &mut Running<P::Hash>,
    what: SignedFor,
    base_hash: BaseHash,
    vca: &[u8],
) -> Result<(), Reason> {
    running.start(platform, base_hash, vca)?;
    platform.record(Record::Begin { what, vca });
    Ok(())
}

/// Verifies a signature over the transcript `running`.
// Not inlined: what it needs of the stack is none of the exchange's.
#[inline(never)]
fn verify<A: TrustAnchor, P: Platform>(
    anchor: &A,
    chain: &TrustedChain<A::LeafKey>,
    platform: &P,
    (what, version, algorithms): (SignedFor, Version, &Algorithms),
    running: &mut Running<P::Hash>,
    signature: &[u8],
) -> Result<VerifiedSignature, Reason> {
    let Algorithms {
        base_hash, asym, ..
    } = *algorithms;
    let transcript = running.finish()?;
    let message = SignedMessage::new(platform, what, version, base_hash, &transcript)?;
    VerifiedSignature::verify(anchor, chain, &message.signed(asym, base_hash), signature).map_err(
        |error| match error {
            SignatureError::Bad => Reason::BadSignature,
            SignatureError::Internal => Reason::SignatureNotChecked,
        },
    )
}

/// What the responder is to sign.
fn requester_nonce(platform: &mut impl Platform, what: SignedFor) -> [u8; NONCE_SIZE] {
    let mut nonce = [0; NONCE_SIZE];
    platform.requester_nonce(what, &mut nonce);
    nonce
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
        algorithms::{BaseAsym, BaseAsyms, PqcAsym, PqcAsyms},
        digests::contains,
        report::Stats,
        testing::{
            each_version, Bench, Certificates, Instead, CHALLENGE, GET_CAPABILITIES,
            GET_CERTIFICATE, GET_DIGESTS, GET_VERSION, GOOD_KEY, NEGOTIATE_ALGORITHMS, VERSIONS,
        },
    };

    each_version!(every_version_with_every_algorithm);
    fn every_version_with_every_algorithm(version: Version) {
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
                        asym: Some(Asym::Base(base_asym)),
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

    each_version!(a_workspace_is_used_again);
    fn a_workspace_is_used_again(version: Version) {
        let mut bench = Bench::new(version);
        for exchanges in [6, 5, 5] {
            bench.succeeds(0);
            assert_eq!(bench.report.stats.exchanges, exchanges);
        }
    }

    each_version!(data_transfer_size_is_the_buffers: V1_2 V1_3 V1_4);
    fn data_transfer_size_is_the_buffers(version: Version) {
        for (buffer_size, max_message_size, alignment, at_once, in_chunks) in [
            (4096, 5000, 4, 4072, 4074),
            (5000, 4096, 4, 4096, 4978),
            (4099, 5000, 4, 4076, 4077),
            (4099, 5000, 1, 4083, 4083),
            (10_000, 44, 1, 44, 9984),
        ] {
            let mut bench = Bench::new(version);
            bench.buffer_size = buffer_size;
            bench.max_message_size = max_message_size;
            bench.alignment = alignment;
            bench.responder.flags |= 1 << 17;
            bench.succeeds(0);
            let request = &bench.responder.requests[1];
            assert_eq!(request[12..16], u32::to_le_bytes(at_once));
            assert_eq!(request[16..20], u32::to_le_bytes(in_chunks));
        }
    }

    each_version!(buffer_too_small);
    fn buffer_too_small(version: Version) {
        for (buffer_size, max_message_size) in [(0, 4096), (42, 4096), (65, 4096), (4096, 41)] {
            let mut bench = Bench::new(version);
            bench.buffer_size = buffer_size;
            bench.max_message_size = max_message_size;
            bench.fails("buffer-too-small: GET_VERSION");
            assert_eq!(bench.report, Report::default());
        }
    }

    each_version!(buffer_just_large_enough: V1_0 V1_1 V1_2);
    fn buffer_just_large_enough(version: Version) {
        // CHALLENGE_AUTH: 4 + 32 + 32 + 2 + 64 bytes, and 2 of padding.
        let mut bench = Bench::new(version);
        bench.responder.base_hash = BaseHash::Sha256;
        bench.responder.base_asym = BaseAsym::EcdsaP256;
        bench.buffer_size = 158;
        bench.succeeds(0);
        bench.buffer_size = 157;
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

    each_version!(slots_are_tried_in_order_until_one_is_trusted);
    fn slots_are_tried_in_order_until_one_is_trusted(version: Version) {
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

    #[test]
    fn slots_without_a_chain_are_left_out() {
        let mut bench = with_slots(Version::V1_3, 0b1001_0100, 0b1000_0000);
        bench.responder.empty_slots = 0b0000_0011;
        bench.succeeds(7);
        assert_eq!(bench.anchor.seen, [2, 4, 7]);
    }

    each_version!(no_slot_is_trusted);
    fn no_slot_is_trusted(version: Version) {
        let mut bench = with_slots(version, 0b0000_1110, 0);
        bench.fails("untrusted-root: slot 1");
        assert_eq!(bench.report.untrusted_slots, 0b0000_1110);
        assert_eq!(bench.report.negotiated.slot, None);
        assert_eq!(bench.report.negotiated.provisioned_slots, 0b0000_1110);
        assert!(!bench.responder.codes().contains(&CHALLENGE));
    }

    each_version!(slots_that_the_configuration_rules_out_are_left_out);
    fn slots_that_the_configuration_rules_out_are_left_out(version: Version) {
        for (slots, used) in [
            (0xff, 0),
            (0b1111_1110, 3),
            (0b1000_0000, 7),
            (0b1000_1000, 3),
        ] {
            let mut bench = with_slots(version, 0b1000_1001, 0b1000_1001);
            bench.config.slots = slots;
            bench.succeeds(used);
            assert_eq!(bench.anchor.seen, [used]);
        }
        let mut bench = with_slots(version, 0b1000_1001, 0b1000_1001);
        bench.config.slots = 0b0111_0110;
        bench.fails("no-permitted-slot: GET_CERTIFICATE");
        assert!(!bench.responder.codes().contains(&GET_CERTIFICATE));
    }

    each_version!(the_most_telling_failure_is_reported);
    fn the_most_telling_failure_is_reported(version: Version) {
        let mut bench = with_slots(version, 0b0000_1111, 0);
        bench.anchor.refused = vec![(1, ChainError::Expired), (3, ChainError::LeafIsCa)];
        bench.fails("certificate-expired: slot 1");
        assert_eq!(bench.report.untrusted_slots, 0b0000_0101);

        // Slot 0 is refused, slot 1 is of another owner.
        let mut bench = with_slots(version, 0b0000_0011, 0);
        bench.responder.instead = Some(Box::new(|responder, request| {
            (request[1..3] == [GET_CERTIFICATE, 0])
                .then(|| Instead::Response(responder.error(0x0c, &[])))
        }));
        bench.fails("untrusted-root: slot 1");

        let mut bench = with_slots(version, 0b0000_0011, 0);
        bench.responder.edit_chain = Some(|chain| chain[0] ^= 1);
        bench.fails("chain-length-mismatch: slot 0");
    }

    each_version!(a_bad_slot_does_not_spoil_a_good_one);
    fn a_bad_slot_does_not_spoil_a_good_one(version: Version) {
        // Refused in the first portion, and in the second.
        for offset in [0, 200] {
            let mut bench = with_slots(version, 0b0000_0011, 0b0000_0010);
            bench.responder.portion = 200;
            bench.responder.instead = Some(Box::new(move |responder, request| {
                request
                    .starts_with(&[version.as_byte(), GET_CERTIFICATE, 0, 0, offset])
                    .then(|| Instead::Response(responder.error(0x0c, &[])))
            }));
            bench.succeeds(1);
            assert_eq!(bench.anchor.seen, [1]);
        }

        let mut bench =
            with_slots(version, 0b0000_0011, 0b0000_0011).lie(GET_DIGESTS, |response| {
                response[4] ^= 1;
            });
        bench.succeeds(1);
    }

    each_version!(a_bad_signature_is_final);
    fn a_bad_signature_is_final(version: Version) {
        let mut bench =
            with_slots(version, 0b0000_0011, 0b0000_0011).tamper(CHALLENGE, |response| {
                *response.last_mut().unwrap() ^= 1;
            });
        bench.fails("bad-signature: CHALLENGE");
        let codes = bench.responder.codes();
        assert_eq!(codes.iter().filter(|code| **code == CHALLENGE).count(), 1);
        // Whose key it was can be seen.
        assert_eq!(bench.report.negotiated.slot, Some(0));
    }

    each_version!(a_broken_link_is_final);
    fn a_broken_link_is_final(version: Version) {
        let mut bench = with_slots(version, 0b0000_0011, 0b0000_0010);
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

    each_version!(every_truncation_is_refused);
    fn every_truncation_is_refused(version: Version) {
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

    each_version!(every_bit_counts);
    fn every_bit_counts(version: Version) {
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

    const CLASSIC: Asym = Asym::Base(BaseAsym::EcdsaP384);
    const PQC: Asym = Asym::Pqc(PqcAsym::MlDsa65);

    /// A responder of version 1.4 with keys of both kinds, and a requester that knows no root of `untrusted`.
    fn with_both_kinds(preference: Preference, untrusted: &[Asym]) -> Bench {
        let mut bench = Bench::new(Version::V1_4);
        bench.responder.pqc_asym = Some(PqcAsym::MlDsa65);
        bench.responder.classic_first = true;
        bench.platform.pqc_asyms = PqcAsyms::NONE.with(PqcAsym::MlDsa65);
        bench.config.signature_preference = preference;
        bench.config.cache = false;
        bench.anchor.untrusted = untrusted.into();
        bench
    }

    /// The same, and the responder tells the bits of `base_asym` and `pqc_asym` that it supports.
    fn that_tells(mut bench: Bench, base_asym: u32, pqc_asym: u32) -> Bench {
        bench.responder.flags |= 1 << 17;
        bench.responder.supported_algorithms = Some(([base_asym, 2, pqc_asym], Vec::new()));
        bench
    }

    fn negotiations(bench: &Bench) -> usize {
        let codes = bench.responder.codes();
        codes.iter().filter(|code| **code == GET_VERSION).count()
    }

    #[test]
    fn the_other_kind_if_no_chain_of_the_first_is_trusted() {
        let (classic, pqc) = (BaseAsym::EcdsaP384.bit(), PqcAsym::MlDsa65.bit());
        for (preference, first, second) in [
            (Preference::ClassicFirst, CLASSIC, PQC),
            (Preference::PqcFirst, PQC, CLASSIC),
        ] {
            let mut bench = that_tells(with_both_kinds(preference, &[]), classic, pqc);
            bench.succeeds(0);
            assert_eq!(bench.report.negotiated.asym, Some(first));
            assert_eq!(negotiations(&bench), 1);

            let mut bench = that_tells(with_both_kinds(preference, &[first]), classic, pqc);
            bench.succeeds(0);
            assert_eq!(bench.report.negotiated.asym, Some(second));
            assert_eq!(negotiations(&bench), 2);

            let mut bench = that_tells(with_both_kinds(preference, &[first, second]), classic, pqc);
            bench.responder.slots[3] = bench.responder.slots[0].clone();
            bench.fails("untrusted-root: slot 0");
            assert_eq!(bench.report.negotiated.asym, Some(second));
            assert_eq!(bench.report.untrusted_slots, 0b1001);
            assert_eq!(negotiations(&bench), 2);
        }
    }

    #[test]
    fn the_other_kind_where_the_responder_does_not_tell() {
        let mut bench = with_both_kinds(Preference::ClassicFirst, &[CLASSIC]);
        bench.succeeds(0);
        assert_eq!(bench.report.negotiated.asym, Some(PQC));
        // It chooses the one that nobody knows.
        let mut bench = with_both_kinds(Preference::ClassicFirst, &[PQC]);
        bench.responder.classic_first = false;
        bench.succeeds(0);
        assert_eq!(bench.report.negotiated.asym, Some(CLASSIC));
        assert_eq!(negotiations(&bench), 2);
    }

    #[test]
    fn the_other_kind_that_is_not_there_changes_nothing() {
        // ALGORITHMS with nothing selected, or ERROR.
        for refuses in [false, true] {
            let mut bench = with_both_kinds(Preference::ClassicFirst, &[CLASSIC]);
            bench.responder.pqc_asym = None;
            bench.responder.instead = Some(Box::new(move |responder, request| {
                (refuses && request[1] == NEGOTIATE_ALGORITHMS && request[8..12] == [0; 4])
                    .then(|| Instead::Response(responder.error(0x01, &[])))
            }));
            bench.fails("untrusted-root: slot 0");
            assert_eq!(negotiations(&bench), 2);
            // What was found out before it was asked for.
            assert_eq!(bench.report.negotiated.asym, Some(CLASSIC));
            assert_eq!(bench.report.negotiated.provisioned_slots, 1);
            assert_eq!(bench.report.untrusted_slots, 1);
        }
        // No chains for it.
        let mut bench = with_both_kinds(Preference::ClassicFirst, &[CLASSIC]);
        let mut times = 0;
        bench.responder.lie = Some(Box::new(move |code, response| {
            times += u32::from(code == GET_DIGESTS);
            if times == 2 {
                response.truncate(4);
                response[3] = 0;
            }
        }));
        bench.fails("untrusted-root: slot 0");
        assert_eq!(bench.report.negotiated.asym, Some(CLASSIC));
    }

    #[test]
    fn the_other_kind_is_not_tried() {
        let (classic, pqc) = (BaseAsym::EcdsaP384.bit(), PqcAsym::MlDsa65.bit());
        // By policy.
        for (preference, untrusted) in [
            (Preference::ClassicOnly, CLASSIC),
            (Preference::PqcOnly, PQC),
        ] {
            let mut bench = that_tells(with_both_kinds(preference, &[untrusted]), classic, pqc);
            bench.fails("untrusted-root: slot 0");
            assert_eq!(bench.report.negotiated.asym, Some(untrusted));
            assert_eq!(negotiations(&bench), 1);
        }
        // The responder says that it has none, or this side has none.
        let bench = with_both_kinds(Preference::ClassicFirst, &[CLASSIC]);
        let mut bench = that_tells(bench, classic, PqcAsym::MlDsa87.bit());
        bench.fails("untrusted-root: slot 0");
        assert_eq!(negotiations(&bench), 1);
        let mut bench = with_both_kinds(Preference::ClassicFirst, &[CLASSIC]);
        bench.platform.pqc_asyms = PqcAsyms::NONE;
        bench.fails("untrusted-root: slot 0");
        assert_eq!(negotiations(&bench), 1);
        let mut bench = with_both_kinds(Preference::PqcFirst, &[PQC]);
        bench.platform.base_asyms = BaseAsyms::NONE;
        bench.fails("untrusted-root: slot 0");
        assert_eq!(negotiations(&bench), 1);
        // A chain that is worse than unknown, and a signature that is wrong.
        let mut bench = that_tells(with_both_kinds(Preference::ClassicFirst, &[]), classic, pqc);
        bench.anchor.refused = vec![(0, ChainError::Expired)];
        bench.fails("certificate-expired: slot 0");
        assert_eq!(negotiations(&bench), 1);
        let mut bench = that_tells(with_both_kinds(Preference::ClassicFirst, &[]), classic, pqc)
            .tamper(CHALLENGE, |response| *response.last_mut().unwrap() ^= 1);
        bench.fails("bad-signature: CHALLENGE");
        assert_eq!(negotiations(&bench), 1);
    }

    each_version!(before_1_4_there_is_no_other_kind: V1_0 V1_1 V1_2 V1_3);
    fn before_1_4_there_is_no_other_kind(version: Version) {
        let mut bench = Bench::new(version);
        bench.platform.pqc_asyms = PqcAsyms::NONE.with(PqcAsym::MlDsa65);
        bench.anchor.untrusted = vec![CLASSIC];
        bench.fails("untrusted-root: slot 0");
        assert_eq!(negotiations(&bench), 1);
    }

    #[test]
    fn what_goes_wrong_with_the_other_kind_is_told() {
        let mut bench = with_both_kinds(Preference::ClassicFirst, &[CLASSIC])
            .tamper(CHALLENGE, |response| *response.last_mut().unwrap() ^= 1);
        bench.fails("bad-signature: CHALLENGE");
        assert_eq!(bench.report.negotiated.asym, Some(PQC));
        // A root for the first kind may still come.
        assert_eq!(bench.report.untrusted_slots, 1);
    }

    #[test]
    fn the_kind_of_the_known_key_comes_first() {
        let (classic, pqc) = (BaseAsym::EcdsaP384.bit(), PqcAsym::MlDsa65.bit());
        for preference in [Preference::ClassicFirst, Preference::PqcFirst] {
            for known in [CLASSIC, PQC] {
                let other = if known == PQC { CLASSIC } else { PQC };
                for (tells, classic_first) in [(true, true), (false, true), (false, false)] {
                    let bench = |untrusted: &[Asym]| {
                        let mut bench = with_both_kinds(preference, untrusted);
                        bench.responder.classic_first = classic_first;
                        bench.config.known_asym = Some(known);
                        match tells {
                            true => that_tells(bench, classic, pqc),
                            false => bench,
                        }
                    };
                    for untrusted in [&[][..], &[other]] {
                        let mut bench = bench(untrusted);
                        bench.succeeds(0);
                        assert_eq!(bench.report.negotiated.asym, Some(known));
                        assert_eq!(negotiations(&bench), 1);
                    }
                    let mut bench = bench(&[known]);
                    bench.succeeds(0);
                    assert_eq!(bench.report.negotiated.asym, Some(other));
                    assert_eq!(negotiations(&bench), 2);
                }
            }
        }
    }

    #[test]
    fn another_responder_may_lack_the_kind_of_the_known_key() {
        // ALGORITHMS with nothing selected.
        let mut bench = with_both_kinds(Preference::ClassicFirst, &[]);
        bench.responder.pqc_asym = None;
        bench.config.known_asym = Some(PQC);
        bench.succeeds(0);
        assert_eq!(bench.report.negotiated.asym, Some(CLASSIC));
        // A version without it: nothing is left to offer.
        let mut bench = with_both_kinds(Preference::ClassicFirst, &[]);
        bench.responder.versions = vec![0x1300];
        bench.config.known_asym = Some(PQC);
        bench.succeeds(0);
        assert_eq!(bench.report.negotiated.asym, Some(CLASSIC));
        // What is ruled out stays so.
        let mut bench = with_both_kinds(Preference::PqcOnly, &[]);
        bench.config.known_asym = Some(CLASSIC);
        bench.succeeds(0);
        assert_eq!(bench.report.negotiated.asym, Some(PQC));
    }

    #[test]
    fn a_responder_that_is_known_by_now_need_not_show_its_chain_again() {
        let mut bench = Bench::new(Version::V1_4);
        bench.succeeds(0);
        bench.config.known_asym = Some(CLASSIC);
        bench.succeeds(0);
        assert_eq!(bench.report.stats.exchanges, 5);
    }

    #[test]
    fn a_responder_starts_over_as_often_as_with_one_kind() {
        let mut bench = with_both_kinds(Preference::ClassicFirst, &[CLASSIC]);
        bench.responder.instead = Some(Box::new(|responder, request| {
            (request[1] == CHALLENGE).then(|| Instead::Response(responder.error(0x43, &[])))
        }));
        bench.fails("request-resynch: CHALLENGE");
        // Once with each kind, and MAX_RESYNCHS.
        assert_eq!(negotiations(&bench), 2 + MAX_RESYNCHS);
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
            let mut bench = Bench::new(VERSIONS[nth % VERSIONS.len()]);
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
