// SPDX-License-Identifier: GPL-2.0

//! The evidence file: what one attestation left, as the kernel dumped it.
//!
//! Eight bytes `SPDMEVID`, the format (1), then records: type and length, each a little-endian u32, and the value. The
//! last record has type 0xffffffff and the SHA-256 of everything before it.

use anyhow::{bail, ensure, Context, Result};
use openssl::sha::sha256;
use std::collections::BTreeMap;

const MAGIC: &[u8; 8] = b"SPDMEVID";
const FORMAT: u32 = 1;
const END: u32 = u32::MAX;

/// VCA: the version, capabilities and algorithms messages.
pub const VCA: u32 = 8;
/// The signed measurements: L1 and the signature.
pub const MEASUREMENTS: u32 = 9;
/// The signed challenge: M1 and the signature.
pub const CHALLENGE: u32 = 32;
/// Lines of `key=value` by the kernel, which nobody signed.
pub const INFO: u32 = 33;

/// What one attestation left, by type: 0 to 7 the certificate chain of that slot, and the types above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence(pub BTreeMap<u32, Vec<u8>>);

impl Evidence {
    /// The value of a type; empty if there is none.
    pub fn get(&self, kind: u32) -> &[u8] {
        self.0.get(&kind).map(Vec::as_slice).unwrap_or_default()
    }

    /// Adds a piece of a value.
    pub fn append(&mut self, kind: u32, piece: &[u8]) {
        self.0.entry(kind).or_default().extend(piece);
    }

    /// The value of a key of [`INFO`].
    pub fn info(&self, key: &str) -> Option<&str> {
        let text = std::str::from_utf8(self.get(INFO)).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    }

    /// As a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        let record = |bytes: &mut Vec<u8>, kind: u32, value: &[u8]| {
            bytes.extend(kind.to_le_bytes());
            // CAST: a value has at most some hundred KiB.
            bytes.extend((value.len() as u32).to_le_bytes());
            bytes.extend(value);
        };
        for (kind, value) in &self.0 {
            record(&mut bytes, *kind, value);
        }
        let digest = sha256(&bytes);
        record(&mut bytes, END, &digest);
        bytes
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Fails if it is none, or not as it was written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes
            .strip_prefix(MAGIC)
            .context("this is not an evidence file: it does not begin with SPDMEVID")?;
        let format = u32_of(&mut rest)?;
        ensure!(
            format == FORMAT,
            "format {format} is unknown; this spdmctl knows {FORMAT}"
        );
        let mut evidence = Self::default();
        loop {
            let before = bytes.len() - rest.len();
            let kind = u32_of(&mut rest)?;
            let len = u32_of(&mut rest)? as usize;
            let (value, after) = rest
                .split_at_checked(len)
                .context("the file is cut short")?;
            rest = after;
            if kind == END {
                ensure!(rest.is_empty(), "something follows the end of the file");
                if value != sha256(&bytes[..before]) {
                    bail!("the file was changed: its SHA-256 is another");
                }
                return Ok(evidence);
            }
            let twice = evidence.0.insert(kind, value.to_vec()).is_some();
            ensure!(!twice, "type {kind} is there twice");
        }
    }
}

fn u32_of(rest: &mut &[u8]) -> Result<u32> {
    let (value, after) = rest.split_first_chunk().context("the file is cut short")?;
    *rest = after;
    Ok(u32::from_le_bytes(*value))
}
