// SPDX-License-Identifier: GPL-2.0

//! Sending a request and receiving its response, with everything that may come between.

use zerocopy::IntoBytes as _;

use crate::{
    buffer::ResponseBuffer,
    capabilities::{Capabilities, MIN_DATA_TRANSFER_SIZE, SUPPORTED_ALGORITHMS},
    chunk::{max_message_size, LargeRequest, LargeResponse, Limits},
    error::{Error, Reason},
    error_response::{is_padding, judge, power_of_two, Again, NotReady},
    evidence::Record,
    message::{move_to_front, Header, Reader, Request, RequestCode, ResponseCode, Timing},
    platform::Platform,
    report::Stats,
    transcript::Transcript,
    transport::{Transport, TransportError},
    version::Version,
};

/// ST1: how long in microseconds a responder may take for what needs no cryptography.
const ST1_US: u64 = 100_000;

/// How often a request is sent again because the responder is busy.
const MAX_BUSY: usize = 10;
/// How long in microseconds to wait when the responder is busy: first, and at most.
const BUSY_DELAY_US: core::ops::RangeInclusive<u64> = 10_000..=1_000_000;

/// Bytes that there is room for besides the largest response that is right: for CHUNK_SEND_ACK around it, for padding, and
/// for what shows what is wrong with one that is longer.
const SLACK: usize = 512;

/// The way to a responder, and how far time has gone.
pub(crate) struct Link<'a, T, P> {
    pub(crate) transport: &'a mut T,
    pub(crate) platform: &'a mut P,
    pub(crate) stats: Stats,
    /// When the attestation must have ended.
    deadline_us: u64,
    /// CT: how long the responder may take for cryptography.
    ct_us: u64,
    /// Largest response in bytes that is received at once: this requester's DataTransferSize.
    data_transfer_size: usize,
    /// Largest request in bytes that the responder can receive at once: its DataTransferSize.
    max_request: u32,
    /// Largest request in bytes that it can receive in chunks: its MaxSPDMmsgSize, if it has CHUNK_CAP.
    max_large_request: Option<u32>,
    /// Handle of the next large request.
    next_handle: u8,
    /// A request was sent again since [`Link::reset`], because there was no response to it.
    retried: bool,
}

/// A request without the type of its response.
#[derive(Clone, Copy)]
struct Outgoing<'a> {
    bytes: &'a [u8],
    version: u8,
    code: RequestCode,
    response: u8,
    timing: Timing,
    /// Bytes that there has to be room for.
    room: usize,
    /// Whether the response may be a large one, to be fetched in chunks.
    large_response: bool,
}

/// How a request was answered in the end.
enum Answer {
    /// By its response, which has this many bytes.
    Response(usize),
    /// By LargeResponse with this handle.
    Large(u8),
}

/// A response whose version and code are right, at the beginning of a buffer.
struct Received {
    len: usize,
    /// Unit in bytes to which it was padded.
    alignment: usize,
}

impl<'a, T: Transport, P: Platform> Link<'a, T, P> {
    /// Starts the clock: all that is done with this link must be done in `limit_us` microseconds.
    ///
    /// Up to `data_transfer_size` bytes are received at once.
    pub(crate) fn new(
        transport: &'a mut T,
        platform: &'a mut P,
        limit_us: u64,
        data_transfer_size: usize,
    ) -> Self {
        Self {
            deadline_us: platform.now_us().saturating_add(limit_us),
            transport,
            platform,
            stats: Stats::default(),
            ct_us: 0,
            data_transfer_size,
            max_request: u32::MAX,
            max_large_request: None,
            next_handle: 0,
            retried: false,
        }
    }

    /// Largest response in bytes that is received into `buffer` in chunks: this requester's MaxSPDMmsgSize.
    pub(crate) fn max_message_size(&self, buffer: &dyn ResponseBuffer) -> usize {
        max_message_size(buffer.max_len(), self.transport.alignment())
    }

    /// Largest response in bytes that is received at once.
    pub(crate) const fn data_transfer_size(&self) -> usize {
        self.data_transfer_size
    }

    /// Forgets what earlier messages said about the responder.
    pub(crate) fn reset(&mut self) {
        self.ct_us = 0;
        self.max_request = u32::MAX;
        self.max_large_request = None;
        self.retried = false;
    }

    /// Whether a request was sent again since [`Link::reset`], because there was no response to it: a responder that
    /// does not know a retry when it sees one takes that for another request.
    pub(crate) const fn has_retried(&self) -> bool {
        self.retried
    }

    /// Obeys the responder's times and sizes from now on.
    pub(crate) fn set_capabilities(&mut self, capabilities: &Capabilities) {
        self.ct_us = power_of_two(capabilities.ct_exponent());
        self.max_request = capabilities.data_transfer_size().unwrap_or(u32::MAX);
        self.max_large_request = capabilities.max_chunked_size();
    }

    /// Makes `request`, receives the response into `buffer`, and adds both to `transcript`.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the link or with the response. Nothing was added to `transcript` then.
    // Not inlined: what it needs of the stack is given back before the response is judged.
    #[inline(never)]
    pub(crate) fn exchange<'b, R: Request, Tr: Transcript>(
        &mut self,
        request: &R,
        buffer: &'b mut dyn ResponseBuffer,
        transcript: &mut Tr,
    ) -> Result<R::Response<'b>, Error> {
        let (response, message) = self.exchange_unrecorded(request, buffer, transcript)?;
        if Tr::RECORDED {
            self.platform.record(Record::Message(request.as_bytes()));
            self.platform.record(Record::Message(message));
        }
        Ok(response)
    }

    /// The same, but that neither is recorded as evidence. Returns the response as it came, too.
    ///
    /// # Errors
    ///
    /// As [`Link::exchange`].
    // As above.
    #[inline(never)]
    pub(crate) fn exchange_unrecorded<'b, R: Request, Tr: Transcript>(
        &mut self,
        request: &R,
        buffer: &'b mut dyn ResponseBuffer,
        transcript: &mut Tr,
    ) -> Result<(R::Response<'b>, &'b [u8]), Error> {
        self.fetch(&self.outgoing(request), buffer)
            .and_then(|Received { len, alignment }| {
                let received = received(buffer.get(), len)?;
                let (response, message) = accept(request, received, alignment)?;
                transcript.append(request.as_bytes())?;
                transcript.append(message)?;
                Ok((response, message))
            })
            .map_err(|reason| Error::new(reason, R::CODE))
    }

    fn outgoing<'r, R: Request>(&self, request: &'r R) -> Outgoing<'r> {
        let bytes = request.as_bytes();
        let (version, param1) = match bytes {
            [version, _, param1, ..] => (*version, *param1),
            _ => (0, 0),
        };
        Outgoing {
            bytes,
            version,
            code: R::CODE,
            response: R::RESPONSE.as_byte(),
            timing: R::TIMING,
            room: request
                .max_response()
                .saturating_add(SLACK)
                .min(self.data_transfer_size),
            large_response: match R::CODE {
                RequestCode::GetVersion => false,
                // Whether the responder can do so is what this response says.
                RequestCode::GetCapabilities => param1 & SUPPORTED_ALGORITHMS != 0,
                _ => self.max_large_request.is_some(),
            },
        }
    }

    /// Sends a request, in chunks if it has to be, and receives its response, in chunks if it has to be.
    // Not inlined: what it needs of the stack is given back before signatures are verified.
    #[inline(never)]
    fn fetch(
        &mut self,
        request: &Outgoing<'_>,
        buffer: &mut dyn ResponseBuffer,
    ) -> Result<Received, Reason> {
        if buffer.get().len() < request.room {
            // Rather than keep what came before.
            buffer.release();
        }
        let room = reserve(buffer, request.room)?;
        let mut least = MIN_DATA_TRANSFER_SIZE as usize;
        let answer = if self.is_large(request) {
            // Its response has to fit into a CHUNK_SEND_ACK.
            least = least.saturating_sub(LargeRequest::ack_size(request.version));
            self.round_trips(request, room, |link, room| link.send_chunks(request, room))?
        } else {
            self.round_trips(request, room, |link, room| {
                link.send(request, room).map(Answer::Response)
            })?
        };
        match answer {
            Answer::Response(len) => Ok(Received {
                len,
                alignment: self.transport.alignment(),
            }),
            Answer::Large(handle) => self.get_chunks(request, handle, least, buffer),
        }
    }

    /// Whether a request has to be sent in chunks, and can be.
    fn is_large(&self, request: &Outgoing<'_>) -> bool {
        let len = request.bytes.len();
        let limit = u32::try_from(len).unwrap_or(u32::MAX);
        len > self.max_message() && self.max_large_request.is_some_and(|max| limit <= max)
    }

    /// Largest message in bytes that can be sent at once.
    fn max_message(&self) -> usize {
        let max_request = usize::try_from(self.max_request).unwrap_or(usize::MAX);
        max_request.min(self.transport.max_message_size())
    }

    /// Has `send` send a request until its response has come.
    fn round_trips(
        &mut self,
        request: &Outgoing<'_>,
        buffer: &mut [u8],
        mut send: impl FnMut(&mut Self, &mut [u8]) -> Result<Answer, Reason>,
    ) -> Result<Answer, Reason> {
        let alignment = self.transport.alignment();
        let mut busy_delays = busy_delays_us();
        let mut wait: Option<Wait> = None;
        loop {
            let respond_if_ready = wait.as_ref().map(|wait| wait.respond_if_ready(request));
            let answer = match &respond_if_ready {
                Some(header) => {
                    let bytes = header.as_bytes();
                    self.send(&Outgoing { bytes, ..*request }, buffer)
                        .map(Answer::Response)?
                }
                None => send(self, buffer)?,
            };
            let Answer::Response(len) = answer else {
                return Ok(answer);
            };
            match look_at(request, received(buffer, len)?, alignment)? {
                None => return Ok(Answer::Response(len)),
                Some(Again::Large(handle)) => return Ok(Answer::Large(handle)),
                Some(Again::Busy) => {
                    let delay_us = busy_delays.next().ok_or(Reason::Busy)?;
                    self.sleep(delay_us)?;
                }
                Some(Again::NotReady(not_ready)) => {
                    wait = Some(self.next_wait(wait, not_ready)?);
                    self.sleep(not_ready.delay_us())?;
                }
            }
        }
    }

    /// Sends a large request with CHUNK_SEND. What the responder answers to it is put at the beginning of `buffer`.
    fn send_chunks(&mut self, request: &Outgoing<'_>, buffer: &mut [u8]) -> Result<Answer, Reason> {
        let alignment = self.transport.alignment();
        let handle = self.next_handle;
        self.next_handle = handle.wrapping_add(1);
        let mut large =
            LargeRequest::new(request.version, handle, request.bytes, self.max_message());
        loop {
            large.make_next()?;
            let frame = Outgoing {
                bytes: large.frame(),
                code: RequestCode::ChunkSend,
                response: ResponseCode::ChunkSendAck.as_byte(),
                // Where it does not fit behind a CHUNK_SEND_ACK, LargeResponse comes instead of both.
                large_response: request.large_response && large.is_last(),
                ..*request
            };
            let answer = self.round_trips(&frame, buffer, |link, buffer| {
                link.send(&frame, buffer).map(Answer::Response)
            })?;
            let Answer::Response(len) = answer else {
                return Ok(answer);
            };
            if let Some(response) = large.accept(received(buffer, len)?, alignment)? {
                let len = response.len();
                move_to_front(buffer, LargeRequest::ack_size(request.version), len)?;
                return Ok(Answer::Response(len));
            }
        }
    }

    /// Fetches a large response with CHUNK_GET. It has more than `least` bytes.
    fn get_chunks(
        &mut self,
        request: &Outgoing<'_>,
        handle: u8,
        least: usize,
        buffer: &mut dyn ResponseBuffer,
    ) -> Result<Received, Reason> {
        let alignment = self.transport.alignment();
        let limits = Limits {
            above: least,
            max: self.max_message_size(buffer),
        };
        let mut large = LargeResponse::new(request.version, handle, limits);
        while !large.is_complete() {
            let get = large.request();
            let frame = Outgoing {
                bytes: get.as_bytes(),
                code: RequestCode::ChunkGet,
                response: ResponseCode::ChunkResponse.as_byte(),
                large_response: false,
                ..*request
            };
            // Transports are given addresses of their alignment.
            let gap = large.len().wrapping_neg() & alignment.saturating_sub(1);
            // The first chunk tells how much there is to come.
            let len = large.buffer_size(alignment);
            let buffer = reserve(buffer, len.unwrap_or(self.data_transfer_size))?;
            let room = buffer.get_mut(large.len()..).ok_or(Reason::Internal)?;
            let frame_room = room.get_mut(gap..).ok_or(Reason::Internal)?;
            let answer = self.round_trips(&frame, frame_room, |link, room| {
                link.send(&frame, room).map(Answer::Response)
            })?;
            let Answer::Response(len) = answer else {
                return Err(Reason::LargeResponseIllegal);
            };
            let chunk = large.accept(received(frame_room, len)?, alignment)?;
            move_to_front(room, gap.saturating_add(chunk.offset), chunk.len)?;
        }
        // It is a whole message, without padding, and not another word about one.
        let len = large.len();
        match look_at(request, received(buffer.get(), len)?, 1)? {
            None => Ok(Received { len, alignment: 1 }),
            Some(_) => Err(Reason::LargeResponseIllegal),
        }
    }

    /// Sends one message and receives one. Returns its length in bytes.
    ///
    /// If there is no response, the same message is sent again (DSP0274, "General ordering rules": "A Requester can retry
    /// messages"), as often as the transport has it and as long as there is all the time that a response may take. Every
    /// request that is spoken here can be: none changes the device, and a nonce is of this attestation.
    fn send(&mut self, message: &Outgoing<'_>, buffer: &mut [u8]) -> Result<usize, Reason> {
        for _ in 0..self.transport.retries() {
            match self.send_once(message, buffer) {
                Err(Reason::Timeout) if self.left_us() >= self.limit_us(message.timing) => {
                    self.retried = true;
                }
                result => return result,
            }
        }
        self.send_once(message, buffer)
    }

    fn send_once(&mut self, message: &Outgoing<'_>, buffer: &mut [u8]) -> Result<usize, Reason> {
        if message.bytes.len() > self.max_message() {
            return Err(Reason::RequestTooLarge);
        }
        let len = u32::try_from(message.bytes.len()).unwrap_or(u32::MAX);
        let room = buffer.len().min(self.data_transfer_size);
        let buffer = buffer.get_mut(..room).ok_or(Reason::Internal)?;

        let limit_us = self.limit_us(message.timing);
        let left_us = self.left_us();
        if left_us == 0 {
            return Err(Reason::Deadline);
        }
        let timeout_us = u32::try_from(limit_us.min(left_us)).unwrap_or(u32::MAX);

        self.stats.exchanges = self.stats.exchanges.saturating_add(1);
        self.stats.bytes_out = self.stats.bytes_out.saturating_add(len);
        let received = self
            .transport
            .exchange(message.bytes, buffer, timeout_us)
            .map_err(|error| match error {
                TransportError::Timeout if left_us < limit_us => Reason::Deadline,
                TransportError::Timeout => Reason::Timeout,
                TransportError::TooLarge => Reason::ResponseTooLarge,
                TransportError::Gone => Reason::Gone,
                TransportError::Interrupted => Reason::Interrupted,
                TransportError::IntegrityCheck => Reason::IntegrityCheck,
                TransportError::Io => Reason::Transport,
            })?;
        let len = u32::try_from(received).unwrap_or(u32::MAX);
        self.stats.bytes_in = self.stats.bytes_in.saturating_add(len);
        Ok(received)
    }

    /// T1 or T2 in microseconds (DSP0274, "Timing specification").
    fn limit_us(&self, timing: Timing) -> u64 {
        let responder_us = match timing {
            Timing::T1 => ST1_US,
            // Many responders report a CT that is shorter than ST1, some of them 2^0 µs. They are given the
            // time that any response may take.
            Timing::T2 => self.ct_us.max(ST1_US),
        };
        responder_us.saturating_add(self.transport.round_trip_us().into())
    }

    /// Microseconds until the deadline.
    fn left_us(&self) -> u64 {
        self.deadline_us.saturating_sub(self.platform.now_us())
    }

    /// Waits, unless the deadline comes first.
    fn sleep(&mut self, us: u64) -> Result<(), Reason> {
        if us >= self.left_us() {
            return Err(Reason::Deadline);
        }
        self.platform.sleep_us(us).map_err(|_| Reason::Interrupted)
    }

    /// What to wait for after a ResponseNotReady.
    fn next_wait(&self, before: Option<Wait>, not_ready: NotReady) -> Result<Wait, Reason> {
        let now_us = self.platform.now_us();
        let Some(before) = before else {
            let rtt_us = self.transport.round_trip_us().into();
            let limit_us = not_ready.limit_us().saturating_add(rtt_us);
            return Ok(Wait {
                not_ready,
                end_us: now_us.saturating_add(limit_us),
                left: not_ready.multiplier(),
            });
        };
        if before.not_ready.token() != not_ready.token() {
            return Err(Reason::NotReadyToken);
        }
        let left = before.left.checked_sub(1).ok_or(Reason::NotReady)?;
        if left == 0 || now_us >= before.end_us {
            return Err(Reason::NotReady);
        }
        Ok(Wait { left, ..before })
    }
}

/// A response that is being waited for (DSP0274, "Timing specification", WT and WTMax).
#[derive(Clone, Copy)]
struct Wait {
    /// What the first ResponseNotReady said.
    not_ready: NotReady,
    /// When it is of no use to ask again: WTMax, and a round trip, from then on.
    end_us: u64,
    /// How often to wait yet, the present time included: RDTM times RDT is WTMax.
    left: u8,
}

impl Wait {
    fn respond_if_ready(&self, request: &Outgoing<'_>) -> Header {
        self.not_ready.respond_if_ready(request.version)
    }
}

/// How long to wait each time that the responder is busy.
fn busy_delays_us() -> impl Iterator<Item = u64> {
    let (first, most) = BUSY_DELAY_US.into_inner();
    core::iter::successors(Some(first), move |us| Some(us.saturating_mul(2).min(most)))
        .take(MAX_BUSY)
}

/// Has room made for `len` bytes.
fn reserve(buffer: &mut dyn ResponseBuffer, len: usize) -> Result<&mut [u8], Reason> {
    buffer.reserve(len).map_err(|_| Reason::OutOfMemory)
}

/// What the transport received.
fn received(buffer: &[u8], len: usize) -> Result<&[u8], Reason> {
    buffer.get(..len).ok_or(Reason::Internal)
}

/// Looks at a response's header. Returns `None` if it is the expected one, and what to do if it is an ERROR
/// that lets the exchange go on.
fn look_at(
    request: &Outgoing<'_>,
    received: &[u8],
    alignment: usize,
) -> Result<Option<Again>, Reason> {
    let mut reader = Reader::new(received);
    let header = reader.read::<Header>()?;
    // Before anything else, and for ERROR too. Only GET_CAPABILITIES tells a responder the version, and one that is
    // busy may not have looked at it yet.
    let early_error = request.code == RequestCode::GetCapabilities
        && header.code == ResponseCode::Error.as_byte()
        && header.version == Version::V1_0.as_byte();
    if header.version != request.version && !early_error {
        return Err(Reason::WrongVersion);
    }
    if header.code == request.response {
        return Ok(None);
    }
    if header.code != ResponseCode::Error.as_byte() {
        return Err(Reason::UnexpectedResponse);
    }
    match judge(header, reader, request.code, alignment)? {
        Again::Large(_) if !request.large_response => Err(Reason::LargeResponseIllegal),
        again => Ok(Some(again)),
    }
}

/// Parses a response whose header is right. Returns that, and the bytes of it that a transcript has.
fn accept<'b, R: Request>(
    request: &R,
    received: &'b [u8],
    alignment: usize,
) -> Result<(R::Response<'b>, &'b [u8]), Reason> {
    let mut body = Reader::new(received);
    let header = body.read::<Header>()?;
    let response = request.parse(header, &mut body)?;
    if !is_padding(body.rest(), alignment) {
        return Err(Reason::TrailingBytes);
    }

    let beyond = body.rest().len().saturating_add(request.signature_size());
    let len = received.len().checked_sub(beyond).ok_or(Reason::Internal)?;
    Ok((response, received.get(..len).ok_or(Reason::Internal)?))
}

#[cfg(test)]
mod tests {
    use std::{boxed::Box, vec, vec::Vec};

    use super::*;
    use crate::{
        testing::{
            each_version, refuse, Bench, Instead, Responder, BUSY, CHALLENGE, GET_CAPABILITIES,
            GET_CERTIFICATE, GET_DIGESTS, GET_VERSION, NEGOTIATE_ALGORITHMS, REQUEST_RESYNCH,
            RESPOND_IF_READY, RESPONSE_NOT_READY, VERSIONS,
        },
        version::Version,
    };

    /// All requests, with what an error calls them.
    const REQUESTS: [(u8, &str); 6] = [
        (GET_VERSION, "GET_VERSION"),
        (GET_CAPABILITIES, "GET_CAPABILITIES"),
        (NEGOTIATE_ALGORITHMS, "NEGOTIATE_ALGORITHMS"),
        (GET_DIGESTS, "GET_DIGESTS"),
        (GET_CERTIFICATE, "GET_CERTIFICATE"),
        (CHALLENGE, "CHALLENGE"),
    ];

    /// The requests that may be answered with ResponseNotReady.
    const PATIENT: &[(u8, &str)] = REQUESTS.split_at(1).1;

    fn with_failure(code: u8, error: TransportError) -> Bench {
        Bench::new(Version::V1_2).instead(code, move |_| Instead::Failure(error))
    }

    fn with_response(code: u8, response: impl Fn(&Responder) -> Vec<u8> + 'static) -> Bench {
        Bench::new(Version::V1_2).instead(code, move |responder| {
            Instead::Response(response(responder))
        })
    }

    #[track_caller]
    fn fails(mut bench: Bench, reason: &str, request: &str) -> Bench {
        bench.fails(&std::format!("{reason}: {request}"));
        bench
    }

    #[test]
    fn transport_failures() {
        for (error, reason) in [
            (TransportError::Timeout, "timeout"),
            (TransportError::TooLarge, "response-too-large"),
            (TransportError::Gone, "device-gone"),
            (TransportError::Interrupted, "interrupted"),
            (TransportError::IntegrityCheck, "integrity-check"),
            (TransportError::Io, "transport-error"),
        ] {
            for (code, name) in REQUESTS {
                let bench = fails(with_failure(code, error), reason, name);
                // Nothing is sent again.
                let times = bench
                    .responder
                    .codes()
                    .iter()
                    .filter(|sent| **sent == code)
                    .count();
                assert_eq!(times, 1);
            }
        }
    }

    /// A bench whose transport tries three times, and loses `times` messages that are `code` or, if it is the response
    /// that is lost, its response.
    fn with_losses(version: Version, code: u8, times: usize, lost: Lost) -> Bench {
        let mut bench = Bench::new(version);
        bench.retries = 2;
        let mut left = times;
        let mut known = None;
        bench.responder.instead = Some(Box::new(move |responder, request| {
            if request[1] == GET_VERSION && code != GET_VERSION && lost == Lost::EachTime {
                left = times;
            }
            if request[1] != code {
                known = None;
                return None;
            }
            if left == 0 {
                return known.take().map(Instead::Response);
            }
            left -= 1;
            match lost {
                Lost::Request => {}
                Lost::Response => {
                    known.get_or_insert_with(|| responder.honest(request));
                }
                Lost::OutOfStep | Lost::EachTime => {
                    responder.honest(request);
                }
            }
            Some(Instead::Failure(TransportError::Timeout))
        }));
        bench
    }

    /// What is lost.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Lost {
        /// The request.
        Request,
        /// The response; the responder knows a retry.
        Response,
        /// The response; the responder takes the retry for another request.
        OutOfStep,
        /// The same, whenever it starts over.
        EachTime,
    }

    fn sent(bench: &Bench, code: u8) -> Vec<&Vec<u8>> {
        let requests = bench.responder.requests.iter();
        requests.filter(|request| request[1] == code).collect()
    }

    each_version!(lost_messages_are_sent_again);
    fn lost_messages_are_sent_again(version: Version) {
        for lost in [Lost::Request, Lost::Response] {
            for (code, _) in REQUESTS {
                for times in [1, 2] {
                    let mut bench = with_losses(version, code, times, lost);
                    bench.succeeds(0);
                    // Byte for byte.
                    let sent = sent(&bench, code);
                    assert!(sent[..=times].iter().all(|request| request == &sent[0]));
                    let more = match code {
                        GET_CERTIFICATE => sent.len() - times - 1,
                        _ => 0,
                    };
                    assert_eq!(sent.len(), times + 1 + more);
                    assert!(sent[times + 1..].iter().all(|request| request != &sent[0]));
                    let codes = bench.responder.codes();
                    let begun = codes.iter().filter(|sent| **sent == GET_VERSION).count();
                    assert_eq!(begun, if code == GET_VERSION { times + 1 } else { 1 });
                    assert_eq!(bench.report.stats.exchanges as usize, codes.len());
                }
            }
        }
    }

    #[test]
    fn three_are_lost() {
        for lost in [Lost::Request, Lost::Response] {
            for (code, name) in REQUESTS {
                let bench = with_losses(Version::V1_2, code, 3, lost);
                let bench = fails(bench, "timeout", name);
                assert_eq!(sent(&bench, code).len(), 3);
            }
        }
    }

    #[test]
    fn a_retry_has_the_time_of_a_request_or_is_not_sent() {
        let t1 = 101_000;
        for (deadline_us, times) in [(3 * t1, 3), (3 * t1 - 1, 2), (2 * t1 - 1, 1)] {
            let mut bench = with_losses(Version::V1_2, GET_VERSION, 3, Lost::Request);
            bench.config.deadline_us = deadline_us;
            let bench = fails(bench, "timeout", "GET_VERSION");
            assert_eq!(bench.timeouts, vec![101_000; times]);
        }
    }

    each_version!(out_of_step);
    fn out_of_step(version: Version) {
        // It has signed what it said twice.
        let mut bench = with_losses(version, GET_DIGESTS, 1, Lost::OutOfStep);
        bench.succeeds(0);
        assert_eq!(sent(&bench, GET_VERSION).len(), 2);
        // Or it does not want to say it twice.
        for (code, _) in REQUESTS {
            let mut bench = Bench::new(version);
            bench.retries = 2;
            let mut nth = 0;
            bench.responder.instead = Some(Box::new(move |responder, request| {
                nth += u32::from(request[1] == code);
                match nth {
                    1 if request[1] == code => Some(Instead::Failure(TransportError::Timeout)),
                    2 if request[1] == code => Some(Instead::Response(responder.error(4, &[]))),
                    _ => None,
                }
            }));
            bench.succeeds(0);
        }
    }

    #[test]
    fn out_of_step_each_time() {
        let bench = with_losses(Version::V1_2, GET_DIGESTS, 1, Lost::EachTime);
        let bench = fails(bench, "bad-signature", "CHALLENGE");
        assert_eq!(sent(&bench, GET_VERSION).len(), 4);
        assert_eq!(sent(&bench, GET_DIGESTS).len(), 8);
    }

    #[test]
    fn requests_larger_than_the_transport_are_not_sent() {
        let mut bench = Bench::new(Version::V1_3);
        bench.max_message_size = 43;
        bench.alignment = 1;
        // CHALLENGE has 44 bytes; DIGESTS and portions do fit in 43 with a short hash.
        bench.responder.base_hash = crate::algorithms::BaseHash::Sha256;
        bench.fails("request-too-large: CHALLENGE");
        // Sent, but answered with more.
        bench.max_message_size = 44;
        bench.fails("response-too-large: CHALLENGE");
    }

    #[test]
    fn time_limits() {
        for (exponent, t2) in [(0, 100_000), (10, 100_000), (20, 1 << 20), (23, 1 << 23)] {
            let mut bench = Bench::new(Version::V1_2);
            bench.responder.ct_exponent = exponent;
            bench.round_trip_us = 7;
            bench.succeeds(0);
            let t1 = 100_000 + 7;
            let t2 = t2 + 7;
            assert_eq!(bench.timeouts, [t1, t1, t1, t2, t2, t2]);
        }
    }

    #[test]
    fn late_but_not_too_late() {
        let mut bench = Bench::new(Version::V1_2);
        bench.latency_us = 101_000;
        bench.succeeds(0);
        bench.latency_us = 101_001;
        bench.fails("timeout: GET_VERSION");
    }

    #[test]
    fn e8_silence_meets_the_deadline() {
        let mut bench = Bench::new(Version::V1_2);
        bench.config.deadline_us = 100_005;
        bench.latency_us = 40_000;
        bench.fails("deadline-exceeded: NEGOTIATE_ALGORITHMS");
        assert_eq!(bench.timeouts, [100_005, 60_005, 20_005]);

        // Not even sent.
        let mut bench = Bench::new(Version::V1_2);
        bench.config.deadline_us = 80_000;
        bench.latency_us = 40_000;
        bench.fails("deadline-exceeded: NEGOTIATE_ALGORITHMS");
        assert_eq!(bench.timeouts.len(), 2);

        // The exchange has all the time that it may take.
        let mut bench = Bench::new(Version::V1_2);
        bench.config.deadline_us = 101_000;
        bench.latency_us = 200_000;
        bench.fails("timeout: GET_VERSION");

        let mut bench = Bench::new(Version::V1_2);
        bench.config.deadline_us = 0;
        bench.fails("deadline-exceeded: GET_VERSION");
        assert_eq!(bench.report.stats, Stats::default());
    }

    #[test]
    fn no_deadline_at_all() {
        let mut bench = Bench::new(Version::V1_2);
        bench.config.deadline_us = u64::MAX;
        bench.succeeds(0);
    }

    #[test]
    fn short_messages() {
        for (code, name) in REQUESTS {
            for len in 0..4 {
                let mut bench =
                    with_response(code, move |_| vec![0x10, 0x04, 0, 0][..len].to_vec());
                bench.alignment = 1;
                fails(bench, "truncated-response", name);
            }
        }
    }

    each_version!(trailing_bytes);
    fn trailing_bytes(version: Version) {
        for (code, name) in REQUESTS {
            for extra in [vec![0; 4], vec![0; 500], vec![0; 2000], vec![1; 4]] {
                // There is no room for so much more than is right.
                let reason = match (code, extra.len()) {
                    (CHALLENGE, 2000) => "response-too-large",
                    _ => "trailing-bytes",
                };
                fails(
                    Bench::new(version).tamper(code, move |response| response.extend(&extra)),
                    reason,
                    name,
                );
            }
        }
    }

    each_version!(n3_wrong_version);
    fn n3_wrong_version(version: Version) {
        for (code, name) in REQUESTS {
            for wrong in [0, 0x0f, 0x15, 0x20, 0xff] {
                fails(
                    Bench::new(version).tamper(code, move |response| response[0] = wrong),
                    "wrong-version",
                    name,
                );
            }
        }
    }

    #[test]
    fn e9_late_answer_to_another_request() {
        for (code, name) in REQUESTS {
            for answer in [
                0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x60, 0x61, 0x63, 0x7e,
            ] {
                let bench =
                    Bench::new(Version::V1_2).tamper(code, move |response| response[1] = answer);
                let own = match code {
                    GET_VERSION => 0x04,
                    GET_CAPABILITIES => 0x61,
                    NEGOTIATE_ALGORITHMS => 0x63,
                    GET_DIGESTS => 0x01,
                    GET_CERTIFICATE => 0x02,
                    _ => 0x03,
                };
                if answer != own {
                    fails(bench, "unexpected-response", name);
                }
            }
        }
    }

    #[test]
    fn e11_unknown_response_code() {
        for (code, name) in REQUESTS {
            // A request, and codes that nobody has.
            for answer in [0x83, 0x40, 0x80, 0xff] {
                fails(
                    Bench::new(Version::V1_2).tamper(code, move |response| response[1] = answer),
                    "unexpected-response",
                    name,
                );
            }
        }
    }

    #[test]
    fn e11_error_codes() {
        for (error, text) in [
            (0x00, "0x00"),
            (0x01, "InvalidRequest"),
            (0x02, "0x02"),
            (0x04, "UnexpectedRequest"),
            (0x41, "VersionMismatch"),
            (0x99, "0x99"),
            (0xff, "VendorDefined"),
        ] {
            for (code, name) in REQUESTS {
                let mut bench = with_response(code, move |responder| {
                    let mut message = responder.error(error, &[]);
                    message[0] = if code == GET_VERSION { 0x10 } else { 0x12 };
                    message
                });
                let subject = match code {
                    GET_CERTIFICATE => "slot 0",
                    _ => name,
                };
                bench.fails(&std::format!("error-response: {subject}: {text}"));
            }
        }
    }

    each_version!(e10_error_with_another_version);
    fn e10_error_with_another_version(version: Version) {
        for (code, name) in REQUESTS {
            for error in [0x01, BUSY, RESPONSE_NOT_READY, REQUEST_RESYNCH] {
                let bench = Bench::new(version)
                    .instead(code, move |_| Instead::Response(vec![0x15, 0x7f, error, 0]));
                fails(bench, "wrong-version", name);
            }
        }
    }

    #[test]
    fn error_to_get_capabilities_before_the_version_was_looked_at() {
        for version in VERSIONS {
            for times in [1, MAX_BUSY] {
                let mut bench = Bench::new(version);
                let mut left = times;
                bench.responder.instead = Some(Box::new(move |_, request| {
                    if request[1] != GET_CAPABILITIES || left == 0 {
                        return None;
                    }
                    left -= 1;
                    Some(Instead::Response(vec![0x10, 0x7f, BUSY, 0]))
                }));
                bench.succeeds(0);
            }
        }
        // Nothing but ERROR, and to nothing but GET_CAPABILITIES.
        let early = |response: &mut Vec<u8>| response[0] = 0x10;
        fails(
            Bench::new(Version::V1_2).tamper(GET_CAPABILITIES, early),
            "wrong-version",
            "GET_CAPABILITIES",
        );
        for (code, name) in REQUESTS {
            if [GET_VERSION, GET_CAPABILITIES].contains(&code) {
                continue;
            }
            let bench = Bench::new(Version::V1_2)
                .instead(code, |_| Instead::Response(vec![0x10, 0x7f, BUSY, 0]));
            fails(bench, "wrong-version", name);
        }
    }

    each_version!(busy_for_a_while);
    fn busy_for_a_while(version: Version) {
        for (code, _) in REQUESTS {
            let mut bench = Bench::new(version);
            bench.responder.instead = Some(refuse(code, MAX_BUSY, BUSY, &[]));
            bench.succeeds(0);
            let requests = &bench.responder.requests;
            let sent: Vec<_> = requests
                .iter()
                .filter(|request| request[1] == code)
                .collect();
            assert_eq!(sent.len(), MAX_BUSY + 1);
            assert!(sent.iter().all(|request| request == &sent[0]));
            assert!(bench.platform.sleeps.is_sorted());
            assert_eq!(bench.platform.sleeps.len(), MAX_BUSY);
            assert_eq!(bench.platform.sleeps[0], 10_000);
            assert_eq!(bench.platform.sleeps[MAX_BUSY - 1], 1_000_000);
            assert_eq!(bench.report.stats.exchanges as usize, requests.len());
        }
    }

    #[test]
    fn e1_endless_busy() {
        for (code, name) in REQUESTS {
            let mut bench = Bench::new(Version::V1_2);
            bench.responder.instead = Some(refuse(code, usize::MAX, BUSY, &[]));
            let bench = fails(bench, "busy", name);
            let codes = bench.responder.codes();
            assert_eq!(codes.iter().filter(|sent| **sent == code).count(), 11);
            assert!(bench.platform.sleeps.iter().sum::<u64>() < 6_000_000);
        }
    }

    #[test]
    fn e1_busy_until_the_deadline() {
        let mut bench = Bench::new(Version::V1_2);
        bench.config.deadline_us = 1_000_000;
        bench.responder.instead = Some(refuse(CHALLENGE, usize::MAX, BUSY, &[]));
        fails(bench, "deadline-exceeded", "CHALLENGE");
    }

    #[test]
    fn interrupted_while_waiting() {
        let ready = [14, CHALLENGE, 0, 4];
        for (error, data) in [(BUSY, &[][..]), (RESPONSE_NOT_READY, &ready)] {
            let mut bench = Bench::new(Version::V1_2);
            bench.platform.interrupted = true;
            bench.responder.instead = Some(refuse(CHALLENGE, 1, error, data));
            fails(bench, "interrupted", "CHALLENGE");
        }
    }

    each_version!(response_not_ready);
    fn response_not_ready(version: Version) {
        for (code, _) in PATIENT {
            let data = [14, *code, 0x77, 4];
            for times in [1, 2, 4] {
                let mut bench = Bench::new(version);
                not_ready(&mut bench, *code, times, data);
                bench.succeeds(0);
                assert_eq!(bench.platform.sleeps, vec![1 << 14; times]);
                let codes = bench.responder.codes();
                let asked = codes
                    .iter()
                    .filter(|sent| **sent == RESPOND_IF_READY)
                    .count();
                assert_eq!(asked, times);
                assert_eq!(codes.iter().filter(|sent| *sent == code).count(), 1);
            }
        }
    }

    fn not_ready(bench: &mut Bench, code: u8, times: usize, data: [u8; 4]) {
        bench.responder.instead = Some(refuse(code, times, RESPONSE_NOT_READY, &data));
    }

    #[test]
    fn response_not_ready_and_busy() {
        let mut bench = Bench::new(Version::V1_2);
        not_ready(&mut bench, CHALLENGE, 1, [14, CHALLENGE, 0x77, 4]);
        let mut inner = bench.responder.instead.take().unwrap();
        let mut busy = refuse(RESPOND_IF_READY, 2, BUSY, &[]);
        bench.responder.instead = Some(Box::new(move |responder, request| {
            busy(responder, request).or_else(|| inner(responder, request))
        }));
        bench.succeeds(0);
        assert_eq!(bench.platform.sleeps, [1 << 14, 10_000, 20_000]);
    }

    #[test]
    fn shortest_possible_delay_still_gets_its_chance() {
        for (code, _) in PATIENT {
            let mut bench = Bench::new(Version::V1_2);
            not_ready(&mut bench, *code, 1, [0, *code, 0, 2]);
            bench.succeeds(0);
            assert_eq!(bench.platform.sleeps, [1]);
        }
    }

    #[track_caller]
    fn not_ready_fails(code: u8, name: &str, data: [u8; 4], reason: &str) {
        let mut bench = Bench::new(Version::V1_2);
        not_ready(&mut bench, code, 1, data);
        let bench = fails(bench, reason, name);
        assert!(bench.platform.sleeps.is_empty());
    }

    #[test]
    fn e2_rdt_exponent() {
        for (code, name) in PATIENT {
            for exponent in [24, 31, 32, 64, 255] {
                not_ready_fails(*code, name, [exponent, *code, 0, 2], "not-ready-exponent");
            }
        }
    }

    #[test]
    fn e3_multiplier() {
        for (code, name) in PATIENT {
            for multiplier in [0, 1] {
                not_ready_fails(
                    *code,
                    name,
                    [10, *code, 0, multiplier],
                    "not-ready-multiplier",
                );
            }
        }
    }

    #[test]
    fn e4_wrong_request_code() {
        for (code, name) in PATIENT {
            for wrong in [0, RESPOND_IF_READY, code ^ 1] {
                not_ready_fails(*code, name, [10, wrong, 0, 2], "not-ready-request");
            }
        }
    }

    #[test]
    fn e4_token_changes() {
        for (code, name) in PATIENT {
            let mut bench = Bench::new(Version::V1_2);
            let code = *code;
            let mut token = 0;
            bench.responder.instead = Some(Box::new(move |_, request| {
                let asked = [code, RESPOND_IF_READY].contains(&request[1]);
                token += u8::from(asked);
                let error = vec![0x12, 0x7f, RESPONSE_NOT_READY, 0, 10, code, token, 200];
                asked.then_some(Instead::Response(error))
            }));
            fails(bench, "not-ready-token", name);
        }
    }

    #[test]
    fn e5_endless_response_not_ready() {
        for (code, name) in PATIENT {
            let mut bench = Bench::new(Version::V1_2);
            not_ready(&mut bench, *code, usize::MAX, [14, *code, 0, 5]);
            let bench = fails(bench, "not-ready", name);
            assert_eq!(bench.platform.sleeps.len(), 5);

            let mut bench = Bench::new(Version::V1_2);
            not_ready(&mut bench, *code, usize::MAX, [23, *code, 0, 255]);
            let bench = fails(bench, "deadline-exceeded", name);
            assert_eq!(bench.platform.sleeps.len(), 3);

            let mut bench = Bench::new(Version::V1_2);
            not_ready(&mut bench, *code, usize::MAX, [0, *code, 0, 2]);
            let bench = fails(bench, "not-ready", name);
            // However much time the link may take, it is not asked more often.
            assert_eq!(bench.platform.sleeps.len(), 2);
        }
    }

    #[test]
    fn e6_response_not_ready_to_get_version() {
        with_response(GET_VERSION, |_| {
            vec![0x10, 0x7f, RESPONSE_NOT_READY, 0, 10, GET_VERSION, 0, 2]
        })
        .fails("not-ready-illegal: GET_VERSION");
    }

    #[test]
    fn e12_extended_error_data_size() {
        for (code, name) in PATIENT {
            let code = *code;
            for len in [0, 1, 3, 5, 8, 32] {
                let mut bench = with_response(code, move |_| {
                    let mut message = vec![0x12, 0x7f, RESPONSE_NOT_READY, 0];
                    message.extend([10, code, 0, 2]);
                    message.resize(4 + len, 0);
                    message
                });
                bench.alignment = 1;
                fails(bench, "error-data-size", name);
            }
            for error in [BUSY, REQUEST_RESYNCH] {
                for len in [4, 32] {
                    let bench = with_response(code, move |_| {
                        let mut message = vec![0x12, 0x7f, error, 0];
                        message.resize(4 + len, 0);
                        message
                    });
                    fails(bench, "error-data-size", name);
                }
            }
        }
    }

    each_version!(resynch);
    fn resynch(version: Version) {
        for (code, _) in REQUESTS {
            let mut bench = Bench::new(version);
            bench.responder.instead = Some(refuse(code, 3, REQUEST_RESYNCH, &[]));
            bench.succeeds(0);
            let codes = bench.responder.codes();
            assert_eq!(codes.iter().filter(|sent| **sent == GET_VERSION).count(), 4);
            assert_eq!(bench.report.stats.exchanges as usize, codes.len());
        }
    }

    #[test]
    fn e7_resynch_loop() {
        for (code, name) in REQUESTS {
            let mut bench = Bench::new(Version::V1_2);
            bench.responder.instead = Some(refuse(code, usize::MAX, REQUEST_RESYNCH, &[]));
            let bench = fails(bench, "request-resynch", name);
            let codes = bench.responder.codes();
            assert_eq!(codes.iter().filter(|sent| **sent == GET_VERSION).count(), 4);
        }
    }
}
