// SPDX-License-Identifier: GPL-2.0

//! CHUNK_GET and CHUNK_SEND: messages larger than the other side can receive, or this one send, at once
//! (DSP0274, "Large SPDM message transfer mechanism").
//!
//! Chunks are not part of a transcript, the message that they carry is.

use zerocopy::{
    little_endian::{U16, U32},
    IntoBytes as _,
};
use zerocopy_derive::{Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{
    capabilities::MIN_DATA_TRANSFER_SIZE,
    error::{ErrorCode, Reason},
    error_response::is_padding,
    message::{copy, Header, Reader, RequestCode, ResponseCode},
};

/// First version whose ChunkSeqNo has 32 bits.
const WIDE_SEQUENCE: u8 = 0x14;

/// Param1 of CHUNK_SEND and CHUNK_RESPONSE: LastChunk.
const LAST_CHUNK: u8 = 1 << 0;
/// Param1 of CHUNK_SEND_ACK: EarlyErrorDetected.
const EARLY_ERROR_DETECTED: u8 = 1 << 0;

/// Bytes of CHUNK_SEND and CHUNK_RESPONSE before what they carry: LargeMessageSize, which only the first has, and the
/// chunk.
const HEAD_SIZE: usize = 12;
/// Size in bytes of LargeMessageSize.
const LARGE_MESSAGE_SIZE: usize = 4;

/// Most bytes that a CHUNK_RESPONSE has besides its chunk.
const OVERHEAD: usize = HEAD_SIZE + LARGE_MESSAGE_SIZE;

/// Largest message in bytes that can be put together in a buffer of `len` bytes, where each chunk is received at the
/// end of those before it, at an address of the transport's alignment.
pub(crate) fn max_message_size(len: usize, alignment: usize) -> usize {
    len.saturating_sub(besides_message(alignment))
}

/// Most bytes that such a buffer has besides the message: those of the last chunk's frame, a gap before that, and padding.
fn besides_message(alignment: usize) -> usize {
    let gap_and_padding = alignment.saturating_sub(1).saturating_mul(2);
    OVERHEAD.saturating_add(gap_and_padding)
}

/// Which message is transferred, and the number of the next chunk.
#[derive(Clone, Copy)]
pub(crate) struct Sequence {
    /// SPDMVersion of the connection.
    version: u8,
    handle: u8,
    next: u32,
}

impl Sequence {
    pub(crate) const fn new(version: u8, handle: u8) -> Self {
        Self {
            version,
            handle,
            next: 0,
        }
    }

    const fn is_first(&self) -> bool {
        self.next == 0
    }

    const fn header(&self, code: RequestCode, attributes: u8) -> Header {
        Header {
            version: self.version,
            code: code.as_byte(),
            param1: attributes,
            param2: self.handle,
        }
    }

    /// ChunkSeqNo; up to version 1.3, the reserved bytes after it are zero.
    fn number(&self) -> U32 {
        U32::new(self.next)
    }

    /// Size of ChunkSeqNo where no reserved bytes follow it.
    const fn number_size(&self) -> usize {
        if self.version < WIDE_SEQUENCE {
            size_of::<U16>()
        } else {
            size_of::<U32>()
        }
    }

    /// Reads an answer up to its ChunkSeqNo, and checks that and Handle. Returns its attributes.
    fn read(&self, answer: &mut Reader<'_>) -> Result<u8, Reason> {
        let header = answer.read::<Header>()?;
        let number = if self.version < WIDE_SEQUENCE {
            answer.read::<U16>()?.get().into()
        } else {
            answer.read::<U32>()?.get()
        };
        if header.param2 != self.handle {
            Err(Reason::ChunkHandle)
        } else if number != self.next {
            Err(Reason::ChunkSequence)
        } else {
            Ok(header.param1)
        }
    }

    /// Goes on to the next chunk.
    fn advance(&mut self) -> Result<(), Reason> {
        self.next = self.next.checked_add(1).ok_or(Reason::ChunkSequence)?;
        // ChunkSeqNo must not wrap.
        if self.version < WIDE_SEQUENCE && u16::try_from(self.next).is_err() {
            return Err(Reason::ChunkSequence);
        }
        Ok(())
    }
}

/// CHUNK_GET.
pub(crate) struct ChunkGet {
    message: ChunkGetMessage,
    len: usize,
}

#[derive(Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
struct ChunkGetMessage {
    header: Header,
    // Up to 1.3 its lower half.
    chunk_seq_no: U32,
}

impl ChunkGet {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.message.as_bytes().get(..self.len).unwrap_or_default()
    }
}

/// A large response that is being fetched.
pub(crate) struct LargeResponse {
    sequence: Sequence,
    limits: Limits,
    /// LargeMessageSize: zero until the first chunk has come.
    total: usize,
    len: usize,
}

/// What sizes in bytes a large response may have.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// It is larger than this, or it would not have to be chunked.
    pub(crate) above: usize,
    /// MaxSPDMmsgSize of this requester.
    pub(crate) max: usize,
}

/// Where the chunk of a CHUNK_RESPONSE is.
pub(crate) struct Chunk {
    /// Bytes of the CHUNK_RESPONSE before it.
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

impl LargeResponse {
    /// Begins with the response that `handle` stands for.
    pub(crate) fn new(version: u8, handle: u8, limits: Limits) -> Self {
        Self {
            sequence: Sequence::new(version, handle),
            limits,
            total: 0,
            len: 0,
        }
    }

    /// Bytes of the response that have come.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Size in bytes of the buffer that it can be put together in, once that is known. It has been checked.
    pub(crate) fn buffer_size(&self, alignment: usize) -> Option<usize> {
        if self.sequence.is_first() {
            None
        } else {
            Some(self.total.saturating_add(besides_message(alignment)))
        }
    }

    /// Whether all of it is there.
    pub(crate) const fn is_complete(&self) -> bool {
        !self.sequence.is_first() && self.len == self.total
    }

    /// CHUNK_GET for the next chunk.
    pub(crate) fn request(&self) -> ChunkGet {
        ChunkGet {
            message: ChunkGetMessage {
                header: self.sequence.header(RequestCode::ChunkGet, 0),
                chunk_seq_no: self.sequence.number(),
            },
            len: size_of::<Header>().saturating_add(self.sequence.number_size()),
        }
    }

    /// Checks a CHUNK_RESPONSE, whose version and code are right, and counts its chunk in.
    ///
    /// # Errors
    ///
    /// The rule that it breaks.
    pub(crate) fn accept(&mut self, received: &[u8], alignment: usize) -> Result<Chunk, Reason> {
        let mut body = Reader::new(received);
        let attributes = self.sequence.read(&mut body)?;
        // Reserved bytes after a ChunkSeqNo of 16 bits.
        body.take(size_of::<U32>().saturating_sub(self.sequence.number_size()))?;
        let size = body.read::<U32>()?.get();
        let mut offset = HEAD_SIZE;
        if self.sequence.is_first() {
            offset = OVERHEAD;
            let total = body.read::<U32>()?.get();
            self.total = usize::try_from(total).map_err(|_| Reason::LargeMessageSize)?;
            if self.total <= self.limits.above || self.total > self.limits.max {
                return Err(Reason::LargeMessageSize);
            }
        }

        let len = usize::try_from(size).map_err(|_| Reason::ChunkSize)?;
        let left = self.total.checked_sub(self.len).ok_or(Reason::Internal)?;
        let left = left.checked_sub(len).ok_or(Reason::ChunkSize)?;
        let last = attributes & LAST_CHUNK != 0;
        if last != (left == 0) {
            return Err(Reason::LastChunk);
        }
        // All but the last fill at least the smallest data transfer. So each brings something, and they end.
        if !last && len.saturating_add(offset) < MIN_DATA_TRANSFER_SIZE as usize {
            return Err(Reason::ChunkSize);
        }
        body.take(len)?;
        if !is_padding(body.rest(), alignment) {
            return Err(Reason::TrailingBytes);
        }
        self.len = self.len.saturating_add(len);
        self.sequence.advance()?;
        Ok(Chunk { offset, len })
    }
}

/// CHUNK_SEND, before LargeMessageSize and the chunk.
#[derive(Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
struct ChunkSendHead {
    header: Header,
    chunk_seq_no: U32,
    chunk_size: U32,
}

/// Largest CHUNK_SEND in bytes that is made, however much the responder can receive: more than the smallest data
/// transfer, and little enough for a stack.
const MAX_CHUNK_SEND: usize = 64;

/// A request that is sent in chunks.
pub(crate) struct LargeRequest<'a> {
    sequence: Sequence,
    total: u32,
    rest: &'a [u8],
    /// Largest CHUNK_SEND in bytes.
    max: usize,
    frame: [u8; MAX_CHUNK_SEND],
    len: usize,
}

impl<'a> LargeRequest<'a> {
    /// Begins to send `message` under `handle`, in CHUNK_SENDs of at most `max` bytes, which is at least
    /// MinDataTransferSize.
    pub(crate) fn new(version: u8, handle: u8, message: &'a [u8], max: usize) -> Self {
        Self {
            sequence: Sequence::new(version, handle),
            total: u32::try_from(message.len()).unwrap_or(u32::MAX),
            rest: message,
            max: max.min(MAX_CHUNK_SEND),
            frame: [0; MAX_CHUNK_SEND],
            len: 0,
        }
    }

    /// Makes the next CHUNK_SEND.
    ///
    /// # Errors
    ///
    /// [`Reason::Internal`] if `max` was too small.
    pub(crate) fn make_next(&mut self) -> Result<(), Reason> {
        let total = U32::new(self.total);
        let large_message_size = if self.sequence.is_first() {
            total.as_bytes()
        } else {
            &[]
        };
        let offset = HEAD_SIZE.saturating_add(large_message_size.len());
        let room = self.max.checked_sub(offset).ok_or(Reason::Internal)?;
        let (chunk, rest) = self.rest.split_at_checked(room).unwrap_or((self.rest, &[]));
        let head = ChunkSendHead {
            header: self.sequence.header(
                RequestCode::ChunkSend,
                if rest.is_empty() { LAST_CHUNK } else { 0 },
            ),
            chunk_seq_no: self.sequence.number(),
            chunk_size: U32::new(u32::try_from(chunk.len()).unwrap_or(u32::MAX)),
        };
        self.len = 0;
        for part in [head.as_bytes(), large_message_size, chunk] {
            copy(self.frame.get_mut(self.len..).unwrap_or_default(), part)?;
            self.len = self.len.saturating_add(part.len());
        }
        self.rest = rest;
        Ok(())
    }

    /// The CHUNK_SEND that was made last.
    pub(crate) fn frame(&self) -> &[u8] {
        self.frame.get(..self.len).unwrap_or_default()
    }

    /// Whether it has the last chunk.
    pub(crate) const fn is_last(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes of a CHUNK_SEND_ACK before ResponseToLargeRequest.
    pub(crate) const fn ack_size(version: u8) -> usize {
        size_of::<Header>().saturating_add(Sequence::new(version, 0).number_size())
    }

    /// Checks a CHUNK_SEND_ACK, whose version and code are right. Returns ResponseToLargeRequest, if this was the last
    /// chunk or the responder has had enough of it; the transport's padding may follow it.
    ///
    /// # Errors
    ///
    /// The rule that it breaks.
    pub(crate) fn accept<'r>(
        &mut self,
        received: &'r [u8],
        alignment: usize,
    ) -> Result<Option<&'r [u8]>, Reason> {
        let mut body = Reader::new(received);
        let attributes = self.sequence.read(&mut body)?;
        let response = body.rest();
        if attributes & EARLY_ERROR_DETECTED != 0 {
            // Nothing but an ERROR can come early, and not one that there is a response.
            let header = body.read::<Header>()?;
            if header.code != ResponseCode::Error.as_byte() {
                return Err(Reason::UnexpectedResponse);
            }
            if ErrorCode(header.param1) == ErrorCode::LARGE_RESPONSE {
                return Err(Reason::LargeResponseIllegal);
            }
            return Ok(Some(response));
        }
        if self.is_last() {
            return Ok(Some(response));
        }
        if !is_padding(body.rest(), alignment) {
            return Err(Reason::TrailingBytes);
        }
        self.sequence.advance()?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::{boxed::Box, format, vec, vec::Vec};

    use super::*;
    use crate::{
        algorithms::{BaseAsym, PqcAsym},
        testing::{
            each_version, refuse, Bench, Instead, BUSY, CHALLENGE, CHUNK_GET, CHUNK_SEND,
            GET_CAPABILITIES, GET_CERTIFICATE, GET_DIGESTS, GET_VERSION, LARGE_RESPONSE,
            NEGOTIATE_ALGORITHMS, REQUEST_RESYNCH, RESPOND_IF_READY, RESPONSE_NOT_READY, VERSIONS,
        },
        version::Version::{self, V1_0, V1_1, V1_2, V1_3, V1_4},
    };

    const CHUNK_CAP: u32 = 1 << 17;
    const CHUNKING: [Version; 3] = [V1_2, V1_3, V1_4];
    /// Those whose CHALLENGE has 44 bytes.
    const LONG_CHALLENGE: [Version; 2] = [V1_3, V1_4];

    /// A responder that sends at most `transmit_size` bytes at once.
    fn chunked(version: Version, transmit_size: usize) -> Bench {
        let mut bench = Bench::new(version);
        bench.responder.flags |= CHUNK_CAP;
        bench.responder.transmit_size = transmit_size;
        bench
    }

    /// A responder that receives 42 bytes at once, and so gets its CHALLENGE in chunks from version 1.3.
    fn receiving_chunks(version: Version) -> Bench {
        let mut bench = chunked(version, usize::MAX);
        bench.responder.data_transfer_size = 42;
        bench
    }

    /// Changes the CHUNK_RESPONSE with this number of the CERTIFICATE, on its way.
    fn with_chunk(
        version: Version,
        number: usize,
        change: impl Fn(&mut Vec<u8>) + 'static,
    ) -> Bench {
        let mut bench = chunked(version, 64);
        let (mut certificate, mut next) = (false, 0);
        bench.tamper = Some(Box::new(move |code, response| {
            if code != CHUNK_GET {
                certificate = code == GET_CERTIFICATE;
                next = 0;
            } else if certificate {
                if next == number {
                    change(response);
                }
                next += 1;
            }
        }));
        bench
    }

    /// Changes the CHUNK_SEND_ACK with this number, on its way.
    fn with_ack(version: Version, number: usize, change: impl Fn(&mut Vec<u8>) + 'static) -> Bench {
        let mut bench = receiving_chunks(version);
        let mut next = 0;
        bench.tamper = Some(Box::new(move |code, response| {
            if code == CHUNK_SEND {
                if next == number {
                    change(response);
                }
                next += 1;
            }
        }));
        bench
    }

    fn count(bench: &Bench, code: u8) -> usize {
        let codes = bench.responder.codes();
        codes.iter().filter(|sent| **sent == code).count()
    }

    each_version!(every_large_response: V1_2 V1_3 V1_4);
    fn every_large_response(version: Version) {
        for transmit_size in [42, 43, 51, 64, 100, 181, 423, 1000] {
            for alignment in [1, 4] {
                let mut bench = chunked(version, transmit_size);
                bench.alignment = alignment;
                bench.succeeds(0);
                assert_eq!(bench.chain_bytes(), bench.responder.chain(0));
                let codes = bench.responder.codes();
                assert_eq!(bench.report.stats.exchanges as usize, codes.len());
                // CERTIFICATE has 424 bytes.
                let chunks = count(&bench, CHUNK_GET);
                assert_eq!(chunks > 0, transmit_size < 424);
                if transmit_size == 423 {
                    assert_eq!(chunks, 2);
                }
            }
        }
    }

    each_version!(responses_larger_than_the_transport: V1_2 V1_3 V1_4);
    fn responses_larger_than_the_transport(version: Version) {
        for max_message_size in [44, 64, 128] {
            let mut bench = chunked(version, usize::MAX);
            bench.max_message_size = max_message_size;
            bench.succeeds(0);
            assert!(count(&bench, CHUNK_GET) > 1);
            // Portions of certificates are made to fit.
            let codes = bench.responder.codes();
            let after = codes.windows(2).filter(|pair| pair[0] == GET_CERTIFICATE);
            assert!(after.clone().count() > 3);
            assert!(after.into_iter().all(|pair| pair[1] != CHUNK_GET));

            bench.responder.flags &= !CHUNK_CAP;
            bench.responder.max_spdm_msg_size = bench.responder.data_transfer_size;
            let error = bench.attest().err().unwrap();
            assert_eq!(error.name(), "response-too-large");
        }
    }

    #[test]
    fn the_largest_signature() {
        // With all the opaque data that there may be, more than the transport carries at once.
        let mut bench = chunked(V1_4, usize::MAX);
        bench.buffer_size = 8192;
        bench.responder.pqc_asym = Some(PqcAsym::MlDsa87);
        bench.responder.opaque_data = vec![7; 1024];
        bench.succeeds(0);
        assert_eq!(count(&bench, CHUNK_GET), 2);
    }

    each_version!(chunks_are_of_no_matter_to_the_transcript: V1_2 V1_3 V1_4);
    fn chunks_are_of_no_matter_to_the_transcript(version: Version) {
        let mut bench = chunked(version, 64);
        bench.responder.edit_transcript = Some(|transcript| transcript.extend([0; 8]));
        bench.fails("bad-signature: CHALLENGE");
    }

    each_version!(busy_and_not_ready_on_the_way: V1_2 V1_3 V1_4);
    fn busy_and_not_ready_on_the_way(version: Version) {
        let mut bench = chunked(version, 64);
        bench.responder.instead = Some(refuse(CHUNK_GET, 3, BUSY, &[]));
        bench.succeeds(0);
        assert_eq!(bench.platform.sleeps, [10_000, 20_000, 40_000]);

        let mut bench = chunked(version, 64);
        let data = [14, CHUNK_GET, 0x77, 4];
        bench.responder.instead = Some(refuse(CHUNK_GET, 1, RESPONSE_NOT_READY, &data));
        bench.succeeds(0);
        assert_eq!(bench.platform.sleeps, [1 << 14]);

        // A late response turns out to be large.
        let mut bench = chunked(version, 64);
        let data = [14, CHALLENGE, 0x77, 4];
        bench.responder.instead = Some(refuse(CHALLENGE, 1, RESPONSE_NOT_READY, &data));
        bench.succeeds(0);
        let codes = bench.responder.codes();
        let asked = codes.iter().position(|code| *code == RESPOND_IF_READY);
        assert_eq!(codes[asked.unwrap() + 1], CHUNK_GET);
    }

    each_version!(e1_endless_busy: V1_2 V1_3 V1_4);
    fn e1_endless_busy(version: Version) {
        let mut bench = chunked(version, 64);
        bench.responder.instead = Some(Box::new(|responder, request| {
            let late = request[1] == CHUNK_GET && request[0] != 0x10;
            (late && responder.codes().contains(&GET_CERTIFICATE))
                .then(|| Instead::Response(responder.error(BUSY, &[])))
        }));
        bench.fails("busy: GET_CERTIFICATE");
    }

    each_version!(e7_resynch_loop: V1_2 V1_3 V1_4);
    fn e7_resynch_loop(version: Version) {
        let mut bench = chunked(version, 64);
        bench.responder.instead = Some(refuse(CHUNK_GET, usize::MAX, REQUEST_RESYNCH, &[]));
        let error = bench.attest().err().unwrap();
        assert_eq!(error.name(), "request-resynch");
        assert_eq!(count(&bench, GET_VERSION), 4);

        let mut bench = chunked(version, 64);
        bench.responder.instead = Some(refuse(CHUNK_GET, 1, REQUEST_RESYNCH, &[]));
        bench.succeeds(0);
    }

    each_version!(e8_silence_meets_the_deadline: V1_2 V1_3 V1_4);
    fn e8_silence_meets_the_deadline(version: Version) {
        let mut bench = chunked(version, 42);
        bench.config.deadline_us = 200_000;
        bench.latency_us = 10_000;
        let error = bench.attest().err().unwrap();
        assert_eq!(error.name(), "deadline-exceeded");
    }

    each_version!(k1_wrong_handle: V1_2 V1_3 V1_4);
    fn k1_wrong_handle(version: Version) {
        for number in [0, 1, 7] {
            with_chunk(version, number, |response| response[3] ^= 1)
                .fails("chunk-handle: GET_CERTIFICATE");
        }
        for number in [0, 1] {
            if LONG_CHALLENGE.contains(&version) {
                with_ack(version, number, |response| response[3] ^= 1)
                    .fails("chunk-handle: CHALLENGE");
            }
        }
    }

    #[test]
    fn k2_sequence_skipped_or_repeated() {
        for version in CHUNKING {
            for (number, wrong) in [(0, 1), (0, 0xff), (1, 0), (1, 2), (7, 6), (7, 8)] {
                with_chunk(version, number, move |response| response[4] = wrong)
                    .fails("chunk-sequence: GET_CERTIFICATE");
            }
            // The upper half is one from 1.4, and reserved before.
            let mut bench = with_chunk(version, 1, |response| response[6] = 1);
            match version {
                V1_4 => _ = bench.fails("chunk-sequence: GET_CERTIFICATE"),
                _ => bench.succeeds(0),
            }
        }
        for version in LONG_CHALLENGE {
            for (number, wrong) in [(0, 1), (1, 0), (1, 2)] {
                with_ack(version, number, move |response| response[4] = wrong)
                    .fails("chunk-sequence: CHALLENGE");
            }
        }
    }

    each_version!(k2_sequence_wrapped: V1_2 V1_3 V1_4);
    fn k2_sequence_wrapped(version: Version) {
        let mut sequence = Sequence::new(version.as_byte(), 0);
        sequence.next = 65_534;
        assert_eq!(sequence.advance(), Ok(()));
        assert_eq!(
            sequence.advance(),
            match version {
                V1_4 => Ok(()),
                _ => Err(Reason::ChunkSequence),
            }
        );
        sequence.next = u32::MAX;
        assert_eq!(sequence.advance(), Err(Reason::ChunkSequence));
    }

    each_version!(k3_empty_chunk: V1_2 V1_3 V1_4);
    fn k3_empty_chunk(version: Version) {
        for number in [0, 1, 7] {
            with_chunk(version, number, |response| {
                response[8..12].fill(0);
                response.truncate(if response[4] == 0 { 16 } else { 12 });
            })
            .fails("chunk-size: GET_CERTIFICATE");
        }
    }

    each_version!(k3_chunk_smaller_than_the_smallest_transfer: V1_2 V1_3 V1_4);
    fn k3_chunk_smaller_than_the_smallest_transfer(version: Version) {
        for number in [0, 1] {
            let mut bench = with_chunk(version, number, |response| {
                response.truncate(41);
                response[8] = 41 - if response[4] == 0 { 16 } else { 12 };
            });
            bench.alignment = 1;
            bench.fails("chunk-size: GET_CERTIFICATE");
        }
    }

    each_version!(k3_chunk_larger_than_the_rest: V1_2 V1_3 V1_4);
    fn k3_chunk_larger_than_the_rest(version: Version) {
        for number in [0, 1, 7] {
            with_chunk(version, number, |response| response[8..10].fill(0xff))
                .fails("chunk-size: GET_CERTIFICATE");
            with_chunk(version, number, |response| response[8..12].fill(0xff))
                .fails("chunk-size: GET_CERTIFICATE");
        }
        // The last one.
        with_chunk(version, 8, |response| response[8] += 1).fails("chunk-size: GET_CERTIFICATE");
    }

    each_version!(k3_chunk_not_all_there: V1_2 V1_3 V1_4);
    fn k3_chunk_not_all_there(version: Version) {
        for number in [0, 1, 7] {
            with_chunk(version, number, |response| response.truncate(60))
                .fails("truncated-response: GET_CERTIFICATE");
            with_chunk(version, number, |response| response.truncate(10))
                .fails("truncated-response: GET_CERTIFICATE");
            with_chunk(version, number, |response| response.extend([0; 4]))
                .fails("trailing-bytes: GET_CERTIFICATE");
        }
    }

    each_version!(k4_last_chunk_early_or_late: V1_2 V1_3 V1_4);
    fn k4_last_chunk_early_or_late(version: Version) {
        for number in [0, 1, 6, 7] {
            with_chunk(version, number, |response| response[2] ^= 1)
                .fails("last-chunk: GET_CERTIFICATE");
        }
        // Bits that are reserved.
        with_chunk(version, 1, |response| response[2] |= 0xfe).succeeds(0);
    }

    #[test]
    fn k4_no_last_chunk() {
        // Chunks without end, none of which is the last.
        for version in CHUNKING {
            let mut bench = chunked(version, 64);
            let codes = [GET_CERTIFICATE];
            bench.responder.instead = Some(Box::new(move |responder, request| {
                if codes.contains(&request[1]) {
                    return Some(Instead::Response(responder.error(LARGE_RESPONSE, &[9])));
                }
                if request[1] != CHUNK_GET || request[3] != 9 {
                    return None;
                }
                let mut message = vec![request[0], 0x06, 0, 9];
                message.extend([request[4], request[5], 0, 0, 48, 0, 0, 0]);
                if request[4] == 0 {
                    message.extend(4000u32.to_le_bytes());
                }
                message.extend([0x55; 48]);
                Some(Instead::Response(message))
            }));
            bench.fails("chunk-size: GET_CERTIFICATE");
            assert_eq!(count(&bench, CHUNK_GET), 84);
        }
    }

    each_version!(k5_total_out_of_limits: V1_2 V1_3 V1_4);
    fn k5_total_out_of_limits(version: Version) {
        for total in [0, 41, 42, 4075, 65_536, u32::MAX] {
            with_chunk(version, 0, move |response| {
                response[12..16].copy_from_slice(&total.to_le_bytes());
            })
            .fails("large-message-size: GET_CERTIFICATE");
        }
        // Another one than it is.
        with_chunk(version, 0, |response| response[12] -= 1).fails("chunk-size: GET_CERTIFICATE");
        with_chunk(version, 0, |response| response[12] += 1).fails("last-chunk: GET_CERTIFICATE");
    }

    each_version!(k5_total_in_the_buffer: V1_2 V1_3 V1_4);
    fn k5_total_in_the_buffer(version: Version) {
        // Of a CERTIFICATE of 424 bytes.
        let mut bench = chunked(version, 64);
        bench.buffer_size = 424 + 22;
        bench.responder.base_asym = BaseAsym::EcdsaP256;
        bench.succeeds(0);
    }

    each_version!(k6_large_response_within_a_large_response: V1_2 V1_3 V1_4);
    fn k6_large_response_within_a_large_response(version: Version) {
        let mut bench = chunked(version, 64);
        bench.responder.instead = Some(Box::new(|responder, request| {
            (request[1] == CHUNK_GET && responder.codes().contains(&GET_CERTIFICATE))
                .then(|| Instead::Response(responder.error(LARGE_RESPONSE, &[1])))
        }));
        bench.fails("large-response-illegal: GET_CERTIFICATE");

        // As what was put together.
        for rest in [vec![1], vec![0; 60]] {
            let mut bench = chunked(version, 64);
            bench.responder.instead = Some(Box::new(move |responder, request| {
                if request[1] != GET_CERTIFICATE {
                    return None;
                }
                let mut inner = responder.error(LARGE_RESPONSE, &rest);
                inner.resize(64, 0);
                Some(Instead::Response(responder.large(inner)))
            }));
            bench.fails("error-data-size: GET_CERTIFICATE");
        }
    }

    #[test]
    fn k7_without_chunk_cap() {
        for version in VERSIONS {
            for (code, name) in [
                (GET_CAPABILITIES, "GET_CAPABILITIES"),
                (NEGOTIATE_ALGORITHMS, "NEGOTIATE_ALGORITHMS"),
                (GET_DIGESTS, "GET_DIGESTS"),
                (GET_CERTIFICATE, "GET_CERTIFICATE"),
                (CHALLENGE, "CHALLENGE"),
            ] {
                let mut bench = Bench::new(version).instead(code, |responder| {
                    Instead::Response(responder.error(LARGE_RESPONSE, &[1]))
                });
                // Where SupportedAlgorithms were asked for, it may be large: the CHUNK_GET tells.
                if code != GET_CAPABILITIES || version < V1_3 {
                    bench.fails(&format!("large-response-illegal: {name}"));
                }
            }
        }
        // The flag is reserved there.
        for version in [V1_0, V1_1] {
            let mut bench = chunked(version, 64).instead(CHALLENGE, |responder| {
                Instead::Response(responder.error(LARGE_RESPONSE, &[1]))
            });
            bench.fails("large-response-illegal: CHALLENGE");
        }
    }

    each_version!(k7_for_version: V1_2 V1_3 V1_4);
    fn k7_for_version(version: Version) {
        let mut bench = chunked(version, 64).instead(GET_VERSION, |_| {
            Instead::Response(vec![0x10, 0x7f, LARGE_RESPONSE, 0, 1])
        });
        bench.fails("large-response-illegal: GET_VERSION");
    }

    each_version!(e12_extended_error_data_size: V1_2 V1_3 V1_4);
    fn e12_extended_error_data_size(version: Version) {
        for data in [vec![], vec![1, 0], vec![1, 2, 0, 0]] {
            let mut bench = chunked(version, 64).instead(CHALLENGE, move |responder| {
                Instead::Response(responder.error(LARGE_RESPONSE, &data))
            });
            bench.alignment = 1;
            bench.fails("error-data-size: CHALLENGE");
        }
    }

    /// The responder hands out `message` in chunks instead of a CERTIFICATE.
    fn with_large(version: Version, message: impl Fn(u8) -> Vec<u8> + 'static) -> Bench {
        let mut bench = chunked(version, 64);
        bench.responder.instead = Some(Box::new(move |responder, request| {
            (request[1] == GET_CERTIFICATE).then(|| {
                let message = message(request[0]);
                Instead::Response(responder.large(message))
            })
        }));
        bench
    }

    each_version!(k8_another_message_inside: V1_2 V1_3 V1_4);
    fn k8_another_message_inside(version: Version) {
        for code in [0x01, 0x03, 0x04, 0x05, 0x06, 0x61, 0x63, 0x86, 0xff] {
            with_large(version, move |version| {
                let mut message = vec![version, code];
                message.resize(200, 0);
                message
            })
            .fails("unexpected-response: GET_CERTIFICATE");
        }
        with_large(version, |version| {
            let mut message = vec![version ^ 1, 0x02];
            message.resize(200, 0);
            message
        })
        .fails("wrong-version: GET_CERTIFICATE");
        // No padding either.
        with_large(version, |version| {
            let mut message = vec![version, 0x02, 0, 0, 90, 0, 0, 0];
            message.resize(100, 0);
            message
        })
        .fails("trailing-bytes: GET_CERTIFICATE");
    }

    each_version!(k8_an_error_inside: V1_2 V1_3 V1_4);
    fn k8_an_error_inside(version: Version) {
        for (error, reason) in [
            (0x01, "error-response: slot 0: InvalidRequest"),
            (BUSY, "error-data-size: GET_CERTIFICATE"),
            (RESPONSE_NOT_READY, "error-data-size: GET_CERTIFICATE"),
            (REQUEST_RESYNCH, "error-data-size: GET_CERTIFICATE"),
        ] {
            with_large(version, move |version| {
                let mut message = vec![version, 0x7f, error, 0];
                message.resize(200, 0);
                message
            })
            .fails(reason);
        }
    }

    each_version!(k8_another_message_instead_of_a_chunk: V1_2 V1_3 V1_4);
    fn k8_another_message_instead_of_a_chunk(version: Version) {
        for code in [0x02, 0x05, 0x7e] {
            with_chunk(version, 1, move |response| response[1] = code)
                .fails("unexpected-response: GET_CERTIFICATE");
        }
        with_chunk(version, 1, |response| response[0] ^= 1).fails("wrong-version: GET_CERTIFICATE");
    }

    each_version!(every_bit_of_a_chunk_counts: V1_2 V1_3 V1_4);
    fn every_bit_of_a_chunk_counts(version: Version) {
        for number in [0, 1, 7, 8] {
            for (at, bit) in (0..64).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
                let reserved = match at {
                    2 => bit != 0,
                    6 | 7 => version != V1_4,
                    _ => false,
                };
                let mut bench = with_chunk(version, number, move |response| {
                    if let Some(byte) = response.get_mut(at) {
                        *byte ^= 1 << bit;
                    } else {
                        // Beyond the last: let it count, too.
                        response[0] ^= 1;
                    }
                });
                let result = bench.attest();
                assert_eq!(
                    result.is_ok(),
                    reserved,
                    "chunk {number}, byte {at}, bit {bit}"
                );
            }
        }
    }

    #[test]
    fn large_requests() {
        for version in LONG_CHALLENGE {
            for alignment in [1, 4] {
                let mut bench = receiving_chunks(version);
                bench.alignment = alignment;
                bench.succeeds(0);
                let requests = &bench.responder.requests;
                let sent: Vec<_> = requests
                    .iter()
                    .filter(|sent| sent[1] == CHUNK_SEND)
                    .collect();
                assert_eq!(sent.len(), 2);
                assert_eq!(
                    sent[0][..20],
                    [
                        [version.as_byte(), CHUNK_SEND, 0, 0],
                        [0, 0, 0, 0],
                        [26, 0, 0, 0],
                        [44, 0, 0, 0],
                        [version.as_byte(), CHALLENGE, 0, 0],
                    ]
                    .concat()
                );
                assert_eq!(
                    sent[1][..12],
                    [
                        [version.as_byte(), CHUNK_SEND, 1, 0],
                        [1, 0, 0, 0],
                        [18, 0, 0, 0]
                    ]
                    .concat()
                );
                // The next one has another handle.
                bench.succeeds(0);
                assert_eq!(count(&bench, CHUNK_SEND), 4);
            }
        }
        // It has 36 bytes.
        let mut bench = receiving_chunks(V1_2);
        bench.succeeds(0);
        assert_eq!(count(&bench, CHUNK_SEND), 0);
    }

    each_version!(requests_larger_than_the_transport: V1_3 V1_4);
    fn requests_larger_than_the_transport(version: Version) {
        let mut bench = chunked(version, usize::MAX);
        bench.alignment = 1;
        bench.max_message_size = 43;
        bench.responder.data_transfer_size = 43;
        bench.succeeds(0);
        assert_eq!(count(&bench, CHUNK_SEND), 2);
    }

    each_version!(requests_larger_than_the_largest: V1_3 V1_4);
    fn requests_larger_than_the_largest(version: Version) {
        let mut bench = receiving_chunks(version);
        bench.responder.max_spdm_msg_size = 43;
        bench.fails("request-too-large: CHALLENGE");
        bench.responder.max_spdm_msg_size = 44;
        bench.succeeds(0);
    }

    each_version!(a_large_response_to_a_large_request: V1_3 V1_4);
    fn a_large_response_to_a_large_request(version: Version) {
        let mut bench = receiving_chunks(version);
        bench.responder.transmit_size = 42;
        bench.succeeds(0);
        let codes = bench.responder.codes();
        let last = codes.iter().rposition(|code| *code == CHUNK_SEND).unwrap();
        assert!(codes[last + 1..].iter().all(|code| *code == CHUNK_GET));

        // LargeResponse within the CHUNK_SEND_ACK.
        let mut bench = receiving_chunks(version);
        bench.responder.instead = Some(Box::new(|responder, request| {
            if request[1] != CHALLENGE {
                return None;
            }
            let response = responder.honest(request);
            Some(Instead::Response(responder.large(response)))
        }));
        bench.responder.transmit_size = 424;
        bench.succeeds(0);
        assert_eq!(count(&bench, CHUNK_GET), 1);
    }

    each_version!(a_large_request_that_has_to_wait: V1_3 V1_4);
    fn a_large_request_that_has_to_wait(version: Version) {
        // The request itself, then one of its chunks.
        for code in [CHALLENGE, CHUNK_SEND] {
            let mut bench = receiving_chunks(version);
            bench.responder.instead = Some(refuse(code, 1, BUSY, &[]));
            bench.succeeds(0);
            assert_eq!(bench.platform.sleeps, [10_000]);
            let chunks = if code == CHALLENGE { 4 } else { 3 };
            assert_eq!(count(&bench, CHUNK_SEND), chunks);
        }
        let mut bench = receiving_chunks(version);
        let data = [14, CHALLENGE, 0x77, 4];
        bench.responder.instead = Some(refuse(CHALLENGE, 1, RESPONSE_NOT_READY, &data));
        bench.succeeds(0);
        assert_eq!(bench.platform.sleeps, [1 << 14]);
        assert_eq!(*bench.responder.codes().last().unwrap(), RESPOND_IF_READY);
    }

    each_version!(k6_early_error: V1_3 V1_4);
    fn k6_early_error(version: Version) {
        let early = |error: &'static [u8]| {
            with_ack(version, 0, move |response| {
                response[2] = 1;
                response.push(response[0]);
                response.extend(error);
            })
        };
        early(&[0x7f, 0x01, 0]).fails("error-response: CHALLENGE: InvalidRequest");
        early(&[0x7f, LARGE_RESPONSE, 0, 1]).fails("large-response-illegal: CHALLENGE");
        early(&[0x03, 0, 0]).fails("unexpected-response: CHALLENGE");
        let mut bench = early(&[0x7f]);
        bench.alignment = 1;
        bench.fails("truncated-response: CHALLENGE");
        // It is over before all was sent.
        let mut bench = early(&[0x7f, 0x01, 0]);
        assert!(bench.attest().is_err());
        assert_eq!(count(&bench, CHUNK_SEND), 1);
    }

    each_version!(k8_another_message_instead_of_an_acknowledgement: V1_3 V1_4);
    fn k8_another_message_instead_of_an_acknowledgement(version: Version) {
        for code in [0x03, 0x06, 0x7e] {
            with_ack(version, 0, move |response| response[1] = code)
                .fails("unexpected-response: CHALLENGE");
        }
        with_ack(version, 0, |response| response[0] ^= 1).fails("wrong-version: CHALLENGE");
        with_ack(version, 0, |response| response.extend([0; 4])).fails("trailing-bytes: CHALLENGE");
        let mut bench = with_ack(version, 0, |response| response.truncate(5));
        bench.alignment = 1;
        bench.fails("truncated-response: CHALLENGE");
        // A LargeResponse before there can be a response.
        with_ack(version, 0, |response| {
            *response = vec![response[0], 0x7f, LARGE_RESPONSE, 0, 1];
        })
        .fails("large-response-illegal: CHALLENGE");
        // What is within.
        let end = if version == V1_4 { 8 } else { 6 };
        with_ack(version, 1, move |response| response[end + 1] = 0x02)
            .fails("unexpected-response: CHALLENGE");
        with_ack(version, 1, move |response| response[end] ^= 1).fails("wrong-version: CHALLENGE");
        with_ack(version, 1, move |response| response.truncate(end))
            .fails("truncated-response: CHALLENGE");
    }
}
