// SPDX-License-Identifier: GPL-2.0

//! The protocol between QEMU and a responder: that of DMTF's spdm-emu, with DOE data objects.
//!
//! Each message is three big-endian u32, command, transport and size, and then the payload. QEMU
//! waits for each answer in the thread of its virtual CPU. So silence is told by an empty payload,
//! upon which QEMU's mailbox stays without a data object, as that of a silent device would, while
//! the guest runs on.

use crate::device::Device;
use crate::doe::{self, lock, Outcome};
use crate::log::Log;
use anyhow::{bail, Context, Result};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;

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
                match doe::answer(device, number, &frame.payload, log) {
                    Outcome::Object(object) => answer.payload = object,
                    Outcome::Silence => {}
                    Outcome::Close => return Ok(()),
                    Outcome::Hang => {
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
