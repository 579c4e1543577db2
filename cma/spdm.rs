// SPDX-License-Identifier: GPL-2.0

//! Device attestation with the Security Protocol and Data Model (DMTF DSP0274).
//!
//! PCI devices with Component Measurement and Authentication (CMA, PCIe r6.0 section 6.31) are
//! attested when they are found and on request, and so are MCTP endpoints that an administrator adds. `Documentation/` says how it is used.

mod api;
mod attester;
mod bindings;
mod bus;
mod cancel;
mod class;
mod evidence;
mod measurements;
mod netlink;
mod pci;
mod platform;
mod policy;
mod publish;
mod subsystem;
mod verdict;

#[path = "../doe/mod.rs"]
mod doe;
#[path = "../keyring/mod.rs"]
mod keyring;
#[cfg(CONFIG_SPDM_MCTP)]
#[path = "../mctp/mod.rs"]
mod mctp;

use kernel::prelude::*;

module! {
    type: subsystem::Module,
    name: "spdm",
    authors: ["The linux-spdm authors"],
    description: "Device attestation with SPDM (DMTF DSP0274)",
    license: "GPL",
}
