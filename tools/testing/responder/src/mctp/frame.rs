// SPDX-License-Identifier: GPL-2.0

//! Frames on a serial line (DSP0253): `7E 01 count packet... FCS FCS 7E`.
//!
//! Within the packet, and only there, 7E and 7D are sent as 7D and the byte with bit 5 cleared. The
//! FCS is over revision, count and packet as they are without that, and its high byte comes first.

use std::fmt;

/// Begins and ends a frame.
pub const FLAG: u8 = 0x7E;
/// The byte after it has bit 5 cleared.
const ESCAPE: u8 = 0x7D;
const ESCAPED_BIT: u8 = 0x20;
/// Revision of the binding.
const REVISION: u8 = 1;
const FCS_INIT: u16 = 0xFFFF;
/// The polynomial of FCS-16, low bit first (RFC 1662).
const FCS_POLYNOMIAL: u16 = 0x8408;

/// Goes on with the FCS `fcs` by one byte.
fn fcs_byte(fcs: u16, byte: u8) -> u16 {
    (0..8).fold(fcs ^ u16::from(byte), |fcs, _| {
        (fcs >> 1) ^ if fcs & 1 != 0 { FCS_POLYNOMIAL } else { 0 }
    })
}

/// The frame of a packet.
///
/// # Panics
///
/// If the packet has more than 255 bytes.
pub fn encode(packet: &[u8]) -> Vec<u8> {
    let count = u8::try_from(packet.len()).expect("no packet is that large");
    let mut frame = vec![FLAG, REVISION, count];
    for &byte in packet {
        match byte {
            FLAG | ESCAPE => frame.extend([ESCAPE, byte & !ESCAPED_BIT]),
            _ => frame.push(byte),
        }
    }
    let covered = [REVISION, count];
    let covered = covered.iter().chain(packet);
    let fcs = covered.fold(FCS_INIT, |fcs, &byte| fcs_byte(fcs, byte));
    frame.extend(fcs.to_be_bytes());
    frame.push(FLAG);
    frame
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Bytes between frames.
    Stray,
    /// The revision is not 1.
    Revision,
    /// There is a flag within the packet.
    Cut,
    /// The frame check sequence is wrong.
    Fcs,
    /// There is no flag at the end.
    End,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FrameError::Stray => "bytes between frames",
            FrameError::Revision => "another revision",
            FrameError::Cut => "a flag within the packet",
            FrameError::Fcs => "wrong frame check sequence",
            FrameError::End => "no flag at the end",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between frames.
    Idle,
    /// Something was wrong: until the next flag.
    Skip,
    Revision,
    Count,
    Packet,
    Escaped,
    FcsHigh,
    FcsLow,
    End,
}

/// Finds frames in a stream of bytes.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    count: u8,
    packet: Vec<u8>,
    fcs: u16,
    received: u16,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder {
            state: State::Idle,
            count: 0,
            packet: Vec::new(),
            fcs: FCS_INIT,
            received: 0,
        }
    }
}

impl Decoder {
    /// Takes one byte; the packet, or what was wrong, if that ends a frame.
    ///
    /// After an error it waits for a flag. As that may be the end of the bad frame or the beginning of
    /// the next one, more flags may follow.
    pub fn push(&mut self, byte: u8) -> Option<Result<Vec<u8>, FrameError>> {
        let (state, result) = match (self.state, byte) {
            (State::Idle | State::Skip | State::Revision, FLAG) => (State::Revision, None),
            (State::Idle, _) => (State::Skip, Some(Err(FrameError::Stray))),
            (State::Skip, _) => (State::Skip, None),
            (State::Revision, REVISION) => {
                self.fcs = fcs_byte(FCS_INIT, byte);
                self.packet.clear();
                (State::Count, None)
            }
            (State::Revision, _) => (State::Skip, Some(Err(FrameError::Revision))),
            (State::Count, _) => {
                self.fcs = fcs_byte(self.fcs, byte);
                self.count = byte;
                (self.next(), None)
            }
            (State::Packet | State::Escaped, FLAG) => (State::Revision, Some(Err(FrameError::Cut))),
            (State::Packet, ESCAPE) => (State::Escaped, None),
            (State::Packet | State::Escaped, _) => {
                let escaped = self.state == State::Escaped;
                let byte = byte | if escaped { ESCAPED_BIT } else { 0 };
                self.fcs = fcs_byte(self.fcs, byte);
                self.packet.push(byte);
                (self.next(), None)
            }
            (State::FcsHigh, _) => {
                self.received = u16::from(byte) << 8;
                (State::FcsLow, None)
            }
            (State::FcsLow, _) => {
                self.received |= u16::from(byte);
                (State::End, None)
            }
            (State::End, FLAG) if self.received != self.fcs => {
                (State::Revision, Some(Err(FrameError::Fcs)))
            }
            (State::End, FLAG) => (State::Idle, Some(Ok(self.packet.clone()))),
            (State::End, _) => (State::Skip, Some(Err(FrameError::End))),
        };
        self.state = state;
        result
    }

    /// The state behind a byte of the packet, or its count.
    fn next(&self) -> State {
        if self.packet.len() < usize::from(self.count) {
            State::Packet
        } else {
            State::FcsHigh
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Vec<Result<Vec<u8>, FrameError>> {
        let mut decoder = Decoder::default();
        bytes.iter().filter_map(|&b| decoder.push(b)).collect()
    }

    #[test]
    fn fcs_is_that_of_hdlc() {
        // The check value of CRC-16/MCRF4XX, which is this one.
        let fcs = b"123456789".iter().fold(FCS_INIT, |f, &b| fcs_byte(f, b));
        assert_eq!(fcs, 0x6F91);
    }

    #[test]
    fn frame_byte_by_byte() {
        // Get Endpoint ID from 8 to 9.
        let packet = [1, 9, 8, 0xC8, 0, 0x80, 2];
        let frame = encode(&packet);
        assert_eq!(frame[..3], [0x7E, 1, 7]);
        assert_eq!(frame[3..10], packet);
        assert_eq!(frame[10..], [0x0E, 0xB2, 0x7E]);
        assert_eq!(decode(&frame), [Ok(packet.to_vec())]);
    }

    #[test]
    fn flags_and_escapes_are_escaped_in_the_packet_only() {
        let packet = [0x7E, 0x7D, 0x5E, 0x5D];
        let frame = encode(&packet);
        assert_eq!(frame[3..9], [0x7D, 0x5E, 0x7D, 0x5D, 0x5E, 0x5D]);
        assert_eq!(decode(&frame), [Ok(packet.to_vec())]);
        // A count and an FCS that look like flags are no flags.
        let packet = [0x7E; 0x7E];
        let frame = encode(&packet);
        assert_eq!(frame[2], 0x7E);
        assert_eq!(frame.len(), 3 + 2 * 0x7E + 3);
        assert_eq!(decode(&frame), [Ok(packet.to_vec())]);
        let with_flag = (0..=u16::MAX).map(|n| n.to_be_bytes().to_vec());
        let mut with_flag = with_flag.filter(|packet| {
            let frame = encode(packet);
            frame[frame.len() - 3..frame.len() - 1].contains(&FLAG)
        });
        let packet = with_flag.next().unwrap();
        assert_eq!(decode(&encode(&packet)), [Ok(packet)]);
    }

    #[test]
    fn every_packet_comes_back() {
        for size in 0..=255_u8 {
            let packet: Vec<u8> = (0..size).map(|n| n.wrapping_mul(size)).collect();
            assert_eq!(decode(&encode(&packet)), [Ok(packet)]);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_got_over() {
        let frame = encode(&[1, 9, 8, 0xC8, 0x7E, 0x10]);
        let next = encode(&[1, 2, 3]);
        for bit in 0..8 * frame.len() {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // A count that has grown may swallow what follows, but not for ever.
            bad.extend(next.repeat(40));
            let mut results = decode(&bad);
            // Without its last flag, a frame is not one; the first one is then another's last.
            assert!(results.iter().any(|r| r.is_err()), "bit {bit}");
            assert!(
                results.iter().filter(|r| r.is_ok()).count() >= 2,
                "bit {bit}"
            );
            results.retain(|r| r.as_ref().is_ok_and(|packet| packet != &[1, 2, 3]));
            assert_eq!(results, [], "bit {bit}");
        }
    }

    #[test]
    fn errors_have_names() {
        let frame = encode(&[1, 2, 3]);
        assert_eq!(decode(&[0, 1, 2]), [Err(FrameError::Stray)]);
        assert_eq!(decode(&[FLAG, 2]), [Err(FrameError::Revision)]);
        assert_eq!(decode(&[FLAG, 1, 4, 5, FLAG]), [Err(FrameError::Cut)]);
        let mut bad = frame.clone();
        bad[6] ^= 1;
        assert_eq!(decode(&bad), [Err(FrameError::Fcs)]);
        let mut bad = frame.clone();
        bad[8] = 0;
        assert_eq!(decode(&bad), [Err(FrameError::End)]);
    }

    #[test]
    fn one_flag_may_stand_between_frames_that_went_wrong() {
        let mut bytes = vec![FLAG, 1, 4, 5];
        bytes.extend(encode(&[1, 2, 3]));
        assert_eq!(decode(&bytes), [Err(FrameError::Cut), Ok(vec![1, 2, 3])]);
        let many = [&[FLAG; 5][..], &encode(&[7])[1..]].concat();
        assert_eq!(decode(&many), [Ok(vec![7])]);
    }
}
