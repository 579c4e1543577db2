// SPDX-License-Identifier: GPL-2.0

//! Ends attestations before their time.

use kernel::{
    new_condvar,
    new_mutex,
    prelude::*,
    sync::{
        CondVar,
        CondVarTimeoutResult,
        Mutex, //
    },
    time::msecs_to_jiffies, //
};
use spdm_core::Interrupted;

/// Who may attest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allowed {
    /// Anybody.
    Yes,
    /// Nobody before the system has resumed.
    Suspended,
    /// Nobody ever again: the device goes away.
    ShutDown,
}

/// Ends an attestation early, and keeps others from starting.
#[pin_data]
pub(crate) struct Cancel {
    #[pin]
    allowed: Mutex<Allowed>,
    #[pin]
    wakeup: CondVar,
}

impl Cancel {
    /// Attestations are allowed.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            allowed <- new_mutex!(Allowed::Yes, "spdm::Cancel"),
            wakeup <- new_condvar!("spdm::Cancel"),
        })
    }

    /// Cancels for good.
    pub(crate) fn shut_down(&self) {
        *self.allowed.lock() = Allowed::ShutDown;
        self.wakeup.notify_all();
    }

    /// Cancels until [`Cancel::resume`].
    pub(crate) fn suspend(&self) {
        let mut allowed = self.allowed.lock();
        if *allowed == Allowed::Yes {
            *allowed = Allowed::Suspended;
        }
        self.wakeup.notify_all();
    }

    /// Ends what [`Cancel::suspend`] began.
    pub(crate) fn resume(&self) {
        let mut allowed = self.allowed.lock();
        if *allowed == Allowed::Suspended {
            *allowed = Allowed::Yes;
        }
    }

    /// Whether the device goes away.
    pub(crate) fn is_shut_down(&self) -> bool {
        *self.allowed.lock() == Allowed::ShutDown
    }

    /// Calls `call`, which does not sleep, unless the device goes away: that does not begin before `call` has returned.
    #[cfg(CONFIG_SPDM_MCTP)]
    pub(crate) fn unless_shut_down<R>(&self, call: impl FnOnce() -> R) -> Option<R> {
        let allowed = self.allowed.lock();
        (*allowed != Allowed::ShutDown).then(call)
    }

    /// Whether attestations are allowed.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        match *self.allowed.lock() {
            Allowed::Yes => Ok(()),
            Allowed::Suspended | Allowed::ShutDown => Err(Interrupted),
        }
    }

    /// Sleeps until the time is over, the attestation is cancelled, or its caller gets a signal.
    pub(crate) fn sleep_us(&self, us: u64) -> Result<(), Interrupted> {
        let ms = u32::try_from(us.div_ceil(1000)).unwrap_or(u32::MAX);
        // One more, because the current jiffy has begun already.
        let mut left = msecs_to_jiffies(ms).saturating_add(1);
        let mut allowed = self.allowed.lock();
        while *allowed == Allowed::Yes {
            match self.wakeup.wait_interruptible_timeout(&mut allowed, left) {
                CondVarTimeoutResult::Timeout => return Ok(()),
                CondVarTimeoutResult::Woken { jiffies } => left = jiffies,
                CondVarTimeoutResult::Signal { .. } => return Err(Interrupted),
            }
        }
        Err(Interrupted)
    }
}
