// SPDX-License-Identifier: GPL-2.0

//! Hashes, nonces and time for the requester.

use crate::{
    attester::Cancel,
    keyring::{
        Cma,
        KernelHash, //
    }, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    }, //
};
use spdm_core::{
    algorithms::{
        BaseAsyms,
        BaseHash,
        BaseHashes, //
    },
    platform::{
        Interrupted,
        Platform,
        Unsupported, //
    }, //
};

/// Shorter waits are not worth a cancellable sleep.
const SHORT_US: u64 = 10_000;

/// What one attestation runs on.
pub(crate) struct Kernel<'a> {
    cma: &'a Cma,
    cancel: &'a Cancel,
    start: Instant<Monotonic>,
}

impl<'a> Kernel<'a> {
    /// Starts the clock.
    pub(crate) fn new(cma: &'a Cma, cancel: &'a Cancel) -> Self {
        Self {
            cma,
            cancel,
            start: Instant::now(),
        }
    }
}

impl Platform for Kernel<'_> {
    type Hash = KernelHash;

    fn base_hashes(&self) -> BaseHashes {
        self.cma.base_hashes()
    }

    fn base_asyms(&self) -> BaseAsyms {
        self.cma.base_asyms()
    }

    fn hash(&self, algorithm: BaseHash) -> Result<KernelHash, Unsupported> {
        KernelHash::new(algorithm)
    }

    fn nonce(&mut self, nonce: &mut [u8; 32]) {
        // SAFETY: `nonce` is valid for writes of its length.
        unsafe { kernel::bindings::get_random_bytes(nonce.as_mut_ptr().cast(), nonce.len()) };
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros_ceil()).unwrap_or(0)
    }

    fn sleep_us(&mut self, us: u64) -> Result<(), Interrupted> {
        if us < SHORT_US {
            fsleep(Delta::from_micros(us as i64));
            return self.cancel.check();
        }
        self.cancel.sleep_us(us)
    }
}
