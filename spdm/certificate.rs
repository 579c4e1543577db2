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
