// SPDX-License-Identifier: GPL-2.0

//! The misbehaviours a responder can be told to play, by name.
//!
//! A device with a fault is honest in everything else. In particular, what a hostile *device*
//! changes in a message is in its transcript as it was sent, so that its signature is right and
//! only the check of that one field can tell; what somebody *on the way* changes is not, so that
//! only the signature can tell.

use crate::message::{Exchange, VERSION_10, VERSION_11, VERSION_12, VERSION_13, VERSION_14};
use serde_json::{json, Value};

/// Whether an attestation may still succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The standard allows it: a good requester copes.
    None,
    /// The standard leaves it open: a requester may cope or refuse.
    Open,
    /// An attestation must not succeed while it is played.
    Fatal,
}

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Data objects.
    Doe,
    /// MCTP.
    Mctp,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct FaultInfo {
    /// The fault.
    pub fault: Fault,
    /// Its name on the command line and in the control channel.
    pub name: &'static str,
    /// Ids of the list of attacks that it plays; they select it as well.
    pub ids: &'static [&'static str],
    /// The exchanges it is played in. `at=` chooses among them.
    pub at: &'static [Exchange],
    /// The first version in which it can be played.
    pub since: u8,
    /// How often it is played unless `times=` says otherwise; `None`: always.
    pub times: Option<u32>,
    /// Whether an attestation may succeed.
    pub harm: Harm,
    /// What it is, for people.
    pub text: &'static str,
}

const ANY: &[Exchange] = &Exchange::ALL;
/// The exchanges in which ResponseNotReady is legal.
const LATER: &[Exchange] = &[
    Exchange::Capabilities,
    Exchange::Algorithms,
    Exchange::Digests,
    Exchange::Certificate,
    Exchange::Challenge,
];
/// The exchanges whose response may come in chunks.
const LARGE: &[Exchange] = LATER;
const VERSION: &[Exchange] = &[Exchange::Version];
const CAPABILITIES: &[Exchange] = &[Exchange::Capabilities];
const ALGORITHMS: &[Exchange] = &[Exchange::Algorithms];
const DIGESTS: &[Exchange] = &[Exchange::Digests];
const CERTIFICATE: &[Exchange] = &[Exchange::Certificate];
const CHALLENGE: &[Exchange] = &[Exchange::Challenge];
const MEASUREMENTS: &[Exchange] = &[Exchange::Measurements];

const ONCE: Option<u32> = Some(1);
const ALWAYS: Option<u32> = None;

macro_rules! faults {
    ($($fault:ident $name:literal [$($id:literal),*] $at:ident $since:ident $times:ident $harm:ident
       $text:literal;)*) => {
        /// A misbehaviour.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Fault {
            $(#[doc = $text] $fault,)*
        }

        /// Every misbehaviour.
        pub const FAULTS: &[FaultInfo] = &[
            $(FaultInfo {
                fault: Fault::$fault,
                name: $name,
                ids: &[$($id),*],
                at: $at,
                since: $since,
                times: $times,
                harm: Harm::$harm,
                text: $text,
            },)*
        ];
    };
}

faults! {
    // In place of an answer.
    Busy "busy" [] ANY VERSION_10 ONCE None "ERROR Busy, then the answer";
    BusyForever "busy-forever" ["E1"] ANY VERSION_10 ALWAYS Fatal "ERROR Busy without end";
    NotReady "not-ready" [] LATER VERSION_10 ONCE None
        "ERROR ResponseNotReady, then the answer to RESPOND_IF_READY";
    NotReadyForever "not-ready-forever" ["E5"] LATER VERSION_10 ALWAYS Fatal
        "ERROR ResponseNotReady without end";
    NotReadyExponent "not-ready-exponent-255" ["E2"] LATER VERSION_10 ALWAYS Fatal
        "ResponseNotReady with RDTExponent 255";
    NotReadyMultiplier0 "not-ready-multiplier-0" ["E3"] LATER VERSION_10 ALWAYS Fatal
        "ResponseNotReady with RDTM 0";
    NotReadyMultiplier1 "not-ready-multiplier-1" ["E3"] LATER VERSION_10 ALWAYS Fatal
        "ResponseNotReady with RDTM 1";
    NotReadyCode "not-ready-code" ["E4"] LATER VERSION_10 ALWAYS Fatal
        "ResponseNotReady for another request code";
    NotReadyToken "not-ready-token" ["E4"] LATER VERSION_10 ALWAYS Fatal
        "ResponseNotReady without end, each time with another token";
    NotReadyVersion "not-ready-version" ["E6"] VERSION VERSION_10 ALWAYS Fatal
        "ResponseNotReady to GET_VERSION";
    Resynch "resynch" [] LATER VERSION_10 ONCE None "ERROR RequestResynch, then honest";
    ResynchForever "resynch-forever" ["E7"] LATER VERSION_10 ALWAYS Fatal
        "ERROR RequestResynch without end";
    Silence "silence" ["E8"] ANY VERSION_10 ALWAYS Fatal
        "no answer: the mailbox never has a data object ready";
    Hang "hang" ["E8"] ANY VERSION_10 ALWAYS Fatal
        "no answer on the socket at all until the client closes it (stops QEMU's vCPU)";
    Close "close" ["L1"] ANY VERSION_10 ONCE Fatal "the connection is closed instead of an answer";
    LateAnswer "late-answer" ["E9"] ANY VERSION_10 ONCE Fatal
        "no answer, and then that answer to the next request";
    ErrorVersion "error-version" ["E10"] LATER VERSION_10 ALWAYS Fatal
        "ERROR Busy with another version in its header";
    UnknownError "unknown-error" ["E11"] ANY VERSION_10 ALWAYS Fatal
        "ERROR with a reserved error code";
    ErrorZero "error-zero" ["E11"] ANY VERSION_10 ALWAYS Fatal "ERROR with error code 0";
    NotReadyShort "not-ready-short" ["E12"] LATER VERSION_10 ALWAYS Fatal
        "ResponseNotReady without its extended error data";
    NotReadyLong "not-ready-long" ["E12"] LATER VERSION_10 ALWAYS Fatal
        "ResponseNotReady with 64 bytes of extended error data";
    ErrorShort "error-short" ["E12"] ANY VERSION_10 ALWAYS Fatal
        "ERROR of three bytes: no Param2";
    InvalidRequest "invalid-request" [] ANY VERSION_10 ALWAYS Fatal "ERROR InvalidRequest";
    UnexpectedRequest "unexpected-request" [] ANY VERSION_10 ALWAYS Fatal "ERROR UnexpectedRequest";
    Unspecified "unspecified" [] ANY VERSION_10 ALWAYS Fatal "ERROR Unspecified";
    UnsupportedRequest "unsupported-request" [] ANY VERSION_10 ALWAYS Fatal
        "ERROR UnsupportedRequest";
    VersionMismatch "version-mismatch" [] ANY VERSION_10 ALWAYS Fatal "ERROR VersionMismatch";
    LargeResponse "large-response" ["K7"] ANY VERSION_10 ALWAYS Fatal
        "ERROR LargeResponse without CHUNK_CAP";

    // Any answer. (`truncate` and `extend`: `bytes=`, 4 by default, as DOE counts in dwords.)
    Truncate "truncate" [] ANY VERSION_10 ALWAYS Fatal "the end of the message is missing (bytes=)";
    Extend "extend" ["S14"] ANY VERSION_10 ALWAYS Fatal "bytes after the end of the message (bytes=)";
    Oversize "oversize" [] ANY VERSION_10 ALWAYS Fatal
        "the message is followed by bytes up to the largest that the transport carries";
    Empty "empty" [] ANY VERSION_10 ALWAYS Fatal "a data object without a message";
    Garbage "garbage" [] ANY VERSION_10 ALWAYS Fatal "random bytes as long as the message, behind another version";
    WrongVersion "wrong-version" ["N3"] ANY VERSION_10 ALWAYS Fatal
        "another version in the header";
    WrongCode "wrong-code" [] ANY VERSION_10 ALWAYS Fatal "the code of another response";
    UnknownCode "unknown-code" ["E11"] ANY VERSION_10 ALWAYS Fatal "a response code nobody knows";
    Reserved "reserved" [] ANY VERSION_10 ALWAYS None
        "reserved fields are not zero: to be ignored";

    // Negotiation.
    VersionWithheld "version-withheld" ["N1"] VERSION VERSION_10 ALWAYS Fatal
        "on the way: the best version is struck from VERSION";
    NoVersions "no-versions" ["N2"] VERSION VERSION_10 ALWAYS Fatal "VERSION with no entries";
    ManyVersions "many-versions" ["N2"] VERSION VERSION_10 ALWAYS Open
        "VERSION with 255 entries, the right ones last";
    DuplicateVersions "duplicate-versions" ["N2"] VERSION VERSION_10 ALWAYS Open
        "VERSION with every entry twice";
    UnknownVersions "unknown-versions" ["N2"] VERSION VERSION_10 ALWAYS Fatal
        "VERSION with versions 0.9 and 9.0 only";
    VersionCountLong "version-count-long" ["N2"] VERSION VERSION_10 ALWAYS Fatal
        "VERSION counts one entry more than it has";
    VersionCountShort "version-count-short" ["N2"] VERSION VERSION_10 ALWAYS Fatal
        "VERSION counts one entry less than it has";
    FlagsReserved "flags-reserved" ["N4"] CAPABILITIES VERSION_10 ALWAYS Fatal
        "CAPABILITIES: MEAS_CAP has the reserved value 11b";
    FlagsIncoherent "flags-incoherent" ["N4"] CAPABILITIES VERSION_11 ALWAYS Open
        "CAPABILITIES: KEY_EX_CAP without MAC_CAP and ENCRYPT_CAP";
    FlagsLater "flags-later" ["N4"] CAPABILITIES VERSION_10 ALWAYS Open
        "CAPABILITIES: bits that are reserved in this version are set: to be ignored";
    NoChalCap "no-chal-cap" ["N4"] CAPABILITIES VERSION_10 ALWAYS Fatal
        "CAPABILITIES without CHAL_CAP";
    NoCertCap "no-cert-cap" ["N4"] CAPABILITIES VERSION_10 ALWAYS Fatal
        "CAPABILITIES without CERT_CAP";
    TransferSizeSmall "transfer-size-small" ["N5"] CAPABILITIES VERSION_12 ALWAYS Fatal
        "DataTransferSize 41";
    TransferSizeAboveMax "transfer-size-above-max" ["N5"] CAPABILITIES VERSION_12 ALWAYS Fatal
        "DataTransferSize above MaxSPDMmsgSize";
    TransferSizeBelowMax "transfer-size-below-max" ["N5"] CAPABILITIES VERSION_12 ALWAYS Fatal
        "DataTransferSize below MaxSPDMmsgSize without CHUNK_CAP";
    CtExponent24 "ct-exponent-24" ["N6"] CAPABILITIES VERSION_10 ALWAYS Fatal "CTExponent 24";
    CtExponent255 "ct-exponent-255" ["N6"] CAPABILITIES VERSION_10 ALWAYS Fatal "CTExponent 255";
    SupportedAlgorithmsUnasked "supported-algorithms-unasked" ["N10"]
        CAPABILITIES VERSION_12 ALWAYS Fatal
        "a SupportedAlgorithms block that nobody asked for, or that Param1 does not announce";
    SupportedAlgorithmsLength "supported-algorithms-length" ["N10"]
        CAPABILITIES VERSION_13 ALWAYS Fatal "a SupportedAlgorithms block whose Length lies";
    CapabilitiesChanged "capabilities-changed" ["N11"] CAPABILITIES VERSION_10 ALWAYS Fatal
        "on the way: one bit of CTExponent";
    OfferChanged "offer-changed" ["N11"] ALGORITHMS VERSION_10 ALWAYS Fatal
        "on the way: NEGOTIATE_ALGORITHMS offers one algorithm of each kind only";
    AlgorithmsChanged "algorithms-changed" ["N11"] ALGORITHMS VERSION_10 ALWAYS Fatal
        "on the way: a reserved byte of ALGORITHMS";
    AsymNotOffered "asym-not-offered" ["N7"] ALGORITHMS VERSION_10 ALWAYS Fatal
        "BaseAsymSel names an algorithm that was not offered";
    AsymTwo "asym-two" ["N7"] ALGORITHMS VERSION_10 ALWAYS Fatal "BaseAsymSel names two";
    AsymNone "asym-none" ["N7"] ALGORITHMS VERSION_10 ALWAYS Fatal "BaseAsymSel names none";
    HashNotOffered "hash-not-offered" ["N7"] ALGORITHMS VERSION_10 ALWAYS Fatal
        "BaseHashSel names an algorithm that was not offered";
    HashTwo "hash-two" ["N7"] ALGORITHMS VERSION_10 ALWAYS Fatal "BaseHashSel names two";
    HashNone "hash-none" ["N7"] ALGORITHMS VERSION_10 ALWAYS Fatal "BaseHashSel names none";
    PqcNotOffered "pqc-not-offered" ["N7"] ALGORITHMS VERSION_14 ALWAYS Fatal
        "PqcAsymSel names an algorithm that was not offered, and BaseAsymSel none";
    AsymAndPqc "asym-and-pqc" ["N7"] ALGORITHMS VERSION_14 ALWAYS Fatal
        "BaseAsymSel and PqcAsymSel name an algorithm each";
    OpaqueFormat "opaque-format" ["N7"] ALGORITHMS VERSION_12 ALWAYS Fatal
        "OtherParamsSelection names two opaque data formats";
    TableOrder "table-order" ["N8"] ALGORITHMS VERSION_11 ALWAYS Fatal
        "algorithm structures in falling order";
    TableDuplicate "table-duplicate" ["N8"] ALGORITHMS VERSION_11 ALWAYS Fatal
        "an algorithm structure twice";
    TableSize "table-size" ["N8"] ALGORITHMS VERSION_11 ALWAYS Fatal
        "an algorithm structure with a fixed size other than 2";
    TableUnasked "table-unasked" ["N8"] ALGORITHMS VERSION_11 ALWAYS Fatal
        "an algorithm structure that was not in the request, with a selection";
    TableCount "table-count" ["N8"] ALGORITHMS VERSION_11 ALWAYS Fatal
        "Param1 counts more algorithm structures than there are";
    LengthShort "length-short" ["N8"] ALGORITHMS VERSION_10 ALWAYS Fatal
        "Length of ALGORITHMS is 4 too small";
    LengthLong "length-long" ["N8"] ALGORITHMS VERSION_10 ALWAYS Fatal
        "Length of ALGORITHMS is 4 too large";
    ExtAlgorithms "ext-algorithms" ["N9"] ALGORITHMS VERSION_10 ALWAYS Fatal
        "an extended algorithm is selected";
    ExtCount "ext-count" ["N9"] ALGORITHMS VERSION_10 ALWAYS Fatal
        "ExtAsymSelCount 255 and nothing there";

    // Certificates.
    NoSlots "no-slots" ["C1"] DIGESTS VERSION_10 ALWAYS Fatal "DIGESTS without a slot";
    NotSupported "not-supported" ["C2"] DIGESTS VERSION_13 ALWAYS Fatal
        "DIGESTS: a provisioned slot is not a supported one";
    DigestMismatch "digest-mismatch" ["C3"] DIGESTS VERSION_10 ALWAYS Fatal
        "DIGESTS: one bit of every digest is wrong";
    DigestMissing "digest-missing" ["C3"] DIGESTS VERSION_10 ALWAYS Fatal
        "DIGESTS: one slot more than digests";
    ChainHash "chain-hash" ["C4"] CHALLENGE VERSION_10 ALWAYS Fatal
        "CHALLENGE_AUTH: one bit of CertChainHash is wrong";
    KeyPair0 "key-pair-0" ["C16"] DIGESTS VERSION_13 ALWAYS Fatal
        "DIGESTS: KeyPairID 0 of the first slot (with several keys)";
    KeyPairTwoUses "key-pair-two-uses" ["C16"] DIGESTS VERSION_13 ALWAYS Fatal
        "DIGESTS: one slot more, with the KeyPairID of the first and another KeyUsageMask";
    KeyPairTwice "key-pair-twice" ["C16"] DIGESTS VERSION_13 ALWAYS None
        "DIGESTS: one slot more, with the KeyPairID and the KeyUsageMask of the first: it may be";
    KeyUsage "key-usage" ["C16"] DIGESTS VERSION_13 ALWAYS Fatal
        "DIGESTS: no KeyUsageMask has ChallengeUse";
    KeyUsageNone "key-usage-none" ["C16"] DIGESTS VERSION_13 ALWAYS Fatal
        "DIGESTS: the KeyUsageMask of slot 0 has no use that the standard knows";
    CertificateModelReserved "certificate-model" [] DIGESTS VERSION_13 ALWAYS Fatal
        "DIGESTS: a certificate model that is reserved";
    CertificateModelNone "certificate-model-none" [] DIGESTS VERSION_13 ALWAYS Fatal
        "DIGESTS: no certificate model in the first slot, but a digest";
    GenericSlot0 "generic-slot-0" [] DIGESTS VERSION_13 ALWAYS Fatal
        "DIGESTS: the generic certificate model in slot 0";
    CertificateModelChanged "certificate-model-changed" [] CERTIFICATE VERSION_13 ALWAYS Fatal
        "CERTIFICATE: another certificate model than in DIGESTS";
    EmptyPortion "empty-portion" ["C13"] CERTIFICATE VERSION_10 ALWAYS Fatal
        "CERTIFICATE: PortionLength 0";
    GrowingTotal "growing-total" ["C13"] CERTIFICATE VERSION_10 ALWAYS Fatal
        "CERTIFICATE: from the second portion on, RemainderLength 16 too large";
    EndlessRemainder "endless-remainder" ["C13"] CERTIFICATE VERSION_10 ALWAYS Fatal
        "CERTIFICATE: RemainderLength never falls";
    PortionTooLong "portion-too-long" ["C13"] CERTIFICATE VERSION_10 ALWAYS Fatal
        "CERTIFICATE: 4 bytes more than asked for";
    PortionLength "portion-length" ["C13"] CERTIFICATE VERSION_10 ALWAYS Fatal
        "CERTIFICATE: PortionLength 4 larger than what follows";
    WrongSlot "wrong-slot" ["C13"] CERTIFICATE VERSION_10 ALWAYS Fatal
        "CERTIFICATE: another slot in Param1";
    CertificateInfo "certificate-info" [] CERTIFICATE VERSION_13 ALWAYS Fatal
        "CERTIFICATE: a certificate model in a connection of a single key";
    LargeCertChain "large-cert-chain" [] CERTIFICATE VERSION_14 ALWAYS Fatal
        "CERTIFICATE: LargeCertChain is not as it was in the request";
    ChainOf4Gib "chain-4-gib" ["C15"] CERTIFICATE VERSION_14 ALWAYS Fatal
        "CERTIFICATE: LargeRemainderLength 0xffffffff (flags=0x80000006)";

    // CHALLENGE_AUTH.
    ChallengeSlot "challenge-slot" [] CHALLENGE VERSION_10 ALWAYS Fatal
        "CHALLENGE_AUTH: another slot in Param1";
    ChallengeSlotMask "challenge-slot-mask" [] CHALLENGE VERSION_10 ALWAYS Fatal
        "CHALLENGE_AUTH: the slot is missing in the mask in Param2";
    BasicMutAuth "basic-mut-auth" ["X3"] CHALLENGE VERSION_11 ALWAYS Fatal
        "CHALLENGE_AUTH asks for basic mutual authentication";
    ContextNotEchoed "context-not-echoed" ["S10"] CHALLENGE VERSION_13 ALWAYS Fatal
        "one bit of RequesterContext is wrong";
    OpaqueTooLong "opaque-too-long" ["S13"] CHALLENGE VERSION_10 ALWAYS Fatal
        "1028 bytes of opaque data";
    OpaquePastEnd "opaque-past-end" ["S13"] CHALLENGE VERSION_10 ALWAYS Fatal
        "OpaqueDataLength reaches past the end";

    // What is signed.
    Replay "replay" ["S1"] CHALLENGE VERSION_10 ALWAYS Fatal
        "the signature is over another nonce of the requester";
    VcaLeftOut "vca-left-out" ["S2"] CHALLENGE VERSION_10 ALWAYS Fatal
        "VERSION, CAPABILITIES and ALGORITHMS are not in the transcript";
    CertificatesLeftOut "certificates-left-out" ["S2"] CHALLENGE VERSION_10 ALWAYS Fatal
        "DIGESTS and CERTIFICATE are not in the transcript";
    MeasurementSignature "measurement-signature" ["S3"] CHALLENGE VERSION_10 ALWAYS Fatal
        "signed as measurements: their context, or up to 1.1 their transcript";
    RequesterRole "requester-role" ["S4"] CHALLENGE VERSION_12 ALWAYS Fatal
        "signed with the requester's context";
    EmptyContext "empty-context" ["S4"] CHALLENGE VERSION_14 ALWAYS Fatal
        "ML-DSA: signed with an empty context string";
    PssSalt "pss-salt" [] CHALLENGE VERSION_10 ALWAYS Fatal
        "RSAPSS: the salt is not of the digest's size (bytes=)";
    PssAsPkcs1 "pss-as-pkcs1" [] CHALLENGE VERSION_10 ALWAYS Fatal
        "RSAPSS: signed as RSASSA, with the same key";
    OtherPrefix "other-prefix" ["S5"] CHALLENGE VERSION_10 ALWAYS Fatal
        "signed in the form of another version";
    ErrorInTranscript "error-in-transcript" ["S11"] CHALLENGE VERSION_10 ALWAYS Fatal
        "ERROR Busy first, which is then in the transcript";
    DigestsTwice "digests-twice" ["S12"] CHALLENGE VERSION_10 ALWAYS Fatal
        "DIGESTS is in the transcript twice";

    // The signature.
    BadSignature "bad-signature" [] CHALLENGE VERSION_10 ALWAYS Fatal "one bit is wrong";
    ByteOrder "byte-order" ["S6"] CHALLENGE VERSION_10 ALWAYS Fatal
        "little-endian: RSA as a whole, ECDSA r and s each";
    ZeroSignature "zero-signature" ["S7"] CHALLENGE VERSION_10 ALWAYS Fatal "all zero";
    ZeroR "zero-r" ["S7"] CHALLENGE VERSION_10 ALWAYS Fatal "the first half (ECDSA: r) is zero";
    ZeroS "zero-s" ["S7"] CHALLENGE VERSION_10 ALWAYS Fatal "the second half (ECDSA: s) is zero";
    OnesSignature "ones-signature" ["S7"] CHALLENGE VERSION_10 ALWAYS Fatal
        "all ones: r and s, or the RSA signature, are not below their modulus";
    ROverN "r-over-n" ["S7"] CHALLENGE VERSION_10 ALWAYS Fatal
        "ECDSA: r plus the group order, r equal to it where that does not fit; RSA: the modulus";
    DerSignature "der-signature" ["S8"] CHALLENGE VERSION_10 ALWAYS Fatal
        "ECDSA in DER, RSA in an OCTET STRING";
    DerSignatureCut "der-signature-cut" ["S8"] CHALLENGE VERSION_10 ALWAYS Fatal
        "the same, cut to the size of a signature";
    ShortSignature "short-signature" ["S9"] CHALLENGE VERSION_10 ALWAYS Fatal
        "the last 4 bytes are missing";

    // The transport.
    DoeLengthMax "doe-length-max" ["T1"] ANY VERSION_10 ALWAYS Fatal
        "DOE length 0, which means 2^18 dwords";
    DoeLengthOne "doe-length-one" ["T1"] ANY VERSION_10 ALWAYS Fatal
        "DOE length 1: less than the header";
    DoeLengthLong "doe-length-long" ["T1"] ANY VERSION_10 ALWAYS Fatal
        "DOE length one dword more than there is";
    DoeLengthShort "doe-length-short" ["T1"] ANY VERSION_10 ALWAYS Fatal
        "DOE length one dword less than there is";
    DoeVendor "doe-vendor" ["T2"] ANY VERSION_10 ALWAYS Fatal "DOE header with another vendor";
    DoeType "doe-type" ["T2"] ANY VERSION_10 ALWAYS Fatal
        "DOE header with the type of secured messages";
    DoePadding "doe-padding" ["T3"] ANY VERSION_10 ALWAYS Open
        "non-zero padding, where there is padding";
    DiscoveryCycle "discovery-cycle" ["T8"] ANY VERSION_10 ALWAYS Open
        "DOE discovery never ends (QEMU answers discovery itself)";
    MctpSource "mctp-source" ["T9"] ANY VERSION_10 ALWAYS Fatal
        "MCTP: the answer comes from another EID";
    MctpDestination "mctp-destination" ["T9"] ANY VERSION_10 ALWAYS Fatal
        "MCTP: the answer is for another EID";
    MctpTag "mctp-tag" ["T9"] ANY VERSION_10 ALWAYS Fatal "MCTP: the answer has another tag";
    MctpTagOwner "mctp-tag-owner" ["T9"] ANY VERSION_10 ALWAYS Fatal
        "MCTP: the answer owns its tag, as if it were a request";
    MctpType "mctp-type" ["T9"] ANY VERSION_10 ALWAYS Fatal
        "MCTP: the answer has the type of secured messages";
    MctpIntegrity "mctp-integrity" ["T9"] ANY VERSION_10 ALWAYS Fatal
        "MCTP: the answer has the integrity check bit";
    MctpVersion "mctp-version" [] ANY VERSION_10 ALWAYS Fatal
        "MCTP: packets of version 2 of the header";
    MctpSequence "mctp-sequence" ["T9"] ANY VERSION_10 ALWAYS Fatal
        "MCTP: the last of several packets has the wrong sequence number";
    MctpReordered "mctp-reordered" ["T9"] ANY VERSION_10 ALWAYS Fatal
        "MCTP: the last two packets change places";
    MctpLostFirst "mctp-lost-first" ["T9"] ANY VERSION_10 ALWAYS Fatal
        "MCTP: the first packet is lost";
    MctpLost "mctp-lost" ["T9"] ANY VERSION_10 ALWAYS Fatal "MCTP: the last packet is lost";
    MctpNoStart "mctp-no-start" ["T9"] ANY VERSION_10 ALWAYS Fatal
        "MCTP: the first packet is not marked as such";
    MctpNoEnd "mctp-no-end" ["T9"] ANY VERSION_10 ALWAYS Fatal
        "MCTP: the last packet is not marked as such";
    MctpEmpty "mctp-empty" [] ANY VERSION_10 ALWAYS Fatal
        "MCTP: there is nothing in the last packet";
    MctpOversize "mctp-oversize" [] ANY VERSION_10 ALWAYS Fatal
        "MCTP: packets of three times the baseline transmission unit";
    MctpEndless "mctp-endless" ["T9"] ANY VERSION_10 ALWAYS Fatal
        "MCTP: the answer is followed by bytes up to 80 KiB";
    MctpDuplicated "mctp-duplicated" ["T9"] ANY VERSION_10 ALWAYS Open
        "MCTP: every packet comes twice";
    MctpTwice "mctp-twice" ["T9"] ANY VERSION_10 ALWAYS Open "MCTP: the answer comes twice";
    MctpForeign "mctp-foreign" ["T9"] ANY VERSION_10 ALWAYS None
        "MCTP: in front of every packet, one with the same tag from another EID";
    MctpLate "mctp-late" ["T9"] ANY VERSION_10 ALWAYS Open
        "MCTP: the answer comes 8 s later; the kernel keeps a tag for 6 s";
    MctpLinkSilent "mctp-link-silent" [] VERSION VERSION_10 ALWAYS Fatal
        "MCTP: no answer to anything, control messages included";
    MctpFcs "mctp-fcs" [] ANY VERSION_10 ALWAYS Fatal
        "MCTP: the last frame has a wrong frame check sequence";
    MctpCut "mctp-cut" [] ANY VERSION_10 ALWAYS Fatal
        "MCTP: the second half of the last frame is missing";

    // Chunks: a device with one of these has CHUNK_CAP, and sends and receives little at once.
    // MEASUREMENTS: they do not change the verdict.
    MeasurementUnsigned "measurement-unsigned" ["M1"] MEASUREMENTS VERSION_10 ALWAYS None
        "no signature, although there has to be one";
    MeasurementBadSignature "measurement-bad-signature" ["M1"] MEASUREMENTS VERSION_10 ALWAYS None
        "one bit of the signature is flipped";
    MeasurementContext "measurement-context" ["M1"] MEASUREMENTS VERSION_12 ALWAYS None
        "signed as a challenge";
    MeasurementCount "measurement-count" ["M2"] MEASUREMENTS VERSION_10 ALWAYS None
        "NumberOfBlocks is one too many";
    MeasurementLength "measurement-length" ["M3"] MEASUREMENTS VERSION_10 ALWAYS None
        "MeasurementRecordLength is one more, or less, than the blocks have";
    MeasurementIndex0 "measurement-index-0" ["M4"] MEASUREMENTS VERSION_10 ALWAYS None
        "the first block has index 0";
    MeasurementIndexTwice "measurement-index-twice" ["M4"] MEASUREMENTS VERSION_10 ALWAYS None
        "the second block has the index of the first";
    MeasurementSpecification "measurement-specification" ["M5"] MEASUREMENTS VERSION_10 ALWAYS None
        "the first block is of another measurement specification";
    MeasurementValueSize "measurement-value-size" ["M6"] MEASUREMENTS VERSION_10 ALWAYS None
        "DMTFSpecMeasurementValueSize of the first block does not fit its MeasurementSize";
    MeasurementChanged "measurement-changed" ["M7"] MEASUREMENTS VERSION_12 ALWAYS None
        "content-changed: measurements changed while they were read";
    MeasurementOneByOne "measurement-one-by-one" ["M8"] MEASUREMENTS VERSION_10 ALWAYS None
        "ERROR InvalidRequest to the request of all measurements at once";
    MeasurementSlot "measurement-slot" ["M9"] MEASUREMENTS VERSION_11 ALWAYS None
        "the SlotID of another slot";
    ChunkHandle "chunk-handle" ["K1"] LARGE VERSION_12 ALWAYS Fatal
        "CHUNK_RESPONSE with another Handle";
    ChunkSkipped "chunk-skipped" ["K2"] LARGE VERSION_12 ALWAYS Fatal
        "CHUNK_RESPONSE with the ChunkSeqNo of the next one";
    ChunkRepeated "chunk-repeated" ["K2"] LARGE VERSION_12 ALWAYS Fatal
        "CHUNK_RESPONSE with the ChunkSeqNo of the one before";
    ChunkWrapped "chunk-wrapped" ["K2"] LARGE VERSION_12 ALWAYS Fatal
        "the first CHUNK_RESPONSE has the largest ChunkSeqNo";
    ChunkEmpty "chunk-empty" ["K3"] LARGE VERSION_12 ALWAYS Fatal
        "CHUNK_RESPONSE with ChunkSize 0, and not the last";
    ChunkTooLarge "chunk-too-large" ["K3"] LARGE VERSION_12 ALWAYS Fatal
        "CHUNK_RESPONSE with ChunkSize 0xffffffff";
    ChunkCut "chunk-cut" ["K3"] LARGE VERSION_12 ALWAYS Fatal
        "CHUNK_RESPONSE: the last 4 bytes of a chunk are missing";
    LastChunkEarly "last-chunk-early" ["K4"] LARGE VERSION_12 ALWAYS Fatal
        "LastChunk in the first CHUNK_RESPONSE of several";
    LastChunkLate "last-chunk-late" ["K4"] LARGE VERSION_12 ALWAYS Fatal
        "no LastChunk in the last CHUNK_RESPONSE";
    LargeSizeZero "large-size-zero" ["K5"] LARGE VERSION_12 ALWAYS Fatal "LargeMessageSize 0";
    LargeSizeSmall "large-size-small" ["K5"] LARGE VERSION_12 ALWAYS Fatal
        "LargeMessageSize 32: what fits any DataTransferSize";
    LargeSizeMax "large-size-max" ["K5"] LARGE VERSION_12 ALWAYS Fatal
        "LargeMessageSize 0xffffffff";
    LargeSizeLonger "large-size-longer" ["K5"] LARGE VERSION_12 ALWAYS Fatal
        "LargeMessageSize one byte more than there are";
    ChunkNested "chunk-nested" ["K6"] LARGE VERSION_12 ALWAYS Fatal
        "ERROR LargeResponse to CHUNK_GET";
    ChunkNestedInside "chunk-nested-inside" ["K6"] LARGE VERSION_12 ALWAYS Fatal
        "ERROR LargeResponse is what comes in chunks";
    ChunkOtherMessage "chunk-other-message" ["K8"] LARGE VERSION_12 ALWAYS Fatal
        "the code of another response is what comes in chunks";
    ChunkOtherVersion "chunk-other-version" ["K8"] LARGE VERSION_12 ALWAYS Fatal
        "a message of another version is what comes in chunks";
    ChunkErrorInside "chunk-error-inside" ["K8"] LARGE VERSION_12 ALWAYS Fatal
        "ERROR Unspecified is what comes in chunks";
    ChunkNoChunk "chunk-no-chunk" ["K8"] LARGE VERSION_12 ALWAYS Fatal
        "another message instead of CHUNK_RESPONSE";
    ChunkError "chunk-error" [] LARGE VERSION_12 ALWAYS Fatal "ERROR Unspecified to CHUNK_GET";
    ChunkTrailing "chunk-trailing" [] LARGE VERSION_12 ALWAYS Fatal
        "CHUNK_RESPONSE with 4 bytes after its chunk";
    ChunkAckHandle "chunk-ack-handle" ["K1"] CHALLENGE VERSION_13 ALWAYS Fatal
        "CHUNK_SEND_ACK with another Handle";
    ChunkAckSequence "chunk-ack-sequence" ["K2"] CHALLENGE VERSION_13 ALWAYS Fatal
        "CHUNK_SEND_ACK with another ChunkSeqNo";
    ChunkAckEarly "chunk-ack-early" ["K8"] CHALLENGE VERSION_13 ALWAYS Fatal
        "CHUNK_SEND_ACK with EarlyErrorDetected and no ERROR";
}

impl Fault {
    /// The row of the table.
    pub fn info(self) -> &'static FaultInfo {
        // The table is made from the same list in the same order.
        &FAULTS[self as usize]
    }

    /// The faults of a name, or of an id.
    pub fn find(name: &str) -> Vec<Fault> {
        FAULTS
            .iter()
            .filter(|f| f.name == name || f.ids.iter().any(|id| id.eq_ignore_ascii_case(name)))
            .map(|f| f.fault)
            .collect()
    }

    /// The words of the control channel that have it played by a device with MEAS_CAP that speaks 1.0 to 1.3: with
    /// what else it needs.
    pub fn words(self) -> String {
        let needs = match self {
            Fault::GrowingTotal | Fault::EndlessRemainder => "portion=512 ",
            Fault::ChainOf4Gib => "version=1.4 flags=0x80000016 ",
            Fault::EmptyContext => "version=1.4 flags=0x20016 asym=mldsa65 ",
            Fault::PssSalt => "asym=rsapss-3072 bytes=0 ",
            Fault::PssAsPkcs1 => "asym=rsapss-3072 ",
            Fault::FlagsLater => "version=1.2 ",
            _ if self.info().since == VERSION_14 => "version=1.4 ",
            _ => "",
        };
        format!("{needs}fault={}", self.info().name)
    }

    /// Whether it is a matter of chunks, not of what they carry.
    pub fn is_chunk(self) -> bool {
        // The last rows of the table.
        self as usize >= Fault::ChunkHandle as usize
    }

    /// Whether it is a lie about keys of which there are several.
    pub fn is_multi_key(self) -> bool {
        let rows = Fault::KeyPair0 as usize..=Fault::CertificateModelChanged as usize;
        rows.contains(&(self as usize))
    }

    /// Whether it is a matter of measurements, which do not change a verdict.
    pub fn is_measurement(self) -> bool {
        self.info().at == MEASUREMENTS
    }

    /// Whether it is a matter of CHUNK_SEND_ACK.
    pub fn is_chunk_ack(self) -> bool {
        self as usize >= Fault::ChunkAckHandle as usize
    }

    /// Whether it is a matter of the transport, not of the messages.
    pub fn is_transport(self) -> bool {
        self.carrier().is_some()
    }

    /// The transport that it is a matter of.
    pub fn carrier(self) -> Option<Carrier> {
        const DOE: usize = Fault::DoeLengthMax as usize;
        const MCTP: usize = Fault::MctpSource as usize;
        const LAST: usize = Fault::MctpCut as usize;
        match self as usize {
            DOE..MCTP => Some(Carrier::Doe),
            MCTP..=LAST => Some(Carrier::Mctp),
            _ => None,
        }
    }

    /// Whether it takes an answer of several packets.
    pub fn needs_packets(self) -> bool {
        matches!(
            self,
            Fault::MctpSequence | Fault::MctpReordered | Fault::MctpOversize
        )
    }
}

/// The table as JSON.
pub fn to_json() -> Value {
    FAULTS
        .iter()
        .map(|f| {
            json!({
                "name": f.name,
                "ids": f.ids,
                "at": f.at.iter().map(|e| e.response_name()).collect::<Vec<_>>(),
                "since": format!("{}.{}", f.since >> 4, f.since & 0xF),
                "times": f.times,
                "harm": match f.harm {
                    Harm::None => "none",
                    Harm::Open => "open",
                    Harm::Fatal => "fatal",
                },
                "text": f.text,
                "words": f.fault.words(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn table_is_in_order_and_names_are_unique() {
        let mut names = HashSet::new();
        for (i, info) in FAULTS.iter().enumerate() {
            assert_eq!(info.fault as usize, i);
            assert!(Fault::find(info.name).contains(&info.fault));
            assert!(names.insert(info.name.to_owned()), "{}", info.name);
            assert!(!info.at.is_empty());
        }
        for info in FAULTS {
            for id in info.ids {
                assert!(!names.contains(*id) && !names.contains(&id.to_lowercase()));
            }
        }
    }

    #[test]
    fn ids_select_all_of_theirs() {
        assert_eq!(
            Fault::find("E3"),
            [Fault::NotReadyMultiplier0, Fault::NotReadyMultiplier1]
        );
        assert_eq!(Fault::find("e1"), [Fault::BusyForever]);
        assert!(Fault::find("E99").is_empty());
    }
}
