// SPDX-License-Identifier: GPL-2.0

//! GET_CERTIFICATE, CERTIFICATE and the format of a certificate chain.

use zerocopy::little_endian::U16;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{
    algorithms::BaseHash,
    error::{Reason, SlotError},
    message::{Header, Reader, Request, RequestCode, ResponseCode, Timing},
    version::Version,
};

/// Bytes of CERTIFICATE before the portion.
pub(crate) const CERTIFICATE_SIZE: usize = 8;

/// Bits of Param1 that hold the slot.
const SLOT_ID: u8 = 0x0f;

/// GET_CERTIFICATE.
#[derive(Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct GetCertificate {
    header: Header,
    offset: U16,
    length: U16,
}

impl GetCertificate {
    /// Asks for up to `length` bytes of the chain in `slot`, from `offset` on.
    pub(crate) const fn new(version: Version, slot: u8, offset: u16, length: u16) -> Self {
        Self {
            header: Header::new(version, RequestCode::GetCertificate, slot, 0),
            offset: U16::new(offset),
            length: U16::new(length),
        }
    }
}

/// CERTIFICATE, after the header.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct CertificateBody {
    portion_length: U16,
    remainder_length: U16,
}

/// CERTIFICATE: a portion of a certificate chain.
pub(crate) struct Portion<'a> {
    /// At least one byte, and no more than asked for.
    pub(crate) bytes: &'a [u8],
    /// How many bytes of the chain come after it.
    pub(crate) remainder: u16,
}

impl Portion<'_> {
    /// Bytes from the beginning of the portion to the end of the chain.
    pub(crate) fn len_to_end(&self) -> usize {
        self.bytes.len().saturating_add(self.remainder.into())
    }
}

impl Request for GetCertificate {
    const CODE: RequestCode = RequestCode::GetCertificate;
    const RESPONSE: ResponseCode = ResponseCode::Certificate;
    const TIMING: Timing = Timing::T2;
    type Response<'a> = Portion<'a>;

    fn as_bytes(&self) -> &[u8] {
        zerocopy::IntoBytes::as_bytes(self)
    }

    fn parse<'a>(&self, header: &Header, body: &mut Reader<'a>) -> Result<Portion<'a>, Reason> {
        let fixed = body.read::<CertificateBody>()?;
        if header.param1 & SLOT_ID != self.header.param1 {
            return Err(Reason::WrongSlot);
        }
        let len = fixed.portion_length.get();
        if len == 0 {
            return Err(Reason::EmptyPortion);
        }
        if len > self.length.get() {
            return Err(Reason::PortionTooLarge);
        }
        Ok(Portion {
            bytes: body.take(len.into())?,
            remainder: fixed.remainder_length.get(),
        })
    }
}

/// Head of a certificate chain (DSP0274, "Certificates and certificate chains"). RootHash follows.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ChainHead {
    length: U16,
    _reserved: U16,
}

/// Splits a certificate chain into RootHash and certificates.
///
/// # Errors
///
/// [`SlotError::LengthMismatch`] if the Length field is not the chain's length, or if there is no room for
/// a certificate.
pub(crate) fn split_chain(chain: &[u8], base_hash: BaseHash) -> Result<(&[u8], &[u8]), SlotError> {
    let mut reader = Reader::new(chain);
    let mut split = || {
        let length = reader.read::<ChainHead>()?.length.get();
        let root_hash = reader.take(base_hash.digest_size())?;
        Ok::<_, Reason>((length, root_hash))
    };
    match split() {
        Ok((length, root_hash)) if usize::from(length) == chain.len() => {
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
    use std::vec;

    use super::*;
    use crate::{
        error::ErrorCode,
        testing::{Bench, Certificates, Instead, GET_CERTIFICATE, GET_DIGESTS, VERSIONS},
        trust::ChainError,
    };

    #[test]
    fn portions_are_as_large_as_possible() {
        for (buffer_size, max_message_size, lengths) in [
            (4096, 4096, &[4088][..]),
            (300, 4096, &[292, 124]),
            // The padding must fit.
            (303, 4096, &[292, 124]),
            (4096, 208, &[200, 200, 16]),
            (100_000, 100_000, &[65_535]),
        ] {
            let mut bench = Bench::new(Version::V1_2);
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

    #[test]
    fn portions_of_any_size() {
        for version in VERSIONS {
            for portion in [1, 2, 3, 7, 100, 415, 416, 417] {
                let mut bench = Bench::new(version);
                bench.responder.portion = portion;
                bench.succeeds(0);
                assert_eq!(bench.chain_bytes(), bench.responder.chain(0));
            }
        }
    }

    #[test]
    fn chain_of_64_kib() {
        let mut bench = Bench::new(Version::V1_2);
        let rest = 4 + 48 + 40 + 24;
        bench.responder.slots[0].as_mut().unwrap().between = vec![0x30; 65_535 - rest];
        bench.succeeds(0);
        assert_eq!(bench.chain_bytes().len(), 65_535);
    }

    #[test]
    fn no_memory_for_the_chain() {
        let mut bench = Bench::new(Version::V1_2);
        bench.chain.limit = 415;
        bench.fails("out-of-memory: GET_CERTIFICATE");
        let mut bench = Bench::new(Version::V1_2);
        bench.chain.limit = 416;
        bench.succeeds(0);
    }

    #[test]
    fn c1_slot_absent() {
        for version in VERSIONS {
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
    }

    #[test]
    fn c3_digest_is_not_the_chains() {
        for version in VERSIONS {
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
    }

    #[test]
    fn c5_root_hash_is_not_the_roots() {
        let mut bench = Bench::new(Version::V1_2);
        bench.responder.edit_chain = Some(|chain| chain[4] ^= 1);
        bench.fails("root-hash-mismatch: slot 0");
    }

    #[test]
    fn c6_self_made_root() {
        let mut bench = Bench::new(Version::V1_2);
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

    #[test]
    fn c7_no_root() {
        let mut bench = Bench::new(Version::V1_2);
        bench.anchor.roots.clear();
        bench.fails("untrusted-root: slot 0");
    }

    #[test]
    fn c13_empty_portion() {
        for version in VERSIONS {
            Bench::new(version)
                .lie(GET_CERTIFICATE, |response| {
                    response.truncate(8);
                    response[4..6].fill(0);
                })
                .fails("empty-portion: GET_CERTIFICATE");
        }
    }

    #[test]
    fn c13_empty_second_portion() {
        let mut bench = Bench::new(Version::V1_2).lie(GET_CERTIFICATE, |response| {
            if response.len() != 8 + 300 {
                response.truncate(8);
                response[4..6].fill(0);
            }
        });
        bench.responder.portion = 300;
        bench.fails("empty-portion: GET_CERTIFICATE");
    }

    #[test]
    fn c13_total_changes() {
        for change in [1, 255] {
            let mut bench = Bench::new(Version::V1_2).lie(GET_CERTIFICATE, move |response| {
                // The second of two.
                if response.len() != 8 + 300 {
                    response[6] = response[6].wrapping_add(change);
                }
            });
            bench.responder.portion = 300;
            bench.fails("chain-length-changed: GET_CERTIFICATE");
        }
    }

    #[test]
    fn c13_total_shrinks() {
        let mut bench = Bench::new(Version::V1_2).lie(GET_CERTIFICATE, |response| {
            if response.len() != 8 + 200 {
                response.pop();
                response[4] -= 1;
            }
        });
        bench.responder.portion = 200;
        bench.fails("chain-length-changed: GET_CERTIFICATE");
    }

    #[test]
    fn c13_endless_remainder() {
        for version in VERSIONS {
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
    }

    #[test]
    fn c13_portion_larger_than_asked_for() {
        for version in VERSIONS {
            let mut bench = Bench::new(version).lie(GET_CERTIFICATE, |response| {
                if response.len() != 8 + 300 {
                    response.push(0);
                    response[4] += 1;
                }
            });
            bench.responder.portion = 300;
            bench.fails("portion-too-large: GET_CERTIFICATE");
        }
    }

    #[test]
    fn c13_portion_not_all_there() {
        for version in VERSIONS {
            Bench::new(version)
                .lie(GET_CERTIFICATE, |response| response.truncate(400))
                .fails("truncated-response: GET_CERTIFICATE");
        }
    }

    #[test]
    fn c13_wrong_slot() {
        for version in VERSIONS {
            Bench::new(version)
                .lie(GET_CERTIFICATE, |response| response[2] = 1)
                .fails("wrong-slot: GET_CERTIFICATE");
            // Reserved bits.
            Bench::new(version)
                .lie(GET_CERTIFICATE, |response| response[2] = 0x70)
                .succeeds(0);
        }
    }

    #[test]
    fn c14_length_field_too_small() {
        let mut bench = Bench::new(Version::V1_2);
        bench.responder.edit_chain = Some(|chain| chain[0] -= 1);
        bench.fails("chain-length-mismatch: slot 0");
    }

    #[test]
    fn c14_length_field_too_large() {
        let mut bench = Bench::new(Version::V1_2);
        bench.responder.edit_chain = Some(|chain| chain[0] += 1);
        bench.fails("chain-length-mismatch: slot 0");
    }

    #[test]
    fn c14_trailing_bytes() {
        let mut bench = Bench::new(Version::V1_2);
        bench.responder.edit_chain = Some(|chain| chain.extend([0; 4]));
        bench.fails("chain-length-mismatch: slot 0");
    }

    #[test]
    fn c14_no_certificates() {
        for len in [1, 2, 3, 4, 51, 52] {
            let mut bench = Bench::new(Version::V1_2);
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
