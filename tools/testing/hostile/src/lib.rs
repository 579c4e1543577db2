// SPDX-License-Identifier: GPL-2.0

//! The requester (`spdm/`) against the test responder, message by message in one process: see
//! `tests/hostile`. Time is virtual, so a device that stays silent for half a minute costs nothing.
//!
//! The two share no code. Rules for certificate chains are those of `keyring/`, from the files that
//! Kbuild compiles into the module; signatures are OpenSSL's.
#![forbid(unsafe_code)]
