// SPDX-License-Identifier: GPL-2.0

//! Data objects (PCIe r6, 6.30): what a mailbox carries, whoever brings it here.

use crate::device::{Device, Reply};
use crate::fault::Fault;
use crate::log::Log;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;

const HEADER_SIZE: usize = 8;
const VENDOR_PCI_SIG: u16 = 1;
const TYPE_DISCOVERY: u8 = 0;
const TYPE_SPDM: u8 = 1;
const TYPE_SECURED_SPDM: u8 = 2;

/// What becomes of a data object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is answered by this one.
    Object(Vec<u8>),
    /// It is not answered.
    Silence,
    /// Nor is any that comes after it on this connection.
    Hang,
    /// The connection is closed.
    Close,
}

/// Has `device` answer a data object, and waits as long as it takes to do so.
pub fn answer(device: &Mutex<Device>, number: usize, object: &[u8], log: &Log) -> Outcome {
    // An object whose length is not what was transferred is discarded (PCIe r6, 6.30.1).
    let Some((&[v0, v1, kind, _, l0, l1, l2, _], body)) = object.split_first_chunk() else {
        return Outcome::Silence;
    };
    let dwords = u32::from_le_bytes([l0, l1, l2 & 3, 0]) as usize;
    if u16::from_le_bytes([v0, v1]) != VENDOR_PCI_SIG || dwords * 4 != object.len() {
        log.event(number, "data object discarded");
        return Outcome::Silence;
    }
    match kind {
        TYPE_DISCOVERY => {
            let index = body.first().copied().unwrap_or(0);
            let cycle = lock(device).discovery_cycle();
            Outcome::Object(wrap(TYPE_DISCOVERY, &discovery(index, cycle), &[]))
        }
        TYPE_SPDM => {
            log.message(number, "request", body);
            let answer = lock(device).respond(body);
            sleep(answer.delay);
            match answer.reply {
                Reply::Message(message) => {
                    log.message(number, "response", &message);
                    Outcome::Object(wrap(TYPE_SPDM, &message, &answer.transport))
                }
                Reply::Silence => {
                    log.event(number, "silence");
                    Outcome::Silence
                }
                Reply::Hang => {
                    log.event(number, "hang");
                    Outcome::Hang
                }
                Reply::Close => {
                    log.event(number, "close");
                    Outcome::Close
                }
            }
        }
        _ => Outcome::Silence,
    }
}

/// The device for a moment.
pub fn lock(device: &Mutex<Device>) -> MutexGuard<'_, Device> {
    // A device is whole between requests.
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A discovery response: vendor, type, next index (PCIe r6, 6.30.1.1).
fn discovery(index: u8, cycle: bool) -> [u8; 4] {
    let (kind, next) = match index {
        0 => (TYPE_DISCOVERY, 1),
        1 => (TYPE_SPDM, 0),
        _ if cycle => (TYPE_SPDM, 0),
        _ => return [0xFF, 0xFF, 0xFF, 0],
    };
    let next = if cycle { index % 0xFF + 1 } else { next };
    let [low, high] = VENDOR_PCI_SIG.to_le_bytes();
    [low, high, kind, next]
}

/// A data object around `content`.
fn wrap(kind: u8, content: &[u8], faults: &[Fault]) -> Vec<u8> {
    let mut object = Vec::with_capacity(HEADER_SIZE + content.len() + 3);
    object.extend(VENDOR_PCI_SIG.to_le_bytes());
    object.extend([kind, 0, 0, 0, 0, 0]);
    object.extend(content);
    let padding = if faults.contains(&Fault::DoePadding) {
        0xA5
    } else {
        0
    };
    object.resize(object.len().next_multiple_of(4), padding);
    // CAST: a payload is at most 4608 bytes, as messages are limited.
    let mut dwords = (object.len() / 4) as u32;
    for fault in faults {
        match fault {
            Fault::DoeLengthMax => dwords = 0,
            Fault::DoeLengthOne => dwords = 1,
            Fault::DoeLengthLong => dwords += 1,
            Fault::DoeLengthShort => dwords -= 1,
            Fault::DoeVendor => object[0] ^= 0xFF,
            Fault::DoeType => object[2] = TYPE_SECURED_SPDM,
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
        let object = wrap(TYPE_SPDM, &[1, 2, 3, 4, 5], &[]);
        assert_eq!(object, [1, 0, 1, 0, 4, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0]);
        let object = wrap(TYPE_SPDM, &[1], &[Fault::DoePadding, Fault::DoeLengthMax]);
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
