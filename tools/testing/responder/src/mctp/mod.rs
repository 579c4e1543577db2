// SPDX-License-Identifier: GPL-2.0

//! SPDM over MCTP (DSP0275), on serial lines (DSP0253).
//!
//! [`frame`] and [`packet`] are what the line carries, [`control`] is the other protocol an endpoint
//! speaks, here is how it answers a request, honestly or not; none of them reads or writes anything.
//! [`link`] does.

pub mod control;
pub mod frame;
pub mod link;
pub mod packet;

use crate::fault::Fault;
use packet::{split, Eid, Header, BASELINE_UNIT, HEADER_SIZE};
use std::time::Duration;

/// The first byte of a message: control protocol.
pub const TYPE_CONTROL: u8 = 0x00;
/// SPDM.
pub const TYPE_SPDM: u8 = 0x05;
/// Secured messages.
const TYPE_SECURED: u8 = 0x06;
/// In the same byte: an integrity check follows the message. SPDM has none (DSP0275).
pub const INTEGRITY_CHECK: u8 = 0x80;

/// Where the flags of a packet are.
const FLAGS: usize = 3;
const START: u8 = 0x80;
const END: u8 = 0x40;
/// Two from the right one, in the sequence number.
const TWO_ON: u8 = 0x20;
/// More than the kernel puts together.
const ENDLESS: usize = 80 * 1024;
/// The kernel forgets a tag after 6 s.
const LATE: Duration = Duration::from_secs(8);

/// An EID that is not `eid`.
fn another(eid: Eid) -> Eid {
    eid ^ 0x40
}

/// How much later than it should an answer comes.
pub fn lateness(faults: &[Fault]) -> Duration {
    if faults.contains(&Fault::MctpLate) {
        LATE
    } else {
        Duration::ZERO
    }
}

/// The frames in which the endpoint `eid` answers a request: with `content` as a message of type
/// `kind`, and with these faults.
pub fn frames(
    request: &Header,
    eid: Eid,
    kind: u8,
    content: &[u8],
    faults: &[Fault],
) -> Vec<Vec<u8>> {
    let mut header = request.answered_by(eid);
    let mut message = [&[kind], content].concat();
    let mut unit = BASELINE_UNIT;
    for fault in faults {
        match fault {
            Fault::MctpSource => header.source = another(eid),
            Fault::MctpDestination => header.destination = another(header.destination),
            Fault::MctpTag => header.tag ^= 1,
            Fault::MctpTagOwner => header.tag_owner = true,
            Fault::MctpType => message[0] = TYPE_SECURED,
            Fault::MctpIntegrity => message[0] |= INTEGRITY_CHECK,
            Fault::MctpOversize => unit = 3 * BASELINE_UNIT,
            Fault::MctpEndless => message.resize(ENDLESS, 0xA5),
            _ => {}
        }
    }
    let mut packets = split(header, &message, unit);
    let last = packets.len() - 1;
    for fault in faults {
        match fault {
            Fault::MctpVersion => packets.iter_mut().for_each(|packet| packet[0] = 2),
            Fault::MctpNoStart => packets[0][FLAGS] &= !START,
            Fault::MctpNoEnd => packets[last][FLAGS] &= !END,
            Fault::MctpSequence => packets[last][FLAGS] ^= TWO_ON,
            Fault::MctpEmpty => packets[last].truncate(HEADER_SIZE),
            _ => {}
        }
    }
    for fault in faults {
        match fault {
            Fault::MctpLostFirst => drop(packets.drain(..packets.len().min(1))),
            Fault::MctpLost => drop(packets.pop()),
            Fault::MctpReordered => {
                let last = packets.len().saturating_sub(2);
                packets[last..].reverse();
            }
            Fault::MctpDuplicated => {
                packets = packets.into_iter().flat_map(|p| [p.clone(), p]).collect();
            }
            Fault::MctpTwice => packets.extend(packets.clone()),
            Fault::MctpForeign => {
                let foreign = |packet: Vec<u8>| {
                    let mut other = packet.clone();
                    other[2] = another(eid);
                    other[HEADER_SIZE..].fill(0xA5);
                    [other, packet]
                };
                packets = packets.into_iter().flat_map(foreign).collect();
            }
            _ => {}
        }
    }
    let mut frames: Vec<Vec<u8>> = packets.iter().map(|packet| frame::encode(packet)).collect();
    if let Some(frame) = frames.last_mut() {
        let end = frame.len();
        if faults.contains(&Fault::MctpFcs) {
            frame[end - 2] ^= 1;
        }
        if faults.contains(&Fault::MctpCut) {
            frame.truncate(end / 2);
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Carrier, FAULTS};
    use frame::Decoder;
    use packet::{Assembled, Assembler};

    const REQUEST: Header = Header {
        destination: 9,
        source: 8,
        start: true,
        end: true,
        sequence: 0,
        tag_owner: true,
        tag: 5,
    };

    /// A requester that is strict: the messages that are answers to its request.
    fn receive(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut decoder = Decoder::default();
        let mut assembler = Assembler::default();
        let mut messages = Vec::new();
        for packet in frames.concat().iter().filter_map(|&b| decoder.push(b)) {
            let packet = packet.unwrap_or_default();
            let Some((header, body)) = Header::parse(&packet) else {
                continue;
            };
            if (header.destination, header.source) != (8, 9)
                || (header.tag_owner, header.tag) != (false, 5)
                || packet.len() > HEADER_SIZE + BASELINE_UNIT
            {
                continue;
            }
            if let Assembled::Message(message) = assembler.push(&header, body) {
                messages.push(message);
            }
        }
        messages
    }

    fn content(size: usize) -> Vec<u8> {
        // CAST: the low byte will do.
        (0..size).map(|n| n as u8).collect()
    }

    #[test]
    fn answers_go_back_where_the_request_came_from() {
        for size in [0, 4, 63, 64, 300] {
            let frames = frames(&REQUEST, 9, TYPE_SPDM, &content(size), &[]);
            assert_eq!(frames.len(), (size + 1).div_ceil(BASELINE_UNIT));
            let message = [&[TYPE_SPDM][..], &content(size)].concat();
            assert_eq!(receive(&frames), [message]);
        }
    }

    #[test]
    fn every_fault_of_packets_is_one() {
        let all = FAULTS.iter().map(|info| info.fault);
        for fault in all.filter(|fault| fault.carrier() == Some(Carrier::Mctp)) {
            for size in [4, 300] {
                if size == 4 && fault.needs_packets() {
                    continue;
                }
                let honest = frames(&REQUEST, 9, TYPE_SPDM, &content(size), &[]);
                let sent = frames(&REQUEST, 9, TYPE_SPDM, &content(size), &[fault]);
                let messages = receive(&sent);
                let expected = match fault {
                    Fault::MctpLate | Fault::MctpLinkSilent | Fault::MctpForeign => 1,
                    // Of several packets, the first of each pair breaks off the other.
                    Fault::MctpDuplicated if size == 4 => 2,
                    Fault::MctpTwice => 2,
                    Fault::MctpType | Fault::MctpIntegrity => 1,
                    _ => 0,
                };
                assert_eq!(messages.len(), expected, "{fault:?} {size}");
                let late = lateness(&[fault]) != Duration::ZERO;
                assert!(
                    sent != honest || late || fault == Fault::MctpLinkSilent,
                    "{fault:?}"
                );
                let honest = receive(&honest);
                let others = messages.iter().filter(|message| **message != honest[0]);
                let changed = matches!(fault, Fault::MctpType | Fault::MctpIntegrity);
                assert_eq!(others.count(), usize::from(changed), "{fault:?}");
            }
        }
    }

    #[test]
    fn faults_go_together() {
        let all = FAULTS.iter().map(|info| info.fault);
        let all = all.filter(|fault| fault.carrier() == Some(Carrier::Mctp));
        for first in all.clone() {
            for second in all.clone() {
                for size in [0, 300] {
                    frames(&REQUEST, 9, TYPE_SPDM, &content(size), &[first, second]);
                }
            }
        }
    }
}
