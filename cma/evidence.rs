// SPDX-License-Identifier: GPL-2.0

//! Evidence: what an attestation leaves for a verifier who would rather check it than believe it.

use crate::{
    keyring::{
        Identity,
        KernelHash, //
    },
    measurements::write_status,
    verdict::{
        write_identity,
        Failure, //
    }, //
};
use core::fmt::Write;
use kernel::{
    alloc::AllocError,
    prelude::*,
    sync::Arc, //
};
use spdm_core::{
    evidence::{
        combined_prefix,
        PREFIX_SIZE, //
    },
    Asym,
    BaseHash,
    MeasurementStatus,
    Negotiated,
    Record,
    SignedFor, //
};

/// Most that is kept of one transcript, in bytes: two of the largest chains. Of a longer one nothing is kept.
const MAX_TRANSCRIPT: usize = 256 << 10;

/// Bytes that grow.
// Not `KVVec::extend_from_slice()`, whose arithmetic could panic for all that the compiler sees.
#[derive(Default)]
pub(crate) struct Bytes {
    memory: KVVec<u8>,
    len: usize,
}

impl Bytes {
    /// Adds to the end.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), AllocError> {
        let len = self.len.saturating_add(bytes.len());
        if len > self.memory.len() {
            let size = len.max(self.memory.len().saturating_mul(2));
            let mut memory = KVVec::from_elem(0, size, GFP_KERNEL)?;
            copy(&mut memory, self.get());
            self.memory = memory;
        }
        copy(self.memory.get_mut(self.len..).ok_or(AllocError)?, bytes);
        self.len = len;
        Ok(())
    }

    /// The bytes.
    pub(crate) fn get(&self) -> &[u8] {
        self.memory.get(..self.len).unwrap_or_default()
    }
}

fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

impl Write for Bytes {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.append(text.as_bytes()).map_err(|_| core::fmt::Error)
    }
}

/// How many portions of a chain a transcript has no copy of. Few devices send more: a portion has 4 KiB.
const SHARED_PORTIONS: usize = 4;

/// A portion of a certificate chain in a transcript, which has no copy of it.
#[derive(Clone, Copy, Default)]
struct Portion {
    /// How many bytes of the transcript's own precede it.
    at: u32,
    len: u32,
}

impl Portion {
    fn at(self) -> usize {
        usize::try_from(self.at).unwrap_or(usize::MAX)
    }

    fn len(self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }
}

/// A signed transcript, as far as it came.
#[derive(Default)]
pub(crate) struct Transcript {
    // The messages, and the signature behind them, without the portions.
    bytes: Bytes,
    // The chain's first ones, one after the other. Those that are not there are empty.
    portions: [Portion; SHARED_PORTIONS],
    // Size of all of them. They precede the last two messages.
    portions_size: usize,
    signature_size: usize,
    // Where the last two messages begin: the request that has the nonce, and its response.
    request: usize,
    response: usize,
    responder_nonce: usize,
    verified: bool,
    prefix: Option<[u8; PREFIX_SIZE]>,
}

impl Transcript {
    /// Size in bytes of the messages and the signature.
    pub(crate) fn len(&self) -> usize {
        self.bytes.get().len().saturating_add(self.portions_size)
    }

    /// Messages and signature from `offset` on, as far as they are in one piece; empty only at the end.
    fn piece<'a>(&'a self, mut offset: usize, mut chain: &'a [u8]) -> &'a [u8] {
        let mut own = 0;
        for portion in self.portions.iter().filter(|portion| portion.len != 0) {
            let (bytes, rest) = chain.split_at_checked(portion.len()).unwrap_or_default();
            chain = rest;
            for piece in [self.own(own, portion.at()), bytes] {
                match piece.get(offset..) {
                    None | Some([]) => offset = offset.saturating_sub(piece.len()),
                    Some(rest) => return rest,
                }
            }
            own = portion.at();
        }
        let rest = self.own(own, usize::MAX);
        rest.get(offset..).unwrap_or_default()
    }

    /// Where the signature begins: the size of the messages.
    pub(crate) fn signature_offset(&self) -> usize {
        self.len().saturating_sub(self.signature_size)
    }

    /// The signature, empty if there is none.
    pub(crate) fn signature(&self) -> &[u8] {
        let len = self.bytes.get().len();
        self.own(len.saturating_sub(self.signature_size), len)
    }

    /// What precedes the digest that the signature is made over; nothing up to version 1.1.
    pub(crate) fn prefix(&self) -> Option<&[u8; PREFIX_SIZE]> {
        self.prefix.as_ref()
    }

    /// Whether the signature is there and was right.
    pub(crate) fn is_verified(&self) -> bool {
        self.verified
    }

    /// Where the requester's nonce is: after the header of its message.
    pub(crate) fn requester_nonce_offset(&self) -> usize {
        self.request.saturating_add(4)
    }

    /// Where the responder's nonce is.
    pub(crate) fn responder_nonce_offset(&self) -> usize {
        self.response.saturating_add(self.responder_nonce)
    }

    /// The 32 bytes at `offset`, which is that of a nonce.
    pub(crate) fn nonce(&self, offset: usize) -> &[u8] {
        let start = offset.saturating_sub(self.portions_size);
        self.own(start, start.saturating_add(32))
    }

    /// Bytes that are not in a portion, from `start` to `end` or to the last.
    fn own(&self, start: usize, end: usize) -> &[u8] {
        let bytes = self.bytes.get();
        bytes.get(start..end.min(bytes.len())).unwrap_or_default()
    }

    fn append(&mut self, message: &[u8]) -> Result<(), AllocError> {
        if self.len().saturating_add(message.len()) > MAX_TRANSCRIPT {
            return Err(AllocError);
        }
        self.request = self.response;
        self.response = self.len();
        self.bytes.append(message)
    }

    /// Adds a message that ends with `len` bytes at `offset` of a chain.
    fn append_portion(
        &mut self,
        message: &[u8],
        offset: usize,
        len: usize,
    ) -> Result<(), AllocError> {
        let size = message.len().saturating_sub(len);
        let mut places = self.portions.iter_mut();
        match (places.find(|place| place.len == 0), message.get(..size)) {
            (Some(place), Some(head)) if self.portions_size == offset => {
                let at = self.bytes.get().len().saturating_add(head.len());
                *place = Portion {
                    at: u32::try_from(at).map_err(|_| AllocError)?,
                    len: u32::try_from(len).map_err(|_| AllocError)?,
                };
                self.append(head)?;
                self.portions_size = self.portions_size.saturating_add(len);
                Ok(())
            }
            _ => self.append(message),
        }
    }

    /// Takes copies of the portions of `chain`, if there are any.
    fn copy_portions(&mut self, chain: &[u8]) -> Result<(), AllocError> {
        if self.portions_size == 0 {
            return Ok(());
        }
        let mut bytes = Bytes::default();
        while bytes.get().len() < self.len() {
            match self.piece(bytes.get().len(), chain) {
                // It is another chain.
                [] => return Err(AllocError),
                piece => bytes.append(piece)?,
            }
        }
        self.bytes = bytes;
        self.portions = Default::default();
        self.portions_size = 0;
        Ok(())
    }
}

/// Collects evidence while an attestation runs.
#[derive(Default)]
pub(crate) struct Recorder {
    challenge: Transcript,
    measurements: Transcript,
    measuring: bool,
    vca_size: usize,
    record: Bytes,
    /// There was no room for all of it.
    lost: bool,
}

impl Recorder {
    /// Makes an empty one.
    // Not inlined, as it passes over the stack.
    #[inline(never)]
    pub(crate) fn new() -> Result<KBox<Self>, AllocError> {
        KBox::new(Self::default(), GFP_KERNEL)
    }

    /// Keeps a part. What there is no memory for is lost, and the attestation goes on.
    pub(crate) fn record(&mut self, record: Record<'_>) {
        if !self.lost && self.try_record(record).is_err() {
            self.lose();
        }
    }

    #[inline(never)]
    fn lose(&mut self) {
        *self = Self {
            lost: true,
            ..Self::default()
        };
    }

    /// The measurements that were collected.
    pub(crate) fn measured(&self) -> &[u8] {
        self.record.get()
    }

    fn transcript(&mut self) -> &mut Transcript {
        match self.measuring {
            true => &mut self.measurements,
            false => &mut self.challenge,
        }
    }

    fn try_record(&mut self, record: Record<'_>) -> Result<(), AllocError> {
        match record {
            Record::Begin { what, vca } => {
                self.measuring = what == SignedFor::Measurements;
                *self.transcript() = Transcript::default();
                self.measurements = Transcript::default();
                self.record = Bytes::default();
                if !self.measuring {
                    self.vca_size = vca.len();
                }
                self.transcript().bytes.append(vca)
            }
            Record::Message(message) => self.transcript().append(message),
            Record::Portion {
                message,
                offset,
                len,
            } => self.transcript().append_portion(message, offset, len),
            Record::ChainEnds(chain) => self.transcript().copy_portions(chain),
            Record::Measurements(record) => self.record.append(record),
            Record::Signature {
                signature,
                responder_nonce,
                verified,
            } => {
                let transcript = self.transcript();
                transcript.bytes.append(signature)?;
                transcript.signature_size = signature.len();
                transcript.responder_nonce = responder_nonce;
                transcript.verified = verified;
                Ok(())
            }
        }
    }
}

/// A certificate chain as SPDM has it: length, RootHash, certificates.
pub(crate) struct Chain {
    pub(crate) slot: u8,
    bytes: Arc<KVVec<u8>>,
    /// Where the certificates begin.
    certificates: usize,
}

impl Chain {
    /// The whole.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, for whoever keeps it.
    pub(crate) fn shared(&self) -> &Arc<KVVec<u8>> {
        &self.bytes
    }

    /// The certificates, in DER, one after the other.
    pub(crate) fn certificates(&self) -> &[u8] {
        self.bytes().get(self.certificates..).unwrap_or_default()
    }
}

/// What one attestation left.
pub(crate) struct Evidence {
    recorder: KBox<Recorder>,
    /// The chain that was received last.
    received: Option<Arc<KVVec<u8>>>,
    /// The chain of the slot that was challenged.
    pub(crate) chain: Option<Arc<Chain>>,
    pub(crate) negotiated: Negotiated,
    pub(crate) status: MeasurementStatus,
    info: Bytes,
}

/// How an attestation ended, for [`Evidence::new`].
pub(crate) struct Outcome<'a> {
    /// `state` and `reason` in sysfs.
    pub(crate) state: &'static str,
    pub(crate) reason: Option<&'a Failure>,
    pub(crate) identity: Option<&'a Identity>,
    /// In nanoseconds since the epoch.
    pub(crate) attested_at: i64,
    pub(crate) negotiated: Negotiated,
    pub(crate) status: MeasurementStatus,
    /// The chain that was received last, as SPDM has it.
    pub(crate) chain: Option<Arc<KVVec<u8>>>,
    /// The evidence of the attestation before.
    pub(crate) last: Option<&'a Evidence>,
}

impl Evidence {
    /// # Errors
    ///
    /// If there is no memory for it.
    pub(crate) fn new(mut recorder: KBox<Recorder>, mut outcome: Outcome<'_>) -> Result<Arc<Self>> {
        let chain = chain_of(&outcome)?;
        if let Some(version) = outcome.negotiated.version {
            recorder.challenge.prefix = combined_prefix(version, SignedFor::ChallengeAuth);
            recorder.measurements.prefix = combined_prefix(version, SignedFor::Measurements);
        }
        let mut evidence = Self {
            recorder,
            received: outcome.chain.take(),
            chain,
            negotiated: outcome.negotiated,
            status: outcome.status,
            info: Bytes::default(),
        };
        evidence.describe(&outcome).map_err(|_| ENOMEM)?;
        Ok(Arc::new(evidence, GFP_KERNEL)?)
    }

    /// M1 and the signature in CHALLENGE_AUTH, or L1 and the signature in MEASUREMENTS.
    pub(crate) fn transcript(&self, what: SignedFor) -> &Transcript {
        match what {
            SignedFor::ChallengeAuth => &self.recorder.challenge,
            SignedFor::Measurements => &self.recorder.measurements,
        }
    }

    /// Messages and signature of a transcript from `offset` on, as far as they are in one piece; empty only at the end.
    pub(crate) fn piece(&self, what: SignedFor, offset: usize) -> &[u8] {
        let chain = self.received.as_ref().map(|chain| chain.as_slice());
        self.transcript(what)
            .piece(offset, chain.unwrap_or_default())
    }

    /// VCA.
    pub(crate) fn vca(&self) -> &[u8] {
        self.recorder.challenge.own(0, self.recorder.vca_size)
    }

    /// The measurements as the device sent them; empty if there are none.
    pub(crate) fn record(&self) -> &[u8] {
        match self.status {
            MeasurementStatus::Taken { .. } => self.recorder.measured(),
            _ => &[],
        }
    }

    /// Lines of `key=value` about the attestation.
    pub(crate) fn info(&self) -> &[u8] {
        self.info.get()
    }

    /// SHA-256 of the measurements, if they were taken.
    pub(crate) fn measurements_digest(&self) -> Option<[u8; 32]> {
        match self.status {
            MeasurementStatus::Taken { .. } => {
                let digest = KernelHash::digest(BaseHash::Sha256, self.record()).ok()?;
                digest.as_bytes().first_chunk().copied()
            }
            _ => None,
        }
    }

    #[inline(never)]
    fn describe(&mut self, outcome: &Outcome<'_>) -> core::fmt::Result {
        let negotiated = &outcome.negotiated;
        let digest = self.measurements_digest();
        let info = &mut self.info;
        writeln!(info, "format=1")?;
        writeln!(info, "state={}", outcome.state)?;
        info.write_str("reason=")?;
        if let Some(failure) = outcome.reason {
            info.write_fmt(fmt!("{}", failure))?;
        }
        info.write_str("\n")?;
        if let Some(version) = negotiated.version {
            writeln!(info, "version={version}")?;
        }
        if let Some(hash) = negotiated.base_hash {
            writeln!(info, "base_hash={}", hash.name())?;
        }
        if let Some(asym) = negotiated.asym {
            writeln!(info, "{}={}", asym_field(asym), asym.name())?;
        }
        if let Some(slot) = negotiated.slot {
            writeln!(info, "slot={slot}")?;
        }
        writeln!(info, "attested_at={}", outcome.attested_at)?;
        if let Some(identity) = outcome.identity {
            info.write_str("identity=")?;
            write_identity(info, identity)?;
            info.write_str("\n")?;
        }
        let recorder = &self.recorder;
        let size = recorder.challenge.signature_size;
        writeln!(info, "challenge_signature_size={size}")?;
        let size = recorder.measurements.signature_size;
        writeln!(info, "measurements_signature_size={size}")?;
        info.write_str("measurements_status=")?;
        write_status(info, &outcome.status)?;
        info.write_str("\n")?;
        if let Some(digest) = digest {
            info.write_str("measurements_sha256=")?;
            write_identity(info, &digest)?;
            info.write_str("\n")?;
        }
        Ok(())
    }
}

/// The field of NEGOTIATE_ALGORITHMS that a signature algorithm is in, as user space sees it.
pub(crate) fn asym_field(asym: Asym) -> &'static str {
    match asym {
        Asym::Base(_) => "base_asym",
        Asym::Pqc(_) => "pqc_asym",
    }
}

/// The chain, for the slot that was challenged: the one that was kept last time if it is the same.
fn chain_of(outcome: &Outcome<'_>) -> Result<Option<Arc<Chain>>> {
    let (Some(slot @ 0..=7), Some(hash), Some(bytes)) = (
        outcome.negotiated.slot,
        outcome.negotiated.base_hash,
        outcome.chain.clone(),
    ) else {
        return Ok(None);
    };
    let last = outcome.last.and_then(|last| last.chain.as_ref());
    if let Some(last) = last.filter(|last| last.slot == slot && Arc::ptr_eq(&last.bytes, &bytes)) {
        return Ok(Some(last.clone()));
    }
    let chain = Chain {
        slot,
        bytes,
        certificates: BaseHash::digest_size(hash).saturating_add(4),
    };
    Ok(Some(Arc::new(chain, GFP_KERNEL)?))
}
