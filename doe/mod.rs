// SPDX-License-Identifier: GPL-2.0

//! Transport over PCI Data Object Exchange (PCIe r6.0 section 6.30) through the PCI core's mailboxes.
//!
//! C header: [`include/linux/pci-doe.h`](srctree/include/linux/pci-doe.h)

use crate::{
    bindings,
    cancel::Cancel,
    pci::Function,
    platform::Stopwatch, //
};
use core::ptr::NonNull;
use kernel::prelude::*;
use spdm_core::transport::{
    Transport,
    TransportError, //
};

/// Vendor ID of the data object types that the PCI-SIG defines.
const PCI_SIG: u16 = 1;
/// Data object type of CMA messages (PCIe r6.0 table 6-32).
const CMA: u8 = bindings::PCI_DOE_FEATURE_CMA as u8;

/// Largest SPDM message in bytes that is sent or asked for.
///
/// A data object may be 1 MiB long. This is less than emulated devices carry; what is larger comes in chunks.
const MAX_MESSAGE_SIZE: usize = 4096;

/// A mailbox has to answer within a second (PCIe r6.0 section 6.30.2), and an abort of the exchange before may take
/// as long. The PCI core keeps that.
const ROUND_TRIP_US: u32 = 2_000_000;

/// What failed after this time failed because the second was over. Half of it, because the PCI core counts jiffies,
/// which catch up after the system slept.
const TIMEOUT_US: u64 = 500_000;

/// The CMA mailbox of a function.
#[derive(Clone, Copy)]
pub(crate) struct Mailbox(NonNull<bindings::pci_doe_mb>);

// SAFETY: The PCI core serialises exchanges; a mailbox may be used from any thread.
unsafe impl Send for Mailbox {}
// SAFETY: As above.
unsafe impl Sync for Mailbox {}

impl Mailbox {
    /// Finds the mailbox of `function` that carries CMA messages, if it has one.
    pub(crate) fn find(function: &Function) -> Option<Self> {
        // SAFETY: `function` is a valid PCI device whose mailboxes exist as long as it is registered.
        let mailbox = unsafe { bindings::pci_find_doe_mailbox(function.as_raw(), PCI_SIG, CMA) };
        NonNull::new(mailbox).map(Self)
    }
}

/// Exchanges messages with a function whose mailbox is alive for `'a`.
pub(crate) struct Doe<'a> {
    mailbox: Mailbox,
    function: &'a Function,
    cancel: &'a Cancel,
}

impl<'a> Doe<'a> {
    /// Opens the transport.
    ///
    /// # Safety
    ///
    /// `mailbox` belongs to `function`, which stays registered for `'a`: the PCI core frees the mailboxes of a
    /// function after it has notified of its removal.
    pub(crate) unsafe fn new(mailbox: Mailbox, function: &'a Function, cancel: &'a Cancel) -> Self {
        Self {
            mailbox,
            function,
            cancel,
        }
    }
}

impl Transport for Doe<'_> {
    fn max_message_size(&self) -> usize {
        MAX_MESSAGE_SIZE
    }

    fn alignment(&self) -> usize {
        4
    }

    fn round_trip_us(&self) -> u32 {
        ROUND_TRIP_US
    }

    // The PCI core keeps the binding's own limit of a second and cannot be told another.
    fn exchange(
        &mut self,
        request: &[u8],
        response: &mut [u8],
        _timeout_us: u32,
    ) -> Result<usize, TransportError> {
        if self.function.is_disconnected() {
            return Err(TransportError::Gone);
        }
        self.cancel
            .check()
            .map_err(|_| TransportError::Interrupted)?;
        let stopwatch = Stopwatch::start();
        // SAFETY: The mailbox is alive by the contract of `Doe::new`; the buffers are valid for their lengths.
        let received = unsafe {
            bindings::pci_doe(
                self.mailbox.0.as_ptr(),
                PCI_SIG,
                CMA,
                request.as_ptr().cast(),
                request.len(),
                response.as_mut_ptr().cast(),
                response.len(),
            )
        };
        match usize::try_from(received) {
            Ok(received) if received <= response.len() => Ok(received),
            Ok(_) => Err(TransportError::TooLarge),
            Err(_) if self.function.is_disconnected() => Err(TransportError::Gone),
            // The PCI core says -EIO for everything.
            Err(_) if stopwatch.elapsed_us() >= TIMEOUT_US => Err(TransportError::Timeout),
            Err(_) => Err(TransportError::Io),
        }
    }
}
