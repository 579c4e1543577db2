// SPDX-License-Identifier: GPL-2.0

//! Finds PCI functions: those that are there, and those that come and go.
//!
//! C header: [`include/linux/device/bus.h`](srctree/include/linux/device/bus.h)

use crate::{
    bindings,
    subsystem, //
};
use kernel::{
    bindings::{
        device,
        notifier_block, //
    },
    device::Device,
    error::to_result,
    ffi::{
        c_int,
        c_ulong,
        c_void, //
    },
    prelude::*,
    types::Opaque, //
};

/// Listens on the PCI bus.
///
/// # Invariants
///
/// The notifier block is registered as long as the object lives.
#[pin_data(PinnedDrop)]
pub(crate) struct Notifier {
    #[pin]
    block: Opaque<notifier_block>,
}

// SAFETY: The bus serialises access to a registered notifier block.
unsafe impl Send for Notifier {}
// SAFETY: As above.
unsafe impl Sync for Notifier {}

impl Notifier {
    /// Starts to listen.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            block <- Opaque::try_ffi_init(|slot: *mut notifier_block| {
                let block = notifier_block {
                    notifier_call: Some(notified),
                    ..Default::default()
                };
                // SAFETY: `slot` is valid for writes.
                unsafe { slot.write(block) };
                // SAFETY: `slot` is initialised, and pinned until `drop` has unregistered it.
                to_result(unsafe {
                    bindings::bus_register_notifier(&raw const bindings::pci_bus_type, slot)
                })
            }),
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Notifier {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant. This waits for calls that run.
        unsafe {
            bindings::bus_unregister_notifier(&raw const bindings::pci_bus_type, self.block.get())
        };
    }
}

/// # Safety
///
/// `data` is a device of the PCI bus.
unsafe extern "C" fn notified(
    _block: *mut notifier_block,
    action: c_ulong,
    data: *mut c_void,
) -> c_int {
    let dev = data.cast::<device>();
    let Some(subsystem) = subsystem::running() else {
        return bindings::NOTIFY_DONE as c_int;
    };
    match action as u32 {
        bindings::bus_notifier_event_BUS_NOTIFY_ADD_DEVICE => add(dev),
        // Comes before the function's mailboxes are freed.
        bindings::bus_notifier_event_BUS_NOTIFY_DEL_DEVICE => subsystem.remove(dev),
        // A driver's probe waits for its own device, and for no other.
        bindings::bus_notifier_event_BUS_NOTIFY_BIND_DRIVER => {
            if let Some(attester) = subsystem.find(dev) {
                attester.wait();
            }
        }
        // Somebody may have set the name of a driver by hand.
        bindings::bus_notifier_event_BUS_NOTIFY_BOUND_DRIVER => {
            if let Some(attester) = subsystem.find(dev) {
                attester.enforce();
            }
        }
        _ => {}
    }
    bindings::NOTIFY_OK as c_int
}

fn add(dev: *mut device) {
    let Some(subsystem) = subsystem::running() else {
        return;
    };
    // SAFETY: The bus notifies of devices that it has just added, and `scan` walks those that are there; before one
    // goes it notifies again, and that removes the attester.
    if let Err(error) = unsafe { subsystem.add(dev) } {
        // SAFETY: `dev` is a valid device.
        let dev: &Device = unsafe { Device::from_raw(dev) };
        dev_err!(dev, "no attestation: {:?}\n", error);
    }
}

/// No function comes or goes while it lives.
pub(crate) struct RescanLock(());

impl RescanLock {
    /// Waits for those that come or go now.
    pub(crate) fn new() -> Self {
        // SAFETY: The lock is released by `drop`.
        unsafe { bindings::pci_lock_rescan_remove() };
        Self(())
    }
}

impl Drop for RescanLock {
    fn drop(&mut self) {
        // SAFETY: The lock was taken by `new`.
        unsafe { bindings::pci_unlock_rescan_remove() };
    }
}

/// Finds the functions that are there already. Without the lock, one that is removed meanwhile could go unnoticed
/// between walk and registration.
pub(crate) fn scan(_lock: &RescanLock) {
    // SAFETY: `visit` is called with devices of the bus.
    unsafe {
        bindings::bus_for_each_dev(
            &raw const bindings::pci_bus_type,
            core::ptr::null_mut(),
            core::ptr::null_mut(),
            Some(visit),
        )
    };
}

/// # Safety
///
/// `dev` is a device of the PCI bus.
unsafe extern "C" fn visit(dev: *mut device, _data: *mut c_void) -> c_int {
    add(dev);
    0
}
