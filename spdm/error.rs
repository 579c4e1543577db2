// SPDX-License-Identifier: GPL-2.0

//! Why an attestation failed.

use core::fmt;

use crate::{
    message::RequestCode,
    trust::ChainError, //
};

/// Why an attestation failed, and during which request.
///
/// Displays as `timeout: CHALLENGE`; a failure that belongs to a certificate slot as
/// `untrusted-root: slot 0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    reason: Reason,
    request: RequestCode,
}

impl Error {
    pub(crate) const fn new(reason: Reason, request: RequestCode) -> Self {
        Self { reason, request }
    }

    /// What went wrong.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The request that was being made, or whose response was being judged.
    pub const fn request(&self) -> RequestCode {
        self.request
    }

    /// Stable name of the reason.
    pub const fn name(&self) -> &'static str {
        self.reason.name()
    }

    /// The slot, if the failure is that of one slot's certificate chain.
    pub const fn slot(&self) -> Option<u8> {
        match self.reason {
            Reason::Chain { slot, .. } | Reason::Slot { slot, .. } => Some(slot),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        f.write_str(": ")?;
        if let Some(slot) = self.slot() {
            write!(f, "slot {slot}")?;
        } else {
            f.write_str(self.request.name())?;
        }
        let code = match self.reason {
            Reason::ErrorResponse(code) => code,
            Reason::Slot {
                error: SlotError::ErrorResponse(code),
                ..
            } => code,
            _ => return Ok(()),
        };
        write!(f, ": {code}")
    }
}

/// What went wrong. Each reason has a stable name, [`Reason::name`].
///
/// More will come with more of the protocol, so a match needs a wildcard arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    // The link.
    /// No response in time.
    Timeout,
    /// The time for the whole attestation is over.
    Deadline,
    /// The device is no longer there.
    Gone,
    /// The attestation was cancelled.
    Interrupted,
    /// The transport failed.
    Transport,
    /// The response has a message integrity check, which the binding forbids (DSP0275).
    IntegrityCheck,
    /// The response does not fit the receive buffer.
    ResponseTooLarge,
    /// The request is larger than the responder or the transport can take.
    RequestTooLarge,
    /// The caller's receive buffer is smaller than the least DataTransferSize.
    BufferTooSmall,
    /// No memory for a certificate chain.
    OutOfMemory,
    /// A bound that this crate keeps itself was broken: a defect of the crate.
    Internal,

    // Any response.
    /// The response ends before its fields do.
    Truncated,
    /// More follows the response than the transport's padding.
    TrailingBytes,
    /// SPDMVersion is not that of the request.
    WrongVersion,
    /// The response is to another request, or to none that is known.
    UnexpectedResponse,

    // ERROR.
    /// The responder refused the request.
    ErrorResponse(ErrorCode),
    /// The responder stayed busy.
    Busy,
    /// The responder asked again and again to start over.
    RequestResynch,
    /// The response was not ready when RDTExponent and RDTM said that it would be.
    NotReady,
    /// ResponseNotReady to a request that allows no such answer.
    NotReadyIllegal,
    /// RDTExponent is out of bounds.
    NotReadyExponent,
    /// RDTM is not greater than 1.
    NotReadyMultiplier,
    /// ResponseNotReady names another request.
    NotReadyRequest,
    /// A repeated ResponseNotReady has another token.
    NotReadyToken,
    /// Extended error data has the wrong size.
    ErrorDataSize,

    // Chunks.
    /// LargeResponse to a request whose response cannot be large, or from a responder without CHUNK_CAP.
    LargeResponseIllegal,
    /// LargeMessageSize is that of no large message, or more than MaxSPDMmsgSize.
    LargeMessageSize,
    /// A chunk has another handle.
    ChunkHandle,
    /// A chunk has another number than the next.
    ChunkSequence,
    /// A chunk is smaller than it may be, or larger than what was left of the message.
    ChunkSize,
    /// LastChunk is set before the message is complete, or not set when it is.
    LastChunk,

    // VERSION.
    /// No version is listed.
    NoVersions,
    /// More versions are listed than could make sense.
    TooManyVersions,
    /// A version is listed twice.
    DuplicateVersion,
    /// No listed version is known.
    UnsupportedVersion,

    // CAPABILITIES.
    /// Flags that exclude, or lack, one another.
    InvalidCapabilities,
    /// CTExponent is out of bounds.
    InvalidCtExponent,
    /// DataTransferSize is out of bounds or does not fit MaxSPDMmsgSize.
    InvalidDataTransferSize,
    /// The responder has no certificates (CERT_CAP).
    NoCertificateCapability,
    /// The responder cannot be challenged (CHAL_CAP).
    NoChallengeCapability,
    /// Length of SupportedAlgorithms is not its length, or more than a NEGOTIATE_ALGORITHMS may have.
    SupportedAlgorithmsLength,
    /// The responder has no certificates, and nobody provisioned its public key (PUB_KEY_ID_CAP).
    NoPublicKey,

    // ALGORITHMS.
    /// There is no algorithm to offer.
    NothingToOffer,
    /// Length is not the message's length.
    AlgorithmsLength,
    /// No algorithm of a kind was selected.
    NoAlgorithm,
    /// More than one algorithm of a kind was selected.
    MultipleAlgorithms,
    /// An algorithm was selected that was not offered.
    AlgorithmNotOffered,
    /// An extended algorithm was selected; none was offered.
    ExtendedAlgorithm,
    /// An algorithm structure of unknown type or size, out of order or repeated.
    AlgorithmStructure,
    /// The selected hash algorithm turned out to be missing here.
    HashUnavailable,

    // DIGESTS.
    /// No slot has a certificate chain.
    NoProvisionedSlot,
    /// A slot is provisioned that is not supported.
    ProvisionedNotSupported,
    /// All provisioned slots are ones that the configuration rules out.
    NoPermittedSlot,
    /// KeyPairID is zero, or KeyUsageMask of one key pair differs from slot to slot.
    KeyPairId,
    /// CertificateInfo is reserved, not allowed in its slot, or contradicts another field.
    CertificateInfo,
    /// KeyUsageMask of slot 0 has no use that the standard knows.
    KeyUsage,

    // CERTIFICATE.
    /// The response is for another slot.
    WrongSlot,
    /// LargeCertChain is not as it was in the request.
    LargeCertChain,
    /// A portion without a byte.
    EmptyPortion,
    /// A portion larger than asked for.
    PortionTooLarge,
    /// The chain's total length changed between portions.
    ChainLengthChanged,
    /// The chain of a slot was no good.
    Slot {
        /// Slot number, 0 to 7.
        slot: u8,
        /// What is wrong with it.
        error: SlotError,
    },
    /// The chain of a slot is not trusted.
    Chain {
        /// Slot number, 0 to 7.
        slot: u8,
        /// Why.
        error: ChainError,
    },

    // CHALLENGE_AUTH.
    /// The slot mask lacks the slot that was challenged.
    ChallengedSlotMissing,
    /// CertChainHash is not the hash of the chain.
    CertChainHashMismatch,
    /// More opaque data than a message may have.
    OpaqueDataTooLarge,
    /// Opaque data although no format was negotiated.
    OpaqueDataNotNegotiated,
    /// RequesterContext did not come back.
    RequesterContextMismatch,
    /// The responder asks for mutual authentication, which it was not told of.
    MutualAuthentication,
    /// The signature is wrong.
    BadSignature,
    /// The signature could not be checked.
    SignatureNotChecked,

    // MEASUREMENTS.
    /// A number of blocks that is not what was asked for, or not that of the record.
    MeasurementCount,
    /// A block with another index than was asked for, or out of order.
    MeasurementIndex,
    /// A block whose sizes do not fit, or of a measurement specification that was not negotiated.
    MeasurementBlock,
    /// Measurements changed while they were read.
    MeasurementsChanged,
}

impl Reason {
    /// Stable name, for people and scripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Deadline => "deadline-exceeded",
            Self::Gone => "device-gone",
            Self::Interrupted => "interrupted",
            Self::Transport => "transport-error",
            Self::IntegrityCheck => "integrity-check",
            Self::ResponseTooLarge => "response-too-large",
            Self::RequestTooLarge => "request-too-large",
            Self::BufferTooSmall => "buffer-too-small",
            Self::OutOfMemory => "out-of-memory",
            Self::Internal => "internal-error",
            Self::Truncated => "truncated-response",
            Self::TrailingBytes => "trailing-bytes",
            Self::WrongVersion => "wrong-version",
            Self::UnexpectedResponse => "unexpected-response",
            Self::ErrorResponse(_) => "error-response",
            Self::Busy => "busy",
            Self::RequestResynch => "request-resynch",
            Self::NotReady => "not-ready",
            Self::NotReadyIllegal => "not-ready-illegal",
            Self::NotReadyExponent => "not-ready-exponent",
            Self::NotReadyMultiplier => "not-ready-multiplier",
            Self::NotReadyRequest => "not-ready-request",
            Self::NotReadyToken => "not-ready-token",
            Self::ErrorDataSize => "error-data-size",
            Self::LargeResponseIllegal => "large-response-illegal",
            Self::LargeMessageSize => "large-message-size",
            Self::ChunkHandle => "chunk-handle",
            Self::ChunkSequence => "chunk-sequence",
            Self::ChunkSize => "chunk-size",
            Self::LastChunk => "last-chunk",
            Self::NoVersions => "no-versions",
            Self::TooManyVersions => "too-many-versions",
            Self::DuplicateVersion => "duplicate-version",
            Self::UnsupportedVersion => "unsupported-version",
            Self::InvalidCapabilities => "invalid-capabilities",
            Self::InvalidCtExponent => "invalid-ct-exponent",
            Self::InvalidDataTransferSize => "invalid-data-transfer-size",
            Self::NoCertificateCapability => "no-certificate-capability",
            Self::NoChallengeCapability => "no-challenge-capability",
            Self::SupportedAlgorithmsLength => "supported-algorithms-length",
            Self::NoPublicKey => "no-public-key",
            Self::NothingToOffer => "nothing-to-offer",
            Self::AlgorithmsLength => "algorithms-length",
            Self::NoAlgorithm => "no-algorithm",
            Self::MultipleAlgorithms => "multiple-algorithms",
            Self::AlgorithmNotOffered => "algorithm-not-offered",
            Self::ExtendedAlgorithm => "extended-algorithm",
            Self::AlgorithmStructure => "algorithm-structure",
            Self::HashUnavailable => "hash-unavailable",
            Self::NoProvisionedSlot => "no-provisioned-slot",
            Self::ProvisionedNotSupported => "provisioned-not-supported",
            Self::NoPermittedSlot => "no-permitted-slot",
            Self::KeyPairId => "key-pair-id",
            Self::CertificateInfo => "certificate-info",
            Self::KeyUsage => "key-usage",
            Self::WrongSlot => "wrong-slot",
            Self::LargeCertChain => "large-cert-chain",
            Self::EmptyPortion => "empty-portion",
            Self::PortionTooLarge => "portion-too-large",
            Self::ChainLengthChanged => "chain-length-changed",
            Self::Slot { error, .. } => error.name(),
            Self::Chain { error, .. } => error.name(),
            Self::ChallengedSlotMissing => "challenged-slot-missing",
            Self::CertChainHashMismatch => "cert-chain-hash-mismatch",
            Self::OpaqueDataTooLarge => "opaque-data-too-large",
            Self::OpaqueDataNotNegotiated => "opaque-data-not-negotiated",
            Self::RequesterContextMismatch => "requester-context-mismatch",
            Self::MutualAuthentication => "mutual-authentication",
            Self::BadSignature => "bad-signature",
            Self::SignatureNotChecked => "signature-not-checked",
            Self::MeasurementCount => "measurement-count",
            Self::MeasurementIndex => "measurement-index",
            Self::MeasurementBlock => "measurement-block",
            Self::MeasurementsChanged => "measurements-changed",
        }
    }
}

/// What is wrong with the certificate chain of one slot, other than a matter of trust.
///
/// Another slot may still have a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotError {
    /// The responder refused to hand it out.
    ErrorResponse(ErrorCode),
    /// It is larger than a chain can be.
    TooLarge,
    /// Its Length field is not its length, or too small for what comes before the certificates.
    LengthMismatch,
    /// Its hash is not the one in DIGESTS.
    DigestMismatch,
    /// Its key does not sign CHALLENGE_AUTH (KeyUsageMask).
    KeyUsage,
}

impl SlotError {
    /// Stable name, as [`Reason::name`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::ErrorResponse(_) => "error-response",
            Self::TooLarge => "chain-too-large",
            Self::LengthMismatch => "chain-length-mismatch",
            Self::DigestMismatch => "digest-mismatch",
            Self::KeyUsage => "slot-key-usage",
        }
    }
}

/// Error code of an ERROR response (DSP0274, "Error code and error data").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(pub u8);

impl ErrorCode {
    pub(crate) const BUSY: Self = Self(0x03);
    pub(crate) const UNSUPPORTED_REQUEST: Self = Self(0x07);
    pub(crate) const LARGE_RESPONSE: Self = Self(0x0f);
    pub(crate) const RESPONSE_NOT_READY: Self = Self(0x42);
    pub(crate) const REQUEST_RESYNCH: Self = Self(0x43);

    /// Name in the standard, for the codes that versions up to 1.4 define.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x01 => "InvalidRequest",
            0x03 => "Busy",
            0x04 => "UnexpectedRequest",
            0x05 => "Unspecified",
            0x06 => "DecryptError",
            0x07 => "UnsupportedRequest",
            0x08 => "RequestInFlight",
            0x09 => "InvalidResponseCode",
            0x0a => "SessionLimitExceeded",
            0x0b => "SessionRequired",
            0x0c => "ResetRequired",
            0x0d => "ResponseTooLarge",
            0x0e => "RequestTooLarge",
            0x0f => "LargeResponse",
            0x10 => "MessageLost",
            0x11 => "InvalidPolicy",
            0x12 => "DataTooLarge",
            0x41 => "VersionMismatch",
            0x42 => "ResponseNotReady",
            0x43 => "RequestResynch",
            0x44 => "OperationFailed",
            0x45 => "NoPendingRequests",
            0x46 => "RequestSessionTerminated",
            0x47 => "InvalidState",
            0xff => "VendorDefined",
            _ => return None,
        })
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#04x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{string::ToString, vec, vec::Vec};

    use super::*;

    fn all() -> Vec<Reason> {
        use Reason::*;
        let slot_errors = [
            SlotError::ErrorResponse(ErrorCode(1)),
            SlotError::TooLarge,
            SlotError::LengthMismatch,
            SlotError::DigestMismatch,
            SlotError::KeyUsage,
        ];
        // But for Internal, which has the name of the other one.
        let chain_errors = [
            ChainError::Malformed,
            ChainError::TooLong,
            ChainError::UntrustedRoot,
            ChainError::RootHashMismatch,
            ChainError::BadCertificateSignature,
            ChainError::UnsupportedAlgorithm,
            ChainError::Expired,
            ChainError::NotYetValid,
            ChainError::IssuerNotCa,
            ChainError::PathTooLong,
            ChainError::LeafIsCa,
            ChainError::LeafLacksBasicConstraints,
            ChainError::LeafKeyUsage,
            ChainError::LeafExtendedKeyUsage,
            ChainError::LeafKeyMismatch,
            ChainError::HardwareIdentity,
            ChainError::UnknownCriticalExtension,
            ChainError::Revoked,
            ChainError::SubjectAltNameMissing,
            ChainError::SubjectAltNameMismatch,
        ];
        let mut all = vec![
            Timeout,
            Deadline,
            Gone,
            Interrupted,
            Transport,
            IntegrityCheck,
            ResponseTooLarge,
            RequestTooLarge,
            BufferTooSmall,
            OutOfMemory,
            Internal,
            Truncated,
            TrailingBytes,
            WrongVersion,
            UnexpectedResponse,
            Busy,
            RequestResynch,
            NotReady,
            NotReadyIllegal,
            NotReadyExponent,
            NotReadyMultiplier,
            NotReadyRequest,
            NotReadyToken,
            ErrorDataSize,
            LargeResponseIllegal,
            Reason::LargeMessageSize,
            ChunkHandle,
            ChunkSequence,
            ChunkSize,
            LastChunk,
            NoVersions,
            TooManyVersions,
            DuplicateVersion,
            UnsupportedVersion,
            InvalidCapabilities,
            InvalidCtExponent,
            InvalidDataTransferSize,
            NoCertificateCapability,
            NoChallengeCapability,
            SupportedAlgorithmsLength,
            NoPublicKey,
            NothingToOffer,
            AlgorithmsLength,
            NoAlgorithm,
            MultipleAlgorithms,
            AlgorithmNotOffered,
            ExtendedAlgorithm,
            AlgorithmStructure,
            HashUnavailable,
            NoProvisionedSlot,
            ProvisionedNotSupported,
            NoPermittedSlot,
            KeyPairId,
            CertificateInfo,
            KeyUsage,
            WrongSlot,
            LargeCertChain,
            EmptyPortion,
            PortionTooLarge,
            ChainLengthChanged,
            ChallengedSlotMissing,
            CertChainHashMismatch,
            OpaqueDataTooLarge,
            OpaqueDataNotNegotiated,
            RequesterContextMismatch,
            MutualAuthentication,
            BadSignature,
            SignatureNotChecked,
            MeasurementCount,
            MeasurementIndex,
            MeasurementBlock,
            MeasurementsChanged,
        ];
        all.extend(slot_errors.map(|error| Slot { slot: 3, error }));
        all.extend(chain_errors.map(|error| Chain { slot: 3, error }));
        all
    }

    #[test]
    fn names_are_stable_words() {
        for reason in all() {
            let name = reason.name();
            assert!(name
                .chars()
                .all(|letter| letter == '-' || letter.is_ascii_lowercase()));
            let text = Error::new(reason, RequestCode::GetDigests).to_string();
            assert!(text.starts_with(&std::format!("{name}: ")), "{text}");
        }
    }

    #[test]
    fn names_are_different() {
        let mut names: Vec<_> = all().into_iter().map(Reason::name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn error_codes_have_the_standards_names() {
        let names = (0..=0xff).filter_map(|code| ErrorCode(code).name());
        let mut names: Vec<_> = names.collect();
        assert_eq!(names.len(), 25);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 25);
        assert_eq!(ErrorCode(0x43).to_string(), "RequestResynch");
        assert_eq!(ErrorCode(0x02).to_string(), "0x02");
        assert_eq!(ErrorCode(0xfe).to_string(), "0xfe");
    }

    #[test]
    fn display() {
        let error = Error::new(Reason::Timeout, RequestCode::Challenge);
        assert_eq!(error.to_string(), "timeout: CHALLENGE");
        assert_eq!(error.slot(), None);
        assert_eq!(error.request(), RequestCode::Challenge);

        let chain = Reason::Chain {
            slot: 2,
            error: ChainError::Expired,
        };
        let error = Error::new(chain, RequestCode::GetCertificate);
        assert_eq!(error.to_string(), "certificate-expired: slot 2");
        assert_eq!(error.slot(), Some(2));
        assert_eq!(error.reason(), chain);

        let refused = Reason::ErrorResponse(ErrorCode(0x07));
        let error = Error::new(refused, RequestCode::GetDigests);
        assert_eq!(
            error.to_string(),
            "error-response: GET_DIGESTS: UnsupportedRequest"
        );
    }
}
