// SPDX-License-Identifier: GPL-2.0

//! CHALLENGE and CHALLENGE_AUTH.

use zerocopy::{little_endian::U16, IntoBytes as _};
use zerocopy_derive::{Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{
    digests::contains,
    error::Reason,
    message::{Header, Reader, Request, RequestCode, ResponseCode, Timing},
    negotiation::Algorithms,
    trust::RAW_KEY_SLOT,
    version::Version,
};

/// Most opaque data in bytes that a message may have ("OpaqueDataLength").
pub(crate) const MAX_OPAQUE_DATA: u16 = 1024;

/// CHALLENGE_AUTH, Param1, and MEASUREMENTS, Param2: bits that hold the slot, from version 1.1.
pub(crate) const SLOT_ID: u8 = 0x0f;
/// CHALLENGE_AUTH, Param1: BasicMutAuthReq, from version 1.1.
const BASIC_MUT_AUTH_REQ: u8 = 1 << 7;

/// Size of a message's header in bytes.
const HEADER_SIZE: usize = 4;

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

    /// Challenges the key of `slot`, 0 to 7 or [`RAW_KEY_SLOT`]. `nonce` and `requester_context` (sent from version 1.3) are fresh random
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
        let mut challenged = self.slot;
        let slot = match self.version {
            Version::V1_0 => header.param1,
            Version::V1_1 | Version::V1_2 | Version::V1_3 | Version::V1_4 => {
                // Deprecated from 1.2, and never to be set for a requester without MUT_AUTH_CAP.
                if header.param1 & BASIC_MUT_AUTH_REQ != 0 {
                    return Err(Reason::MutualAuthentication);
                }
                challenged &= SLOT_ID;
                header.param1 & SLOT_ID
            }
        };
        if slot != challenged {
            return Err(Reason::WrongSlot);
        }
        if self.slot != RAW_KEY_SLOT && !contains(header.param2, slot) {
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

impl ChallengeAuth<'_> {
    /// Where the responder's nonce is in the message.
    pub(crate) const fn nonce_offset(&self) -> usize {
        self.cert_chain_hash.len().saturating_add(HEADER_SIZE)
    }
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
            Version::V1_3 | Version::V1_4 => return message,
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
            Version::V1_3 | Version::V1_4 => {
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

    fn max_response(&self) -> usize {
        HEADER_SIZE
            .saturating_add(self.algorithms.base_hash.digest_size())
            .saturating_add(NONCE_SIZE)
            .saturating_add(size_of::<U16>())
            .saturating_add(MAX_OPAQUE_DATA.into())
            .saturating_add(CONTEXT_SIZE)
            .saturating_add(self.signature_size())
    }

    fn signature_size(&self) -> usize {
        self.algorithms.asym.signature_size()
    }
}

#[cfg(test)]
mod tests {
    use std::{format, string::ToString, vec};

    use super::*;
    use crate::{
        algorithms::{Asym, BaseAsym, BaseHash, PqcAsym},
        testing::{each_version, Bench, Certificates, CHALLENGE, GOOD_KEY, VERSIONS},
    };

    /// Where OpaqueDataLength is, with a hash of 48 bytes.
    const OPAQUE_LEN: usize = 4 + 48 + 32;

    /// Tampers with the signature of CHALLENGE_AUTH.
    fn with_signature(version: Version, change: fn(&mut vec::Vec<u8>)) -> Bench {
        Bench::new(version).tamper(CHALLENGE, move |response| {
            let mut signature = response.split_off(response.len() - 96);
            change(&mut signature);
            response.extend(signature);
        })
    }

    each_version!(c4_cert_chain_hash_is_not_the_chains);
    fn c4_cert_chain_hash_is_not_the_chains(version: Version) {
        for at in [4, 51] {
            Bench::new(version)
                .lie(CHALLENGE, move |response| response[at] ^= 1)
                .fails("cert-chain-hash-mismatch: CHALLENGE");
        }
    }

    each_version!(key_of_another_chain);
    fn key_of_another_chain(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.slots[0].as_mut().unwrap().key[0] ^= 1;
        bench.fails("bad-signature: CHALLENGE");
    }

    each_version!(s1_replay_with_an_old_nonce);
    fn s1_replay_with_an_old_nonce(version: Version) {
        let mut bench = Bench::new(version);
        // As if it had been signed for another nonce.
        bench.responder.edit_transcript = Some(|transcript| {
            let nonce = transcript.windows(32).position(|bytes| bytes == [1; 32]);
            transcript[nonce.unwrap()] = 2;
        });
        bench.fails("bad-signature: CHALLENGE");
    }

    #[test]
    fn nonces_are_fresh() {
        let mut bench = Bench::new(Version::V1_3);
        bench.succeeds(0);
        bench.succeeds(0);
        let challenges: vec::Vec<_> = bench
            .responder
            .requests
            .iter()
            .filter(|request| request[1] == CHALLENGE)
            .collect();
        assert_eq!(challenges.len(), 2);
        assert_ne!(challenges[0][4..36], challenges[1][4..36]);
        assert_ne!(challenges[0][36..], challenges[1][36..]);
        assert_ne!(challenges[0][4..12], challenges[0][36..]);
    }

    each_version!(s2_vca_left_out);
    fn s2_vca_left_out(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.edit_transcript = Some(|transcript| {
            let version = transcript[12];
            let digests = [version, 0x81, 0, 0];
            let vca = transcript.windows(4).position(|bytes| bytes == digests);
            transcript.drain(..vca.unwrap());
        });
        bench.fails("bad-signature: CHALLENGE");
    }

    each_version!(s3_measurement_signature: V1_2 V1_3 V1_4);
    fn s3_measurement_signature(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.signing.context = "responder-measurements signing".to_string();
        bench.fails("bad-signature: CHALLENGE");
    }

    each_version!(s4_requester_role_context: V1_2 V1_3 V1_4);
    fn s4_requester_role_context(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.signing.context = "requester-challenge_auth signing".to_string();
        bench.fails("bad-signature: CHALLENGE");
    }

    #[test]
    fn s5_prefix_of_another_version() {
        for (version, prefix) in [
            (Version::V1_2, "dmtf-spdm-v1.3.*"),
            (Version::V1_2, "dmtf-spdm-v1.1.*"),
            (Version::V1_3, "dmtf-spdm-v1.2.*"),
            (Version::V1_3, "dmtf-spdm-v1.4.*"),
            (Version::V1_4, "dmtf-spdm-v1.3.*"),
            (Version::V1_4, "dmtf-spdm-v1.5.*"),
        ] {
            let mut bench = Bench::new(version);
            bench.responder.signing.prefix = Some(prefix.to_string());
            bench.fails("bad-signature: CHALLENGE");
        }
    }

    each_version!(s6_byte_order);
    fn s6_byte_order(version: Version) {
        with_signature(version, |signature| {
            let (r, s) = signature.split_at_mut(48);
            r.reverse();
            s.reverse();
        })
        .fails("bad-signature: CHALLENGE");
    }

    each_version!(s7_zeros);
    fn s7_zeros(version: Version) {
        with_signature(version, |signature| signature.fill(0)).fails("bad-signature: CHALLENGE");
        with_signature(version, |signature| signature[..48].fill(0))
            .fails("bad-signature: CHALLENGE");
        with_signature(version, |signature| signature[48..].fill(0))
            .fails("bad-signature: CHALLENGE");
        with_signature(version, |signature| signature.fill(0xff)).fails("bad-signature: CHALLENGE");
    }

    each_version!(s8_der_encoding);
    fn s8_der_encoding(version: Version) {
        with_signature(version, |signature| {
            let (r, s) = signature.split_at(48);
            let der = [&[0x30, 100, 2, 48], r, &[2, 48], s].concat();
            *signature = der;
        })
        .fails("trailing-bytes: CHALLENGE");
    }

    each_version!(s9_short_signature);
    fn s9_short_signature(version: Version) {
        with_signature(version, |signature| signature.truncate(92))
            .fails("truncated-response: CHALLENGE");
        with_signature(version, vec::Vec::clear).fails("truncated-response: CHALLENGE");
    }

    each_version!(s10_requester_context_not_echoed: V1_3 V1_4);
    fn s10_requester_context_not_echoed(version: Version) {
        for at in [0, 7] {
            Bench::new(version)
                .lie(CHALLENGE, move |response| {
                    response[OPAQUE_LEN + 2 + at] ^= 1;
                })
                .fails("requester-context-mismatch: CHALLENGE");
        }
    }

    each_version!(s10_requester_context_left_out: V1_3 V1_4);
    fn s10_requester_context_left_out(version: Version) {
        Bench::new(version)
            .lie(CHALLENGE, |response| response.truncate(OPAQUE_LEN + 2))
            .fails("requester-context-mismatch: CHALLENGE");
    }

    each_version!(s11_error_in_the_transcript);
    fn s11_error_in_the_transcript(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.edit_transcript = Some(|transcript| {
            let len = transcript.len();
            let error = [transcript[len / 2], 0x7f, 3, 0];
            transcript.extend(error);
        });
        bench.fails("bad-signature: CHALLENGE");
    }

    each_version!(s12_digests_repeated);
    fn s12_digests_repeated(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.edit_transcript = Some(|transcript| {
            let version = transcript[12];
            let request = [version, 0x81, 0, 0];
            let at = transcript
                .windows(4)
                .position(|bytes| bytes == request)
                .unwrap();
            let digests = transcript[at..at + 4 + 52].to_vec();
            transcript.splice(at..at, digests);
        });
        bench.fails("bad-signature: CHALLENGE");
    }

    /// A responder that signs with ML-DSA.
    fn with_ml_dsa(pqc_asym: PqcAsym) -> Bench {
        let mut bench = Bench::new(Version::V1_4);
        bench.responder.pqc_asym = Some(pqc_asym);
        bench.buffer_size = 8192;
        bench.max_message_size = 8192;
        bench
    }

    #[test]
    fn ml_dsa_with_every_hash() {
        for pqc_asym in PqcAsym::ALL {
            for base_hash in BaseHash::ALL {
                let mut bench = with_ml_dsa(pqc_asym);
                bench.responder.base_hash = base_hash;
                bench.succeeds(0);
                assert_eq!(bench.report.negotiated.asym, Some(Asym::Pqc(pqc_asym)));
            }
        }
    }

    #[test]
    fn s1_ml_dsa_replay_with_an_old_nonce() {
        let mut bench = with_ml_dsa(PqcAsym::MlDsa44);
        bench.responder.edit_transcript = Some(|transcript| {
            let nonce = transcript.windows(32).position(|bytes| bytes == [1; 32]);
            transcript[nonce.unwrap()] = 2;
        });
        bench.fails("bad-signature: CHALLENGE");
    }

    #[test]
    fn s3_ml_dsa_measurement_signature() {
        let mut bench = with_ml_dsa(PqcAsym::MlDsa65);
        bench.responder.signing.context = "responder-measurements signing".to_string();
        bench.responder.signing.ctx = "responder-measurements signing".to_string();
        bench.fails("bad-signature: CHALLENGE");
    }

    #[test]
    fn s4_ml_dsa_context_string() {
        for ctx in [
            "",
            "requester-challenge_auth signing",
            "responder-challenge_auth signing ",
        ] {
            let mut bench = with_ml_dsa(PqcAsym::MlDsa65);
            bench.responder.signing.ctx = ctx.to_string();
            bench.fails("bad-signature: CHALLENGE");
        }
    }

    #[test]
    fn s5_ml_dsa_prefix_of_another_version() {
        let mut bench = with_ml_dsa(PqcAsym::MlDsa87);
        bench.responder.signing.prefix = Some("dmtf-spdm-v1.3.*".to_string());
        bench.fails("bad-signature: CHALLENGE");
    }

    #[test]
    fn s9_ml_dsa_short_signature() {
        for pqc_asym in PqcAsym::ALL {
            with_ml_dsa(pqc_asym)
                .tamper(CHALLENGE, |response| {
                    response.truncate(response.len() - 8);
                })
                .fails("truncated-response: CHALLENGE");
        }
    }

    #[test]
    fn s14_ml_dsa_signature_of_a_larger_parameter_set() {
        with_ml_dsa(PqcAsym::MlDsa44)
            .tamper(CHALLENGE, |response| {
                response.resize(response.len() + 889, 1)
            })
            .fails("trailing-bytes: CHALLENGE");
    }

    #[test]
    fn ml_dsa_signature_changed() {
        for at in [1, 100, 2000] {
            with_ml_dsa(PqcAsym::MlDsa44)
                .tamper(CHALLENGE, move |response| {
                    let len = response.len();
                    response[len - at] ^= 0x10;
                })
                .fails("bad-signature: CHALLENGE");
        }
    }

    /// A responder without certificates, whose public key was provisioned.
    fn with_raw_key(version: Version) -> Bench {
        let mut bench = Bench::new(version);
        // CHAL_CAP, PUB_KEY_ID_CAP.
        bench.responder.flags = (1 << 2) | (1 << 16);
        bench.anchor.raw_key = Some(GOOD_KEY.to_vec());
        bench
    }

    each_version!(provisioned_key: V1_1 V1_2 V1_3 V1_4);
    fn provisioned_key(version: Version) {
        let mut bench = with_raw_key(version);
        bench.succeeds(RAW_KEY_SLOT);
        assert_eq!(bench.report.negotiated.slot, Some(0xff));
        // No digests, no certificates.
        let codes = bench.responder.codes();
        assert_eq!(codes, [0x84, 0xe1, 0xe3, CHALLENGE]);
        assert_eq!(bench.responder.requests[3][2], 0xff);
        assert!(bench.anchor.seen.is_empty());
    }

    each_version!(provisioned_key_is_missing: V1_1 V1_2 V1_3 V1_4);
    fn provisioned_key_is_missing(version: Version) {
        let mut bench = with_raw_key(version);
        bench.anchor.raw_key = None;
        bench.fails("no-public-key: CHALLENGE");
        assert!(!bench.responder.codes().contains(&CHALLENGE));
    }

    each_version!(provisioned_key_is_not_used_where_there_are_certificates);
    fn provisioned_key_is_not_used_where_there_are_certificates(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.slots[0] = Some(Certificates::of_another_owner());
        bench.anchor.raw_key = Some(GOOD_KEY.to_vec());
        bench.fails("untrusted-root: slot 0");
    }

    each_version!(provisioned_key_is_another_ones: V1_1 V1_2 V1_3 V1_4);
    fn provisioned_key_is_another_ones(version: Version) {
        let mut bench = with_raw_key(version);
        bench.anchor.raw_key = Some(vec![0x33; 24]);
        bench.fails("cert-chain-hash-mismatch: CHALLENGE");
    }

    each_version!(c4_hash_of_the_provisioned_key: V1_1 V1_2 V1_3 V1_4);
    fn c4_hash_of_the_provisioned_key(version: Version) {
        with_raw_key(version)
            .lie(CHALLENGE, |response| response[4] ^= 1)
            .fails("cert-chain-hash-mismatch: CHALLENGE");
    }

    each_version!(bad_signature_of_the_provisioned_key: V1_1 V1_2 V1_3 V1_4);
    fn bad_signature_of_the_provisioned_key(version: Version) {
        with_raw_key(version)
            .tamper(CHALLENGE, |response| *response.last_mut().unwrap() ^= 1)
            .fails("bad-signature: CHALLENGE");
    }

    each_version!(challenge_auth_for_a_slot_instead_of_the_provisioned_key: V1_1 V1_2 V1_3 V1_4);
    fn challenge_auth_for_a_slot_instead_of_the_provisioned_key(version: Version) {
        for slot in [0, 1, 7, 0x0e, 0x70] {
            with_raw_key(version)
                .lie(CHALLENGE, move |response| response[2] = slot)
                .fails("wrong-slot: CHALLENGE");
        }
    }

    each_version!(opaque_data);
    fn opaque_data(version: Version) {
        for len in [1, 3, 4, 1024] {
            let mut bench = Bench::new(version);
            bench.responder.opaque_data = vec![0x77; len];
            bench.succeeds(0);
        }
    }

    each_version!(s13_too_much_opaque_data);
    fn s13_too_much_opaque_data(version: Version) {
        for (len, reason) in [
            (1025, "opaque-data-too-large"),
            (1500, "opaque-data-too-large"),
            // There is no room for so much more than is right.
            (2048, "response-too-large"),
        ] {
            let mut bench = Bench::new(version);
            bench.responder.opaque_data = vec![0x77; len];
            bench.fails(&format!("{reason}: CHALLENGE"));
        }
    }

    each_version!(s13_opaque_data_past_the_end);
    fn s13_opaque_data_past_the_end(version: Version) {
        for len in [512u16, 1024] {
            Bench::new(version)
                .lie(CHALLENGE, move |response| {
                    response[OPAQUE_LEN..OPAQUE_LEN + 2].copy_from_slice(&len.to_le_bytes());
                })
                .fails("truncated-response: CHALLENGE");
        }
    }

    #[test]
    fn s13_opaque_data_not_negotiated() {
        use crate::testing::NEGOTIATE_ALGORITHMS;
        for version in [Version::V1_2, Version::V1_3, Version::V1_4] {
            let mut bench = Bench::new(version).lie(NEGOTIATE_ALGORITHMS, |response| {
                response[7] = 0;
            });
            bench.succeeds(0);
            bench.responder.opaque_data = vec![0; 16];
            bench.fails("opaque-data-not-negotiated: CHALLENGE");
        }
    }

    each_version!(s14_trailing_bytes);
    fn s14_trailing_bytes(version: Version) {
        with_signature(version, |signature| signature.extend([0; 4]))
            .fails("trailing-bytes: CHALLENGE");
    }

    each_version!(padding_is_zero_and_short);
    fn padding_is_zero_and_short(version: Version) {
        // 4 + 32 + 32 + 2 + 132 bytes: two of padding.
        let padded = || {
            let mut bench = Bench::new(version);
            bench.responder.base_hash = BaseHash::Sha256;
            bench.responder.base_asym = BaseAsym::EcdsaP521;
            bench
        };
        padded().succeeds(0);
        padded()
            .tamper(CHALLENGE, |response| response.push(0))
            .succeeds(0);
        padded()
            .tamper(CHALLENGE, |response| response.push(1))
            .fails("trailing-bytes: CHALLENGE");
        padded()
            .tamper(CHALLENGE, |response| response.extend([0, 0, 0]))
            .fails("trailing-bytes: CHALLENGE");
        let mut bench = padded().tamper(CHALLENGE, |response| response.push(0));
        bench.alignment = 1;
        bench.fails("trailing-bytes: CHALLENGE");
    }

    #[test]
    fn wrong_slot() {
        for version in VERSIONS {
            let mut bench = Bench::new(version).lie(CHALLENGE, |response| response[2] = 1);
            bench.responder.slots[1] = Some(Certificates::good());
            bench.fails("wrong-slot: CHALLENGE");
        }
        // All of Param1 is the slot in 1.0; later, some of its bits are reserved.
        Bench::new(Version::V1_0)
            .lie(CHALLENGE, |response| response[2] = 0x10)
            .fails("wrong-slot: CHALLENGE");
        for version in [Version::V1_1, Version::V1_2, Version::V1_3, Version::V1_4] {
            Bench::new(version)
                .lie(CHALLENGE, |response| response[2] = 0x70)
                .succeeds(0);
        }
    }

    each_version!(slot_mask_lacks_the_slot);
    fn slot_mask_lacks_the_slot(version: Version) {
        Bench::new(version)
            .lie(CHALLENGE, |response| response[3] = 0xfe)
            .fails("challenged-slot-missing: CHALLENGE");
    }

    each_version!(mutual_authentication: V1_1 V1_2 V1_3 V1_4);
    fn mutual_authentication(version: Version) {
        Bench::new(version)
            .lie(CHALLENGE, |response| response[2] = 0x80)
            .fails("mutual-authentication: CHALLENGE");
    }

    each_version!(signature_cannot_be_checked);
    fn signature_cannot_be_checked(version: Version) {
        let mut bench = Bench::new(version);
        bench.anchor.broken = true;
        bench.fails("signature-not-checked: CHALLENGE");
    }
}
