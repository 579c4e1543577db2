// SPDX-License-Identifier: GPL-2.0

//! GET_CAPABILITIES and CAPABILITIES.

use zerocopy::{
    little_endian::{U16, U32},
    IntoBytes as _,
};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{
    algorithms::SupportedAlgorithms,
    error::Reason,
    message::{Header, Reader, Request, RequestCode, ResponseCode, Timing},
    version::Version,
};

/// Least DataTransferSize in bytes ("MinDataTransferSize").
pub(crate) const MIN_DATA_TRANSFER_SIZE: u32 = 42;

/// Largest exponent of a time in microseconds: 2^23 µs are 8.4 s, the most that CMA allows.
pub(crate) const MAX_TIME_EXPONENT: u8 = 23;

/// GET_CAPABILITIES, Param1: SupportedAlgorithms is asked for, from version 1.3. It makes the response a large one.
pub(crate) const SUPPORTED_ALGORITHMS: u8 = 1 << 0;

/// CTExponent of this requester. It signs nothing, so nobody will wait for it.
const CT_EXPONENT: u8 = 0;

// Flags of a responder (DSP0274, "Responder flag fields definitions"). Those of two bits have two names:
// a mask, and the values that matter.
const CACHE_CAP: u32 = 1 << 0;
const CERT_CAP: u32 = 1 << 1;
const CHAL_CAP: u32 = 1 << 2;
const MEAS_CAP: u32 = 3 << 3;
const MEAS_CAP_SIG: u32 = 2 << 3;
const MEAS_FRESH_CAP: u32 = 1 << 5;
const ENCRYPT_CAP: u32 = 1 << 6;
const MAC_CAP: u32 = 1 << 7;
const MUT_AUTH_CAP: u32 = 1 << 8;
const KEY_EX_CAP: u32 = 1 << 9;
const PSK_CAP: u32 = 3 << 10;
const ENCAP_CAP: u32 = 1 << 12;
const HBEAT_CAP: u32 = 1 << 13;
const KEY_UPD_CAP: u32 = 1 << 14;
const HANDSHAKE_IN_THE_CLEAR_CAP: u32 = 1 << 15;
const PUB_KEY_ID_CAP: u32 = 1 << 16;
const CHUNK_CAP: u32 = 1 << 17;
const ALIAS_CERT_CAP: u32 = 1 << 18;
const SET_CERT_CAP: u32 = 1 << 19;
const CSR_CAP: u32 = 1 << 20;
const CERT_INSTALL_RESET_CAP: u32 = 1 << 21;
const EP_INFO_CAP: u32 = 3 << 22;
const EP_INFO_CAP_SIG: u32 = 2 << 22;
const EVENT_CAP: u32 = 1 << 25;
const MULTI_KEY_CAP: u32 = 3 << 26;
const MULTI_KEY_CAP_ONLY: u32 = 1 << 26;
const GET_KEY_PAIR_INFO_CAP: u32 = 1 << 28;
const SET_KEY_PAIR_INFO_CAP: u32 = 1 << 29;
const SET_KEY_PAIR_RESET_CAP: u32 = 1 << 30;
const LARGE_RESP_CAP: u32 = 1 << 31;

/// Bits of the extended flags that version 1.4 defines: SLOT_MGMT_CAP.
const EXTENDED_FLAGS: u16 = 1 << 0;

/// Bits of the flags that `version` defines; the others are reserved and say nothing.
const fn defined(version: Version) -> u32 {
    match version {
        Version::V1_0 => 0x0000_003f,
        Version::V1_1 => 0x0001_ffff,
        Version::V1_2 => 0x003f_ffff,
        Version::V1_3 => 0x3fff_ffff,
        Version::V1_4 => 0xffff_ffff,
    }
}

/// What a responder can do, as it says.
///
/// # Invariants
///
/// `flags` are coherent, `ct_exponent` is at most 23, and the sizes, if there, at least 42.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    flags: u32,
    extended_flags: u16,
    ct_exponent: u8,
    data_transfer_size: Option<u32>,
    max_spdm_msg_size: Option<u32>,
    supported_algorithms: Option<SupportedAlgorithms>,
}

impl Capabilities {
    /// The Flags field, without reserved bits.
    pub const fn flags(&self) -> u32 {
        self.flags
    }

    /// The extended flags, without reserved bits; zero up to version 1.3.
    pub const fn extended_flags(&self) -> u16 {
        self.extended_flags
    }

    /// SupportedAlgorithms, if the responder tells: from version 1.3, and with CHUNK_CAP.
    pub const fn supported_algorithms(&self) -> Option<SupportedAlgorithms> {
        self.supported_algorithms
    }

    /// CTExponent: cryptography takes the responder up to 2^CTExponent microseconds. At most 23.
    pub const fn ct_exponent(&self) -> u8 {
        self.ct_exponent
    }

    /// Largest request in bytes that the responder can receive at once; not known before version 1.2.
    pub const fn data_transfer_size(&self) -> Option<u32> {
        self.data_transfer_size
    }

    /// Largest request in bytes that the responder can receive in chunks (MaxSPDMmsgSize), if it can (CHUNK_CAP).
    pub(crate) const fn max_chunked_size(&self) -> Option<u32> {
        if self.flags & CHUNK_CAP != 0 {
            self.max_spdm_msg_size
        } else {
            None
        }
    }

    /// Whether the responder keeps what was negotiated, also when it is reset (CACHE_CAP).
    pub(crate) const fn keeps_negotiated_state(&self) -> bool {
        self.flags & CACHE_CAP != 0
    }

    /// Whether the responder can do what an attestation needs.
    ///
    /// # Errors
    ///
    /// The capability that is missing, or that demands too much.
    pub(crate) const fn allow_attestation(&self) -> Result<(), Reason> {
        if self.flags & (CERT_CAP | PUB_KEY_ID_CAP) == 0 {
            return Err(Reason::NoCertificateCapability);
        }
        if self.flags & CHAL_CAP == 0 {
            return Err(Reason::NoChallengeCapability);
        }
        Ok(())
    }

    /// Whether the responder has no certificates but a public key that was provisioned here (PUB_KEY_ID_CAP).
    pub(crate) const fn raw_key(&self) -> bool {
        self.flags & PUB_KEY_ID_CAP != 0
    }

    /// Whether the responder has measurements, and if so, whether it signs them (MEAS_CAP).
    pub(crate) const fn measurements(&self) -> Option<bool> {
        match self.flags & MEAS_CAP {
            0 => None,
            cap => Some(cap == MEAS_CAP_SIG),
        }
    }

    /// Whether leaf certificates are of the alias model (ALIAS_CERT_CAP) where a slot does not say.
    pub(crate) const fn alias_certificates(&self) -> bool {
        self.flags & ALIAS_CERT_CAP != 0
    }

    /// Whether the responder refuses a connection in which it may use only one key (MULTI_KEY_CAP).
    pub(crate) const fn multi_key_only(&self) -> bool {
        self.flags & MULTI_KEY_CAP == MULTI_KEY_CAP_ONLY
    }

    /// Whether portions of certificate chains may have 32-bit lengths (LARGE_RESP_CAP).
    pub(crate) const fn large_chains(&self) -> bool {
        self.flags & LARGE_RESP_CAP != 0
    }
}

/// Whether no flag contradicts another (DSP0274, "Responder flag fields definitions").
///
/// `flags` has no bit that `version` reserves, so a rule about flags of a later version holds by itself.
fn coherent(flags: u32, version: Version) -> bool {
    let any = |mask: u32| flags & mask != 0;
    let both = |mask: u32| flags & mask == mask;

    // Values that two-bit fields reserve.
    if both(MEAS_CAP) || both(PSK_CAP) || both(EP_INFO_CAP) || both(MULTI_KEY_CAP) {
        return false;
    }
    if any(MEAS_FRESH_CAP) && !any(MEAS_CAP) {
        return false;
    }
    if version == Version::V1_0 {
        // A signature of either kind needs the certificates, and certificates serve a signature.
        return if any(MEAS_CAP_SIG) {
            any(CERT_CAP)
        } else {
            any(CERT_CAP) == any(CHAL_CAP)
        };
    }

    // Sessions.
    if any(KEY_EX_CAP | PSK_CAP) {
        if !any(ENCRYPT_CAP | MAC_CAP) {
            return false;
        }
    } else if any(ENCRYPT_CAP | MAC_CAP | HBEAT_CAP | KEY_UPD_CAP | EVENT_CAP) {
        return false;
    }
    if any(HANDSHAKE_IN_THE_CLEAR_CAP) && !any(KEY_EX_CAP) {
        return false;
    }

    // Keys, and what is done with them.
    if both(CERT_CAP | PUB_KEY_ID_CAP) {
        return false;
    }
    let key = any(CERT_CAP | PUB_KEY_ID_CAP);
    let use_of_key = any(CHAL_CAP | KEY_EX_CAP | MEAS_CAP_SIG | EP_INFO_CAP_SIG);
    if key != use_of_key {
        return false;
    }
    if any(MUT_AUTH_CAP) && !(key && any(CHAL_CAP | KEY_EX_CAP)) {
        return false;
    }
    // Later versions took this rule back.
    if version == Version::V1_1 && any(MUT_AUTH_CAP) && !any(ENCAP_CAP) {
        return false;
    }

    // Certificates and their provisioning.
    if any(ALIAS_CERT_CAP | SET_CERT_CAP) && !any(CERT_CAP) {
        return false;
    }
    // CERT_INSTALL_RESET_CAP goes with CSR_CAP too, but that one never comes alone.
    if any(CSR_CAP | CERT_INSTALL_RESET_CAP) && !any(SET_CERT_CAP) {
        return false;
    }
    if any(MULTI_KEY_CAP) && !both(GET_KEY_PAIR_INFO_CAP | CERT_CAP) {
        return false;
    }
    if any(SET_KEY_PAIR_RESET_CAP) && !any(SET_KEY_PAIR_INFO_CAP) {
        return false;
    }
    !(any(PUB_KEY_ID_CAP) && any(GET_KEY_PAIR_INFO_CAP | SET_KEY_PAIR_INFO_CAP))
}

/// GET_CAPABILITIES.
pub(crate) struct GetCapabilities {
    version: Version,
    message: GetCapabilitiesMessage,
}

#[derive(Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
struct GetCapabilitiesMessage {
    header: Header,
    // From 1.1.
    reserved: u8,
    ct_exponent: u8,
    reserved2: U16,
    flags: U32,
    // From 1.2.
    data_transfer_size: U32,
    max_spdm_msg_size: U32,
}

impl GetCapabilities {
    /// `data_transfer_size`, `max_spdm_msg_size`: size in bytes of the largest response that can be received at
    /// once, and in chunks.
    pub(crate) const fn new(
        version: Version,
        data_transfer_size: u32,
        max_spdm_msg_size: u32,
    ) -> Self {
        Self {
            version,
            message: GetCapabilitiesMessage {
                header: Header::new(version, RequestCode::GetCapabilities, param1(version), 0),
                reserved: 0,
                ct_exponent: CT_EXPONENT,
                reserved2: U16::ZERO,
                flags: U32::new(requester_flags(version)),
                data_transfer_size: U32::new(data_transfer_size),
                max_spdm_msg_size: U32::new(max_spdm_msg_size),
            },
        }
    }
}

/// Param1 of GET_CAPABILITIES.
const fn param1(version: Version) -> u8 {
    match version {
        Version::V1_0 | Version::V1_1 | Version::V1_2 => 0,
        Version::V1_3 | Version::V1_4 => SUPPORTED_ALGORITHMS,
    }
}

/// Flags of this requester. The others tell what it can do in the responder's role, and in sessions: nothing.
const fn requester_flags(version: Version) -> u32 {
    CHUNK_CAP & defined(version)
}

/// CAPABILITIES, after the header.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct CapabilitiesBody {
    _reserved: u8,
    ct_exponent: u8,
    // From 1.4.
    extended_flags: U16,
    flags: U32,
}

/// What CAPABILITIES ends with from version 1.2.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct TransferSizes {
    data_transfer_size: U32,
    max_spdm_msg_size: U32,
}

impl TransferSizes {
    fn check(&self, flags: u32) -> Result<(u32, u32), Reason> {
        let (data, message) = (self.data_transfer_size.get(), self.max_spdm_msg_size.get());
        let fits = if flags & CHUNK_CAP != 0 {
            data <= message
        } else {
            data == message
        };
        if fits && data >= MIN_DATA_TRANSFER_SIZE {
            Ok((data, message))
        } else {
            Err(Reason::InvalidDataTransferSize)
        }
    }
}

/// SupportedAlgorithms of CAPABILITIES from version 1.3: it looks like NEGOTIATE_ALGORITHMS without its first two
/// bytes.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct SupportedAlgorithmsBlock {
    structure_count: u8,
    _reserved: u8,
    length: U16,
    _measurement_specification: u8,
    _other_params_support: u8,
    base_asym_algo: U32,
    base_hash_algo: U32,
    pqc_asym_algo: U32,
    _reserved2: [u8; 8],
    ext_asym_count: u8,
    ext_hash_count: u8,
    _reserved3: u8,
    _mel_specification: u8,
}

impl SupportedAlgorithmsBlock {
    /// Size in bytes of the block without extended algorithms and algorithm structures.
    const SIZE: u16 = 30;
    /// Size in bytes of each of those.
    const ENTRY_SIZE: u16 = 4;
    /// Most bytes that it may have: as many as NEGOTIATE_ALGORITHMS.
    const MAX_LENGTH: u16 = 128;

    /// Reads the block, and what follows it.
    fn read(version: Version, body: &mut Reader<'_>) -> Result<SupportedAlgorithms, Reason> {
        let block = body.read::<Self>()?;
        let entries = u16::from(block.structure_count)
            .saturating_add(block.ext_asym_count.into())
            .saturating_add(block.ext_hash_count.into())
            .saturating_mul(Self::ENTRY_SIZE);
        let length = Self::SIZE.saturating_add(entries);
        if block.length.get() != length || length > Self::MAX_LENGTH {
            return Err(Reason::SupportedAlgorithmsLength);
        }
        // Extended algorithms, and structures that are for sessions and for a requester's own keys.
        body.take(entries.into())?;
        Ok(SupportedAlgorithms {
            base_hash: block.base_hash_algo.get(),
            base_asym: block.base_asym_algo.get(),
            pqc_asym: match version {
                Version::V1_4 => block.pqc_asym_algo.get(),
                _ => 0,
            },
        })
    }
}

impl Request for GetCapabilities {
    const CODE: RequestCode = RequestCode::GetCapabilities;
    const RESPONSE: ResponseCode = ResponseCode::Capabilities;
    const TIMING: Timing = Timing::T1;
    type Response<'a> = Capabilities;

    fn as_bytes(&self) -> &[u8] {
        let message = self.message.as_bytes();
        let len = match self.version {
            Version::V1_0 => 4,
            Version::V1_1 => 12,
            Version::V1_2 | Version::V1_3 | Version::V1_4 => return message,
        };
        message.get(..len).unwrap_or_default()
    }

    fn parse<'a>(&self, header: &Header, body: &mut Reader<'a>) -> Result<Capabilities, Reason> {
        let fixed = body.read::<CapabilitiesBody>()?;
        let sizes = match self.version {
            Version::V1_0 | Version::V1_1 => None,
            Version::V1_2 | Version::V1_3 | Version::V1_4 => Some(body.read::<TransferSizes>()?),
        };

        let flags = fixed.flags.get() & defined(self.version);
        if !coherent(flags, self.version) {
            return Err(Reason::InvalidCapabilities);
        }
        if fixed.ct_exponent > MAX_TIME_EXPONENT {
            return Err(Reason::InvalidCtExponent);
        }
        let sizes = sizes.map(|sizes| sizes.check(flags)).transpose()?;
        // Where it was not asked for, the bit is reserved and the block is bytes too many.
        let supported_algorithms =
            if self.message.header.param1 & header.param1 & SUPPORTED_ALGORITHMS != 0 {
                Some(SupportedAlgorithmsBlock::read(self.version, body)?)
            } else {
                None
            };
        // INVARIANT: All of it was checked above.
        Ok(Capabilities {
            flags,
            extended_flags: match self.version {
                Version::V1_4 => fixed.extended_flags.get() & EXTENDED_FLAGS,
                _ => 0,
            },
            ct_exponent: fixed.ct_exponent,
            data_transfer_size: sizes.map(|(data_transfer_size, _)| data_transfer_size),
            max_spdm_msg_size: sizes.map(|(_, max_spdm_msg_size)| max_spdm_msg_size),
            supported_algorithms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{each_version, Bench, GET_CAPABILITIES, VERSIONS};

    const BASIC: u32 = CERT_CAP | CHAL_CAP;
    const MEAS_CAP_NO_SIG: u32 = 1 << 3;
    const PSK_CAP_RESPONDER: u32 = 1 << 10;
    const MEL_CAP: u32 = 1 << 24;
    const MULTI_KEY_CAP_NEG: u32 = 2 << 26;

    fn with_flags(version: Version, flags: u32) -> Bench {
        let mut bench = Bench::new(version);
        bench.responder.flags = flags;
        bench
    }

    fn with_sizes(data_transfer_size: u32, max_spdm_msg_size: u32) -> Bench {
        let mut bench = Bench::new(Version::V1_2);
        bench.responder.data_transfer_size = data_transfer_size;
        bench.responder.max_spdm_msg_size = max_spdm_msg_size;
        bench
    }

    #[test]
    fn usual_flags() {
        for (version, flags) in [
            (Version::V1_0, BASIC | MEAS_CAP_SIG | MEAS_FRESH_CAP),
            (Version::V1_0, BASIC | MEAS_CAP_NO_SIG),
            (Version::V1_1, BASIC | KEY_EX_CAP | MAC_CAP | ENCRYPT_CAP),
            (Version::V1_1, BASIC | MUT_AUTH_CAP | ENCAP_CAP),
            (Version::V1_2, BASIC | MUT_AUTH_CAP | CHUNK_CAP),
            (
                Version::V1_2,
                BASIC | ALIAS_CERT_CAP | SET_CERT_CAP | CSR_CAP,
            ),
            (Version::V1_2, BASIC | SET_CERT_CAP | CERT_INSTALL_RESET_CAP),
            (
                Version::V1_2,
                BASIC | PSK_CAP_RESPONDER | MAC_CAP | HBEAT_CAP,
            ),
            (Version::V1_3, BASIC | EP_INFO_CAP_SIG | MEL_CAP),
            (
                Version::V1_3,
                BASIC | MULTI_KEY_CAP_NEG | GET_KEY_PAIR_INFO_CAP,
            ),
            (
                Version::V1_4,
                BASIC | SET_KEY_PAIR_INFO_CAP | SET_KEY_PAIR_RESET_CAP,
            ),
            (Version::V1_4, BASIC | LARGE_RESP_CAP | CHUNK_CAP),
        ] {
            let mut bench = with_flags(version, flags);
            bench.succeeds(0);
            let capabilities = bench.report.negotiated.capabilities.unwrap();
            assert_eq!(capabilities.flags(), flags);
        }
    }

    #[test]
    fn reserved_flags_are_ignored() {
        for (version, defined) in VERSIONS.into_iter().zip([6, 17, 22, 30]) {
            let reserved = u32::MAX << defined;
            let mut bench = with_flags(version, BASIC | reserved);
            bench.succeeds(0);
            let capabilities = bench.report.negotiated.capabilities.unwrap();
            assert_eq!(capabilities.flags(), BASIC);
        }
    }

    #[test]
    fn n4_flags_illegal_or_incoherent() {
        use Version::{V1_0, V1_1, V1_2, V1_3, V1_4};
        for (versions, flags) in [
            // Reserved values.
            (&[V1_0, V1_1, V1_2, V1_3, V1_4][..], BASIC | MEAS_CAP),
            (&[V1_1, V1_2, V1_3, V1_4], BASIC | PSK_CAP | MAC_CAP),
            (&[V1_3, V1_4], BASIC | EP_INFO_CAP),
            (&[V1_3, V1_4], BASIC | MULTI_KEY_CAP | GET_KEY_PAIR_INFO_CAP),
            // One without the other.
            (&[V1_0, V1_1, V1_2, V1_3, V1_4], BASIC | MEAS_FRESH_CAP),
            (&[V1_0, V1_1, V1_2, V1_3, V1_4], CHAL_CAP),
            (&[V1_0, V1_1, V1_2, V1_3, V1_4], CERT_CAP),
            (&[V1_0, V1_1, V1_2, V1_3, V1_4], MEAS_CAP_SIG),
            (&[V1_1, V1_2, V1_3, V1_4], BASIC | KEY_EX_CAP),
            (&[V1_1, V1_2, V1_3, V1_4], BASIC | PSK_CAP_RESPONDER),
            (&[V1_1, V1_2, V1_3, V1_4], BASIC | MAC_CAP),
            (&[V1_1, V1_2, V1_3, V1_4], BASIC | ENCRYPT_CAP),
            (&[V1_1, V1_2, V1_3, V1_4], BASIC | HBEAT_CAP),
            (&[V1_1, V1_2, V1_3, V1_4], BASIC | KEY_UPD_CAP),
            (
                &[V1_1, V1_2, V1_3, V1_4],
                BASIC | HANDSHAKE_IN_THE_CLEAR_CAP,
            ),
            (
                &[V1_1, V1_2, V1_3, V1_4],
                BASIC | PSK_CAP_RESPONDER | MAC_CAP | HANDSHAKE_IN_THE_CLEAR_CAP,
            ),
            (&[V1_1, V1_2, V1_3, V1_4], BASIC | PUB_KEY_ID_CAP),
            (&[V1_1, V1_2, V1_3, V1_4], PUB_KEY_ID_CAP),
            (&[V1_1], BASIC | MUT_AUTH_CAP),
            (
                &[V1_1, V1_2, V1_3, V1_4],
                CERT_CAP | MEAS_CAP_SIG | MUT_AUTH_CAP | ENCAP_CAP,
            ),
            (&[V1_2, V1_3, V1_4], SET_CERT_CAP),
            (&[V1_2, V1_3, V1_4], ALIAS_CERT_CAP),
            (&[V1_2, V1_3, V1_4], BASIC | CSR_CAP),
            (&[V1_2, V1_3, V1_4], BASIC | CERT_INSTALL_RESET_CAP),
            (&[V1_3, V1_4], BASIC | EVENT_CAP),
            (&[V1_3, V1_4], BASIC | MULTI_KEY_CAP_ONLY),
            (&[V1_3, V1_4], MULTI_KEY_CAP_NEG | GET_KEY_PAIR_INFO_CAP),
            (
                &[V1_3, V1_4],
                CHAL_CAP | PUB_KEY_ID_CAP | GET_KEY_PAIR_INFO_CAP,
            ),
            (
                &[V1_3, V1_4],
                CHAL_CAP | PUB_KEY_ID_CAP | SET_KEY_PAIR_INFO_CAP,
            ),
            (&[V1_3, V1_4], EP_INFO_CAP_SIG),
            (&[V1_4], BASIC | SET_KEY_PAIR_RESET_CAP),
        ] {
            for version in versions {
                with_flags(*version, flags).fails("invalid-capabilities: GET_CAPABILITIES");
            }
        }
    }

    each_version!(extended_flags);
    fn extended_flags(version: Version) {
        let mut bench = Bench::new(version);
        bench.responder.extended_flags = 0xffff;
        bench.succeeds(0);
        let capabilities = bench.report.negotiated.capabilities.unwrap();
        let known = u16::from(version == Version::V1_4);
        assert_eq!(capabilities.extended_flags(), known);
    }

    each_version!(missing_capabilities: V1_1 V1_2 V1_3 V1_4);
    fn missing_capabilities(version: Version) {
        with_flags(version, 0).fails("no-certificate-capability: GET_CAPABILITIES");
        // What it has certificates for instead.
        for flags in [
            MEAS_CAP_SIG,
            KEY_EX_CAP | MAC_CAP,
            KEY_EX_CAP | MAC_CAP | MUT_AUTH_CAP | ENCAP_CAP,
        ] {
            let mut bench = with_flags(version, CERT_CAP | flags);
            bench.fails("no-challenge-capability: GET_CAPABILITIES");
            // A person can still see what it can do.
            assert!(bench.report.negotiated.capabilities.is_some());
        }
    }

    #[test]
    fn n5_data_transfer_size_below_42() {
        with_sizes(41, 41).fails("invalid-data-transfer-size: GET_CAPABILITIES");
        with_sizes(0, 0).fails("invalid-data-transfer-size: GET_CAPABILITIES");
        with_sizes(42, 42).succeeds(0);
    }

    #[test]
    fn n5_data_transfer_size_above_max() {
        for flags in [BASIC, BASIC | CHUNK_CAP] {
            let mut bench = with_sizes(4097, 4096);
            bench.responder.flags = flags;
            bench.fails("invalid-data-transfer-size: GET_CAPABILITIES");
        }
    }

    #[test]
    fn n5_data_transfer_size_not_max_without_chunks() {
        let mut bench = with_sizes(4095, 4096);
        bench.fails("invalid-data-transfer-size: GET_CAPABILITIES");
        let mut bench = with_sizes(4095, 4096);
        bench.responder.flags |= CHUNK_CAP;
        bench.succeeds(0);
        let capabilities = bench.report.negotiated.capabilities.unwrap();
        assert_eq!(capabilities.data_transfer_size(), Some(4095));
    }

    #[test]
    fn requests_larger_than_data_transfer_size_are_not_sent() {
        let mut bench = Bench::new(Version::V1_3);
        bench.responder.data_transfer_size = 43;
        bench.responder.max_spdm_msg_size = 43;
        // With its RequesterContext, a CHALLENGE has 44 bytes.
        bench.fails("request-too-large: CHALLENGE");
        bench.responder.data_transfer_size = 44;
        bench.responder.max_spdm_msg_size = 44;
        bench.succeeds(0);
    }

    each_version!(n6_ct_exponent_24_to_255);
    fn n6_ct_exponent_24_to_255(version: Version) {
        for exponent in [24, 31, 32, 63, 64, 128, 255] {
            let mut bench = Bench::new(version);
            bench.responder.ct_exponent = exponent;
            bench.fails("invalid-ct-exponent: GET_CAPABILITIES");
        }
        let mut bench = Bench::new(version);
        bench.responder.ct_exponent = 23;
        bench.succeeds(0);
        let capabilities = bench.report.negotiated.capabilities.unwrap();
        assert_eq!(capabilities.ct_exponent(), 23);
    }

    #[test]
    fn n10_unsolicited_supported_algorithms() {
        for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
            Bench::new(version)
                .lie(GET_CAPABILITIES, |response| {
                    response[2] = 1;
                    response.extend([0; 32]);
                })
                .fails("trailing-bytes: GET_CAPABILITIES");
        }
        for version in TELLING {
            Bench::new(version)
                .lie(GET_CAPABILITIES, |response| response.extend([0; 32]))
                .fails("trailing-bytes: GET_CAPABILITIES");
        }
    }

    /// The versions that have SupportedAlgorithms.
    const TELLING: [Version; 2] = [Version::V1_3, Version::V1_4];

    const ALGORITHMS: [u32; 3] = [0x0000_0e90, 0x0000_0042, 0x0000_0009];

    /// A responder that tells what it supports.
    fn with_supported_algorithms(version: Version, rest: &[u8]) -> Bench {
        let mut bench = Bench::new(version);
        bench.responder.flags |= CHUNK_CAP;
        bench.responder.supported_algorithms = Some((ALGORITHMS, rest.to_vec()));
        bench
    }

    each_version!(supported_algorithms_are_reported: V1_3 V1_4);
    fn supported_algorithms_are_reported(version: Version) {
        // Without algorithm structures, with one, and with as many as fit.
        for rest in [&[][..], &[2, 0x20, 0x1b, 0], &[2; 96]] {
            let mut bench = with_supported_algorithms(version, rest);
            bench.succeeds(0);
            let capabilities = bench.report.negotiated.capabilities.unwrap();
            let expected = SupportedAlgorithms {
                base_asym: ALGORITHMS[0],
                base_hash: ALGORITHMS[1],
                pqc_asym: match version {
                    Version::V1_4 => ALGORITHMS[2],
                    _ => 0,
                },
            };
            assert_eq!(capabilities.supported_algorithms(), Some(expected));
        }
        let mut bench = Bench::new(version);
        bench.succeeds(0);
        let capabilities = bench.report.negotiated.capabilities.unwrap();
        assert_eq!(capabilities.supported_algorithms(), None);
    }

    each_version!(n10_supported_algorithms_length: V1_3 V1_4);
    fn n10_supported_algorithms_length(version: Version) {
        for length in [0, 1, 29, 31, 33, 35, 38, 255] {
            with_supported_algorithms(version, &[2, 0x20, 0x1b, 0])
                .lie(GET_CAPABILITIES, move |response| response[22] = length)
                .fails("supported-algorithms-length: GET_CAPABILITIES");
        }
        with_supported_algorithms(version, &[])
            .lie(GET_CAPABILITIES, |response| response[23] = 1)
            .fails("supported-algorithms-length: GET_CAPABILITIES");
    }

    each_version!(n10_supported_algorithms_counted_but_not_there: V1_3 V1_4);
    fn n10_supported_algorithms_counted_but_not_there(version: Version) {
        // Algorithm structures, ExtAsymCount, ExtHashCount.
        for at in [20, 46, 47] {
            with_supported_algorithms(version, &[])
                .lie(GET_CAPABILITIES, move |response| response[at] = 1)
                .fails("supported-algorithms-length: GET_CAPABILITIES");
            with_supported_algorithms(version, &[])
                .lie(GET_CAPABILITIES, move |response| {
                    response[at] = 1;
                    response[22] = 34;
                })
                .fails("truncated-response: GET_CAPABILITIES");
        }
    }

    each_version!(n10_supported_algorithms_longer_than_a_request: V1_3 V1_4);
    fn n10_supported_algorithms_longer_than_a_request(version: Version) {
        with_supported_algorithms(version, &[2; 100])
            .fails("supported-algorithms-length: GET_CAPABILITIES");
    }

    each_version!(n10_supported_algorithms_said_but_not_there: V1_3 V1_4);
    fn n10_supported_algorithms_said_but_not_there(version: Version) {
        Bench::new(version)
            .lie(GET_CAPABILITIES, |response| response[2] = 1)
            .fails("truncated-response: GET_CAPABILITIES");
    }

    each_version!(n11_supported_algorithms_changed_on_the_way: V1_3 V1_4);
    fn n11_supported_algorithms_changed_on_the_way(version: Version) {
        with_supported_algorithms(version, &[])
            .tamper(GET_CAPABILITIES, |response| response[26] ^= 0x40)
            .fails("bad-signature: CHALLENGE");
    }

    #[test]
    fn truncated() {
        for (version, len) in VERSIONS.into_iter().zip([12, 12, 20, 20, 20]) {
            for short in (4..len).step_by(4) {
                Bench::new(version)
                    .lie(GET_CAPABILITIES, move |response| response.truncate(short))
                    .fails("truncated-response: GET_CAPABILITIES");
            }
            Bench::new(version)
                .lie(GET_CAPABILITIES, |response| response.extend([0; 4]))
                .fails("trailing-bytes: GET_CAPABILITIES");
        }
    }
}
