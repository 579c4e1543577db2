// SPDX-License-Identifier: GPL-2.0

//! An SPDM (DMTF DSP0274) responder for tests, and the certificates it needs.
//!
//! It answers as the standard says, or misbehaves in one chosen way and in nothing else. It shares
//! no code with the requester it is to test.
//!
//! * [`device::Device`] answers messages, one by one, in the same process.
//! * [`devices::Devices`] puts many of them behind sockets, for QEMU, behind the mailboxes of
//!   doe_emu in the running kernel, or behind serial lines, as MCTP endpoints, and takes orders.
//! * [`config`] is what a device can be told to be, [`fault`] how it can misbehave,
//!   [`variant`] which certificate chains it can have; [`pki`] makes those.
//!
//! ```
//! # fn main() -> anyhow::Result<()> {
//! # let directory = std::env::temp_dir().join(format!("responder-{}", std::process::id()));
//! use spdm_responder::{config::Config, device::{Device, Reply}, pki::Pki};
//!
//! let pki = std::sync::Arc::new(Pki::open(&directory)?);
//! let config = Config::new(0).changed("version=1.2,1.3 asym=ecdsa-p256 fault=busy");
//! let mut device = Device::new(pki, config.map_err(anyhow::Error::msg)?)?;
//! let get_version = [0x10, 0x84, 0, 0];
//! let busy = Reply::Message(vec![0x10, 0x7F, 0x03, 0]);
//! assert_eq!(device.respond(&get_version).reply, busy);
//! let version = Reply::Message(vec![0x10, 0x04, 0, 0, 0, 2, 0, 0x12, 0, 0x13]);
//! assert_eq!(device.respond(&get_version).reply, version);
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod algorithm;
mod chunk;
pub mod config;
pub mod device;
pub mod devices;
pub mod doe;
pub mod fault;
pub mod log;
pub mod mailbox;
pub mod mctp;
pub mod measurement;
pub mod message;
mod misbehaviour;
pub mod pki;
pub mod socket;
pub mod variant;
