// SPDX-License-Identifier: GPL-2.0

//! What all messages have in common (DSP0274, "Generic SPDM message format").

use core::cell::Cell;

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{
    error::Reason,
    version::Version, //
};

/// Code of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RequestCode {
    /// GET_DIGESTS.
    GetDigests = 0x81,
    /// GET_CERTIFICATE.
    GetCertificate = 0x82,
    /// CHALLENGE.
    Challenge = 0x83,
    /// GET_VERSION.
    GetVersion = 0x84,
    /// CHUNK_SEND.
    ChunkSend = 0x85,
    /// CHUNK_GET.
    ChunkGet = 0x86,
    /// GET_MEASUREMENTS.
    GetMeasurements = 0xe0,
    /// GET_CAPABILITIES.
    GetCapabilities = 0xe1,
    /// NEGOTIATE_ALGORITHMS.
    NegotiateAlgorithms = 0xe3,
    /// RESPOND_IF_READY.
    RespondIfReady = 0xff,
}

impl RequestCode {
    /// Name in the standard.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GetDigests => "GET_DIGESTS",
            Self::GetCertificate => "GET_CERTIFICATE",
            Self::Challenge => "CHALLENGE",
            Self::GetVersion => "GET_VERSION",
            Self::ChunkSend => "CHUNK_SEND",
            Self::ChunkGet => "CHUNK_GET",
            Self::GetMeasurements => "GET_MEASUREMENTS",
            Self::GetCapabilities => "GET_CAPABILITIES",
            Self::NegotiateAlgorithms => "NEGOTIATE_ALGORITHMS",
            Self::RespondIfReady => "RESPOND_IF_READY",
        }
    }

    pub(crate) const fn as_byte(self) -> u8 {
        self as u8
    }
}

/// Code of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ResponseCode {
    Digests = 0x01,
    Certificate = 0x02,
    ChallengeAuth = 0x03,
    Version = 0x04,
    ChunkSendAck = 0x05,
    ChunkResponse = 0x06,
    Measurements = 0x60,
    Capabilities = 0x61,
    Algorithms = 0x63,
    Error = 0x7f,
}

impl ResponseCode {
    pub(crate) const fn as_byte(self) -> u8 {
        self as u8
    }
}

/// The first four bytes of every message.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) version: u8,
    pub(crate) code: u8,
    pub(crate) param1: u8,
    pub(crate) param2: u8,
}

impl Header {
    pub(crate) const fn new(version: Version, code: RequestCode, param1: u8, param2: u8) -> Self {
        Self {
            version: version.as_byte(),
            code: code.as_byte(),
            param1,
            param2,
        }
    }
}

/// How long a responder may take (DSP0274, "Timing specification").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    /// T1: no cryptography is involved.
    T1,
    /// T2: time for cryptography is CTExponent's.
    T2,
}

/// A request: its bytes, and how to read its response.
pub(crate) trait Request {
    /// Its code.
    const CODE: RequestCode;
    /// Code of its response.
    const RESPONSE: ResponseCode;
    /// Its time limit.
    const TIMING: Timing;
    /// What its response says.
    type Response<'a>;

    /// The request as it is sent, header included.
    fn as_bytes(&self) -> &[u8];

    /// Reads the fields that follow the response's header, whose version and code have been checked.
    ///
    /// What it leaves in `body` is not part of the message.
    ///
    /// # Errors
    ///
    /// The rule that the response breaks.
    fn parse<'a>(
        &self,
        header: &Header,
        body: &mut Reader<'a>,
    ) -> Result<Self::Response<'a>, Reason>;

    /// Size in bytes of the largest response that is right, where it is far below what may be received at once.
    fn max_response(&self) -> usize {
        usize::MAX
    }

    /// Size in bytes of the signature that ends the response. It is not part of the transcript.
    fn signature_size(&self) -> usize {
        0
    }
}

/// Takes a message apart, field after field.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Takes the next `len` bytes.
    ///
    /// # Errors
    ///
    /// [`Reason::Truncated`] if there are fewer.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Reason> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Reason::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Takes a fixed structure.
    ///
    /// # Errors
    ///
    /// [`Reason::Truncated`] if fewer bytes are left.
    pub(crate) fn read<T>(&mut self) -> Result<&'a T, Reason>
    where
        T: zerocopy::FromBytes + zerocopy::Immutable + zerocopy::KnownLayout + zerocopy::Unaligned,
    {
        let (value, rest) = T::ref_from_prefix(self.rest).map_err(|_| Reason::Truncated)?;
        self.rest = rest;
        Ok(value)
    }

    /// Takes `count` fixed structures.
    ///
    /// # Errors
    ///
    /// [`Reason::Truncated`] if fewer bytes are left.
    pub(crate) fn read_slice<T>(&mut self, count: usize) -> Result<&'a [T], Reason>
    where
        T: zerocopy::FromBytes + zerocopy::Immutable + zerocopy::Unaligned,
    {
        let (values, rest) =
            <[T] as zerocopy::FromBytes>::ref_from_prefix_with_elems(self.rest, count)
                .map_err(|_| Reason::Truncated)?;
        self.rest = rest;
        Ok(values)
    }

    /// What has not been taken.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Moves `len` bytes at `offset` to the beginning of `buffer`.
///
/// # Errors
///
/// [`Reason::Internal`] if there are fewer.
pub(crate) fn move_to_front(buffer: &mut [u8], offset: usize, len: usize) -> Result<(), Reason> {
    let bytes = Cell::from_mut(buffer).as_slice_of_cells();
    let end = offset.checked_add(len).ok_or(Reason::Internal)?;
    let from = bytes.get(offset..end).ok_or(Reason::Internal)?;
    // From the first to the last: where they overlap, a byte is read before it is written.
    for (to, from) in bytes.iter().zip(from) {
        to.set(from.get());
    }
    Ok(())
}

/// Copies `from` to the beginning of `to`.
///
/// # Errors
///
/// [`Reason::Internal`] if it does not fit.
pub(crate) fn copy(to: &mut [u8], from: &[u8]) -> Result<(), Reason> {
    let to = to.get_mut(..from.len()).ok_or(Reason::Internal)?;
    // Not `copy_from_slice()`: the compiler does not always see that its panic is out of reach.
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    Ok(())
}
