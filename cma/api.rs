// SPDX-License-Identifier: GPL-2.0

//! Attestation for other kernel code: `spdm.h` for C, [`Endpoint`](crate::attester::Endpoint) for Rust.
//!
//! C header: [`spdm.h`](srctree/drivers/spdm/cma/spdm.h)

use crate::{
    attester::{
        Attester,
        Endpoint, //
    },
    bindings::{
        self,
        spdm_attester,
        spdm_transport, //
    },
    cancel::Cancel,
    policy::Policy,
    subsystem::{
        self,
        Registration, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    bindings::device,
    ffi::{
        c_char,
        c_int,
        c_void, //
    },
    prelude::*,
    sync::Arc, //
};
use spdm_core::transport::{
    Transport,
    TransportError, //
};

/// A transport that another driver provides.
///
/// # Invariants
///
/// `transport` is valid as long as the object lives and has an `exchange`, and `private` is what it takes.
pub(crate) struct Foreign {
    transport: NonNull<spdm_transport>,
    private: *mut c_void,
}

// SAFETY: spdm.h allows the transport's functions to be called from any process context.
unsafe impl Send for Foreign {}
// SAFETY: Attestations of one device never overlap, so calls do not.
unsafe impl Sync for Foreign {}

impl Foreign {
    /// The transport, for one attestation.
    pub(crate) fn transport<'a>(&'a self, cancel: &'a Cancel) -> ForeignTransport<'a> {
        ForeignTransport {
            foreign: self,
            cancel,
        }
    }

    fn description(&self) -> &spdm_transport {
        // SAFETY: By the type invariant.
        unsafe { self.transport.as_ref() }
    }
}

/// [`Foreign`] in use.
pub(crate) struct ForeignTransport<'a> {
    foreign: &'a Foreign,
    cancel: &'a Cancel,
}

impl Transport for ForeignTransport<'_> {
    fn max_message_size(&self) -> usize {
        self.foreign.description().max_message_size as usize
    }

    fn alignment(&self) -> usize {
        self.foreign.description().alignment as usize
    }

    fn round_trip_us(&self) -> u32 {
        self.foreign.description().round_trip_us
    }

    fn exchange(
        &mut self,
        request: &[u8],
        response: &mut [u8],
        timeout_us: u32,
    ) -> Result<usize, TransportError> {
        let Some(exchange) = self.foreign.description().exchange else {
            return Err(TransportError::Io);
        };
        self.cancel
            .check()
            .map_err(|_| TransportError::Interrupted)?;
        // SAFETY: The function takes `private` by the type invariant of `Foreign`; the buffers are valid for their
        // lengths.
        let received = unsafe {
            exchange(
                self.foreign.private,
                request.as_ptr().cast(),
                request.len(),
                response.as_mut_ptr().cast(),
                response.len(),
                timeout_us,
            )
        };
        match usize::try_from(received) {
            Ok(received) if received <= response.len() => Ok(received),
            Ok(_) => Err(TransportError::TooLarge),
            Err(_) => Err(match u32::try_from(received.unsigned_abs()) {
                Ok(bindings::ETIMEDOUT) => TransportError::Timeout,
                Ok(bindings::ENODEV) => TransportError::Gone,
                Ok(bindings::EMSGSIZE) => TransportError::TooLarge,
                Ok(bindings::EINTR) => TransportError::Interrupted,
                _ => TransportError::Io,
            }),
        }
    }
}

// The functions are what spdm.h declares.
const _: unsafe extern "C" fn(
    *mut device,
    *const c_char,
    *const spdm_transport,
    *mut c_void,
) -> *mut spdm_attester = if true {
    spdm_create
} else {
    bindings::spdm_create
};
const _: unsafe extern "C" fn(*mut spdm_attester) -> c_int = if true {
    spdm_authenticate
} else {
    bindings::spdm_authenticate
};
const _: unsafe extern "C" fn(*mut spdm_attester) = if true {
    spdm_destroy
} else {
    bindings::spdm_destroy
};

/// Makes an attester for a device; see spdm.h.
///
/// # Safety
///
/// As spdm.h says: `dev` is registered, `name` a string, and `transport` valid until [`spdm_destroy`].
#[no_mangle]
pub(crate) unsafe extern "C" fn spdm_create(
    dev: *mut device,
    name: *const c_char,
    transport: *const spdm_transport,
    private: *mut c_void,
) -> *mut spdm_attester {
    // SAFETY: By the contract.
    match unsafe { create(dev, name, transport, private) } {
        Ok(registration) => KBox::into_raw(registration).cast(),
        // CAST: An error pointer.
        Err(error) => error.to_ptr(),
    }
}

/// # Safety
///
/// As [`spdm_create`].
unsafe fn create(
    dev: *mut device,
    name: *const c_char,
    transport: *const spdm_transport,
    private: *mut c_void,
) -> Result<KBox<Registration>> {
    let transport = NonNull::new(transport.cast_mut()).ok_or(EINVAL)?;
    // SAFETY: By the contract.
    let description = unsafe { transport.as_ref() };
    if dev.is_null()
        || name.is_null()
        || description.exchange.is_none()
        || description.max_message_size < MIN_MESSAGE_SIZE
        || !(1..=MAX_ALIGNMENT).contains(&description.alignment)
    {
        return Err(EINVAL);
    }
    let subsystem =
        subsystem::running().ok_or(Error::from_errno(-(bindings::EPROBE_DEFER as c_int)))?;
    let attester: Arc<Attester> = Attester::new(
        &subsystem,
        // INVARIANT: The contract is the invariant.
        Endpoint::Foreign(Foreign { transport, private }),
        Policy::Audit,
    )?;
    // SAFETY: `dev` is registered by the contract, `name` a string; whoever uses this keeps the module loaded.
    let registration = unsafe { Registration::new(subsystem.class(), dev, c"", name, attester)? };
    Ok(KBox::new(registration, GFP_KERNEL)?)
}

/// Smallest DataTransferSize (DSP0274, "GET_CAPABILITIES request and CAPABILITIES response messages").
const MIN_MESSAGE_SIZE: u32 = 42;
/// No binding pads to more.
const MAX_ALIGNMENT: u32 = 4;

/// Attests a device now; see spdm.h.
///
/// # Safety
///
/// `attester` is from [`spdm_create`].
#[no_mangle]
pub(crate) unsafe extern "C" fn spdm_authenticate(attester: *mut spdm_attester) -> c_int {
    // A reference of our own: `spdm_destroy` may be called meanwhile.
    // SAFETY: By the contract, this is a pointer that `spdm_create` made of a `Registration`.
    let attester = unsafe { &*attester.cast::<Registration>() }
        .attester()
        .clone();
    match attester.attest() {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// Removes an attester; see spdm.h.
///
/// # Safety
///
/// `attester` is from [`spdm_create`] and not used any more.
#[no_mangle]
pub(crate) unsafe extern "C" fn spdm_destroy(attester: *mut spdm_attester) {
    // SAFETY: By the contract, this owns what `spdm_create` made.
    drop(unsafe { KBox::from_raw(attester.cast::<Registration>()) });
}
