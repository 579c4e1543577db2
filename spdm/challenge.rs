// SPDX-License-Identifier: GPL-2.0

//! CHALLENGE and CHALLENGE_AUTH.

use zerocopy::{little_endian::U16, IntoBytes as _};
use zerocopy_derive::{Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{
    digests::contains,
    error::Reason,
    message::{Header, Reader, Request, RequestCode, ResponseCode, Timing},
    negotiation::Algorithms,
    version::Version,
};

/// Most opaque data in bytes that a message may have ("OpaqueDataLength").
const MAX_OPAQUE_DATA: u16 = 1024;

/// CHALLENGE_AUTH, Param1: bits that hold the slot, from version 1.1.
const SLOT_ID: u8 = 0x0f;
/// CHALLENGE_AUTH, Param1: BasicMutAuthReq, from version 1.1.
const BASIC_MUT_AUTH_REQ: u8 = 1 << 7;

/// Size of a nonce in bytes.
pub(crate) const NONCE_SIZE: usize = 32;
/// Size of RequesterContext in bytes.
pub(crate) const CONTEXT_SIZE: usize = 8;

/// CHALLENGE.
pub(crate) struct Challenge {
    version: Version,
    slot: u8,
    algorithms: Algorithms,
    message: ChallengeMessage,
}

#[derive(Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
struct ChallengeMessage {
    header: Header,
    nonce: [u8; NONCE_SIZE],
    // From 1.3.
    requester_context: [u8; CONTEXT_SIZE],
}

impl Challenge {
    /// HashType: no measurement summary hash, so CHALLENGE_AUTH has no such field.
    const NO_MEASUREMENT_SUMMARY_HASH: u8 = 0;

    /// Challenges the key of `slot`. `nonce` and `requester_context` (sent from version 1.3) are fresh random
    /// bytes.
    pub(crate) const fn new(
        version: Version,
        slot: u8,
        algorithms: Algorithms,
        nonce: [u8; NONCE_SIZE],
        requester_context: [u8; CONTEXT_SIZE],
    ) -> Self {
        Self {
            version,
            slot,
            algorithms,
            message: ChallengeMessage {
                header: Header::new(
                    version,
                    RequestCode::Challenge,
                    slot,
                    Self::NO_MEASUREMENT_SUMMARY_HASH,
                ),
                nonce,
                requester_context,
            },
        }
    }

    /// Checks Param1 and Param2 of the response.
    fn check_slot(&self, header: &Header) -> Result<(), Reason> {
        let slot = match self.version {
            Version::V1_0 => header.param1,
            Version::V1_1 | Version::V1_2 | Version::V1_3 => {
                // Deprecated from 1.2, and never to be set for a requester without MUT_AUTH_CAP.
                if header.param1 & BASIC_MUT_AUTH_REQ != 0 {
                    return Err(Reason::MutualAuthentication);
                }
                header.param1 & SLOT_ID
            }
        };
        if slot != self.slot {
            return Err(Reason::WrongSlot);
        }
        if !contains(header.param2, slot) {
            return Err(Reason::ChallengedSlotMissing);
        }
        Ok(())
    }
}

/// CHALLENGE_AUTH: what is left to be checked. Slot, RequesterContext and sizes were.
pub(crate) struct ChallengeAuth<'a> {
    pub(crate) cert_chain_hash: &'a [u8],
    pub(crate) signature: &'a [u8],
}

impl Request for Challenge {
    const CODE: RequestCode = RequestCode::Challenge;
    const RESPONSE: ResponseCode = ResponseCode::ChallengeAuth;
    const TIMING: Timing = Timing::T2;
    type Response<'a> = ChallengeAuth<'a>;

    fn as_bytes(&self) -> &[u8] {
        let message = self.message.as_bytes();
        let len = match self.version {
            Version::V1_0 | Version::V1_1 | Version::V1_2 => 36,
            Version::V1_3 => return message,
        };
        message.get(..len).unwrap_or_default()
    }

    fn parse<'a>(
        &self,
        header: &Header,
        body: &mut Reader<'a>,
    ) -> Result<ChallengeAuth<'a>, Reason> {
        self.check_slot(header)?;
        let cert_chain_hash = body.take(self.algorithms.base_hash.digest_size())?;
        let _nonce = body.take(NONCE_SIZE)?;

        let opaque_len = body.read::<U16>()?.get();
        if opaque_len > MAX_OPAQUE_DATA {
            return Err(Reason::OpaqueDataTooLarge);
        }
        if opaque_len > 0 && !self.algorithms.opaque_data {
            return Err(Reason::OpaqueDataNotNegotiated);
        }
        let _opaque_data = body.take(opaque_len.into())?;

        match self.version {
            Version::V1_0 | Version::V1_1 | Version::V1_2 => (),
            Version::V1_3 => {
                if body.take(CONTEXT_SIZE)? != self.message.requester_context.as_slice() {
                    return Err(Reason::RequesterContextMismatch);
                }
            }
        }
        Ok(ChallengeAuth {
            cert_chain_hash,
            signature: body.take(self.signature_size())?,
        })
    }

    fn signature_size(&self) -> usize {
        self.algorithms.base_asym.signature_size()
    }
}
