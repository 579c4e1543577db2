// SPDX-License-Identifier: GPL-2.0

//! What a CMA certificate says about its PCI function.

use super::text::hex_digit;

/// What the subjectAltName of a function's leaf certificate names (PCIe r6.0 section 6.31.3).
///
/// PCIe r6.2 no longer prescribes the form; products keep to the older text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PciIdentity {
    /// Vendor ID.
    pub(crate) vendor: u16,
    /// Device ID.
    pub(crate) device: u16,
    /// Class code: the low 24 bits.
    pub(crate) class: u32,
    /// Revision ID.
    pub(crate) revision: u8,
    /// Subsystem vendor ID and subsystem ID; only functions with a type 0 header have them.
    pub(crate) subsystem: Option<(u16, u16)>,
    /// Device Serial Number, if the function has that capability.
    pub(crate) serial: Option<u64>,
}

impl PciIdentity {
    /// Whether `name` is the name of this function.
    ///
    /// That is `Vendor=%04x:Device=%04x:CC=%06x:REV=%02x`, followed by `:SSVID=%04x:SSID=%04x` with a
    /// type 0 header, in lower case, byte by byte. `:%016x`, the serial number, may follow; then the
    /// function must have it too: a certificate made for one specimen is no good for another.
    pub(crate) fn is_named(&self, name: &[u8]) -> bool {
        self.after_model(name)
            .is_some_and(|rest| match self.serial {
                _ if rest.is_empty() => true,
                Some(serial) => field(rest, b":", serial, 16).is_some_and(<[u8]>::is_empty),
                None => false,
            })
    }

    /// What follows in `name` after all but the serial number; [`None`] if that part differs.
    fn after_model<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        let rest = field(name, b"Vendor=", self.vendor.into(), 4)?;
        let rest = field(rest, b":Device=", self.device.into(), 4)?;
        let rest = field(rest, b":CC=", self.class.into(), 6)?;
        let rest = field(rest, b":REV=", self.revision.into(), 2)?;
        match self.subsystem {
            Some((vendor, id)) => {
                let rest = field(rest, b":SSVID=", vendor.into(), 4)?;
                field(rest, b":SSID=", id.into(), 4)
            }
            None => Some(rest),
        }
    }
}

/// What follows in `text` after `label` and the low `digits` hexadecimal digits of `value`; [`None`] if
/// it does not begin so.
fn field<'a>(text: &'a [u8], label: &[u8], value: u64, digits: u32) -> Option<&'a [u8]> {
    let mut rest = text.strip_prefix(label)?;
    for place in (0..digits).rev() {
        let nibble = value.checked_shr(place.checked_mul(4)?)? & 0xf;
        let (&digit, after) = rest.split_first()?;
        if digit != hex_digit(u8::try_from(nibble).ok()?) {
            return None;
        }
        rest = after;
    }
    Some(rest)
}
