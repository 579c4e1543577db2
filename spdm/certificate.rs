// SPDX-License-Identifier: GPL-2.0

//! GET_CERTIFICATE, CERTIFICATE and the format of a certificate chain.

use zerocopy::{
    little_endian::{U16, U32},
    IntoBytes as _,
};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{
    algorithms::BaseHash,
    digests::certificate_model,
    error::{Reason, SlotError},
    message::{Header, Reader, Request, RequestCode, ResponseCode, Timing},
    trust::CertificateModel,
    version::Version,
};

/// Bits of Param1 that hold the slot.
const SLOT_ID: u8 = 0x0f;
/// Param1: LargeCertChain, from version 1.4.
const LARGE_CERT_CHAIN: u8 = 1 << 7;

/// Largest chain in bytes: what 16-bit offsets reach.
pub(crate) const MAX_CHAIN: u32 = 65_535;
/// Largest chain in bytes where offsets have 32 bits. The standard would allow 4 GiB; ten certificates of ML-DSA-87 have
/// 80 KiB.
pub(crate) const MAX_LARGE_CHAIN: u32 = 131_072;

/// How a chain is fetched, and what is known of it.
#[derive(Clone, Copy)]
pub(crate) struct Access {
    pub(crate) version: Version,
    pub(crate) slot: u8,
    /// Offsets and lengths have 32 bits (LargeCertChain, from version 1.4).
    pub(crate) large: bool,
    /// The model that DIGESTS told, in a multi-key connection.
    pub(crate) model: Option<CertificateModel>,
}

impl Access {
    /// Bytes of CERTIFICATE before the portion.
    pub(crate) const fn certificate_size(&self) -> usize {
        if self.large {
            16
        } else {
            8
        }
    }

    /// Largest chain in bytes that is fetched.
    pub(crate) const fn max_chain(&self) -> u32 {
        if self.large {
            MAX_LARGE_CHAIN
        } else {
            MAX_CHAIN
        }
    }
}

/// GET_CERTIFICATE.
pub(crate) struct GetCertificate {
    access: Access,
    length: u32,
    message: GetCertificateMessage,
}

#[derive(Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
struct GetCertificateMessage {
    header: Header,
    // Zero if LargeCertChain is set.
    offset: U16,
    length: U16,
    // Only if it is.
    large_offset: U32,
    large_length: U32,
}

impl GetCertificate {
    /// Asks for up to `length` bytes of the chain, from `offset` on: together no more than [`Access::max_chain`].
    pub(crate) fn new(access: Access, offset: u32, length: u32) -> Self {
        let short = |value: u32| match access.large {
            true => U16::ZERO,
            false => U16::new(u16::try_from(value).unwrap_or(u16::MAX)),
        };
        let large = if access.large { LARGE_CERT_CHAIN } else { 0 };
        Self {
            access,
            length,
            message: GetCertificateMessage {
                header: Header::new(
                    access.version,
                    RequestCode::GetCertificate,
                    access.slot | large,
                    0,
                ),
                offset: short(offset),
                length: short(length),
                large_offset: U32::new(offset),
                large_length: U32::new(length),
            },
        }
    }

    /// The slot that is asked.
    pub(crate) const fn slot(&self) -> u8 {
        self.access.slot
    }

    /// Checks Param1 and Param2 of the response.
    fn check_attributes(&self, header: &Header) -> Result<(), Reason> {
        if header.param1 & SLOT_ID != self.access.slot {
            return Err(Reason::WrongSlot);
        }
        let version = self.access.version;
        if version >= Version::V1_4 && (header.param1 & LARGE_CERT_CHAIN != 0) != self.access.large
        {
            return Err(Reason::LargeCertChain);
        }
        // Without several keys, CertificateInfo has nothing to say.
        if version >= Version::V1_3 && certificate_model(header.param2)? != self.access.model {
            return Err(Reason::CertificateInfo);
        }
        Ok(())
    }
}

/// CERTIFICATE, after the header.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct CertificateBody {
    portion_length: U16,
    remainder_length: U16,
}

/// What follows it if LargeCertChain is set.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct LargeLengths {
    portion_length: U32,
    remainder_length: U32,
}

/// CERTIFICATE: a portion of a certificate chain.
pub(crate) struct Portion<'a> {
    /// At least one byte, and no more than asked for.
    pub(crate) bytes: &'a [u8],
    /// How many bytes of the chain come after it.
    pub(crate) remainder: u32,
}

impl Portion<'_> {
    /// Bytes from the beginning of the portion to the end of the chain.
    pub(crate) fn len_to_end(&self) -> u32 {
        u32::try_from(self.bytes.len())
            .unwrap_or(u32::MAX)
            .saturating_add(self.remainder)
    }
}

impl Request for GetCertificate {
    const CODE: RequestCode = RequestCode::GetCertificate;
    const RESPONSE: ResponseCode = ResponseCode::Certificate;
    const TIMING: Timing = Timing::T2;
    type Response<'a> = Portion<'a>;

    fn as_bytes(&self) -> &[u8] {
        let message = self.message.as_bytes();
        if self.access.large {
            message
        } else {
            message.get(..8).unwrap_or_default()
        }
    }

    fn parse<'a>(&self, header: &Header, body: &mut Reader<'a>) -> Result<Portion<'a>, Reason> {
        let fixed = body.read::<CertificateBody>()?;
        self.check_attributes(header)?;
        let (len, remainder) = if self.access.large {
            let large = body.read::<LargeLengths>()?;
            (large.portion_length.get(), large.remainder_length.get())
        } else {
            (
                fixed.portion_length.get().into(),
                fixed.remainder_length.get().into(),
            )
        };
        if len == 0 {
            return Err(Reason::EmptyPortion);
        }
        if len > self.length {
            return Err(Reason::PortionTooLarge);
        }
        Ok(Portion {
            bytes: body.take(usize::try_from(len).map_err(|_| Reason::PortionTooLarge)?)?,
            remainder,
        })
    }
}

/// Splits a certificate chain into RootHash and certificates (DSP0274, "Certificate chain format").
///
/// # Errors
///
/// [`SlotError::LengthMismatch`] if the Length field is not the chain's length, or if there is no room for
/// a certificate.
pub(crate) fn split_chain(
    chain: &[u8],
    version: Version,
    base_hash: BaseHash,
) -> Result<(&[u8], &[u8]), SlotError> {
    let mut reader = Reader::new(chain);
    let mut split = || {
        let length = match version {
            Version::V1_0 | Version::V1_1 | Version::V1_2 | Version::V1_3 => {
                let length = reader.read::<U16>()?.get().into();
                let _reserved = reader.read::<U16>()?;
                length
            }
            Version::V1_4 => reader.read::<U32>()?.get(),
        };
        let root_hash = reader.take(base_hash.digest_size())?;
        Ok::<_, Reason>((length, root_hash))
    };
    match split() {
        Ok((length, root_hash)) if u32::try_from(chain.len()) == Ok(length) => {
            let certificates = reader.rest();
            if certificates.is_empty() {
                Err(SlotError::LengthMismatch)
            } else {
                Ok((root_hash, certificates))
            }
        }
        _ => Err(SlotError::LengthMismatch),
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc, vec, vec::Vec};

    use super::*;
    use crate::{
        error::ErrorCode,
        testing::{
            each_version, Bench, Certificates, Instead, GET_CERTIFICATE, GET_DIGESTS, VERSIONS,
        },
        trust::ChainError,
    };

    each_version!(portions_are_as_large_as_possible);
    fn portions_are_as_large_as_possible(version: Version) {
        for (buffer_size, max_message_size, lengths) in [
            (4096, 4096, &[4064][..]),
            (322, 4096, &[292, 124]),
            // The padding must fit.
            (325, 4096, &[292, 124]),
            (4096, 208, &[200, 200, 16]),
            (100_000, 100_000, &[65_535]),
        ] {
            let mut bench = Bench::new(version);
            bench.buffer_size = buffer_size;
            bench.max_message_size = max_message_size;
            bench.succeeds(0);
            let asked: vec::Vec<u16> = bench
                .responder
                .requests
                .iter()
                .filter(|request| request[1] == GET_CERTIFICATE)
                .map(|request| u16::from_le_bytes([request[6], request[7]]))
                .collect();
            assert_eq!(asked, lengths);
        }
    }

    each_version!(portions_of_any_size);
    fn portions_of_any_size(version: Version) {
        for portion in [1, 2, 3, 7, 100, 415, 416, 417] {
            let mut bench = Bench::new(version);
            bench.responder.portion = portion;
            bench.succeeds(0);
            assert_eq!(bench.chain_bytes(), bench.responder.chain(0));
        }
    }

    each_version!(chain_of_64_kib);
    fn chain_of_64_kib(version: Version) {
        let mut bench = Bench::new(version);
        let rest = 4 + 48 + 40 + 24;
        bench.responder.slots[0].as_mut().unwrap().between = vec![0x30; 65_535 - rest];
        bench.succeeds(0);
        assert_eq!(bench.chain_bytes().len(), 65_535);
    }

    each_version!(no_memory_for_the_chain);
    fn no_memory_for_the_chain(version: Version) {
        let mut bench = Bench::new(version);
        bench.chain.limit = 415;
        bench.fails("out-of-memory: GET_CERTIFICATE");
        let mut bench = Bench::new(version);
        bench.chain.limit = 416;
        bench.succeeds(0);
    }

    each_version!(c1_slot_absent);
    fn c1_slot_absent(version: Version) {
        let error = Bench::new(version)
            .instead(GET_CERTIFICATE, |responder| {
                Instead::Response(responder.error(0x01, &[]))
            })
            .fails("error-response: slot 0: InvalidRequest");
        assert_eq!(
            error.reason(),
            Reason::Slot {
                slot: 0,
                error: SlotError::ErrorResponse(ErrorCode(1))
            }
        );
    }

    each_version!(c3_digest_is_not_the_chains);
    fn c3_digest_is_not_the_chains(version: Version) {
        for at in [4, 51] {
            Bench::new(version)
                .lie(GET_DIGESTS, move |response| response[at] ^= 0x80)
                .fails("digest-mismatch: slot 0");
        }
        // Length field, reserved field, RootHash, certificates: whatever changes.
        for at in [8, 10, 12, 60, 423] {
            Bench::new(version)
                .lie(GET_CERTIFICATE, move |response| response[at] ^= 0x80)
                .fails("digest-mismatch: slot 0");
        }
    }

    each_version!(c5_root_hash_is_not_the_roots);
    fn c5_root_hash_is_not_the_roots(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.edit_chain = Some(|chain| chain[4] ^= 1);
        bench.fails("root-hash-mismatch: slot 0");
    }

    each_version!(c6_self_made_root);
    fn c6_self_made_root(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.slots[0] = Some(Certificates::of_another_owner());
        let error = bench.fails("untrusted-root: slot 0");
        assert_eq!(
            error.reason(),
            Reason::Chain {
                slot: 0,
                error: ChainError::UntrustedRoot
            }
        );
        assert_eq!(bench.report.untrusted_slots, 1);
        assert_eq!(bench.report.negotiated.slot, None);
    }

    each_version!(c7_no_root);
    fn c7_no_root(version: Version) {
        let mut bench = Bench::new(version);
        bench.anchor.roots.clear();
        bench.fails("untrusted-root: slot 0");
    }

    each_version!(c13_empty_portion);
    fn c13_empty_portion(version: Version) {
        Bench::new(version)
            .lie(GET_CERTIFICATE, |response| {
                response.truncate(8);
                response[4..6].fill(0);
            })
            .fails("empty-portion: GET_CERTIFICATE");
    }

    each_version!(c13_empty_second_portion);
    fn c13_empty_second_portion(version: Version) {
        let mut bench = Bench::new(version).lie(GET_CERTIFICATE, |response| {
            if response.len() != 8 + 300 {
                response.truncate(8);
                response[4..6].fill(0);
            }
        });
        bench.responder.portion = 300;
        bench.fails("empty-portion: GET_CERTIFICATE");
    }

    each_version!(c13_total_changes);
    fn c13_total_changes(version: Version) {
        for change in [1, 255] {
            let lie = Rc::new(RefCell::new(Vec::new()));
            let told = lie.clone();
            let mut bench = Bench::new(version).lie(GET_CERTIFICATE, move |response| {
                // The second of two.
                if response.len() != 8 + 300 {
                    response[6] = response[6].wrapping_add(change);
                    *told.borrow_mut() = response.clone();
                }
            });
            bench.responder.portion = 300;
            bench.fails("chain-length-changed: GET_CERTIFICATE");
            // Whoever looks at the evidence sees it.
            let [transcript, _] = &bench.platform.evidence.transcripts;
            assert!(transcript.ends_with(&lie.borrow()) && !lie.borrow().is_empty());
        }
    }

    each_version!(c13_total_shrinks);
    fn c13_total_shrinks(version: Version) {
        let mut bench = Bench::new(version).lie(GET_CERTIFICATE, |response| {
            if response.len() != 8 + 200 {
                response.pop();
                response[4] -= 1;
            }
        });
        bench.responder.portion = 200;
        bench.fails("chain-length-changed: GET_CERTIFICATE");
    }

    each_version!(c13_endless_remainder);
    fn c13_endless_remainder(version: Version) {
        let mut bench = Bench::new(version).lie(GET_CERTIFICATE, |response| {
            response[6..8].fill(0xff);
        });
        bench.responder.portion = 100;
        bench.fails("chain-too-large: slot 0");

        let mut bench = Bench::new(version).lie(GET_CERTIFICATE, |response| {
            response[6..8].copy_from_slice(&[0x00, 0xf0]);
        });
        bench.responder.portion = 100;
        bench.fails("chain-length-changed: GET_CERTIFICATE");
    }

    each_version!(c13_portion_larger_than_asked_for);
    fn c13_portion_larger_than_asked_for(version: Version) {
        let mut bench = Bench::new(version).lie(GET_CERTIFICATE, |response| {
            if response.len() != 8 + 300 {
                response.push(0);
                response[4] += 1;
            }
        });
        bench.responder.portion = 300;
        bench.fails("portion-too-large: GET_CERTIFICATE");
    }

    each_version!(c13_portion_not_all_there);
    fn c13_portion_not_all_there(version: Version) {
        Bench::new(version)
            .lie(GET_CERTIFICATE, |response| response.truncate(400))
            .fails("truncated-response: GET_CERTIFICATE");
    }

    each_version!(c13_wrong_slot);
    fn c13_wrong_slot(version: Version) {
        Bench::new(version)
            .lie(GET_CERTIFICATE, |response| response[2] = 1)
            .fails("wrong-slot: GET_CERTIFICATE");
        // Reserved bits.
        Bench::new(version)
            .lie(GET_CERTIFICATE, |response| response[2] = 0x70)
            .succeeds(0);
    }

    /// A responder with LARGE_RESP_CAP.
    fn large() -> Bench {
        let mut bench = Bench::new(Version::V1_4);
        bench.responder.flags |= 1 << 31;
        bench
    }

    /// Makes the chain in slot 0 as long as this.
    fn with_chain_of(mut bench: Bench, len: usize) -> Bench {
        let rest = 4 + 48 + 40 + 24;
        bench.responder.slots[0].as_mut().unwrap().between = vec![0x30; len - rest];
        bench.buffer_size = 100_000;
        bench.max_message_size = 100_000;
        bench
    }

    #[test]
    fn large_chains_only_where_the_responder_can() {
        for (bench, len) in [(large(), 16), (Bench::new(Version::V1_4), 8)] {
            let mut bench = bench;
            bench.succeeds(0);
            let mut requests = bench.responder.requests.iter();
            let request = requests.find(|request| request[1] == GET_CERTIFICATE);
            assert_eq!(request.unwrap().len(), len);
        }
        // The flag is reserved before 1.4.
        for version in [Version::V1_0, Version::V1_1, Version::V1_2, Version::V1_3] {
            let mut bench = Bench::new(version);
            bench.responder.flags |= 1 << 31;
            bench.succeeds(0);
        }
    }

    #[test]
    fn large_portions_of_any_size() {
        for portion in [1, 7, 100, 415, 416, 417] {
            let mut bench = large();
            bench.responder.portion = portion;
            bench.succeeds(0);
            assert_eq!(bench.chain_bytes(), bench.responder.chain(0));
        }
    }

    #[test]
    fn chain_of_128_kib() {
        let mut bench = with_chain_of(large(), 131_072);
        bench.succeeds(0);
        assert_eq!(bench.chain_bytes().len(), 131_072);
        assert_eq!(bench.chain_bytes()[..4], [0, 0, 2, 0]);
    }

    #[test]
    fn chain_larger_than_128_kib() {
        with_chain_of(large(), 131_073).fails("chain-too-large: slot 0");
    }

    #[test]
    fn chain_larger_than_64_kib_without_large_chains() {
        let mut bench = with_chain_of(Bench::new(Version::V1_4), 65_535);
        bench.succeeds(0);
        assert_eq!(bench.chain_bytes().len(), 65_535);
    }

    #[test]
    fn c15_chain_of_4_gib() {
        for (portion, remainder) in [
            (100, u32::MAX),
            (100, u32::MAX - 100),
            (100, 0x8000_0000),
            (1, 131_072),
        ] {
            let mut bench = large().lie(GET_CERTIFICATE, move |response| {
                response[12..16].copy_from_slice(&remainder.to_le_bytes());
            });
            bench.responder.portion = portion;
            bench.chain.limit = 0;
            bench.fails("chain-too-large: slot 0");
        }
    }

    #[test]
    fn c15_portion_of_4_gib() {
        large()
            .lie(GET_CERTIFICATE, |response| response[8..12].fill(0xff))
            .fails("portion-too-large: GET_CERTIFICATE");
    }

    #[test]
    fn c14_length_field_of_4_gib() {
        let mut bench = large();
        bench.responder.edit_chain = Some(|chain| chain[..4].fill(0xff));
        bench.fails("chain-length-mismatch: slot 0");
        // The upper half counts from 1.4 on, and is reserved before.
        for version in VERSIONS {
            let mut bench = Bench::new(version);
            bench.responder.edit_chain = Some(|chain| chain[2] = 1);
            if version == Version::V1_4 {
                bench.fails("chain-length-mismatch: slot 0");
            } else {
                bench.succeeds(0);
            }
        }
    }

    #[test]
    fn c13_large_portions() {
        let empty = large().lie(GET_CERTIFICATE, |response| {
            response.truncate(16);
            response[8..12].fill(0);
        });
        let changed = large().lie(GET_CERTIFICATE, |response| {
            if response.len() != 16 + 300 {
                response[12] = 1;
            }
        });
        let larger = large().lie(GET_CERTIFICATE, |response| {
            if response.len() != 16 + 300 {
                response.push(0);
                response[8] += 1;
            }
        });
        for (mut bench, reason) in [
            (empty, "empty-portion: GET_CERTIFICATE"),
            (changed, "chain-length-changed: GET_CERTIFICATE"),
            (larger, "portion-too-large: GET_CERTIFICATE"),
        ] {
            bench.responder.portion = 300;
            bench.fails(reason);
        }
    }

    #[test]
    fn large_cert_chain_is_as_it_was_asked_for() {
        large()
            .lie(GET_CERTIFICATE, |response| response[2] = 0)
            .fails("large-cert-chain: GET_CERTIFICATE");
        Bench::new(Version::V1_4)
            .lie(GET_CERTIFICATE, |response| response[2] = 0x80)
            .fails("large-cert-chain: GET_CERTIFICATE");
        // Reserved before.
        for version in [Version::V1_0, Version::V1_1, Version::V1_2, Version::V1_3] {
            Bench::new(version)
                .lie(GET_CERTIFICATE, |response| response[2] = 0x80)
                .succeeds(0);
        }
    }

    #[test]
    fn short_lengths_are_not_looked_at_in_large_chains() {
        large()
            .lie(GET_CERTIFICATE, |response| response[4..8].fill(0xff))
            .succeeds(0);
    }

    #[test]
    fn certificate_info_of_a_single_key() {
        for version in [Version::V1_3, Version::V1_4] {
            for info in [1, 2, 3, 4, 7] {
                Bench::new(version)
                    .lie(GET_CERTIFICATE, move |response| response[3] = info)
                    .fails("certificate-info: GET_CERTIFICATE");
            }
            Bench::new(version)
                .lie(GET_CERTIFICATE, |response| response[3] = 0xf8)
                .succeeds(0);
        }
        for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
            Bench::new(version)
                .lie(GET_CERTIFICATE, |response| response[3] = 2)
                .succeeds(0);
        }
    }

    each_version!(certificate_info_is_that_of_digests: V1_3 V1_4);
    fn certificate_info_is_that_of_digests(version: Version) {
        for info in [0, 1, 3, 5] {
            let mut bench =
                Bench::new(version).lie(GET_CERTIFICATE, move |response| response[3] = info);
            bench.responder.flags |= (1 << 26) | (1 << 28);
            bench.responder.keys[0] = (1, 2, 2);
            bench.fails("certificate-info: GET_CERTIFICATE");
        }
    }

    each_version!(c14_length_field_too_small);
    fn c14_length_field_too_small(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.edit_chain = Some(|chain| chain[0] -= 1);
        bench.fails("chain-length-mismatch: slot 0");
    }

    each_version!(c14_length_field_too_large);
    fn c14_length_field_too_large(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.edit_chain = Some(|chain| chain[0] += 1);
        bench.fails("chain-length-mismatch: slot 0");
    }

    each_version!(c14_trailing_bytes);
    fn c14_trailing_bytes(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.edit_chain = Some(|chain| chain.extend([0; 4]));
        bench.fails("chain-length-mismatch: slot 0");
    }

    each_version!(c14_no_certificates);
    fn c14_no_certificates(version: Version) {
        for len in [1, 2, 3, 4, 51, 52] {
            let mut bench = Bench::new(version);
            bench.responder.edit_chain = Some(match len {
                1 => |chain| truncate(chain, 1),
                2 => |chain| truncate(chain, 2),
                3 => |chain| truncate(chain, 3),
                4 => |chain| truncate(chain, 4),
                51 => |chain| truncate(chain, 51),
                _ => |chain| truncate(chain, 52),
            });
            bench.fails("chain-length-mismatch: slot 0");
        }
    }

    fn truncate(chain: &mut vec::Vec<u8>, len: usize) {
        chain[0] = len as u8;
        chain[1] = 0;
        chain.truncate(len);
    }
}
