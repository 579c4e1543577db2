// SPDX-License-Identifier: GPL-2.0

//! The responder: one device, one connection at a time, message by message.

use crate::algorithm::{is_pqc, Asym, Hash};
use crate::chunk::{LargeRequest, LargeResponse, CHUNK_GET, CHUNK_SEND};
use crate::config::{Active, Config, Slot};
use crate::fault::{Carrier, Fault};
use crate::mctp::packet::BASELINE_UNIT;
use crate::measurement::{self, DMTF};
use crate::message::{
    u16_at, u32_at, ErrorCode, Exchange, CHALLENGE_USE, CHUNK_CAP, CONTEXT_SIZE, ERROR,
    GET_KEY_PAIR_INFO_CAP, HEADER_SIZE, LARGE_RESP_CAP, MEASUREMENT_USE, MEAS_CAP, MEAS_CAP_SIG,
    MIN_DATA_TRANSFER_SIZE, MULTI_KEY_CAP, MULTI_KEY_CONN, MULTI_KEY_ONLY, NONCE_SIZE,
    PUBLIC_KEY_SLOT, PUB_KEY_ID_CAP, RESPOND_IF_READY, SLOTS, VERSION_10, VERSION_11, VERSION_12,
    VERSION_13, VERSION_14,
};
use crate::misbehaviour::{self, Signing};
use crate::pki::{Chain, Pki};
use anyhow::{bail, Context, Result};
use openssl::rand::rand_bytes;
use serde_json::{json, Value};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Largest SPDM message in bytes: what fits into QEMU's largest data object (0x1200) after the
/// DOE header.
pub const MAX_MESSAGE: usize = 0x1200 - 8;

/// Size in bytes of a SupportedAlgorithms block without extended algorithms and structures (1.3).
pub const SUPPORTED_ALGORITHMS_SIZE: usize = 30;

/// What a device does about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It answers.
    Message(Vec<u8>),
    /// It stays silent, and listens to the next request.
    Silence,
    /// It never answers again on this connection.
    Hang,
    /// It closes the connection.
    Close,
}

/// What a device does about a request, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it does.
    pub reply: Reply,
    /// How long it takes to do that; the caller waits, if it cares.
    pub delay: Duration,
    /// Faults of the data object, or the packets, that carry the answer.
    pub transport: Vec<Fault>,
}

/// What a device counts.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Requests received.
    pub requests: u64,
    /// Responses sent, errors among them.
    pub responses: u64,
    /// ERROR responses sent.
    pub errors: u64,
    /// Bytes of requests.
    pub bytes_in: u64,
    /// Bytes of responses.
    pub bytes_out: u64,
    /// CHALLENGE_AUTH with an honest signature sent.
    pub challenges: u64,
    /// Misbehaviours played.
    pub faults: u64,
    /// Packets received, where there are packets.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Bytes received on the line, with framing.
    pub wire_in: u64,
    /// Bytes sent on the line.
    pub wire_out: u64,
    /// Requests that the standard forbids.
    pub violations: u64,
    /// What was wrong with the last one of them.
    pub last_violation: String,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Start,
    Version,
    Capabilities,
    Negotiated,
}

/// A slot while a connection lasts.
#[derive(Clone, Debug)]
enum SlotState {
    None,
    Empty,
    Chain(Arc<Chain>, Vec<u8>),
}

/// A request whose response was promised for later.
#[derive(Clone, Debug)]
struct Promise {
    exchange: Exchange,
    request: Vec<u8>,
    token: u8,
    ready_at: Instant,
}

/// What was agreed upon since GET_VERSION.
#[derive(Debug)]
struct Connection {
    phase: Phase,
    version: u8,
    /// The requester's DataTransferSize, in bytes.
    room: usize,
    /// The requester's MaxSPDMmsgSize in bytes, if both sides have CHUNK_CAP.
    max_chunked: Option<usize>,
    large_response: Option<LargeResponse>,
    large_request: Option<LargeRequest>,
    hash: Hash,
    asym: Asym,
    /// Whether there may be several keys.
    multi_key: bool,
    slots: [SlotState; SLOTS],
    /// VERSION, CAPABILITIES and ALGORITHMS pairs.
    vca: Vec<u8>,
    /// GET_MEASUREMENTS and MEASUREMENTS pairs that have yet to be signed.
    measurements: Vec<u8>,
    /// DIGESTS and CERTIFICATE pairs since GET_DIGESTS.
    certificates: Vec<u8>,
    promise: Option<Promise>,
    /// The last request and its response, unless that was ERROR.
    last: Option<(Vec<u8>, Vec<u8>)>,
    /// The ERROR pair that [`Fault::ErrorInTranscript`] will sign.
    error_pair: Option<Vec<u8>>,
}

impl Connection {
    fn new() -> Self {
        Connection {
            phase: Phase::Start,
            version: VERSION_10,
            room: MAX_MESSAGE,
            max_chunked: None,
            large_response: None,
            large_request: None,
            hash: Hash::Sha256,
            asym: Asym::EcdsaP256,
            multi_key: false,
            slots: [const { SlotState::None }; SLOTS],
            vca: Vec::new(),
            measurements: Vec::new(),
            certificates: Vec::new(),
            promise: None,
            last: None,
            error_pair: None,
        }
    }

    /// Bit mask of the slots that `which` holds for.
    fn slot_mask(&self, which: fn(&SlotState) -> bool) -> u8 {
        let bits = self.slots.iter().enumerate();
        bits.fold(0, |mask, (i, slot)| mask | (u8::from(which(slot)) << i))
    }

    fn supported_mask(&self) -> u8 {
        self.slot_mask(|slot| !matches!(slot, SlotState::None))
    }

    fn provisioned_mask(&self) -> u8 {
        self.slot_mask(|slot| matches!(slot, SlotState::Chain(..)))
    }
}

/// Why a request is answered with ERROR.
#[derive(Clone, Debug)]
struct Refusal {
    code: ErrorCode,
    data: u8,
    /// What the requester did wrong, if it did.
    violation: Option<String>,
}

fn refuse<T>(code: ErrorCode, violation: &str) -> Result<T, Refusal> {
    Err(Refusal {
        code,
        data: 0,
        violation: Some(violation.to_owned()),
    })
}

/// Makes the certificates of a configuration, so that no request waits for them.
///
/// # Errors
///
/// Fails if they cannot be made or kept.
pub fn prepare(pki: &Pki, config: &Config) -> Result<()> {
    let multi_key = if has_multi_key(config) {
        &[false, true][..]
    } else {
        &[false]
    };
    for &asym in &config.asyms {
        for (number, slot) in config.slots.iter().enumerate() {
            let &Slot::Chain(variant) = slot else {
                continue;
            };
            for &multi_key in multi_key {
                let chain = pki.chain(asym, variant, &config.identity_in(number, multi_key));
                chain.with_context(|| format!("chain {slot} for {asym}"))?;
            }
        }
    }
    Ok(())
}

/// Whether a device may have several keys.
fn has_multi_key(config: &Config) -> bool {
    flags(config) & MULTI_KEY_CAP != 0
}

/// Its flags: with CHUNK_CAP, if it is to misbehave in chunks, and with several keys, if it is to lie about those.
fn flags(config: &Config) -> u32 {
    let has = |which: fn(Fault) -> bool| config.faults.iter().any(|f| which(f.fault));
    let mut flags = config.flags;
    if has(Fault::is_chunk) {
        flags |= CHUNK_CAP;
    }
    if has(Fault::is_multi_key) && flags & MULTI_KEY_CAP == 0 {
        flags |= MULTI_KEY_ONLY | GET_KEY_PAIR_INFO_CAP;
    }
    flags
}

/// Changes a response, but for its signature, before it enters the transcript.
pub type Edit = Box<dyn FnMut(Exchange, &mut Vec<u8>) + Send>;

/// A device.
pub struct Device {
    pki: Arc<Pki>,
    defaults: Config,
    config: Config,
    connection: Connection,
    stats: Stats,
    token: u8,
    /// Handle of the last large response.
    handle: u8,
    /// The answer that [`Fault::LateAnswer`] holds back.
    late: Option<Reply>,
    /// How far its clock is ahead of the real one.
    ahead: Duration,
    edit: Option<Edit>,
    carrier: Carrier,
}

impl Device {
    /// A device whose certificates come from `pki`.
    ///
    /// # Errors
    ///
    /// Fails if its certificates cannot be made.
    pub fn new(pki: Arc<Pki>, config: Config) -> Result<Device> {
        prepare(&pki, &config)?;
        Ok(Device {
            pki,
            defaults: config.clone(),
            config,
            connection: Connection::new(),
            stats: Stats::default(),
            token: 0,
            handle: 0,
            late: None,
            ahead: Duration::ZERO,
            edit: None,
            carrier: Carrier::Doe,
        })
    }

    /// Lets `time` pass: for a caller that does not really wait.
    pub fn elapse(&mut self, time: Duration) {
        self.ahead += time;
    }

    fn now(&self) -> Instant {
        Instant::now() + self.ahead
    }

    /// Has all responses but ERROR changed before they are signed, or no longer: a device that
    /// vouches for whatever it says.
    pub fn set_edit(&mut self, edit: Option<Edit>) {
        self.edit = edit;
    }

    fn edit(&mut self, exchange: Exchange, message: &mut Vec<u8>) {
        if let Some(edit) = &mut self.edit {
            edit(exchange, message);
        }
    }

    /// Says what carries its messages: data objects, unless it is told so.
    pub fn set_carrier(&mut self, carrier: Carrier) {
        self.carrier = carrier;
    }

    /// Counts a packet that was received, of `size` bytes on the line.
    pub fn received_packet(&mut self, size: usize) {
        self.stats.packets_in += 1;
        self.stats.wire_in += size as u64;
    }

    /// Counts a packet that was sent, of `size` bytes on the line.
    pub fn sent_packet(&mut self, size: usize) {
        self.stats.packets_out += 1;
        self.stats.wire_out += size as u64;
    }

    /// Whether nothing is to be answered at all.
    pub fn is_link_silent(&mut self) -> bool {
        // It is played at VERSION, whatever the message is.
        self.play(Fault::MctpLinkSilent, Exchange::Version)
    }

    /// What it is told to be.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it counted.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Whether a negotiation is complete.
    pub fn is_negotiated(&self) -> bool {
        self.connection.phase == Phase::Negotiated
    }

    /// Counts a connection, and forgets the last one.
    pub fn connected(&mut self) {
        self.stats.connections += 1;
        self.connection = Connection::new();
        self.late = None;
    }

    /// Changes the device by `key=value` words. Faults and times count from the next request on,
    /// versions, algorithms and slots from the next negotiation on.
    ///
    /// # Errors
    ///
    /// A message for the user; then nothing was changed.
    pub fn set(&mut self, words: &str) -> Result<(), String> {
        let config = self.config.changed(words)?;
        prepare(&self.pki, &config).map_err(|e| format!("{e:#}"))?;
        self.config = config;
        Ok(())
    }

    /// Back to what it was told at start, with all counters at zero.
    pub fn reset(&mut self) {
        self.config = self.defaults.clone();
        self.stats = Stats::default();
        self.late = None;
    }

    /// The counters, and what is negotiated, as JSON.
    pub fn stats_json(&self) -> Value {
        let connection = &self.connection;
        let negotiated = connection.phase == Phase::Negotiated;
        let version = connection.version;
        json!({
            "connections": self.stats.connections,
            "requests": self.stats.requests,
            "responses": self.stats.responses,
            "errors": self.stats.errors,
            "bytes_in": self.stats.bytes_in,
            "bytes_out": self.stats.bytes_out,
            "challenges": self.stats.challenges,
            "faults": self.stats.faults,
            "packets_in": self.stats.packets_in,
            "packets_out": self.stats.packets_out,
            "wire_in": self.stats.wire_in,
            "wire_out": self.stats.wire_out,
            "violations": self.stats.violations,
            "last_violation": self.stats.last_violation,
            "version": negotiated.then(|| format!("{}.{}", version >> 4, version & 0xF)),
            "hash": negotiated.then(|| connection.hash.name()),
            "asym": negotiated.then(|| connection.asym.name()),
        })
    }

    /// The SubjectPublicKeyInfo of the key in slot 0, in hexadecimal digits.
    ///
    /// # Errors
    ///
    /// Fails if there is no chain in it or OpenSSL fails.
    pub fn public_key(&self) -> Result<String> {
        let (Slot::Chain(variant), Some(&asym)) = (self.config.slots[0], self.config.asyms.first())
        else {
            bail!("slot 0 has no chain");
        };
        let chain = self.pki.chain(asym, variant, &self.config.identity())?;
        let der = chain.key.public_key_to_der()?;
        Ok(crate::message::hex(&der))
    }

    /// Answers one request.
    pub fn respond(&mut self, request: &[u8]) -> Answer {
        self.stats.requests += 1;
        self.stats.bytes_in += request.len() as u64;
        let exchange = request.get(1).and_then(|&code| match code {
            RESPOND_IF_READY => self.connection.promise.as_ref().map(|p| p.exchange),
            code => Exchange::from_request_code(code),
        });
        let mut reply = match self.known(request) {
            Some(response) => Reply::Message(response),
            None => self.reply(request),
        };
        self.connection.last = match &reply {
            Reply::Message(response) if response.get(1) != Some(&ERROR) => {
                Some((request.to_vec(), response.clone()))
            }
            _ => None,
        };
        let mut transport = Vec::new();
        if let Some(exchange) = exchange {
            if let Some(late) = self.late.take() {
                reply = late;
            } else if self.play(Fault::LateAnswer, exchange) {
                self.late = Some(mem::replace(&mut reply, Reply::Silence));
            }
            transport = self.transport_faults(exchange, &reply);
        }
        if let Reply::Message(message) = &reply {
            self.stats.responses += 1;
            self.stats.bytes_out += message.len() as u64;
            if message.get(1) == Some(&ERROR) {
                self.stats.errors += 1;
            }
        }
        Answer {
            reply,
            delay: self.config.delay,
            transport,
        }
    }

    /// The response to a request that is sent again: the same (DSP0274, "General ordering rules").
    fn known(&self, request: &[u8]) -> Option<Vec<u8>> {
        let may_be_lost = self.carrier == Carrier::Mctp && self.config.knows_retries;
        // GET_VERSION begins something new each time.
        let is_version = request.get(1) == Some(&Exchange::Version.request_code());
        let (last, response) = self.connection.last.as_ref()?;
        (may_be_lost && !is_version && last == request).then(|| response.clone())
    }

    /// Whether DOE discovery is to be answered without end.
    pub fn discovery_cycle(&mut self) -> bool {
        self.play(Fault::DiscoveryCycle, Exchange::Version)
    }

    /// Plays `fault` if it is switched on and due.
    fn play(&mut self, fault: Fault, exchange: Exchange) -> bool {
        self.play_if(exchange, |active| active.fault == fault)
    }

    /// Offers every fault that is due to `act`; those it plays are counted. Whether there was one.
    fn play_if(&mut self, exchange: Exchange, mut act: impl FnMut(&Active) -> bool) -> bool {
        let version = self.connection.version;
        let mut any = false;
        for active in &mut self.config.faults {
            if active.is_due(exchange, version) && act(active) {
                if let Some(remaining) = &mut active.remaining {
                    *remaining -= 1;
                }
                self.stats.faults += 1;
                any = true;
            }
        }
        any
    }

    fn transport_faults(&mut self, exchange: Exchange, reply: &Reply) -> Vec<Fault> {
        let mut faults = Vec::new();
        let Reply::Message(message) = reply else {
            return faults;
        };
        let padded = message.len() % 4 != 0;
        let several = message.len() >= BASELINE_UNIT;
        let carrier = self.carrier;
        self.play_if(exchange, |active| {
            let plays = active.fault.carrier() == Some(carrier)
                && active.fault != Fault::DiscoveryCycle
                && (active.fault != Fault::DoePadding || padded)
                && (several || !active.fault.needs_packets());
            if plays {
                faults.push(active.fault);
            }
            plays
        });
        faults
    }

    fn violation(&mut self, what: &str) {
        self.stats.violations += 1;
        self.stats.last_violation = what.to_owned();
    }

    fn error(&self, code: u8, data: u8, extended: &[u8]) -> Vec<u8> {
        let mut message = vec![self.connection.version, ERROR, code, data];
        message.extend(extended);
        message
    }

    fn reply(&mut self, request: &[u8]) -> Reply {
        let &[_, code, param1, _, ..] = request else {
            self.violation("a request shorter than a header");
            return Reply::Message(self.error(ErrorCode::InvalidRequest as u8, 0, &[]));
        };
        if code == RESPOND_IF_READY {
            return self.respond_if_ready(request, param1);
        }
        self.connection.promise = None;
        if self.connection.max_chunked.is_some() {
            match code {
                CHUNK_GET => return self.chunk_get(request),
                CHUNK_SEND => return self.chunk_send(request),
                _ => {}
            }
        }
        // Another request ends the transfer of a large message.
        self.connection.large_response = None;
        self.connection.large_request = None;
        let Some(exchange) = Exchange::from_request_code(code) else {
            let code_of_error = ErrorCode::UnsupportedRequest as u8;
            return Reply::Message(self.error(code_of_error, code, &[]));
        };
        if exchange == Exchange::Version {
            // It clears all state even if it is not answered (DSP0274, "GET_VERSION request").
            self.connection = Connection::new();
        }
        if exchange == Exchange::Capabilities
            && self.connection.phase == Phase::Version
            && self.config.versions.contains(&request[0])
        {
            // The requester's choice: an ERROR in answer has that version as well.
            self.connection.version = request[0];
        }
        if let Some(reply) = self.instead(exchange, request) {
            return reply;
        }
        self.process(exchange, request)
    }

    fn process(&mut self, exchange: Exchange, request: &[u8]) -> Reply {
        if exchange != Exchange::Measurements {
            self.connection.measurements.clear();
        }
        let result = self
            .check_version(exchange, request)
            .and_then(|()| match exchange {
                Exchange::Version => self.version(request),
                Exchange::Capabilities => self.capabilities(request),
                Exchange::Algorithms => self.algorithms(request),
                Exchange::Digests => self.digests(request),
                Exchange::Certificate => self.certificate(request),
                Exchange::Challenge => self.challenge(request),
                Exchange::Measurements => self.measurements(request),
            });
        match result {
            Ok(message) => Reply::Message(self.whole_or_large(exchange, message)),
            Err(refusal) => {
                if self.connection.version >= VERSION_12 {
                    self.connection.measurements.clear();
                }
                if let Some(what) = &refusal.violation {
                    self.violation(&format!("{}: {what}", exchange.request_name()));
                }
                Reply::Message(self.error(refusal.code as u8, refusal.data, &[]))
            }
        }
    }

    /// Largest message in bytes that is sent at once.
    fn transmit_size(&self) -> usize {
        self.connection.room.min(self.transfer())
    }

    /// Its DataTransferSize in bytes: little, if it is to misbehave in chunks and was not told.
    fn transfer(&self) -> usize {
        let has = |which: fn(Fault) -> bool| self.config.faults.iter().any(|f| which(f.fault));
        match self.config.transfer as usize {
            MAX_MESSAGE if has(Fault::is_chunk_ack) => MIN_DATA_TRANSFER_SIZE as usize,
            MAX_MESSAGE if has(Fault::is_chunk) => 64,
            transfer => transfer,
        }
    }

    fn flags(&self) -> u32 {
        flags(&self.config)
    }

    /// The message itself, or ERROR LargeResponse if it has to be fetched in chunks.
    fn whole_or_large(&mut self, exchange: Exchange, message: Vec<u8>) -> Vec<u8> {
        let is_large = message.len() > self.transmit_size() && exchange != Exchange::Version;
        if !is_large || self.connection.max_chunked.is_none() {
            return message;
        }
        self.handle = self.handle.wrapping_add(1);
        let mut large = LargeResponse::new(exchange, self.handle, message);
        self.play_if(exchange, |active| large.change_whole(active));
        self.connection.large_response = Some(large);
        self.error(ErrorCode::LargeResponse as u8, 0, &[self.handle])
    }

    /// CHUNK_GET (DSP0274, "CHUNK_GET request and CHUNK_RESPONSE response").
    fn chunk_get(&mut self, request: &[u8]) -> Reply {
        self.connection.large_request = None;
        let version = self.connection.version;
        let room = self.transmit_size();
        let Some(mut large) = self.connection.large_response.take() else {
            self.violation("CHUNK_GET without LargeResponse");
            return Reply::Message(self.error(ErrorCode::UnexpectedRequest as u8, 0, &[]));
        };
        if let Err(what) = large.check(version, request) {
            self.violation(&format!("CHUNK_GET: {what}"));
            return Reply::Message(self.error(ErrorCode::InvalidRequest as u8, 0, &[]));
        }
        let mut response = large.next(version, room);
        self.play_if(large.exchange, |active| {
            large.change(active, version, &mut response)
        });
        if !large.is_complete() {
            self.connection.large_response = Some(large);
        }
        Reply::Message(response)
    }

    /// CHUNK_SEND (DSP0274, "CHUNK_SEND request and CHUNK_SEND_ACK response").
    fn chunk_send(&mut self, request: &[u8]) -> Reply {
        self.connection.large_response = None;
        let version = self.connection.version;
        let begun = self.connection.large_request.take();
        let (large, last) = match LargeRequest::take(begun, version, request) {
            Ok(taken) => taken,
            Err(what) => {
                self.violation(&format!("CHUNK_SEND: {what}"));
                return Reply::Message(self.error(ErrorCode::InvalidRequest as u8, 0, &[]));
            }
        };
        let mut response = Vec::new();
        if last {
            match large.message().get(1) {
                Some(&(CHUNK_SEND | CHUNK_GET)) => {
                    self.violation("CHUNK_SEND: chunks in chunks");
                    return Reply::Message(self.error(ErrorCode::InvalidRequest as u8, 0, &[]));
                }
                _ => match self.reply(large.message()) {
                    Reply::Message(message) => response = message,
                    other => return other,
                },
            }
        }
        let mut ack = large.acknowledge(version, &response);
        if let Some(exchange) = large.exchange() {
            self.play_if(exchange, |active| large.change(active, version, &mut ack));
            if ack.len() > self.transmit_size() {
                return Reply::Message(self.whole_or_large(exchange, response));
            }
        }
        if !last {
            self.connection.large_request = Some(large);
        }
        Reply::Message(ack)
    }

    /// The faults that are played instead of looking at the request.
    fn instead(&mut self, exchange: Exchange, request: &[u8]) -> Option<Reply> {
        let mut fault = None;
        let signs_error = self.connection.error_pair.is_some();
        self.play_if(exchange, |active| {
            let plays = fault.is_none()
                && misbehaviour::is_instead(active.fault)
                // Busy only the first time: then it is honest until it signs.
                && !(active.fault == Fault::ErrorInTranscript && signs_error);
            if plays {
                fault = Some(active.fault);
            }
            plays
        });
        let fault = fault?;
        let code = exchange.request_code();
        let (exponent, multiplier) = (self.config.rd_exponent, self.config.rd_multiplier);
        let not_ready = ErrorCode::ResponseNotReady as u8;
        let token = match &self.connection.promise {
            // The same promise again.
            Some(promise) if fault != Fault::NotReadyToken => promise.token,
            _ => {
                self.token = self.token.wrapping_add(1);
                self.token
            }
        };
        let message = match fault {
            Fault::Silence => return Some(Reply::Silence),
            Fault::Hang => return Some(Reply::Hang),
            Fault::Close => return Some(Reply::Close),
            Fault::Busy | Fault::BusyForever => self.error(ErrorCode::Busy as u8, 0, &[]),
            Fault::ErrorInTranscript => {
                let error = self.error(ErrorCode::Busy as u8, 0, &[]);
                self.connection.error_pair = Some([request, &error].concat());
                error
            }
            Fault::NotReady | Fault::NotReadyForever | Fault::NotReadyToken => {
                self.promise(exchange, request, token);
                self.error(not_ready, 0, &[exponent, code, token, multiplier])
            }
            Fault::NotReadyVersion => {
                self.error(not_ready, 0, &[exponent, code, token, multiplier])
            }
            Fault::NotReadyExponent => self.error(not_ready, 0, &[255, code, token, multiplier]),
            Fault::NotReadyMultiplier0 | Fault::NotReadyMultiplier1 => {
                // Otherwise honest: the answer is there when it is asked for.
                self.promise(exchange, request, token);
                let multiplier = u8::from(fault == Fault::NotReadyMultiplier1);
                self.error(not_ready, 0, &[exponent, code, token, multiplier])
            }
            Fault::NotReadyCode => {
                self.promise(exchange, request, token);
                let other = Exchange::Digests.request_code();
                let other = if code == other { code + 1 } else { other };
                self.error(not_ready, 0, &[exponent, other, token, multiplier])
            }
            Fault::NotReadyShort => self.error(not_ready, 0, &[]),
            Fault::NotReadyLong => {
                self.promise(exchange, request, token);
                let mut extended = vec![exponent, code, token, multiplier];
                extended.resize(64, 0);
                self.error(not_ready, 0, &extended)
            }
            Fault::Resynch | Fault::ResynchForever => {
                let error = self.error(ErrorCode::RequestResynch as u8, 0, &[]);
                self.connection = Connection::new();
                error
            }
            Fault::ErrorVersion => {
                let mut error = self.error(ErrorCode::Busy as u8, 0, &[]);
                error[0] = misbehaviour::another_version(error[0]);
                error
            }
            Fault::UnknownError => self.error(0x3F, 0, &[]),
            Fault::ErrorZero => self.error(0, 0, &[]),
            Fault::ErrorShort => {
                let mut error = self.error(ErrorCode::Unspecified as u8, 0, &[]);
                error.truncate(3);
                error
            }
            Fault::InvalidRequest => self.error(ErrorCode::InvalidRequest as u8, 0, &[]),
            Fault::UnexpectedRequest => self.error(ErrorCode::UnexpectedRequest as u8, 0, &[]),
            Fault::Unspecified => self.error(ErrorCode::Unspecified as u8, 0, &[]),
            Fault::UnsupportedRequest => self.error(ErrorCode::UnsupportedRequest as u8, code, &[]),
            Fault::VersionMismatch => self.error(ErrorCode::VersionMismatch as u8, 0, &[]),
            Fault::LargeResponse => self.error(ErrorCode::LargeResponse as u8, 0, &[1]),
            _ => return None,
        };
        Some(Reply::Message(message))
    }

    fn promise(&mut self, exchange: Exchange, request: &[u8], token: u8) {
        let exponent = u32::from(self.config.rd_exponent.min(30));
        self.connection.promise = Some(Promise {
            exchange,
            request: request.to_vec(),
            token,
            ready_at: self.now() + Duration::from_micros(1 << exponent),
        });
    }

    /// RESPOND_IF_READY (DSP0274, "RESPOND_IF_READY request").
    fn respond_if_ready(&mut self, request: &[u8], code: u8) -> Reply {
        let Some(promise) = self.connection.promise.clone() else {
            self.violation("RESPOND_IF_READY without ResponseNotReady");
            return Reply::Message(self.error(ErrorCode::UnexpectedRequest as u8, 0, &[]));
        };
        if request[0] != self.connection.version {
            self.violation("RESPOND_IF_READY: another version");
            return Reply::Message(self.error(ErrorCode::VersionMismatch as u8, 0, &[]));
        }
        if request.len() != HEADER_SIZE
            || code != promise.exchange.request_code()
            || request[3] != promise.token
        {
            self.violation("RESPOND_IF_READY: another request code, token or size");
            return Reply::Message(self.error(ErrorCode::InvalidRequest as u8, 0, &[]));
        }
        if self.now() < promise.ready_at {
            self.violation("RESPOND_IF_READY: before 2^RDTExponent microseconds have passed");
        }
        // With times=n it takes n questions; other faults may be played here as well.
        if let Some(reply) = self.instead(promise.exchange, &promise.request) {
            return reply;
        }
        self.connection.promise = None;
        self.process(promise.exchange, &promise.request)
    }

    /// The version in the header, and whether the request is in order.
    fn check_version(&self, exchange: Exchange, request: &[u8]) -> Result<(), Refusal> {
        let connection = &self.connection;
        let version = request[0];
        let (fits, phase) = match exchange {
            Exchange::Version => (version == VERSION_10, Phase::Start),
            Exchange::Capabilities => (self.config.versions.contains(&version), Phase::Version),
            Exchange::Algorithms => (version == connection.version, Phase::Capabilities),
            _ => (version == connection.version, Phase::Negotiated),
        };
        if connection.phase != phase {
            return refuse(ErrorCode::UnexpectedRequest, "out of order");
        }
        if !fits {
            return refuse(ErrorCode::VersionMismatch, "version in the header");
        }
        Ok(())
    }

    /// Lets the faults of a device change a response, puts it into the transcript, and lets those
    /// of somebody on the way change it once more.
    fn finish(&mut self, exchange: Exchange, request: &[u8], mut message: Vec<u8>) -> Vec<u8> {
        let mut seen = request.to_vec();
        self.play_if(exchange, |active| {
            misbehaviour::change(active, exchange, request, &mut message)
        });
        self.edit(exchange, &mut message);
        let mut sent = message.clone();
        self.play_if(exchange, |active| {
            misbehaviour::change_on_the_way(active, exchange, &mut seen, &mut sent)
        });
        let transcript = match exchange {
            Exchange::Version | Exchange::Capabilities | Exchange::Algorithms => {
                &mut self.connection.vca
            }
            _ => &mut self.connection.certificates,
        };
        transcript.extend(seen);
        transcript.extend(message);
        sent
    }

    fn version(&mut self, request: &[u8]) -> Result<Vec<u8>, Refusal> {
        if request.len() != HEADER_SIZE {
            return refuse(ErrorCode::InvalidRequest, "size");
        }
        self.check_reserved(Exchange::Version, &request[2..4]);
        let mut message = vec![VERSION_10, Exchange::Version.response_code(), 0, 0, 0];
        // CAST: there are only five.
        message.push(self.config.versions.len() as u8);
        for &version in &self.config.versions {
            message.extend([0, version]);
        }
        self.connection.phase = Phase::Version;
        Ok(self.finish(Exchange::Version, request, message))
    }

    /// Whether the key of a slot is for this use, where there are several.
    fn check_use(&self, slot: usize, wanted: u16) -> Result<(), Refusal> {
        if self.connection.multi_key && self.config.keys[slot].uses & wanted == 0 {
            return refuse(
                ErrorCode::InvalidRequest,
                "a slot whose key is for other uses",
            );
        }
        Ok(())
    }

    fn check_reserved(&mut self, exchange: Exchange, bytes: &[u8]) {
        if bytes.iter().any(|&byte| byte != 0) {
            let what = format!("{}: a reserved field is not zero", exchange.request_name());
            self.violation(&what);
        }
    }

    fn capabilities(&mut self, request: &[u8]) -> Result<Vec<u8>, Refusal> {
        let version = request[0];
        let size = match version {
            VERSION_10 => 4,
            VERSION_11 => 12,
            _ => 20,
        };
        if request.len() != size {
            return refuse(ErrorCode::InvalidRequest, "size");
        }
        let mut room = MAX_MESSAGE;
        let mut flags = 0;
        let asks_algorithms = version >= VERSION_13 && request[2] & 1 != 0;
        self.check_reserved(Exchange::Capabilities, &[request[3], request[2] & !1]);
        if let Some(asked) = u32_at(request, 8) {
            flags = asked;
            self.check_reserved(
                Exchange::Capabilities,
                &[request[4], request[6], request[7]],
            );
            if request[5] > 31 {
                return refuse(ErrorCode::InvalidRequest, "CTExponent above 31");
            }
        }
        if let (Some(transfer), Some(max)) = (u32_at(request, 12), u32_at(request, 16)) {
            if transfer < MIN_DATA_TRANSFER_SIZE || max < transfer {
                return refuse(ErrorCode::InvalidRequest, "DataTransferSize");
            }
            if flags & CHUNK_CAP == 0 && max != transfer {
                return refuse(
                    ErrorCode::InvalidRequest,
                    "DataTransferSize is not MaxSPDMmsgSize and there is no CHUNK_CAP",
                );
            }
            room = room.min(transfer as usize);
            if flags & self.flags() & CHUNK_CAP != 0 {
                self.connection.max_chunked = Some(max as usize);
            }
        }
        if asks_algorithms && flags & CHUNK_CAP == 0 {
            return refuse(
                ErrorCode::InvalidRequest,
                "SupportedAlgorithms without CHUNK_CAP",
            );
        }
        self.connection.room = room;

        let mut message = vec![version, Exchange::Capabilities.response_code(), 0, 0];
        message.extend([0, self.config.ct_exponent, 0, 0]);
        message.extend(self.flags().to_le_bytes());
        if version >= VERSION_12 {
            // CAST: at most MAX_MESSAGE.
            let transfer = self.transfer() as u32;
            let chunks = self.flags() & CHUNK_CAP != 0;
            let max = if chunks { MAX_MESSAGE as u32 } else { transfer };
            message.extend(transfer.to_le_bytes());
            message.extend(max.to_le_bytes());
        }
        // The block of algorithms is sent only if both sides have CHUNK_CAP.
        if asks_algorithms && self.flags() & CHUNK_CAP != 0 {
            message[2] = 1;
            message.extend(self.supported_algorithms());
        }
        self.connection.phase = Phase::Capabilities;
        Ok(self.finish(Exchange::Capabilities, request, message))
    }

    /// The SupportedAlgorithms block of CAPABILITIES (1.3).
    fn supported_algorithms(&self) -> Vec<u8> {
        let mut block = vec![0, 0, SUPPORTED_ALGORITHMS_SIZE as u8, 0, 0, 0];
        let bits = |pqc| {
            let asyms = self.config.asyms.iter();
            let asyms = asyms.filter(|a| a.pqc().is_some() == pqc);
            asyms.fold(0, |bits, a| bits | a.bit())
        };
        let hashes = self.config.hashes.iter().fold(0, |bits, h| bits | h.bit());
        block.extend(bits(false).to_le_bytes());
        block.extend(hashes.to_le_bytes());
        if self.connection.version >= VERSION_14 {
            block.extend(bits(true).to_le_bytes());
        }
        block.resize(SUPPORTED_ALGORITHMS_SIZE, 0);
        block
    }

    fn algorithms(&mut self, request: &[u8]) -> Result<Vec<u8>, Refusal> {
        let version = self.connection.version;
        let wrong = |what| refuse(ErrorCode::InvalidRequest, what);
        let (Some(length), Some(asyms), Some(hashes)) =
            (u16_at(request, 4), u32_at(request, 8), u32_at(request, 12))
        else {
            return wrong("size");
        };
        if request.len() < 32 || usize::from(length) != request.len() {
            return wrong("Length");
        }
        if request.len() > if version == VERSION_10 { 64 } else { 128 } {
            return wrong("Length above its limit");
        }
        self.check_reserved(Exchange::Algorithms, &request[3..4]);
        let reserved = if version < VERSION_14 { 16 } else { 20 };
        self.check_reserved(Exchange::Algorithms, &request[reserved..28]);
        if version < VERSION_11 {
            self.check_reserved(Exchange::Algorithms, &request[2..3]);
        }
        if version < VERSION_12 {
            self.check_reserved(Exchange::Algorithms, &request[7..8]);
        }
        let asks_multi_key = version >= VERSION_13 && request[7] & MULTI_KEY_CONN != 0;
        match self.flags() & MULTI_KEY_CAP {
            0 if asks_multi_key => return wrong("ResponderMultiKeyConn without MULTI_KEY_CAP"),
            MULTI_KEY_ONLY if version >= VERSION_13 && !asks_multi_key => {
                return wrong("no ResponderMultiKeyConn, and MULTI_KEY_CAP leaves no choice");
            }
            _ => self.connection.multi_key = asks_multi_key,
        }
        let extended = usize::from(request[28]) + usize::from(request[29]);
        let Some(mut tables) = request.get(32 + 4 * extended..) else {
            return wrong("extended algorithms past the end");
        };
        // Of each structure that was asked for there is one in the response, with nothing
        // selected: this responder has no sessions.
        let mut answers = Vec::new();
        let kinds = if version < VERSION_14 { 2..=5 } else { 2..=7 };
        if version >= VERSION_11 {
            let mut last = 1;
            for _ in 0..request[2] {
                let [kind, count, _, _, rest @ ..] = tables else {
                    return wrong("an algorithm structure past the end");
                };
                let Some(rest) = rest.get(4 * usize::from(count & 0xF)..) else {
                    return wrong("an algorithm structure past the end");
                };
                if count >> 4 != 2 || !kinds.contains(kind) || *kind <= last {
                    return wrong("algorithm structures");
                }
                last = *kind;
                tables = rest;
                answers.extend([*kind, 0x20, 0, 0]);
            }
        }
        if !tables.is_empty() {
            return wrong("bytes after the last algorithm structure");
        }

        let hash = self.config.hashes.iter().find(|h| h.bit() & hashes != 0);
        let pqc_asyms = match version {
            VERSION_14.. => u32_at(request, 16).unwrap_or_default(),
            _ => 0,
        };
        let offered = |asym: &&Asym| match asym.pqc() {
            Some(_) => asym.bit() & pqc_asyms != 0,
            None => asym.bit() & asyms != 0,
        };
        let asym = self.config.asyms.iter().find(offered);
        let (Some(&hash), Some(&asym)) = (hash, asym) else {
            // No fault of the requester's.
            return Err(Refusal {
                code: ErrorCode::InvalidRequest,
                data: 0,
                violation: None,
            });
        };
        self.connection.hash = hash;
        self.connection.asym = asym;
        let multi_key = self.connection.multi_key;
        let slots = self.connection.slots.iter_mut().zip(self.config.slots);
        for (number, (state, slot)) in slots.enumerate() {
            *state = match slot {
                Slot::None => SlotState::None,
                Slot::Empty => SlotState::Empty,
                Slot::Chain(variant) => {
                    let identity = self.config.identity_in(number, multi_key);
                    let chain = self.pki.chain(asym, variant, &identity);
                    let bytes = chain.and_then(|c| Ok((c.to_spdm(hash)?, c)));
                    match bytes {
                        Ok((bytes, chain)) => SlotState::Chain(chain, bytes),
                        Err(_) => {
                            return Err(Refusal {
                                code: ErrorCode::Unspecified,
                                data: 0,
                                violation: None,
                            })
                        }
                    }
                }
            };
        }

        // OpaqueDataFmt1 if offered, else OpaqueDataFmt0 (1.2).
        let formats = if version >= VERSION_12 {
            request[7] & 3
        } else {
            0
        };
        let format = if formats & 2 != 0 { 2 } else { formats };
        // CAST: at most four structures.
        let tables = (answers.len() / 4) as u8;
        let length = 36 + answers.len() as u16;
        let mut message = vec![version, Exchange::Algorithms.response_code(), tables, 0];
        message.extend(length.to_le_bytes());
        if self.config.flags & MEAS_CAP != 0 && request[6] & DMTF != 0 {
            message.extend([DMTF, format]);
            // MeasurementHashAlgo has a bit for raw bit streams before the others.
            message.extend((hash.bit() << 1).to_le_bytes());
        } else {
            message.extend([0, format, 0, 0, 0, 0]);
        }
        let is_pqc = asym.pqc().is_some();
        message.extend(if is_pqc { 0 } else { asym.bit() }.to_le_bytes());
        message.extend(hash.bit().to_le_bytes());
        message.extend(if is_pqc { asym.bit() } else { 0 }.to_le_bytes());
        message.resize(36, 0);
        message.extend(answers);
        self.connection.phase = Phase::Negotiated;
        Ok(self.finish(Exchange::Algorithms, request, message))
    }

    fn digests(&mut self, request: &[u8]) -> Result<Vec<u8>, Refusal> {
        if request.len() != HEADER_SIZE {
            return refuse(ErrorCode::InvalidRequest, "size");
        }
        self.check_reserved(Exchange::Digests, &request[2..4]);
        let connection = &mut self.connection;
        // GET_DIGESTS begins the part of the transcript with the certificates anew.
        connection.certificates.clear();
        let supported = match connection.version {
            VERSION_13.. => connection.supported_mask(),
            _ => 0,
        };
        let code = Exchange::Digests.response_code();
        let provisioned = connection.provisioned_mask();
        let mut message = vec![connection.version, code, supported, provisioned];
        let unspecified = Refusal {
            code: ErrorCode::Unspecified,
            data: 0,
            violation: None,
        };
        if provisioned == 0 {
            return Err(unspecified);
        }
        for slot in &connection.slots {
            if let SlotState::Chain(_, bytes) = slot {
                let digest = connection.hash.digest(bytes);
                message.extend(digest.map_err(|_| unspecified.clone())?);
            }
        }
        if connection.multi_key {
            let keys = self.config.keys.iter().zip(&connection.slots);
            let keys = keys.filter(|(_, slot)| matches!(slot, SlotState::Chain(..)));
            let keys: Vec<_> = keys.map(|(key, _)| *key).collect();
            message.extend(keys.iter().map(|key| key.pair));
            message.extend(keys.iter().map(|key| key.model));
            message.extend(keys.iter().flat_map(|key| key.uses.to_le_bytes()));
        }
        Ok(self.finish(Exchange::Digests, request, message))
    }

    fn certificate(&mut self, request: &[u8]) -> Result<Vec<u8>, Refusal> {
        let version = self.connection.version;
        let large = version >= VERSION_14 && request.get(2).is_some_and(|param| param & 0x80 != 0);
        let fields = if large {
            (u32_at(request, 8), u32_at(request, 12))
        } else {
            (
                u16_at(request, 4).map(u32::from),
                u16_at(request, 6).map(u32::from),
            )
        };
        let (Some(offset), Some(length)) = fields else {
            return refuse(ErrorCode::InvalidRequest, "size");
        };
        // Before the chain in the response; and the request has the same size.
        let head = if large { 16 } else { 8 };
        if request.len() != head {
            return refuse(ErrorCode::InvalidRequest, "size");
        }
        if large {
            if self.config.flags & LARGE_RESP_CAP == 0 {
                return refuse(
                    ErrorCode::InvalidRequest,
                    "LargeCertChain without LARGE_RESP_CAP",
                );
            }
            self.check_reserved(Exchange::Certificate, &request[4..8]);
        }
        let asks_size = version >= VERSION_13 && request[3] & 1 != 0;
        let reserved = if version >= VERSION_13 { !1 } else { !0 };
        self.check_reserved(
            Exchange::Certificate,
            &[
                request[2] & if large { 0x70 } else { 0xF0 },
                request[3] & reserved,
            ],
        );
        let slot = usize::from(request[2] & 0xF);
        let Some(SlotState::Chain(_, chain)) = self.connection.slots.get(slot) else {
            return refuse(ErrorCode::InvalidRequest, "a slot without a chain");
        };
        let chain = chain.clone();
        let (offset, mut length) = (offset as usize, length as usize);
        let endless = self
            .config
            .faults
            .iter()
            .any(|a| a.fault == Fault::EndlessRemainder);
        if asks_size {
            length = 0;
        } else if length == 0 {
            return refuse(ErrorCode::InvalidRequest, "Length 0");
        } else if offset >= chain.len() && !endless {
            return refuse(ErrorCode::InvalidRequest, "Offset past the end");
        }
        if self.config.portion != 0 {
            length = length.min(usize::from(self.config.portion));
        }
        let room = self.connection.max_chunked.unwrap_or(self.connection.room);
        length = length.min(room - head);
        let rest = chain.get(offset..).unwrap_or_default();
        let (portion, remainder) = rest.split_at(length.min(rest.len()));
        let (portion, remainder) = if asks_size {
            (portion, chain.len())
        } else {
            (portion, remainder.len())
        };
        let code = Exchange::Certificate.response_code();
        let info = match self.connection.multi_key {
            true => self.config.keys[slot].model,
            false => 0,
        };
        let mut message = vec![version, code, request[2] & 0x8F, info];
        // CAST: a chain is at most 65535 bytes.
        if large {
            message.extend([0; 4]);
            message.extend((portion.len() as u32).to_le_bytes());
            message.extend((remainder as u32).to_le_bytes());
        } else {
            message[2] &= 0x0F;
            message.extend((portion.len() as u16).to_le_bytes());
            message.extend((remainder as u16).to_le_bytes());
        }
        message.extend(portion);
        Ok(self.finish(Exchange::Certificate, request, message))
    }

    fn challenge(&mut self, request: &[u8]) -> Result<Vec<u8>, Refusal> {
        let version = self.connection.version;
        let nonce_end = HEADER_SIZE + NONCE_SIZE;
        let size = match version {
            VERSION_13.. => nonce_end + CONTEXT_SIZE,
            _ => nonce_end,
        };
        if request.len() != size {
            return refuse(ErrorCode::InvalidRequest, "size");
        }
        // Without certificates, it has the key of those that it would have.
        let without = self.config.flags & PUB_KEY_ID_CAP != 0 && request[2] == PUBLIC_KEY_SLOT;
        let slot = if without { 0 } else { usize::from(request[2]) };
        let Some(SlotState::Chain(chain, bytes)) = self.connection.slots.get(slot).cloned() else {
            return refuse(ErrorCode::InvalidRequest, "a slot without a chain");
        };
        if request[3] != 0 {
            return refuse(
                ErrorCode::InvalidRequest,
                "a measurement summary without MEAS_CAP",
            );
        }
        if !without {
            self.check_use(slot, CHALLENGE_USE)?;
        }
        let failed = |_| Refusal {
            code: ErrorCode::Unspecified,
            data: 0,
            violation: None,
        };
        let hash = self.connection.hash;
        let code = Exchange::Challenge.response_code();
        let (slot, mask, bytes) = if without {
            let key = chain.key.public_key_to_der();
            (0x0F, 0, key.map_err(failed)?)
        } else {
            (request[2], self.connection.provisioned_mask(), bytes)
        };
        let mut message = vec![version, code, slot, mask];
        message.extend(hash.digest(&bytes).map_err(failed)?);
        let mut nonce = [0; NONCE_SIZE];
        rand_bytes(&mut nonce).map_err(failed)?;
        message.extend(nonce);
        let opaque = opaque_data(version, self.config.opaque);
        // CAST: limited by the configuration.
        message.extend((opaque.len() as u16).to_le_bytes());
        message.extend(opaque);
        message.extend(&request[nonce_end..]);

        let mut signing = Signing {
            version,
            hash,
            context: misbehaviour::RESPONDER_CHALLENGE,
            is_pqc: is_pqc(&chain.key),
            padding: (self.connection.asym.rsa_padding(), None),
            context_string: None,
            vca: self.connection.vca.clone(),
            certificates: self.connection.certificates.clone(),
            request: request.to_vec(),
            message: Vec::new(),
        };
        let before = self.stats.faults;
        let error_pair = self.connection.error_pair.take();
        let signs_error = error_pair.is_some();
        signing.certificates.extend(error_pair.unwrap_or_default());
        self.play_if(Exchange::Challenge, |active| {
            misbehaviour::change_challenge(active, &mut message, hash)
        });
        self.edit(Exchange::Challenge, &mut message);
        signing.message.clone_from(&message);
        self.play_if(Exchange::Challenge, |active| {
            misbehaviour::change_signing(active, &mut signing)
        });
        let mut signature = signing.sign(&chain.key).map_err(failed)?;
        // A key of another kind than negotiated: at least the size is right.
        signature.resize(self.connection.asym.signature_size(), 0);
        self.play_if(Exchange::Challenge, |active| {
            misbehaviour::change_signature(active, &chain.key, &mut signature)
        });
        message.extend(signature);
        self.play_if(Exchange::Challenge, |active| {
            misbehaviour::change_any(active, Exchange::Challenge, &mut message)
        });
        if self.stats.faults == before && !signs_error {
            self.stats.challenges += 1;
        }
        // The transcript ends here (DSP0274, "CHALLENGE request and CHALLENGE_AUTH response").
        self.connection.certificates.clear();
        Ok(message)
    }

    fn measurements(&mut self, request: &[u8]) -> Result<Vec<u8>, Refusal> {
        let version = self.connection.version;
        let hash = self.connection.hash;
        let failed = |_| Refusal {
            code: ErrorCode::Unspecified,
            data: 0,
            violation: None,
        };
        if self.config.flags & MEAS_CAP == 0 {
            return refuse(ErrorCode::UnsupportedRequest, "no MEAS_CAP");
        }
        let signed = request[2] & 1 != 0;
        let context = if version >= VERSION_13 {
            CONTEXT_SIZE
        } else {
            0
        };
        let fields = match version {
            _ if !signed => 0,
            VERSION_10 => NONCE_SIZE,
            _ => NONCE_SIZE + 1,
        };
        let size = HEADER_SIZE + fields + context;
        // It is the only request whose size is no multiple of 4, so a data object may have padding.
        let Some((request, padding)) = request.split_at_checked(size) else {
            return refuse(ErrorCode::InvalidRequest, "size");
        };
        if request[2] & !1 != 0 || padding.len() > 3 || padding.iter().any(|&byte| byte != 0) {
            return refuse(ErrorCode::InvalidRequest, "attributes or size");
        }
        if signed && self.config.flags & MEAS_CAP != MEAS_CAP_SIG {
            return refuse(
                ErrorCode::InvalidRequest,
                "a signature without MEAS_CAP 10b",
            );
        }
        let slot = match signed && version >= VERSION_11 {
            true => request[HEADER_SIZE + NONCE_SIZE] & 0x0F,
            false => 0,
        };
        let without = self.config.flags & PUB_KEY_ID_CAP != 0 && slot == 0x0F;
        let state = self
            .connection
            .slots
            .get(if without { 0 } else { slot.into() });
        let Some(SlotState::Chain(chain, _)) = state.cloned() else {
            return refuse(ErrorCode::InvalidRequest, "a slot without a chain");
        };
        if signed && !without {
            self.check_use(slot.into(), MEASUREMENT_USE)?;
        }

        let all = measurement::blocks(self.config.firmware, hash).map_err(failed)?;
        let asked: Vec<_> = match request[3] {
            measurement::COUNT => Vec::new(),
            measurement::ALL => all.clone(),
            index => all
                .iter()
                .filter(|block| block.0 == index)
                .cloned()
                .collect(),
        };
        let one_by_one = request[3] == measurement::ALL
            && self.play(Fault::MeasurementOneByOne, Exchange::Measurements);
        if one_by_one || (asked.is_empty() && request[3] != measurement::COUNT) {
            return Err(Refusal {
                code: ErrorCode::InvalidRequest,
                data: 0,
                violation: None,
            });
        }
        // CAST: there are few, and they are short.
        let total = if asked.is_empty() { all.len() as u8 } else { 0 };
        let code = Exchange::Measurements.response_code();
        let mut message = vec![version, code, total, slot, asked.len() as u8];
        let record: Vec<u8> = asked.into_iter().flat_map(|block| block.1).collect();
        message.extend(&(record.len() as u32).to_le_bytes()[..3]);
        message.extend(record);
        let mut nonce = [0; NONCE_SIZE];
        rand_bytes(&mut nonce).map_err(failed)?;
        message.extend(nonce);
        let opaque = opaque_data(version, self.config.opaque);
        // CAST: limited by the configuration.
        message.extend((opaque.len() as u16).to_le_bytes());
        message.extend(opaque);
        message.extend(&request[request.len() - context..]);

        self.play_if(Exchange::Measurements, |active| {
            misbehaviour::change(active, Exchange::Measurements, request, &mut message)
        });
        self.edit(Exchange::Measurements, &mut message);
        if !signed {
            self.connection.measurements.extend(request);
            self.connection.measurements.extend(&message);
            return Ok(message);
        }
        let mut signing = Signing {
            version,
            hash,
            context: misbehaviour::RESPONDER_MEASUREMENTS,
            is_pqc: is_pqc(&chain.key),
            padding: (self.connection.asym.rsa_padding(), None),
            context_string: None,
            vca: match version {
                VERSION_10 | VERSION_11 => Vec::new(),
                _ => self.connection.vca.clone(),
            },
            certificates: mem::take(&mut self.connection.measurements),
            request: request.to_vec(),
            message: message.clone(),
        };
        if self.play(Fault::MeasurementContext, Exchange::Measurements) {
            signing.context = misbehaviour::RESPONDER_CHALLENGE;
        }
        let mut signature = signing.sign(&chain.key).map_err(failed)?;
        signature.resize(self.connection.asym.signature_size(), 0);
        if self.play(Fault::MeasurementBadSignature, Exchange::Measurements) {
            signature[7] ^= 1;
        }
        if !self.play(Fault::MeasurementUnsigned, Exchange::Measurements) {
            message.extend(signature);
        }
        Ok(message)
    }
}

/// Opaque data of about `size` bytes: as from 1.2 one element in the general format, before that
/// anything.
fn opaque_data(version: u8, size: usize) -> Vec<u8> {
    if size == 0 || version < VERSION_12 {
        return vec![0x5A; size];
    }
    // One element: header of four bytes, ID, VendorLen, length of the data, data, padding.
    let size = size.clamp(8, 1024) & !3;
    let data = size - 8;
    let mut opaque = vec![1, 0, 0, 0, 0, 0];
    // CAST: at most 1016.
    opaque.extend((data as u16).to_le_bytes());
    opaque.resize(size, 0x5A);
    opaque
}
