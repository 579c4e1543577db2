// SPDX-License-Identifier: GPL-2.0

//! Requests of rtnetlink for MCTP (Documentation/networking/mctp.rst in the kernel's source).

use anyhow::{bail, Context, Result};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read};

const AF_NETLINK: i32 = 16;
const NETLINK_ROUTE: i32 = 0;
pub const AF_MCTP: u8 = 45;

const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const REQUEST_ACK: u16 = 0x0005;
const CREATE: u16 = 0x0400;

const NESTED: u16 = 0x8000;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_MCTP_NET: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_METRICS: u16 = 8;
const RTAX_MTU: u16 = 2;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const RTN_UNICAST: u8 = 1;
const IFF_UP: u32 = 1;

const HEADER_SIZE: usize = 16;

/// A message to the kernel.
pub struct Request(Vec<u8>);

/// An attribute, padded.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    // CAST: values are short.
    let length = (4 + value.len()) as u16;
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

impl Request {
    fn new(kind: u16, flags: u16, body: &[u8], attributes: &[Vec<u8>]) -> Request {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST_ACK | flags).to_ne_bytes());
        // Sequence and port: there is one message, and its answer.
        bytes.extend([0; 8]);
        bytes.extend(body);
        bytes.extend(attributes.concat());
        // CAST: it is short.
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        Request(bytes)
    }

    /// `struct ifinfomsg`, with attributes.
    fn link(index: u32, flags: u32, change: u32, attributes: &[Vec<u8>]) -> Request {
        let mut body = vec![0; 4];
        body.extend(index.to_ne_bytes());
        body.extend(flags.to_ne_bytes());
        body.extend(change.to_ne_bytes());
        Request::new(RTM_NEWLINK, 0, &body, attributes)
    }

    pub fn up(index: u32, up: bool) -> Request {
        Request::link(index, if up { IFF_UP } else { 0 }, IFF_UP, &[])
    }

    pub fn netns(index: u32, process: u32) -> Request {
        let process = attribute(IFLA_NET_NS_PID, &process.to_ne_bytes());
        Request::link(index, 0, 0, &[process])
    }

    pub fn net(index: u32, network: u32) -> Request {
        let network = attribute(IFLA_MCTP_NET, &network.to_ne_bytes());
        let family = attribute(u16::from(AF_MCTP) | NESTED, &network);
        Request::link(index, 0, 0, &[attribute(IFLA_AF_SPEC | NESTED, &family)])
    }

    pub fn addr(index: u32, eid: u8, delete: bool) -> Request {
        let (kind, flags) = match delete {
            true => (RTM_DELADDR, 0),
            false => (RTM_NEWADDR, CREATE),
        };
        let mut body = vec![AF_MCTP, 0, 0, 0];
        body.extend(index.to_ne_bytes());
        Request::new(kind, flags, &body, &[attribute(IFA_LOCAL, &[eid])])
    }

    /// To `eid` and the `extent` EIDs that follow.
    pub fn route(index: u32, eid: u8, extent: u8, mtu: Option<u32>, delete: bool) -> Request {
        let (kind, flags) = match delete {
            true => (RTM_DELROUTE, 0),
            false => (RTM_NEWROUTE, CREATE),
        };
        let body = [AF_MCTP, extent, 0, 0, 0, 0, 0, RTN_UNICAST, 0, 0, 0, 0];
        let to = attribute(RTA_DST, &[eid]);
        let through = attribute(RTA_OIF, &index.to_ne_bytes());
        let mut attributes = vec![to, through];
        if let Some(mtu) = mtu {
            let mtu = attribute(RTAX_MTU, &mtu.to_ne_bytes());
            attributes.push(attribute(RTA_METRICS | NESTED, &mtu));
        }
        Request::new(kind, flags, &body, &attributes)
    }

    pub fn neigh(index: u32, eid: u8, delete: bool) -> Request {
        let (kind, flags) = match delete {
            true => (RTM_DELNEIGH, 0),
            false => (RTM_NEWNEIGH, CREATE),
        };
        let mut body = vec![AF_MCTP, 0, 0, 0];
        body.extend(index.to_ne_bytes());
        body.extend([0; 4]);
        let to = attribute(NDA_DST, &[eid]);
        // A serial line has no addresses.
        let at = attribute(NDA_LLADDR, &[]);
        Request::new(kind, flags, &body, &[to, at])
    }

    /// Sends it, in the network namespace of this process, and waits until it is done.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn send(&self) -> Result<()> {
        let family = Domain::from(AF_NETLINK);
        let protocol = Protocol::from(NETLINK_ROUTE);
        let mut socket = Socket::new(family, Type::RAW, Some(protocol)).context("netlink")?;
        socket.send(&self.0).context("netlink")?;
        let mut answer = [0; 4096];
        let size = socket.read(&mut answer).context("netlink")?;
        let answer = answer.get(..size).unwrap_or_default();
        match parse(answer) {
            Some(0) => Ok(()),
            Some(error) => Err(io::Error::from_raw_os_error(error).into()),
            None => bail!("netlink: no acknowledgment but {answer:02x?}"),
        }
    }
}

/// The error number in an acknowledgment.
fn parse(answer: &[u8]) -> Option<i32> {
    let kind = answer.get(4..6)?.try_into().ok()?;
    let error = answer.get(HEADER_SIZE..HEADER_SIZE + 4)?.try_into().ok()?;
    (u16::from_ne_bytes(kind) == NLMSG_ERROR).then(|| i32::from_ne_bytes(error).wrapping_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn requests_byte_by_byte() {
        let Request(bytes) = Request::route(3, 9, 1, None, false);
        let header = [44, 0, 0, 0, 24, 0, 5, 4, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(bytes[..16], header);
        assert_eq!(bytes[16..28], [45, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(bytes[28..36], [5, 0, 1, 0, 9, 0, 0, 0]);
        assert_eq!(bytes[36..], [8, 0, 4, 0, 3, 0, 0, 0]);
        let Request(bytes) = Request::route(3, 9, 0, Some(68), false);
        assert_eq!(bytes[44..], [12, 0, 8, 128, 8, 0, 2, 0, 68, 0, 0, 0]);
        let Request(bytes) = Request::net(3, 2);
        assert_eq!(
            bytes[32..],
            [16, 0, 26, 128, 12, 0, 45, 128, 8, 0, 1, 0, 2, 0, 0, 0]
        );
        let Request(bytes) = Request::neigh(3, 9, true);
        assert_eq!(bytes[16..28], [45, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[28..], [5, 0, 1, 0, 9, 0, 0, 0, 4, 0, 2, 0]);
        for request in [Request::up(3, true), Request::addr(3, 8, true)] {
            assert_eq!(usize::from(request.0[0]), request.0.len());
        }
    }

    #[test]
    fn answers_are_errors_or_none() {
        let mut answer = [0; 36];
        assert_eq!(parse(&answer), None);
        answer[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        assert_eq!(parse(&answer), Some(0));
        answer[16..20].copy_from_slice(&(-17_i32).to_ne_bytes());
        assert_eq!(parse(&answer), Some(17));
        assert_eq!(parse(&answer[..19]), None);
    }

    #[test]
    fn kernel_answers() {
        // There is no such device, whoever asks.
        assert!(Request::up(u32::MAX >> 1, true).send().is_err());
    }
}
