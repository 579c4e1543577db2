// SPDX-License-Identifier: GPL-2.0

//! What a verifier needs to check an attestation again: what was signed, and the signature.

/// What a responder signs a transcript for ("spdm_context").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedFor {
    /// CHALLENGE_AUTH: transcript M1.
    ChallengeAuth,
    /// MEASUREMENTS: transcript L1.
    Measurements,
}

impl SignedFor {
    /// The context as the standard spells it (DSP0274, "Signing context string").
    pub const fn context(self) -> &'static str {
        match self {
            Self::ChallengeAuth => "responder-challenge_auth signing",
            Self::Measurements => "responder-measurements signing",
        }
    }
}

/// A part of the evidence, in the order in which an attestation comes by it.
///
/// See [`Platform::record`](crate::Platform::record).
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A transcript begins, with VCA or with nothing. What was recorded of one for the same purpose is void.
    Begin {
        /// Purpose of the transcript.
        what: SignedFor,
        /// The version, capabilities and algorithms messages, if the transcript begins with them.
        vca: &'a [u8],
    },
    /// A message of the transcript that was begun last, without its signature.
    Message(&'a [u8]),
    /// Measurement blocks that the last message has ([`measurements`](crate::measurements)).
    Measurements(&'a [u8]),
    /// The signature of the transcript. There is no more of it.
    Signature {
        /// As the responder sent it.
        signature: &'a [u8],
        /// Where the responder's nonce is in the last message, in bytes.
        responder_nonce: usize,
        /// Whether it is right.
        verified: bool,
    },
}
