// SPDX-License-Identifier: GPL-2.0

//! GET_DIGESTS and DIGESTS.

use zerocopy::IntoBytes as _;

use crate::{
    algorithms::BaseHash,
    error::Reason,
    message::{copy, Header, Reader, Request, RequestCode, ResponseCode, Timing},
    version::Version,
};

/// Number of certificate slots.
const SLOTS: u8 = 8;

/// The slots of a slot mask, in order.
pub(crate) fn slots(mask: u8) -> impl Iterator<Item = u8> {
    (0..SLOTS).filter(move |slot| contains(mask, *slot))
}

/// Whether `slot` is in a slot mask.
pub(crate) fn contains(mask: u8, slot: u8) -> bool {
    mask & slot_bit(slot) != 0
}

/// The slot mask of one slot.
pub(crate) fn slot_bit(slot: u8) -> u8 {
    1u8.checked_shl(slot.into()).unwrap_or(0)
}

/// GET_DIGESTS.
pub(crate) struct GetDigests {
    version: Version,
    base_hash: BaseHash,
    header: Header,
}

impl GetDigests {
    pub(crate) const fn new(version: Version, base_hash: BaseHash) -> Self {
        Self {
            version,
            base_hash,
            header: Header::new(version, RequestCode::GetDigests, 0, 0),
        }
    }
}

/// DIGESTS.
pub(crate) struct Digests<'a> {
    /// Slots that exist.
    pub(crate) supported: u8,
    /// Slots with a certificate chain: at least one, and all of them supported.
    pub(crate) provisioned: u8,
    /// Digests of the provisioned slots' chains, in the order of the slots.
    pub(crate) digests: &'a [u8],
}

impl Request for GetDigests {
    const CODE: RequestCode = RequestCode::GetDigests;
    const RESPONSE: ResponseCode = ResponseCode::Digests;
    const TIMING: Timing = Timing::T2;
    type Response<'a> = Digests<'a>;

    fn as_bytes(&self) -> &[u8] {
        self.header.as_bytes()
    }

    fn parse<'a>(&self, header: &Header, body: &mut Reader<'a>) -> Result<Digests<'a>, Reason> {
        let provisioned = header.param2;
        let supported = match self.version {
            Version::V1_0 | Version::V1_1 | Version::V1_2 => provisioned,
            Version::V1_3 => header.param1,
        };
        if provisioned & !supported != 0 {
            return Err(Reason::ProvisionedNotSupported);
        }
        if provisioned == 0 {
            return Err(Reason::NoProvisionedSlot);
        }
        // A digest a slot, and no more: several keys per connection were not negotiated.
        let len = slots(provisioned)
            .count()
            .saturating_mul(self.base_hash.digest_size());
        Ok(Digests {
            supported,
            provisioned,
            digests: body.take(len)?,
        })
    }
}

/// The digest of each slot's certificate chain, as DIGESTS said.
pub(crate) struct SlotDigests {
    digests: [[u8; 64]; SLOTS as usize],
    digest_size: usize,
}

impl SlotDigests {
    pub(crate) const fn new() -> Self {
        Self {
            digests: [[0; 64]; SLOTS as usize],
            digest_size: 0,
        }
    }

    /// Keeps what `response` says.
    pub(crate) fn store(
        &mut self,
        response: &Digests<'_>,
        base_hash: BaseHash,
    ) -> Result<(), Reason> {
        self.digest_size = base_hash.digest_size();
        let mut digests = Reader::new(response.digests);
        for (slot, kept) in (0..SLOTS).zip(&mut self.digests) {
            if contains(response.provisioned, slot) {
                copy(kept, digests.take(self.digest_size)?)?;
            }
        }
        Ok(())
    }

    /// The digest of `slot`, which is a provisioned one.
    pub(crate) fn get(&self, slot: u8) -> Option<&[u8]> {
        self.digests.get(usize::from(slot))?.get(..self.digest_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, Certificates, GET_DIGESTS, VERSIONS};

    #[test]
    fn slot_masks() {
        assert!(slots(0).next().is_none());
        assert!(slots(0xff).eq(0..8));
        assert!(slots(0b1000_0010).eq([1, 7]));
        assert!(!contains(0xff, 8));
        assert!(!contains(0xff, 255));
    }

    #[test]
    fn c1_no_slot() {
        for version in VERSIONS {
            Bench::new(version)
                .lie(GET_DIGESTS, |response| {
                    response.truncate(4);
                    response[3] = 0;
                })
                .fails("no-provisioned-slot: GET_DIGESTS");
        }
    }

    #[test]
    fn c2_provisioned_not_within_supported() {
        Bench::new(Version::V1_3)
            .lie(GET_DIGESTS, |response| response[2] = 0b1111_1110)
            .fails("provisioned-not-supported: GET_DIGESTS");
        // Reserved before.
        for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
            Bench::new(version)
                .lie(GET_DIGESTS, |response| response[2] = 0b1111_1110)
                .succeeds(0);
        }
    }

    #[test]
    fn supported_slots_are_reported() {
        for version in VERSIONS {
            let mut bench = Bench::new(version);
            bench.responder.slots[4] = Some(Certificates::of_another_owner());
            bench.responder.empty_slots = 0b0010_0000;
            bench.succeeds(0);
            let negotiated = bench.report.negotiated;
            assert_eq!(negotiated.provisioned_slots, 0b0001_0001);
            assert_eq!(
                negotiated.supported_slots,
                match version {
                    Version::V1_3 => 0b0011_0001,
                    _ => 0b0001_0001,
                }
            );
        }
    }

    #[test]
    fn fewer_digests_than_slots() {
        for version in VERSIONS {
            Bench::new(version)
                .lie(GET_DIGESTS, |response| {
                    response[2] = 3;
                    response[3] = 3;
                })
                .fails("truncated-response: GET_DIGESTS");
        }
    }

    #[test]
    fn more_digests_than_slots() {
        for version in VERSIONS {
            let mut bench = Bench::new(version).lie(GET_DIGESTS, |response| {
                response[2] = 1;
                response[3] = 1;
            });
            bench.responder.slots[1] = Some(Certificates::good());
            bench.fails("trailing-bytes: GET_DIGESTS");
        }
    }

    #[test]
    fn multi_key_fields_were_not_negotiated() {
        Bench::new(Version::V1_3)
            .lie(GET_DIGESTS, |response| response.extend([1, 1, 2, 0]))
            .fails("trailing-bytes: GET_DIGESTS");
    }

    #[test]
    fn n3_digests_of_another_version() {
        for version in VERSIONS {
            Bench::new(version)
                .lie(GET_DIGESTS, |response| response[0] ^= 1)
                .fails("wrong-version: GET_DIGESTS");
        }
    }
}
