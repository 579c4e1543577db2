// SPDX-License-Identifier: GPL-2.0

//! The protocol between QEMU and a responder: that of DMTF's spdm-emu, with DOE data objects.
//!
//! Each message is three big-endian u32, command, transport and size, and then the payload. QEMU
//! waits for each answer in the thread of its virtual CPU. So silence is told by an empty payload,
//! upon which QEMU's mailbox stays without a data object, as that of a silent device would, while
//! the guest runs on.

use crate::device::{Device, Reply};
use crate::fault::Fault;
use crate::log::Log;
use anyhow::{bail, Context, Result};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;

/// Request or response.
pub const COMMAND_NORMAL: u32 = 0x0001;
/// The client goes, another one may come.
pub const COMMAND_CONTINUE: u32 = 0xFFFD;
/// The client goes.
pub const COMMAND_SHUTDOWN: u32 = 0xFFFE;
/// The answer to what is not understood.
pub const COMMAND_UNKNOWN: u32 = 0xFFFF;
/// The client's hello.
pub const COMMAND_TEST: u32 = 0xDEAD;
/// Payloads are DOE data objects.
pub const TRANSPORT_PCI_DOE: u32 = 2;
/// QEMU takes no larger payload, in bytes.
pub const MAX_PAYLOAD: usize = 0x1200;

const DOE_HEADER_SIZE: usize = 8;
const DOE_VENDOR_PCI_SIG: u16 = 1;
const DOE_TYPE_DISCOVERY: u8 = 0;
const DOE_TYPE_SPDM: u8 = 1;
const DOE_TYPE_SECURED_SPDM: u8 = 2;

/// One message of the socket protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What to do.
    pub command: u32,
    /// What the payload is.
    pub transport: u32,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Reads a message; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// Fails if the stream does, ends within a message, or the payload is too large.
    pub fn read(stream: &TcpStream) -> Result<Option<Frame>> {
        let mut header = [0; 12];
        if !read_all(stream, &mut header)? {
            return Ok(None);
        }
        let word = |i: usize| {
            let word = &header[4 * i..4 * i + 4];
            word.iter().fold(0, |word, &b| (word << 8) | u32::from(b))
        };
        let size = word(2) as usize;
        if size > MAX_PAYLOAD {
            bail!("a payload of {size} bytes");
        }
        let mut payload = vec![0; size];
        if size > 0 && !read_all(stream, &mut payload)? {
            bail!("the stream ends within a message");
        }
        Ok(Some(Frame {
            command: word(0),
            transport: word(1),
            payload,
        }))
    }

    /// Writes a message at once: in pieces, Nagle's algorithm and delayed acknowledgements would
    /// hold each of them up.
    ///
    /// # Errors
    ///
    /// Fails if the stream does.
    pub fn write(&self, mut stream: &TcpStream) -> Result<()> {
        let size = u32::try_from(self.payload.len())?;
        let mut bytes = Vec::with_capacity(12 + self.payload.len());
        for word in [self.command, self.transport, size] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(&self.payload);
        stream.write_all(&bytes)?;
        Ok(())
    }
}

/// Fills `buffer`; `false` if the stream ends before its first byte.
fn read_all(mut stream: &TcpStream, buffer: &mut [u8]) -> Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        // The client writes in pieces and may wait for the acknowledgement of each; the kernel
        // forgets this option, so it is set again every time.
        SockRef::from(stream).set_tcp_quickack(true)?;
        match stream.read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => bail!("the stream ends within a message"),
            Ok(n) => filled += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Serves one connection until it ends.
///
/// # Errors
///
/// Fails if the stream does, or the client breaks the protocol.
pub fn serve(device: &Mutex<Device>, number: usize, stream: &TcpStream, log: &Log) -> Result<()> {
    stream.set_nodelay(true).context("TCP_NODELAY")?;
    lock(device).connected();
    log.event(number, "connected");
    while let Some(frame) = Frame::read(stream)? {
        let mut answer = Frame {
            command: frame.command,
            transport: frame.transport,
            payload: Vec::new(),
        };
        match frame.command {
            COMMAND_TEST => answer.payload = b"Server Hello!\0".to_vec(),
            COMMAND_NORMAL if frame.transport == TRANSPORT_PCI_DOE => {
                match data_object(device, number, &frame.payload, log) {
                    Object::Payload(payload) => answer.payload = payload,
                    Object::Close => return Ok(()),
                    Object::Hang => {
                        // Until the client has had enough.
                        while Frame::read(stream)?.is_some() {}
                        return Ok(());
                    }
                }
            }
            COMMAND_SHUTDOWN | COMMAND_CONTINUE => {
                log.event(number, "shutdown");
                // The client may be gone already.
                let _ = answer.write(stream);
                return Ok(());
            }
            _ => {
                answer.command = COMMAND_UNKNOWN;
                answer.write(stream)?;
                bail!(
                    "command {:#x} with transport {}",
                    frame.command,
                    frame.transport
                );
            }
        }
        answer.write(stream)?;
    }
    log.event(number, "disconnected");
    Ok(())
}

/// What becomes of a data object.
enum Object {
    /// Answered; if empty, by silence.
    Payload(Vec<u8>),
    Hang,
    Close,
}

fn lock(device: &Mutex<Device>) -> std::sync::MutexGuard<'_, Device> {
    // A device is whole between requests.
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

fn data_object(device: &Mutex<Device>, number: usize, object: &[u8], log: &Log) -> Object {
    let silence = Object::Payload(Vec::new());
    // An object whose length is not what was transferred is discarded (PCIe r6, 6.30.1).
    let (&[v0, v1, kind, _, l0, l1, l2, _], Some(body)) =
        (object.first_chunk().unwrap_or(&[0; 8]), object.get(8..))
    else {
        return silence;
    };
    let dwords = u32::from_le_bytes([l0, l1, l2 & 3, 0]) as usize;
    if u16::from_le_bytes([v0, v1]) != DOE_VENDOR_PCI_SIG || dwords * 4 != object.len() {
        log.event(number, "data object discarded");
        return silence;
    }
    match kind {
        DOE_TYPE_DISCOVERY => {
            let index = body.first().copied().unwrap_or(0);
            let cycle = lock(device).discovery_cycle();
            Object::Payload(wrap(DOE_TYPE_DISCOVERY, &discovery(index, cycle), &[]))
        }
        DOE_TYPE_SPDM => {
            log.message(number, "request", body);
            let answer = lock(device).respond(body);
            sleep(answer.delay);
            match answer.reply {
                Reply::Message(message) => {
                    log.message(number, "response", &message);
                    Object::Payload(wrap(DOE_TYPE_SPDM, &message, &answer.transport))
                }
                Reply::Silence => {
                    log.event(number, "silence");
                    silence
                }
                Reply::Hang => {
                    log.event(number, "hang");
                    Object::Hang
                }
                Reply::Close => {
                    log.event(number, "close");
                    Object::Close
                }
            }
        }
        _ => silence,
    }
}

/// A discovery response: vendor, type, next index (PCIe r6, 6.30.1.1).
fn discovery(index: u8, cycle: bool) -> [u8; 4] {
    let (kind, next) = match index {
        0 => (DOE_TYPE_DISCOVERY, 1),
        1 => (DOE_TYPE_SPDM, 0),
        _ if cycle => (DOE_TYPE_SPDM, 0),
        _ => return [0xFF, 0xFF, 0xFF, 0],
    };
    let next = if cycle { index % 0xFF + 1 } else { next };
    let [low, high] = DOE_VENDOR_PCI_SIG.to_le_bytes();
    [low, high, kind, next]
}

/// A data object around `content`.
fn wrap(kind: u8, content: &[u8], faults: &[Fault]) -> Vec<u8> {
    let mut object = Vec::with_capacity(DOE_HEADER_SIZE + content.len() + 3);
    object.extend(DOE_VENDOR_PCI_SIG.to_le_bytes());
    object.extend([kind, 0, 0, 0, 0, 0]);
    object.extend(content);
    let padding = if faults.contains(&Fault::DoePadding) {
        0xA5
    } else {
        0
    };
    object.resize(object.len().next_multiple_of(4), padding);
    // CAST: a payload is at most MAX_PAYLOAD bytes, as messages are limited.
    let mut dwords = (object.len() / 4) as u32;
    for fault in faults {
        match fault {
            Fault::DoeLengthMax => dwords = 0,
            Fault::DoeLengthOne => dwords = 1,
            Fault::DoeLengthLong => dwords += 1,
            Fault::DoeLengthShort => dwords -= 1,
            Fault::DoeVendor => object[0] ^= 0xFF,
            Fault::DoeType => object[2] = DOE_TYPE_SECURED_SPDM,
            _ => {}
        }
    }
    object[4..8].copy_from_slice(&dwords.to_le_bytes());
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_padded_and_counted() {
        let object = wrap(DOE_TYPE_SPDM, &[1, 2, 3, 4, 5], &[]);
        assert_eq!(object, [1, 0, 1, 0, 4, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0]);
        let object = wrap(
            DOE_TYPE_SPDM,
            &[1],
            &[Fault::DoePadding, Fault::DoeLengthMax],
        );
        assert_eq!(object, [1, 0, 1, 0, 0, 0, 0, 0, 1, 0xA5, 0xA5, 0xA5]);
    }

    #[test]
    fn discovery_ends_unless_it_must_not() {
        assert_eq!(discovery(0, false), [1, 0, 0, 1]);
        assert_eq!(discovery(1, false), [1, 0, 1, 0]);
        assert_eq!(discovery(2, false), [0xFF, 0xFF, 0xFF, 0]);
        let mut index = 0;
        for _ in 0..1000 {
            index = discovery(index, true)[3];
            assert_ne!(index, 0);
        }
    }
}
