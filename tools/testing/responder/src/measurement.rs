// SPDX-License-Identifier: GPL-2.0

//! The measurements of a device, and how it lies about them (DSP0274, "MEASUREMENTS response").

use crate::algorithm::Hash;
use crate::fault::Fault;
use crate::message::{HEADER_SIZE, NONCE_SIZE};
use openssl::error::ErrorStack;

/// MeasurementOperation: how many there are.
pub const COUNT: u8 = 0;
/// MeasurementOperation: all of them.
pub const ALL: u8 = 0xFF;

/// MeasurementSpecification: DMTF's.
pub const DMTF: u8 = 1;

/// The value is raw.
const RAW: u8 = 0x80;

/// Index and block of each measurement of a device whose firmware has that number.
///
/// # Errors
///
/// Fails if the hash does.
pub fn blocks(firmware: u32, hash: Hash) -> Result<Vec<(u8, Vec<u8>)>, ErrorStack> {
    let version = format!("firmware {firmware}");
    let digest = |what: &str| hash.digest(what.as_bytes());
    let values = [
        (1, 0, digest("immutable ROM")?),
        (2, 1, digest(&version)?),
        (3, 2, digest("hardware configuration")?),
        (4, 3, digest("firmware configuration")?),
        (5, 6 | RAW, version.into_bytes()),
        (6, 7 | RAW, u64::from(firmware).to_le_bytes().to_vec()),
        // DeviceMode: normal mode of operation, no debugging.
        (
            0xFE,
            5 | RAW,
            [4u32, 4, 0, 0].map(u32::to_le_bytes).concat(),
        ),
    ];
    let block = |(index, kind, value): (u8, u8, Vec<u8>)| {
        // CAST: they are short.
        let size = value.len() as u16;
        let mut block = vec![index, DMTF];
        block.extend((size + 3).to_le_bytes());
        block.push(kind);
        block.extend(size.to_le_bytes());
        block.extend(value);
        (index, block)
    };
    Ok(values.into_iter().map(block).collect())
}

/// Changes MEASUREMENTS before it is signed. Whether it did.
pub fn change(fault: Fault, message: &mut [u8]) -> bool {
    const COUNT_AT: usize = HEADER_SIZE;
    const LENGTH_AT: usize = HEADER_SIZE + 1;
    const RECORD_AT: usize = HEADER_SIZE + 4;
    if message.len() < RECORD_AT + 7 + NONCE_SIZE || message[COUNT_AT] == 0 {
        return false;
    }
    match fault {
        Fault::MeasurementCount => message[COUNT_AT] += 1,
        Fault::MeasurementLength => message[LENGTH_AT] ^= 1,
        Fault::MeasurementIndex0 => message[RECORD_AT] = 0,
        Fault::MeasurementIndexTwice => {
            let size = usize::from(u16::from_le_bytes([
                message[RECORD_AT + 2],
                message[RECORD_AT + 3],
            ]));
            match message.get_mut(RECORD_AT + 4 + size) {
                Some(index) => *index = 1,
                None => return false,
            }
        }
        Fault::MeasurementSpecification => message[RECORD_AT + 1] = 2,
        Fault::MeasurementValueSize => message[RECORD_AT + 5] ^= 1,
        Fault::MeasurementChanged => message[3] |= 0x10,
        Fault::MeasurementSlot => message[3] ^= 1,
        _ => return false,
    }
    true
}
