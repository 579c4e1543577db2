// SPDX-License-Identifier: GPL-2.0

//! Packets, and the messages that are made of them (DSP0236).

use std::collections::HashMap;
use std::fmt;

/// Bytes of a header in front of every packet.
pub const HEADER_SIZE: usize = 4;
/// Bytes of a message that every endpoint takes in one packet: the baseline transmission unit.
pub const BASELINE_UNIT: usize = 64;
/// The largest message that is assembled; the kernel has the same limit.
const MAX_MESSAGE: usize = 64 * 1024;

const VERSION: u8 = 1;
const SOM: u8 = 0x80;
const EOM: u8 = 0x40;
const SEQUENCE_SHIFT: u8 = 4;
const SEQUENCE_MASK: u8 = 3;
const TAG_OWNER: u8 = 0x08;
const TAG_MASK: u8 = 0x07;

/// An endpoint ID.
pub type Eid = u8;
/// To whoever is at the other end of the link; from who has no EID yet.
pub const NULL_EID: Eid = 0;
/// To everybody.
pub const BROADCAST_EID: Eid = 0xFF;

/// Whether an endpoint may have this EID: 1 to 7 are reserved.
pub fn is_unicast(eid: Eid) -> bool {
    (8..BROADCAST_EID).contains(&eid)
}

/// The transport header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// To whom.
    pub destination: Eid,
    /// From whom.
    pub source: Eid,
    /// Whether a message begins with it.
    pub start: bool,
    /// Whether a message ends with it.
    pub end: bool,
    /// Its place in the message, modulo 4.
    pub sequence: u8,
    /// Whether its sender chose the tag: it does in a request.
    pub tag_owner: bool,
    /// What tells messages between the same two apart.
    pub tag: u8,
}

impl Header {
    /// The header of a packet and the part of a message in it; `None` if it is none.
    pub fn parse(packet: &[u8]) -> Option<(Header, &[u8])> {
        let (&[version, destination, source, flags], body) = packet.split_first_chunk()?;
        // Bits 7 to 4 are reserved.
        if version & 0xF != VERSION || body.is_empty() {
            return None;
        }
        let header = Header {
            destination,
            source,
            start: flags & SOM != 0,
            end: flags & EOM != 0,
            sequence: (flags >> SEQUENCE_SHIFT) & SEQUENCE_MASK,
            tag_owner: flags & TAG_OWNER != 0,
            tag: flags & TAG_MASK,
        };
        Some((header, body))
    }

    /// A packet.
    pub fn packet(&self, body: &[u8]) -> Vec<u8> {
        let flag = |set, flag| if set { flag } else { 0 };
        let flags = flag(self.start, SOM)
            | flag(self.end, EOM)
            | ((self.sequence & SEQUENCE_MASK) << SEQUENCE_SHIFT)
            | flag(self.tag_owner, TAG_OWNER)
            | (self.tag & TAG_MASK);
        let mut packet = vec![VERSION, self.destination, self.source, flags];
        packet.extend(body);
        packet
    }

    /// The header of the answer's first packet: to where the request came from, with its tag.
    pub fn answered_by(&self, source: Eid) -> Header {
        Header {
            destination: self.source,
            source,
            start: true,
            end: false,
            sequence: 0,
            tag_owner: false,
            tag: self.tag,
        }
    }
}

/// The packets of a message, with at most `unit` bytes of it in each.
pub fn split(header: Header, message: &[u8], unit: usize) -> Vec<Vec<u8>> {
    let count = message.len().div_ceil(unit);
    let parts = message.chunks(unit).enumerate();
    let packets = parts.map(|(n, part)| {
        let header = Header {
            start: n == 0,
            end: n + 1 == count,
            // CAST: it counts modulo 4.
            sequence: header.sequence.wrapping_add(n as u8) & SEQUENCE_MASK,
            ..header
        };
        header.packet(part)
    });
    packets.collect()
}

/// Why a packet is dropped, and with it what there was of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It goes on with a message that has not begun.
    NoStart,
    /// Its sequence number is not the next one.
    Sequence,
    /// Its size is not that of the first packet, or, of the last one, larger.
    Size,
    /// The message is too large.
    TooLarge,
    /// The message began again before it ended.
    Restarted,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dropped::NoStart => "no start of message",
            Dropped::Sequence => "wrong sequence number",
            Dropped::Size => "another size than the first packet",
            Dropped::TooLarge => "message too large",
            Dropped::Restarted => "message began again",
        })
    }
}

#[derive(Debug)]
struct Assembly {
    message: Vec<u8>,
    unit: usize,
    next: u8,
}

/// What a packet makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assembled {
    /// A whole message.
    Message(Vec<u8>),
    /// A part of one.
    Part,
    /// Nothing.
    Dropped(Dropped),
}

/// Puts the messages to one endpoint together (DSP0236, "Message assembly").
#[derive(Debug, Default)]
pub struct Assembler {
    /// By what tells messages apart: source, tag owner and tag.
    messages: HashMap<(Eid, bool, u8), Assembly>,
}

impl Assembler {
    /// Takes a packet.
    pub fn push(&mut self, header: &Header, body: &[u8]) -> Assembled {
        let key = (header.source, header.tag_owner, header.tag);
        let begun = self.messages.remove(&key);
        if header.start {
            if header.end {
                return Assembled::Message(body.to_vec());
            }
            let assembly = Assembly {
                message: body.to_vec(),
                unit: body.len(),
                next: (header.sequence + 1) & SEQUENCE_MASK,
            };
            self.messages.insert(key, assembly);
            // The standard has the message begin anew.
            return match begun {
                Some(_) => Assembled::Dropped(Dropped::Restarted),
                None => Assembled::Part,
            };
        }
        let Some(mut assembly) = begun else {
            return Assembled::Dropped(Dropped::NoStart);
        };
        let fits = match header.end {
            true => body.len() <= assembly.unit,
            false => body.len() == assembly.unit,
        };
        if header.sequence != assembly.next {
            return Assembled::Dropped(Dropped::Sequence);
        } else if !fits {
            return Assembled::Dropped(Dropped::Size);
        } else if assembly.message.len() + body.len() > MAX_MESSAGE {
            return Assembled::Dropped(Dropped::TooLarge);
        }
        assembly.message.extend(body);
        if header.end {
            return Assembled::Message(assembly.message);
        }
        assembly.next = (assembly.next + 1) & SEQUENCE_MASK;
        self.messages.insert(key, assembly);
        Assembled::Part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Header = Header {
        destination: 9,
        source: 8,
        start: true,
        end: true,
        sequence: 0,
        tag_owner: true,
        tag: 5,
    };

    fn message(size: usize) -> Vec<u8> {
        // CAST: the low byte will do.
        (0..size).map(|n| n as u8).collect()
    }

    fn assemble(packets: &[Vec<u8>]) -> Vec<Assembled> {
        let mut assembler = Assembler::default();
        let push = |packet: &Vec<u8>| {
            let (header, body) = Header::parse(packet).unwrap();
            assembler.push(&header, body)
        };
        packets.iter().map(push).collect()
    }

    #[test]
    fn headers_byte_by_byte() {
        let packet = REQUEST.packet(&[5, 0x10]);
        assert_eq!(packet, [1, 9, 8, 0xCD, 5, 0x10]);
        assert_eq!(Header::parse(&packet), Some((REQUEST, &[5, 0x10][..])));
        let answer = REQUEST.answered_by(9);
        assert_eq!(answer.packet(&[5]), [1, 8, 9, 0x85, 5]);
        // Reserved bits are ignored, versions are not.
        assert!(Header::parse(&[0xF1, 9, 8, 0xCD, 5]).is_some());
        assert!(Header::parse(&[2, 9, 8, 0xCD, 5]).is_none());
        assert!(Header::parse(&[1, 9, 8, 0xCD]).is_none());
        assert!(Header::parse(&[]).is_none());
    }

    #[test]
    fn messages_come_in_packets_of_64_bytes() {
        let packets = split(REQUEST, &message(64), BASELINE_UNIT);
        assert_eq!(packets.len(), 1);
        assert_eq!(packets[0][3], 0xCD);
        let packets = split(REQUEST, &message(65), BASELINE_UNIT);
        assert_eq!(packets.iter().map(Vec::len).collect::<Vec<_>>(), [68, 5]);
        assert_eq!((packets[0][3], packets[1][3]), (0x8D, 0x5D));
        let packets = split(REQUEST, &message(64 * 6), BASELINE_UNIT);
        let flags: Vec<_> = packets.iter().map(|packet| packet[3]).collect();
        assert_eq!(flags, [0x8D, 0x1D, 0x2D, 0x3D, 0x0D, 0x5D]);
    }

    #[test]
    fn what_was_split_is_assembled() {
        for size in [1, 63, 64, 65, 128, 129, 4608] {
            let results = assemble(&split(REQUEST, &message(size), BASELINE_UNIT));
            let (last, parts) = results.split_last().unwrap();
            assert_eq!(*last, Assembled::Message(message(size)));
            assert!(parts.iter().all(|part| *part == Assembled::Part));
        }
    }

    #[test]
    fn any_packet_lost_loses_the_message() {
        let packets = split(REQUEST, &message(300), BASELINE_UNIT);
        for lost in 0..packets.len() {
            let mut left = packets.clone();
            left.remove(lost);
            let results = assemble(&left);
            let whole = |result: &Assembled| matches!(result, Assembled::Message(_));
            assert!(!results.iter().any(whole), "{lost}");
        }
    }

    #[test]
    fn reordered_and_duplicated_packets_lose_it_too() {
        let packets = split(REQUEST, &message(300), BASELINE_UNIT);
        for n in 1..packets.len() {
            let mut twice = packets.clone();
            twice.insert(n, packets[n - 1].clone());
            let dropped = |r: &Assembled| matches!(r, Assembled::Dropped(_));
            assert!(assemble(&twice).iter().any(dropped));
            let mut swapped = packets.clone();
            swapped.swap(n - 1, n);
            assert!(assemble(&swapped).iter().any(dropped));
        }
    }

    #[test]
    fn messages_are_told_apart() {
        let others = [
            Header {
                source: 10,
                ..REQUEST
            },
            Header { tag: 6, ..REQUEST },
            Header {
                tag_owner: false,
                ..REQUEST
            },
        ];
        let one = split(REQUEST, &message(130), BASELINE_UNIT);
        for other in others {
            let two = split(other, &message(130), BASELINE_UNIT);
            let mixed: Vec<_> = one.iter().chain(&two).cloned().collect();
            let mut alternating = Vec::new();
            for (a, b) in one.iter().zip(&two) {
                alternating.extend([a.clone(), b.clone()]);
            }
            for packets in [mixed, alternating] {
                let results = assemble(&packets);
                let whole = results
                    .iter()
                    .filter(|r| matches!(r, Assembled::Message(_)));
                assert_eq!(whole.count(), 2);
            }
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let first = REQUEST.answered_by(9);
        let next = Header {
            start: false,
            sequence: 1,
            ..first
        };
        let larger = [first.packet(&[5; 64]), next.packet(&[5; 65])];
        let dropped = |why| Assembled::Dropped(why);
        assert_eq!(assemble(&larger)[1], dropped(Dropped::Size));
        let smaller = [first.packet(&[5; 64]), next.packet(&[5; 63])];
        assert_eq!(assemble(&smaller)[1], dropped(Dropped::Size));
        let packets = split(first, &message(MAX_MESSAGE + 64), BASELINE_UNIT);
        let results = assemble(&packets);
        assert_eq!(*results.last().unwrap(), dropped(Dropped::TooLarge));
        let packets = split(first, &message(MAX_MESSAGE), BASELINE_UNIT);
        let results = assemble(&packets);
        assert!(matches!(results.last(), Some(Assembled::Message(_))));
    }

    #[test]
    fn message_that_begins_again_begins_anew() {
        let packets = split(REQUEST, &message(65), BASELINE_UNIT);
        let again = [packets[0].clone(), packets[0].clone(), packets[1].clone()];
        let results = assemble(&again);
        assert_eq!(results[1], Assembled::Dropped(Dropped::Restarted));
        assert_eq!(results[2], Assembled::Message(message(65)));
    }
}
