// SPDX-License-Identifier: GPL-2.0

//! AF_MCTP sockets of the kernel.
//!
//! C header: [`include/uapi/linux/mctp.h`](srctree/include/uapi/linux/mctp.h)

use super::address::Address;
use crate::{
    bindings,
    keyring::KernelCredentials, //
};
use core::ptr::NonNull;
use kernel::{
    bindings::{
        net,
        socket, //
    },
    error::from_err_ptr,
    ffi::c_int,
    prelude::*, //
};

/// Who a message is from.
pub(super) type From = bindings::spdm_mctp_address;

/// A socket for one request and its answer, with a message tag of its own: an answer to another request, or from
/// another endpoint, does not come to it.
///
/// # Invariants
///
/// `socket` is valid until it is closed, and `self` owns it.
pub(super) struct Socket {
    socket: NonNull<socket>,
    to: bindings::spdm_mctp_address,
}

impl Socket {
    /// Opens a socket for a message of that type to `address`. Takes the first tag that is free from `tag`.
    ///
    /// # Errors
    ///
    /// `EBUSY` if all tags are in use, `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `net` is alive until the socket is dropped.
    pub(super) unsafe fn open(
        net: NonNull<net>,
        address: Address,
        message_type: u8,
        mut tag: u8,
    ) -> Result<Self> {
        let Address { network, eid } = address;
        // SAFETY: By the contract; `tag` can be written.
        let socket = from_err_ptr(unsafe {
            bindings::spdm_mctp_open(net.as_ptr(), network, eid, &raw mut tag)
        })?;
        // INVARIANT: The function made a socket.
        Ok(Self {
            socket: NonNull::new(socket).ok_or(ENOMEM)?,
            to: bindings::spdm_mctp_address {
                network,
                eid,
                type_: message_type,
                tag,
            },
        })
    }

    /// The message tag.
    pub(super) fn tag(&self) -> u8 {
        self.to.tag
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// A number of `errno.h`.
    pub(super) fn send(&self, message: &[u8]) -> Result<(), u32> {
        // Who asked for an attestation need not be allowed to send such messages.
        let _credentials = KernelCredentials::assume();
        // SAFETY: The socket is valid by the type invariant, the message for its length.
        let sent = unsafe {
            bindings::spdm_mctp_send(
                self.socket.as_ptr(),
                &raw const self.to,
                message.as_ptr(),
                message.len(),
            )
        };
        size(sent).map(|_| ())
    }

    /// Waits for a message for that long. Returns its length, which may be more than that of `buffer`.
    ///
    /// # Errors
    ///
    /// A number of `errno.h`, `EAGAIN` if none came.
    pub(super) fn receive(&self, buffer: &mut [u8], timeout_ms: u32) -> Result<(usize, From), u32> {
        let mut from = From::default();
        // SAFETY: The socket is valid by the type invariant; what is pointed to can be written.
        let received = unsafe {
            bindings::spdm_mctp_receive(
                self.socket.as_ptr(),
                &raw mut from,
                buffer.as_mut_ptr(),
                buffer.len(),
                timeout_ms,
            )
        };
        size(received).map(|len| (len, from))
    }

    /// Whether `from` is who the request went to, and this its tag: which the kernel has seen to.
    pub(super) fn is_answer(&self, from: &From) -> bool {
        (from.network, from.eid, from.tag) == (self.to.network, self.to.eid, self.to.tag)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::spdm_mctp_close(self.socket.as_ptr()) };
    }
}

fn size(result: c_int) -> Result<usize, u32> {
    usize::try_from(result).map_err(|_| result.unsigned_abs())
}

#[cfg(CONFIG_SPDM_KUNIT_TEST)]
#[kunit_tests(spdm_mctp_socket)]
mod tests {
    use super::*;

    fn open(network: u32, eid: u8, tag: u8) -> Result<Socket> {
        let net = NonNull::new(&raw mut bindings::init_net).ok_or(ENODEV)?;
        // SAFETY: The initial namespace is always there.
        unsafe { Socket::open(net, Address { network, eid }, 5, tag) }
    }

    /// Nobody uses this network.
    const NETWORK: u32 = u32::MAX;

    #[test]
    fn tags_are_not_shared() -> Result {
        let mut sockets = KVec::new();
        for tag in [3, 4, 5, 6, 7, 0, 1, 2] {
            let socket = open(NETWORK, 9, 3)?;
            assert_eq!(socket.tag(), tag);
            sockets.push(socket, GFP_KERNEL)?;
        }
        assert_eq!(open(NETWORK, 9, 3).err(), Some(EBUSY));
        // Those of another endpoint or network are others.
        assert_eq!(open(NETWORK, 10, 3)?.tag(), 3);
        assert_eq!(open(NETWORK - 1, 9, 3)?.tag(), 3);
        // One that is closed gives its tag back.
        drop(sockets.pop());
        assert_eq!(open(NETWORK, 9, 3)?.tag(), 2);
        Ok(())
    }

    #[test]
    fn nothing_is_sent_without_a_route() -> Result {
        let socket = open(NETWORK, 9, 0)?;
        assert_eq!(socket.send(&[0]), Err(bindings::EHOSTUNREACH));
        let mut buffer = [0];
        assert_eq!(socket.receive(&mut buffer, 0).err(), Some(bindings::EAGAIN));
        Ok(())
    }
}
