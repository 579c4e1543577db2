// SPDX-License-Identifier: GPL-2.0

//! What follows from a verdict.

use crate::{
    bindings,
    pci::Function,
    subsystem::QueueRef, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Release, //
        },
        Mutex, //
    }, //
};
use spdm_core::Preference;

/// One of three words.
pub(crate) trait Word: Copy {
    /// All of them.
    const ALL: [Self; 3];

    /// The word in sysfs and for the module parameter.
    fn name(self) -> &'static str;

    /// Reads the word.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is none.
    fn parse(text: &[u8]) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|word| word.name().as_bytes() == text)
            .ok_or(EINVAL)
    }
}

/// What follows from a verdict.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// No message is sent to the device.
    Off,
    /// The device is attested, and user space is told.
    Audit,
    /// Drivers are kept away from the device unless it is authenticated.
    Enforce,
}

impl Word for Policy {
    const ALL: [Self; 3] = [Self::Off, Self::Audit, Self::Enforce];

    fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Audit => "audit",
            Self::Enforce => "enforce",
        }
    }
}

impl Policy {
    /// The policy of devices that are found from now on: the module parameter `policy`.
    pub(crate) fn of_new_devices() -> Self {
        // SAFETY: No requirements.
        match unsafe { bindings::spdm_default_policy() } {
            bindings::spdm_policy_SPDM_POLICY_OFF => Self::Off,
            bindings::spdm_policy_SPDM_POLICY_ENFORCE => Self::Enforce,
            _ => Self::Audit,
        }
    }
}

/// Whether an attestation may leave out what the last one of the same device has shown: the module parameter `cache`.
pub(crate) fn may_cache() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::spdm_may_cache() }
}

/// Whether the measurements of devices that are authenticated are taken: the module parameter `measurements`.
pub(crate) fn takes_measurements() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::spdm_takes_measurements() }
}

/// Which kind of signature algorithm is used where a device has both: the module parameter `signatures`.
pub(crate) fn signature_preference() -> Preference {
    // SAFETY: No requirements.
    match unsafe { bindings::spdm_signature_preference() } {
        bindings::spdm_signatures_SPDM_SIGNATURES_PQC_FIRST => Preference::PqcFirst,
        bindings::spdm_signatures_SPDM_SIGNATURES_CLASSIC_ONLY => Preference::ClassicOnly,
        bindings::spdm_signatures_SPDM_SIGNATURES_PQC_ONLY => Preference::PqcOnly,
        _ => Preference::ClassicFirst,
    }
}

/// Certificate slots that may be used of devices that are found from now on, as a slot mask: the module parameter
/// `slot_mask`.
pub(crate) fn slot_mask_of_new_devices() -> u8 {
    // SAFETY: No requirements.
    unsafe { bindings::spdm_default_slot_mask() }
}

/// Which devices are attested when the system resumes.
///
/// Under [`Policy::Enforce`], one that was authenticated is whatever this says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResumePolicy {
    /// None: what was authenticated is [`State::Stale`](crate::verdict::State::Stale) until somebody asks.
    Never,
    /// Those that were authenticated when the system went to sleep.
    Authenticated,
    /// All, also those that never were.
    Always,
}

impl Word for ResumePolicy {
    const ALL: [Self; 3] = [Self::Never, Self::Authenticated, Self::Always];

    fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Authenticated => "authenticated",
            Self::Always => "always",
        }
    }
}

impl ResumePolicy {
    /// The policy of devices that are found from now on: the module parameter `resume_policy`.
    pub(crate) fn of_new_devices() -> Self {
        // SAFETY: No requirements.
        match unsafe { bindings::spdm_default_resume_policy() } {
            bindings::spdm_resume_policy_SPDM_RESUME_NEVER => Self::Never,
            bindings::spdm_resume_policy_SPDM_RESUME_ALWAYS => Self::Always,
            _ => Self::Authenticated,
        }
    }
}

/// Keeps drivers away from a function, or lets them come.
#[pin_data]
pub(crate) struct Fence {
    /// Whether it is up.
    #[pin]
    up: Mutex<bool>,
    /// Whether the function is offline until its driver is unbound.
    offline: Atomic<bool>,
    /// Where drivers are unbound: frozen while the system sleeps and devices may not be.
    pub(crate) queue: QueueRef,
}

impl Fence {
    /// The fence is down.
    pub(crate) fn new(queue: QueueRef) -> impl PinInit<Self> {
        pin_init!(Self {
            up <- new_mutex!(false, "spdm::Fence"),
            offline: Atomic::new(false),
            queue,
        })
    }

    /// Keeps drivers away from a function that none is bound to yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn raise(&self, function: &Function) -> Result {
        let mut up = self.up.lock();
        if !*up {
            function.block_drivers()?;
            *up = true;
        }
        Ok(())
    }

    /// Keeps drivers away from `function`, unbinds the one that it has, and takes bus mastering from it.
    ///
    /// Waits for the driver; must not be called by who holds the device's lock.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. What can be done without memory has been done then.
    pub(crate) fn close(&self, function: &Function) -> Result {
        let raised = self.raise(function);
        function.unbind_driver();
        self.bring_online(function);
        function.clear_master();
        raised
    }

    /// Takes bus mastering and config space from a function whose driver cannot be unbound now, until
    /// [`Fence::close`] or [`Fence::open`].
    pub(crate) fn take_offline(&self, function: &Function) {
        function.clear_master();
        function.set_offline(true);
        self.offline.store(true, Release);
    }

    fn bring_online(&self, function: &Function) {
        if self.offline.xchg(false, Full) {
            function.set_offline(false);
        }
    }

    /// Whether [`Fence::take_offline`] still holds.
    pub(crate) fn is_offline(&self) -> bool {
        self.offline.load(Acquire)
    }

    /// Lets drivers come again, and binds one if there is one.
    pub(crate) fn open(&self, function: &Function) {
        self.bring_online(function);
        let was_up = core::mem::replace(&mut *self.up.lock(), false);
        if was_up {
            function.allow_drivers();
        }
    }
}
