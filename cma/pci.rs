// SPDX-License-Identifier: GPL-2.0

//! PCI functions, as far as attestation needs them.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use crate::{
    bindings,
    keyring::PciIdentity, //
};
use core::ptr::NonNull;
use kernel::{
    bindings::{
        device,
        pci_dev, //
    },
    error::to_result,
    ffi::c_char,
    prelude::*, //
};

/// A counted reference to a PCI function.
///
/// # Invariants
///
/// Holds a reference to a valid `struct pci_dev`.
pub(crate) struct Function(NonNull<pci_dev>);

// SAFETY: A PCI device may be referenced and released from any thread.
unsafe impl Send for Function {}
// SAFETY: What is read through it is constant while the device exists, or read as a volatile.
unsafe impl Sync for Function {}

/// Configuration header of an endpoint, the only one with subsystem IDs.
const HEADER_TYPE_NORMAL: u8 = bindings::PCI_HEADER_TYPE_NORMAL as u8;

/// `PCI_D3cold`, a cast that bindgen does not evaluate.
const D3COLD: bindings::pci_power_t = 4;

impl Function {
    /// Takes a reference to the function that `dev` is part of.
    ///
    /// # Safety
    ///
    /// `dev` is a device of the PCI bus.
    pub(crate) unsafe fn from_device(dev: *mut device) -> Option<Self> {
        // SAFETY: By the contract, `dev` is the `dev` member of a `struct pci_dev`.
        let pdev = unsafe { kernel::container_of!(dev, pci_dev, dev) };
        // SAFETY: `pdev` is valid.
        let pdev = unsafe { bindings::pci_dev_get(pdev) };
        // INVARIANT: `pci_dev_get()` took a reference.
        NonNull::new(pdev).map(Self)
    }

    /// The C object.
    pub(crate) fn as_raw(&self) -> *mut pci_dev {
        self.0.as_ptr()
    }

    /// The function's generic device.
    pub(crate) fn as_device(&self) -> *mut device {
        // SAFETY: `self.0` is valid by the type invariant.
        unsafe { &raw mut (*self.0.as_ptr()).dev }
    }

    /// The function's address, a string that lives as long as the device is registered.
    pub(crate) fn name(&self) -> *const c_char {
        // SAFETY: `self.0` is valid by the type invariant.
        unsafe { bindings::dev_name(self.as_device()) }
    }

    /// What the function's certificate has to say about it (PCIe r6.0 section 6.31.3).
    pub(crate) fn identity(&self) -> PciIdentity {
        // SAFETY: `self.0` is valid by the type invariant, and these fields are set before the device is
        // registered.
        let pdev = unsafe { self.0.as_ref() };
        // SAFETY: `self.0` is valid.
        let serial = unsafe { bindings::pci_get_dsn(self.as_raw()) };
        PciIdentity {
            vendor: pdev.vendor,
            device: pdev.device,
            class: pdev.class,
            revision: pdev.revision,
            subsystem: (pdev.hdr_type == HEADER_TYPE_NORMAL)
                .then_some((pdev.subsystem_vendor, pdev.subsystem_device)),
            serial: (serial != 0).then_some(serial),
        }
    }

    /// Whether the PCI core knows that the function is no longer there.
    pub(crate) fn is_disconnected(&self) -> bool {
        // SAFETY: `self.0` is valid by the type invariant; the field changes at any time.
        let state = unsafe { (&raw const (*self.as_raw()).error_state).read_volatile() };
        state == bindings::pci_channel_io_perm_failure
    }

    /// Whether the function is in its slot, as far as its config space tells.
    pub(crate) fn is_present(&self) -> bool {
        // SAFETY: `self.0` is valid by the type invariant.
        unsafe { bindings::pci_device_is_present(self.as_raw()) }
    }

    /// Whether the function has power. The PCI core takes one that it could not read once for one that has none.
    pub(crate) fn has_power(&self) -> bool {
        // SAFETY: `self.0` is valid by the type invariant; the field changes at any time.
        let state = unsafe { (&raw const (*self.as_raw()).current_state).read_volatile() };
        state != D3COLD || self.is_present()
    }

    /// Whether the PCI/TSM core attests the function.
    pub(crate) fn has_tsm(&self) -> bool {
        // SAFETY: `self.0` is valid by the type invariant.
        unsafe { bindings::spdm_pci_has_tsm(self.as_raw()) }
    }

    /// Whether the attribute `authenticated` of the function is SPDM's.
    pub(crate) fn has_attributes(&self) -> bool {
        // SAFETY: `self.0` is valid by the type invariant.
        unsafe { bindings::spdm_pci_has_groups(self.as_raw()) }
    }

    /// Lets no driver match that is not bound already.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn block_drivers(&self) -> Result {
        // SAFETY: `self.0` is valid by the type invariant.
        to_result(unsafe { bindings::spdm_pci_block_drivers(self.as_raw()) })
    }

    /// Undoes [`Function::block_drivers`] and binds a driver that matches.
    pub(crate) fn allow_drivers(&self) {
        // SAFETY: `self.0` is valid by the type invariant.
        unsafe { bindings::spdm_pci_allow_drivers(self.as_raw()) };
    }

    /// Unbinds the driver, if there is one.
    pub(crate) fn unbind_driver(&self) {
        // SAFETY: `self.0` is valid by the type invariant.
        unsafe { bindings::device_release_driver(self.as_device()) };
    }

    /// Takes bus mastering from the function: it can neither read nor write memory, nor interrupt with messages.
    pub(crate) fn clear_master(&self) {
        // SAFETY: `self.0` is valid by the type invariant.
        unsafe { bindings::pci_clear_master(self.as_raw()) };
    }

    /// Makes the PCI core refuse accesses to the function's config space, so that its driver cannot enable bus
    /// mastering again, or ends that.
    ///
    /// A function that is gone stays offline.
    pub(crate) fn set_offline(&self, offline: bool) {
        // SAFETY: `self.0` is valid by the type invariant.
        unsafe { bindings::spdm_pci_set_offline(self.as_raw(), offline) };
    }

    /// Keeps the function in D0 while the guard lives.
    pub(crate) fn resume(&self) -> Resumed<'_> {
        // SAFETY: `self.0` is valid by the type invariant.
        unsafe { bindings::spdm_pci_resume(self.as_raw()) };
        Resumed(self)
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, this owns a reference.
        unsafe { bindings::pci_dev_put(self.as_raw()) };
    }
}

/// The function does not suspend.
pub(crate) struct Resumed<'a>(&'a Function);

impl Drop for Resumed<'_> {
    fn drop(&mut self) {
        // SAFETY: The function is valid; this undoes the call in `Function::resume`.
        unsafe { bindings::spdm_pci_release(self.0.as_raw()) };
    }
}
