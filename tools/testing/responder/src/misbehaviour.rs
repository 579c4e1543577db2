// SPDX-License-Identifier: GPL-2.0

//! How each [`Fault`] changes what an honest device would send.
//!
//! Every function here says whether it changed anything: only then a fault counts as played.

use crate::algorithm::{coordinate_size, sign_digest, sign_message, Hash};
use crate::config::Active;
use crate::device::{MAX_MESSAGE, SUPPORTED_ALGORITHMS_SIZE};
use crate::fault::Fault;
use crate::measurement;
use crate::message::{
    u16_at, u32_at, Exchange, CERT_CAP, CHAL_CAP, CONTEXT_SIZE, HEADER_SIZE, NONCE_SIZE,
    VERSION_10, VERSION_11, VERSION_12, VERSION_13, VERSION_14,
};
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::rand::rand_bytes;
use openssl::rsa::Padding;

/// Context of a responder's CHALLENGE_AUTH signature (1.2).
pub const RESPONDER_CHALLENGE: &str = "responder-challenge_auth signing";
/// Context of a requester's CHALLENGE_AUTH signature (1.2).
const REQUESTER_CHALLENGE: &str = "requester-challenge_auth signing";
/// Context of a responder's MEASUREMENTS signature (1.2).
pub const RESPONDER_MEASUREMENTS: &str = "responder-measurements signing";
/// Size of the prefix with its context, in bytes (1.2).
const PREFIX_SIZE: usize = 100;

/// Whether a fault is played instead of an answer.
pub fn is_instead(fault: Fault) -> bool {
    // The first rows of the table, up to `truncate`; late-answer sits around the answer.
    (fault as usize) < Fault::Truncate as usize && fault != Fault::LateAnswer
        || fault == Fault::ErrorInTranscript
}

/// A version that is not `version`.
pub fn another_version(version: u8) -> u8 {
    if version == VERSION_12 {
        VERSION_11
    } else {
        VERSION_12
    }
}

/// What a device signs in CHALLENGE_AUTH, or in MEASUREMENTS.
#[derive(Debug)]
pub struct Signing {
    /// The version whose form the signature has.
    pub version: u8,
    /// The negotiated hash.
    pub hash: Hash,
    /// The context in the prefix (1.2).
    pub context: &'static str,
    /// Whether a message is signed, with a context string, and no digest.
    pub is_pqc: bool,
    /// Padding of a signature by RSA, and the size of its salt if it is not that of the digest.
    pub padding: (Padding, Option<i32>),
    /// The context string, if it is not the context.
    pub context_string: Option<&'static str>,
    /// VERSION, CAPABILITIES and ALGORITHMS pairs.
    pub vca: Vec<u8>,
    /// DIGESTS and CERTIFICATE pairs, or earlier GET_MEASUREMENTS and MEASUREMENTS.
    pub certificates: Vec<u8>,
    /// The CHALLENGE.
    pub request: Vec<u8>,
    /// The CHALLENGE_AUTH without its signature.
    pub message: Vec<u8>,
}

impl Signing {
    /// The digest to sign: of M1 before 1.2, of the prefix and the digest of M1 from then on
    /// (DSP0274, "Signature generation").
    ///
    /// # Errors
    ///
    /// Fails if the hash does.
    pub fn digest(&self) -> Result<Vec<u8>, ErrorStack> {
        let signed = self.message()?;
        if self.version < VERSION_12 {
            Ok(signed)
        } else {
            self.hash.digest(&signed)
        }
    }

    /// The signature by `key`.
    ///
    /// # Errors
    ///
    /// Fails if OpenSSL does.
    pub fn sign(&self, key: &PKey<Private>) -> Result<Vec<u8>, ErrorStack> {
        if self.is_pqc {
            let context = self.context_string.unwrap_or(self.context);
            sign_message(key, context.as_bytes(), &self.message()?)
        } else {
            sign_digest(key, self.padding, self.hash, &self.digest()?)
        }
    }

    /// What is signed, where a message is, and no digest: the digest of M1, from 1.2 on behind the
    /// prefix.
    ///
    /// # Errors
    ///
    /// Fails if the hash does.
    pub fn message(&self) -> Result<Vec<u8>, ErrorStack> {
        let parts = [
            &self.vca[..],
            &self.certificates,
            &self.request,
            &self.message,
        ];
        let digest = self.hash.digest(&parts.concat())?;
        if self.version < VERSION_12 {
            return Ok(digest);
        }
        let prefix = format!("dmtf-spdm-v1.{}.*", self.version & 0xF).repeat(4);
        let mut signed = prefix.into_bytes();
        signed.resize(PREFIX_SIZE - self.context.len(), 0);
        signed.extend(self.context.as_bytes());
        signed.extend(digest);
        Ok(signed)
    }
}

/// Changes any message after everything else.
pub fn change_any(active: &Active, exchange: Exchange, message: &mut Vec<u8>) -> bool {
    match active.fault {
        Fault::Truncate => message.truncate(message.len().saturating_sub(active.bytes)),
        Fault::Extend => message.resize(message.len() + active.bytes, 0xA5),
        Fault::Oversize => message.resize(MAX_MESSAGE, 0xA5),
        Fault::Empty => message.clear(),
        Fault::Garbage => {
            let version = message.first().copied();
            if rand_bytes(message).is_err() {
                return false;
            }
            // It is refused for the same reason each time.
            if let (Some(version), Some(first)) = (version, message.first_mut()) {
                *first = another_version(version);
            }
        }
        // A device that changes the header signs what it sends.
        Fault::WrongVersion | Fault::WrongCode | Fault::UnknownCode
            if exchange != Exchange::Challenge && message.len() >= HEADER_SIZE =>
        {
            change_header(active.fault, exchange, message);
        }
        _ => return false,
    }
    true
}

fn change_header(fault: Fault, exchange: Exchange, message: &mut [u8]) {
    match fault {
        Fault::WrongVersion => message[0] = another_version(message[0]),
        Fault::UnknownCode => message[1] = 0x7D,
        _ if exchange == Exchange::Digests => message[1] = Exchange::Certificate.response_code(),
        _ => message[1] = Exchange::Digests.response_code(),
    }
}

/// Size of the part of a response that is always there, in bytes. With several faults at once a
/// message may have lost it already; then the next one does nothing.
fn fixed_size(exchange: Exchange, version: u8) -> usize {
    match exchange {
        Exchange::Version => 6,
        Exchange::Capabilities if version < VERSION_12 => 12,
        Exchange::Capabilities => 20,
        Exchange::Algorithms => 36,
        Exchange::Digests => 4,
        Exchange::Certificate => 8,
        Exchange::Challenge => 38,
        Exchange::Measurements => 8,
    }
}

/// Changes an answer other than CHALLENGE_AUTH before it enters the transcript.
pub fn change(active: &Active, exchange: Exchange, request: &[u8], message: &mut Vec<u8>) -> bool {
    if change_any(active, exchange, message) {
        return true;
    }
    if message.len() < fixed_size(exchange, request[0]) {
        return false;
    }
    if active.fault == Fault::Reserved {
        set_reserved(exchange, message);
        return true;
    }
    match exchange {
        Exchange::Version => change_version(active.fault, message),
        Exchange::Capabilities => change_capabilities(active.fault, message),
        Exchange::Algorithms => change_algorithms(active.fault, request, message),
        Exchange::Digests => change_digests(active.fault, message),
        Exchange::Certificate => change_certificate(active.fault, request, message),
        Exchange::Challenge => false,
        Exchange::Measurements => measurement::change(active.fault, message),
    }
}

/// Sets fields that are reserved in the message's version.
fn set_reserved(exchange: Exchange, message: &mut [u8]) {
    let version = message[0];
    match exchange {
        Exchange::Version => message[2..5].fill(0xFF),
        Exchange::Capabilities => {
            message[3] = 0xFF;
            message[4] = 0xFF;
            message[6..8].fill(0xFF);
            if version < VERSION_13 {
                message[2] = 0xFF;
            }
        }
        Exchange::Algorithms => {
            message[3] = 0xFF;
            message[if version < VERSION_14 { 20 } else { 24 }..31].fill(0xFF);
            message[34..36].fill(0xFF);
        }
        Exchange::Digests => {
            if version < VERSION_13 {
                message[2] = 0xFF;
            }
        }
        Exchange::Certificate => {
            message[2] |= if version < VERSION_14 { 0xF0 } else { 0x70 };
            message[3] = if version < VERSION_13 { 0xFF } else { 0xF8 };
        }
        Exchange::Challenge => message[2] |= 0x70,
        Exchange::Measurements => message[3] |= 0xC0,
    }
}

fn change_version(fault: Fault, message: &mut Vec<u8>) -> bool {
    let entries = message.split_off(6);
    match fault {
        Fault::NoVersions => message[5] = 0,
        Fault::ManyVersions => {
            // Versions 0.1 to 0.f over and over: nobody speaks those.
            let count = 255_usize.saturating_sub(entries.len() / 2);
            for i in 0..count {
                message.extend([0, 1 + (i % 15) as u8]);
            }
            message.extend(entries);
            message[5] = 255;
        }
        Fault::DuplicateVersions => {
            for entry in entries.chunks(2) {
                message.extend(entry);
                message.extend(entry);
            }
            message[5] = message[5].wrapping_mul(2);
        }
        Fault::UnknownVersions => {
            message.extend([0, 0x09, 0, 0x90]);
            message[5] = 2;
        }
        Fault::VersionCountLong => {
            message.extend(entries);
            message[5] = message[5].wrapping_add(1);
        }
        Fault::VersionCountShort => {
            message.extend(entries);
            message[5] = message[5].wrapping_sub(1);
        }
        _ => {
            message.extend(entries);
            return false;
        }
    }
    true
}

fn change_capabilities(fault: Fault, message: &mut Vec<u8>) -> bool {
    let version = message[0];
    let set_flags = |message: &mut Vec<u8>, set: u32, clear: u32| {
        let flags = u32_at(message, 8).unwrap_or_default() & !clear | set;
        message[8..12].copy_from_slice(&flags.to_le_bytes());
    };
    let set_sizes = |message: &mut Vec<u8>, transfer: u32, max: u32| {
        message[12..16].copy_from_slice(&transfer.to_le_bytes());
        message[16..20].copy_from_slice(&max.to_le_bytes());
    };
    const MAX: u32 = MAX_MESSAGE as u32;
    match fault {
        Fault::FlagsReserved => set_flags(message, 0x18, 0),
        Fault::FlagsIncoherent => set_flags(message, 0x200, 0xC0),
        Fault::FlagsLater => {
            let reserved = match version {
                VERSION_10 => !0x3F,
                VERSION_11 => !0x1_FFFF,
                VERSION_12 => !0x3F_FFFF,
                VERSION_13 => 0xC000_0000,
                // None is left.
                _ => return false,
            };
            set_flags(message, reserved, 0);
        }
        Fault::NoChalCap => set_flags(message, 0, CHAL_CAP),
        Fault::NoCertCap => set_flags(message, 0, CERT_CAP),
        Fault::TransferSizeSmall => set_sizes(message, 41, 41),
        Fault::TransferSizeAboveMax => set_sizes(message, MAX, MAX - 1),
        Fault::TransferSizeBelowMax => set_sizes(message, MAX - 1, MAX),
        Fault::CtExponent24 => message[5] = 24,
        Fault::CtExponent255 => message[5] = 255,
        Fault::SupportedAlgorithmsUnasked | Fault::SupportedAlgorithmsLength => {
            let lies = fault == Fault::SupportedAlgorithmsLength;
            message.truncate(20);
            message[2] = u8::from(lies);
            // CAST: it is 30.
            let length = SUPPORTED_ALGORITHMS_SIZE as u8;
            let mut block = vec![0, 0, if lies { 64 } else { length }, 0, 0, 0];
            block.extend([0x80, 0, 0, 0, 0x02, 0, 0, 0]);
            block.resize(SUPPORTED_ALGORITHMS_SIZE, 0);
            message.extend(block);
        }
        _ => return false,
    }
    true
}

fn change_algorithms(fault: Fault, request: &[u8], message: &mut Vec<u8>) -> bool {
    const ASYM: (usize, usize) = (8, 12);
    const HASH: (usize, usize) = (12, 16);
    // The lowest bit of the requester's field that is, or is not, set; and not selected.
    let bit = |message: &[u8], (asked, answered): (usize, usize), offered: bool| {
        let mask = u32_at(request, asked).unwrap_or_default();
        let selected = u32_at(message, answered).unwrap_or_default();
        (0..32)
            .map(|bit| 1_u32 << bit)
            .find(|bit| (mask & bit != 0) == offered && selected & bit == 0)
    };
    let set = |message: &mut Vec<u8>, (_, at): (usize, usize), value: u32| {
        message[at..at + 4].copy_from_slice(&value.to_le_bytes());
    };
    let selected = |message: &[u8], (_, at): (usize, usize)| u32_at(message, at).unwrap_or(0);
    match fault {
        Fault::AsymNotOffered | Fault::HashNotOffered => {
            let field = if fault == Fault::AsymNotOffered {
                ASYM
            } else {
                HASH
            };
            let Some(bit) = bit(message, field, false) else {
                return false;
            };
            set(message, field, bit);
        }
        Fault::AsymTwo | Fault::HashTwo => {
            let field = if fault == Fault::AsymTwo { ASYM } else { HASH };
            // A second one of those offered; if there was only one, any.
            let Some(bit) = bit(message, field, true).or_else(|| bit(message, field, false)) else {
                return false;
            };
            let both = selected(message, field) | bit;
            set(message, field, both);
        }
        Fault::AsymNone => set(message, ASYM, 0),
        Fault::HashNone => set(message, HASH, 0),
        Fault::PqcNotOffered => {
            set(message, ASYM, 0);
            // SLH-DSA-SHAKE-256f.
            message[20..24].copy_from_slice(&0x4000_u32.to_le_bytes());
        }
        Fault::AsymAndPqc => {
            // One that was offered, if there is one.
            let offered = u32_at(request, 16).unwrap_or_default();
            let bit = 1 << offered.trailing_zeros().min(31);
            message[20..24].copy_from_slice(&u32::to_le_bytes(bit));
        }
        Fault::OpaqueFormat => message[7] |= 3,
        Fault::TableOrder => {
            let mut tables = tables(message);
            tables.reverse();
            // Nothing to reverse: two that are in falling order.
            if tables.len() < 2 {
                tables = vec![[5, 0x20, 0, 0], [2, 0x20, 0, 0]];
            }
            set_tables(message, &tables);
        }
        Fault::TableDuplicate => {
            let mut tables = tables(message);
            let first = tables.first().copied().unwrap_or([2, 0x20, 0, 0]);
            tables.insert(0, first);
            if tables.len() < 2 {
                tables.push(first);
            }
            set_tables(message, &tables);
        }
        Fault::TableSize => {
            let mut tables = tables(message);
            if tables.is_empty() {
                tables.push([2, 0x20, 0, 0]);
            }
            tables[0][1] = 0x40;
            set_tables(message, &tables);
            // The fixed part is now four bytes: everything is as long as it says.
            message.splice(40..40, [0, 0]);
            message.extend([0, 0]);
            let length = (message.len() as u16).to_le_bytes();
            message[4..6].copy_from_slice(&length);
        }
        Fault::TableUnasked => {
            let mut tables = tables(message);
            let Some(kind) = (2..=5).find(|kind| tables.iter().all(|t| t[0] != *kind)) else {
                // All were asked for: something was selected that was not offered.
                tables[0][2] = 0x80;
                set_tables(message, &tables);
                return true;
            };
            tables.push([kind, 0x20, 1, 0]);
            tables.sort_unstable();
            set_tables(message, &tables);
        }
        Fault::TableCount => message[2] = message[2].wrapping_add(1),
        Fault::LengthShort | Fault::LengthLong => {
            let by = if fault == Fault::LengthShort { -4 } else { 4 };
            let length = u16_at(message, 4)
                .unwrap_or_default()
                .wrapping_add_signed(by);
            message[4..6].copy_from_slice(&length.to_le_bytes());
        }
        Fault::ExtAlgorithms => {
            message[32] = 1;
            message.splice(36..36, [0, 0, 1, 0]);
            let length = (message.len() as u16).to_le_bytes();
            message[4..6].copy_from_slice(&length);
        }
        Fault::ExtCount => message[32] = 255,
        _ => return false,
    }
    true
}

/// The algorithm structures of an ALGORITHMS message.
fn tables(message: &[u8]) -> Vec<[u8; 4]> {
    let tables = message.get(36..).unwrap_or_default().chunks_exact(4);
    tables.filter_map(|t| t.try_into().ok()).collect()
}

fn set_tables(message: &mut Vec<u8>, tables: &[[u8; 4]]) {
    message.truncate(36);
    // CAST: five at most.
    message[2] = tables.len() as u8;
    message.extend(tables.concat());
    let length = (message.len() as u16).to_le_bytes();
    message[4..6].copy_from_slice(&length);
}

fn change_digests(fault: Fault, message: &mut Vec<u8>) -> bool {
    match fault {
        Fault::NoSlots => {
            message.truncate(HEADER_SIZE);
            message[3] = 0;
        }
        Fault::NotSupported => message[2] &= !message[3],
        Fault::DigestMismatch => {
            let slots = message[3].count_ones().max(1) as usize;
            let size = (message.len() - HEADER_SIZE) / slots;
            for slot in 0..slots {
                if let Some(byte) = message.get_mut(HEADER_SIZE + slot * size) {
                    *byte ^= 1;
                }
            }
        }
        Fault::DigestMissing => {
            // The highest slot that is not there, so that the digests stay those of their slots.
            let Some(slot) = (0..8).rev().find(|slot| message[3] & (1 << slot) == 0) else {
                return false;
            };
            message[3] |= 1 << slot;
            if message[0] >= VERSION_13 {
                message[2] |= 1 << slot;
            }
        }
        fault if fault.is_multi_key() => return change_keys(fault, message),
        _ => return false,
    }
    true
}

/// Changes KeyPairID, CertificateInfo and KeyUsageMask in DIGESTS, if they are there.
fn change_keys(fault: Fault, message: &mut Vec<u8>) -> bool {
    let slots = message[3].count_ones() as usize;
    let Some(each) = (message.len() - HEADER_SIZE).checked_div(slots) else {
        return false;
    };
    // Sizes of digests are multiples of 16, and there are four bytes more of each slot.
    if each % 16 != 4 {
        return false;
    }
    // The highest slot that is not there: its digest is the last.
    let more = 7_u32.saturating_sub(message[3].leading_ones());
    if matches!(fault, Fault::KeyPairTwoUses | Fault::KeyPairTwice) && message[3] >> more != 0 {
        return false;
    }
    let mut digests = message.split_off(HEADER_SIZE);
    let mut pairs = digests.split_off(slots * (each - 4));
    let mut models = pairs.split_off(slots);
    let mut uses = models.split_off(slots);
    match fault {
        Fault::KeyPair0 => pairs[0] = 0,
        Fault::KeyPairTwoUses | Fault::KeyPairTwice => {
            message[2] |= 1 << more;
            message[3] |= 1 << more;
            digests.extend_from_within(..each - 4);
            pairs.extend_from_within(..1);
            models.push(2);
            uses.extend_from_within(..2);
            if fault == Fault::KeyPairTwoUses {
                uses[2 * slots] ^= 1;
            }
        }
        Fault::KeyUsage => uses.iter_mut().step_by(2).for_each(|uses| *uses &= !2),
        // Of one of its vendor's, if of any.
        Fault::KeyUsageNone => uses[0] &= 0xF0,
        Fault::CertificateModelReserved => models[0] = 7,
        Fault::CertificateModelNone => models[0] = 0,
        // The last of those that are played here.
        _ => models[0] = 3,
    }
    message.extend([digests, pairs, models, uses].concat());
    true
}

fn change_certificate(fault: Fault, request: &[u8], message: &mut Vec<u8>) -> bool {
    let offset = u16_at(request, 4).unwrap_or_default();
    let asked = usize::from(u16_at(request, 6).unwrap_or_default());
    let portion = u16_at(message, 4).unwrap_or_default();
    let remainder = u16_at(message, 6).unwrap_or_default();
    let set = |message: &mut Vec<u8>, portion: u16, remainder: u16| {
        message[4..6].copy_from_slice(&portion.to_le_bytes());
        message[6..8].copy_from_slice(&remainder.to_le_bytes());
    };
    match fault {
        Fault::EmptyPortion => {
            message.truncate(8);
            set(message, 0, remainder.saturating_add(portion));
        }
        Fault::GrowingTotal => {
            if offset == 0 {
                return false;
            }
            set(message, portion, remainder.saturating_add(16));
        }
        Fault::EndlessRemainder => {
            // Behind the end of the chain there is always a little more.
            if portion == 0 {
                message.extend([0; 16]);
                set(message, 16, 0x1000);
            } else {
                set(message, portion, 0x1000);
            }
        }
        Fault::PortionTooLong => {
            message.truncate(8 + usize::from(portion));
            message.resize(8 + asked + 4, 0xA5);
            // CAST: limited by the transport.
            set(message, asked as u16 + 4, remainder.saturating_sub(4));
        }
        Fault::PortionLength => set(message, portion.saturating_add(4), remainder),
        Fault::WrongSlot => message[2] ^= 1,
        Fault::CertificateInfo => message[3] |= 1,
        Fault::CertificateModelChanged => message[3] ^= 3,
        Fault::LargeCertChain => message[2] ^= 0x80,
        Fault::ChainOf4Gib => {
            if message[2] & 0x80 == 0 {
                return false;
            }
            message[12..16].fill(0xFF);
        }
        _ => return false,
    }
    true
}

/// Changes a request and its response on the way: not in the transcript of the device.
pub fn change_on_the_way(
    active: &Active,
    exchange: Exchange,
    seen: &mut [u8],
    sent: &mut Vec<u8>,
) -> bool {
    if sent.len() < fixed_size(exchange, seen[0]) {
        return false;
    }
    match active.fault {
        Fault::VersionWithheld => {
            // With one version there is nothing to withhold.
            if sent[5] < 2 || sent.len() < 10 {
                return false;
            }
            sent.truncate(sent.len() - 2);
            sent[5] -= 1;
        }
        Fault::CapabilitiesChanged => sent[5] ^= 1,
        Fault::AlgorithmsChanged => sent[34] ^= 1,
        Fault::OfferChanged => {
            // What the device saw: nothing but what it selected.
            let selected = [&sent[12..16], &sent[16..20]].concat();
            if seen[8..16] == selected[..] {
                seen[6] ^= 1;
            } else {
                seen[8..16].copy_from_slice(&selected);
            }
        }
        _ => return false,
    }
    true
}

/// Changes a CHALLENGE_AUTH before it is signed.
pub fn change_challenge(active: &Active, message: &mut Vec<u8>, hash: Hash) -> bool {
    let version = message[0];
    let opaque_at = HEADER_SIZE + hash.size() + NONCE_SIZE;
    match active.fault {
        Fault::WrongVersion | Fault::WrongCode | Fault::UnknownCode => {
            change_header(active.fault, Exchange::Challenge, message);
        }
        // In 1.0, Param1 is the slot as a whole: nothing is reserved.
        Fault::Reserved if version == VERSION_10 => return false,
        Fault::Reserved => set_reserved(Exchange::Challenge, message),
        Fault::ChainHash => message[HEADER_SIZE] ^= 1,
        Fault::ChallengeSlot => message[2] ^= 1,
        Fault::ChallengeSlotMask => message[3] &= !(1 << (message[2] & 7)),
        Fault::BasicMutAuth => message[2] |= 0x80,
        Fault::ContextNotEchoed => {
            let at = message.len() - CONTEXT_SIZE;
            message[at] ^= 1;
        }
        Fault::OpaqueTooLong => {
            let end = message.len() - context_size(version);
            message.splice(opaque_at + 2..end, [0x5A; 1028]);
            message[opaque_at..opaque_at + 2].copy_from_slice(&1028_u16.to_le_bytes());
        }
        Fault::OpaquePastEnd => {
            message[opaque_at..opaque_at + 2].copy_from_slice(&1024_u16.to_le_bytes());
        }
        _ => return false,
    }
    true
}

fn context_size(version: u8) -> usize {
    if version >= VERSION_13 {
        CONTEXT_SIZE
    } else {
        0
    }
}

/// Changes what is signed.
pub fn change_signing(active: &Active, signing: &mut Signing) -> bool {
    match active.fault {
        Fault::Replay => {
            return rand_bytes(&mut signing.request[HEADER_SIZE..][..NONCE_SIZE]).is_ok()
        }
        Fault::VcaLeftOut => signing.vca.clear(),
        Fault::CertificatesLeftOut => signing.certificates.clear(),
        Fault::MeasurementSignature => {
            signing.context = RESPONDER_MEASUREMENTS;
            if signing.version < VERSION_12 {
                // L1 is the GET_MEASUREMENTS pair alone: one without blocks.
                signing.vca.clear();
                signing.certificates.clear();
                signing.request[1] = 0xE0;
                signing.message = vec![signing.version, 0x60, 0, 0, 0, 0, 0, 0];
                signing.message.extend([0; NONCE_SIZE + 2]);
            }
        }
        Fault::RequesterRole => signing.context = REQUESTER_CHALLENGE,
        Fault::EmptyContext if signing.is_pqc => signing.context_string = Some(""),
        Fault::PssSalt if signing.padding.0 == Padding::PKCS1_PSS => {
            signing.padding.1 = Some(active.bytes as i32);
        }
        Fault::PssAsPkcs1 if signing.padding.0 == Padding::PKCS1_PSS => {
            signing.padding.0 = Padding::PKCS1;
        }
        Fault::OtherPrefix => {
            signing.version = match signing.version {
                VERSION_12 => VERSION_13,
                _ => VERSION_12,
            };
        }
        Fault::DigestsTwice => {
            // The transcript begins with GET_DIGESTS and DIGESTS, unless they were left out.
            let certificates = &signing.certificates;
            let slots = certificates
                .get(7)
                .map_or(0, |mask| mask.count_ones() as usize);
            let end = 2 * HEADER_SIZE + slots * signing.hash.size();
            let Some(digests) = certificates.get(..end) else {
                return false;
            };
            signing.certificates = [digests, certificates].concat();
        }
        _ => return false,
    }
    true
}

/// Changes the signature.
pub fn change_signature(active: &Active, key: &PKey<Private>, signature: &mut Vec<u8>) -> bool {
    let size = signature.len();
    match active.fault {
        Fault::BadSignature => signature[size / 3] ^= 0x10,
        Fault::ByteOrder => match coordinate_size(key) {
            Some(_) => signature.chunks_mut(size / 2).for_each(<[u8]>::reverse),
            None => signature.reverse(),
        },
        Fault::ZeroSignature => signature.fill(0),
        Fault::ZeroR => signature[..size / 2].fill(0),
        Fault::ZeroS => signature[size / 2..].fill(0),
        Fault::OnesSignature => signature.fill(0xFF),
        Fault::ROverN => return r_over_n(key, signature).is_ok(),
        Fault::DerSignature | Fault::DerSignatureCut => {
            let Ok(mut der) = der_signature(key, signature) else {
                return false;
            };
            if active.fault == Fault::DerSignatureCut {
                der.resize(size, 0);
            }
            *signature = der;
        }
        Fault::ShortSignature => signature.truncate(size - 4),
        _ => return false,
    }
    true
}

fn r_over_n(key: &PKey<Private>, signature: &mut [u8]) -> Result<(), ErrorStack> {
    let Ok(ec) = key.ec_key() else {
        let modulus = key.rsa()?.n().to_vec_padded(signature.len() as i32)?;
        signature.copy_from_slice(&modulus);
        return Ok(());
    };
    let half = signature.len() / 2;
    let mut context = openssl::bn::BigNumContext::new()?;
    let mut order = BigNum::new()?;
    ec.group().order(&mut order, &mut context)?;
    let r = BigNum::from_slice(&signature[..half])?;
    let mut sum = BigNum::new()?;
    sum.checked_add(&r, &order)?;
    let over = sum
        .to_vec_padded(half as i32)
        .or_else(|_| order.to_vec_padded(half as i32))?;
    signature[..half].copy_from_slice(&over);
    Ok(())
}

fn der_signature(key: &PKey<Private>, signature: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    if coordinate_size(key).is_none() {
        // CAST: a modulus is at most 512 bytes.
        let mut der = vec![0x04, 0x82];
        der.extend((signature.len() as u16).to_be_bytes());
        der.extend(signature);
        return Ok(der);
    }
    let (r, s) = signature.split_at(signature.len() / 2);
    EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?.to_der()
}
