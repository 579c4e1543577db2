// SPDX-License-Identifier: GPL-2.0

//! Transport over the Management Component Transport Protocol (DMTF DSP0236, DSP0275) through AF_MCTP sockets.

mod address;
mod control;
mod discovery;
mod net;
mod socket;

pub(crate) use address::Address;
pub(crate) use net::Watch;

use crate::{
    bindings,
    cancel::Cancel,
    platform::Stopwatch, //
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};
use socket::Socket;
use spdm_core::transport::{
    Transport,
    TransportError, //
};

/// Message type of SPDM (DSP0275, DSP0239 table 1).
const SPDM: u8 = 0x05;
/// A message integrity check follows the message (DSP0236, "IC").
const INTEGRITY_CHECK: u8 = 0x80;

/// Largest SPDM message in bytes that is sent or asked for; what is larger comes in chunks.
///
/// The kernel makes packets of messages, and messages of packets up to 64 KiB. One lost packet is a lost message, so it
/// is not as large as that.
const MAX_MESSAGE_SIZE: usize = 4096;

/// Worst case of a message there and one back. No standard has a number.
///
/// 4096 bytes are 64 packets of the least size (DSP0236, "Baseline transmission unit"); each is some 80 bytes on its
/// way with the framing of DSP0253 or DSP0237. At 100 kbit/s, ten bits for a byte, that is half a second: one there and
/// one back, and the same again for a bridge between two such links.
const ROUND_TRIP_US: u32 = 2_000_000;

/// How often a request is sent again, because MCTP has nothing against lost packets. DSP0236 asks for no fewer of control
/// messages ("Timing specifications", MN1).
///
/// Each has a socket and a tag of its own. With that of the one before, packets of a response that came in part would
/// spoil this one: the kernel drops both when a message begins twice. A late response is not heard; the one to the last
/// request says the same (DSP0274, "General ordering rules").
const RETRIES: usize = 2;

/// How long nothing is noticed of a cancellation.
const SLICE_MS: u64 = 50;

/// An MCTP endpoint.
///
/// # Invariants
///
/// `net` is valid as long as attestations can start: when the namespace goes, its endpoints are shut down before.
pub(crate) struct Peer {
    net: NonNull<bindings::net>,
    address: Address,
    /// What the leaf certificate has to name.
    name: Option<KVec<u8>>,
    /// The tag to try first.
    tag: Atomic<u32>,
}

// SAFETY: A network namespace may be used from any thread.
unsafe impl Send for Peer {}
// SAFETY: As above.
unsafe impl Sync for Peer {}

impl Peer {
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `net` is valid until the attester of the endpoint is shut down.
    unsafe fn new(
        net: NonNull<bindings::net>,
        address: Address,
        name: Option<&[u8]>,
    ) -> Result<Self> {
        let name = match name {
            Some(name) => {
                let mut copy = KVec::from_elem(0, name.len(), GFP_KERNEL)?;
                copy.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
                Some(copy)
            }
            None => None,
        };
        // INVARIANT: The contract is the invariant.
        Ok(Self {
            net,
            address,
            name,
            tag: Atomic::new(0),
        })
    }

    /// What the leaf certificate has to name, if an administrator said so.
    pub(crate) fn name(&self) -> Option<&[u8]> {
        self.name.as_deref()
    }

    /// Whether it is in that namespace.
    pub(crate) fn is_in(&self, net: *mut bindings::net) -> bool {
        self.net.as_ptr() == net
    }

    /// Whether it has that address there.
    fn is_at(&self, net: *mut bindings::net, address: Address) -> bool {
        self.is_in(net) && self.address == address
    }

    /// The way that messages to it take, and whether the device that carries them is up.
    ///
    /// # Safety
    ///
    /// Its namespace is valid.
    unsafe fn link(&self) -> (Way, bool) {
        let Address { network, eid } = self.address;
        let mut way = bindings::spdm_mctp_way::default();
        // SAFETY: By the contract; `way` can be written.
        let up =
            unsafe { bindings::spdm_mctp_find_way(self.net.as_ptr(), network, eid, &raw mut way) };
        (way.into(), up)
    }

    /// The way that messages to it take, if they get anywhere.
    ///
    /// # Safety
    ///
    /// Its namespace is valid.
    pub(crate) unsafe fn way(&self) -> Option<Way> {
        // SAFETY: By the contract.
        let (way, up) = unsafe { self.link() };
        up.then_some(way)
    }

    /// Whether messages to it leave by that device.
    ///
    /// # Safety
    ///
    /// Its namespace is valid.
    unsafe fn is_behind(&self, ifindex: i32) -> bool {
        // SAFETY: By the contract.
        unsafe { self.link() }.0.ifindex == ifindex
    }

    /// The transport, for one attestation that goes that way and no other.
    ///
    /// # Safety
    ///
    /// The attester has not been shut down, and that waits until the result is dropped.
    pub(crate) unsafe fn transport<'a>(&'a self, cancel: &'a Cancel, way: Option<Way>) -> Mctp<'a> {
        // INVARIANT: By the contract, the namespace is valid.
        Mctp {
            peer: self,
            cancel,
            way,
        }
    }
}

/// How messages get to an endpoint. On another way there may be another device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    ifindex: i32,
    mtu: u32,
    hop: u8,
    lladdr: [u8; 32],
}

impl From<bindings::spdm_mctp_way> for Way {
    fn from(way: bindings::spdm_mctp_way) -> Self {
        Self {
            ifindex: way.ifindex,
            mtu: way.mtu,
            hop: way.hop,
            lladdr: way.lladdr,
        }
    }
}

/// [`Peer`] in use.
///
/// # Invariants
///
/// The namespace of `peer` is valid.
pub(crate) struct Mctp<'a> {
    peer: &'a Peer,
    cancel: &'a Cancel,
    way: Option<Way>,
}

impl Mctp<'_> {
    /// Whether there is still a point in waiting.
    fn check(&self) -> Result<(), TransportError> {
        self.cancel
            .check()
            .map_err(|_| TransportError::Interrupted)?;
        // SAFETY: By the type invariant.
        let way = unsafe { self.peer.way() };
        match way.is_some() && way == self.way {
            true => Ok(()),
            // No route, another one than before, or a device that is down.
            false => Err(TransportError::Gone),
        }
    }

    /// Opens a socket, with another tag than the last had: what comes late for that is not for this one.
    fn open(&self) -> Result<Socket, TransportError> {
        let first = self.peer.tag.load(Relaxed) as u8;
        // SAFETY: By the type invariant.
        let socket = unsafe { Socket::open(self.peer.net, self.peer.address, SPDM, first) };
        let socket = socket.map_err(|_| TransportError::Io)?;
        let next = u32::from(socket.tag()).wrapping_add(1);
        self.peer.tag.store(next, Relaxed);
        Ok(socket)
    }
}

impl Transport for Mctp<'_> {
    fn max_message_size(&self) -> usize {
        MAX_MESSAGE_SIZE
    }

    fn alignment(&self) -> usize {
        1
    }

    fn round_trip_us(&self) -> u32 {
        ROUND_TRIP_US
    }

    fn retries(&self) -> usize {
        RETRIES
    }

    fn exchange(
        &mut self,
        request: &[u8],
        response: &mut [u8],
        timeout_us: u32,
    ) -> Result<usize, TransportError> {
        let stopwatch = Stopwatch::start();
        self.check()?;
        let socket = self.open()?;
        socket.send(request).map_err(link_error)?;
        loop {
            self.check()?;
            let left_us = u64::from(timeout_us).saturating_sub(stopwatch.elapsed_us());
            if left_us == 0 {
                return Err(TransportError::Timeout);
            }
            let wait_ms = left_us.div_ceil(1000).min(SLICE_MS) as u32;
            let (len, from) = match socket.receive(response, wait_ms) {
                Ok(received) => received,
                Err(bindings::EAGAIN) => continue,
                Err(error) => return Err(link_error(error)),
            };
            match from.type_ {
                _ if !socket.is_answer(&from) => {}
                SPDM if len > response.len() => return Err(TransportError::TooLarge),
                SPDM => return Ok(len),
                // DSP0275: SPDM messages have none.
                kind if kind == SPDM | INTEGRITY_CHECK => {
                    return Err(TransportError::IntegrityCheck)
                }
                // Of another kind: not the answer.
                _ => {}
            }
        }
    }
}

/// What is wrong with the link.
fn link_error(error: u32) -> TransportError {
    match error {
        // No route, or a device that is down or gone.
        bindings::EHOSTUNREACH | bindings::ENETUNREACH | bindings::ENETDOWN | bindings::ENODEV => {
            TransportError::Gone
        }
        bindings::EINTR | bindings::ERESTARTSYS => TransportError::Interrupted,
        _ => TransportError::Io,
    }
}
