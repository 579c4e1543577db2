// SPDX-License-Identifier: GPL-2.0

//! The parts of `keyring/` that need no kernel.
#![allow(dead_code, reason = "what is tested elsewhere is not used here")]

#[path = "../../../../../keyring/chain.rs"]
pub(crate) mod chain;
#[path = "../../../../../keyring/der.rs"]
pub(crate) mod der;
#[path = "../../../../../keyring/oid.rs"]
mod oid;
#[path = "../../../../../keyring/pci_identity.rs"]
pub(crate) mod pci_identity;
#[path = "../../../../../keyring/pss.rs"]
pub(crate) mod pss;
#[path = "../../../../../keyring/text.rs"]
mod text;
#[path = "../../../../../keyring/time.rs"]
mod time;
#[path = "../../../../../keyring/x509.rs"]
pub(crate) mod x509;
