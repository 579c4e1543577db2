// SPDX-License-Identifier: GPL-2.0

//! Host tests of the parts of `keyring/` that are pure: the DER and X.509 reader, the rules for
//! certificate chains and the encoding of RSASSA-PSS. They are compiled here from the files that Kbuild compiles into the module.

#![cfg(test)]
#![forbid(unsafe_code)]

#[path = "../../../../mctp/address.rs"]
mod address;
#[path = "../../../../keyring/chain.rs"]
mod chain;
#[path = "../../../../mctp/control.rs"]
mod control;
#[path = "../../../../keyring/der.rs"]
mod der;
#[path = "../../../../keyring/oid.rs"]
mod oid;
#[path = "../../../../keyring/pci_identity.rs"]
mod pci_identity;
#[path = "../../../../keyring/pss.rs"]
mod pss;
#[path = "../../../../keyring/text.rs"]
mod text;
#[path = "../../../../keyring/time.rs"]
mod time;
#[path = "../../../../keyring/x509.rs"]
mod x509;

mod builder;
mod chain_tests;
mod der_tests;
mod openssl_tests;
mod pss_tests;
mod x509_tests;
