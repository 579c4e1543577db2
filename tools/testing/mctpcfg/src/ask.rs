// SPDX-License-Identifier: GPL-2.0

//! Questions to endpoints, through the kernel's sockets (AF_MCTP).

use crate::netlink::AF_MCTP;
use anyhow::{bail, ensure, Context, Result};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::Read;
use std::ptr::copy_nonoverlapping;
use std::time::Duration;

const TYPE_CONTROL: u8 = 0;
const TYPE_SPDM: u8 = 5;
/// The kernel chooses a tag.
const TAG_OWNER: u8 = 8;

/// A `struct sockaddr_mctp` (linux/mctp.h).
fn address(network: u32, eid: u8, kind: u8) -> Result<SockAddr> {
    let mut bytes = Vec::new();
    bytes.extend(u16::from(AF_MCTP).to_ne_bytes());
    bytes.extend([0; 2]);
    bytes.extend(network.to_ne_bytes());
    bytes.extend([eid, kind, TAG_OWNER, 0]);
    // SAFETY: The family comes first, as in every address, and the length is that of what is written, which is less
    // than any storage has.
    let (_, address) = unsafe {
        SockAddr::try_init(|storage, length| {
            copy_nonoverlapping(bytes.as_ptr(), storage.cast::<u8>(), bytes.len());
            // CAST: it is 12.
            *length = bytes.len() as u32;
            Ok(())
        })
    }?;
    Ok(address)
}

/// What an endpoint answers to a message of a type.
fn ask(network: u32, eid: u8, kind: u8, message: &[u8], limit: Duration) -> Result<Vec<u8>> {
    let family = Domain::from(i32::from(AF_MCTP));
    let mut socket = Socket::new(family, Type::DGRAM, None).context("AF_MCTP")?;
    socket.set_read_timeout(Some(limit))?;
    socket
        .send_to(message, &address(network, eid, kind)?)
        .context("send")?;
    let mut answer = vec![0; 64 * 1024];
    let size = socket.read(&mut answer).context("receive")?;
    answer.truncate(size);
    Ok(answer)
}

/// Get Message Type Support (DSP0236).
///
/// # Errors
///
/// If it is not answered, or answered wrong.
pub fn types(network: u32, eid: u8, limit: Duration) -> Result<Vec<String>> {
    let answer = ask(network, eid, TYPE_CONTROL, &[0x80, 0x05], limit)?;
    let &[0x00, 0x05, 0, count, ref types @ ..] = &answer[..] else {
        bail!("answered {answer:02x?}");
    };
    ensure!(types.len() == usize::from(count), "answered {answer:02x?}");
    Ok(types.iter().map(u8::to_string).collect())
}

/// GET_VERSION (DSP0274).
///
/// # Errors
///
/// If it is not answered, or answered wrong.
pub fn versions(network: u32, eid: u8, limit: Duration) -> Result<Vec<String>> {
    let answer = ask(network, eid, TYPE_SPDM, &[0x10, 0x84, 0, 0], limit)?;
    let &[0x10, 0x04, _, _, _, count, ref versions @ ..] = &answer[..] else {
        bail!("answered {answer:02x?}");
    };
    ensure!(
        versions.len() == 2 * usize::from(count),
        "answered {answer:02x?}"
    );
    let name = |entry: &[u8]| match entry {
        [_, version] => format!("{}.{}", version >> 4, version & 0xF),
        _ => String::new(),
    };
    Ok(versions.chunks(2).map(name).collect())
}
