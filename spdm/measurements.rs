// SPDX-License-Identifier: GPL-2.0

//! GET_MEASUREMENTS and MEASUREMENTS, and the blocks in them (DSP0274, "Measurement block").

use zerocopy::little_endian::U16;
use zerocopy_derive::{FromBytes, Immutable, KnownLayout, Unaligned};

use crate::{
    algorithms::BaseHash,
    challenge::{CONTEXT_SIZE, MAX_OPAQUE_DATA, NONCE_SIZE, SLOT_ID},
    error::{Error, Reason},
    message::{Header, Reader, Request, RequestCode, ResponseCode, Timing},
    negotiation::Algorithms,
    version::Version,
};

/// GET_MEASUREMENTS, Param1: the response is to be signed.
const SIGNATURE_REQUESTED: u8 = 1 << 0;
/// MEASUREMENTS, Param2: bits that say whether measurements changed while they were read, from version 1.2.
const CONTENT_CHANGED: u8 = 0x30;
/// MEASUREMENTS, Param2: they did.
const CONTENT_HAS_CHANGED: u8 = 0x10;
/// MeasurementSpecification: the one of DMTF.
const DMTF: u8 = 1 << 0;
/// DMTFSpecMeasurementValueType: the value is raw, not a digest.
const RAW_BIT_STREAM: u8 = 1 << 7;
/// Size in bytes of what precedes MeasurementRecord.
const RECORD_OFFSET: usize = 8;

/// Which measurements are asked for (MeasurementOperation).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// How many there are.
    Count,
    /// One of them. Its index is neither 0 nor 0xff.
    Index(u8),
    /// All of them.
    All,
}

impl Operation {
    const fn as_byte(self) -> u8 {
        match self {
            Self::Count => 0,
            Self::Index(index) => index,
            Self::All => 0xff,
        }
    }
}

/// Largest GET_MEASUREMENTS in bytes.
const MAX_REQUEST_SIZE: usize = 4 + NONCE_SIZE + 1 + CONTEXT_SIZE;

/// GET_MEASUREMENTS.
pub(crate) struct GetMeasurements {
    version: Version,
    algorithms: Algorithms,
    operation: Operation,
    slot: u8,
    signed: bool,
    requester_context: [u8; CONTEXT_SIZE],
    message: [u8; MAX_REQUEST_SIZE],
    len: usize,
}

impl GetMeasurements {
    /// Asks for measurements; with a `nonce`, for a signature by the key of `slot`, too, which is 0 to 7 or
    /// [`RAW_KEY_SLOT`](crate::trust::RAW_KEY_SLOT). `requester_context` (sent from version 1.3) is random.
    pub(crate) fn new(
        version: Version,
        algorithms: Algorithms,
        operation: Operation,
        slot: u8,
        nonce: Option<&[u8; NONCE_SIZE]>,
        requester_context: [u8; CONTEXT_SIZE],
    ) -> Self {
        let slot = slot & SLOT_ID;
        let header = [
            version.as_byte(),
            RequestCode::GetMeasurements.as_byte(),
            if nonce.is_some() {
                SIGNATURE_REQUESTED
            } else {
                0
            },
            operation.as_byte(),
        ];
        let slots: &[u8] = match nonce {
            Some(_) if version >= Version::V1_1 => &[slot],
            _ => &[],
        };
        let context: &[u8] = match version {
            Version::V1_3 | Version::V1_4 => &requester_context,
            Version::V1_0 | Version::V1_1 | Version::V1_2 => &[],
        };
        let nonces = nonce.map(|nonce| nonce.as_slice()).unwrap_or_default();
        let mut message = [0; MAX_REQUEST_SIZE];
        let mut len = 0usize;
        let parts = header.iter().chain(nonces).chain(slots).chain(context);
        for (to, from) in message.iter_mut().zip(parts) {
            *to = *from;
            len = len.saturating_add(1);
        }
        Self {
            version,
            algorithms,
            operation,
            slot,
            signed: nonce.is_some(),
            requester_context,
            message,
            len,
        }
    }

    /// Checks how many blocks there are.
    fn check_count(&self, blocks: u8) -> Result<(), Reason> {
        let right = match self.operation {
            Operation::Count => blocks == 0,
            Operation::Index(_) => blocks == 1,
            Operation::All => (1..=0xfe).contains(&blocks),
        };
        right.then_some(()).ok_or(Reason::MeasurementCount)
    }

    /// Checks the blocks of the record.
    fn check_record(&self, record: &[u8], count: u8) -> Result<(), Reason> {
        let mut blocks = MeasurementBlocks::new(record);
        let mut found = 0u8;
        let mut last = 0;
        while !blocks.reader.rest().is_empty() {
            let block = blocks.read(self.algorithms.measurement_hash_size)?;
            match self.operation {
                Operation::Index(index) if block.index != index => {
                    return Err(Reason::MeasurementIndex)
                }
                // One after the other: no index comes twice.
                _ if block.index <= last || block.index == 0xff => {
                    return Err(Reason::MeasurementIndex)
                }
                _ => last = block.index,
            }
            found = found.checked_add(1).ok_or(Reason::MeasurementCount)?;
        }
        (found == count)
            .then_some(())
            .ok_or(Reason::MeasurementCount)
    }
}

/// MEASUREMENTS: what is left to be checked. Slot, RequesterContext, blocks and sizes were.
pub(crate) struct Measurements<'a> {
    /// How many measurements the responder has, if that was asked for.
    pub(crate) total: u8,
    /// The blocks.
    pub(crate) record: &'a [u8],
    /// Empty if none was asked for.
    pub(crate) signature: &'a [u8],
}

impl Measurements<'_> {
    /// Where the responder's nonce is in the message.
    pub(crate) const fn nonce_offset(&self) -> usize {
        self.record.len().saturating_add(RECORD_OFFSET)
    }
}

impl Request for GetMeasurements {
    const CODE: RequestCode = RequestCode::GetMeasurements;
    const RESPONSE: ResponseCode = ResponseCode::Measurements;
    const TIMING: Timing = Timing::T2;
    type Response<'a> = Measurements<'a>;

    fn as_bytes(&self) -> &[u8] {
        self.message.get(..self.len).unwrap_or_default()
    }

    fn parse<'a>(
        &self,
        header: &Header,
        body: &mut Reader<'a>,
    ) -> Result<Measurements<'a>, Reason> {
        if self.signed && self.version >= Version::V1_1 && header.param2 & SLOT_ID != self.slot {
            return Err(Reason::WrongSlot);
        }
        let [blocks, length @ ..] = *body.read::<[u8; 4]>()?;
        self.check_count(blocks)?;
        let [a, b, c] = length;
        let length = u32::from_le_bytes([a, b, c, 0]);
        let record = body.take(usize::try_from(length).map_err(|_| Reason::Truncated)?)?;
        self.check_record(record, blocks)?;
        let _nonce = body.take(NONCE_SIZE)?;

        let opaque_len = body.read::<U16>()?.get();
        if opaque_len > MAX_OPAQUE_DATA {
            return Err(Reason::OpaqueDataTooLarge);
        }
        if opaque_len > 0 && !self.algorithms.opaque_data {
            return Err(Reason::OpaqueDataNotNegotiated);
        }
        let _opaque_data = body.take(opaque_len.into())?;

        if self.version >= Version::V1_3 && body.take(CONTEXT_SIZE)? != self.requester_context {
            return Err(Reason::RequesterContextMismatch);
        }
        if self.version >= Version::V1_2 && header.param2 & CONTENT_CHANGED == CONTENT_HAS_CHANGED {
            return Err(Reason::MeasurementsChanged);
        }
        Ok(Measurements {
            total: match self.operation {
                Operation::Count => header.param1,
                _ => 0,
            },
            record,
            signature: body.take(self.signature_size())?,
        })
    }

    fn signature_size(&self) -> usize {
        if self.signed {
            self.algorithms.asym.signature_size()
        } else {
            0
        }
    }
}

/// One measurement (DSP0274, "Measurement block").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasurementBlock<'a> {
    /// Index, 1 to 254.
    pub index: u8,
    /// What was measured (DMTFSpecMeasurementValueType without its highest bit); `None` if the block does not follow
    /// the specification of DMTF.
    pub value_type: Option<u8>,
    /// Whether `value` is what was measured, and not its digest.
    pub raw: bool,
    /// The value: digest or raw bit stream.
    pub value: &'a [u8],
}

impl MeasurementBlock<'_> {
    /// Name of `value_type`, for the types that versions up to 1.4 define.
    pub const fn type_name(&self) -> Option<&'static str> {
        Some(match self.value_type {
            Some(0) => "immutable-rom",
            Some(1) => "mutable-firmware",
            Some(2) => "hardware-configuration",
            Some(3) => "firmware-configuration",
            Some(4) => "manifest",
            Some(5) => "device-mode",
            Some(6) => "version",
            Some(7) => "secure-version-number",
            Some(8) => "hash-extend",
            Some(9) => "informational",
            Some(10) => "structured-manifest",
            _ => return None,
        })
    }
}

/// The measurements in a MeasurementRecord, one after the other. Ends at the first that is malformed; those that an
/// attestation recorded are not.
#[derive(Clone)]
pub struct MeasurementBlocks<'a> {
    reader: Reader<'a>,
}

#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct BlockHeader {
    index: u8,
    specification: u8,
    size: U16,
}

#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct DmtfHeader {
    value_type: u8,
    value_size: U16,
}

impl<'a> MeasurementBlocks<'a> {
    /// Of `record`, as it is in MEASUREMENTS.
    pub const fn new(record: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(record),
        }
    }

    /// Takes one. A digest has `digest_size` bytes, if that is known.
    fn read(&mut self, digest_size: Option<usize>) -> Result<MeasurementBlock<'a>, Reason> {
        let malformed = |_| Reason::MeasurementBlock;
        let header = self.reader.read::<BlockHeader>().map_err(malformed)?;
        let bytes = self.reader.take(header.size.get().into());
        let bytes = bytes.map_err(malformed)?;
        if header.specification != DMTF {
            // None other was negotiated.
            return Err(Reason::MeasurementBlock);
        }
        let mut body = Reader::new(bytes);
        let dmtf = body.read::<DmtfHeader>().map_err(malformed)?;
        let value = body.take(dmtf.value_size.get().into()).map_err(malformed)?;
        let raw = dmtf.value_type & RAW_BIT_STREAM != 0;
        let wrong_digest = !raw && digest_size.is_some_and(|size| size != value.len());
        if !body.rest().is_empty() || wrong_digest {
            return Err(Reason::MeasurementBlock);
        }
        Ok(MeasurementBlock {
            index: header.index,
            value_type: Some(dmtf.value_type & !RAW_BIT_STREAM),
            raw,
            value,
        })
    }
}

impl<'a> Iterator for MeasurementBlocks<'a> {
    type Item = MeasurementBlock<'a>;

    fn next(&mut self) -> Option<MeasurementBlock<'a>> {
        if self.reader.rest().is_empty() {
            return None;
        }
        self.read(None).ok()
    }
}

/// What became of the measurements of an attestation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MeasurementStatus {
    /// They were not asked for.
    #[default]
    NotTaken,
    /// The responder has none (MEAS_CAP), or none that the specification of DMTF covers.
    Unsupported,
    /// They were recorded, and their signature, if any, is right.
    Taken {
        /// Whether they are signed. A responder that can sign them has to.
        signed: bool,
    },
    /// The responder did not hand them out as it should.
    Failed(Error),
}

/// Size in bytes of a digest by MeasurementHashAlgo, which has at most one bit; `None` if it is not known or there are
/// none.
pub(crate) fn hash_size(measurement_hash_algo: u32) -> Option<usize> {
    // Bit 0 says that there are raw bit streams only.
    let hash = BaseHash::ALL
        .into_iter()
        .find(|hash| hash.bit() == measurement_hash_algo >> 1);
    hash.map(BaseHash::digest_size)
}

#[cfg(test)]
mod tests {
    use std::{format, string::ToString, vec, vec::Vec};

    use super::*;
    use crate::{
        algorithms::{BaseAsyms, PqcAsym},
        testing::{
            each_version, Bench, Instead, BUSY, CHALLENGE, GET_MEASUREMENTS, GET_VERSION, VERSIONS,
        },
        transport::TransportError,
    };

    /// MEAS_CAP without and with signatures.
    const NO_SIG: u32 = 1 << 3;
    const SIG: u32 = 2 << 3;

    fn bench_with(version: Version, flags: u32) -> Bench {
        let mut bench = Bench::new(version);
        bench.responder.flags |= flags;
        bench.config.measurements = true;
        bench
    }

    fn bench(version: Version) -> Bench {
        bench_with(version, SIG)
    }

    /// The device is authenticated, and this became of its measurements.
    #[track_caller]
    fn status(bench: &mut Bench) -> MeasurementStatus {
        bench.succeeds(0);
        bench.report.measurements
    }

    /// The device is authenticated, and its measurements are refused like this.
    #[track_caller]
    fn refused(mut bench: Bench, reason: &str) {
        match status(&mut bench) {
            MeasurementStatus::Failed(error) => assert_eq!(error.to_string(), reason),
            status => panic!("{status:?} instead of {reason}"),
        }
    }

    /// What the responder has, as it was recorded.
    #[track_caller]
    fn is_recorded(bench: &Bench) {
        let blocks: Vec<_> = MeasurementBlocks::new(&bench.platform.evidence.measurements)
            .map(|block| {
                let raw = if block.raw { RAW_BIT_STREAM } else { 0 };
                (
                    block.index,
                    block.value_type.unwrap() | raw,
                    block.value.to_vec(),
                )
            })
            .collect();
        assert_eq!(blocks, bench.responder.measurements);
    }

    fn asked(bench: &Bench) -> Vec<u8> {
        let requests = bench.responder.requests.iter();
        requests
            .filter(|request| request[1] == GET_MEASUREMENTS)
            .map(|request| request[3])
            .collect()
    }

    const SIGNED: MeasurementStatus = MeasurementStatus::Taken { signed: true };
    const UNSIGNED: MeasurementStatus = MeasurementStatus::Taken { signed: false };

    #[test]
    fn types_have_names() {
        let name = |value_type| {
            let block = MeasurementBlock {
                index: 1,
                value_type,
                raw: false,
                value: &[],
            };
            block.type_name()
        };
        let mut names: Vec<_> = (0..=0xff).filter_map(|kind| name(Some(kind))).collect();
        assert_eq!(names.len(), 11);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 11);
        assert_eq!(name(Some(1)), Some("mutable-firmware"));
        assert_eq!(name(Some(11)), None);
        assert_eq!(name(None), None);
    }

    each_version!(all_at_once);
    fn all_at_once(version: Version) {
        let mut bench = bench(version);
        for (again, exchanges) in [(1, 7), (2, 6)] {
            assert_eq!(status(&mut bench), SIGNED);
            assert_eq!(bench.report.stats.exchanges, exchanges);
            assert_eq!(asked(&bench), vec![0xff; again]);
            is_recorded(&bench);
        }
    }

    each_version!(with_negotiated_state_kept);
    fn with_negotiated_state_kept(version: Version) {
        let mut bench = bench_with(version, SIG | 1);
        for exchanges in [7, 2, 2] {
            assert_eq!(status(&mut bench), SIGNED);
            assert_eq!(bench.report.stats.exchanges, exchanges);
        }
    }

    each_version!(unsigned);
    fn unsigned(version: Version) {
        let mut bench = bench_with(version, NO_SIG);
        assert_eq!(status(&mut bench), UNSIGNED);
        is_recorded(&bench);
        let [_, signature] = &bench.platform.evidence.signatures;
        assert_eq!(*signature, None);
    }

    each_version!(not_asked_for);
    fn not_asked_for(version: Version) {
        let mut bench = bench(version);
        bench.config.measurements = false;
        assert_eq!(status(&mut bench), MeasurementStatus::NotTaken);
        assert_eq!(bench.report.stats.exchanges, 6);
    }

    each_version!(none);
    fn none(version: Version) {
        let mut without = bench_with(version, 0);
        assert_eq!(status(&mut without), MeasurementStatus::Unsupported);
        // Of no specification.
        let mut bench = bench(version).lie(crate::testing::NEGOTIATE_ALGORITHMS, |response| {
            response[6] = 0;
            response[8..12].fill(0);
        });
        assert_eq!(status(&mut bench), MeasurementStatus::Unsupported);
        assert_eq!(asked(&bench), []);
    }

    each_version!(post_quantum: V1_4);
    fn post_quantum(version: Version) {
        for algorithm in PqcAsym::ALL {
            let mut bench = bench(version);
            bench.responder.pqc_asym = Some(algorithm);
            bench.platform.base_asyms = BaseAsyms::NONE;
            bench.buffer_size = 8192;
            bench.max_message_size = 8192;
            assert_eq!(status(&mut bench), SIGNED);
        }
    }

    each_version!(m8_one_by_one);
    fn m8_one_by_one(version: Version) {
        for flags in [NO_SIG, SIG] {
            let mut bench = bench_with(version, flags);
            bench.responder.one_by_one = true;
            let signed = flags == SIG;
            assert_eq!(status(&mut bench), MeasurementStatus::Taken { signed });
            let mut expected = vec![0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
            if signed && version >= Version::V1_2 {
                // The errors in between made it forget.
                expected.extend([0, 1, 2]);
                bench.responder.measurements.rotate_right(1);
            }
            assert_eq!(asked(&bench), expected);
            is_recorded(&bench);
        }
    }

    each_version!(one_by_one_without_gaps);
    fn one_by_one_without_gaps(version: Version) {
        let mut bench = bench(version);
        bench.responder.one_by_one = true;
        bench.responder.measurements[2].0 = 3;
        assert_eq!(status(&mut bench), SIGNED);
        assert_eq!(asked(&bench), [0xff, 0, 1, 2, 3]);
        is_recorded(&bench);
    }

    each_version!(one_by_one_and_fewer_than_there_are);
    fn one_by_one_and_fewer_than_there_are(version: Version) {
        // With errors before what is signed and without, told once and every time.
        for (indices, fewer) in [([2, 5, 9], 1), ([1, 5, 9], 2), ([1, 2, 3], 2)] {
            for times in [1, usize::MAX] {
                let left = core::cell::Cell::new(times);
                let mut bench = bench(version).tamper(GET_MEASUREMENTS, move |response| {
                    if response.get(4) == Some(&0) && left.get() > 0 {
                        left.set(left.get() - 1);
                        response[2] = fewer;
                    }
                });
                bench.responder.one_by_one = true;
                for (block, index) in bench.responder.measurements.iter_mut().zip(indices) {
                    block.0 = index;
                }
                assert_ne!(status(&mut bench), SIGNED, "{indices:?}");
            }
        }
    }

    each_version!(larger_than_the_buffer);
    fn larger_than_the_buffer(version: Version) {
        let mut bench = bench(version);
        bench.max_message_size = 1024;
        bench.responder.measurements = (1..=9).map(|n| (n, 0x84, vec![n; 500])).collect();
        assert_eq!(status(&mut bench), SIGNED);
        assert_eq!(asked(&bench), [0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        is_recorded(&bench);
    }

    each_version!(in_chunks: V1_2 V1_3 V1_4);
    fn in_chunks(version: Version) {
        let mut bench = bench_with(version, SIG | (1 << 17));
        bench.responder.transmit_size = 64;
        assert_eq!(status(&mut bench), SIGNED);
        is_recorded(&bench);
    }

    each_version!(evidence);
    fn evidence(version: Version) {
        for flags in [SIG, SIG | 1] {
            let mut bench = bench_with(version, flags);
            for _ in 0..2 {
                bench.platform.evidence = Default::default();
                bench.succeeds(0);
                let evidence = &bench.platform.evidence;
                let requests = &bench.responder.requests;
                for (nth, (code, nonce)) in [(CHALLENGE, 0x99), (GET_MEASUREMENTS, 0x77)]
                    .into_iter()
                    .enumerate()
                {
                    let transcript = &evidence.transcripts[nth];
                    let (signature, at, verified) = evidence.signatures[nth].as_ref().unwrap();
                    assert!(*verified);
                    assert_eq!(signature.len(), 96);
                    assert_eq!(transcript[*at..at + 32], [nonce; 32]);
                    let request = requests.iter().rfind(|request| request[1] == code).unwrap();
                    let at = transcript
                        .windows(request.len())
                        .position(|bytes| bytes == request)
                        .unwrap();
                    // Behind VCA, or all that there is.
                    let begins_with_vca = transcript.starts_with(&[0x10, GET_VERSION, 0, 0]);
                    assert_eq!(begins_with_vca, nth == 0 || version >= Version::V1_2);
                    assert_eq!(at == 0, !begins_with_vca);
                }
            }
        }
    }

    #[test]
    fn evidence_of_a_failure() {
        for version in VERSIONS {
            let mut bench = bench(version).tamper(CHALLENGE, |response| {
                *response.last_mut().unwrap() ^= 1;
            });
            assert_eq!(bench.attest().err().unwrap().name(), "bad-signature");
            let [challenge, measurements] = &bench.platform.evidence.signatures;
            assert!(!challenge.as_ref().unwrap().2);
            assert_eq!(*measurements, None);
        }
    }

    each_version!(m1_signed_as_challenge);
    fn m1_signed_as_challenge(version: Version) {
        let mut bench = bench(version);
        bench.responder.measurement_context = "responder-challenge_auth signing".to_string();
        if version >= Version::V1_2 {
            refused(bench, "bad-signature: GET_MEASUREMENTS");
        } else {
            // There is no context, only another transcript.
            assert_eq!(status(&mut bench), SIGNED);
        }
    }

    each_version!(s1_replay);
    fn s1_replay(version: Version) {
        let mut bench = bench(version);
        let mut last: Option<Vec<u8>> = None;
        bench.tamper = Some(std::boxed::Box::new(move |code, response| {
            if code == GET_MEASUREMENTS {
                *response = last.get_or_insert(response.clone()).clone();
            }
        }));
        assert_eq!(status(&mut bench), SIGNED);
        let reason = match version {
            Version::V1_0 | Version::V1_1 | Version::V1_2 => "bad-signature",
            _ => "requester-context-mismatch",
        };
        refused(bench, &format!("{reason}: GET_MEASUREMENTS"));
    }

    each_version!(every_bit_counts);
    fn every_bit_counts(version: Version) {
        let size = {
            let mut bench = bench(version);
            bench.succeeds(0);
            bench.platform.evidence.measurements.len() + 8 + 32 + 2 + 96
        };
        for (at, bit) in (0..size).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut bench =
                bench(version).tamper(GET_MEASUREMENTS, move |response| response[at] ^= 1 << bit);
            // ERROR codes and the like end it in other ways, none with a verdict on measurements.
            assert_ne!(status(&mut bench), SIGNED, "byte {at}, bit {bit}");
        }
    }

    #[test]
    fn every_length() {
        for version in VERSIONS {
            for cut in 1..=200 {
                let mut bench = bench(version).tamper(GET_MEASUREMENTS, move |response| {
                    response.truncate(response.len().saturating_sub(cut));
                });
                assert!(
                    matches!(status(&mut bench), MeasurementStatus::Failed(_)),
                    "{cut}"
                );
            }
            let bench = bench(version).tamper(GET_MEASUREMENTS, |response| response.extend([0; 4]));
            refused(bench, "trailing-bytes: GET_MEASUREMENTS");
        }
    }

    /// The responder lies, and signs that.
    fn lies(version: Version, lie: impl Fn(&mut Vec<u8>) + 'static) -> Bench {
        bench(version).lie(GET_MEASUREMENTS, lie)
    }

    each_version!(m2_number_of_blocks);
    fn m2_number_of_blocks(version: Version) {
        for count in [0, 2, 4, 0xff] {
            let bench = lies(version, move |response| response[4] = count);
            refused(bench, "measurement-count: GET_MEASUREMENTS");
        }
        // One by one.
        let mut bench = lies(version, |response| response[4] ^= 1);
        bench.responder.one_by_one = true;
        refused(bench, "measurement-count: GET_MEASUREMENTS");
    }

    each_version!(m3_record_length);
    fn m3_record_length(version: Version) {
        let bench = lies(version, |response| response[7] = 1);
        refused(bench, "truncated-response: GET_MEASUREMENTS");
        let bench = lies(version, |response| response[5] -= 1);
        refused(bench, "measurement-block: GET_MEASUREMENTS");
        let bench = lies(version, |response| response[5] += 1);
        refused(bench, "measurement-block: GET_MEASUREMENTS");
    }

    each_version!(m6_block_sizes);
    fn m6_block_sizes(version: Version) {
        // MeasurementSize, DMTFSpecMeasurementValueSize.
        for at in [10, 11, 13, 14] {
            let bench = lies(version, move |response| response[at] ^= 1);
            refused(bench, "measurement-block: GET_MEASUREMENTS");
        }
    }

    each_version!(m5_specification);
    fn m5_specification(version: Version) {
        for specification in [0, 2, 3] {
            let bench = lies(version, move |response| response[9] = specification);
            refused(bench, "measurement-block: GET_MEASUREMENTS");
        }
    }

    each_version!(m4_indices);
    fn m4_indices(version: Version) {
        // Zero, the next one's, a later one's, the one that stands for all.
        for index in [0, 2, 7, 0xff] {
            let bench = lies(version, move |response| response[8] = index);
            refused(bench, "measurement-index: GET_MEASUREMENTS");
        }
        let mut bench = lies(version, |response| {
            if response[4] == 1 {
                response[8] ^= 0x40;
            }
        });
        bench.responder.one_by_one = true;
        refused(bench, "measurement-index: GET_MEASUREMENTS");
    }

    each_version!(m6_digest_of_another_size);
    fn m6_digest_of_another_size(version: Version) {
        let mut bench = bench(version);
        bench.responder.measurements[0].2.push(0);
        refused(bench, "measurement-block: GET_MEASUREMENTS");
    }

    each_version!(m9_slot: V1_1 V1_2 V1_3 V1_4);
    fn m9_slot(version: Version) {
        let bench = lies(version, |response| response[3] |= 1);
        refused(bench, "wrong-slot: GET_MEASUREMENTS");
    }

    each_version!(s13_opaque_data);
    fn s13_opaque_data(version: Version) {
        let mut honest = bench(version);
        honest.responder.opaque_data = vec![5; 1024];
        assert_eq!(status(&mut honest), SIGNED);
        let at = 8 + 3 * 7 + 48 + 12 + 48 + 32;
        let bench = lies(version, move |response| response[at + 1] = 5);
        refused(bench, "opaque-data-too-large: GET_MEASUREMENTS");
        let bench = lies(version, move |response| response[at + 1] = 4);
        refused(bench, "truncated-response: GET_MEASUREMENTS");
    }

    each_version!(m7_content_changed);
    fn m7_content_changed(version: Version) {
        let mut bench = lies(version, |response| response[3] |= 0x10);
        if version >= Version::V1_2 {
            refused(bench, "measurements-changed: GET_MEASUREMENTS");
        } else {
            assert_eq!(status(&mut bench), SIGNED);
        }
        let mut bench = lies(version, |response| response[3] |= 0x20);
        assert_eq!(status(&mut bench), SIGNED);
    }

    each_version!(m2_total);
    fn m2_total(version: Version) {
        for total in [0, 4, 0xff] {
            let mut bench = lies(version, move |response| {
                if response[4] == 0 {
                    response[2] = total;
                }
            });
            bench.responder.one_by_one = true;
            refused(bench, "measurement-count: GET_MEASUREMENTS");
        }
    }

    each_version!(refusals);
    fn refusals(version: Version) {
        let answer = |code| {
            bench(version).instead(GET_MEASUREMENTS, move |responder| {
                Instead::Response(responder.error(code, &[]))
            })
        };
        refused(
            answer(7),
            "error-response: GET_MEASUREMENTS: UnsupportedRequest",
        );
        refused(answer(BUSY), "busy: GET_MEASUREMENTS");
        refused(
            answer(1),
            "error-response: GET_MEASUREMENTS: InvalidRequest",
        );
    }

    each_version!(l1_device_goes_away);
    fn l1_device_goes_away(version: Version) {
        for (error, reason) in [
            (TransportError::Gone, "device-gone: GET_MEASUREMENTS"),
            (TransportError::Interrupted, "interrupted: GET_MEASUREMENTS"),
        ] {
            let mut bench =
                bench(version).instead(GET_MEASUREMENTS, move |_| Instead::Failure(error));
            assert_eq!(bench.attest().err().unwrap().to_string(), reason);
        }
        let silent = bench(version).instead(GET_MEASUREMENTS, |_| {
            Instead::Failure(TransportError::Timeout)
        });
        refused(silent, "timeout: GET_MEASUREMENTS");
    }

    #[test]
    fn hash_sizes() {
        let sizes = [0, 1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80].map(hash_size);
        let (s32, s48, s64) = (Some(32), Some(48), Some(64));
        assert_eq!(sizes, [None, None, s32, s48, s64, s32, s48, s64, None]);
    }
}
