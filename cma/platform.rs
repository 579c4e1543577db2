// SPDX-License-Identifier: GPL-2.0

//! Hashes, nonces, time and memory for the requester.

use crate::{
    bindings,
    cancel::Cancel,
    evidence::Recorder,
    keyring::{
        Cma,
        KernelHash, //
    }, //
};
use kernel::{
    ffi::c_uint,
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
    types::NotThreadSafe, //
};
use spdm_core::{
    algorithms::{
        BaseAsyms,
        BaseHash,
        BaseHashes,
        PqcAsyms, //
    },
    evidence::{
        Record,
        SignedFor, //
    },
    platform::{
        Interrupted,
        Platform,
        Unsupported, //
    },
    OutOfMemory,
    ResponseBuffer, //
};

/// Measures time from its making.
///
/// Unlike [`kernel::time::Instant`] it has no arithmetic that could panic.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch {
    start_ns: i64,
}

impl Stopwatch {
    /// Starts.
    pub(crate) fn start() -> Self {
        Self {
            start_ns: Self::now_ns(),
        }
    }

    /// Microseconds since the start.
    pub(crate) fn elapsed_us(self) -> u64 {
        let ns = Self::now_ns().saturating_sub(self.start_ns);
        u64::try_from(ns).unwrap_or(0) / 1000
    }

    fn now_ns() -> i64 {
        // SAFETY: `ktime_get()` may be called from any context that this module runs in.
        unsafe { bindings::ktime_get() }
    }
}

/// Memory for responses, as much as they need.
#[derive(Default)]
pub(crate) struct ResponseBuf(KVec<u8>);

impl ResponseBuf {
    /// Most bytes that it has.
    ///
    /// The largest responses that there are have an ML-DSA-87 signature and all opaque data that is allowed: 4 + 64 + 32 +
    /// 2 + 1024 + 8 + 4627 bytes.
    const MAX: usize = 8192;
}

impl ResponseBuffer for ResponseBuf {
    fn max_len(&self) -> usize {
        Self::MAX
    }

    fn reserve(&mut self, len: usize) -> Result<&mut [u8], OutOfMemory> {
        if len > self.0.len() {
            let mut longer = KVec::from_elem(0, len, GFP_KERNEL).map_err(|_| OutOfMemory)?;
            for (to, from) in longer.iter_mut().zip(&self.0) {
                *to = *from;
            }
            self.0 = longer;
        }
        Ok(&mut self.0)
    }

    fn get(&self) -> &[u8] {
        &self.0
    }

    fn release(&mut self) {
        self.0 = KVec::new();
    }
}

/// Until it is dropped, the task allocates memory without waiting for I/O.
pub(crate) struct NoIo {
    flags: c_uint,
    // The flags are those of one task.
    _not_send: NotThreadSafe,
}

impl NoIo {
    /// Begins.
    pub(crate) fn begin() -> Self {
        Self {
            // SAFETY: What is changed is undone when this is dropped, by the same task.
            flags: unsafe { bindings::spdm_noio_save() },
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for NoIo {
    fn drop(&mut self) {
        // SAFETY: The flags are from `spdm_noio_save()`, in this task.
        unsafe { bindings::spdm_noio_restore(self.flags) };
    }
}

/// Shorter waits are not worth a cancellable sleep.
const SHORT_US: u64 = 10_000;

/// What one attestation runs on.
pub(crate) struct Kernel<'a> {
    cma: &'a Cma,
    cancel: &'a Cancel,
    clock: Stopwatch,
    recorder: &'a mut Recorder,
    given: Option<&'a [u8; 32]>,
    challenged: [u8; 32],
}

impl<'a> Kernel<'a> {
    /// Starts the clock. If a nonce is `given`, that is what the device is to sign.
    pub(crate) fn new(
        cma: &'a Cma,
        cancel: &'a Cancel,
        recorder: &'a mut Recorder,
        given: Option<&'a [u8; 32]>,
    ) -> Self {
        Self {
            cma,
            cancel,
            clock: Stopwatch::start(),
            recorder,
            given,
            challenged: [0; 32],
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

    fn pqc_asyms(&self) -> PqcAsyms {
        self.cma.pqc_asyms()
    }

    fn hash(&self, algorithm: BaseHash) -> Result<KernelHash, Unsupported> {
        KernelHash::new(algorithm)
    }

    fn nonce(&mut self, nonce: &mut [u8; 32]) {
        // SAFETY: `nonce` is valid for writes of its length.
        unsafe { bindings::get_random_bytes(nonce.as_mut_ptr().cast(), nonce.len()) };
    }

    // Measurements are signed with the nonce of the challenge before them, so that a verifier sees that they belong
    // together.
    fn requester_nonce(&mut self, what: SignedFor, nonce: &mut [u8; 32]) {
        match (what, self.given) {
            (SignedFor::Measurements, _) => *nonce = self.challenged,
            (SignedFor::ChallengeAuth, Some(given)) => *nonce = *given,
            (SignedFor::ChallengeAuth, None) => self.nonce(nonce),
        }
        self.challenged = *nonce;
    }

    fn record(&mut self, record: Record<'_>) {
        self.recorder.record(record);
    }

    fn now_us(&self) -> u64 {
        self.clock.elapsed_us()
    }

    fn sleep_us(&mut self, us: u64) -> Result<(), Interrupted> {
        if us < SHORT_US {
            fsleep(Delta::from_micros(us as i64));
            return self.cancel.check();
        }
        self.cancel.sleep_us(us)
    }
}
