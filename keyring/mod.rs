// SPDX-License-Identifier: GPL-2.0

//! Trust: root certificates, certificate chains, public keys and hashes.
//!
//! [`chain`], [`der`], [`oid`], [`pci_identity`], [`pss`], [`text`], [`time`] and [`x509`] know nothing of the
//! kernel, so that the same files are tested on the host (`tools/testing/keyring`).

mod anchor;
mod buffer;
mod chain;
mod cma;
mod der;
mod device_key;
mod hash;
mod key;
mod oid;
mod pci_identity;
mod pss;
mod restriction;
#[cfg(CONFIG_SPDM_KUNIT_TEST)]
mod test_chain;
mod text;
mod time;
mod x509;

pub(crate) use anchor::{
    Anchor,
    Identity,
    LeafKey,
    Trust, //
};
pub(crate) use buffer::ChainBuf;
pub(crate) use cma::Cma;
#[cfg(CONFIG_SPDM_MCTP)]
pub(crate) use cma::KernelCredentials;
pub(crate) use device_key::ProvisionedKey;
pub(crate) use hash::KernelHash;
pub(crate) use pci_identity::PciIdentity;
pub(crate) use restriction::{
    is_sealed,
    seal, //
};
