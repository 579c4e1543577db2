// SPDX-License-Identifier: GPL-2.0

//! Takes a transcript apart into its messages (DSP0274).

use anyhow::{bail, ensure, Context, Result};
use openssl::hash::{hash, MessageDigest};
use std::fmt::Write;

pub const VERSION_11: u8 = 0x11;
pub const VERSION_12: u8 = 0x12;
pub const VERSION_13: u8 = 0x13;
pub const VERSION_14: u8 = 0x14;

/// SlotID of a public key that was provisioned instead of certificates.
pub const RAW_KEY_SLOT: u8 = 0xff;

const NONCE: usize = 32;
const CONTEXT: usize = 8;

/// The hash that was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    /// As the kernel calls it.
    pub name: &'static str,
    bit: u32,
}

const HASHES: [Hash; 6] = [
    Hash {
        name: "sha256",
        bit: 0x01,
    },
    Hash {
        name: "sha384",
        bit: 0x02,
    },
    Hash {
        name: "sha512",
        bit: 0x04,
    },
    Hash {
        name: "sha3-256",
        bit: 0x08,
    },
    Hash {
        name: "sha3-384",
        bit: 0x10,
    },
    Hash {
        name: "sha3-512",
        bit: 0x20,
    },
];

impl Hash {
    /// OpenSSL's.
    pub fn md(self) -> MessageDigest {
        match self.name {
            "sha256" => MessageDigest::sha256(),
            "sha384" => MessageDigest::sha384(),
            "sha512" => MessageDigest::sha512(),
            "sha3-256" => MessageDigest::sha3_256(),
            "sha3-384" => MessageDigest::sha3_384(),
            _ => MessageDigest::sha3_512(),
        }
    }

    /// Size of a digest in bytes.
    pub fn size(self) -> usize {
        self.md().size()
    }

    /// The digest of `bytes`.
    pub fn digest(self, bytes: &[u8]) -> Result<Vec<u8>> {
        Ok(hash(self.md(), bytes)?.to_vec())
    }
}

/// The signature algorithm that was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asym {
    /// As the kernel calls it.
    pub name: &'static str,
    pqc: bool,
    bit: u32,
    /// Size of a signature in bytes.
    pub signature_size: usize,
}

const fn asym(name: &'static str, pqc: bool, bit: u32, signature_size: usize) -> Asym {
    Asym {
        name,
        pqc,
        bit,
        signature_size,
    }
}

const ASYMS: [Asym; 12] = [
    asym("rsassa-2048", false, 1 << 0, 256),
    asym("rsapss-2048", false, 1 << 1, 256),
    asym("rsassa-3072", false, 1 << 2, 384),
    asym("rsapss-3072", false, 1 << 3, 384),
    asym("ecdsa-p256", false, 1 << 4, 64),
    asym("rsassa-4096", false, 1 << 5, 512),
    asym("rsapss-4096", false, 1 << 6, 512),
    asym("ecdsa-p384", false, 1 << 7, 96),
    asym("ecdsa-p521", false, 1 << 8, 132),
    asym("mldsa44", true, 1 << 0, 2420),
    asym("mldsa65", true, 1 << 1, 3309),
    asym("mldsa87", true, 1 << 2, 4627),
];

/// Reads a transcript from its beginning.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(len)
            .context("the transcript is cut short")?;
        self.rest = rest;
        Ok(bytes)
    }

    fn u8(&self, at: usize) -> Result<usize> {
        let byte = self.rest.get(at).context("the transcript is cut short")?;
        Ok(usize::from(*byte))
    }

    fn u16(&self, at: usize) -> Result<usize> {
        Ok(self.u8(at)? | (self.u8(at + 1)? << 8))
    }

    fn u32(&self, at: usize) -> Result<usize> {
        Ok(self.u16(at)? | (self.u16(at + 2)? << 16))
    }

    /// The code of the next message.
    fn code(&self) -> Result<u8> {
        Ok(self.u8(1)? as u8)
    }

    /// Takes a message of that code, version and size.
    fn message(&mut self, version: u8, code: u8, len: usize) -> Result<&'a [u8]> {
        let message = self.take(len)?;
        ensure!(
            message.len() >= 4 && message[0] == version && message[1] == code,
            "a message {code:#04x} of version {version:#04x} was expected, not {:#04x} of {:#04x}",
            message[1],
            message[0]
        );
        Ok(message)
    }
}

/// What both sides agreed on, by VCA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// As in a message header: 0x13.
    pub version: u8,
    pub hash: Hash,
    pub asym: Asym,
    multi_key: bool,
    opaque_data: bool,
}

impl Negotiated {
    /// "1.3".
    pub fn version_text(&self) -> String {
        format!("{}.{}", self.version >> 4, self.version & 0xf)
    }

    /// The part of CAPABILITIES and so on, which nothing follows.
    pub fn from_vca(vca: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(vca);
        let negotiated = reader.vca()?;
        ensure!(reader.is_empty(), "something follows ALGORITHMS");
        Ok(negotiated)
    }

    /// What a signature is made over (DSP0274, "Signature generation"): the message, which all algorithms but ML-DSA
    /// hash again; up to version 1.1 the digest itself.
    pub fn signed_message(&self, context: &str, transcript: &[u8]) -> Result<Vec<u8>> {
        let digest = self.hash.digest(transcript)?;
        if self.version < VERSION_12 {
            return Ok(digest);
        }
        let mut message = format!("dmtf-spdm-v{}.*", self.version_text())
            .repeat(4)
            .into_bytes();
        message.resize(100 - context.len(), 0);
        message.extend(context.as_bytes());
        message.extend(digest);
        Ok(message)
    }

    fn context_size(&self) -> usize {
        if self.version >= VERSION_13 {
            CONTEXT
        } else {
            0
        }
    }
}

/// What CHALLENGE and CHALLENGE_AUTH say.
#[derive(Clone, Debug)]
pub struct Challenge<'a> {
    pub slot: u8,
    pub nonce: &'a [u8],
    pub cert_chain_hash: &'a [u8],
    /// The digest of the slot's chain in DIGESTS, if that was asked for.
    pub digest: Option<&'a [u8]>,
    /// The chain of the slot, if it was fetched.
    pub chain: Option<Vec<u8>>,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub index: u8,
    pub kind: u8,
    pub value: Vec<u8>,
}

impl Block {
    /// The line that the kernel shows for it.
    pub fn line(&self) -> String {
        const NAMES: [&str; 11] = [
            "immutable-rom",
            "mutable-firmware",
            "hardware-configuration",
            "firmware-configuration",
            "manifest",
            "device-mode",
            "version",
            "secure-version-number",
            "hash-extend",
            "informational",
            "structured-manifest",
        ];
        let kind = usize::from(self.kind & 0x7f);
        let name = match NAMES.get(kind) {
            Some(name) => (*name).to_owned(),
            None => format!("type-{kind}"),
        };
        let form = if self.kind & 0x80 != 0 {
            "raw"
        } else {
            "digest"
        };
        format!("{} {name} {form} {}", self.index, hex(&self.value))
    }
}

/// What the measurement messages say.
#[derive(Clone, Debug, Default)]
pub struct Measurements<'a> {
    /// Of the signed one.
    pub slot: Option<u8>,
    pub nonce: Option<&'a [u8]>,
    pub blocks: Vec<Block>,
}

impl<'a> Reader<'a> {
    /// VERSION, CAPABILITIES, ALGORITHMS and their requests.
    pub fn vca(&mut self) -> Result<Negotiated> {
        self.message(0x10, 0x84, 4)?;
        let entries = self.u8(5)?;
        let version_message = self.message(0x10, 0x04, 6 + 2 * entries)?;
        let version = self.u8(0)? as u8;
        let is_offered = version_message[6..]
            .chunks_exact(2)
            .any(|entry| entry[1] == version);
        ensure!(
            (0x10..=VERSION_14).contains(&version) && is_offered,
            "version {version:#04x} was not offered"
        );
        let request = match version {
            0x10 => 4,
            VERSION_11 => 12,
            _ => 20,
        };
        self.message(version, 0xe1, request)?;
        let fixed = if version < VERSION_12 { 12 } else { 20 };
        // SupportedAlgorithms, from 1.3.
        let more = match version >= VERSION_13 && self.u8(2)? & 1 != 0 {
            true => self.u16(fixed + 2)?,
            false => 0,
        };
        self.message(version, 0x61, fixed + more)?;

        let length = self.u16(4)?;
        let request = self.message(version, 0xe3, length.max(32))?;
        let multi_key = version >= VERSION_13 && request[7] & 0x10 != 0;
        let length = self.u16(4)?;
        let algorithms = self.message(version, 0x63, length.max(36))?;
        let field = |at: usize| {
            let bytes: [u8; 4] = algorithms[at..at + 4].try_into().unwrap_or_default();
            u32::from_le_bytes(bytes)
        };
        let pqc = if version >= VERSION_14 { field(20) } else { 0 };
        let asym = match (field(12), pqc) {
            (bit, 0) => ASYMS.into_iter().find(|asym| !asym.pqc && asym.bit == bit),
            (0, bit) => ASYMS.into_iter().find(|asym| asym.pqc && asym.bit == bit),
            _ => None,
        };
        Ok(Negotiated {
            version,
            hash: HASHES
                .into_iter()
                .find(|hash| hash.bit == field(16))
                .context("the hash algorithm is unknown")?,
            asym: asym.context("the signature algorithm is unknown")?,
            multi_key,
            opaque_data: version < VERSION_12 || algorithms[7] & 0xf != 0,
        })
    }

    /// The rest of M1, without the signature.
    pub fn challenge(&mut self, negotiated: &Negotiated) -> Result<Challenge<'a>> {
        let Negotiated { version, hash, .. } = *negotiated;
        let mut digests: Option<(u8, &[u8])> = None;
        // Chains by slot: those of slots that nobody trusted are there, too.
        let mut chains: Vec<(u8, Vec<u8>)> = Vec::new();
        loop {
            match self.code()? {
                0x81 => {
                    self.message(version, 0x81, 4)?;
                    let mask = self.u8(3)? as u8;
                    let count = mask.count_ones() as usize;
                    let keys = if negotiated.multi_key { 4 * count } else { 0 };
                    let message = self.message(version, 0x01, 4 + count * hash.size() + keys)?;
                    digests = Some((mask, &message[4..4 + count * hash.size()]));
                    chains.clear();
                }
                0x82 => {
                    let large = self.u8(2)? & 0x80 != 0;
                    let slot = self.u8(2)? as u8 & 0x0f;
                    let offset = if large { self.u32(8)? } else { self.u16(4)? };
                    self.message(version, 0x82, if large { 16 } else { 8 })?;
                    let (fixed, len) = match large {
                        true => (16, self.u32(8)?),
                        false => (8, self.u16(4)?),
                    };
                    let message = self.message(version, 0x02, fixed + len)?;
                    if offset == 0 {
                        chains.retain(|chain| chain.0 != slot);
                        chains.push((slot, Vec::new()));
                    }
                    match chains.last_mut() {
                        Some((last, bytes)) if *last == slot && bytes.len() == offset => {
                            bytes.extend(&message[fixed..])
                        }
                        _ => bail!("portions of a chain are out of order"),
                    }
                }
                0x83 => break,
                code => bail!("a message {code:#04x} does not belong into M1"),
            }
        }
        let context = negotiated.context_size();
        let request = self.message(version, 0x83, 4 + NONCE + context)?;
        let slot = request[2];
        let opaque = 4 + hash.size() + NONCE;
        let opaque_len = self.u16(opaque)?;
        let response = self.message(version, 0x03, opaque + 2 + opaque_len + context)?;
        ensure!(self.is_empty(), "something follows CHALLENGE_AUTH");
        ensure!(
            opaque_len == 0 || negotiated.opaque_data,
            "opaque data was not negotiated"
        );
        ensure!(
            response[opaque + 2 + opaque_len..] == request[4 + NONCE..],
            "RequesterContext did not come back"
        );
        let mask = if version == 0x10 { 0xff } else { 0x0f };
        ensure!(
            response[2] & mask == slot & mask,
            "CHALLENGE_AUTH is of another slot"
        );
        let digest = match digests {
            Some((mask, digests)) if slot < 8 => {
                ensure!(mask & (1 << slot) != 0, "the slot has no digest");
                let before = (mask & ((1 << slot) - 1)).count_ones() as usize;
                digests.chunks_exact(hash.size()).nth(before)
            }
            _ => None,
        };
        Ok(Challenge {
            slot,
            nonce: &request[4..4 + NONCE],
            cert_chain_hash: &response[4..4 + hash.size()],
            digest,
            chain: chains
                .into_iter()
                .find_map(|(number, bytes)| (number == slot).then_some(bytes)),
        })
    }

    /// The rest of L1, without the signature.
    pub fn measurements(&mut self, negotiated: &Negotiated) -> Result<Measurements<'a>> {
        let version = negotiated.version;
        let context = negotiated.context_size();
        let mut found = Measurements::default();
        while !self.is_empty() {
            ensure!(
                found.nonce.is_none(),
                "something follows the signed response"
            );
            let signed = self.u8(2)? & 1 != 0;
            let fields = match version {
                _ if !signed => 0,
                0x10 => NONCE,
                _ => NONCE + 1,
            };
            let request = self.message(version, 0xe0, 4 + fields + context)?;
            let length = self.u32(4)? >> 8;
            let opaque = 8 + length + NONCE;
            let opaque_len = self.u16(opaque)?;
            let response = self.message(version, 0x60, opaque + 2 + opaque_len + context)?;
            ensure!(
                response[opaque + 2 + opaque_len..] == request[4 + fields..],
                "RequesterContext of measurements did not come back"
            );
            if signed {
                found.nonce = Some(&request[4..4 + NONCE]);
                found.slot = match version {
                    0x10 => None,
                    _ => Some(request[4 + NONCE]),
                };
            }
            let mut record = Reader::new(&response[8..8 + length]);
            let before = found.blocks.len();
            while !record.is_empty() {
                let size = record.u16(2)?;
                let block = record.take(4 + size)?;
                let [index, 1, _, _, kind, low, high, value @ ..] = block else {
                    bail!("a measurement block of another specification than DMTF's");
                };
                ensure!(
                    value.len() == usize::from(u16::from_le_bytes([*low, *high])),
                    "sizes of a measurement block"
                );
                found.blocks.push(Block {
                    index: *index,
                    kind: *kind,
                    value: value.to_vec(),
                });
            }
            ensure!(
                found.blocks.len() - before == usize::from(response[4]),
                "NumberOfBlocks"
            );
        }
        Ok(found)
    }
}

/// Hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        // Nothing can go wrong with a string.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Reads what [`hex`] writes.
pub fn from_hex(text: &str) -> Result<Vec<u8>> {
    let text = text.trim();
    ensure!(
        text.len() % 2 == 0 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "`{text}` is not an even number of hexadecimal digits"
    );
    let digits = (0..text.len()).step_by(2);
    Ok(digits
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap_or_default())
        .collect())
}
