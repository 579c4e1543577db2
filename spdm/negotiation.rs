// SPDX-License-Identifier: GPL-2.0

//! NEGOTIATE_ALGORITHMS and ALGORITHMS.

use core::ops::RangeInclusive;

use zerocopy::{
    little_endian::{U16, U32},
    IntoBytes as _,
};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{
    algorithms::{
        Asym, BaseAsym, BaseAsyms, BaseHash, BaseHashes, PqcAsym, PqcAsyms, SupportedAlgorithms,
    },
    error::Reason,
    measurements::hash_size,
    message::{Header, Reader, Request, RequestCode, ResponseCode, Timing},
    platform::Platform,
    report::Preference,
    version::Version,
};

/// MeasurementSpecification: the one of DMTF.
const MEASUREMENT_DMTF: u8 = 1 << 0;
/// OtherParamsSupport: OpaqueDataFmt1.
const OPAQUE_DATA_FORMAT_1: u8 = 1 << 1;
/// OtherParamsSelection: the bits for the format of opaque data.
const OPAQUE_DATA_FORMAT: u8 = 0x0f;
/// OtherParamsSupport: ResponderMultiKeyConn. OtherParamsSelection: RequesterMultiKeyConnSel. From 1.3.
const MULTI_KEY_CONN: u8 = 1 << 4;

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Algorithms {
    pub(crate) base_hash: BaseHash,
    pub(crate) asym: Asym,
    /// Whether messages may have opaque data. Up to version 1.1 there is nothing to agree on.
    pub(crate) opaque_data: bool,
    /// Whether the responder may use several keys (MULTI_KEY_CONN_RSP), from version 1.3.
    pub(crate) multi_key: bool,
    /// Whether measurements follow the specification of DMTF.
    pub(crate) measurements: bool,
    /// Size in bytes of digests among them, if there are any whose algorithm is known.
    pub(crate) measurement_hash_size: Option<usize>,
}

/// What is offered to the responder.
#[derive(Clone, Copy)]
pub(crate) struct Offer {
    base_hashes: BaseHashes,
    base_asyms: BaseAsyms,
    pqc_asyms: PqcAsyms,
    multi_key: bool,
}

impl Offer {
    /// Offers what `platform` has, as far as `version` and `preference` allow.
    ///
    /// If both kinds of signature algorithm are offered, the responder decides. Where it told what it supports, the
    /// one that is not preferred is left out if the other will do.
    ///
    /// # Errors
    ///
    /// [`Reason::NothingToOffer`] if no hash or no signature algorithm is left.
    pub(crate) fn new(
        version: Version,
        platform: &impl Platform,
        preference: Preference,
        supported: Option<SupportedAlgorithms>,
        multi_key: bool,
    ) -> Result<Self, Reason> {
        let supported = supported.unwrap_or_default();
        let mut offer = Self {
            base_hashes: platform.base_hashes(),
            base_asyms: platform.base_asyms(),
            pqc_asyms: match version {
                Version::V1_4 => platform.pqc_asyms(),
                _ => PqcAsyms::NONE,
            },
            multi_key,
        };
        let base_only = match preference {
            Preference::ClassicFirst => offer.base_asyms.bits() & supported.base_asym != 0,
            Preference::ClassicOnly => true,
            Preference::PqcFirst | Preference::PqcOnly => false,
        };
        let pqc_only = match preference {
            Preference::PqcFirst => offer.pqc_asyms.bits() & supported.pqc_asym != 0,
            Preference::PqcOnly => true,
            Preference::ClassicFirst | Preference::ClassicOnly => false,
        };
        if base_only {
            offer.pqc_asyms = PqcAsyms::NONE;
        }
        if pqc_only {
            offer.base_asyms = BaseAsyms::NONE;
        }
        let no_asym = offer.base_asyms == BaseAsyms::NONE && offer.pqc_asyms == PqcAsyms::NONE;
        if no_asym || offer.base_hashes == BaseHashes::NONE {
            return Err(Reason::NothingToOffer);
        }
        Ok(offer)
    }

    /// The signature algorithm in BaseAsymSel and PqcAsymSel.
    fn one_asym(&self, base: u32, pqc: u32) -> Result<Asym, Reason> {
        at_most_one(base, self.base_asyms.bits())?;
        at_most_one(pqc, self.pqc_asyms.bits())?;
        if base != 0 && pqc != 0 {
            return Err(Reason::MultipleAlgorithms);
        }
        let base = BaseAsym::ALL
            .into_iter()
            .find(|algorithm| algorithm.bit() == base);
        let pqc = PqcAsym::ALL
            .into_iter()
            .find(|algorithm| algorithm.bit() == pqc);
        base.map(Asym::Base)
            .or(pqc.map(Asym::Pqc))
            .ok_or(Reason::NoAlgorithm)
    }

    /// The algorithm in BaseHashSel.
    fn one_hash(&self, selected: u32) -> Result<BaseHash, Reason> {
        at_most_one(selected, self.base_hashes.bits())?;
        BaseHash::ALL
            .into_iter()
            .find(|algorithm| algorithm.bit() == selected)
            .ok_or(Reason::NoAlgorithm)
    }
}

/// NEGOTIATE_ALGORITHMS.
pub(crate) struct NegotiateAlgorithms {
    version: Version,
    offer: Offer,
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
    // From 1.4.
    pqc_asym_algo: U32,
    reserved: [u8; 8],
    ext_asym_count: u8,
    ext_hash_count: u8,
    reserved2: u8,
    mel_specification: u8,
}

impl NegotiateAlgorithms {
    /// Size of the message: no extended algorithms and no algorithm structures follow, because they are for
    /// sessions and for the requester's own keys.
    const LENGTH: u16 = 32;

    pub(crate) const fn new(version: Version, offer: Offer) -> Self {
        let multi_key = if offer.multi_key { MULTI_KEY_CONN } else { 0 };
        Self {
            version,
            offer,
            message: NegotiateAlgorithmsMessage {
                header: Header::new(version, RequestCode::NegotiateAlgorithms, 0, 0),
                length: U16::new(Self::LENGTH),
                measurement_specification: MEASUREMENT_DMTF,
                other_params_support: opaque_data_format(version) | multi_key,
                base_asym_algo: U32::new(offer.base_asyms.bits()),
                base_hash_algo: U32::new(offer.base_hashes.bits()),
                pqc_asym_algo: U32::new(offer.pqc_asyms.bits()),
                reserved: [0; 8],
                ext_asym_count: 0,
                ext_hash_count: 0,
                reserved2: 0,
                mel_specification: 0,
            },
        }
    }
}

/// The format of opaque data that is offered in `version`.
const fn opaque_data_format(version: Version) -> u8 {
    match version {
        Version::V1_0 | Version::V1_1 => 0,
        Version::V1_2 | Version::V1_3 | Version::V1_4 => OPAQUE_DATA_FORMAT_1,
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
    // From 1.4.
    pqc_asym_sel: U32,
    _reserved: [u8; 7],
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
    /// The types in `version`: DHE, AEADCipherSuite, ReqBaseAsymAlg and KeySchedule; from 1.4 ReqPqcAsymAlg and
    /// KEMAlg.
    const fn types(version: Version) -> RangeInclusive<u8> {
        match version {
            Version::V1_4 => 2..=7,
            _ => 2..=5,
        }
    }

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
            _ => header.param1,
        };
        if fixed.length.get() != AlgorithmsBody::len_with(structures) {
            return Err(Reason::AlgorithmsLength);
        }
        check_structures(self.version, body.read_slice(structures.into())?)?;

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
            base_hash: self.offer.one_hash(fixed.base_hash_sel.get())?,
            asym: self.offer.one_asym(
                fixed.base_asym_sel.get(),
                match self.version {
                    Version::V1_4 => fixed.pqc_asym_sel.get(),
                    _ => 0,
                },
            )?,
            multi_key: self.offer.multi_key,
            measurements: fixed.measurement_specification_sel == MEASUREMENT_DMTF,
            measurement_hash_size: hash_size(fixed.measurement_hash_algo.get()),
            opaque_data: match self.version {
                Version::V1_0 | Version::V1_1 => true,
                Version::V1_2 | Version::V1_3 | Version::V1_4 => {
                    let format = fixed.other_params_selection & OPAQUE_DATA_FORMAT;
                    at_most_one(format.into(), opaque_data_format(self.version).into())?;
                    format != 0
                }
            },
        })
    }
}

/// Checks algorithm structures, none of which was offered.
///
/// Some responders answer with all of them nevertheless: that is right as long as nothing is selected.
fn check_structures(version: Version, structures: &[AlgStructure]) -> Result<(), Reason> {
    let mut last = 0;
    for structure in structures {
        if !AlgStructure::types(version).contains(&structure.alg_type)
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

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::{
        testing::{each_version, Bench, NEGOTIATE_ALGORITHMS, VERSIONS},
        version::Version::{V1_1, V1_2, V1_3, V1_4},
    };

    const STRUCTURED: [Version; 4] = [V1_1, V1_2, V1_3, V1_4];

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
            // SM2, EdDSA, an unknown one; SM3, an unknown one.
            for (at, bit) in [(13, 1), (13, 2), (15, 7), (16, 6), (19, 7)] {
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
        for version in [V1_2, V1_3, V1_4] {
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
        for version in [V1_2, V1_3, V1_4] {
            with_byte(version, 7, 3).fails("multiple-algorithms: NEGOTIATE_ALGORITHMS");
        }
    }

    each_version!(n7_no_algorithm);
    fn n7_no_algorithm(version: Version) {
        with_byte(version, 12, 0).fails("no-algorithm: NEGOTIATE_ALGORITHMS");
        with_byte(version, 16, 0).fails("no-algorithm: NEGOTIATE_ALGORITHMS");
    }

    each_version!(measurements_may_be_selected);
    fn measurements_may_be_selected(version: Version) {
        Bench::new(version)
            .lie(NEGOTIATE_ALGORITHMS, |response| {
                response[6] = 1;
                response[8] = 4;
            })
            .succeeds(0);
    }

    each_version!(empty_structures: V1_1 V1_2 V1_3 V1_4);
    fn empty_structures(version: Version) {
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

    each_version!(n7_algorithm_of_a_structure_not_offered: V1_1 V1_2 V1_3 V1_4);
    fn n7_algorithm_of_a_structure_not_offered(version: Version) {
        with_structures(version, &[[2, 0x20, 0, 0], [3, 0x20, 2, 0]])
            .fails("algorithm-not-offered: NEGOTIATE_ALGORITHMS");
        with_structures(version, &[[2, 0x20, 0x18, 0]])
            .fails("multiple-algorithms: NEGOTIATE_ALGORITHMS");
    }

    #[test]
    fn structures_of_1_4() {
        with_structures(
            V1_4,
            &[
                [2, 0x20, 0, 0],
                [3, 0x20, 0, 0],
                [4, 0x20, 0, 0],
                [5, 0x20, 0, 0],
                [6, 0x20, 0, 0],
                [7, 0x20, 0, 0],
            ],
        )
        .succeeds(0);
        with_structures(V1_4, &[[6, 0x20, 2, 0]])
            .fails("algorithm-not-offered: NEGOTIATE_ALGORITHMS");
        with_structures(V1_4, &[[7, 0x20, 1, 0]])
            .fails("algorithm-not-offered: NEGOTIATE_ALGORITHMS");
    }

    /// A responder of version 1.4 that has an algorithm of both kinds.
    fn with_both() -> Bench {
        let mut bench = Bench::new(V1_4);
        bench.responder.pqc_asym = Some(PqcAsym::MlDsa65);
        bench.buffer_size = 8192;
        bench.max_message_size = 8192;
        bench
    }

    /// The same, and it tells what it supports: `base_asym` and `pqc_asym`.
    fn that_tells(base_asym: u32, pqc_asym: u32) -> Bench {
        let mut bench = with_both();
        bench.responder.supported_algorithms = Some(([base_asym, 0x7f, pqc_asym], vec![]));
        bench.responder.flags |= 1 << 17;
        bench
    }

    const P384: Asym = Asym::Base(BaseAsym::EcdsaP384);
    const ML_DSA_65: Asym = Asym::Pqc(PqcAsym::MlDsa65);

    #[track_caller]
    fn chooses(mut bench: Bench, preference: Preference, asym: Asym) {
        bench.config.signature_preference = preference;
        bench.succeeds(0);
        assert_eq!(bench.report.negotiated.asym, Some(asym));
        // Never a second round.
        let codes = bench.responder.codes();
        let rounds = codes.iter().filter(|code| **code == NEGOTIATE_ALGORITHMS);
        assert_eq!(rounds.count(), 1);
    }

    #[test]
    fn responder_chooses_the_kind_if_it_does_not_tell_what_it_supports() {
        for preference in [Preference::ClassicFirst, Preference::PqcFirst] {
            chooses(with_both(), preference, ML_DSA_65);
            let mut bench = with_both();
            bench.responder.classic_first = true;
            chooses(bench, preference, P384);
        }
    }

    #[test]
    fn preference_decides_if_the_responder_tells() {
        for classic_first in [false, true] {
            for (preference, asym) in [
                (Preference::ClassicFirst, P384),
                (Preference::ClassicOnly, P384),
                (Preference::PqcFirst, ML_DSA_65),
                (Preference::PqcOnly, ML_DSA_65),
            ] {
                let mut bench = that_tells(BaseAsym::EcdsaP384.bit(), PqcAsym::MlDsa65.bit());
                bench.responder.classic_first = classic_first;
                chooses(bench, preference, asym);
            }
        }
    }

    #[test]
    fn other_kind_is_offered_where_the_preferred_one_is_missing() {
        // SM2; SLH-DSA-SHA2-128s.
        chooses(that_tells(0x200, 2), Preference::ClassicFirst, ML_DSA_65);
        chooses(that_tells(0x80, 8), Preference::PqcFirst, ML_DSA_65);
        let mut bench = that_tells(0x80, 0);
        bench.responder.pqc_asym = None;
        chooses(bench, Preference::PqcFirst, P384);
    }

    #[test]
    fn only_one_kind_is_offered_if_the_other_is_ruled_out() {
        for (preference, asym) in [
            (Preference::ClassicOnly, P384),
            (Preference::PqcOnly, ML_DSA_65),
        ] {
            let mut bench = with_both();
            bench.responder.classic_first = preference == Preference::PqcOnly;
            chooses(bench, preference, asym);
        }
    }

    #[test]
    fn classic_by_default() {
        assert_eq!(
            crate::report::Config::default().signature_preference,
            Preference::ClassicFirst
        );
        let bench = that_tells(BaseAsym::EcdsaP384.bit(), PqcAsym::MlDsa65.bit());
        chooses(bench, Preference::default(), P384);
    }

    #[test]
    fn nothing_to_offer_below_1_4_if_only_post_quantum_will_do() {
        for version in [Version::V1_0, V1_1, V1_2, V1_3] {
            let mut bench = Bench::new(version);
            bench.config.signature_preference = Preference::PqcOnly;
            bench.fails("nothing-to-offer: NEGOTIATE_ALGORITHMS");
            let requests = &bench.responder.requests;
            assert!(requests
                .iter()
                .all(|request| request[1] != NEGOTIATE_ALGORITHMS));
        }
        let mut bench = Bench::new(V1_4);
        bench.config.signature_preference = Preference::PqcOnly;
        bench.platform.pqc_asyms = PqcAsyms::NONE;
        bench.fails("nothing-to-offer: NEGOTIATE_ALGORITHMS");
        let mut bench = with_both();
        bench.config.signature_preference = Preference::ClassicOnly;
        bench.platform.base_asyms = BaseAsyms::NONE;
        bench.fails("nothing-to-offer: NEGOTIATE_ALGORITHMS");
    }

    #[test]
    fn offer_without_classic_algorithms() {
        let mut bench = with_both();
        bench.platform.base_asyms = BaseAsyms::NONE;
        chooses(bench, Preference::ClassicFirst, ML_DSA_65);
    }

    #[test]
    fn n7_both_kinds_selected() {
        with_both()
            .lie(NEGOTIATE_ALGORITHMS, |response| {
                response[12..16].copy_from_slice(&BaseAsym::EcdsaP384.bit().to_le_bytes());
            })
            .fails("multiple-algorithms: NEGOTIATE_ALGORITHMS");
    }

    #[test]
    fn n7_neither_kind_selected() {
        with_byte(V1_4, 12, 0).fails("no-algorithm: NEGOTIATE_ALGORITHMS");
        let mut bench = with_byte(V1_4, 20, 0);
        bench.responder.pqc_asym = Some(PqcAsym::MlDsa65);
        bench.fails("no-algorithm: NEGOTIATE_ALGORITHMS");
    }

    #[test]
    fn n7_two_post_quantum_algorithms() {
        let mut bench = with_byte(V1_4, 20, 3);
        bench.responder.pqc_asym = Some(PqcAsym::MlDsa65);
        bench.fails("multiple-algorithms: NEGOTIATE_ALGORITHMS");
    }

    #[test]
    fn n7_post_quantum_algorithm_not_offered() {
        // SLH-DSA-SHA2-128s, an unknown one.
        for (at, bits) in [(20, 8), (23, 0x80)] {
            let mut bench = Bench::new(V1_4).lie(NEGOTIATE_ALGORITHMS, move |response| {
                response[20..24].fill(0);
                response[at] = bits;
            });
            bench.responder.pqc_asym = Some(PqcAsym::MlDsa65);
            bench.fails("algorithm-not-offered: NEGOTIATE_ALGORITHMS");
        }
        // A known one that is not available here, or that the configuration rules out.
        let mut bench = with_byte(V1_4, 20, 1);
        bench.responder.pqc_asym = Some(PqcAsym::MlDsa65);
        bench.platform.pqc_asyms = PqcAsyms::NONE.with(PqcAsym::MlDsa65);
        bench.fails("algorithm-not-offered: NEGOTIATE_ALGORITHMS");
        let mut bench = with_byte(V1_4, 20, 2);
        bench.config.signature_preference = Preference::ClassicOnly;
        bench.fails("algorithm-not-offered: NEGOTIATE_ALGORITHMS");
    }

    each_version!(post_quantum_selection_is_reserved_before_1_4: V1_0 V1_1 V1_2 V1_3);
    fn post_quantum_selection_is_reserved_before_1_4(version: Version) {
        with_byte(version, 20, 2).succeeds(0);
    }

    each_version!(multi_key_connection_is_asked_for_where_nothing_else_will_do: V1_3 V1_4);
    fn multi_key_connection_is_asked_for_where_nothing_else_will_do(version: Version) {
        for (multi_key_cap, asked) in [(0, 0), (1, 0x10), (2, 0)] {
            let mut bench = Bench::new(version);
            bench.responder.flags |= (multi_key_cap << 26) | (1 << 28);
            bench.succeeds(0);
            let requests = &bench.responder.requests;
            let request = requests
                .iter()
                .find(|request| request[1] == NEGOTIATE_ALGORITHMS);
            assert_eq!(request.unwrap()[7], 2 | asked);
        }
    }

    each_version!(n8_structures_out_of_order: V1_1 V1_2 V1_3 V1_4);
    fn n8_structures_out_of_order(version: Version) {
        with_structures(version, &[[3, 0x20, 0, 0], [2, 0x20, 0, 0]])
            .fails("algorithm-structure: NEGOTIATE_ALGORITHMS");
    }

    each_version!(n8_structure_repeated: V1_1 V1_2 V1_3 V1_4);
    fn n8_structure_repeated(version: Version) {
        with_structures(version, &[[2, 0x20, 0, 0], [2, 0x20, 0, 0]])
            .fails("algorithm-structure: NEGOTIATE_ALGORITHMS");
    }

    #[test]
    fn n8_structure_of_unknown_type() {
        for version in [V1_1, V1_2, V1_3] {
            // ReqPqcAsymAlg and KEMAlg.
            for structures in [&[[6, 0x20, 0, 0]], &[[7, 0x20, 0, 0]]] {
                with_structures(version, structures)
                    .fails("algorithm-structure: NEGOTIATE_ALGORITHMS");
            }
        }
        for version in STRUCTURED {
            for structures in [&[[0, 0x20, 0, 0]], &[[1, 0x20, 0, 0]], &[[8, 0x20, 0, 0]]] {
                with_structures(version, structures)
                    .fails("algorithm-structure: NEGOTIATE_ALGORITHMS");
            }
        }
    }

    each_version!(n8_structure_of_wrong_size: V1_1 V1_2 V1_3 V1_4);
    fn n8_structure_of_wrong_size(version: Version) {
        for structures in [&[[2, 0x21, 0, 0]], &[[2, 0x40, 0, 0]], &[[2, 0, 0, 0]]] {
            with_structures(version, structures).fails("algorithm-structure: NEGOTIATE_ALGORITHMS");
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

    each_version!(n8_structures_missing: V1_1 V1_2 V1_3 V1_4);
    fn n8_structures_missing(version: Version) {
        Bench::new(version)
            .lie(NEGOTIATE_ALGORITHMS, |response| {
                response[2] = 1;
                response[4] = 40;
            })
            .fails("truncated-response: NEGOTIATE_ALGORITHMS");
    }

    each_version!(n9_extended_algorithms);
    fn n9_extended_algorithms(version: Version) {
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

    each_version!(truncated);
    fn truncated(version: Version) {
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
