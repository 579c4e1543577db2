// SPDX-License-Identifier: GPL-2.0

//! Sending a request and receiving its response, with everything that may come between.

use zerocopy::IntoBytes as _;

use crate::{
    capabilities::Capabilities,
    error::{Error, Reason},
    error_response::{is_padding, judge, power_of_two, Again, NotReady},
    message::{Header, Reader, Request, RequestCode, ResponseCode, Timing},
    platform::Platform,
    report::Stats,
    transcript::Transcript,
    transport::{Transport, TransportError}, //
};

/// ST1: how long in microseconds a responder may take for what needs no cryptography.
const ST1_US: u64 = 100_000;

/// How often a request is sent again because the responder is busy.
const MAX_BUSY: usize = 10;
/// How long in microseconds to wait when the responder is busy: first, and at most.
const BUSY_DELAY_US: core::ops::RangeInclusive<u64> = 10_000..=1_000_000;

/// The way to a responder, and how far time has gone.
pub(crate) struct Link<'a, T, P> {
    pub(crate) transport: &'a mut T,
    pub(crate) platform: &'a mut P,
    pub(crate) stats: Stats,
    /// When the attestation must have ended.
    deadline_us: u64,
    /// CT: how long the responder may take for cryptography.
    ct_us: u64,
    /// Largest request in bytes that the responder can receive.
    max_request: u32,
}

/// A request without the type of its response.
#[derive(Clone, Copy)]
struct Outgoing<'a> {
    bytes: &'a [u8],
    version: u8,
    code: RequestCode,
    response: u8,
    timing: Timing,
}

impl<'a> Outgoing<'a> {
    fn new<R: Request>(request: &'a R) -> Self {
        let bytes = request.as_bytes();
        Self {
            bytes,
            version: bytes.first().copied().unwrap_or_default(),
            code: R::CODE,
            response: R::RESPONSE.as_byte(),
            timing: R::TIMING,
        }
    }
}

impl<'a, T: Transport, P: Platform> Link<'a, T, P> {
    /// Starts the clock: all that is done with this link must be done in `limit_us` microseconds.
    pub(crate) fn new(transport: &'a mut T, platform: &'a mut P, limit_us: u64) -> Self {
        Self {
            deadline_us: platform.now_us().saturating_add(limit_us),
            transport,
            platform,
            stats: Stats::default(),
            ct_us: 0,
            max_request: u32::MAX,
        }
    }

    /// Forgets what earlier messages said about the responder.
    pub(crate) fn reset(&mut self) {
        self.ct_us = 0;
        self.max_request = u32::MAX;
    }

    /// Obeys the responder's times and sizes from now on.
    pub(crate) fn set_capabilities(&mut self, capabilities: &Capabilities) {
        self.ct_us = power_of_two(capabilities.ct_exponent());
        self.max_request = capabilities.data_transfer_size().unwrap_or(u32::MAX);
    }

    /// Makes `request`, receives the response into `buffer`, and adds both to `transcript`.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the link or with the response. Nothing was added to `transcript` then.
    pub(crate) fn exchange<'b, R: Request>(
        &mut self,
        request: &R,
        buffer: &'b mut [u8],
        transcript: &mut impl Transcript,
    ) -> Result<R::Response<'b>, Error> {
        let alignment = self.transport.alignment();
        self.round_trips(&Outgoing::new(request), buffer)
            .and_then(|len| accept(request, received(buffer, len)?, alignment, transcript))
            .map_err(|reason| Error::new(reason, R::CODE))
    }

    /// Sends a request until its response has come. Returns the length in bytes of what was received; its
    /// version and code are right.
    fn round_trips(&mut self, request: &Outgoing<'_>, buffer: &mut [u8]) -> Result<usize, Reason> {
        let alignment = self.transport.alignment();
        let mut busy_delays = busy_delays_us();
        let mut wait: Option<Wait> = None;
        loop {
            let respond_if_ready = wait.as_ref().map(|wait| wait.respond_if_ready(request));
            let bytes = match &respond_if_ready {
                Some(header) => header.as_bytes(),
                None => request.bytes,
            };
            let len = self.send(bytes, request.timing, buffer)?;
            match look_at(request, received(buffer, len)?, alignment)? {
                None => return Ok(len),
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

    /// Sends one message and receives one. Returns its length in bytes.
    fn send(&mut self, message: &[u8], timing: Timing, buffer: &mut [u8]) -> Result<usize, Reason> {
        let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
        if len > self.max_request || message.len() > self.transport.max_message_size() {
            return Err(Reason::RequestTooLarge);
        }

        let limit_us = self.limit_us(timing);
        let left_us = self.left_us();
        if left_us == 0 {
            return Err(Reason::Deadline);
        }
        let timeout_us = u32::try_from(limit_us.min(left_us)).unwrap_or(u32::MAX);

        self.stats.exchanges = self.stats.exchanges.saturating_add(1);
        self.stats.bytes_out = self.stats.bytes_out.saturating_add(len);
        let received = self
            .transport
            .exchange(message, buffer, timeout_us)
            .map_err(|error| match error {
                TransportError::Timeout if left_us < limit_us => Reason::Deadline,
                TransportError::Timeout => Reason::Timeout,
                TransportError::TooLarge => Reason::ResponseTooLarge,
                TransportError::Gone => Reason::Gone,
                TransportError::Interrupted => Reason::Interrupted,
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
            });
        };
        if before.not_ready.token() != not_ready.token() {
            return Err(Reason::NotReadyToken);
        }
        if now_us >= before.end_us {
            return Err(Reason::NotReady);
        }
        Ok(before)
    }
}

/// A response that is being waited for (DSP0274, "Timing specification", WT and WTMax).
#[derive(Clone, Copy)]
struct Wait {
    /// What the first ResponseNotReady said.
    not_ready: NotReady,
    /// When it is of no use to ask again: WTMax, and a round trip, from then on.
    end_us: u64,
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
    // Before anything else, and for ERROR too.
    if header.version != request.version {
        return Err(Reason::WrongVersion);
    }
    if header.code == request.response {
        return Ok(None);
    }
    if header.code != ResponseCode::Error.as_byte() {
        return Err(Reason::UnexpectedResponse);
    }
    judge(header, reader, request.code, alignment).map(Some)
}

/// Parses a response whose header is right, and adds it and its request to `transcript`.
fn accept<'b, R: Request>(
    request: &R,
    received: &'b [u8],
    alignment: usize,
    transcript: &mut impl Transcript,
) -> Result<R::Response<'b>, Reason> {
    let mut body = Reader::new(received);
    let header = body.read::<Header>()?;
    let response = request.parse(header, &mut body)?;
    if !is_padding(body.rest(), alignment) {
        return Err(Reason::TrailingBytes);
    }

    let beyond = body.rest().len().saturating_add(request.signature_size());
    let len = received.len().checked_sub(beyond).ok_or(Reason::Internal)?;
    transcript.append(request.as_bytes())?;
    transcript.append(received.get(..len).ok_or(Reason::Internal)?)?;
    Ok(response)
}
