// SPDX-License-Identifier: GPL-2.0

//! A responder, a transport, a platform and a trust anchor for unit tests.
//!
//! The responder is honest unless told otherwise. It shares no code with the requester: it writes its messages
//! byte by byte and keeps its own transcript. Its certificates are made up, and so is its signature, which is
//! a hash of key and digest: neither is this crate's business.

use core::cell::Cell;
use std::{
    boxed::Box,
    rc::Rc,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use sha2::Digest as _;

use crate::{
    algorithms::{Asym, BaseAsym, BaseAsyms, BaseHash, BaseHashes, PqcAsym, PqcAsyms},
    buffer::ResponseBuffer,
    error::Error,
    evidence::{Record, SignedFor},
    platform::{Digest, Hash, Interrupted, Platform, Unsupported},
    report::{Config, Report},
    requester::{Requester, Workspace},
    transport::{Transport, TransportError},
    trust::{
        CertChain, CertificateModel, ChainBuffer, ChainError, OutOfMemory, SignatureError, Signed,
        TrustAnchor,
    },
    verdict::Authenticated,
    version::Version,
};

pub(crate) const GET_DIGESTS: u8 = 0x81;
pub(crate) const GET_CERTIFICATE: u8 = 0x82;
pub(crate) const CHALLENGE: u8 = 0x83;
pub(crate) const GET_VERSION: u8 = 0x84;
pub(crate) const CHUNK_SEND: u8 = 0x85;
pub(crate) const CHUNK_GET: u8 = 0x86;
pub(crate) const GET_MEASUREMENTS: u8 = 0xe0;
pub(crate) const GET_CAPABILITIES: u8 = 0xe1;
pub(crate) const NEGOTIATE_ALGORITHMS: u8 = 0xe3;
pub(crate) const RESPOND_IF_READY: u8 = 0xff;

pub(crate) const BUSY: u8 = 0x03;
pub(crate) const LARGE_RESPONSE: u8 = 0x0f;
pub(crate) const RESPONSE_NOT_READY: u8 = 0x42;
pub(crate) const REQUEST_RESYNCH: u8 = 0x43;

/// Running hashes of all algorithms.
#[derive(Clone)]
pub(crate) enum TestHash {
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
    Sha3_256(sha3::Sha3_256),
    Sha3_384(sha3::Sha3_384),
    Sha3_512(sha3::Sha3_512),
}

impl TestHash {
    fn new(algorithm: BaseHash) -> Self {
        match algorithm {
            BaseHash::Sha256 => Self::Sha256(Default::default()),
            BaseHash::Sha384 => Self::Sha384(Default::default()),
            BaseHash::Sha512 => Self::Sha512(Default::default()),
            BaseHash::Sha3_256 => Self::Sha3_256(Default::default()),
            BaseHash::Sha3_384 => Self::Sha3_384(Default::default()),
            BaseHash::Sha3_512 => Self::Sha3_512(Default::default()),
        }
    }
}

impl Hash for TestHash {
    fn update(&mut self, data: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(data),
            Self::Sha384(hash) => hash.update(data),
            Self::Sha512(hash) => hash.update(data),
            Self::Sha3_256(hash) => hash.update(data),
            Self::Sha3_384(hash) => hash.update(data),
            Self::Sha3_512(hash) => hash.update(data),
        }
    }

    fn finish(self) -> Digest {
        let (algorithm, bytes) = match self {
            Self::Sha256(hash) => (BaseHash::Sha256, hash.finalize().to_vec()),
            Self::Sha384(hash) => (BaseHash::Sha384, hash.finalize().to_vec()),
            Self::Sha512(hash) => (BaseHash::Sha512, hash.finalize().to_vec()),
            Self::Sha3_256(hash) => (BaseHash::Sha3_256, hash.finalize().to_vec()),
            Self::Sha3_384(hash) => (BaseHash::Sha3_384, hash.finalize().to_vec()),
            Self::Sha3_512(hash) => (BaseHash::Sha3_512, hash.finalize().to_vec()),
        };
        Digest::new(algorithm, |digest| digest.copy_from_slice(&bytes))
    }
}

/// Hashes `bytes`.
pub(crate) fn hash(algorithm: BaseHash, bytes: &[u8]) -> Vec<u8> {
    let mut hash = TestHash::new(algorithm);
    hash.update(bytes);
    hash.finish().as_bytes().to_vec()
}

/// Hashes, counted nonces, and a clock that only moves when somebody waits.
pub(crate) struct TestPlatform {
    pub(crate) clock: Rc<Cell<u64>>,
    pub(crate) base_hashes: BaseHashes,
    pub(crate) base_asyms: BaseAsyms,
    pub(crate) pqc_asyms: PqcAsyms,
    /// Whether hashes turn out to be missing.
    pub(crate) hashes_missing: bool,
    /// Whether somebody cancels the attestation when it waits.
    pub(crate) interrupted: bool,
    /// Every wait in microseconds.
    pub(crate) sleeps: Vec<u64>,
    /// The evidence.
    pub(crate) evidence: Evidence,
    nonces: u8,
}

impl Platform for TestPlatform {
    type Hash = TestHash;

    fn base_hashes(&self) -> BaseHashes {
        self.base_hashes
    }

    fn base_asyms(&self) -> BaseAsyms {
        self.base_asyms
    }

    fn pqc_asyms(&self) -> PqcAsyms {
        self.pqc_asyms
    }

    fn hash(&self, algorithm: BaseHash) -> Result<TestHash, Unsupported> {
        if self.hashes_missing {
            return Err(Unsupported);
        }
        Ok(TestHash::new(algorithm))
    }

    fn nonce(&mut self, nonce: &mut [u8; 32]) {
        self.nonces = self.nonces.wrapping_add(1);
        *nonce = [self.nonces; 32];
    }

    fn record(&mut self, record: Record<'_>) {
        self.evidence.record(record);
    }

    fn now_us(&self) -> u64 {
        self.clock.get()
    }

    fn sleep_us(&mut self, us: u64) -> Result<(), Interrupted> {
        self.sleeps.push(us);
        self.clock.set(self.clock.get() + us);
        if self.interrupted {
            return Err(Interrupted);
        }
        Ok(())
    }
}

/// What was recorded: of challenge and measurements the transcript, the signature, where the responder's nonce is in
/// the transcript, and whether the signature is right.
#[derive(Default)]
pub(crate) struct Evidence {
    pub(crate) transcripts: [Vec<u8>; 2],
    pub(crate) signatures: [Option<(Vec<u8>, usize, bool)>; 2],
    pub(crate) measurements: Vec<u8>,
    // The chain whose portions were recorded last.
    chain: Vec<u8>,
    which: usize,
    last: usize,
}

impl Evidence {
    fn record(&mut self, record: Record<'_>) {
        match record {
            Record::Begin { what, vca } => {
                self.which = match what {
                    SignedFor::ChallengeAuth => 0,
                    SignedFor::Measurements => 1,
                };
                self.transcripts[self.which] = vca.to_vec();
                self.signatures[self.which] = None;
                self.measurements.clear();
                self.chain.clear();
            }
            Record::Portion {
                message,
                offset,
                len,
            } => {
                assert_eq!(self.chain.len(), offset);
                self.chain.extend(&message[message.len() - len..]);
                self.record(Record::Message(message));
            }
            Record::ChainEnds(chain) => {
                assert!(chain.starts_with(&self.chain));
                self.chain.clear();
            }
            Record::Message(message) => {
                self.last = self.transcripts[self.which].len();
                self.transcripts[self.which].extend(message);
            }
            Record::Measurements(record) => self.measurements.extend(record),
            Record::Signature {
                signature,
                responder_nonce,
                verified,
            } => {
                let nonce = self.last + responder_nonce;
                self.signatures[self.which] = Some((signature.to_vec(), nonce, verified));
            }
        }
    }
}

/// What happens to a request instead of an honest response.
pub(crate) enum Instead {
    Response(Vec<u8>),
    Failure(TransportError),
}

/// What CHALLENGE_AUTH is signed with.
#[derive(Clone)]
pub(crate) struct Signing {
    /// "dmtf-spdm-v1.2.*", or another version's. `None`: that of the connection.
    pub(crate) prefix: Option<String>,
    pub(crate) context: String,
    /// The context string of ML-DSA.
    pub(crate) ctx: String,
}

pub(crate) type OnRequest = Box<dyn FnMut(&mut Responder, &[u8]) -> Option<Instead>>;
type OnResponse = Box<dyn FnMut(u8, &mut Vec<u8>)>;

/// The certificates of a slot.
#[derive(Clone)]
pub(crate) struct Certificates {
    pub(crate) root: Vec<u8>,
    /// What is between root and leaf, to make the chain longer.
    pub(crate) between: Vec<u8>,
    pub(crate) key: [u8; KEY_SIZE],
}

const ROOT_SIZE: usize = 40;
const KEY_SIZE: usize = 24;
const GOOD_ROOT: [u8; ROOT_SIZE] = [0xa5; ROOT_SIZE];
pub(crate) const OTHER_ROOT: [u8; ROOT_SIZE] = [0x5a; ROOT_SIZE];
pub(crate) const GOOD_KEY: [u8; KEY_SIZE] = [0x17; KEY_SIZE];

impl Certificates {
    pub(crate) fn new(root: [u8; ROOT_SIZE], key: [u8; KEY_SIZE]) -> Self {
        Self {
            root: root.to_vec(),
            between: vec![0x30; 300],
            key,
        }
    }

    pub(crate) fn good() -> Self {
        Self::new(GOOD_ROOT, GOOD_KEY)
    }

    pub(crate) fn of_another_owner() -> Self {
        Self::new(OTHER_ROOT, [0x18; KEY_SIZE])
    }
}

/// The responder.
pub(crate) struct Responder {
    pub(crate) versions: Vec<u16>,
    pub(crate) ct_exponent: u8,
    pub(crate) flags: u32,
    pub(crate) data_transfer_size: u32,
    pub(crate) max_spdm_msg_size: u32,
    pub(crate) base_hash: BaseHash,
    pub(crate) base_asym: BaseAsym,
    /// Selected in place of `base_asym` where it is offered.
    pub(crate) pqc_asym: Option<PqcAsym>,
    /// Whether `base_asym` goes first where both are offered.
    pub(crate) classic_first: bool,
    pub(crate) extended_flags: u16,
    /// SupportedAlgorithms, from BaseAsymAlgo on, and what follows it.
    pub(crate) supported_algorithms: Option<([u32; 3], Vec<u8>)>,
    /// KeyPairID, CertificateInfo and KeyUsageMask of each slot, in a multi-key connection.
    pub(crate) keys: [(u8, u8, u16); 8],
    pub(crate) slots: [Option<Certificates>; 8],
    /// Slots without certificates.
    pub(crate) empty_slots: u8,
    /// Largest portion that it hands out.
    pub(crate) portion: usize,
    /// Largest message that it can send at once.
    pub(crate) transmit_size: usize,
    pub(crate) opaque_data: Vec<u8>,
    pub(crate) signing: Signing,
    /// Index, type and value of each measurement.
    pub(crate) measurements: Vec<(u8, u8, Vec<u8>)>,
    /// Whether it refuses to hand out all of them at once.
    pub(crate) one_by_one: bool,
    /// Context of measurement signatures.
    pub(crate) measurement_context: String,
    /// Changes a chain, before it is hashed for DIGESTS and CHALLENGE_AUTH.
    pub(crate) edit_chain: Option<fn(&mut Vec<u8>)>,
    /// Changes what is signed.
    pub(crate) edit_transcript: Option<fn(&mut Vec<u8>)>,
    /// Changes a response before it becomes part of the transcript.
    pub(crate) lie: Option<OnResponse>,
    /// What to do instead of an honest response.
    pub(crate) instead: Option<OnRequest>,

    /// Every request that came.
    pub(crate) requests: Vec<Vec<u8>>,
    pending: Option<Vec<u8>>,
    version: u8,
    asym: Asym,
    transcript: Vec<u8>,
    /// What the measurements' signature will cover.
    l1: Vec<u8>,
    /// How much of the transcript is VCA.
    vca_len: usize,
    /// What the requester can receive at once, if it has CHUNK_CAP.
    data_transfer_size_of_requester: Option<usize>,
    /// A large response that has yet to be fetched, and how much of it has been.
    large_response: Option<(Vec<u8>, usize)>,
    /// A large request that is coming.
    large_request: Vec<u8>,
    /// Handle of the last large response, and number of the next chunk.
    chunk_handle: u8,
    chunk_number: u32,
}

impl Responder {
    fn new(version: Version) -> Self {
        Self {
            versions: vec![u16::from(version.as_byte()) << 8],
            ct_exponent: 10,
            // CERT_CAP, CHAL_CAP.
            flags: 0x06,
            data_transfer_size: 4096,
            max_spdm_msg_size: 4096,
            base_hash: BaseHash::Sha384,
            base_asym: BaseAsym::EcdsaP384,
            pqc_asym: None,
            classic_first: false,
            extended_flags: 0,
            supported_algorithms: None,
            keys: [1, 2, 3, 4, 5, 6, 7, 8].map(|id| (id, 1, 0x0002)),
            slots: [
                Some(Certificates::good()),
                None,
                None,
                None,
                None,
                None,
                None,
                None,
            ],
            empty_slots: 0,
            portion: usize::MAX,
            transmit_size: usize::MAX,
            opaque_data: Vec::new(),
            signing: Signing {
                prefix: None,
                context: "responder-challenge_auth signing".to_string(),
                ctx: "responder-challenge_auth signing".to_string(),
            },
            measurements: vec![
                (1, 0, vec![0x11; 48]),
                (2, 0x81, b"firmware 1.0".to_vec()),
                (9, 1, vec![0x19; 48]),
            ],
            one_by_one: false,
            measurement_context: "responder-measurements signing".to_string(),
            edit_chain: None,
            edit_transcript: None,
            lie: None,
            instead: None,
            requests: Vec::new(),
            pending: None,
            version: 0x10,
            asym: Asym::Base(BaseAsym::EcdsaP384),
            transcript: Vec::new(),
            l1: Vec::new(),
            vca_len: 0,
            data_transfer_size_of_requester: None,
            large_response: None,
            large_request: Vec::new(),
            chunk_handle: 0x40,
            chunk_number: 0,
        }
    }

    fn provisioned(&self) -> u8 {
        (0..8)
            .filter(|slot| self.slots[*slot].is_some())
            .fold(0, |mask, slot| mask | (1 << slot))
    }

    /// The certificate chain of a slot as the protocol has it.
    pub(crate) fn chain(&self, slot: usize) -> Vec<u8> {
        let certificates = self.slots[slot].as_ref().unwrap();
        let mut chain = vec![0, 0, 0, 0];
        chain.extend(hash(self.base_hash, &certificates.root));
        chain.extend(&certificates.root);
        chain.extend(&certificates.between);
        chain.extend(certificates.key);
        let len = (chain.len() as u32).to_le_bytes();
        if self.version >= 0x14 {
            chain[..4].copy_from_slice(&len);
        } else {
            chain[..2].copy_from_slice(&len[..2]);
        }
        if let Some(edit) = self.edit_chain {
            edit(&mut chain);
        }
        chain
    }

    /// An ERROR.
    pub(crate) fn error(&self, code: u8, data: &[u8]) -> Vec<u8> {
        let mut message = vec![self.version, 0x7f, code, 0];
        message.extend(data);
        message
    }

    fn respond(&mut self, request: &[u8]) -> Result<Vec<u8>, TransportError> {
        self.requests.push(request.to_vec());
        let mut response = self.answer(request)?;
        let limit = self.transmit_limit();
        if self.chunks() && response.len() > limit {
            if response[1] == 0x05 {
                // It stands for both, the acknowledgement and the response.
                response.drain(..self.number_end());
            }
            response = self.large(response);
        }
        Ok(response)
    }

    /// Whether both sides can do chunks.
    fn chunks(&self) -> bool {
        const CHUNK_CAP: u32 = 1 << 17;
        self.version >= 0x12
            && self.flags & CHUNK_CAP != 0
            && self.data_transfer_size_of_requester.is_some()
    }

    fn transmit_limit(&self) -> usize {
        let limit = self.data_transfer_size_of_requester.unwrap_or(usize::MAX);
        limit.min(self.transmit_size)
    }

    /// Where ChunkSeqNo of a CHUNK_SEND_ACK ends.
    fn number_end(&self) -> usize {
        if self.version >= 0x14 {
            8
        } else {
            6
        }
    }

    /// Keeps `response` to be fetched.
    pub(crate) fn large(&mut self, response: Vec<u8>) -> Vec<u8> {
        self.large_response = Some((response, 0));
        self.chunk_handle = self.chunk_handle.wrapping_add(1);
        self.chunk_number = 0;
        self.error(LARGE_RESPONSE, &[self.chunk_handle])
    }

    /// CHUNK_RESPONSE.
    fn chunk(&mut self, request: &[u8]) -> Vec<u8> {
        let mut expected = vec![self.version, CHUNK_GET, 0, self.chunk_handle];
        expected.extend(&self.chunk_number.to_le_bytes()[..self.number_end() - 4]);
        assert_eq!(request, expected);
        let limit = self.transmit_limit();
        let (response, sent) = self.large_response.as_mut().expect("no large response");
        let mut message = vec![self.version, 0x06, 0, self.chunk_handle];
        message.extend(self.chunk_number.to_le_bytes());
        message.extend([0; 4]);
        if self.chunk_number == 0 {
            message.extend((response.len() as u32).to_le_bytes());
        }
        let chunk = &response[*sent..response.len().min(*sent + limit - message.len())];
        message[8..12].copy_from_slice(&(chunk.len() as u32).to_le_bytes());
        message.extend(chunk);
        *sent += chunk.len();
        if *sent == response.len() {
            message[2] = 1;
            self.large_response = None;
        }
        self.chunk_number += 1;
        message
    }

    /// CHUNK_SEND_ACK.
    fn chunk_ack(&mut self, request: &[u8]) -> Result<Vec<u8>, TransportError> {
        assert!(request.len() <= self.data_transfer_size as usize);
        let number = u32::from_le_bytes(request[4..8].try_into().unwrap());
        let size = u32::from_le_bytes(request[8..12].try_into().unwrap());
        let mut chunk = &request[12..];
        if number == 0 {
            let total = u32::from_le_bytes(request[12..16].try_into().unwrap());
            assert!(total > self.data_transfer_size);
            chunk = &request[16..];
            self.large_request.clear();
            self.chunk_number = 0;
        }
        assert_eq!(number, self.chunk_number);
        assert_eq!(chunk.len(), size as usize);
        self.chunk_number += 1;
        self.large_request.extend(chunk);
        let mut message = vec![self.version, 0x05, 0, request[3]];
        message.extend(&request[4..self.number_end()]);
        match request[2] {
            0 => assert_eq!(request.len(), self.data_transfer_size.min(64) as usize),
            1 => {
                let whole = core::mem::take(&mut self.large_request);
                message.extend(self.answer(&whole)?);
            }
            attributes => panic!("unknown attributes {attributes:#x}"),
        }
        Ok(message)
    }

    fn answer(&mut self, request: &[u8]) -> Result<Vec<u8>, TransportError> {
        if let Some(mut instead) = self.instead.take() {
            let instruction = instead(self, request);
            self.instead = Some(instead);
            match instruction {
                Some(Instead::Response(message)) => return Ok(message),
                Some(Instead::Failure(error)) => return Err(error),
                None => (),
            }
        }
        let pending = match request[1] {
            RESPOND_IF_READY => Some(self.pending.take().expect("nothing to be ready for")),
            _ => None,
        };
        let request = pending.as_deref().unwrap_or(request);
        match request[1] {
            CHUNK_GET => Ok(self.chunk(request)),
            CHUNK_SEND => self.chunk_ack(request),
            _ => Ok(self.honest(request)),
        }
    }

    /// The error code and version of the ERROR that a request deserves.
    fn objection(&self, request: &[u8]) -> Option<(u8, u8)> {
        const INVALID_REQUEST: u8 = 0x01;
        const VERSION_MISMATCH: u8 = 0x41;
        match request[1] {
            GET_CAPABILITIES => {
                let mut versions = self.versions.iter().map(|entry| entry.to_be_bytes()[0]);
                (!versions.any(|version| version == request[0])).then_some((VERSION_MISMATCH, 0x10))
            }
            GET_CERTIFICATE | CHALLENGE => {
                if request[1..3] == [CHALLENGE, 0xff] {
                    return None;
                }
                // LARGE_RESP_CAP.
                if request[2] & 0x80 != 0 && !(self.version >= 0x14 && self.flags >> 31 == 1) {
                    return Some((INVALID_REQUEST, self.version));
                }
                let slot = usize::from(request[2] & 0x0f);
                let offset = match request[1] {
                    GET_CERTIFICATE if request[2] & 0x80 != 0 => {
                        u32::from_le_bytes(request[8..12].try_into().unwrap()) as usize
                    }
                    GET_CERTIFICATE => u16::from_le_bytes([request[4], request[5]]).into(),
                    _ => 0,
                };
                let fits = self.slots[slot].is_some() && offset < self.chain(slot).len();
                (!fits).then_some((INVALID_REQUEST, self.version))
            }
            GET_MEASUREMENTS => {
                let refused = match request[3] {
                    0 => false,
                    0xff => self.one_by_one,
                    index => !self.measurements.iter().any(|block| block.0 == index),
                };
                refused.then_some((INVALID_REQUEST, self.version))
            }
            _ => None,
        }
    }

    pub(crate) fn honest(&mut self, request: &[u8]) -> Vec<u8> {
        if request[1] != GET_MEASUREMENTS {
            self.l1.clear();
        }
        if let Some((error, version)) = self.objection(request) {
            if self.version >= 0x12 {
                self.l1.clear();
            }
            return vec![version, 0x7f, error, 0];
        }
        let (mut response, signed) = match request[1] {
            GET_VERSION => (self.version(request), false),
            GET_CAPABILITIES => (self.capabilities(request), false),
            NEGOTIATE_ALGORITHMS => (self.algorithms(request), false),
            GET_DIGESTS => (self.digests(request), false),
            GET_CERTIFICATE => (self.certificate(request), false),
            CHALLENGE => (self.challenge_auth(request), true),
            GET_MEASUREMENTS => return self.measured(request),
            code => panic!("unknown request {code:#x}"),
        };
        if let Some(lie) = &mut self.lie {
            lie(request[1], &mut response);
        }
        self.transcript.extend(request);
        self.transcript.extend(&response);
        if request[1] == NEGOTIATE_ALGORITHMS {
            self.vca_len = self.transcript.len();
        }
        if signed {
            let mut transcript = self.transcript.clone();
            // The next one begins with the same VCA.
            self.transcript.truncate(self.vca_len);
            if let Some(edit) = self.edit_transcript {
                edit(&mut transcript);
            }
            let signature = self.sign(&transcript);
            response.extend(signature);
        }
        response
    }

    fn version(&mut self, request: &[u8]) -> Vec<u8> {
        assert_eq!(request, [0x10, GET_VERSION, 0, 0]);
        self.transcript.clear();
        self.version = 0x10;
        let mut message = vec![0x10, 0x04, 0, 0, 0, self.versions.len() as u8];
        for entry in &self.versions {
            message.extend(entry.to_le_bytes());
        }
        message
    }

    fn capabilities(&mut self, request: &[u8]) -> Vec<u8> {
        self.version = request[0];
        let len = match self.version {
            0x10 => 4,
            0x11 => 12,
            _ => 20,
        };
        assert_eq!(request.len(), len);
        // SupportedAlgorithms is asked for.
        let asked = u8::from(self.version >= 0x13);
        assert_eq!(request[2..4], [asked, 0]);

        let told = asked & u8::from(self.supported_algorithms.is_some());
        let mut message = vec![self.version, 0x61, told, 0, 0, self.ct_exponent];
        message.extend(self.extended_flags.to_le_bytes());
        message.extend(self.flags.to_le_bytes());
        if self.version >= 0x12 {
            let [flags, data_transfer_size, max_spdm_msg_size] =
                [8, 12, 16].map(|at| u32::from_le_bytes(request[at..at + 4].try_into().unwrap()));
            assert_eq!(flags, 1 << 17);
            assert!((42..=max_spdm_msg_size).contains(&data_transfer_size));
            self.data_transfer_size_of_requester = Some(data_transfer_size as usize);
            message.extend(self.data_transfer_size.to_le_bytes());
            message.extend(self.max_spdm_msg_size.to_le_bytes());
        }
        if let (1, Some((algorithms, rest))) = (told, &self.supported_algorithms) {
            let length = 30 + rest.len() as u8;
            message.extend([(rest.len() / 4) as u8, 0, length, 0, 1, 2]);
            message.extend(algorithms.map(u32::to_le_bytes).concat());
            message.extend([0; 12]);
            message.extend(rest);
        }
        message
    }

    fn algorithms(&mut self, request: &[u8]) -> Vec<u8> {
        assert_eq!(request.len(), 32);
        assert_eq!(
            request[..6],
            [self.version, NEGOTIATE_ALGORITHMS, 0, 0, 32, 0]
        );
        let opaque_format = if self.version >= 0x12 { 2 } else { 0 };
        // MULTI_KEY_CAP.
        let multi_key = u8::from(self.version >= 0x13 && (self.flags >> 26) & 3 == 1) << 4;
        assert_eq!(request[6..8], [1, opaque_format | multi_key]);
        let base_asyms = u32::from_le_bytes(request[8..12].try_into().unwrap());
        let base_hashes = u32::from_le_bytes(request[12..16].try_into().unwrap());
        let pqc_asyms = u32::from_le_bytes(request[16..20].try_into().unwrap());
        assert!(base_hashes & self.base_hash.bit() != 0);
        assert!(self.version >= 0x14 || pqc_asyms == 0);
        assert_eq!(request[20..], [0; 12]);
        let base_asym = self.base_asym.bit() & base_asyms;
        let pqc_asym = self
            .pqc_asym
            .filter(|pqc| pqc.bit() & pqc_asyms != 0 && !(self.classic_first && base_asym != 0));
        self.asym = match pqc_asym {
            Some(pqc_asym) => Asym::Pqc(pqc_asym),
            None => Asym::Base(self.base_asym),
        };
        let (base_asym, pqc_asym) = match pqc_asym {
            Some(pqc_asym) => (0, pqc_asym.bit()),
            None => (base_asym, 0),
        };

        // MEAS_CAP: DMTF's specification, with the hash of the messages.
        let (specification, hash) = match (self.flags >> 3) & 3 {
            0 => (0, 0),
            _ => (1, self.base_hash.bit() << 1),
        };
        let mut message = vec![
            self.version,
            0x63,
            0,
            0,
            36,
            0,
            specification,
            opaque_format,
        ];
        message.extend(hash.to_le_bytes());
        message.extend(base_asym.to_le_bytes());
        message.extend(self.base_hash.bit().to_le_bytes());
        message.extend(pqc_asym.to_le_bytes());
        message.extend([0; 12]);
        message
    }

    fn digests(&mut self, request: &[u8]) -> Vec<u8> {
        assert_eq!(request, [self.version, GET_DIGESTS, 0, 0]);
        let provisioned = self.provisioned();
        let supported = match self.version {
            0x13.. => provisioned | self.empty_slots,
            _ => 0,
        };
        let mut message = vec![self.version, 0x01, supported, provisioned];
        for slot in 0..8 {
            if self.slots[slot].is_some() {
                message.extend(hash(self.base_hash, &self.chain(slot)));
            }
        }
        if self.multi_key() {
            let keys: Vec<_> = (0..8)
                .filter(|slot| self.slots[*slot].is_some())
                .map(|slot| self.keys[slot])
                .collect();
            message.extend(keys.iter().map(|key| key.0));
            message.extend(keys.iter().map(|key| key.1));
            message.extend(keys.iter().flat_map(|key| key.2.to_le_bytes()));
        }
        message
    }

    /// Whether it may use several keys.
    fn multi_key(&self) -> bool {
        self.version >= 0x13 && (self.flags >> 26) & 3 == 1
    }

    fn large_certificate(&mut self, request: &[u8]) -> Vec<u8> {
        assert_eq!(request.len(), 16);
        assert_eq!(request[3..8], [0; 5]);
        let slot = request[2] & 0x0f;
        let [offset, length] =
            [8, 12].map(|at| u32::from_le_bytes(request[at..at + 4].try_into().unwrap()) as usize);
        let chain = self.chain(slot.into());
        let portion = length.min(self.portion).min(chain.len() - offset);
        let remainder = chain.len() - offset - portion;
        let mut message = vec![self.version, 0x02, request[2], self.certificate_info(slot)];
        message.extend([0; 4]);
        message.extend((portion as u32).to_le_bytes());
        message.extend((remainder as u32).to_le_bytes());
        message.extend(&chain[offset..offset + portion]);
        message
    }

    fn certificate_info(&self, slot: u8) -> u8 {
        match self.multi_key() {
            true => self.keys[usize::from(slot)].1,
            false => 0,
        }
    }

    fn certificate(&mut self, request: &[u8]) -> Vec<u8> {
        if request[2] & 0x80 != 0 {
            return self.large_certificate(request);
        }
        assert_eq!(request.len(), 8);
        let slot = request[2];
        let offset = u16::from_le_bytes(request[4..6].try_into().unwrap()).into();
        let length: usize = u16::from_le_bytes(request[6..8].try_into().unwrap()).into();
        let chain = self.chain(slot.into());
        let portion = length.min(self.portion).min(chain.len() - offset);
        let remainder = chain.len() - offset - portion;
        let mut message = vec![self.version, 0x02, slot, self.certificate_info(slot)];
        message.extend((portion as u16).to_le_bytes());
        message.extend((remainder as u16).to_le_bytes());
        message.extend(&chain[offset..offset + portion]);
        message
    }

    fn challenge_auth(&mut self, request: &[u8]) -> Vec<u8> {
        assert_eq!(request.len(), if self.version >= 0x13 { 44 } else { 36 });
        assert_eq!(request[3], 0);
        let slot = request[2];
        let mut message = vec![self.version, 0x03, slot, self.provisioned()];
        if slot == 0xff {
            message[2] = 0x0f;
            message[3] = 0;
            message.extend(hash(self.base_hash, &GOOD_KEY));
        } else {
            message.extend(hash(self.base_hash, &self.chain(slot.into())));
        }
        message.extend([0x99; 32]);
        message.extend((self.opaque_data.len() as u16).to_le_bytes());
        message.extend(&self.opaque_data);
        message.extend(&request[36..]);
        message
    }

    /// MEASUREMENTS, signed if asked for.
    fn measured(&mut self, request: &[u8]) -> Vec<u8> {
        let signed = request[2] == 1;
        let mut len = 4;
        if signed {
            len += if self.version >= 0x11 { 33 } else { 32 };
        }
        let context = if self.version >= 0x13 { 8 } else { 0 };
        assert_eq!(request.len(), len + context);
        let slot = match signed && self.version >= 0x11 {
            true => request[36],
            false => 0,
        };
        let mut message = vec![self.version, 0x60, 0, slot];
        let blocks: Vec<_> = match request[3] {
            0 => {
                message[2] = self.measurements.len() as u8;
                Vec::new()
            }
            asked => self
                .measurements
                .iter()
                .filter(|block| asked == 0xff || asked == block.0)
                .collect(),
        };
        let mut record = Vec::new();
        for (index, value_type, value) in &blocks {
            let size = value.len() as u16;
            record.extend([*index, 1]);
            record.extend((size + 3).to_le_bytes());
            record.push(*value_type);
            record.extend(size.to_le_bytes());
            record.extend(value);
        }
        message.push(blocks.len() as u8);
        message.extend(&(record.len() as u32).to_le_bytes()[..3]);
        message.extend(record);
        message.extend([0x77; 32]);
        message.extend((self.opaque_data.len() as u16).to_le_bytes());
        message.extend(&self.opaque_data);
        message.extend(&request[request.len() - context..]);
        if let Some(lie) = &mut self.lie {
            lie(GET_MEASUREMENTS, &mut message);
        }
        self.l1.extend(request);
        self.l1.extend(&message);
        if signed {
            let mut transcript = core::mem::take(&mut self.l1);
            if self.version >= 0x12 {
                transcript.splice(..0, self.transcript[..self.vca_len].iter().copied());
            }
            if let Some(edit) = self.edit_transcript {
                edit(&mut transcript);
            }
            let context = self.measurement_context.clone();
            message.extend(self.sign_for(&context, &transcript));
        }
        message
    }

    fn sign(&self, transcript: &[u8]) -> Vec<u8> {
        self.sign_for(&self.signing.context, transcript)
    }

    fn sign_for(&self, context: &str, transcript: &[u8]) -> Vec<u8> {
        let mut digest = hash(self.base_hash, transcript);
        if self.version >= 0x12 {
            let prefix = match &self.signing.prefix {
                Some(prefix) => prefix.clone(),
                None => std::format!("dmtf-spdm-v1.{}.*", self.version & 0xf),
            };
            let mut message = prefix.repeat(4).into_bytes();
            message.resize(100 - context.len(), 0);
            message.extend(context.as_bytes());
            message.extend(digest);
            if let Asym::Pqc(_) = self.asym {
                let ctx = match context == self.signing.context {
                    true => &self.signing.ctx,
                    false => context,
                };
                return signature(&GOOD_KEY, &message, ctx, self.asym);
            }
            digest = hash(self.base_hash, &message);
        }
        signature(&GOOD_KEY, &digest, "", self.asym)
    }

    /// Codes of all requests that came.
    pub(crate) fn codes(&self) -> Vec<u8> {
        self.requests.iter().map(|request| request[1]).collect()
    }
}

/// Answers the first `times` requests with `code` by an ERROR.
///
/// A ResponseNotReady is repeated to RESPOND_IF_READY.
pub(crate) fn refuse(code: u8, times: usize, error: u8, data: &[u8]) -> OnRequest {
    let data = data.to_vec();
    let mut left = times;
    Box::new(move |responder, request| {
        let mut asked = request[1];
        if error == RESPONSE_NOT_READY && asked == RESPOND_IF_READY {
            assert_eq!(request[2..4], [data[1], data[2]]);
            asked = request[2];
        }
        if asked != code || left == 0 {
            return None;
        }
        left -= 1;
        if error == RESPONSE_NOT_READY && request[1] != RESPOND_IF_READY {
            responder.pending = Some(request.to_vec());
        }
        let mut message = vec![request[0], 0x7f, error, 0];
        message.extend(&data);
        Some(Instead::Response(message))
    })
}

/// The signature that everybody here believes in.
fn signature(key: &[u8], signed: &[u8], ctx: &str, asym: Asym) -> Vec<u8> {
    let mut signature = Vec::new();
    let ctx = ctx.as_bytes();
    for nth in 0..=72u8 {
        signature.extend(hash(BaseHash::Sha512, &[&[nth], key, ctx, signed].concat()));
    }
    signature.truncate(asym.signature_size());
    signature
}

/// Trusts one root.
pub(crate) struct Anchor {
    pub(crate) roots: Vec<[u8; ROOT_SIZE]>,
    /// Signature algorithms with chains that end at an unknown root, whatever `roots` says.
    pub(crate) untrusted: Vec<Asym>,
    /// Refuses slots for another reason.
    pub(crate) refused: Vec<(u8, ChainError)>,
    /// Whether signatures cannot be checked.
    pub(crate) broken: bool,
    /// Slots whose chain came here.
    pub(crate) seen: Vec<u8>,
    /// Slots whose chain came here again.
    pub(crate) seen_again: Vec<u8>,
    /// Their models.
    pub(crate) models: Vec<CertificateModel>,
    /// The public key that was provisioned.
    pub(crate) raw_key: Option<Vec<u8>>,
}

impl TrustAnchor for Anchor {
    type LeafKey = Vec<u8>;

    fn verify_chain(&mut self, chain: &CertChain<'_>) -> Result<Vec<u8>, ChainError> {
        self.seen.push(chain.slot);
        self.models.push(chain.model);
        if let Some((_, error)) = self.refused.iter().find(|(slot, _)| *slot == chain.slot) {
            return Err(*error);
        }
        let (root, _) = chain
            .certificates
            .split_first_chunk()
            .ok_or(ChainError::Malformed)?;
        if !self.roots.contains(root) || self.untrusted.contains(&chain.asym) {
            return Err(ChainError::UntrustedRoot);
        }
        if chain.root_hash != hash(chain.base_hash, root) {
            return Err(ChainError::RootHashMismatch);
        }
        let key = chain.certificates.last_chunk::<KEY_SIZE>();
        Ok(key.ok_or(ChainError::Malformed)?.to_vec())
    }

    fn recheck(&mut self, key: &Vec<u8>, chain: &CertChain<'_>) -> Result<(), ChainError> {
        self.seen_again.push(chain.slot);
        let (seen, models) = (self.seen.clone(), self.models.clone());
        let result = self.verify_chain(chain);
        (self.seen, self.models) = (seen, models);
        assert_eq!(result.as_ref().unwrap_or(key), key);
        result.map(|_| ())
    }

    fn raw_key(&mut self, _: Asym, base_hash: BaseHash) -> Option<(Vec<u8>, Digest)> {
        let key = self.raw_key.clone()?;
        let digest = hash(base_hash, &key);
        let digest = Digest::new(base_hash, |bytes| bytes.copy_from_slice(&digest));
        Some((key, digest))
    }

    fn verify_signature(
        &self,
        key: &Vec<u8>,
        signed: &Signed<'_>,
        received: &[u8],
    ) -> Result<(), SignatureError> {
        if self.broken {
            return Err(SignatureError::Internal);
        }
        let expected = match signed.asym {
            Asym::Base(_) => signature(key, signed.digest.as_bytes(), "", signed.asym),
            Asym::Pqc(_) => {
                let ctx = core::str::from_utf8(signed.context).unwrap();
                signature(key, signed.message, ctx, signed.asym)
            }
        };
        if received == expected {
            Ok(())
        } else {
            Err(SignatureError::Bad)
        }
    }
}

/// Memory for a chain, as much as it is allowed.
pub(crate) struct TestChainBuffer {
    pub(crate) limit: usize,
    pub(crate) bytes: Vec<u8>,
}

impl ChainBuffer for TestChainBuffer {
    fn reserve(&mut self, len: usize) -> Result<&mut [u8], OutOfMemory> {
        if len > self.limit {
            return Err(OutOfMemory);
        }
        self.bytes = vec![0xee; len];
        Ok(&mut self.bytes)
    }

    fn get(&self) -> &[u8] {
        &self.bytes
    }
}

/// Memory for responses, never longer than what was asked for.
struct TestResponseBuffer {
    limit: usize,
    bytes: Vec<u8>,
}

impl ResponseBuffer for TestResponseBuffer {
    fn max_len(&self) -> usize {
        self.limit
    }

    fn reserve(&mut self, len: usize) -> Result<&mut [u8], OutOfMemory> {
        assert!(len <= self.limit);
        if len > self.bytes.len() {
            self.bytes.resize(len, 0xdd);
        }
        Ok(&mut self.bytes)
    }

    fn get(&self) -> &[u8] {
        &self.bytes
    }

    fn release(&mut self) {
        self.bytes = Vec::new();
    }
}

/// Everything an attestation needs. It succeeds unless something is changed.
pub(crate) struct Bench {
    version: Version,
    workspace: Workspace<TestHash, Vec<u8>>,
    pub(crate) responder: Responder,
    pub(crate) platform: TestPlatform,
    pub(crate) anchor: Anchor,
    pub(crate) chain: TestChainBuffer,
    pub(crate) config: Config,
    pub(crate) report: Report,
    pub(crate) buffer_size: usize,
    pub(crate) alignment: usize,
    pub(crate) max_message_size: usize,
    pub(crate) round_trip_us: u32,
    /// How often the transport has a request sent again.
    pub(crate) retries: usize,
    /// How long each exchange takes.
    pub(crate) latency_us: u64,
    /// Changes a response on its way.
    pub(crate) tamper: Option<OnResponse>,
    /// The time limits of all exchanges.
    pub(crate) timeouts: Vec<u32>,
}

struct TestTransport<'a> {
    clock: Rc<Cell<u64>>,
    responder: &'a mut Responder,
    tamper: &'a mut Option<OnResponse>,
    timeouts: &'a mut Vec<u32>,
    alignment: usize,
    max_message_size: usize,
    round_trip_us: u32,
    retries: usize,
    latency_us: u64,
}

impl Transport for TestTransport<'_> {
    fn max_message_size(&self) -> usize {
        self.max_message_size
    }

    fn alignment(&self) -> usize {
        self.alignment
    }

    fn round_trip_us(&self) -> u32 {
        self.round_trip_us
    }

    fn retries(&self) -> usize {
        self.retries
    }

    fn exchange(
        &mut self,
        request: &[u8],
        response: &mut [u8],
        timeout_us: u32,
    ) -> Result<usize, TransportError> {
        self.timeouts.push(timeout_us);
        let took = self.latency_us.min(timeout_us.into());
        self.clock.set(self.clock.get() + took);
        let answer = self.responder.respond(request);
        if took < self.latency_us {
            return Err(TransportError::Timeout);
        }
        if let Err(TransportError::Timeout) = answer {
            self.clock
                .set(self.clock.get() - took + u64::from(timeout_us));
        }
        let mut message = answer?;
        if let Some(tamper) = self.tamper {
            tamper(request[1], &mut message);
        }
        message.resize(message.len().next_multiple_of(self.alignment), 0);
        response
            .get_mut(..message.len())
            .ok_or(TransportError::TooLarge)?
            .copy_from_slice(&message);
        Ok(message.len())
    }
}

impl Bench {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            workspace: Workspace::new(),
            responder: Responder::new(version),
            platform: TestPlatform {
                clock: Rc::new(Cell::new(1_000_000)),
                base_hashes: BaseHash::ALL
                    .into_iter()
                    .fold(BaseHashes::NONE, BaseHashes::with),
                base_asyms: BaseAsym::ALL
                    .into_iter()
                    .fold(BaseAsyms::NONE, BaseAsyms::with),
                pqc_asyms: PqcAsym::ALL
                    .into_iter()
                    .fold(PqcAsyms::NONE, PqcAsyms::with),
                hashes_missing: false,
                interrupted: false,
                sleeps: Vec::new(),
                evidence: Evidence::default(),
                nonces: 0,
            },
            anchor: Anchor {
                roots: vec![GOOD_ROOT],
                untrusted: Vec::new(),
                refused: Vec::new(),
                broken: false,
                seen: Vec::new(),
                seen_again: Vec::new(),
                models: Vec::new(),
                raw_key: None,
            },
            chain: TestChainBuffer {
                limit: usize::MAX,
                bytes: Vec::new(),
            },
            config: Config::default(),
            report: Report::default(),
            buffer_size: 4096,
            alignment: 4,
            max_message_size: 4096,
            round_trip_us: 1000,
            retries: 0,
            latency_us: 10,
            tamper: None,
            timeouts: Vec::new(),
        }
    }

    /// Attests.
    pub(crate) fn attest(&mut self) -> Result<Authenticated<Vec<u8>>, Error> {
        let mut buffer = TestResponseBuffer {
            limit: self.buffer_size,
            bytes: Vec::new(),
        };
        let mut transport = TestTransport {
            clock: self.platform.clock.clone(),
            responder: &mut self.responder,
            tamper: &mut self.tamper,
            timeouts: &mut self.timeouts,
            alignment: self.alignment,
            max_message_size: self.max_message_size,
            round_trip_us: self.round_trip_us,
            retries: self.retries,
            latency_us: self.latency_us,
        };
        let result = Requester {
            transport: &mut transport,
            platform: &mut self.platform,
            buffer: &mut buffer,
            workspace: &mut self.workspace,
            config: self.config,
        }
        .attest(&mut self.anchor, &mut self.chain, &mut self.report);
        let recorded = &self.platform.evidence.chain;
        assert!(result.is_err() || recorded.is_empty() || *recorded == self.chain.bytes);
        result
    }

    /// Codes of the requests that an attestation makes, which succeeds.
    #[track_caller]
    pub(crate) fn codes_of_success(&mut self) -> Vec<u8> {
        self.responder.requests.clear();
        self.succeeds(0);
        let codes = self.responder.codes();
        assert_eq!(self.report.stats.exchanges as usize, codes.len());
        codes
    }

    /// The certificate chain that was received last.
    pub(crate) fn chain_bytes(&self) -> &[u8] {
        &self.chain.bytes
    }

    /// Asserts that the attestation succeeds, with `slot`.
    #[track_caller]
    pub(crate) fn succeeds(&mut self, slot: u8) {
        match self.attest() {
            Ok(verdict) => assert_eq!(verdict.slot(), slot),
            Err(error) => panic!("{error}"),
        }
    }

    /// Asserts that the attestation fails like this, and that an honest one would succeed afterwards.
    #[track_caller]
    pub(crate) fn fails(&mut self, reason: &str) -> Error {
        let error = match self.attest() {
            Ok(_) => panic!("authenticated instead of {reason}"),
            Err(error) => error,
        };
        assert_eq!(error.to_string(), reason);

        let mut honest = Self::new(self.version);
        core::mem::swap(&mut honest.workspace, &mut self.workspace);
        core::mem::swap(&mut honest.chain.bytes, &mut self.chain.bytes);
        honest.succeeds(0);
        error
    }

    /// Lets the responder lie in its responses to requests with `code`.
    pub(crate) fn lie(mut self, code: u8, change: impl Fn(&mut Vec<u8>) + 'static) -> Self {
        self.responder.lie = Some(Box::new(move |request, response| {
            if request == code {
                change(response);
            }
        }));
        self
    }

    /// Changes responses to requests with `code` on their way.
    pub(crate) fn tamper(mut self, code: u8, change: impl Fn(&mut Vec<u8>) + 'static) -> Self {
        self.tamper = Some(Box::new(move |request, response| {
            if request == code {
                change(response);
            }
        }));
        self
    }

    /// Answers requests with `code` by something else.
    pub(crate) fn instead(
        mut self,
        code: u8,
        answer: impl Fn(&Responder) -> Instead + 'static,
    ) -> Self {
        self.responder.instead = Some(Box::new(move |responder, request| {
            (request[1] == code).then(|| answer(responder))
        }));
        self
    }
}

/// All versions.
pub(crate) const VERSIONS: [Version; 5] = [
    Version::V1_0,
    Version::V1_1,
    Version::V1_2,
    Version::V1_3,
    Version::V1_4,
];

/// Makes a test for each version, or each of some versions, of a function that takes one.
macro_rules! each_version {
    ($test:ident) => {
        each_version!($test: V1_0 V1_1 V1_2 V1_3 V1_4);
    };
    ($test:ident: $($version:ident)+) => {
        #[expect(non_snake_case, reason = "named as the version")]
        mod $test {
            $(
                #[test]
                fn $version() {
                    super::$test($crate::version::Version::$version);
                }
            )+
        }
    };
}
pub(crate) use each_version;
