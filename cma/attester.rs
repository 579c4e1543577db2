// SPDX-License-Identifier: GPL-2.0

//! One attester per device: runs attestations and keeps the verdict.

use crate::{
    api::Foreign,
    bindings,
    class,
    doe::{
        Doe,
        Mailbox,
        MAX_MESSAGE_SIZE, //
    },
    keyring::{
        Anchor,
        ChainBuf,
        Cma,
        LeafKey,
        PciIdentity, //
    },
    pci::Function,
    platform::{
        Kernel,
        Stopwatch, //
    }, //
};
use core::fmt::Write;
use kernel::{
    alloc::AllocError,
    device::Device,
    fmt,
    impl_has_work,
    new_condvar,
    new_mutex,
    new_work,
    prelude::*,
    str::{
        CString,
        Formatter, //
    },
    sync::{
        aref::ARef,
        Arc,
        CondVar,
        CondVarTimeoutResult,
        Mutex,
        SetOnce, //
    },
    time::msecs_to_jiffies,
    workqueue::{
        Work,
        WorkItem, //
    }, //
};
use spdm_core::{
    Authenticated,
    ChainError,
    Config,
    Interrupted,
    Reason,
    Report,
    Requester,
    Transport,
    Workspace, //
};

/// How an attester reaches its device.
pub(crate) enum Endpoint {
    /// Through the CMA mailbox of a PCI function.
    Pci {
        /// The function.
        function: Function,
        /// Its mailbox.
        mailbox: Mailbox,
        /// What its certificate has to say.
        identity: PciIdentity,
    },
    /// Through the transport of another driver.
    Foreign(Foreign),
}

/// Ends an attestation early.
#[pin_data]
pub(crate) struct Cancel {
    #[pin]
    cancelled: Mutex<bool>,
    #[pin]
    wakeup: CondVar,
}

impl Cancel {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            cancelled <- new_mutex!(false, "spdm::Cancel"),
            wakeup <- new_condvar!("spdm::Cancel"),
        })
    }

    fn cancel(&self) {
        *self.cancelled.lock() = true;
        self.wakeup.notify_all();
    }

    /// Whether the attestation goes on.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        if *self.cancelled.lock() {
            return Err(Interrupted);
        }
        Ok(())
    }

    /// Sleeps until the time is over, the attestation is cancelled, or its caller gets a signal.
    pub(crate) fn sleep_us(&self, us: u64) -> Result<(), Interrupted> {
        let ms = u32::try_from(us.div_ceil(1000)).unwrap_or(u32::MAX);
        // One more, because the current jiffy has begun already.
        let mut left = msecs_to_jiffies(ms).saturating_add(1);
        let mut cancelled = self.cancelled.lock();
        while !*cancelled {
            match self.wakeup.wait_interruptible_timeout(&mut cancelled, left) {
                CondVarTimeoutResult::Timeout => return Ok(()),
                CondVarTimeoutResult::Woken { jiffies } => left = jiffies,
                CondVarTimeoutResult::Signal { .. } => return Err(Interrupted),
            }
        }
        Err(Interrupted)
    }
}

/// What `state` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not attested yet, or being attested.
    Pending,
    /// Proven.
    Authenticated,
    /// Attested in vain.
    Failed,
    /// The device has no means to prove anything.
    Unsupported,
}

impl State {
    /// The word in sysfs and in uevents.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Authenticated => "authenticated",
            Self::Failed => "failed",
            Self::Unsupported => "unsupported",
        }
    }
}

/// How the last attestation ended. What is not [`Verdict::Authenticated`] reads as not authenticated.
enum Verdict {
    Pending,
    Authenticated(Authenticated<LeafKey>),
    Failed(Failure),
}

/// Why an attestation failed.
enum Failure {
    /// By the protocol.
    Protocol {
        error: spdm_core::Error,
        /// Which certificate it was, if the chain is not trusted.
        detail: Option<CString>,
    },
    /// There was no memory to start it.
    OutOfMemory,
}

impl From<AllocError> for Failure {
    fn from(_: AllocError) -> Self {
        Self::OutOfMemory
    }
}

impl Failure {
    fn state(&self) -> State {
        match self {
            Self::Protocol { error, .. } if is_unsupported(error.reason()) => State::Unsupported,
            _ => State::Failed,
        }
    }

    fn errno(&self) -> Error {
        let Self::Protocol { error, .. } = self else {
            return ENOMEM;
        };
        let errno = match error.reason() {
            Reason::Timeout | Reason::Deadline => bindings::ETIMEDOUT,
            Reason::Busy | Reason::NotReady => bindings::EBUSY,
            Reason::Gone => bindings::ENODEV,
            Reason::Interrupted => bindings::EINTR,
            Reason::OutOfMemory => bindings::ENOMEM,
            Reason::Transport => bindings::EIO,
            Reason::Chain { error, .. } => match error {
                ChainError::UntrustedRoot => bindings::ENOKEY,
                ChainError::Expired | ChainError::NotYetValid => bindings::EKEYEXPIRED,
                ChainError::Revoked => bindings::EKEYREVOKED,
                ChainError::Internal => bindings::ENOMEM,
                _ => bindings::EKEYREJECTED,
            },
            Reason::BadSignature => bindings::EKEYREJECTED,
            reason if is_unsupported(reason) => bindings::EPROTONOSUPPORT,
            _ => bindings::EPROTO,
        };
        Error::from_errno(-(errno as i32))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Protocol { error, detail } = self else {
            return f.write_str("out-of-memory");
        };
        core::fmt::Display::fmt(error, f)?;
        match detail.as_ref().and_then(|detail| detail.to_str().ok()) {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

/// Whether device and kernel have no common ground, as opposed to a device that breaks a rule.
fn is_unsupported(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::UnsupportedVersion
            | Reason::NoCertificateCapability
            | Reason::NoChallengeCapability
            | Reason::MultiKeyOnly
            | Reason::NothingToOffer
            | Reason::NoAlgorithm
    )
}

/// What user space sees of an attester.
struct Status {
    /// An attestation is under way.
    running: bool,
    verdict: Verdict,
    report: Report,
    /// When the last attestation ended, in seconds since the epoch; 0 if none has.
    attested_at: i64,
    /// How long it took.
    duration_us: u64,
}

/// Attests one device.
#[pin_data]
pub(crate) struct Attester {
    cma: Arc<Cma>,
    endpoint: Endpoint,
    #[pin]
    work: Work<Self>,
    #[pin]
    status: Mutex<Status>,
    /// `running` or `verdict` of the status changed.
    #[pin]
    changed: CondVar,
    #[pin]
    cancel: Cancel,
    /// The device in `/sys/class/spdm`.
    device: SetOnce<ARef<Device>>,
}

impl_has_work! {
    impl HasWork<Self> for Attester { self.work }
}

impl WorkItem for Attester {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        // The verdict says what went wrong.
        let _ = this.attest();
    }
}

impl Attester {
    /// Makes an attester, which has not attested yet.
    pub(crate) fn new(cma: Arc<Cma>, endpoint: Endpoint) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                cma,
                endpoint,
                work <- new_work!("spdm::Attester::work"),
                status <- new_mutex!(
                    Status {
                        running: false,
                        verdict: Verdict::Pending,
                        report: Report::default(),
                        attested_at: 0,
                        duration_us: 0,
                    },
                    "spdm::Attester::status"
                ),
                changed <- new_condvar!("spdm::Attester::changed"),
                cancel <- Cancel::new(),
                device: SetOnce::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Names the device that tells of changes.
    pub(crate) fn set_device(&self, device: ARef<Device>) {
        self.device.populate(device);
    }

    /// The PCI function, if it is one.
    pub(crate) fn function(&self) -> Option<&Function> {
        match &self.endpoint {
            Endpoint::Pci { function, .. } => Some(function),
            Endpoint::Foreign(_) => None,
        }
    }

    /// Whether the last attestation proved the device.
    pub(crate) fn is_authenticated(&self) -> bool {
        matches!(self.status.lock().verdict, Verdict::Authenticated(_))
    }

    /// Waits until there is a verdict. Attestations have a deadline, so this ends.
    pub(crate) fn wait(&self) {
        let mut status = self.status.lock();
        while matches!(status.verdict, Verdict::Pending) && self.cancel.check().is_ok() {
            self.changed.wait(&mut status);
        }
    }

    /// Cancels what runs, waits for its end, and lets nothing start any more.
    pub(crate) fn shut_down(&self) {
        self.cancel.cancel();
        let mut status = self.status.lock();
        // Whoever waits for a verdict that will not come.
        self.changed.notify_all();
        while status.running {
            self.changed.wait(&mut status);
        }
    }

    /// Attests the device now. Waits for an attestation that is under way, then runs its own.
    ///
    /// # Errors
    ///
    /// Why the device is not authenticated.
    pub(crate) fn attest(&self) -> Result {
        let mut status = self.status.lock();
        while status.running {
            if self.changed.wait_interruptible(&mut status) {
                return Err(EINTR);
            }
        }
        self.cancel.check().map_err(|_| ENODEV)?;
        status.running = true;
        // The verdict is dropped before it can be stale.
        let dropped = core::mem::replace(&mut status.verdict, Verdict::Pending);
        drop(status);
        drop(dropped);

        let stopwatch = Stopwatch::start();
        let mut report = Report::default();
        let (verdict, state, result) = match self.exchange(&mut report) {
            Ok(authenticated) => {
                self.log(None);
                (
                    Verdict::Authenticated(authenticated),
                    State::Authenticated,
                    Ok(()),
                )
            }
            Err(failure) => {
                self.log(Some(&failure));
                let (state, errno) = (failure.state(), failure.errno());
                (Verdict::Failed(failure), state, Err(errno))
            }
        };

        let mut status = self.status.lock();
        status.running = false;
        status.verdict = verdict;
        status.report = report;
        // SAFETY: No requirements.
        status.attested_at = unsafe { bindings::ktime_get_real_seconds() };
        status.duration_us = stopwatch.elapsed_us();
        self.changed.notify_all();
        drop(status);

        if let Some(device) = self.device.as_ref() {
            class::notify_change(device, state);
        }
        result
    }

    fn log(&self, failure: Option<&Failure>) {
        match (self.device.as_ref(), failure) {
            (Some(device), None) => dev_info!(device, "authenticated\n"),
            (Some(device), Some(failure)) => {
                dev_warn!(device, "not authenticated: {}\n", failure);
            }
            (None, _) => {}
        }
    }

    fn exchange(&self, report: &mut Report) -> Result<Authenticated<LeafKey>, Failure> {
        match &self.endpoint {
            Endpoint::Pci {
                function,
                mailbox,
                identity,
            } => {
                let _resumed = function.resume();
                // SAFETY: The bus notifier shuts the attester down before the function and its mailbox go, and that
                // waits for this.
                let mut transport = unsafe { Doe::new(*mailbox, function) };
                self.exchange_over(&mut transport, Some(identity), report)
            }
            Endpoint::Foreign(foreign) => {
                self.exchange_over(&mut foreign.transport(), None, report)
            }
        }
    }

    fn exchange_over<T: Transport>(
        &self,
        transport: &mut T,
        identity: Option<&PciIdentity>,
        report: &mut Report,
    ) -> Result<Authenticated<LeafKey>, Failure> {
        let size = transport.max_message_size().min(MAX_MESSAGE_SIZE);
        let mut buffer = KVec::from_elem(0u8, size, GFP_KERNEL)?;
        let mut workspace = KBox::new(Workspace::new(), GFP_KERNEL)?;
        let mut chain = ChainBuf::new();
        let mut anchor = Anchor::new(&self.cma, identity);
        Requester {
            transport,
            platform: &mut Kernel::new(&self.cma, &self.cancel),
            buffer: &mut buffer,
            workspace: &mut workspace,
            config: Config::default(),
        }
        .attest(&mut anchor, &mut chain, report)
        .map_err(|error| Failure::Protocol {
            error,
            detail: match error.reason() {
                Reason::Chain { .. } if !anchor.detail().is_empty() => {
                    CString::try_from_fmt(fmt!("{}", anchor.detail())).ok()
                }
                _ => None,
            },
        })
    }

    /// Shows an attribute of the class device; nothing for what is not known.
    pub(crate) fn show(
        &self,
        attribute: bindings::spdm_attribute,
        writer: &mut Formatter<'_>,
    ) -> core::fmt::Result {
        let status = self.status.lock();
        let negotiated = &status.report.negotiated;
        let stats = &status.report.stats;
        let leaf = match &status.verdict {
            Verdict::Authenticated(authenticated) => Some(authenticated.leaf_key()),
            _ => None,
        };
        match attribute {
            bindings::spdm_attribute_SPDM_ATTRIBUTE_STATE => {
                let state = match &status.verdict {
                    Verdict::Pending => State::Pending,
                    Verdict::Authenticated(_) => State::Authenticated,
                    Verdict::Failed(failure) => failure.state(),
                };
                writeln!(writer, "{}", state.name())
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_REASON => match &status.verdict {
                Verdict::Failed(failure) => writer.write_fmt(fmt!("{}\n", failure)),
                _ => Ok(()),
            },
            bindings::spdm_attribute_SPDM_ATTRIBUTE_VERSION => match negotiated.version {
                Some(version) => writeln!(writer, "{version}"),
                None => Ok(()),
            },
            bindings::spdm_attribute_SPDM_ATTRIBUTE_ALGORITHMS => {
                match (negotiated.base_hash, negotiated.base_asym) {
                    (Some(hash), Some(asym)) => writeln!(
                        writer,
                        "base_hash={} base_asym={}",
                        hash.name(),
                        asym.name()
                    ),
                    _ => Ok(()),
                }
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_CAPABILITIES => match negotiated.capabilities {
                Some(capabilities) => writeln!(writer, "0x{:08x}", capabilities.flags()),
                None => Ok(()),
            },
            bindings::spdm_attribute_SPDM_ATTRIBUTE_SLOT => match negotiated.slot {
                Some(slot) => writeln!(writer, "{slot}"),
                None => Ok(()),
            },
            bindings::spdm_attribute_SPDM_ATTRIBUTE_IDENTITY => match leaf {
                Some(leaf) => {
                    for byte in leaf.identity() {
                        write!(writer, "{byte:02x}")?;
                    }
                    writeln!(writer)
                }
                None => Ok(()),
            },
            bindings::spdm_attribute_SPDM_ATTRIBUTE_SUBJECT => match leaf {
                Some(leaf) => writeln!(writer, "{}", leaf.subject()),
                None => Ok(()),
            },
            bindings::spdm_attribute_SPDM_ATTRIBUTE_ISSUER => match leaf {
                Some(leaf) => writeln!(writer, "{}", leaf.issuer()),
                None => Ok(()),
            },
            bindings::spdm_attribute_SPDM_ATTRIBUTE_ATTESTED_AT if status.attested_at != 0 => {
                writeln!(writer, "{}", status.attested_at)
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_DURATION_US if status.attested_at != 0 => {
                writeln!(writer, "{}", status.duration_us)
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_EXCHANGES => {
                writeln!(writer, "{}", stats.exchanges)
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_BYTES_SENT => {
                writeln!(writer, "{}", stats.bytes_out)
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_BYTES_RECEIVED => {
                writeln!(writer, "{}", stats.bytes_in)
            }
            _ => Ok(()),
        }
    }
}
