// SPDX-License-Identifier: GPL-2.0

//! What a verifier needs to check an attestation again: what was signed, and the signature.

use crate::version::Version;

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
    /// A message of the transcript that was begun last: CERTIFICATE. Its last `len` bytes are in the
    /// [`ChainBuffer`](crate::ChainBuffer), too, from `offset` on, and stay there until [`Record::ChainEnds`].
    Portion {
        /// The message.
        message: &'a [u8],
        /// Where the portion is in the chain; zero begins a chain.
        offset: usize,
        /// Length of the portion.
        len: usize,
    },
    /// The chain whose portions were recorded, before there is room for another. It may be one of before the transcript.
    ChainEnds(&'a [u8]),
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

/// Size in bytes of what precedes a digest that is signed ("combined_spdm_prefix").
pub const PREFIX_SIZE: usize = 100;

/// What precedes the digest of a transcript that is signed (DSP0274, "Signature generation"): four times the version's
/// prefix, zeros, and the context at the end. Nothing does up to version 1.1.
pub fn combined_prefix(version: Version, what: SignedFor) -> Option<[u8; PREFIX_SIZE]> {
    let prefix = match version {
        Version::V1_0 | Version::V1_1 => return None,
        Version::V1_2 => b"dmtf-spdm-v1.2.*",
        Version::V1_3 => b"dmtf-spdm-v1.3.*",
        Version::V1_4 => b"dmtf-spdm-v1.4.*",
    };
    let mut combined = [0; PREFIX_SIZE];
    for (to, from) in combined.iter_mut().zip(prefix.iter().cycle().take(64)) {
        *to = *from;
    }
    let context = what.context().as_bytes();
    for (to, from) in combined.iter_mut().rev().zip(context.iter().rev()) {
        *to = *from;
    }
    Some(combined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combined_prefix_layout() {
        let prefix = combined_prefix(Version::V1_2, SignedFor::ChallengeAuth);
        let expected = b"dmtf-spdm-v1.2.*dmtf-spdm-v1.2.*dmtf-spdm-v1.2.*dmtf-spdm-v1.2.*\
            \0\0\0\0responder-challenge_auth signing";
        assert_eq!(prefix.as_ref(), Some(expected));
        let prefix = combined_prefix(Version::V1_4, SignedFor::Measurements);
        let expected = b"dmtf-spdm-v1.4.*dmtf-spdm-v1.4.*dmtf-spdm-v1.4.*dmtf-spdm-v1.4.*\
            \0\0\0\0\0\0responder-measurements signing";
        assert_eq!(prefix.as_ref(), Some(expected));
        assert_eq!(
            combined_prefix(Version::V1_1, SignedFor::Measurements),
            None
        );
    }
}
