// SPDX-License-Identifier: GPL-2.0

//! The requester alone: conversations with the test responder, recorded once and played back without
//! cryptography, so that what is left of their time is the requester's.
//!
//! Played back, a message costs the copy into the buffer that a transport has to make, a digest is the one that was
//! made at the same place of the recording, and signatures are not looked at.
#![deny(unsafe_code)]
#![warn(missing_docs)]

use openssl::hash::{
    Hasher,
    MessageDigest, //
};
use spdm_core::{
    Asym,
    BaseAsym,
    BaseAsyms,
    BaseHash,
    BaseHashes,
    CertChain,
    ChainBuffer,
    ChainError,
    Config,
    Digest,
    Hash,
    Interrupted,
    OutOfMemory,
    Platform,
    PqcAsym,
    PqcAsyms,
    Report,
    Requester,
    SignatureError,
    Signed,
    Stats,
    Transport,
    TransportError,
    TrustAnchor,
    Unsupported,
    Workspace, //
};
use spdm_responder::{
    config,
    device::{
        Device,
        Reply, //
    },
    message,
    pki::Pki,
};
use std::cell::{
    Cell,
    RefCell, //
};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// Size of the receive buffer: two messages, so that an ML-DSA signature can be put together from its chunks.
const BUFFER_SIZE: usize = 8192;
/// Size of the largest message, as DOE carries it.
const MAX_MESSAGE_SIZE: usize = 4096;

/// What is played: its name, what the responder is told, whether measurements are taken.
pub struct Case {
    /// Name.
    pub name: &'static str,
    words: &'static str,
    measurements: bool,
    again: bool,
}

const fn first(name: &'static str, words: &'static str) -> Case {
    Case {
        name,
        words,
        measurements: false,
        again: false,
    }
}

/// The conversations.
pub const CASES: [Case; 9] = [
    first(
        "1.0, ECDSA P-384",
        "version=1.0 asym=ecdsa-p384 hash=sha384",
    ),
    first(
        "1.1, ECDSA P-384",
        "version=1.1 asym=ecdsa-p384 hash=sha384",
    ),
    first(
        "1.2, ECDSA P-384",
        "version=1.2 asym=ecdsa-p384 hash=sha384",
    ),
    first(
        "1.3, ECDSA P-384",
        "version=1.3 asym=ecdsa-p384 hash=sha384",
    ),
    first(
        "1.4, ECDSA P-384",
        "version=1.4 asym=ecdsa-p384 hash=sha384",
    ),
    first(
        "1.4, ML-DSA-87",
        "version=1.4 asym=mldsa87 hash=sha512 flags=0x20006",
    ),
    Case {
        measurements: true,
        ..first(
            "1.4, ECDSA P-384, measurements",
            "version=1.4 asym=ecdsa-p384 hash=sha384 flags=0x16",
        )
    },
    Case {
        again: true,
        ..first(
            "1.4, ECDSA P-384, chain kept",
            "version=1.4 asym=ecdsa-p384 hash=sha384 flags=6",
        )
    },
    Case {
        again: true,
        ..first(
            "1.4, ECDSA P-384, state kept",
            "version=1.4 asym=ecdsa-p384 hash=sha384 flags=7",
        )
    },
];

/// A conversation as it was.
#[derive(Default)]
struct Recording {
    requests: Vec<Vec<u8>>,
    responses: Vec<Vec<u8>>,
    digests: Vec<Digest>,
}

/// Where a hash has its digest from.
enum Source {
    /// It is made, and goes into the recording.
    Made(Box<Hasher>, BaseHash, Rc<RefCell<Recording>>),
    /// The next one of the recording.
    Played(Rc<Tape>),
}

/// A hash that is recorded or played back.
pub struct RecordedHash(Source);

impl Hash for RecordedHash {
    fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            Source::Made(hasher, ..) => hasher.update(data).expect("OpenSSL hashes"),
            Source::Played(tape) => tape.hashed.set(tape.hashed.get() + data.len()),
        }
    }

    fn finish(self) -> Digest {
        match self.0 {
            Source::Made(mut hasher, algorithm, recording) => {
                let made = hasher.finish().expect("OpenSSL hashes");
                let digest = Digest::new(algorithm, |bytes| bytes.copy_from_slice(&made));
                recording.borrow_mut().digests.push(digest);
                digest
            }
            Source::Played(tape) => {
                let number = tape.digest.get();
                tape.digest.set(number + 1);
                tape.recording.digests[number]
            }
        }
    }
}

/// A recording that is being played.
struct Tape {
    recording: Rc<Recording>,
    digest: Cell<usize>,
    message: Cell<usize>,
    hashed: Cell<usize>,
}

impl Tape {
    fn new(recording: &Rc<Recording>) -> Rc<Self> {
        Rc::new(Tape {
            recording: recording.clone(),
            digest: Cell::new(0),
            message: Cell::new(0),
            hashed: Cell::new(0),
        })
    }
}

/// Time stands still.
struct Surroundings<F>(F);

impl<F: Fn(BaseHash) -> Source> Platform for Surroundings<F> {
    type Hash = RecordedHash;

    fn base_hashes(&self) -> BaseHashes {
        BaseHash::ALL
            .into_iter()
            .fold(BaseHashes::NONE, BaseHashes::with)
    }

    fn base_asyms(&self) -> BaseAsyms {
        BaseAsym::ALL
            .into_iter()
            .fold(BaseAsyms::NONE, BaseAsyms::with)
    }

    fn pqc_asyms(&self) -> PqcAsyms {
        PqcAsym::ALL
            .into_iter()
            .fold(PqcAsyms::NONE, PqcAsyms::with)
    }

    fn hash(&self, algorithm: BaseHash) -> Result<RecordedHash, Unsupported> {
        Ok(RecordedHash((self.0)(algorithm)))
    }

    // The same each time: what is signed was signed once.
    fn nonce(&mut self, nonce: &mut [u8; 32]) {
        *nonce = [0x5A; 32];
    }

    fn now_us(&self) -> u64 {
        0
    }

    fn sleep_us(&mut self, _us: u64) -> Result<(), Interrupted> {
        Ok(())
    }
}

/// Believes everything: neither chains nor signatures are this crate's business.
struct Believer;

impl TrustAnchor for Believer {
    type LeafKey = ();

    fn verify_chain(&mut self, _chain: &CertChain<'_>) -> Result<(), ChainError> {
        Ok(())
    }

    fn recheck(&mut self, _key: &(), _chain: &CertChain<'_>) -> Result<(), ChainError> {
        Ok(())
    }

    fn raw_key(&mut self, _asym: Asym, _base_hash: BaseHash) -> Option<((), Digest)> {
        None
    }

    fn verify_signature(
        &self,
        _key: &(),
        _signed: &Signed<'_>,
        _signature: &[u8],
    ) -> Result<(), SignatureError> {
        Ok(())
    }
}

/// Memory for a chain.
struct Memory(Vec<u8>);

impl ChainBuffer for Memory {
    fn reserve(&mut self, len: usize) -> Result<&mut [u8], OutOfMemory> {
        self.0.clear();
        self.0.resize(len, 0);
        Ok(&mut self.0)
    }

    fn get(&self) -> &[u8] {
        &self.0
    }
}

/// A link: how a request gets its response.
struct Wire<F>(F);

impl<F: FnMut(&[u8], &mut [u8]) -> Result<usize, TransportError>> Transport for Wire<F> {
    fn max_message_size(&self) -> usize {
        MAX_MESSAGE_SIZE
    }

    fn alignment(&self) -> usize {
        4
    }

    fn round_trip_us(&self) -> u32 {
        2_000_000
    }

    fn exchange(
        &mut self,
        request: &[u8],
        response: &mut [u8],
        _timeout_us: u32,
    ) -> Result<usize, TransportError> {
        (self.0)(request, response)
    }
}

fn receive(message: &[u8], response: &mut [u8]) -> Result<usize, TransportError> {
    let room = response
        .get_mut(..message.len())
        .ok_or(TransportError::TooLarge)?;
    room.copy_from_slice(message);
    Ok(message.len())
}

/// Why a conversation could not be recorded or played.
pub type Failure = Box<dyn std::error::Error>;

/// The requester, with a conversation to play to it.
pub struct Player {
    buffer: Vec<u8>,
    chain: Memory,
    workspace: Workspace<RecordedHash, ()>,
    config: Config,
    recording: Rc<Recording>,
    again: bool,
}

/// What a conversation that was played came to.
#[derive(Clone, Copy, Debug)]
pub struct Played {
    /// What went over the link.
    pub stats: Stats,
    /// Bytes that were hashed.
    pub hashed: usize,
}

impl Player {
    /// Records a conversation; keys and certificates are kept in `pki`.
    ///
    /// # Errors
    ///
    /// If the responder or OpenSSL fails, or the responder is not believed.
    pub fn record(case: &Case, pki: &Path) -> Result<Self, Failure> {
        let pki = Arc::new(Pki::open(pki)?);
        let mut device = Device::new(pki, config::Config::new(0).changed(case.words)?)?;
        let mut player = Player {
            buffer: vec![0; BUFFER_SIZE],
            chain: Memory(Vec::new()),
            workspace: Workspace::new(),
            config: Config {
                measurements: case.measurements,
                cache: case.again,
                ..Config::default()
            },
            recording: Rc::default(),
            again: false,
        };
        player.record_one(&mut device)?;
        if case.again {
            player.record_one(&mut device)?;
            player.again = true;
        }
        Ok(player)
    }

    fn record_one(&mut self, device: &mut Device) -> Result<(), Failure> {
        let recording = Rc::new(RefCell::new(Recording::default()));
        let source = |algorithm| {
            let digest = match algorithm {
                BaseHash::Sha256 => MessageDigest::sha256(),
                BaseHash::Sha384 => MessageDigest::sha384(),
                BaseHash::Sha512 => MessageDigest::sha512(),
                BaseHash::Sha3_256 => MessageDigest::sha3_256(),
                BaseHash::Sha3_384 => MessageDigest::sha3_384(),
                BaseHash::Sha3_512 => MessageDigest::sha3_512(),
            };
            let hasher = Hasher::new(digest).expect("OpenSSL has the hash");
            Source::Made(Box::new(hasher), algorithm, recording.clone())
        };
        let respond = |request: &[u8], response: &mut [u8]| {
            let Reply::Message(mut message) = device.respond(request).reply else {
                return Err(TransportError::Timeout);
            };
            message.resize(message.len().next_multiple_of(4), 0);
            let result = receive(&message, response);
            let mut recording = recording.borrow_mut();
            recording.requests.push(request.to_vec());
            recording.responses.push(message);
            result
        };
        self.attest(respond, source)?;
        self.recording = Rc::new(recording.take());
        Ok(())
    }

    /// Plays the conversation. `between` is told when the requester hands over a request, by its number from 0, and
    /// when it gets the response: what passes from one to the next exchange is the requester's.
    ///
    /// # Errors
    ///
    /// If the requester asks for something else than it did when it was recorded.
    #[inline]
    pub fn play(&mut self, mut between: impl FnMut(usize, Moment)) -> Result<Played, Failure> {
        if !self.again {
            self.workspace = Workspace::new();
        }
        let tape = Tape::new(&self.recording);
        let respond = |request: &[u8], response: &mut [u8]| {
            let number = tape.message.get();
            between(number, Moment::Request);
            let recording = &tape.recording;
            if recording.requests.get(number).map(Vec::as_slice) != Some(request) {
                return Err(TransportError::Io);
            }
            tape.message.set(number + 1);
            let result = receive(&recording.responses[number], response);
            between(number, Moment::Response);
            result
        };
        let stats = self.attest(respond, |_| Source::Played(tape.clone()))?;
        if tape.message.get() != self.recording.requests.len() {
            return Err("a conversation that ends too early".into());
        }
        Ok(Played {
            stats,
            hashed: tape.hashed.get(),
        })
    }

    fn attest(
        &mut self,
        respond: impl FnMut(&[u8], &mut [u8]) -> Result<usize, TransportError>,
        source: impl Fn(BaseHash) -> Source,
    ) -> Result<Stats, Failure> {
        let mut report = Report::default();
        let _ = Requester {
            transport: &mut Wire(respond),
            platform: &mut Surroundings(source),
            buffer: &mut self.buffer.as_mut_slice(),
            workspace: &mut self.workspace,
            config: self.config,
        }
        .attest(&mut Believer, &mut self.chain, &mut report)
        .map_err(|error| error.to_string())?;
        Ok(report.stats)
    }

    /// What the requests of the conversation are called.
    pub fn requests(&self) -> Vec<String> {
        let requests = self.recording.requests.iter();
        requests.map(|request| message::name(request)).collect()
    }

    /// Addresses of what was received: of the buffer, and of the chain that was put together.
    pub fn received(&self) -> [Range<*const u8>; 2] {
        [self.buffer.as_ptr_range(), self.chain.0.as_ptr_range()]
    }
}

/// What `between` of [`Player::play`] is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The requester hands over a request.
    Request,
    /// It gets the response.
    Response,
}

/// Nanoseconds that the requester takes for each of `rounds` rounds of `count` conversations.
///
/// # Errors
///
/// As [`Player::play`].
pub fn time(player: &mut Player, rounds: usize, count: u32) -> Result<Vec<f64>, Failure> {
    (0..rounds)
        .map(|_| {
            let from = Instant::now();
            for _ in 0..count {
                player.play(|_, _| ())?;
            }
            Ok(from.elapsed().as_nanos() as f64 / f64::from(count))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Records one at a time: keys are made once, and kept beside the program.
    fn record(name: &str) -> Player {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock();
        let case = CASES.iter().find(|case| case.name == name).unwrap();
        let pki = std::env::current_exe().unwrap().with_file_name("pki");
        Player::record(case, &pki).unwrap()
    }

    fn played(name: &str) -> [Played; 3] {
        let mut player = record(name);
        [(); 3].map(|()| player.play(|_, _| ()).unwrap())
    }

    #[test]
    fn each_time_the_same_is_played() {
        for played in played("1.3, ECDSA P-384") {
            assert_eq!(played.stats.exchanges, 6);
            assert!(played.hashed > played.stats.bytes_in as usize / 2);
        }
    }

    #[test]
    fn a_kept_chain_is_not_fetched() {
        for played in played("1.4, ECDSA P-384, chain kept") {
            assert_eq!(played.stats.exchanges, 5);
        }
    }

    #[test]
    fn kept_state_is_not_negotiated() {
        for played in played("1.4, ECDSA P-384, state kept") {
            assert_eq!(played.stats.exchanges, 1);
        }
    }

    #[test]
    fn measurements_are_one_exchange_more() {
        for played in played("1.4, ECDSA P-384, measurements") {
            assert_eq!(played.stats.exchanges, 7);
        }
    }

    #[test]
    fn another_conversation_is_not_played() {
        let mut player = record("1.4, ECDSA P-384, measurements");
        player.config.measurements = false;
        assert!(player.play(|_, _| ()).is_err());
    }
}
