// SPDX-License-Identifier: GPL-2.0

//! How an attestation ended.

use crate::{
    bindings,
    keyring::{
        Identity,
        LeafKey,
        Trust, //
    }, //
};
use core::fmt::Write;
use kernel::{
    alloc::AllocError,
    fmt,
    prelude::*,
    str::CString, //
};
use spdm_core::{
    Authenticated,
    ChainError,
    Reason, //
};

/// What `state` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not attested yet, or being attested.
    Pending,
    /// Proven, and a certificate in `.cma` vouches for it.
    Authenticated,
    /// Proven, and an administrator has accepted its identity; `.cma` knows nothing of it.
    Accepted,
    /// Attested in vain.
    Failed,
    /// The device has no means to prove anything.
    Unsupported,
    /// Proven before the system slept, and by policy not attested since; or before the device lost its power.
    Stale,
    /// The device is not attested, by policy.
    Off,
}

impl State {
    /// Whether the device has proven itself.
    pub(crate) fn is_authenticated(self) -> bool {
        matches!(self, Self::Authenticated | Self::Accepted)
    }

    /// The word in sysfs and in events.
    pub(crate) fn name(self) -> &'static str {
        self.as_c_str().to_str().unwrap_or_default()
    }

    /// The same for C.
    pub(crate) fn as_c_str(self) -> &'static CStr {
        match self {
            Self::Pending => c"pending",
            Self::Authenticated => c"authenticated",
            Self::Accepted => c"accepted",
            Self::Failed => c"failed",
            Self::Unsupported => c"unsupported",
            Self::Stale => c"stale",
            Self::Off => c"off",
        }
    }
}

/// How the last attestation ended. What is not [`Verdict::Authenticated`] reads as not authenticated.
pub(crate) enum Verdict {
    /// There is none yet, or it was dropped because it could be stale.
    Pending,
    /// Proven.
    Authenticated(Proof),
    /// Not proven.
    Failed(Failure),
    /// Dropped when the system slept; there will be none before somebody asks.
    Stale,
    /// Not asked for, by policy.
    Off,
}

/// What [`Verdict::Authenticated`] rests on.
pub(crate) struct Proof {
    /// The verified chain and signature.
    pub(crate) authenticated: Authenticated<LeafKey>,
    /// How often the device had been reset when it proved that.
    pub(crate) resets: u32,
}

impl Verdict {
    /// The proof, if it still holds for a device that was reset `resets` times.
    pub(crate) fn proof(&self, resets: u32) -> Option<&Proof> {
        match self {
            Self::Authenticated(proof) if proof.resets == resets => Some(proof),
            _ => None,
        }
    }

    /// The word for user space.
    pub(crate) fn state(&self, resets: u32) -> State {
        match self {
            Self::Pending => State::Pending,
            // It is to be attested again.
            Self::Authenticated(proof) if proof.resets != resets => State::Pending,
            Self::Authenticated(proof) => match proof.authenticated.leaf_key().trust() {
                Trust::Root => State::Authenticated,
                Trust::Identity => State::Accepted,
            },
            Self::Failed(failure) => failure.state(),
            Self::Stale => State::Stale,
            Self::Off => State::Off,
        }
    }
}

/// Why an attestation failed.
pub(crate) enum Failure {
    /// By the protocol.
    Protocol {
        /// What went wrong.
        error: spdm_core::Error,
        /// Which certificate it was, if the chain is not trusted.
        detail: Option<CString>,
        /// Who the device says it is, if only the root was missing.
        offered: Option<Identity>,
    },
    /// The device proved that it is another one than before.
    IdentityChanged(Identity),
    /// The device is authentic, but its measurements are not those that an administrator expects.
    Measurements(Unexpected),
    /// There was no memory to start it.
    OutOfMemory,
}

/// Why measurements are not as expected.
pub(crate) enum Unexpected {
    /// The one with this index is another, or missing.
    Mismatch(u8),
    /// They are not signed.
    Unsigned,
    /// The device has none.
    Missing,
    /// The device did not hand them out as it should.
    Failed(spdm_core::Error),
}

impl From<AllocError> for Failure {
    fn from(_: AllocError) -> Self {
        Self::OutOfMemory
    }
}

impl Failure {
    /// The word for user space.
    fn state(&self) -> State {
        match self {
            Self::Protocol { error, .. } if is_unsupported(error.reason()) => State::Unsupported,
            _ => State::Failed,
        }
    }

    /// The identity that an administrator may accept: one that the device proved or, if nobody vouches for its
    /// chain, only claims.
    pub(crate) fn offered_identity(&self) -> Option<&Identity> {
        match self {
            Self::Protocol { offered, .. } => offered.as_ref(),
            Self::IdentityChanged(identity) => Some(identity),
            Self::Measurements(_) | Self::OutOfMemory => None,
        }
    }

    /// What a writer of `re` gets.
    pub(crate) fn errno(&self) -> Error {
        let error = match self {
            Self::Protocol { error, .. } => error,
            Self::IdentityChanged(_) | Self::Measurements(_) => {
                return errno(bindings::EKEYREJECTED)
            }
            Self::OutOfMemory => return ENOMEM,
        };
        errno(match error.reason() {
            Reason::Timeout | Reason::Deadline => bindings::ETIMEDOUT,
            Reason::Busy | Reason::NotReady => bindings::EBUSY,
            Reason::Gone => bindings::ENODEV,
            Reason::Interrupted => bindings::EINTR,
            Reason::OutOfMemory => bindings::ENOMEM,
            Reason::Transport => bindings::EIO,
            Reason::Chain { error, .. } => match error {
                ChainError::UntrustedRoot => bindings::ENOKEY,
                ChainError::Expired | ChainError::NotYetValid => bindings::EKEYEXPIRED,
                ChainError::Revoked => bindings::EKEYREVOKED,
                ChainError::Internal => bindings::ENOMEM,
                _ => bindings::EKEYREJECTED,
            },
            Reason::BadSignature => bindings::EKEYREJECTED,
            reason if is_unsupported(reason) => bindings::EPROTONOSUPPORT,
            _ => bindings::EPROTO,
        })
    }
}

fn errno(errno: u32) -> Error {
    Error::from_errno(-(errno as i32))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol { error, detail, .. } => {
                core::fmt::Display::fmt(error, f)?;
                match detail.as_ref().and_then(|detail| detail.to_str().ok()) {
                    Some(detail) => write!(f, ": {detail}"),
                    None => Ok(()),
                }
            }
            Self::IdentityChanged(identity) => {
                f.write_str("identity-changed: ")?;
                write_identity(f, identity)
            }
            Self::Measurements(Unexpected::Mismatch(index)) => {
                write!(f, "measurement-mismatch: index {index}")
            }
            Self::Measurements(Unexpected::Unsigned) => f.write_str("measurements-unsigned"),
            Self::Measurements(Unexpected::Missing) => f.write_str("measurements-missing"),
            Self::Measurements(Unexpected::Failed(error)) => {
                f.write_str("measurements-failed: ")?;
                core::fmt::Display::fmt(error, f)
            }
            Self::OutOfMemory => f.write_str("out-of-memory"),
        }
    }
}

/// Reads what [`write_identity`] writes.
///
/// # Errors
///
/// `EINVAL` if it is none.
pub(crate) fn parse_identity(text: &[u8]) -> Result<Identity> {
    let mut identity = [0; 32];
    let mut digits = text.iter();
    for byte in &mut identity {
        *byte = (digit(digits.next())? << 4) | digit(digits.next())?;
    }
    match digits.next() {
        None => Ok(identity),
        Some(_) => Err(EINVAL),
    }
}

fn digit(character: Option<&u8>) -> Result<u8> {
    let value = char::from(*character.ok_or(EINVAL)?).to_digit(16);
    value
        .and_then(|value| u8::try_from(value).ok())
        .ok_or(EINVAL)
}

/// Writes an identity as user space sees it: 64 hexadecimal digits.
pub(crate) fn write_identity(writer: &mut impl Write, identity: &Identity) -> fmt::Result {
    identity
        .iter()
        .try_for_each(|byte| write!(writer, "{byte:02x}"))
}

/// Whether device and kernel have no common ground, as opposed to a device that breaks a rule.
fn is_unsupported(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::UnsupportedVersion
            | Reason::NoCertificateCapability
            | Reason::NoChallengeCapability
            | Reason::NoPublicKey
            | Reason::NothingToOffer
            | Reason::NoAlgorithm
    )
}
