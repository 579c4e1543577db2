// SPDX-License-Identifier: GPL-2.0

//! ERROR and RESPOND_IF_READY.

use zerocopy_derive::{FromBytes, Immutable, KnownLayout, Unaligned};

use crate::{
    capabilities::MAX_TIME_EXPONENT,
    error::{ErrorCode, Reason},
    message::{Header, Reader, RequestCode}, //
};

/// An ERROR that does not end the exchange.
pub(crate) enum Again {
    /// Busy: the request is to be sent again, later.
    Busy,
    /// ResponseNotReady: the response is to be fetched with RESPOND_IF_READY.
    NotReady(NotReady),
    /// LargeResponse: the response is to be fetched with CHUNK_GET, under this handle.
    Large(u8),
}

/// Extended error data of ResponseNotReady (DSP0274, "ResponseNotReady extended error data").
///
/// # Invariants
///
/// When it is in [`Again::NotReady`], its fields obey the rules of the standard.
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct NotReady {
    rdt_exponent: u8,
    request_code: u8,
    token: u8,
    rdt_multiplier: u8,
}

impl NotReady {
    fn check(self, request: RequestCode) -> Result<Self, Reason> {
        if self.request_code != request.as_byte() {
            return Err(Reason::NotReadyRequest);
        }
        if self.rdt_exponent > MAX_TIME_EXPONENT {
            return Err(Reason::NotReadyExponent);
        }
        if self.rdt_multiplier <= 1 {
            return Err(Reason::NotReadyMultiplier);
        }
        Ok(self)
    }

    /// How long to wait in microseconds before the response is asked for ("RDT").
    pub(crate) fn delay_us(self) -> u64 {
        power_of_two(self.rdt_exponent)
    }

    /// How long in microseconds it is worth asking ("WTMax").
    pub(crate) fn limit_us(self) -> u64 {
        self.delay_us().saturating_mul(self.rdt_multiplier.into())
    }

    /// How often WTMax is longer than RDT ("RDTM").
    pub(crate) const fn multiplier(self) -> u8 {
        self.rdt_multiplier
    }

    /// Names the request that the responder is working on.
    pub(crate) const fn token(self) -> u8 {
        self.token
    }

    /// RESPOND_IF_READY for it. `version` is SPDMVersion of the request.
    pub(crate) const fn respond_if_ready(self, version: u8) -> Header {
        Header {
            version,
            code: RequestCode::RespondIfReady.as_byte(),
            param1: self.request_code,
            param2: self.token,
        }
    }
}

/// 2 to the power of an exponent that was checked not to exceed 23.
pub(crate) fn power_of_two(exponent: u8) -> u64 {
    1u64.checked_shl(exponent.into()).unwrap_or(u64::MAX)
}

/// Judges an ERROR response to `request`.
///
/// # Errors
///
/// Every error code but Busy, ResponseNotReady and LargeResponse, and those if they break a rule.
pub(crate) fn judge(
    header: &Header,
    mut data: Reader<'_>,
    request: RequestCode,
    alignment: usize,
) -> Result<Again, Reason> {
    let code = ErrorCode(header.param1);
    let again = match code {
        ErrorCode::BUSY => Ok(Again::Busy),
        ErrorCode::RESPONSE_NOT_READY => {
            // The one request that a responder must be ready for.
            if request == RequestCode::GetVersion {
                return Err(Reason::NotReadyIllegal);
            }
            let not_ready = data.read::<NotReady>();
            let not_ready = not_ready.map_err(|_| Reason::ErrorDataSize)?;
            not_ready.check(request).map(Again::NotReady)
        }
        ErrorCode::LARGE_RESPONSE => {
            let handle = data.read::<u8>();
            Ok(Again::Large(*handle.map_err(|_| Reason::ErrorDataSize)?))
        }
        ErrorCode::REQUEST_RESYNCH => Err(Reason::RequestResynch),
        _ => return Err(Reason::ErrorResponse(code)),
    };
    if is_padding(data.rest(), alignment) {
        again
    } else {
        Err(Reason::ErrorDataSize)
    }
}

/// Whether `rest` is what a transport may have added to a message to fill it up to `alignment` bytes.
pub(crate) fn is_padding(rest: &[u8], alignment: usize) -> bool {
    rest.len() < alignment.max(1) && rest.iter().all(|byte| *byte == 0)
}
