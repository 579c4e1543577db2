// SPDX-License-Identifier: GPL-2.0

//! What may be linked to the keyring `.cma`, and word of it.
//!
//! C header: [`include/linux/key.h`](srctree/include/linux/key.h)

use super::key::Key;
use crate::{
    bindings,
    subsystem, //
};
use core::ptr;
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Release, //
    }, //
};

/// Whether nothing may be linked any more.
static SEALED: Atomic<bool> = Atomic::new(false);

/// Lets nobody add a certificate to `.cma`, until the system is started again.
pub(crate) fn seal() {
    SEALED.store(true, Release);
}

/// Whether [`seal`] was called.
pub(crate) fn is_sealed() -> bool {
    SEALED.load(Acquire)
}

/// Makes a restriction for a keyring, which takes it over.
///
/// # Errors
///
/// `ENOMEM`.
pub(super) fn new() -> Result<KBox<bindings::key_restriction>> {
    let restriction = bindings::key_restriction {
        check: Some(check),
        ..Default::default()
    };
    Ok(KBox::new(restriction, GFP_KERNEL)?)
}

/// Takes [`new`]'s restriction from `keyring`, which may outlive this module.
pub(super) fn remove(keyring: &Key) {
    let keyring = keyring.as_ptr();
    // SAFETY: The keyring is valid. Whoever adds a link holds its semaphore while it looks at the restriction, which
    // is the one that `new` made.
    unsafe {
        bindings::down_write(&raw mut (*keyring).sem);
        let restriction = (*keyring).restrict_link;
        if let Some(restriction) = restriction.as_mut() {
            restriction.check = None;
        }
        bindings::up_write(&raw mut (*keyring).sem);
    }
}

/// Waits for whoever is linking to `keyring`: [`check`] is called before the link is there.
pub(super) fn settle(keyring: &Key) {
    // SAFETY: The keyring is valid, and the semaphore is released at once.
    unsafe {
        bindings::down_read(&raw mut (*keyring.as_ptr()).sem);
        bindings::up_read(&raw mut (*keyring.as_ptr()).sem);
    }
}

/// Called for each key that is about to be linked to the keyring, with its semaphore held.
///
/// # Safety
///
/// None; the signature is C's.
unsafe extern "C" fn check(
    _keyring: *mut bindings::key,
    key_type: *const bindings::key_type,
    _payload: *const bindings::key_payload,
    _restriction_key: *mut bindings::key,
) -> c_int {
    if !ptr::eq(key_type, &raw const bindings::key_type_asymmetric) {
        return EOPNOTSUPP.to_errno();
    }
    if is_sealed() {
        return EPERM.to_errno();
    }
    if let Some(subsystem) = subsystem::running() {
        subsystem.root_added();
    }
    0
}
