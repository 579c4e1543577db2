// SPDX-License-Identifier: GPL-2.0

//! NEGOTIATE_ALGORITHMS and ALGORITHMS.

use zerocopy::{
    little_endian::{U16, U32},
    IntoBytes as _,
};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{
    algorithms::{BaseAsym, BaseAsyms, BaseHash, BaseHashes},
    error::Reason,
    message::{Header, Reader, Request, RequestCode, ResponseCode, Timing},
    version::Version,
};

/// MeasurementSpecification: the one of DMTF.
const MEASUREMENT_DMTF: u8 = 1 << 0;
/// OtherParamsSupport: OpaqueDataFmt1.
const OPAQUE_DATA_FORMAT_1: u8 = 1 << 1;
/// OtherParamsSelection: the bits for the format of opaque data.
const OPAQUE_DATA_FORMAT: u8 = 0x0f;
/// OtherParamsSelection: RequesterMultiKeyConnSel (1.3).
const MULTI_KEY_CONN: u8 = 1 << 4;

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Algorithms {
    pub(crate) base_hash: BaseHash,
    pub(crate) base_asym: BaseAsym,
    /// Whether messages may have opaque data. Up to version 1.1 there is nothing to agree on.
    pub(crate) opaque_data: bool,
}

/// NEGOTIATE_ALGORITHMS.
pub(crate) struct NegotiateAlgorithms {
    version: Version,
    base_asyms: BaseAsyms,
    base_hashes: BaseHashes,
    message: NegotiateAlgorithmsMessage,
}

#[derive(Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
struct NegotiateAlgorithmsMessage {
    header: Header,
    length: U16,
    measurement_specification: u8,
    other_params_support: u8,
    base_asym_algo: U32,
    base_hash_algo: U32,
    reserved: [u8; 12],
    ext_asym_count: u8,
    ext_hash_count: u8,
    reserved2: u8,
    mel_specification: u8,
}

impl NegotiateAlgorithms {
    /// Size of the message: no extended algorithms and no algorithm structures follow, because they are for
    /// sessions and for the requester's own keys.
    const LENGTH: u16 = 32;

    /// Offers every algorithm of the two sets.
    ///
    /// # Errors
    ///
    /// [`Reason::NothingToOffer`] if one of them is empty.
    pub(crate) fn new(
        version: Version,
        base_asyms: BaseAsyms,
        base_hashes: BaseHashes,
    ) -> Result<Self, Reason> {
        if base_asyms == BaseAsyms::NONE || base_hashes == BaseHashes::NONE {
            return Err(Reason::NothingToOffer);
        }
        Ok(Self {
            version,
            base_asyms,
            base_hashes,
            message: NegotiateAlgorithmsMessage {
                header: Header::new(version, RequestCode::NegotiateAlgorithms, 0, 0),
                length: U16::new(Self::LENGTH),
                measurement_specification: MEASUREMENT_DMTF,
                other_params_support: other_params(version),
                base_asym_algo: U32::new(base_asyms.bits()),
                base_hash_algo: U32::new(base_hashes.bits()),
                reserved: [0; 12],
                ext_asym_count: 0,
                ext_hash_count: 0,
                reserved2: 0,
                mel_specification: 0,
            },
        })
    }
}

/// OtherParamsSupport that is offered in `version`.
const fn other_params(version: Version) -> u8 {
    match version {
        Version::V1_0 | Version::V1_1 => 0,
        Version::V1_2 | Version::V1_3 => OPAQUE_DATA_FORMAT_1,
    }
}

/// ALGORITHMS, after the header.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct AlgorithmsBody {
    length: U16,
    measurement_specification_sel: u8,
    other_params_selection: u8,
    measurement_hash_algo: U32,
    base_asym_sel: U32,
    base_hash_sel: U32,
    _reserved: [u8; 11],
    mel_specification_sel: u8,
    ext_asym_sel_count: u8,
    ext_hash_sel_count: u8,
    _reserved2: U16,
}

impl AlgorithmsBody {
    /// Length of the message if `structures` algorithm structures follow.
    const fn len_with(structures: u8) -> u16 {
        // CAST: lossless, and 36 + 4 * 255 is far from the limit.
        36u16.saturating_add((structures as u16).saturating_mul(4))
    }
}

/// An algorithm structure ("AlgStructure"), with neither more fixed bytes nor external algorithms.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct AlgStructure {
    alg_type: u8,
    alg_count: u8,
    alg_supported: U16,
}

impl AlgStructure {
    /// DHE, AEADCipherSuite, ReqBaseAsymAlg and KeySchedule.
    const TYPES: core::ops::RangeInclusive<u8> = 2..=5;
    /// Two bytes of AlgSupported, no external algorithms.
    const ALG_COUNT: u8 = 0x20;
}

impl Request for NegotiateAlgorithms {
    const CODE: RequestCode = RequestCode::NegotiateAlgorithms;
    const RESPONSE: ResponseCode = ResponseCode::Algorithms;
    const TIMING: Timing = Timing::T1;
    type Response<'a> = Algorithms;

    fn as_bytes(&self) -> &[u8] {
        self.message.as_bytes()
    }

    fn parse<'a>(&self, header: &Header, body: &mut Reader<'a>) -> Result<Algorithms, Reason> {
        let fixed = body.read::<AlgorithmsBody>()?;
        if fixed.ext_asym_sel_count != 0 || fixed.ext_hash_sel_count != 0 {
            return Err(Reason::ExtendedAlgorithm);
        }
        let structures = match self.version {
            Version::V1_0 => 0,
            Version::V1_1 | Version::V1_2 | Version::V1_3 => header.param1,
        };
        if fixed.length.get() != AlgorithmsBody::len_with(structures) {
            return Err(Reason::AlgorithmsLength);
        }
        check_structures(body.read_slice(structures.into())?)?;

        at_most_one(
            fixed.measurement_specification_sel.into(),
            MEASUREMENT_DMTF.into(),
        )?;
        // The responder tells this one without an offer.
        at_most_one(fixed.measurement_hash_algo.get(), u32::MAX)?;
        if self.version >= Version::V1_3 {
            let multi_key = fixed.other_params_selection & MULTI_KEY_CONN;
            at_most_one((fixed.mel_specification_sel | multi_key).into(), 0)?;
        }

        Ok(Algorithms {
            base_hash: one_hash(fixed.base_hash_sel.get(), self.base_hashes)?,
            base_asym: one_asym(fixed.base_asym_sel.get(), self.base_asyms)?,
            opaque_data: match self.version {
                Version::V1_0 | Version::V1_1 => true,
                Version::V1_2 | Version::V1_3 => {
                    let format = fixed.other_params_selection & OPAQUE_DATA_FORMAT;
                    at_most_one(format.into(), other_params(self.version).into())?;
                    format != 0
                }
            },
        })
    }
}

/// Checks algorithm structures, none of which was offered.
///
/// Some responders answer with all of them nevertheless: that is right as long as nothing is selected.
fn check_structures(structures: &[AlgStructure]) -> Result<(), Reason> {
    let mut last = 0;
    for structure in structures {
        if !AlgStructure::TYPES.contains(&structure.alg_type)
            || structure.alg_type <= last
            || structure.alg_count != AlgStructure::ALG_COUNT
        {
            return Err(Reason::AlgorithmStructure);
        }
        last = structure.alg_type;
        at_most_one(structure.alg_supported.get().into(), 0)?;
    }
    Ok(())
}

/// Checks that no more than one bit is selected, and none that is not in `offered`.
fn at_most_one(selected: u32, offered: u32) -> Result<(), Reason> {
    if selected.count_ones() > 1 {
        Err(Reason::MultipleAlgorithms)
    } else if selected & !offered != 0 {
        Err(Reason::AlgorithmNotOffered)
    } else {
        Ok(())
    }
}

fn one_hash(selected: u32, offered: BaseHashes) -> Result<BaseHash, Reason> {
    at_most_one(selected, offered.bits())?;
    BaseHash::ALL
        .into_iter()
        .find(|algorithm| algorithm.bit() == selected)
        .ok_or(Reason::NoAlgorithm)
}

fn one_asym(selected: u32, offered: BaseAsyms) -> Result<BaseAsym, Reason> {
    at_most_one(selected, offered.bits())?;
    BaseAsym::ALL
        .into_iter()
        .find(|algorithm| algorithm.bit() == selected)
        .ok_or(Reason::NoAlgorithm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        testing::{Bench, NEGOTIATE_ALGORITHMS, VERSIONS},
        version::Version::{V1_1, V1_2, V1_3},
    };

    const STRUCTURED: [Version; 3] = [V1_1, V1_2, V1_3];

    /// The responder changes a byte of its ALGORITHMS.
    fn with_byte(version: Version, at: usize, byte: u8) -> Bench {
        Bench::new(version).lie(NEGOTIATE_ALGORITHMS, move |response| response[at] = byte)
    }

    /// The responder adds algorithm structures.
    fn with_structures(version: Version, structures: &'static [[u8; 4]]) -> Bench {
        Bench::new(version).lie(NEGOTIATE_ALGORITHMS, |response| {
            response[2] = structures.len() as u8;
            response[4] += 4 * structures.len() as u8;
            response.extend(structures.concat());
        })
    }

    #[test]
    fn nothing_to_offer() {
        let mut bench = Bench::new(V1_2);
        bench.platform.base_hashes = BaseHashes::NONE;
        bench.fails("nothing-to-offer: NEGOTIATE_ALGORITHMS");
        let mut bench = Bench::new(V1_2);
        bench.platform.base_asyms = BaseAsyms::NONE;
        bench.fails("nothing-to-offer: NEGOTIATE_ALGORITHMS");
    }

    #[test]
    fn hash_missing_in_the_end() {
        let mut bench = Bench::new(V1_2);
        bench.platform.hashes_missing = true;
        bench.fails("hash-unavailable: NEGOTIATE_ALGORITHMS");
    }

    #[test]
    fn n3_algorithms_of_another_version() {
        with_byte(V1_2, 0, 0x10).fails("wrong-version: NEGOTIATE_ALGORITHMS");
    }

    #[test]
    fn n7_algorithm_not_offered() {
        for version in VERSIONS {
            // RSAPSS, SM2, EdDSA, an unknown one; SM3, an unknown one.
            for (at, bit) in [(12, 1), (13, 1), (13, 2), (15, 7), (16, 6), (19, 7)] {
                Bench::new(version)
                    .lie(NEGOTIATE_ALGORITHMS, move |response| {
                        let field = at / 4 * 4;
                        response[field..field + 4].fill(0);
                        response[at] = 1 << bit;
                    })
                    .fails("algorithm-not-offered: NEGOTIATE_ALGORITHMS");
            }
            // A known one that is not available here.
            let mut bench = Bench::new(version).lie(NEGOTIATE_ALGORITHMS, |response| {
                response[16] = BaseHash::Sha256 as u8;
            });
            bench.platform.base_hashes = BaseHashes::NONE.with(BaseHash::Sha384);
            bench.fails("algorithm-not-offered: NEGOTIATE_ALGORITHMS");
            let mut bench = Bench::new(version).lie(NEGOTIATE_ALGORITHMS, |response| {
                response[12] = BaseAsym::EcdsaP256 as u8;
            });
            bench.platform.base_asyms = BaseAsyms::NONE.with(BaseAsym::EcdsaP384);
            bench.fails("algorithm-not-offered: NEGOTIATE_ALGORITHMS");
            // A measurement specification.
            with_byte(version, 6, 2).fails("algorithm-not-offered: NEGOTIATE_ALGORITHMS");
        }
        for version in [V1_2, V1_3] {
            // OpaqueDataFmt0.
            with_byte(version, 7, 1).fails("algorithm-not-offered: NEGOTIATE_ALGORITHMS");
        }
        // RequesterMultiKeyConnSel, MELspecificationSel.
        with_byte(V1_3, 7, 0x12).fails("algorithm-not-offered: NEGOTIATE_ALGORITHMS");
        with_byte(V1_3, 31, 1).fails("algorithm-not-offered: NEGOTIATE_ALGORITHMS");
        with_byte(V1_2, 7, 0x12).succeeds(0);
        with_byte(V1_2, 31, 1).succeeds(0);
    }

    #[test]
    fn n7_two_algorithms() {
        for version in VERSIONS {
            // Measurement specification, measurement hash, signature, hash.
            for (at, bits) in [(6, 3), (8, 6), (12, 0x90), (16, 3), (16, 0x42)] {
                with_byte(version, at, bits).fails("multiple-algorithms: NEGOTIATE_ALGORITHMS");
            }
        }
        for version in [V1_2, V1_3] {
            with_byte(version, 7, 3).fails("multiple-algorithms: NEGOTIATE_ALGORITHMS");
        }
    }

    #[test]
    fn n7_no_algorithm() {
        for version in VERSIONS {
            with_byte(version, 12, 0).fails("no-algorithm: NEGOTIATE_ALGORITHMS");
            with_byte(version, 16, 0).fails("no-algorithm: NEGOTIATE_ALGORITHMS");
        }
    }

    #[test]
    fn measurements_may_be_selected() {
        for version in VERSIONS {
            Bench::new(version)
                .lie(NEGOTIATE_ALGORITHMS, |response| {
                    response[6] = 1;
                    response[8] = 4;
                })
                .succeeds(0);
        }
    }

    #[test]
    fn empty_structures() {
        for version in STRUCTURED {
            with_structures(version, &[[2, 0x20, 0, 0]]).succeeds(0);
            with_structures(
                version,
                &[
                    [2, 0x20, 0, 0],
                    [3, 0x20, 0, 0],
                    [4, 0x20, 0, 0],
                    [5, 0x20, 0, 0],
                ],
            )
            .succeeds(0);
        }
    }

    #[test]
    fn n7_algorithm_of_a_structure_not_offered() {
        for version in STRUCTURED {
            with_structures(version, &[[2, 0x20, 0, 0], [3, 0x20, 2, 0]])
                .fails("algorithm-not-offered: NEGOTIATE_ALGORITHMS");
            with_structures(version, &[[2, 0x20, 0x18, 0]])
                .fails("multiple-algorithms: NEGOTIATE_ALGORITHMS");
        }
    }

    #[test]
    fn n8_structures_out_of_order() {
        for version in STRUCTURED {
            with_structures(version, &[[3, 0x20, 0, 0], [2, 0x20, 0, 0]])
                .fails("algorithm-structure: NEGOTIATE_ALGORITHMS");
        }
    }

    #[test]
    fn n8_structure_repeated() {
        for version in STRUCTURED {
            with_structures(version, &[[2, 0x20, 0, 0], [2, 0x20, 0, 0]])
                .fails("algorithm-structure: NEGOTIATE_ALGORITHMS");
        }
    }

    #[test]
    fn n8_structure_of_unknown_type() {
        for version in STRUCTURED {
            for structures in [&[[0, 0x20, 0, 0]], &[[1, 0x20, 0, 0]], &[[6, 0x20, 0, 0]]] {
                with_structures(version, structures)
                    .fails("algorithm-structure: NEGOTIATE_ALGORITHMS");
            }
        }
    }

    #[test]
    fn n8_structure_of_wrong_size() {
        for version in STRUCTURED {
            for structures in [&[[2, 0x21, 0, 0]], &[[2, 0x40, 0, 0]], &[[2, 0, 0, 0]]] {
                with_structures(version, structures)
                    .fails("algorithm-structure: NEGOTIATE_ALGORITHMS");
            }
        }
    }

    #[test]
    fn n8_wrong_length() {
        for version in VERSIONS {
            for length in [0, 32, 35, 37, 40] {
                with_byte(version, 4, length).fails("algorithms-length: NEGOTIATE_ALGORITHMS");
            }
            with_byte(version, 5, 1).fails("algorithms-length: NEGOTIATE_ALGORITHMS");
        }
        for version in STRUCTURED {
            with_byte(version, 2, 1).fails("algorithms-length: NEGOTIATE_ALGORITHMS");
            with_byte(version, 2, 255).fails("algorithms-length: NEGOTIATE_ALGORITHMS");
        }
    }

    #[test]
    fn n8_structures_missing() {
        for version in STRUCTURED {
            Bench::new(version)
                .lie(NEGOTIATE_ALGORITHMS, |response| {
                    response[2] = 1;
                    response[4] = 40;
                })
                .fails("truncated-response: NEGOTIATE_ALGORITHMS");
        }
    }

    #[test]
    fn n9_extended_algorithms() {
        for version in VERSIONS {
            for at in [32, 33] {
                Bench::new(version)
                    .lie(NEGOTIATE_ALGORITHMS, move |response| {
                        response[4] = 40;
                        response[at] = 1;
                        response.extend([0; 4]);
                    })
                    .fails("extended-algorithm: NEGOTIATE_ALGORITHMS");
            }
        }
    }

    #[test]
    fn n11_changed_on_the_way() {
        use crate::testing::GET_CAPABILITIES;
        for version in VERSIONS {
            Bench::new(version)
                .tamper(GET_CAPABILITIES, |response| response[5] ^= 1)
                .fails("bad-signature: CHALLENGE");
            // MEAS_CAP taken away.
            let mut bench =
                Bench::new(version).tamper(GET_CAPABILITIES, |response| response[8] &= !0x18);
            bench.responder.flags |= 0x10;
            bench.fails("bad-signature: CHALLENGE");
            Bench::new(version)
                .tamper(NEGOTIATE_ALGORITHMS, |response| response[8] = 4)
                .fails("bad-signature: CHALLENGE");
        }
    }

    #[test]
    fn truncated() {
        for version in VERSIONS {
            for len in (4..36).step_by(4) {
                Bench::new(version)
                    .lie(NEGOTIATE_ALGORITHMS, move |response| response.truncate(len))
                    .fails("truncated-response: NEGOTIATE_ALGORITHMS");
            }
            Bench::new(version)
                .lie(NEGOTIATE_ALGORITHMS, |response| response.extend([0; 4]))
                .fails("trailing-bytes: NEGOTIATE_ALGORITHMS");
        }
    }
}
