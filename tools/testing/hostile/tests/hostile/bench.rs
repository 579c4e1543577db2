// SPDX-License-Identifier: GPL-2.0

//! A requester and a device, face to face, with a clock that only they move.

use crate::anchor::{Anchor, Memory, OpensslHash};
use openssl::pkey::{PKey, Public};
use openssl::sha::sha256;
use openssl::x509::X509;
use spdm_core::{
    BaseAsym, BaseAsyms, BaseHash, BaseHashes, ChainBuffer, Config, Interrupted, OutOfMemory,
    Platform, PqcAsym, PqcAsyms, Report, Requester, ResponseBuffer, Transport, TransportError,
    Unsupported, Workspace,
};
use spdm_responder::algorithm::Asym;
use spdm_responder::config;
use spdm_responder::device::{Device, Reply};
use spdm_responder::fault::Fault;
use spdm_responder::pki::Pki;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a whole attestation may take, in microseconds.
pub const DEADLINE_US: u64 = 30_000_000;

/// No attestation may have more exchanges. An honest one has 6, and some for portions of the chain
/// (here up to 17). A device can have it started over four times, or be asked up to 255 times
/// whether a response is ready.
pub const MAX_EXCHANGES: u32 = 300;
/// The same for measurements: each index is asked for twice at most, and a response may come in chunks.
const MAX_MEASUREMENT_EXCHANGES: u32 = 2000;

/// The largest chain in bytes.
const MAX_CHAIN: usize = 0xFFFF;
/// The same with LargeCertChain.
const MAX_LARGE_CHAIN: usize = 128 << 10;

/// What an exchange takes, in microseconds, if the device does not dawdle.
const LATENCY_US: u64 = 1_000;

/// How messages are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// As `doe/` does: in dwords, with a time limit of its own of one second; what does not fit the
    /// buffer is cut off.
    Doe,
    /// Byte by byte, with the time limits of the requester.
    Bytes,
}

impl Link {
    pub const ALL: [Link; 2] = [Link::Doe, Link::Bytes];

    fn alignment(self) -> usize {
        match self {
            Link::Doe => 4,
            Link::Bytes => 1,
        }
    }
}

/// What goes over the link, for somebody on the way to change: the number of the exchange from 0,
/// and the bytes of a request or a response, padding included.
pub enum Carried<'a> {
    Request(&'a mut Vec<u8>),
    Response(&'a [u8], &'a mut Vec<u8>),
}

type Tamper = Box<dyn FnMut(usize, Carried<'_>)>;

/// What a link makes of an exchange in the end: its number, and what the requester is told.
pub type Ending =
    Box<dyn FnMut(usize, Result<usize, TransportError>) -> Result<usize, TransportError>>;

struct World {
    device: Device,
    now_us: u64,
    link: Link,
    exchanges: usize,
    tamper: Option<Tamper>,
    ending: Option<Ending>,
    nonces: u64,
}

impl World {
    fn elapse(&mut self, us: u64) {
        self.now_us += us;
        self.device.elapse(Duration::from_micros(us));
    }

    fn exchange(
        &mut self,
        request: &[u8],
        response: &mut [u8],
        timeout_us: u32,
    ) -> Result<usize, TransportError> {
        let timeout_us = match self.link {
            Link::Doe => 1_000_000,
            Link::Bytes => u64::from(timeout_us),
        };
        let number = self.exchanges;
        self.exchanges += 1;
        let mut sent = request.to_vec();
        if let Some(tamper) = &mut self.tamper {
            tamper(number, Carried::Request(&mut sent));
        }
        let answer = self.device.respond(&sent);
        let took_us = LATENCY_US + u64::try_from(answer.delay.as_micros()).unwrap();
        let mut message = match answer.reply {
            Reply::Message(message) if took_us < timeout_us => message,
            Reply::Message(_) | Reply::Silence | Reply::Hang => {
                self.elapse(timeout_us);
                return Err(TransportError::Timeout);
            }
            Reply::Close => {
                self.elapse(took_us);
                return Err(TransportError::Gone);
            }
        };
        self.elapse(took_us);
        let padding = u8::from(answer.transport.contains(&Fault::DoePadding)) * 0xA5;
        let size = message.len().next_multiple_of(self.link.alignment());
        message.resize(size, padding);
        if let Some(tamper) = &mut self.tamper {
            tamper(number, Carried::Response(request, &mut message));
            let size = message.len().next_multiple_of(self.link.alignment());
            message.resize(size, 0);
        }
        if message.len() > response.len() && self.link == Link::Bytes {
            return Err(TransportError::TooLarge);
        }
        let size = message.len().min(response.len());
        response[..size].copy_from_slice(&message[..size]);
        // What was there before must not matter.
        response[size..].fill(0xA5);
        Ok(size)
    }
}

struct Wire(Rc<RefCell<World>>);

impl Transport for Wire {
    fn max_message_size(&self) -> usize {
        4096
    }

    fn alignment(&self) -> usize {
        self.0.borrow().link.alignment()
    }

    fn round_trip_us(&self) -> u32 {
        match self.0.borrow().link {
            Link::Doe => 2_000_000,
            Link::Bytes => 100_000,
        }
    }

    fn exchange(
        &mut self,
        request: &[u8],
        response: &mut [u8],
        timeout_us: u32,
    ) -> Result<usize, TransportError> {
        let mut world = self.0.borrow_mut();
        let number = world.exchanges;
        let result = world.exchange(request, response, timeout_us);
        match &mut world.ending {
            Some(ending) => ending(number, result),
            None => result,
        }
    }
}

struct Host(Rc<RefCell<World>>);

impl Platform for Host {
    type Hash = OpensslHash;

    fn base_hashes(&self) -> BaseHashes {
        let all = BaseHash::ALL.into_iter();
        all.fold(BaseHashes::NONE, BaseHashes::with)
    }

    fn base_asyms(&self) -> BaseAsyms {
        let all = BaseAsym::ALL.into_iter();
        all.fold(BaseAsyms::NONE, BaseAsyms::with)
    }

    fn pqc_asyms(&self) -> PqcAsyms {
        let all = PqcAsym::ALL.into_iter();
        all.fold(PqcAsyms::NONE, PqcAsyms::with)
    }

    fn hash(&self, algorithm: BaseHash) -> Result<OpensslHash, Unsupported> {
        Ok(OpensslHash::new(algorithm))
    }

    fn nonce(&mut self, nonce: &mut [u8; 32]) {
        let mut world = self.0.borrow_mut();
        world.nonces += 1;
        *nonce = sha256(&world.nonces.to_le_bytes());
    }

    fn now_us(&self) -> u64 {
        self.0.borrow().now_us
    }

    fn sleep_us(&mut self, us: u64) -> Result<(), Interrupted> {
        self.0.borrow_mut().elapse(us);
        Ok(())
    }
}

/// How an attestation ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// `authenticated`, or the reason why not.
    pub verdict: String,
    /// What the requester says about it.
    pub report: Report,
    /// Exchanges that there were.
    pub exchanges: usize,
    /// Virtual time that it took, in microseconds.
    pub elapsed_us: u64,
}

/// The verdict of a device that is trusted.
pub const AUTHENTICATED: &str = "authenticated";

impl Outcome {
    pub fn is_authenticated(&self) -> bool {
        self.verdict == AUTHENTICATED
    }
}

/// Memory for responses that is as long as the requester wants it, up to a limit.
struct Buffer {
    limit: usize,
    bytes: Vec<u8>,
}

impl Buffer {
    fn new(limit: usize) -> Self {
        let bytes = Vec::new();
        Buffer { limit, bytes }
    }
}

impl ResponseBuffer for Buffer {
    fn max_len(&self) -> usize {
        self.limit
    }

    fn reserve(&mut self, len: usize) -> Result<&mut [u8], OutOfMemory> {
        assert!(len <= self.limit, "{len} bytes are too many");
        if len > self.bytes.len() {
            self.bytes.resize(len, 0);
        }
        Ok(&mut self.bytes)
    }

    fn get(&self) -> &[u8] {
        &self.bytes
    }

    fn release(&mut self) {
        self.bytes.clear();
    }
}

/// A requester and a device.
pub struct Bench {
    words: String,
    nonces: u64,
    world: Rc<RefCell<World>>,
    workspace: Workspace<OpensslHash, PKey<Public>>,
    buffer: Buffer,
    /// Whom the requester trusts.
    pub anchor: Anchor,
    memory: Memory,
    cache: bool,
    /// Whether to take measurements.
    pub measurements: bool,
}

impl Bench {
    /// A device that was told `words`, and a requester that trusts the root of each algorithm.
    pub fn new(words: &str) -> Self {
        let device = device(words);
        let roots = Asym::ALL.map(|asym| pki().root(asym).unwrap());
        Bench {
            words: words.to_owned(),
            nonces: 0,
            world: Rc::new(RefCell::new(World {
                device,
                now_us: 0,
                link: Link::Doe,
                exchanges: 0,
                tamper: None,
                ending: None,
                nonces: 0,
            })),
            workspace: Workspace::new(),
            buffer: Buffer::new(4096),
            anchor: Anchor::new(roots.map(|root| X509::from_der(&root).unwrap()).into()),
            memory: Memory::new(MAX_CHAIN),
            cache: false,
            measurements: false,
        }
    }

    /// The same with a buffer of `len` bytes.
    pub fn with_buffer(mut self, len: usize) -> Self {
        self.buffer = Buffer::new(len);
        self
    }

    /// The same for a device that may come to have LARGE_RESP_CAP.
    pub fn with_large_chains(mut self) -> Self {
        self.memory = Memory::new(MAX_LARGE_CHAIN);
        self
    }

    /// The same, whose attestations leave out what the last one has shown.
    pub fn caching(mut self) -> Self {
        self.cache = true;
        self
    }

    /// Trusts the roots of other people only.
    pub fn distrust(&mut self) {
        self.anchor = Anchor::new(Vec::new());
    }

    /// The same over another link.
    pub fn over(self, link: Link) -> Self {
        self.world.borrow_mut().link = link;
        self
    }

    /// Tells the device.
    pub fn set(&mut self, words: &str) {
        let mut world = self.world.borrow_mut();
        world.device.set(words).unwrap();
    }

    /// Does something to, or asks something of, the device.
    pub fn device<T>(&mut self, act: impl FnOnce(&mut Device) -> T) -> T {
        act(&mut self.world.borrow_mut().device)
    }

    /// The chain that was received last.
    pub fn chain(&self) -> &[u8] {
        self.memory.get()
    }

    /// Has somebody on the way see, and change, what is carried.
    pub fn tamper(&mut self, tamper: impl FnMut(usize, Carried<'_>) + 'static) {
        self.world.borrow_mut().tamper = Some(Box::new(tamper));
    }

    /// Has nobody on the way any more.
    pub fn leave_alone(&mut self) {
        self.world.borrow_mut().tamper = None;
    }

    /// Has the link end exchanges in its own way.
    pub fn end_by(&mut self, ending: Ending) {
        self.world.borrow_mut().ending = Some(ending);
    }

    /// Has other nonces be drawn, from the next [`Self::restart`] on.
    pub fn set_nonces(&mut self, nonces: u64) {
        self.nonces = nonces;
    }

    /// Begins from the start, with the same device: the same nonces will be drawn.
    pub fn restart(&mut self) {
        let mut world = self.world.borrow_mut();
        world.device = device(&self.words);
        world.tamper = None;
        world.ending = None;
        world.nonces = self.nonces;
        self.workspace = Workspace::new();
        self.memory.clear();
    }

    /// Provisions the public key of the device, which has no certificates then.
    pub fn provision(&mut self) {
        let key = self.device(|device| device.public_key()).unwrap();
        let digits = key.as_bytes().chunks(2);
        let octet = |digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        self.anchor.provision(digits.map(octet).collect());
    }

    /// Attests the device.
    ///
    /// # Panics
    ///
    /// If the bounds of time and exchanges are not kept.
    pub fn attest(&mut self) -> Outcome {
        let start_us = self.world.borrow().now_us;
        self.world.borrow_mut().exchanges = 0;
        self.anchor.checks.borrow_mut().clear();
        let mut report = Report::default();
        let result = Requester {
            transport: &mut Wire(self.world.clone()),
            platform: &mut Host(self.world.clone()),
            buffer: &mut self.buffer,
            workspace: &mut self.workspace,
            config: Config {
                deadline_us: DEADLINE_US,
                cache: self.cache,
                measurements: self.measurements,
                ..Config::default()
            },
        }
        .attest(&mut self.anchor, &mut self.memory, &mut report);
        let world = self.world.borrow();
        let outcome = Outcome {
            verdict: match result {
                Ok(_) => AUTHENTICATED.to_owned(),
                Err(error) => error.to_string(),
            },
            report,
            exchanges: world.exchanges,
            elapsed_us: world.now_us - start_us,
        };
        let limit_us = match world.link {
            // It cannot be told how long to wait.
            Link::Doe => DEADLINE_US + 1_000_000,
            Link::Bytes => DEADLINE_US,
        };
        assert!(outcome.elapsed_us <= limit_us, "{outcome:?}");
        let most = match self.measurements {
            true => MAX_EXCHANGES + MAX_MEASUREMENT_EXCHANGES,
            false => MAX_EXCHANGES,
        };
        assert!(report.stats.exchanges <= most, "{outcome:?}");
        assert_eq!(outcome.exchanges, report.stats.exchanges as usize);
        outcome
    }

    /// Attests the device as it is, which has to succeed.
    #[track_caller]
    pub fn honest(&mut self) -> Outcome {
        let outcome = self.attest();
        assert!(outcome.is_authenticated(), "{outcome:?}");
        outcome
    }
}

fn device(words: &str) -> Device {
    let config = config::Config::new(0).changed(words).unwrap();
    Device::new(pki(), config).unwrap()
}

/// Keys and certificates, which are kept between runs beside the program: making RSA keys takes
/// seconds.
pub fn pki() -> Arc<Pki> {
    static PKI: OnceLock<Arc<Pki>> = OnceLock::new();
    let open = || {
        let program = std::env::current_exe().unwrap();
        Arc::new(Pki::open(&program.with_file_name("pki")).unwrap())
    };
    PKI.get_or_init(open).clone()
}
