// SPDX-License-Identifier: GPL-2.0

//! One attester per device: runs attestations and keeps the verdict.

#[cfg(CONFIG_SPDM_MCTP)]
use crate::mctp::{
    Peer,
    Way, //
};
use crate::{
    api::Foreign,
    bindings,
    cancel::Cancel,
    class::{
        as_raw,
        subject, //
    },
    doe::{
        Doe,
        Mailbox, //
    },
    evidence::{
        asym_field,
        Bytes,
        Evidence,
        Outcome,
        Recorder, //
    },
    keyring::{
        is_sealed,
        Anchor,
        ChainBuf,
        Cma,
        Identity,
        KernelHash,
        LeafKey,
        PciIdentity,
        ProvisionedKey, //
    },
    measurements::{
        write_blocks,
        write_status,
        Reference, //
    },
    pci::Function,
    platform::{
        Kernel,
        NoIo,
        ResponseBuf,
        Stopwatch, //
    },
    policy::{
        may_cache,
        signature_preference,
        slot_mask_of_new_devices,
        takes_measurements,
        Fence,
        Policy,
        ResumePolicy,
        Word, //
    },
    publish::{
        self,
        Files,
        Traced, //
    },
    subsystem::{
        self,
        Subsystem, //
    },
    verdict::{
        parse_identity,
        write_identity,
        Failure,
        Proof,
        State,
        Unexpected,
        Verdict, //
    }, //
};
use core::fmt::Write;
use kernel::{
    alloc::AllocError,
    device::Device,
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
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc,
        CondVar,
        Mutex,
        SetOnce, //
    },
    workqueue::{
        Work,
        WorkItem, //
    }, //
};
use spdm_core::{
    Asym,
    Authenticated,
    Config,
    MeasurementStatus,
    Negotiated,
    Reason,
    Report,
    Requester,
    SignedFor,
    SupportedAlgorithms,
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
    /// Over MCTP.
    #[cfg(CONFIG_SPDM_MCTP)]
    Mctp(Peer),
}

/// Why a device is attested.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// It was found or reset and has not been attested since, or its root certificate may have been added.
    Need,
    /// Somebody asked.
    Request,
    /// The system resumes, or the device was reset: it is awake, runtime power management is not to be touched, and
    /// its driver does not use it yet.
    Resume,
}

/// What a successful attestation leaves for the next one.
struct Kept {
    workspace: Workspace<KernelHash, LeafKey>,
    chain: ChainBuf,
}

impl Kept {
    // Not inlined: what it may need of the stack is given back before anything is sent.
    #[inline(never)]
    fn new() -> Result<KBox<Self>, AllocError> {
        KBox::new(
            const {
                Self {
                    workspace: Workspace::new(),
                    chain: ChainBuf::new(),
                }
            },
            GFP_KERNEL,
        )
    }
}

/// What user space sees of an attester, and what only the next attestation sees.
struct Status {
    /// An attestation is under way.
    running: bool,
    /// An attestation was cancelled because the system suspends, or its verdict was dropped.
    owed: bool,
    policy: Policy,
    resume_policy: ResumePolicy,
    /// Certificate slots that may be used.
    slot_mask: u8,
    verdict: Verdict,
    /// How the last attestation got to an MCTP endpoint, if it did.
    #[cfg(CONFIG_SPDM_MCTP)]
    way: Option<Way>,
    /// Which device this is, since it was first authenticated or an identity was accepted.
    identity: Option<Known>,
    /// How often it was said what the device has to prove, modulo 2^32.
    demands: u32,
    report: Report,
    /// When the last attestation ended, in nanoseconds since the epoch; 0 if none has.
    attested_at: i64,
    /// How long it took.
    duration_us: u64,
    /// There only if the last attestation succeeded.
    kept: Option<KBox<Kept>>,
    /// Whose signature is that of the device, if it has no certificates.
    public_key: Option<Arc<ProvisionedKey>>,
    /// What the last attestation left for verifiers.
    evidence: Option<Arc<Evidence>>,
    /// What IMA has yet to measure, the oldest first.
    for_ima: [Option<Arc<Evidence>>; 4],
    /// SHA-256 of the measurements that were taken last.
    measured: Option<[u8; 32]>,
    /// What the measurements have to be.
    reference: Option<Arc<Reference>>,
    /// What the device is to sign next, if user space chose it.
    nonce: Option<[u8; 32]>,
}

/// A device's identity, and where it comes from.
#[derive(Clone, Copy)]
struct Known {
    identity: Identity,
    /// An administrator has accepted it. Else the device proved it with a chain that `.cma` vouched for, and has to
    /// do so again.
    accepted: bool,
    /// What its key is for, once the device has proved it.
    asym: Option<Asym>,
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
    #[pin]
    fence: Fence,
    #[pin]
    fence_work: Work<Self, FENCE_WORK>,
    /// How often the device was reset, modulo 2^32.
    resets: Atomic<u32>,
    /// A root certificate was added since the last attestation began.
    root_added: Atomic<bool>,
    /// The device in `/sys/class/spdm`.
    device: SetOnce<ARef<Device>>,
    /// What user space sees of evidence.
    #[pin]
    files: Mutex<Option<KBox<Files>>>,
    #[pin]
    ima_work: Work<Self, IMA_WORK>,
}

const FENCE_WORK: u64 = 1;
const IMA_WORK: u64 = 2;

impl_has_work! {
    impl HasWork<Self> for Attester { self.work }
    impl HasWork<Self, FENCE_WORK> for Attester { self.fence_work }
    impl HasWork<Self, IMA_WORK> for Attester { self.ima_work }
}

impl WorkItem for Attester {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        // The verdict says what went wrong.
        let _ = this.attest_on(Occasion::Need);
    }
}

impl WorkItem<FENCE_WORK> for Attester {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.move_fence();
    }
}

impl WorkItem<IMA_WORK> for Attester {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let Some(device) = this.device.as_ref() else {
            return;
        };
        while let Some(evidence) = this.next_for_ima() {
            let info = evidence.info();
            // SAFETY: The device is valid, and so is `info`.
            unsafe { bindings::spdm_ima_measure(as_raw(device), info.as_ptr(), info.len()) };
        }
    }
}

impl Attester {
    /// Makes an attester, which has not attested yet.
    ///
    /// If drivers have to be kept away from a device that is not authenticated, they are from here on.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        subsystem: &Subsystem,
        endpoint: Endpoint,
        policy: Policy,
    ) -> Result<Arc<Self>> {
        let attester = Arc::pin_init(
            pin_init!(Self {
                cma: subsystem.cma(),
                endpoint,
                work <- new_work!("spdm::Attester::work"),
                status <- new_mutex!(
                    Status {
                        running: false,
                        owed: false,
                        policy,
                        resume_policy: ResumePolicy::of_new_devices(),
                        slot_mask: slot_mask_of_new_devices(),
                        verdict: if policy == Policy::Off {
                            Verdict::Off
                        } else {
                            Verdict::Pending
                        },
                        #[cfg(CONFIG_SPDM_MCTP)]
                        way: None,
                        identity: None,
                        demands: 0,
                        report: Report::default(),
                        attested_at: 0,
                        duration_us: 0,
                        kept: None,
                        public_key: None,
                        evidence: None,
                        for_ima: [const { None }; 4],
                        measured: None,
                        reference: None,
                        nonce: None,
                    },
                    "spdm::Attester::status"
                ),
                changed <- new_condvar!("spdm::Attester::changed"),
                cancel <- Cancel::new(),
                fence <- Fence::new(subsystem.fences()),
                fence_work <- new_work!("spdm::Attester::fence_work"),
                resets: Atomic::new(0),
                root_added: Atomic::new(false),
                device: SetOnce::new(),
                files <- new_mutex!(None, "spdm::Attester::files"),
                ima_work <- new_work!("spdm::Attester::ima_work"),
            }),
            GFP_KERNEL,
        )?;
        if let (Policy::Enforce, Some(function)) = (policy, attester.function()) {
            attester.fence.raise(function)?;
        }
        Ok(attester)
    }

    /// Names the device that tells of changes, and has evidence shown below a PCI function, or below that device if
    /// it is none.
    ///
    /// # Safety
    ///
    /// `device` and, if it is a PCI function, `parent` are registered and stay so until [`Attester::shut_down`] has returned.
    pub(crate) unsafe fn set_device(
        &self,
        device: ARef<Device>,
        parent: *mut bindings::device,
    ) -> Result {
        let below = match self.endpoint {
            Endpoint::Pci { .. } => parent,
            _ => as_raw(&device),
        };
        // SAFETY: By the contract; shutting down drops the files.
        let files = unsafe { Files::new(below, self)? };
        *self.files.lock() = Some(files);
        self.device.populate(device);
        Ok(())
    }

    /// The oldest evidence that IMA has yet to measure.
    fn next_for_ima(&self) -> Option<Arc<Evidence>> {
        let mut status = self.status.lock();
        status.for_ima.iter_mut().find_map(Option::take)
    }

    /// Chooses what the device is to sign in the next attestation.
    pub(crate) fn set_nonce(&self, nonce: [u8; 32]) {
        self.status.lock().nonce = Some(nonce);
    }

    /// The evidence of the last attestation or, if there is a `nonce`, of one that uses it.
    ///
    /// # Errors
    ///
    /// `ENODATA` if there is none, `EAGAIN` if another attestation came between, or why there was none with this
    /// nonce.
    pub(crate) fn evidence(self: &Arc<Self>, nonce: Option<&[u8; 32]>) -> Result<Arc<Evidence>> {
        let result = match nonce {
            Some(nonce) => {
                self.set_nonce(*nonce);
                self.attest()
            }
            None => Ok(()),
        };
        let Some(evidence) = self.status.lock().evidence.clone() else {
            return result.and(Err(ENODATA));
        };
        let signed = evidence.transcript(SignedFor::ChallengeAuth);
        match nonce {
            Some(nonce) if signed.nonce(signed.requester_nonce_offset()) != nonce => {
                result.and(Err(EAGAIN))
            }
            _ => Ok(evidence),
        }
    }

    /// The PCI function, if it is one.
    pub(crate) fn function(&self) -> Option<&Function> {
        match &self.endpoint {
            Endpoint::Pci { function, .. } => Some(function),
            _ => None,
        }
    }

    /// The MCTP endpoint, if it is one.
    #[cfg(CONFIG_SPDM_MCTP)]
    pub(crate) fn peer(&self) -> Option<&Peer> {
        match &self.endpoint {
            Endpoint::Mctp(peer) => Some(peer),
            _ => None,
        }
    }

    /// Whether other devices have to be awake for messages to reach it.
    pub(crate) fn is_on_network(&self) -> bool {
        !matches!(self.endpoint, Endpoint::Pci { .. } | Endpoint::Foreign(_))
    }

    /// Whether the last attestation proved the device, which has not been without power since.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.state(&self.status.lock()).is_authenticated()
    }

    /// What user space is told.
    fn state(&self, status: &Status) -> State {
        match status.verdict.state(self.resets()) {
            // It will be attested when it has power again, or somebody looks at the way to it.
            state
                if state.is_authenticated() && (!self.has_power() || self.is_elsewhere(status)) =>
            {
                State::Stale
            }
            state => state,
        }
    }

    /// The way to the MCTP endpoint, if there is one at the moment.
    #[cfg(CONFIG_SPDM_MCTP)]
    fn way(&self) -> Option<Way> {
        let peer = self.peer()?;
        // SAFETY: The attester is shut down before the endpoint's namespace goes, and not now.
        let way = self.cancel.unless_shut_down(|| unsafe { peer.way() });
        way.flatten()
    }

    /// Whether messages to the MCTP endpoint take another way than in the last attestation, or none.
    #[cfg(CONFIG_SPDM_MCTP)]
    fn is_elsewhere(&self, status: &Status) -> bool {
        self.peer().is_some() && self.way() != status.way
    }

    #[cfg(not(CONFIG_SPDM_MCTP))]
    fn is_elsewhere(&self, _: &Status) -> bool {
        false
    }

    /// Drops the verdict if messages to the MCTP endpoint take another way than in the last attestation. Returns whether
    /// there is one to be attested on.
    #[cfg(CONFIG_SPDM_MCTP)]
    pub(crate) fn has_moved(&self) -> bool {
        let status = self.status.lock();
        // An attestation that is under way looks itself.
        let idle = !status.running && !self.cancel.is_shut_down();
        let moved = idle && status.policy != Policy::Off && self.is_elsewhere(&status);
        drop(status);
        if moved {
            self.link_down();
        }
        moved && self.way().is_some()
    }

    fn has_power(&self) -> bool {
        self.function().is_none_or(Function::has_power)
    }

    /// The identity that the last attestation proved, if the device is authenticated.
    fn proven_identity(&self) -> Option<Identity> {
        let status = self.status.lock();
        if !self.state(&status).is_authenticated() {
            return None;
        }
        let proof = status.verdict.proof(self.resets())?;
        Some(*proof.authenticated.leaf_key().identity())
    }

    fn resets(&self) -> u32 {
        self.resets.load(Acquire)
    }

    /// A root certificate is being added. Does not sleep.
    pub(crate) fn root_added(&self) {
        self.root_added.store(true, Release);
    }

    /// What the device proved is no longer so. Does not sleep.
    pub(crate) fn make_stale(&self) {
        self.resets.fetch_add(1, Release);
    }

    /// Waits until there is a verdict. Attestations have a deadline, so this ends.
    pub(crate) fn wait(&self) {
        let mut status = self.status.lock();
        while status.verdict.state(self.resets()) == State::Pending && !self.cancel.is_shut_down() {
            self.changed.wait(&mut status);
        }
    }

    /// Cancels what runs and lets nothing start any more. Nobody has to wait for a verdict then.
    pub(crate) fn cancel(&self) {
        self.cancel.shut_down();
        self.notify_all();
    }

    /// Wakes those who wait, under the lock, so that nobody is between looking and waiting.
    fn notify_all(&self) {
        let _status = self.status.lock();
        self.changed.notify_all();
    }

    /// Cancels what runs, waits for its end, and lets nothing start any more.
    pub(crate) fn shut_down(self: &Arc<Self>) {
        self.cancel();
        let mut status = self.status.lock();
        while status.running {
            self.changed.wait(&mut status);
        }
        drop(status);
        let files = self.files.lock().take();
        drop(files);
        self.enforce();
    }

    /// Drops the verdict, because the system suspends and the device may be another one after that.
    ///
    /// Cancels what runs and waits for its end; nothing starts before [`Attester::resume`].
    pub(crate) fn suspend(&self) {
        self.pause(|status, authenticated| match status.resume_policy {
            ResumePolicy::Never => authenticated && status.policy == Policy::Enforce,
            ResumePolicy::Authenticated => authenticated,
            ResumePolicy::Always => status.policy != Policy::Off,
        });
    }

    /// Drops the verdict, because the device is about to be reset; as [`Attester::suspend`].
    pub(crate) fn prepare_reset(&self) {
        self.pause(|_, authenticated| authenticated);
    }

    /// Drops the verdict. `attest` says whether the device is to be attested again at [`Attester::resume`], given
    /// whether it was authenticated.
    fn pause(&self, attest: impl FnOnce(&Status, bool) -> bool) {
        self.cancel.suspend();
        let mut status = self.status.lock();
        while status.running {
            status.owed = true;
            self.changed.wait(&mut status);
        }
        let authenticated = matches!(status.verdict, Verdict::Authenticated(_));
        let attest = attest(&status, authenticated);
        status.owed |= attest;
        if authenticated {
            let instead = if attest {
                Verdict::Pending
            } else {
                Verdict::Stale
            };
            let dropped = core::mem::replace(&mut status.verdict, instead);
            drop(status);
            drop(dropped);
        }
    }

    /// Attests the device again if [`Attester::suspend`] or [`Attester::prepare_reset`] dropped a verdict or
    /// cancelled an attestation.
    ///
    /// The system resumes, or the device was reset: its driver does not use it.
    pub(crate) fn resume(self: &Arc<Self>) {
        if self.allow() {
            // The verdict says what went wrong.
            let _ = self.attest_on(Occasion::Resume);
        }
    }

    /// Lets attestations start again. Returns whether one is owed.
    pub(crate) fn allow(&self) -> bool {
        self.cancel.resume();
        core::mem::take(&mut self.status.lock().owed)
    }

    /// Makes the next attestation that is queued a needed one, unless the device is authenticated or nobody wants to
    /// know.
    pub(crate) fn need(&self) {
        let mut status = self.status.lock();
        if matches!(status.verdict, Verdict::Stale | Verdict::Failed(_)) {
            let old = core::mem::replace(&mut status.verdict, Verdict::Pending);
            drop(status);
            drop(old);
        }
    }

    /// Drops the verdict, because the device cannot be reached any more: another one may be there when it can.
    #[cfg(CONFIG_SPDM_MCTP)]
    pub(crate) fn link_down(&self) {
        // Also for an attestation that is under way.
        self.make_stale();
        let mut status = self.status.lock();
        if !matches!(status.verdict, Verdict::Authenticated(_)) {
            return;
        }
        let dropped = core::mem::replace(&mut status.verdict, Verdict::Stale);
        let attested_at = status.attested_at;
        drop(status);
        drop(dropped);
        if let Some(device) = self.device.as_ref() {
            let subject = subject(device);
            publish::tell(device, &subject, State::Stale, None, false, attested_at);
        }
    }

    /// Attests the device now. Waits for an attestation that is under way, then runs its own.
    ///
    /// # Errors
    ///
    /// Why the device is not authenticated.
    pub(crate) fn attest(self: &Arc<Self>) -> Result {
        self.attest_on(Occasion::Request)
    }

    fn attest_on(self: &Arc<Self>, occasion: Occasion) -> Result {
        // The device may be the one that memory would be written to, and whoever is about to reset it, or to suspend
        // the system, waits for this to end.
        let _no_io = NoIo::begin();
        let mut status = self.status.lock();
        // No message gets through while the driver of a refused device is being unbound.
        while status.running
            || (occasion == Occasion::Request
                && self.fence.is_offline()
                && !self.cancel.is_shut_down())
        {
            if self.changed.wait_interruptible(&mut status) {
                return Err(EINTR);
            }
        }
        if self.cancel.is_shut_down() {
            return Err(ENODEV);
        }
        if status.policy == Policy::Off {
            return Err(EPERM);
        }
        if self.function().is_some_and(Function::has_tsm) {
            // It has come since the device was found, and negotiates with the device itself.
            let dropped = core::mem::replace(&mut status.verdict, Verdict::Off);
            self.changed.notify_all();
            drop(status);
            drop(dropped);
            return Err(EOPNOTSUPP);
        }
        if occasion == Occasion::Need
            && status.verdict.state(self.resets()) != State::Pending
            && !(self.root_added.load(Acquire) && status.report.untrusted_slots != 0)
        {
            return Ok(());
        }
        if occasion == Occasion::Resume && self.state(&status).is_authenticated() {
            // What restored its config space had it attested since it was awake again.
            return Ok(());
        }
        if self.cancel.check().is_err() {
            // It will be made up for after the system has resumed.
            status.owed = true;
            return Err(EBUSY);
        }
        if self.fence.is_offline() {
            // What moves the fence makes up for it.
            return Err(EAGAIN);
        }
        status.running = true;
        #[cfg(CONFIG_SPDM_MCTP)]
        {
            status.way = self.way();
        }
        // One that is added from here on may come too late for this attestation.
        self.root_added.store(false, Release);
        let identity = status.identity;
        let demands = status.demands;
        // The verdict is dropped before it can be stale.
        let dropped = core::mem::replace(&mut status.verdict, Verdict::Pending);
        let mut kept = status.kept.take();
        let public_key = status.public_key.clone();
        let given = Given {
            public_key: public_key.as_deref(),
            reference: status.reference.clone(),
            nonce: status.nonce.take(),
            slot_mask: status.slot_mask,
            #[cfg(CONFIG_SPDM_MCTP)]
            way: status.way,
            asym: identity.as_ref().and_then(|known| known.asym),
        };
        let last = status.evidence.clone();
        drop(status);
        drop(dropped);

        let stopwatch = Stopwatch::start();
        let mut report = Report::default();
        let mut recorder = Recorder::new();
        let result = match &mut recorder {
            Ok(recorder) => self.exchange(
                occasion,
                identity.as_ref(),
                &given,
                &mut kept,
                &mut report,
                recorder,
            ),
            Err(error) => Err((*error).into()),
        };
        let verdict = match result {
            Ok(proof) => Verdict::Authenticated(proof),
            Err(failure) => Verdict::Failed(failure),
        };
        let state = verdict.state(self.resets());
        self.log(&verdict, state);
        // SAFETY: No requirements.
        let attested_at = unsafe { bindings::spdm_real_ns() };
        let known = last.as_ref().and_then(|last| last.chain.as_ref());
        let known = known.map(|chain| chain.shared());
        let chain = kept.as_mut().and_then(|kept| kept.chain.share(known));
        let last = (last.as_deref(), chain);
        let evidence = keep_evidence(recorder.ok(), &report, (&verdict, state, attested_at), last);
        if let Verdict::Failed(_) = &verdict {
            kept = None;
        }
        if let (Some(files), Some(evidence)) = (&mut *self.files.lock(), &evidence) {
            files.publish(evidence);
        }
        let result = match &verdict {
            Verdict::Failed(failure) => Err(failure.errno()),
            _ => Ok(()),
        };

        let mut status = self.status.lock();
        status.running = false;
        let verdict = match verdict {
            _ if status.policy == Policy::Off => Verdict::Off,
            // It is not what is demanded now. Whoever demands that attests next.
            Verdict::Authenticated(_) if status.demands != demands => Verdict::Pending,
            verdict => verdict,
        };
        if let Verdict::Authenticated(proof) = &verdict {
            let identity = *proof.authenticated.leaf_key().identity();
            let known = status.identity.get_or_insert(Known {
                identity,
                accepted: false,
                asym: None,
            });
            if known.identity == identity {
                known.asym = report.negotiated.asym;
            }
        }
        status.verdict = verdict;
        status.kept = kept;
        status.report = report;
        status.attested_at = attested_at;
        status.duration_us = stopwatch.elapsed_us();
        if status.policy == Policy::Enforce && occasion == Occasion::Resume && result.is_err() {
            // The driver resumes next, and is unbound when it has.
            if let Some(function) = self.function() {
                self.fence.take_offline(function);
            }
        }
        let measured = evidence.as_deref().and_then(Evidence::measurements_digest);
        let changed =
            measured.is_some() && status.measured.is_some_and(|last| Some(last) != measured);
        status.measured = measured.or(status.measured);
        let old = core::mem::replace(&mut status.evidence, evidence.clone());
        let reason = match &status.verdict {
            Verdict::Failed(failure) => CString::try_from_fmt(fmt!("{}", failure)).ok(),
            _ => None,
        };
        self.changed.notify_all();
        // If IMA cannot keep up, it misses the oldest.
        let [first, ..] = &mut status.for_ima;
        let missed = core::mem::replace(first, evidence.clone());
        status.for_ima.rotate_left(1);
        drop(status);
        drop((old, missed));

        self.enforce();
        if let Some(device) = self.device.as_ref() {
            let subject = subject(device);
            publish::tell(
                device,
                &subject,
                state,
                reason.as_ref(),
                changed,
                attested_at,
            );
            if let Some(evidence) = &evidence {
                publish::tell_signatures(&subject, evidence);
            }
        }
        // Where a TPM sleeps, it has yet to wake up.
        let _ = self.fence.queue.enqueue::<_, IMA_WORK>(self.clone());
        result
    }

    /// Has drivers kept away from the device or let to it, as policy and verdict say.
    pub(crate) fn enforce(self: &Arc<Self>) {
        if self.function().is_some() {
            // If it is pending already, it will see what is true when it runs.
            let _ = self.fence.queue.enqueue::<_, FENCE_WORK>(self.clone());
        }
    }

    fn move_fence(self: &Arc<Self>) {
        let Some(function) = self.function() else {
            return;
        };
        let status = self.status.lock();
        let (policy, state) = (status.policy, status.verdict.state(self.resets()));
        drop(status);
        match (policy, state) {
            // Drivers are nobody's concern any more. Not where it is shut down: a probe may want locks that are held
            // there.
            _ if self.cancel.is_shut_down() => self.fence.open(function),
            (Policy::Off | Policy::Audit, _) => self.fence.open(function),
            (Policy::Enforce, state) if state.is_authenticated() => self.fence.open(function),
            // There will be a verdict.
            (Policy::Enforce, State::Pending) => {}
            (Policy::Enforce, _) => {
                if self.fence.close(function).is_err() {
                    pr_err!("no memory to keep drivers away\n");
                }
                // What could not be done while the function was offline.
                let _ = self.attest_on(Occasion::Need);
            }
        }
        self.notify_all();
    }

    /// Changes the policy of the device.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `word` is none, `EOPNOTSUPP` if it is `enforce` and the device none that drivers can be kept away
    /// from.
    fn set_policy(self: &Arc<Self>, word: &[u8]) -> Result {
        let policy = Policy::parse(word)?;
        let function = self.function();
        if policy == Policy::Enforce && function.is_none() {
            return Err(EOPNOTSUPP);
        }
        let mut status = self.status.lock();
        status.policy = policy;
        let attest =
            matches!(status.verdict, Verdict::Off | Verdict::Stale) && policy != Policy::Off;
        let dropped = if policy == Policy::Off {
            Some(core::mem::replace(&mut status.verdict, Verdict::Off))
        } else {
            None
        };
        let authenticated = status.verdict.proof(self.resets()).is_some();
        drop(status);
        drop(dropped);

        if let (Policy::Enforce, false, Some(function)) = (policy, authenticated, function) {
            self.fence.raise(function)?;
        }
        if attest {
            // The verdict says what went wrong.
            let _ = self.attest();
        }
        self.enforce();
        Ok(())
    }

    /// Makes `text` the identity that the device has to prove, instead of the one it had. If it is empty, the next
    /// identity that the device proves is taken for its own.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is none; or as [`Attester::attest`].
    fn accept(self: &Arc<Self>, text: &[u8]) -> Result {
        let identity = match text {
            b"" => None,
            text => Some(Known {
                identity: parse_identity(text)?,
                accepted: true,
                asym: None,
            }),
        };
        let mut status = self.status.lock();
        status.identity = identity;
        drop(status);
        self.demand()
    }

    /// Attests the device, of which something else is demanded than before. What it proves in an attestation that
    /// began before does not count.
    ///
    /// # Errors
    ///
    /// As [`Attester::attest`].
    fn demand(self: &Arc<Self>) -> Result {
        let mut status = self.status.lock();
        status.demands = status.demands.wrapping_add(1);
        drop(status);
        let result = self.attest();
        if result == Err(EINTR) {
            // Nobody waits any more, but there has to be a verdict. If it is pending already, there will be.
            let _ = self.fence.queue.enqueue::<_, 0>(self.clone());
        }
        result
    }

    /// Makes `der` the public key of the device, which has no certificates, and forgets its identity. If it is
    /// empty, there is no such key any more.
    ///
    /// # Errors
    ///
    /// As [`ProvisionedKey::new`] or [`Attester::attest`].
    fn provision(self: &Arc<Self>, der: &[u8]) -> Result {
        let public_key = match der.trim_ascii() {
            b"" => None,
            _ => Some(Arc::new(ProvisionedKey::new(der)?, GFP_KERNEL)?),
        };
        let mut status = self.status.lock();
        let _old = core::mem::replace(&mut status.public_key, public_key);
        status.identity = None;
        drop(status);
        self.demand()
    }

    /// Changes which certificate slots of the device may be used.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `value` is not the byte of a slot mask with a slot in it; or as [`Attester::attest`].
    fn set_slot_mask(self: &Arc<Self>, value: &[u8]) -> Result {
        match *value {
            [] | [0, ..] => return Err(EINVAL),
            [mask, ..] => self.status.lock().slot_mask = mask,
        }
        self.demand()
    }

    /// Stores to an attribute of the class device.
    ///
    /// # Errors
    ///
    /// As the attribute has it.
    pub(crate) fn store(
        self: &Arc<Self>,
        attribute: bindings::spdm_attribute,
        value: &[u8],
    ) -> Result {
        if is_sealed() {
            return Err(EPERM);
        }
        let text = value.trim_ascii();
        match attribute {
            bindings::spdm_attribute_SPDM_ATTRIBUTE_PUBLIC_KEY => self.provision(value),
            bindings::spdm_attribute_SPDM_ATTRIBUTE_POLICY => self.set_policy(text),
            bindings::spdm_attribute_SPDM_ATTRIBUTE_IDENTITY => self.accept(text),
            bindings::spdm_attribute_SPDM_ATTRIBUTE_SLOT_MASK => self.set_slot_mask(value),
            bindings::spdm_attribute_SPDM_ATTRIBUTE_RESUME_POLICY => {
                self.status.lock().resume_policy = ResumePolicy::parse(text)?;
                Ok(())
            }
            _ => Err(EINVAL),
        }
    }

    /// Reads an attribute of the class device that may be longer than a page.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn read(&self, attribute: bindings::spdm_attribute) -> Result<Bytes> {
        let status = self.status.lock();
        let (evidence, reference) = (status.evidence.clone(), status.reference.clone());
        drop(status);
        let mut text = Bytes::default();
        match (attribute, evidence, reference) {
            (bindings::spdm_attribute_SPDM_ATTRIBUTE_MEASUREMENTS, Some(evidence), _) => {
                write_blocks(&mut text, evidence.record()).map_err(|_| ENOMEM)?;
            }
            (bindings::spdm_attribute_SPDM_ATTRIBUTE_MEASUREMENTS_RAW, Some(evidence), _) => {
                text.append(evidence.record())?;
            }
            (
                bindings::spdm_attribute_SPDM_ATTRIBUTE_REFERENCE_MEASUREMENTS,
                _,
                Some(reference),
            ) => text.append(reference.text())?,
            _ => {}
        }
        Ok(text)
    }

    /// Writes to `reference_measurements`: a part of the text, at `offset`. When a line is complete, the device is
    /// attested again.
    ///
    /// # Errors
    ///
    /// As [`Reference::with`] or [`Attester::attest`]; `EPERM` if trust is sealed.
    pub(crate) fn write(
        self: &Arc<Self>,
        attribute: bindings::spdm_attribute,
        offset: usize,
        text: &[u8],
    ) -> Result {
        if attribute != bindings::spdm_attribute_SPDM_ATTRIBUTE_REFERENCE_MEASUREMENTS {
            return Err(EINVAL);
        }
        if is_sealed() {
            return Err(EPERM);
        }
        let before = self.status.lock().reference.clone();
        let reference = Arc::new(
            Reference::with(before.as_deref(), offset, text)?,
            GFP_KERNEL,
        )?;
        let is_whole = reference.is_whole();
        let reference = Some(reference).filter(|reference| !reference.is_empty());
        let old = core::mem::replace(&mut self.status.lock().reference, reference);
        drop(old);
        match is_whole {
            true => self.demand(),
            false => Ok(()),
        }
    }

    fn log(&self, verdict: &Verdict, state: State) {
        let Some(device) = self.device.as_ref() else {
            return;
        };
        match verdict {
            Verdict::Failed(failure) => dev_warn!(device, "not authenticated: {}\n", failure),
            _ => dev_info!(device, "{}\n", state.name()),
        }
    }

    /// Attests the device and checks that it is the one it was.
    // Not inlined, and `exchange_over` neither: each has results on the stack that the other does not need.
    #[inline(never)]
    fn exchange(
        &self,
        occasion: Occasion,
        known: Option<&Known>,
        given: &Given<'_>,
        kept: &mut Option<KBox<Kept>>,
        report: &mut Report,
        recorder: &mut Recorder,
    ) -> Result<Proof, Failure> {
        let accepted = known.filter(|known| known.accepted);
        let accepted = accepted.map(|known| &known.identity);
        let anchor =
            |device| Anchor::new(&self.cma, device, accepted).with_public_key(given.public_key);
        let (authenticated, resets) = match &self.endpoint {
            Endpoint::Pci {
                function,
                mailbox,
                identity,
            } => {
                let _resumed = (occasion != Occasion::Resume).then(|| function.resume());
                // Waking it up may have been a reset, what comes from now on is not to be missed.
                let resets = self.resets();
                // SAFETY: The bus notifier shuts the attester down before the function and its mailbox go, and that
                // waits for this.
                let mut transport = unsafe { Doe::new(*mailbox, function, &self.cancel) };
                let anchor = anchor(Some(identity));
                let authenticated =
                    self.exchange_over(&mut transport, anchor, given, kept, report, recorder)?;
                (authenticated, resets)
            }
            Endpoint::Foreign(foreign) => {
                let resets = self.resets();
                let authenticated = self.exchange_over(
                    &mut foreign.transport(&self.cancel),
                    anchor(None),
                    given,
                    kept,
                    report,
                    recorder,
                )?;
                (authenticated, resets)
            }
            #[cfg(CONFIG_SPDM_MCTP)]
            Endpoint::Mctp(peer) => {
                let resets = self.resets();
                // SAFETY: It has not been shut down, and that waits for this.
                let mut transport = unsafe { peer.transport(&self.cancel, given.way) };
                let anchor = anchor(None).with_name(peer.name());
                let authenticated =
                    self.exchange_over(&mut transport, anchor, given, kept, report, recorder)?;
                (authenticated, resets)
            }
        };
        let found = *authenticated.leaf_key().identity();
        match known {
            Some(known) if known.identity != found => return Err(Failure::IdentityChanged(found)),
            _ => {}
        }
        if let Some(reference) = &given.reference {
            expect(reference, &report.measurements, recorder.measured())
                .map_err(Failure::Measurements)?;
        }
        Ok(Proof {
            authenticated,
            resets,
        })
    }

    #[inline(never)]
    fn exchange_over<T: Transport>(
        &self,
        transport: &mut T,
        mut anchor: Anchor<'_>,
        given: &Given<'_>,
        kept: &mut Option<KBox<Kept>>,
        report: &mut Report,
        recorder: &mut Recorder,
    ) -> Result<Authenticated<LeafKey>, Failure> {
        let Kept { workspace, chain } = &mut **match kept {
            Some(kept) => kept,
            None => kept.insert(Kept::new()?),
        };
        Requester {
            transport: &mut Traced {
                transport,
                device: self.device.as_ref().map(|device| &**device),
            },
            platform: &mut Kernel::new(&self.cma, &self.cancel, recorder, given.nonce.as_ref()),
            buffer: &mut ResponseBuf::default(),
            workspace,
            config: Config {
                cache: may_cache(),
                measurements: takes_measurements() || given.reference.is_some(),
                signature_preference: signature_preference(),
                known_asym: given.asym,
                slots: given.slot_mask,
                ..Config::default()
            },
        }
        .attest(&mut anchor, chain, report)
        .map_err(|error| Failure::Protocol {
            error,
            detail: match error.reason() {
                Reason::Chain { slot, error } => match anchor.detail(slot, error) {
                    "" => None,
                    detail => CString::try_from_fmt(fmt!("{}", detail)).ok(),
                },
                _ => None,
            },
            offered: anchor.offered(),
        })
    }

    /// What the device told that it supports, and this kernel lacks.
    fn missing_algorithms(&self, negotiated: &Negotiated) -> SupportedAlgorithms {
        negotiated
            .capabilities
            .and_then(|capabilities| capabilities.supported_algorithms())
            .unwrap_or_default()
            .without(
                self.cma.base_hashes(),
                self.cma.base_asyms(),
                self.cma.pqc_asyms(),
            )
    }

    /// Shows an attribute of the class device; nothing for what is not known.
    pub(crate) fn show(
        &self,
        attribute: bindings::spdm_attribute,
        writer: &mut Formatter<'_>,
    ) -> core::fmt::Result {
        // It looks at other devices, whose readers may look at this one.
        if attribute == bindings::spdm_attribute_SPDM_ATTRIBUTE_SAME_DEVICE_AS {
            return self.show_same_device(writer);
        }
        let status = self.status.lock();
        let negotiated = &status.report.negotiated;
        let stats = &status.report.stats;
        let resets = self.resets();
        let is_authenticated = self.state(&status).is_authenticated();
        let proof = status.verdict.proof(resets).filter(|_| is_authenticated);
        let leaf = proof.map(|proof| proof.authenticated.leaf_key());
        match attribute {
            bindings::spdm_attribute_SPDM_ATTRIBUTE_AUTHENTICATED => {
                writeln!(writer, "{}", u8::from(is_authenticated))
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_STATE => {
                writeln!(writer, "{}", self.state(&status).name())
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
                let mut end = "";
                if let (Some(hash), Some(asym)) = (negotiated.base_hash, negotiated.asym) {
                    let (hash, field) = (hash.name(), asym_field(asym));
                    write!(writer, "base_hash={hash} {field}={}", asym.name())?;
                    end = "\n";
                }
                // Of most use where nothing was negotiated for want of it.
                let missing = self.missing_algorithms(negotiated);
                if missing != SupportedAlgorithms::default() {
                    let space = if end.is_empty() { "" } else { " " };
                    write!(writer, "{space}missing={missing}")?;
                    end = "\n";
                }
                writer.write_str(end)
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_CAPABILITIES => match negotiated.capabilities {
                Some(capabilities) => writeln!(writer, "0x{:08x}", capabilities.flags()),
                None => Ok(()),
            },
            bindings::spdm_attribute_SPDM_ATTRIBUTE_SLOT => match negotiated.slot {
                Some(slot) => writeln!(writer, "{slot}"),
                None => Ok(()),
            },
            bindings::spdm_attribute_SPDM_ATTRIBUTE_IDENTITY => {
                let identity = status.identity.as_ref().map(|known| &known.identity);
                show_identity(writer, identity)
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_OFFERED_IDENTITY => {
                let offered = match &status.verdict {
                    Verdict::Failed(failure) => failure.offered_identity(),
                    _ => None,
                };
                show_identity(writer, offered)
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_SUBJECT => match leaf {
                Some(leaf) => writeln!(writer, "{}", leaf.subject()),
                None => Ok(()),
            },
            bindings::spdm_attribute_SPDM_ATTRIBUTE_ISSUER => match leaf {
                Some(leaf) => writeln!(writer, "{}", leaf.issuer()),
                None => Ok(()),
            },
            bindings::spdm_attribute_SPDM_ATTRIBUTE_POLICY => {
                writeln!(writer, "{}", status.policy.name())
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_RESUME_POLICY => {
                writeln!(writer, "{}", status.resume_policy.name())
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_SLOT_MASK => {
                writeln!(writer, "0x{:02x}", status.slot_mask)
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_ATTESTED_AT if status.attested_at != 0 => {
                writeln!(writer, "{}", status.attested_at / 1_000_000_000)
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_DURATION_US if status.attested_at != 0 => {
                writeln!(writer, "{}", status.duration_us)
            }
            bindings::spdm_attribute_SPDM_ATTRIBUTE_MEASUREMENTS_STATUS => {
                write_status(writer, &status.report.measurements)?;
                writer.write_str("\n")
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

    /// Shows the names of what proved the same identity: other ways to the same device.
    fn show_same_device(&self, writer: &mut Formatter<'_>) -> core::fmt::Result {
        let (Some(identity), Some(subsystem)) = (self.proven_identity(), subsystem::running())
        else {
            return Ok(());
        };
        let mut result = Ok(());
        subsystem.for_each(|other| {
            let same = !core::ptr::eq(self, &**other) && other.proven_identity() == Some(identity);
            if let (true, Ok(()), Some(device)) = (same, result, other.device.as_ref()) {
                let mut name = [0; 64];
                // SAFETY: The device is valid, and `name` can be written.
                let len = unsafe {
                    bindings::spdm_device_name(as_raw(device), name.as_mut_ptr(), name.len())
                };
                let name = usize::try_from(len).ok().and_then(|len| name.get(..len));
                let name = name.and_then(|name| core::str::from_utf8(name).ok());
                result = writeln!(writer, "{}", name.unwrap_or_default());
            }
        });
        result
    }
}

/// What an attestation is given besides what it finds out.
struct Given<'a> {
    public_key: Option<&'a ProvisionedKey>,
    reference: Option<Arc<Reference>>,
    nonce: Option<[u8; 32]>,
    slot_mask: u8,
    #[cfg(CONFIG_SPDM_MCTP)]
    way: Option<Way>,
    /// What the key is for that the device is known by.
    asym: Option<Asym>,
}

/// Compares measurements with those that are expected.
fn expect(
    reference: &Reference,
    status: &MeasurementStatus,
    record: &[u8],
) -> Result<(), Unexpected> {
    match status {
        MeasurementStatus::Taken { signed: true } => match reference.mismatch(record) {
            Some(index) => Err(Unexpected::Mismatch(index)),
            None => Ok(()),
        },
        // Anybody on the way could have made them up.
        MeasurementStatus::Taken { signed: false } => Err(Unexpected::Unsigned),
        MeasurementStatus::Unsupported | MeasurementStatus::NotTaken => Err(Unexpected::Missing),
        MeasurementStatus::Failed(error) => Err(Unexpected::Failed(*error)),
    }
}

/// Makes the evidence of an attestation. There is none if there is no memory for it.
#[inline(never)]
fn keep_evidence(
    recorder: Option<KBox<Recorder>>,
    report: &Report,
    (verdict, state, attested_at): (&Verdict, State, i64),
    (last, chain): (Option<&Evidence>, Option<Arc<KVVec<u8>>>),
) -> Option<Arc<Evidence>> {
    let failure = match verdict {
        Verdict::Failed(failure) => Some(failure),
        _ => None,
    };
    let identity = match verdict {
        Verdict::Authenticated(proof) => Some(proof.authenticated.leaf_key().identity()),
        _ => failure.and_then(Failure::offered_identity),
    };
    Evidence::new(
        recorder?,
        Outcome {
            state: state.name(),
            reason: failure,
            identity,
            attested_at,
            negotiated: report.negotiated,
            status: report.measurements,
            chain,
            last,
        },
    )
    .ok()
}

fn show_identity(writer: &mut Formatter<'_>, identity: Option<&Identity>) -> core::fmt::Result {
    match identity {
        Some(identity) => {
            write_identity(writer, identity)?;
            writeln!(writer)
        }
        None => Ok(()),
    }
}
