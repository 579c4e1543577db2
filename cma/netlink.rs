// SPDX-License-Identifier: GPL-2.0

//! Generic netlink family `spdm`: what netlink.c asks for.

use crate::{
    bindings,
    class::{
        as_raw,
        subject, //
    },
    evidence::Evidence,
    subsystem, //
};
use kernel::{
    bindings::device,
    error::to_result,
    ffi::{
        c_char,
        c_void, //
    },
    prelude::*,
    sync::Arc, //
};
use spdm_core::SignedFor;

/// The family, registered until it is dropped.
pub(crate) struct Family(());

impl Family {
    /// Registers the family.
    pub(crate) fn register() -> Result<Self> {
        // SAFETY: Called once, when the module is loaded.
        to_result(unsafe { bindings::spdm_netlink_register() })?;
        Ok(Self(()))
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        // SAFETY: The family is registered.
        unsafe { bindings::spdm_netlink_unregister() };
    }
}

/// The evidence of the last attestation of the device of the class with that name or, if there is a nonce, of one that
/// uses it. Also its parent, which the caller puts. Called by netlink.c.
///
/// # Safety
///
/// `name` is a string, `nonce` null or 32 bytes, `parent` can be written.
#[no_mangle]
unsafe extern "C" fn spdm_evidence_open(
    name: *const c_char,
    nonce: *const u8,
    parent: *mut *mut device,
) -> *mut c_void {
    let open = || -> Result<Arc<Evidence>> {
        let subsystem = subsystem::running().ok_or(ENODEV)?;
        // SAFETY: By the contract.
        let (attester, device) = unsafe { subsystem.class().find(name) }.ok_or(ENODEV)?;
        // SAFETY: By the contract.
        let nonce = unsafe { nonce.cast::<[u8; 32]>().as_ref() };
        let evidence = attester.evidence(nonce)?;
        // SAFETY: By the contract. The device that is written is alive.
        unsafe { parent.write(bindings::get_device(as_raw(&subject(&device)))) };
        Ok(evidence)
    };
    match open() {
        Ok(evidence) => Arc::into_raw(evidence).cast_mut().cast(),
        Err(error) => error.to_ptr(),
    }
}

/// What there is of a type of evidence from `offset` on, as far as it is in one piece; nothing only at the end. Called by
/// publish.c and netlink.c.
///
/// # Safety
///
/// `evidence` is from [`spdm_evidence_open`], `len` can be written.
#[no_mangle]
unsafe extern "C" fn spdm_evidence_get(
    evidence: *const c_void,
    kind: u32,
    offset: usize,
    len: *mut usize,
) -> *const u8 {
    // SAFETY: By the contract.
    let evidence = unsafe { &*evidence.cast::<Evidence>() };
    let piece = |piece: &[u8]| {
        // SAFETY: By the contract.
        unsafe { len.write(piece.len()) };
        piece.as_ptr()
    };
    let value = match kind {
        slot @ 0..=7 => match &evidence.chain {
            Some(chain) if u32::from(chain.slot) == slot => chain.bytes(),
            _ => &[],
        },
        bindings::spdm_evidence_SPDM_EVIDENCE_VCA => evidence.vca(),
        bindings::spdm_evidence_SPDM_EVIDENCE_MEASUREMENTS => {
            return piece(evidence.piece(SignedFor::Measurements, offset));
        }
        bindings::spdm_evidence_SPDM_EVIDENCE_CHALLENGE => {
            return piece(evidence.piece(SignedFor::ChallengeAuth, offset));
        }
        bindings::spdm_evidence_SPDM_EVIDENCE_INFO => evidence.info(),
        _ => &[],
    };
    piece(value.get(offset..).unwrap_or_default())
}

/// Gives evidence back. Called by netlink.c.
///
/// # Safety
///
/// `evidence` is from [`spdm_evidence_open`], and is not used any more.
#[no_mangle]
unsafe extern "C" fn spdm_evidence_close(evidence: *mut c_void) {
    // SAFETY: By the contract.
    drop(unsafe { Arc::from_raw(evidence.cast::<Evidence>()) });
}
