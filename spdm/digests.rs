// SPDX-License-Identifier: GPL-2.0

//! GET_DIGESTS and DIGESTS.

use zerocopy::{little_endian::U16, IntoBytes as _};

use crate::{
    algorithms::BaseHash,
    error::Reason,
    message::{copy, Header, Reader, Request, RequestCode, ResponseCode, Timing},
    trust::CertificateModel,
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
    multi_key: bool,
    header: Header,
}

impl GetDigests {
    /// `multi_key`: the responder was allowed to use several keys (MULTI_KEY_CONN_RSP).
    pub(crate) const fn new(version: Version, base_hash: BaseHash, multi_key: bool) -> Self {
        Self {
            version,
            base_hash,
            multi_key,
            header: Header::new(version, RequestCode::GetDigests, 0, 0),
        }
    }
}

/// DIGESTS.
pub(crate) struct Digests<'a> {
    /// Slots that exist.
    pub(crate) supported: u8,
    /// Slots with a digest: at least one, and all of them supported.
    pub(crate) provisioned: u8,
    /// What is said of their keys, in a multi-key connection.
    pub(crate) keys: Option<SlotKeys>,
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
            Version::V1_3 | Version::V1_4 => header.param1,
        };
        if provisioned & !supported != 0 {
            return Err(Reason::ProvisionedNotSupported);
        }
        if provisioned == 0 {
            return Err(Reason::NoProvisionedSlot);
        }
        let digest_size = self.base_hash.digest_size();
        let count = slots(provisioned).count();
        let digests = body.take(count.saturating_mul(digest_size))?;
        let keys = if self.multi_key {
            Some(SlotKeys::read(provisioned, digests, digest_size, body)?)
        } else {
            None
        };
        Ok(Digests {
            supported,
            provisioned,
            keys,
            digests,
        })
    }
}

/// KeyUsageMask: a key that signs CHALLENGE_AUTH.
const CHALLENGE_USE: u16 = 1 << 1;
/// KeyUsageMask: the uses that the standard knows, KeyExUse, ChallengeUse, MeasurementUse and EndpointInfoUse.
const STANDARD_USES: u16 = 0x000f;

/// CertificateInfo: the bits that hold the certificate model.
const CERTIFICATE_MODEL: u8 = 0x07;

/// What DIGESTS says of the slots' keys in a multi-key connection, from version 1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotKeys {
    /// CertificateInfo of the slots; `None` where there is a key without certificates.
    models: [Option<CertificateModel>; SLOTS as usize],
    /// Slots whose keys sign CHALLENGE_AUTH.
    challenge: u8,
}

impl SlotKeys {
    /// Reads KeyPairID, CertificateInfo and KeyUsageMask of the `provisioned` slots.
    ///
    /// # Errors
    ///
    /// [`Reason::KeyPairId`], [`Reason::CertificateInfo`], [`Reason::KeyUsage`].
    fn read(
        provisioned: u8,
        digests: &[u8],
        digest_size: usize,
        body: &mut Reader<'_>,
    ) -> Result<Self, Reason> {
        let count = slots(provisioned).count();
        let key_pair_ids = body.take(count)?;
        let infos = body.take(count)?;
        let uses = body.read_slice::<U16>(count)?;

        check_key_pairs(key_pair_ids, uses)?;
        let mut keys = Self {
            models: [None; SLOTS as usize],
            challenge: 0,
        };
        let mut digests = Reader::new(digests);
        for ((slot, info), uses) in slots(provisioned).zip(infos).zip(uses) {
            let digest = digests.take(digest_size)?;
            let model = certificate_model(*info)?;
            // Slot 0 is for what the standard itself uses.
            if slot == 0 && model == Some(CertificateModel::Generic) {
                return Err(Reason::CertificateInfo);
            }
            if slot == 0 && uses.get() & STANDARD_USES == 0 {
                return Err(Reason::KeyUsage);
            }
            if model.is_none() && digest.iter().any(|byte| *byte != 0) {
                return Err(Reason::CertificateInfo);
            }
            if let Some(kept) = keys.models.get_mut(usize::from(slot)) {
                *kept = model;
            }
            if uses.get() & CHALLENGE_USE != 0 {
                keys.challenge |= slot_bit(slot);
            }
        }
        Ok(keys)
    }

    /// The model of the certificates in `slot`; `None` if there are none.
    pub(crate) fn model(&self, slot: u8) -> Option<CertificateModel> {
        *self.models.get(usize::from(slot))?
    }

    /// Whether the key of `slot` signs CHALLENGE_AUTH.
    pub(crate) fn may_be_challenged(&self, slot: u8) -> bool {
        contains(self.challenge, slot)
    }
}

/// Checks that every key pair has an identifier, and the same uses wherever it is. It may be in several slots.
fn check_key_pairs(key_pair_ids: &[u8], uses: &[U16]) -> Result<(), Reason> {
    let mut pairs = key_pair_ids.iter().zip(uses);
    while let Some((id, use_of_key)) = pairs.next() {
        let mut others = pairs.clone();
        if *id == 0 || others.any(|(other, uses)| other == id && uses != use_of_key) {
            return Err(Reason::KeyPairId);
        }
    }
    Ok(())
}

/// The certificate model in a CertificateInfo; `None` if there is no certificate.
///
/// # Errors
///
/// [`Reason::CertificateInfo`] if the value is reserved.
pub(crate) const fn certificate_model(info: u8) -> Result<Option<CertificateModel>, Reason> {
    match info & CERTIFICATE_MODEL {
        0 => Ok(None),
        1 => Ok(Some(CertificateModel::Device)),
        2 => Ok(Some(CertificateModel::Alias)),
        3 => Ok(Some(CertificateModel::Generic)),
        _ => Err(Reason::CertificateInfo),
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
    use crate::testing::{each_version, Bench, Certificates, GET_DIGESTS};

    #[test]
    fn slot_masks() {
        assert!(slots(0).next().is_none());
        assert!(slots(0xff).eq(0..8));
        assert!(slots(0b1000_0010).eq([1, 7]));
        assert!(!contains(0xff, 8));
        assert!(!contains(0xff, 255));
    }

    each_version!(c1_no_slot);
    fn c1_no_slot(version: Version) {
        Bench::new(version)
            .lie(GET_DIGESTS, |response| {
                response.truncate(4);
                response[3] = 0;
            })
            .fails("no-provisioned-slot: GET_DIGESTS");
    }

    #[test]
    fn c2_provisioned_not_within_supported() {
        for version in [Version::V1_3, Version::V1_4] {
            Bench::new(version)
                .lie(GET_DIGESTS, |response| response[2] = 0b1111_1110)
                .fails("provisioned-not-supported: GET_DIGESTS");
        }
        // Reserved before.
        for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
            Bench::new(version)
                .lie(GET_DIGESTS, |response| response[2] = 0b1111_1110)
                .succeeds(0);
        }
    }

    each_version!(supported_slots_are_reported);
    fn supported_slots_are_reported(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.slots[4] = Some(Certificates::of_another_owner());
        bench.responder.empty_slots = 0b0010_0000;
        bench.succeeds(0);
        let negotiated = bench.report.negotiated;
        assert_eq!(negotiated.provisioned_slots, 0b0001_0001);
        assert_eq!(
            negotiated.supported_slots,
            match version {
                Version::V1_3 | Version::V1_4 => 0b0011_0001,
                _ => 0b0001_0001,
            }
        );
    }

    each_version!(fewer_digests_than_slots);
    fn fewer_digests_than_slots(version: Version) {
        Bench::new(version)
            .lie(GET_DIGESTS, |response| {
                response[2] = 3;
                response[3] = 3;
            })
            .fails("truncated-response: GET_DIGESTS");
    }

    each_version!(more_digests_than_slots);
    fn more_digests_than_slots(version: Version) {
        let mut bench = Bench::new(version).lie(GET_DIGESTS, |response| {
            response[2] = 1;
            response[3] = 1;
        });
        bench.responder.slots[1] = Some(Certificates::good());
        bench.fails("trailing-bytes: GET_DIGESTS");
    }

    each_version!(multi_key_fields_were_not_negotiated);
    fn multi_key_fields_were_not_negotiated(version: Version) {
        Bench::new(version)
            .lie(GET_DIGESTS, |response| response.extend([1, 1, 2, 0]))
            .fails("trailing-bytes: GET_DIGESTS");
    }

    /// A responder with good chains in the slots 0, 1 and 4, and in a multi-key connection.
    fn with_keys(version: Version, keys: [(u8, u8, u16); 3]) -> Bench {
        let mut bench = Bench::new(version);
        // MULTI_KEY_CAP, GET_KEY_PAIR_INFO_CAP.
        bench.responder.flags |= (1 << 26) | (1 << 28);
        for (slot, key) in [0, 1, 4].into_iter().zip(keys) {
            bench.responder.slots[slot] = Some(Certificates::good());
            bench.responder.keys[slot] = key;
        }
        bench
    }

    each_version!(slots_whose_key_answers_challenges_are_used: V1_3 V1_4);
    fn slots_whose_key_answers_challenges_are_used(version: Version) {
        for (uses, slot) in [
            ([0x0002, 0x0002, 0x0002], 0),
            ([0xffff, 0x0002, 0x0002], 0),
            ([0x0004, 0x0002, 0x0002], 1),
            ([0x0001, 0xfffd, 0x000f], 4),
        ] {
            let mut bench = with_keys(version, [(1, 1, uses[0]), (2, 1, uses[1]), (3, 1, uses[2])]);
            bench.succeeds(slot);
            assert_eq!(bench.anchor.seen, [slot]);
        }
    }

    each_version!(c16_no_key_answers_challenges: V1_3 V1_4);
    fn c16_no_key_answers_challenges(version: Version) {
        let mut bench = with_keys(version, [(1, 1, 0x000d), (2, 1, 0), (3, 1, 0xfffd)]);
        bench.fails("slot-key-usage: slot 0");
        assert!(bench.anchor.seen.is_empty());
    }

    each_version!(c16_key_pair_0: V1_3 V1_4);
    fn c16_key_pair_0(version: Version) {
        for slot in 0..3 {
            let mut keys = [(1, 1, 2), (2, 1, 2), (3, 1, 2)];
            keys[slot].0 = 0;
            with_keys(version, keys).fails("key-pair-id: GET_DIGESTS");
        }
    }

    each_version!(c16_key_pair_with_two_uses: V1_3 V1_4);
    fn c16_key_pair_with_two_uses(version: Version) {
        with_keys(version, [(1, 1, 2), (1, 1, 3), (3, 1, 2)]).fails("key-pair-id: GET_DIGESTS");
        with_keys(version, [(1, 1, 2), (2, 1, 2), (1, 1, 0x8002)])
            .fails("key-pair-id: GET_DIGESTS");
        with_keys(version, [(1, 1, 2), (7, 1, 2), (7, 1, 1)]).fails("key-pair-id: GET_DIGESTS");
    }

    each_version!(key_pair_in_several_slots: V1_3 V1_4);
    fn key_pair_in_several_slots(version: Version) {
        with_keys(version, [(5, 1, 2), (5, 2, 2), (5, 1, 2)]).succeeds(0);
        with_keys(version, [(255, 1, 2), (1, 2, 3), (255, 1, 2)]).succeeds(0);
    }

    each_version!(c16_slot_0_without_a_standard_use: V1_3 V1_4);
    fn c16_slot_0_without_a_standard_use(version: Version) {
        for uses in [0, 0x4000, 0xc000, 0x3ff0] {
            with_keys(version, [(1, 1, uses), (2, 1, 2), (3, 1, 2)])
                .fails("key-usage: GET_DIGESTS");
        }
        with_keys(version, [(1, 1, 2), (2, 1, 0), (3, 1, 0x4000)]).succeeds(0);
    }

    each_version!(certificate_model_is_told_to_the_anchor: V1_3 V1_4);
    fn certificate_model_is_told_to_the_anchor(version: Version) {
        for (info, model) in [
            (1, CertificateModel::Device),
            (2, CertificateModel::Alias),
            (3, CertificateModel::Generic),
            // Reserved bits.
            (0xfa, CertificateModel::Alias),
        ] {
            let mut bench = with_keys(version, [(1, 1, 1), (2, info, 2), (3, 1, 2)]);
            bench.succeeds(1);
            assert_eq!(bench.anchor.models, [model]);
        }
    }

    each_version!(certificate_model_of_a_single_key);
    fn certificate_model_of_a_single_key(version: Version) {
        for alias in [false, true] {
            let mut bench = Bench::new(version);
            // ALIAS_CERT_CAP, reserved before 1.2.
            bench.responder.flags |= u32::from(alias) << 18;
            bench.succeeds(0);
            let model = match version {
                Version::V1_0 | Version::V1_1 => CertificateModel::Unknown,
                _ if alias => CertificateModel::Alias,
                _ => CertificateModel::Device,
            };
            assert_eq!(bench.anchor.models, [model]);
        }
    }

    each_version!(reserved_certificate_model: V1_3 V1_4);
    fn reserved_certificate_model(version: Version) {
        for info in [4, 5, 6, 7, 0xff] {
            with_keys(version, [(1, 1, 2), (2, info, 2), (3, 1, 2)])
                .fails("certificate-info: GET_DIGESTS");
        }
    }

    each_version!(generic_certificate_in_slot_0: V1_3 V1_4);
    fn generic_certificate_in_slot_0(version: Version) {
        with_keys(version, [(1, 3, 2), (2, 1, 2), (3, 1, 2)])
            .fails("certificate-info: GET_DIGESTS");
    }

    each_version!(key_without_certificates_but_with_a_digest: V1_3 V1_4);
    fn key_without_certificates_but_with_a_digest(version: Version) {
        with_keys(version, [(1, 1, 2), (2, 0, 2), (3, 1, 2)])
            .fails("certificate-info: GET_DIGESTS");
    }

    each_version!(key_without_certificates_is_left_out: V1_3 V1_4);
    fn key_without_certificates_is_left_out(version: Version) {
        let mut bench = with_keys(version, [(1, 0, 2), (2, 1, 2), (3, 1, 2)])
            .lie(GET_DIGESTS, |response| response[4..52].fill(0));
        bench.succeeds(1);
        assert_eq!(bench.anchor.seen, [1]);
        let mut bench = with_keys(version, [(1, 0, 2), (2, 0, 2), (3, 0, 2)])
            .lie(GET_DIGESTS, |response| response[4..148].fill(0));
        bench.fails("no-provisioned-slot: GET_CERTIFICATE");
    }

    each_version!(multi_key_fields_missing: V1_3 V1_4);
    fn multi_key_fields_missing(version: Version) {
        for missing in 1..=12 {
            let mut bench = with_keys(version, [(1, 1, 2), (2, 1, 2), (3, 1, 2)]).lie(
                GET_DIGESTS,
                move |response| {
                    response.truncate(response.len() - missing);
                },
            );
            bench.alignment = 1;
            bench.fails("truncated-response: GET_DIGESTS");
        }
        with_keys(version, [(1, 1, 2), (2, 1, 2), (3, 1, 2)])
            .lie(GET_DIGESTS, |response| response.extend([0; 4]))
            .fails("trailing-bytes: GET_DIGESTS");
    }

    each_version!(n3_digests_of_another_version);
    fn n3_digests_of_another_version(version: Version) {
        Bench::new(version)
            .lie(GET_DIGESTS, |response| response[0] ^= 1)
            .fails("wrong-version: GET_DIGESTS");
    }
}
