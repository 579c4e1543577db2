// SPDX-License-Identifier: GPL-2.0

//! Messages and their fields, there and back. Each request that the requester writes is read and written again by what
//! is here, which shares no code with it, and comes out as it was: nothing is in it but its fields. Each response that
//! is written here from fields is read by the requester as these fields.

use crate::bench::{Bench, Carried, Link};
use spdm_core::MeasurementStatus;
use spdm_responder::message::{u16_at, u32_at, Exchange};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A request by its fields; those that a version does not know are zero, or not there.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Request {
    GetVersion,
    GetCapabilities {
        asks_algorithms: bool,
        ct_exponent: u8,
        extended_flags: u16,
        flags: u32,
        data_transfer_size: u32,
        max_message_size: u32,
    },
    NegotiateAlgorithms {
        measurement_specification: u8,
        other_params: u8,
        base_asym: u32,
        base_hash: u32,
        pqc_asym: u32,
        mel_specification: u8,
    },
    GetDigests,
    GetCertificate {
        slot: u8,
        large: bool,
        offset: u32,
        length: u32,
    },
    Challenge {
        slot: u8,
        summary: u8,
        nonce: Vec<u8>,
        context: Vec<u8>,
    },
    GetMeasurements {
        operation: u8,
        nonce: Option<Vec<u8>>,
        slot: u8,
        context: Vec<u8>,
    },
    RespondIfReady {
        code: u8,
        token: u8,
    },
    ChunkGet {
        handle: u8,
        sequence: u32,
    },
    ChunkSend {
        last: bool,
        handle: u8,
        sequence: u32,
        total: Option<u32>,
        chunk: Vec<u8>,
    },
}

/// Size of ChunkSeqNo in bytes.
fn sequence_size(minor: u8) -> usize {
    match minor {
        4 => 4,
        _ => 2,
    }
}

impl Request {
    /// The fields of a message of version 1.`minor`, or nothing if it is too short for them.
    fn read(message: &[u8], minor: u8) -> Option<Self> {
        let &[_, code, param1, param2, ..] = message else {
            return None;
        };
        let bytes = |at: usize, len: usize| Some(message.get(at..at + len)?.to_vec());
        let context = |at| match minor {
            3.. => bytes(at, 8),
            _ => Some(Vec::new()),
        };
        let sequence = |at| match minor {
            4 => u32_at(message, at),
            _ => u16_at(message, at).map(u32::from),
        };
        Some(match code {
            0x84 => Request::GetVersion,
            0xE1 => Request::GetCapabilities {
                asks_algorithms: param1 & 1 != 0,
                ct_exponent: message.get(5).copied().unwrap_or_default(),
                extended_flags: match minor {
                    4 => u16_at(message, 6)?,
                    _ => 0,
                },
                flags: u32_at(message, 8).unwrap_or_default(),
                data_transfer_size: u32_at(message, 12).unwrap_or_default(),
                max_message_size: u32_at(message, 16).unwrap_or_default(),
            },
            0xE3 => Request::NegotiateAlgorithms {
                measurement_specification: *message.get(6)?,
                other_params: *message.get(7)?,
                base_asym: u32_at(message, 8)?,
                base_hash: u32_at(message, 12)?,
                pqc_asym: match minor {
                    4 => u32_at(message, 16)?,
                    _ => 0,
                },
                mel_specification: *message.get(31)?,
            },
            0x81 => Request::GetDigests,
            0x82 if minor == 4 && param1 & 0x80 != 0 => Request::GetCertificate {
                slot: param1 & 0xF,
                large: true,
                offset: u32_at(message, 8)?,
                length: u32_at(message, 12)?,
            },
            0x82 => Request::GetCertificate {
                slot: param1 & 0xF,
                large: false,
                offset: u16_at(message, 4)?.into(),
                length: u16_at(message, 6)?.into(),
            },
            0x83 => Request::Challenge {
                slot: param1,
                summary: param2,
                nonce: bytes(4, 32)?,
                context: context(36)?,
            },
            0xE0 if param1 & 1 != 0 => Request::GetMeasurements {
                operation: param2,
                nonce: Some(bytes(4, 32)?),
                slot: match minor {
                    0 => 0,
                    _ => *message.get(36)?,
                },
                context: context(37)?,
            },
            0xE0 => Request::GetMeasurements {
                operation: param2,
                nonce: None,
                slot: 0,
                context: context(4)?,
            },
            0xFF => Request::RespondIfReady {
                code: param1,
                token: param2,
            },
            0x86 => Request::ChunkGet {
                handle: param2,
                sequence: sequence(4)?,
            },
            0x85 => {
                let number = sequence(4)?;
                let size = u32_at(message, 8)? as usize;
                let total = match number {
                    0 => Some(u32_at(message, 12)?),
                    _ => None,
                };
                Request::ChunkSend {
                    last: param1 & 1 != 0,
                    handle: param2,
                    sequence: number,
                    total,
                    chunk: bytes(if total.is_some() { 16 } else { 12 }, size)?,
                }
            }
            _ => return None,
        })
    }

    /// The message in its only form.
    fn write(&self, minor: u8) -> Vec<u8> {
        let version = 0x10 | minor;
        let number = |sequence: u32| {
            let mut octets = sequence.to_le_bytes().to_vec();
            octets.truncate(sequence_size(minor));
            octets.resize(4, 0);
            octets
        };
        match self {
            Request::GetVersion => vec![0x10, 0x84, 0, 0],
            Request::GetCapabilities {
                asks_algorithms,
                ct_exponent,
                extended_flags,
                flags,
                data_transfer_size,
                max_message_size,
            } => {
                let mut message = vec![version, 0xE1, u8::from(*asks_algorithms), 0];
                if minor >= 1 {
                    message.extend([0, *ct_exponent]);
                    message.extend(extended_flags.to_le_bytes());
                    message.extend(flags.to_le_bytes());
                }
                if minor >= 2 {
                    message.extend(data_transfer_size.to_le_bytes());
                    message.extend(max_message_size.to_le_bytes());
                }
                message
            }
            Request::NegotiateAlgorithms {
                measurement_specification,
                other_params,
                base_asym,
                base_hash,
                pqc_asym,
                mel_specification,
            } => {
                let mut message = vec![version, 0xE3, 0, 0, 32, 0];
                message.extend([*measurement_specification, *other_params]);
                message.extend(
                    [*base_asym, *base_hash, *pqc_asym]
                        .map(u32::to_le_bytes)
                        .concat(),
                );
                message.resize(31, 0);
                message.push(*mel_specification);
                message
            }
            Request::GetDigests => vec![version, 0x81, 0, 0],
            Request::GetCertificate {
                slot,
                large: true,
                offset,
                length,
            } => {
                let mut message = vec![version, 0x82, 0x80 | slot, 0, 0, 0, 0, 0];
                message.extend([*offset, *length].map(u32::to_le_bytes).concat());
                message
            }
            Request::GetCertificate {
                slot,
                large: false,
                offset,
                length,
            } => {
                let mut message = vec![version, 0x82, *slot, 0];
                message.extend(
                    [*offset as u16, *length as u16]
                        .map(u16::to_le_bytes)
                        .concat(),
                );
                message
            }
            Request::Challenge {
                slot,
                summary,
                nonce,
                context,
            } => [&[version, 0x83, *slot, *summary][..], nonce, context].concat(),
            Request::GetMeasurements {
                operation,
                nonce,
                slot,
                context,
            } => {
                let signed = u8::from(nonce.is_some());
                let mut message = vec![version, 0xE0, signed, *operation];
                if let Some(nonce) = nonce {
                    message.extend(nonce);
                    if minor >= 1 {
                        message.push(*slot);
                    }
                }
                message.extend(context);
                message
            }
            Request::RespondIfReady { code, token } => vec![version, 0xFF, *code, *token],
            Request::ChunkGet { handle, sequence } => {
                let number = sequence.to_le_bytes();
                let number = &number[..sequence_size(minor)];
                [&[version, 0x86, 0, *handle][..], number].concat()
            }
            Request::ChunkSend {
                last,
                handle,
                sequence,
                total,
                chunk,
            } => {
                let mut message = vec![version, 0x85, u8::from(*last), *handle];
                message.extend(number(*sequence));
                message.extend((chunk.len() as u32).to_le_bytes());
                message.extend(total.iter().flat_map(|total| total.to_le_bytes()));
                message.extend(chunk);
                message
            }
        }
    }
}

/// What a device may be, so that every request and every form of it is sent.
const DEVICES: &[(u8, &str)] = &[
    (0, ""),
    (0, "slot0=expired slot5=len2 portion=100"),
    (0, "flags=0x16 fault=measurement-one-by-one"),
    (0, "flags=0xe"),
    (0, "fault=not-ready times=3"),
    (0, "fault=busy,resynch times=2"),
    (1, "flags=0x10004"),
    (2, "flags=0x20016 transfer=64 portion=900"),
    (2, "flags=0x20016 transfer=42"),
    (3, "flags=0x14020016 slot3=ok pair3=9 transfer=100"),
    (4, "flags=0x80000016 portion=300"),
    (4, "flags=0x80020016 asym=mldsa44 transfer=1024"),
];

#[test]
fn each_request_is_its_fields_and_nothing_else() {
    let mut forms: BTreeMap<(u8, u8), usize> = BTreeMap::new();
    for &(since, words) in DEVICES {
        for minor in since..5 {
            let sent = Rc::new(RefCell::new(Vec::new()));
            let seen = sent.clone();
            let words = format!("version=1.{minor} asym=ecdsa-p256 hash=sha256 {words}");
            let mut bench = Bench::new(&words).over(Link::Bytes).with_buffer(8192);
            bench.measurements = true;
            if words.contains("flags=0x10004") {
                bench.provision();
            }
            bench.tamper(move |_, carried| {
                if let Carried::Request(request) = carried {
                    seen.borrow_mut().push(request.clone());
                }
            });
            bench.honest();
            for message in sent.borrow().iter() {
                let request = Request::read(message, minor).unwrap();
                assert_eq!(&request.write(minor), message, "{words}: {request:?}");
                assert_eq!(Request::read(&request.write(minor), minor), Some(request));
                *forms.entry((minor, message[1])).or_default() += 1;
            }
        }
    }
    // Each request in each version that has it.
    for minor in 0..5 {
        for code in [0x84, 0xE1, 0xE3, 0x81, 0x82, 0x83, 0xE0, 0xFF] {
            assert!(forms.contains_key(&(minor, code)), "1.{minor}: {code:#x}");
        }
        for code in [0x85, 0x86] {
            // Requests are larger than 42 bytes from 1.3 on only.
            let has = minor >= if code == 0x85 { 3 } else { 2 };
            assert_eq!(
                forms.contains_key(&(minor, code)),
                has,
                "1.{minor}: {code:#x}"
            );
        }
    }
}

/// Pseudorandom numbers, the same in each run (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.next() % limit
    }
}

/// What a device says of itself, and what it says in bits that mean nothing in its version.
#[derive(Clone, Debug)]
struct Said {
    /// Entries of VERSION: version and update.
    versions: Vec<u16>,
    ct_exponent: u8,
    flags: u32,
    transfer: u32,
    supported: u8,
    slot_mask: u8,
    /// Structures of ALGORITHMS.
    kinds: Vec<u8>,
    noise: u32,
}

impl Said {
    fn any(random: &mut Random, minor: u8) -> Self {
        // Versions that nobody knows, and those up to the one that is to be spoken, in any order.
        let mut versions = vec![0x0900, 0x9000, 0x1500 | (random.below(16) as u16 * 0x10)];
        versions.extend((0..=minor).map(|minor| 0x1000 | (u16::from(minor) << 8)));
        versions
            .retain(|version| *version == 0x1000 | (u16::from(minor) << 8) || random.below(3) > 0);
        for entry in &mut versions {
            *entry |= (random.below(16) as u16) << 4;
        }
        let (to, from) = (random.below(8) as usize, random.below(8) as usize);
        let len = versions.len();
        versions.swap(to % len, from % len);
        // Measurements, if any, are fresh or not; several keys need more than a flag.
        let mut flags = 0x6 | [0, 0x08, 0x10, 0x28, 0x30][random.below(5) as usize];
        if minor >= 2 && random.below(2) == 1 {
            flags |= 1 << 18;
        }
        let kinds = if minor == 4 { 2..=7 } else { 2..=5 };
        Said {
            versions,
            ct_exponent: random.below(24) as u8,
            flags,
            transfer: 64 + random.below(4000),
            supported: random.next() as u8 | 0x21,
            slot_mask: random.next() as u8 | 0x21,
            kinds: match minor {
                0 => Vec::new(),
                _ => kinds.filter(|_| random.below(2) == 1).collect(),
            },
            noise: random.next(),
        }
    }

    /// Bits of the flags that 1.`minor` reserves.
    fn reserved_flags(minor: u8) -> u32 {
        [!0x3F, !0x1_FFFF, !0x3F_FFFF, !0x3FFF_FFFF, 0][usize::from(minor)]
    }

    /// Writes `exchange`'s response anew. What an honest device chose is taken from `honest`.
    fn write(&self, minor: u8, exchange: Exchange, honest: &mut Vec<u8>) {
        let noise = self.noise.to_le_bytes();
        match exchange {
            Exchange::Version => {
                let mut message = vec![0x10, 0x04, noise[0], noise[1], noise[2]];
                message.push(self.versions.len() as u8);
                message.extend(self.versions.iter().flat_map(|entry| entry.to_le_bytes()));
                *honest = message;
            }
            Exchange::Capabilities => {
                let version = 0x10 | minor;
                let param1 = if minor >= 3 { noise[0] & !1 } else { noise[0] };
                let mut message = vec![version, 0x61, param1, noise[1], noise[2], self.ct_exponent];
                // The only extended flag of 1.4 is of no matter here.
                message.extend(if minor == 4 {
                    [0, 0]
                } else {
                    [noise[3], noise[0]]
                });
                let flags = self.flags | self.noise & Self::reserved_flags(minor);
                message.extend(flags.to_le_bytes());
                if minor >= 2 {
                    message.extend(
                        [self.transfer, self.transfer]
                            .map(u32::to_le_bytes)
                            .concat(),
                    );
                }
                *honest = message;
            }
            Exchange::Algorithms => {
                let mut message = vec![0x10 | minor, 0x63, self.kinds.len() as u8, noise[0]];
                if minor == 0 {
                    message[2] = noise[1];
                }
                message.extend((36 + 4 * self.kinds.len() as u16).to_le_bytes());
                message.extend(&honest[6..20]);
                if minor < 2 {
                    message[7] = noise[2];
                }
                match minor {
                    4 => message.extend(&honest[20..24]),
                    _ => message.extend(noise),
                }
                message.extend([
                    noise[1], noise[2], noise[3], noise[0], noise[1], noise[2], noise[3],
                ]);
                message.push(if minor < 3 { noise[0] } else { 0 });
                message.extend([0, 0, noise[2], noise[3]]);
                message.extend(self.kinds.iter().flat_map(|kind| [*kind, 0x20, 0, 0]));
                *honest = message;
            }
            Exchange::Digests => honest[2] = if minor >= 3 { self.supported } else { noise[0] },
            Exchange::Certificate => {
                honest[2] |= noise[0] & if minor == 4 { 0x70 } else { 0xF0 };
                honest[3] |= noise[1] & if minor >= 3 { 0xF8 } else { 0xFF };
            }
            Exchange::Challenge => {
                honest[3] = self.slot_mask;
                if minor >= 1 {
                    honest[2] |= noise[0] & 0x70;
                }
            }
            Exchange::Measurements => {}
        }
    }
}

#[test]
fn each_response_is_read_as_it_was_written() {
    let mut random = Random(0x0053_5044_4D31_3000);
    for minor in 0..5 {
        for link in Link::ALL {
            for _ in 0..60 {
                let said = Said::any(&mut random, minor);
                let portion = 100 + random.below(900);
                let opaque = 4 * random.below(257);
                let words = format!(
                    "version=1.0,1.{minor} asym=ecdsa-p256 hash=sha384 slot0=expired slot5=ok \
                     portion={portion} opaque={opaque} flags={:#x}",
                    said.flags
                );
                let mut bench = Bench::new(&words).over(link).with_buffer(8192);
                bench.measurements = true;
                let spoken = said.clone();
                bench.device(|device| {
                    device.set_edit(Some(Box::new(move |exchange, message| {
                        spoken.write(minor, exchange, message);
                    })));
                });
                let report = bench.honest().report;
                let negotiated = report.negotiated;
                assert_eq!(
                    negotiated.version.unwrap().as_byte(),
                    0x10 | minor,
                    "{said:?}"
                );
                let capabilities = negotiated.capabilities.unwrap();
                assert_eq!(capabilities.flags(), said.flags, "{said:?}");
                assert_eq!(capabilities.ct_exponent(), said.ct_exponent);
                let transfer = (minor >= 2).then_some(said.transfer);
                assert_eq!(capabilities.data_transfer_size(), transfer);
                assert_eq!(capabilities.supported_algorithms(), None);
                let names = (
                    negotiated.base_hash.unwrap().name(),
                    negotiated.asym.unwrap().name(),
                );
                assert_eq!(names, ("sha384", "ecdsa-p256"));
                assert_eq!(negotiated.provisioned_slots, 0x21);
                let supported = if minor >= 3 { said.supported } else { 0x21 };
                assert_eq!(negotiated.supported_slots, supported);
                assert_eq!(negotiated.slot, Some(5));
                assert_eq!(
                    usize::from(u16_at(bench.chain(), 0).unwrap()),
                    bench.chain().len()
                );
                let expected = match said.flags & 0x18 {
                    0 => MeasurementStatus::Unsupported,
                    cap => MeasurementStatus::Taken {
                        signed: cap == 0x10,
                    },
                };
                assert_eq!(report.measurements, expected, "{words}: {said:?}");
                let violations = bench.device(|device| device.stats().last_violation.clone());
                assert_eq!(violations, "", "{said:?}");
            }
        }
    }
}
