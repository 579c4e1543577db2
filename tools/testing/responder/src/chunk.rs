// SPDX-License-Identifier: GPL-2.0

//! Large messages in chunks (DSP0274, "Large SPDM message transfer mechanism", 1.2).
//!
//! What is in chunks was made, and entered the transcript, as a whole before: see [`crate::device`].

use crate::config::Active;
use crate::fault::Fault;
use crate::message::{u16_at, u32_at, Exchange, ERROR, HEADER_SIZE, VERSION_14};

/// Request code of CHUNK_SEND.
pub const CHUNK_SEND: u8 = 0x85;
/// Request code of CHUNK_GET.
pub const CHUNK_GET: u8 = 0x86;

/// Param1 of CHUNK_SEND and CHUNK_RESPONSE: LastChunk.
const LAST_CHUNK: u8 = 1;
/// Param1 of CHUNK_SEND_ACK: EarlyErrorDetected.
const EARLY_ERROR: u8 = 1;
/// Bytes before the chunk in CHUNK_SEND and CHUNK_RESPONSE, without LargeMessageSize.
const HEAD_SIZE: usize = 12;

/// ChunkSeqNo at the end of a header: 16 bits up to 1.3, 32 from 1.4 on. `None` if it is not there.
fn sequence_number(version: u8, message: &[u8]) -> Option<u32> {
    if version < VERSION_14 {
        u16_at(message, HEADER_SIZE).map(u32::from)
    } else {
        u32_at(message, HEADER_SIZE)
    }
}

/// Puts a ChunkSeqNo at the end of a header.
fn put_sequence_number(version: u8, message: &mut Vec<u8>, number: u32) {
    let size = if version < VERSION_14 { 2 } else { 4 };
    message.extend(&number.to_le_bytes()[..size]);
}

/// A response that is fetched with CHUNK_GET.
#[derive(Clone, Debug)]
pub struct LargeResponse {
    /// Which exchange it ends.
    pub exchange: Exchange,
    /// Handle, by which CHUNK_GET asks for it.
    pub handle: u8,
    message: Vec<u8>,
    sent: usize,
    next: u32,
}

impl LargeResponse {
    /// Begins to send `message`.
    pub fn new(exchange: Exchange, handle: u8, message: Vec<u8>) -> Self {
        LargeResponse {
            exchange,
            handle,
            message,
            sent: 0,
            next: 0,
        }
    }

    /// Whether all of it was sent.
    pub fn is_complete(&self) -> bool {
        self.sent == self.message.len()
    }

    /// Whether `request` is the CHUNK_GET for what comes next.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(&self, version: u8, request: &[u8]) -> Result<(), &'static str> {
        let size = if version < VERSION_14 { 6 } else { 8 };
        // DOE pads to dwords.
        let padding = request.get(size..).ok_or("size")?;
        if padding.len() > 3 || padding.iter().any(|&byte| byte != 0) {
            Err("size")
        } else if request[0] != version {
            Err("version in the header")
        } else if request[2] != 0 {
            Err("a reserved field is not zero")
        } else if request[3] != self.handle {
            Err("Handle")
        } else if sequence_number(version, request) != Some(self.next) {
            Err("ChunkSeqNo")
        } else {
            Ok(())
        }
    }

    /// The next CHUNK_RESPONSE, of at most `room` bytes.
    pub fn next(&mut self, version: u8, room: usize) -> Vec<u8> {
        let first = self.next == 0;
        let head = HEAD_SIZE + if first { 4 } else { 0 };
        let rest = &self.message[self.sent..];
        let (chunk, rest) = rest.split_at(rest.len().min(room - head));
        let last = if rest.is_empty() { LAST_CHUNK } else { 0 };
        let code = CHUNK_GET & 0x7F;
        let mut response = vec![version, code, last, self.handle];
        put_sequence_number(version, &mut response, self.next);
        response.resize(8, 0);
        // CAST: messages are small.
        response.extend((chunk.len() as u32).to_le_bytes());
        if first {
            response.extend((self.message.len() as u32).to_le_bytes());
        }
        response.extend(chunk);
        self.sent += chunk.len();
        self.next += 1;
        response
    }

    /// Changes the message before any of it is sent. Whether that is what `active` does.
    pub fn change_whole(&mut self, active: &Active) -> bool {
        match active.fault {
            Fault::ChunkOtherMessage => {
                self.message[1] = match self.exchange {
                    Exchange::Digests => Exchange::Certificate.response_code(),
                    _ => Exchange::Digests.response_code(),
                };
            }
            Fault::ChunkOtherVersion => self.message[0] ^= 1,
            Fault::ChunkNestedInside => {
                self.message[1..3].copy_from_slice(&[ERROR, 0x0F]);
                self.message[3..].fill(0);
            }
            Fault::ChunkErrorInside => {
                self.message[1..3].copy_from_slice(&[ERROR, 0x05]);
                self.message[3..].fill(0);
            }
            _ => return false,
        }
        true
    }

    /// Changes a CHUNK_RESPONSE that [`Self::next`] made. Whether that is what `active` does.
    pub fn change(&self, active: &Active, version: u8, response: &mut Vec<u8>) -> bool {
        let (first, last) = (self.next == 1, self.is_complete());
        let set = |response: &mut Vec<u8>, at: usize, value: u32| {
            response[at..at + 4].copy_from_slice(&value.to_le_bytes());
        };
        let set_number = |response: &mut Vec<u8>, number: u32| {
            let size = if version < VERSION_14 { 2 } else { 4 };
            response[4..4 + size].copy_from_slice(&number.to_le_bytes()[..size]);
        };
        match active.fault {
            Fault::ChunkHandle => response[3] ^= 1,
            Fault::ChunkSkipped if !first => set_number(response, self.next),
            Fault::ChunkRepeated if !first => set_number(response, self.next - 2),
            Fault::ChunkWrapped if first => set_number(response, u32::MAX),
            Fault::ChunkEmpty if !last => {
                response.truncate(HEAD_SIZE + if first { 4 } else { 0 });
                set(response, 8, 0);
            }
            Fault::ChunkTooLarge => set(response, 8, u32::MAX),
            Fault::ChunkCut => response.truncate(response.len() - 4),
            Fault::LastChunkEarly if first && !last => response[2] |= LAST_CHUNK,
            Fault::LastChunkLate if last => response[2] &= !LAST_CHUNK,
            Fault::LargeSizeZero if first => set(response, HEAD_SIZE, 0),
            Fault::LargeSizeSmall if first => set(response, HEAD_SIZE, 32),
            Fault::LargeSizeMax if first => set(response, HEAD_SIZE, u32::MAX),
            // The last chunk is then not the last.
            Fault::LargeSizeLonger if first => {
                // CAST: messages are small.
                set(response, HEAD_SIZE, self.message.len() as u32 + 1);
            }
            Fault::ChunkNoChunk => response[1] = Exchange::Digests.response_code(),
            Fault::ChunkNested => {
                response.truncate(HEADER_SIZE);
                response[1..4].copy_from_slice(&[ERROR, 0x0F, 0]);
                response.push(self.handle.wrapping_add(1));
            }
            Fault::ChunkError => {
                response.truncate(HEADER_SIZE);
                response[1..4].copy_from_slice(&[ERROR, 0x05, 0]);
            }
            Fault::ChunkTrailing => response.extend([0xA5; 4]),
            _ => return false,
        }
        true
    }
}

/// A request that comes with CHUNK_SEND.
#[derive(Clone, Debug)]
pub struct LargeRequest {
    handle: u8,
    message: Vec<u8>,
    total: usize,
    next: u32,
}

impl LargeRequest {
    /// Takes a CHUNK_SEND; `begun` are those before it. Returns what there is of the request, and
    /// whether that is all of it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn take(
        begun: Option<LargeRequest>,
        version: u8,
        request: &[u8],
    ) -> Result<(LargeRequest, bool), &'static str> {
        let size = u32_at(request, 8).ok_or("size")? as usize;
        let number = sequence_number(version, request).ok_or("size")?;
        if request[0] != version {
            return Err("version in the header");
        }
        if version < VERSION_14 && request[6..8] != [0, 0] || request[2] & !LAST_CHUNK != 0 {
            return Err("a reserved field is not zero");
        }
        let (mut large, head) = match begun {
            Some(begun) if number != 0 => (begun, HEAD_SIZE),
            None if number == 0 => {
                let total = u32_at(request, HEAD_SIZE).ok_or("size")? as usize;
                let handle = request[3];
                let begun = LargeRequest {
                    handle,
                    message: Vec::new(),
                    total,
                    next: 0,
                };
                (begun, HEAD_SIZE + 4)
            }
            _ => return Err("ChunkSeqNo"),
        };
        if number != large.next || request[3] != large.handle {
            return Err("ChunkSeqNo or Handle");
        }
        let Some((chunk, padding)) = request[head..].split_at_checked(size) else {
            return Err("ChunkSize");
        };
        if padding.len() > 3 || padding.iter().any(|&byte| byte != 0) {
            return Err("bytes after the chunk");
        }
        large.message.extend(chunk);
        large.next += 1;
        let last = request[2] & LAST_CHUNK != 0;
        if last != (large.message.len() == large.total) || large.message.len() > large.total {
            return Err("LastChunk or LargeMessageSize");
        }
        Ok((large, last))
    }

    /// What came so far.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The exchange that it begins, if that much came.
    pub fn exchange(&self) -> Option<Exchange> {
        self.message
            .get(1)
            .and_then(|&code| Exchange::from_request_code(code))
    }

    /// CHUNK_SEND_ACK for the chunk taken last, with the response to the whole, if there is one.
    pub fn acknowledge(&self, version: u8, response: &[u8]) -> Vec<u8> {
        let mut ack = vec![version, CHUNK_SEND & 0x7F, 0, self.handle];
        put_sequence_number(version, &mut ack, self.next - 1);
        ack.extend(response);
        ack
    }

    /// Changes a CHUNK_SEND_ACK. Whether that is what `active` does.
    pub fn change(&self, active: &Active, version: u8, ack: &mut Vec<u8>) -> bool {
        match active.fault {
            Fault::ChunkAckHandle => ack[3] ^= 1,
            Fault::ChunkAckSequence => ack[4] ^= 1,
            Fault::ChunkAckEarly if self.message.len() < self.total => {
                ack[2] |= EARLY_ERROR;
                ack.extend([version, Exchange::Challenge.response_code(), 0, 0]);
            }
            _ => return false,
        }
        true
    }
}
