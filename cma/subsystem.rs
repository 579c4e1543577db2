// SPDX-License-Identifier: GPL-2.0

//! What exists once: the keyring, the class, the workqueue, the list of devices.

#[cfg(CONFIG_SPDM_MCTP)]
use crate::mctp::{
    Peer,
    Watch, //
};
use crate::{
    attester::{
        Attester,
        Endpoint, //
    },
    bindings,
    bus::{
        self,
        Notifier,
        RescanLock, //
    },
    class::{
        Attributes,
        Class,
        Entry, //
    },
    doe::Mailbox,
    keyring::Cma,
    netlink::Family,
    pci::Function,
    policy::Policy, //
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    bindings::{
        device,
        workqueue_struct, //
    },
    ffi::{
        c_char,
        c_void, //
    },
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
    workqueue::Queue,
    InPlaceModule, //
};

kernel::sync::global_lock! {
    /// The running subsystem, for callers who come from C without a pointer to it.
    // SAFETY: Initialised in `Module::init`, before the lock's first use.
    unsafe(uninit) static SUBSYSTEM: Mutex<Option<Arc<Subsystem>>> = None;
}

#[cfg(CONFIG_SPDM_MCTP)]
kernel::sync::global_lock! {
    /// The same, for who adds devices: it does not stop while this is locked.
    // SAFETY: Initialised in `Module::init`, before the lock's first use.
    unsafe(uninit) static CONTROL: Mutex<Option<Arc<Subsystem>>> = None;
}

/// The running subsystem, if it has started and not stopped.
pub(crate) fn running() -> Option<Arc<Subsystem>> {
    SUBSYSTEM.lock().clone()
}

/// What exists once.
#[pin_data]
pub(crate) struct Subsystem {
    // Dropped first, and that waits for what is queued. Nothing that is holds a reference to the subsystem, so it is
    // not dropped by that.
    queue: WorkQueue,
    fences: WorkQueue,
    #[pin]
    class: Class,
    #[pin]
    devices: SpinLock<List>,
    cma: Arc<Cma>,
}

impl Subsystem {
    fn new() -> Result<Arc<Self>> {
        let cma = Arc::new(Cma::new()?, GFP_KERNEL)?;
        if let Err(error) = cma.add_roots(builtin_roots()) {
            // Devices of other roots can still be attested.
            pr_err!("a built-in root certificate cannot be read: {:?}\n", error);
        }
        Arc::pin_init(
            try_pin_init!(Self {
                queue: WorkQueue::new(c"spdm", 0)?,
                fences: WorkQueue::new(c"spdm_fence", bindings::wq_flags_WQ_FREEZABLE)?,
                class <- Class::new(),
                devices <- new_spinlock!(List(None), "spdm::Subsystem::devices"),
                cma,
            }),
            GFP_KERNEL,
        )
    }

    /// The keyring and the algorithms.
    pub(crate) fn cma(&self) -> Arc<Cma> {
        self.cma.clone()
    }

    /// Where attesters unbind drivers.
    pub(crate) fn fences(&self) -> QueueRef {
        // SAFETY: Attesters enqueue while they are registered and while they run, and all of them are waited for
        // before the queue is dropped.
        unsafe { self.fences.by_reference() }
    }

    /// The class.
    pub(crate) fn class(&self) -> &Class {
        &self.class
    }

    /// The attester of the PCI function `dev`, if it has one.
    pub(crate) fn find(&self, dev: *mut device) -> Option<Arc<Attester>> {
        self.devices.lock().find(dev)
    }

    /// Whether the function `dev` is authenticated, and still there.
    pub(crate) fn is_authenticated(&self, dev: *mut device) -> bool {
        let Some(attester) = self.find(dev) else {
            return false;
        };
        if !attester.is_authenticated() {
            return false;
        }
        let is_present = attester.function().is_some_and(Function::is_present);
        if !is_present {
            // It has gone without a word. What is there when it can be read again may be another device.
            self.restored(dev);
        }
        is_present
    }

    /// Leaves functions to the PCI/TSM core that it attests now, and attests those that it does no more.
    fn tsm_changed(&self) {
        let rescan = RescanLock::new();
        let mut n = 0;
        while let Some(attester) = self.nth(n) {
            match attester.function() {
                // A TSM puts its own attribute in the place of SPDM's, and leaves none when it goes, which it may have
                // done by now.
                Some(function) if function.has_tsm() || !function.has_attributes() => {
                    self.remove(function.as_device());
                }
                _ => n = n.saturating_add(1),
            }
        }
        bus::scan(&rescan);
    }

    /// An error of the function `dev` is being handled, which may come to a reset. [`Subsystem::restored`] follows.
    /// Does not sleep.
    fn failing(&self, dev: *mut device) {
        if let Some(attester) = self.find(dev) {
            attester.make_stale();
        }
    }

    /// The function `dev` was reset, or had no power: what it proved is no longer so. Does not sleep.
    fn restored(&self, dev: *mut device) {
        if let Some(attester) = self.find(dev) {
            attester.make_stale();
            // If it is pending already, it will attest the device as it is now.
            let _ = self.queue.enqueue::<_, 0>(attester);
        }
    }

    /// A root certificate is being added: attests the devices that were waiting for one. Does not sleep.
    pub(crate) fn root_added(&self) {
        self.devices.lock().for_each(|attester| {
            attester.root_added();
            // If it is pending already, it will find the certificate.
            let _ = self.queue.enqueue::<_, 0>(attester.clone());
        });
    }

    /// Makes an attester for a function that has CMA, and starts it.
    ///
    /// # Safety
    ///
    /// `dev` is a device of the PCI bus, and stays registered until [`Subsystem::remove`] returns.
    pub(crate) unsafe fn add(&self, dev: *mut device) -> Result {
        // SAFETY: By the contract.
        let function = unsafe { Function::from_device(dev) }.ok_or(ENODEV)?;
        let Some(mailbox) = Mailbox::find(&function) else {
            return Ok(());
        };
        if self.find(dev).is_some() || function.has_tsm() {
            return Ok(());
        }
        let name = function.name();
        let identity = function.identity();
        let policy = Policy::of_new_devices();
        let attester = Attester::new(
            self,
            Endpoint::Pci {
                function,
                mailbox,
                identity,
            },
            policy,
        )?;
        // SAFETY: By the contract, `dev` stays registered until the registration is removed. Its name is a string.
        let mut registration =
            unsafe { Registration::new(&self.class, dev, c"pci-", name, attester)? };
        // A TSM may register meanwhile, and add an attribute of the same name.
        if registration
            .attester
            .function()
            .is_some_and(Function::has_tsm)
        {
            return Ok(());
        }
        // SAFETY: As above.
        registration.attributes = Some(unsafe { Attributes::new(dev)? });
        self.start(registration, policy)
    }

    /// Lists a new device, and attests it.
    fn start(&self, registration: Registration, policy: Policy) -> Result {
        let attester = registration.attester.clone();
        let node = KBox::new(
            Node {
                registration,
                next: None,
            },
            GFP_KERNEL,
        )?;
        self.devices.lock().push(node);
        if policy != Policy::Off {
            // It was never enqueued, so it is not pending.
            let _ = self.queue.enqueue::<_, 0>(attester);
        }
        Ok(())
    }

    /// Attests a device in a while, unless it is authenticated.
    pub(crate) fn attest_again(&self, attester: &Arc<Attester>) {
        attester.need();
        // If it is pending already, it will attest the device as it is then.
        let _ = self.queue.enqueue::<_, 0>(attester.clone());
    }

    /// Removes the attester of the function `dev`, if it has one. An attestation that runs is cancelled.
    pub(crate) fn remove(&self, dev: *mut device) {
        let node = self
            .devices
            .lock()
            .take(|node| node.registration.is_of(dev));
        // Not under the lock: dropping it waits for readers of attributes, who may wait for the lock.
        drop(node);
    }

    /// The system has resumed: attests a device in a while if it is owed that.
    pub(crate) fn attest_resumed(&self, attester: &Arc<Attester>) {
        if attester.allow() {
            self.attest_again(attester);
        }
    }

    /// Cancels all attestations, so that nobody waits for one.
    fn cancel_all(&self) {
        self.for_each(|attester| attester.cancel());
    }

    /// Calls `call`, which may sleep, with all devices that are listed meanwhile.
    pub(crate) fn for_each(&self, mut call: impl FnMut(&Arc<Attester>)) {
        let mut n = 0;
        while let Some(attester) = self.nth(n) {
            call(&attester);
            n = n.saturating_add(1);
        }
    }

    fn nth(&self, n: usize) -> Option<Arc<Attester>> {
        self.devices.lock().nth(n)
    }

    fn remove_all(&self) {
        loop {
            let node = self.devices.lock().take(|_| true);
            if node.is_none() {
                break;
            }
        }
    }
}

#[cfg(CONFIG_SPDM_MCTP)]
impl Subsystem {
    /// Makes an attester for an MCTP endpoint, named `name`, and starts it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn add_endpoint(&self, peer: Peer, name: &CStr) -> Result {
        // There is no driver to keep away.
        let policy = match Policy::of_new_devices() {
            Policy::Enforce => Policy::Audit,
            policy => policy,
        };
        let attester = Attester::new(self, Endpoint::Mctp(peer), policy)?;
        let name = name.as_char_ptr();
        // SAFETY: It has no parent; `name` is a string.
        let registration =
            unsafe { Registration::new(&self.class, core::ptr::null_mut(), c"", name, attester)? };
        self.start(registration, policy)
    }

    /// Removes the first endpoint that is `wanted`. An attestation that runs is cancelled.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none.
    pub(crate) fn remove_endpoint(&self, wanted: impl Fn(&Peer) -> bool) -> Result {
        let node = self
            .devices
            .lock()
            .take(|node| node.registration.attester.peer().is_some_and(&wanted));
        // Not under the lock: dropping it waits for readers of attributes, who may wait for the lock.
        node.map(drop).ok_or(ENOENT)
    }

    /// Calls `call`, which may sleep, with all MCTP endpoints.
    pub(crate) fn for_each_endpoint(&self, mut call: impl FnMut(&Arc<Attester>, &Peer)) {
        self.for_each(|attester| {
            if let Some(peer) = attester.peer() {
                call(attester, peer);
            }
        });
    }
}

/// Lets devices be added to the subsystem, or to none any more.
#[cfg(CONFIG_SPDM_MCTP)]
pub(crate) fn set_control(subsystem: Option<Arc<Subsystem>>) {
    *CONTROL.lock() = subsystem;
}

/// Calls `call` with the subsystem, which does not stop before that has returned. Calls do not overlap.
///
/// # Errors
///
/// `ENODEV` if it does not run, else as `call`.
#[cfg(CONFIG_SPDM_MCTP)]
pub(crate) fn control(call: impl FnOnce(&Subsystem) -> Result) -> Result {
    let guard = CONTROL.lock();
    match &*guard {
        Some(subsystem) => call(subsystem),
        None => Err(ENODEV),
    }
}

/// The PCI functions and MCTP endpoints that have an attester.
struct List(Option<KBox<Node>>);

struct Node {
    registration: Registration,
    next: Option<KBox<Node>>,
}

impl List {
    fn push(&mut self, mut node: KBox<Node>) {
        node.next = self.0.take();
        self.0 = Some(node);
    }

    fn find(&self, dev: *mut device) -> Option<Arc<Attester>> {
        let mut next = &self.0;
        while let Some(node) = next {
            if node.registration.is_of(dev) {
                return Some(node.registration.attester.clone());
            }
            next = &node.next;
        }
        None
    }

    fn nth(&self, mut n: usize) -> Option<Arc<Attester>> {
        let mut next = &self.0;
        while let Some(node) = next {
            if n == 0 {
                return Some(node.registration.attester.clone());
            }
            n = n.saturating_sub(1);
            next = &node.next;
        }
        None
    }

    fn for_each(&self, mut call: impl FnMut(&Arc<Attester>)) {
        let mut next = &self.0;
        while let Some(node) = next {
            call(&node.registration.attester);
            next = &node.next;
        }
    }

    /// Takes the first node for which `wanted` is true.
    fn take(&mut self, wanted: impl Fn(&Node) -> bool) -> Option<KBox<Node>> {
        let mut cursor = &mut self.0;
        while !wanted(cursor.as_deref()?) {
            cursor = &mut cursor.as_mut()?.next;
        }
        let mut node = cursor.take()?;
        *cursor = node.next.take();
        Some(node)
    }
}

/// Root certificates that were compiled in (CONFIG_SPDM_ROOTS), in DER.
fn builtin_roots() -> &'static [u8] {
    let start = (&raw const bindings::spdm_builtin_roots).cast::<u8>();
    let end = (&raw const bindings::spdm_builtin_roots_end).cast::<u8>();
    // SAFETY: roots.S puts both symbols around one read-only object.
    unsafe { core::slice::from_raw_parts(start, end.addr().saturating_sub(start.addr())) }
}

/// A device that is attested: its attester and what user space sees of it.
///
/// Dropping it cancels an attestation that runs, and waits for its end.
pub(crate) struct Registration {
    // The fields are dropped in this order.
    attributes: Option<Attributes>,
    _entry: Entry,
    attester: Arc<Attester>,
}

impl Registration {
    /// Makes the entry in `/sys/class/spdm`.
    ///
    /// # Safety
    ///
    /// `parent` is null, or registered and stays so until the registration is dropped, and so does `class`. `name` is a
    /// string.
    pub(crate) unsafe fn new(
        class: &Class,
        parent: *mut device,
        prefix: &'static CStr,
        name: *const c_char,
        attester: Arc<Attester>,
    ) -> Result<Self> {
        // SAFETY: By the contract.
        let entry = unsafe { Entry::new(class, parent, prefix, name, attester.clone())? };
        // SAFETY: Both are registered until the registration is dropped, which shuts the attester down before.
        unsafe { attester.set_device(entry.device(), parent)? };
        Ok(Self {
            attributes: None,
            _entry: entry,
            attester,
        })
    }

    /// The attester.
    pub(crate) fn attester(&self) -> &Arc<Attester> {
        &self.attester
    }

    fn is_of(&self, dev: *mut device) -> bool {
        self.attester
            .function()
            .is_some_and(|function| function.as_device() == dev)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.attester.shut_down();
    }
}

/// An unbound workqueue: attestations run in parallel. Dropping it waits for what is queued.
struct WorkQueue(NonNull<workqueue_struct>);

// SAFETY: A workqueue may be used from any thread.
unsafe impl Send for WorkQueue {}
// SAFETY: As above.
unsafe impl Sync for WorkQueue {}

impl WorkQueue {
    fn new(name: &'static CStr, flags: bindings::wq_flags) -> Result<Self> {
        // SAFETY: The format is a constant without arguments.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                name.as_char_ptr(),
                bindings::wq_flags_WQ_UNBOUND | flags,
                0,
            )
        };
        NonNull::new(queue).map(Self).ok_or(ENOMEM)
    }

    /// # Safety
    ///
    /// Nothing is enqueued through the result after the queue was dropped.
    unsafe fn by_reference(&self) -> QueueRef {
        QueueRef(self.0)
    }
}

impl Deref for WorkQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: The workqueue lives as long as `self`.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for WorkQueue {
    fn drop(&mut self) {
        // SAFETY: The workqueue was allocated by `new`, and nothing is enqueued any more.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// A workqueue that somebody else owns.
///
/// # Invariants
///
/// The workqueue is valid whenever something is enqueued.
#[derive(Clone, Copy)]
pub(crate) struct QueueRef(NonNull<workqueue_struct>);

// SAFETY: A workqueue may be used from any thread.
unsafe impl Send for QueueRef {}
// SAFETY: As above.
unsafe impl Sync for QueueRef {}

impl Deref for QueueRef {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: By the type invariant.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }
}

/// The module: runs the subsystem while it is loaded.
#[pin_data]
pub(crate) struct Module {
    // Dropped in this order. Drivers that wait for a verdict would have the notifier wait for them.
    _cancel: CancelAll,
    // Nobody asks for what goes.
    _family: Family,
    // Removes endpoints, and so is in want of the subsystem.
    #[cfg(CONFIG_SPDM_MCTP)]
    watch: Watch,
    tsm: TsmWatch,
    started: Started,
    // After `started`: from then on it finds no subsystem.
    #[pin]
    notifier: Notifier,
    resets: Option<Resets>,
}

impl InPlaceModule for Module {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        // SAFETY: Called once, when the module is loaded.
        unsafe { SUBSYSTEM.init() };
        #[cfg(CONFIG_SPDM_MCTP)]
        // SAFETY: As above.
        unsafe {
            CONTROL.init()
        };

        try_pin_init!(Self {
            started: Started::new()?,
            _cancel: CancelAll(started.0.clone()),
            _family: Family::register()?,
            resets: Resets::watch(&started.0),
            #[cfg(CONFIG_SPDM_MCTP)]
            watch: Watch::new(&started.0)?,
            notifier <- Notifier::new(),
            tsm: TsmWatch::new(),
            _: {
                bus::scan(&RescanLock::new());
            },
        })
    }
}

/// Learns of resets while it lives.
struct Resets(#[expect(dead_code)] Arc<Subsystem>);

impl Resets {
    fn watch(subsystem: &Arc<Subsystem>) -> Option<Self> {
        let data = Arc::as_ptr(subsystem).cast_mut().cast();
        // SAFETY: The functions take a subsystem, and `self` keeps it alive until they are called no more.
        let error = unsafe { bindings::spdm_watch_resets(&raw const RESET_CALLS, data) };
        if error != 0 {
            pr_warn!(
                "no notifier of resets, no kprobe ({}): verdicts outlive resets of their devices\n",
                error
            );
            return None;
        }
        Some(Self(subsystem.clone()))
    }
}

impl Drop for Resets {
    fn drop(&mut self) {
        // SAFETY: `watch` succeeded.
        unsafe { bindings::spdm_unwatch_resets() };
    }
}

static RESET_CALLS: bindings::spdm_reset_calls = bindings::spdm_reset_calls {
    prepare: Some(reset_prepare),
    done: Some(reset_done),
    failing: Some(failing),
    restored: Some(restored),
};

/// # Safety
///
/// `data` is a subsystem, `dev` a device of the PCI bus.
unsafe extern "C" fn reset_prepare(data: *mut c_void, dev: *mut device) {
    // SAFETY: By the contract.
    if let Some(attester) = unsafe { &*data.cast::<Subsystem>() }.find(dev) {
        attester.prepare_reset();
    }
}

/// # Safety
///
/// `data` is a subsystem, `dev` a device of the PCI bus.
unsafe extern "C" fn reset_done(data: *mut c_void, dev: *mut device) {
    // SAFETY: By the contract.
    if let Some(attester) = unsafe { &*data.cast::<Subsystem>() }.find(dev) {
        attester.resume();
    }
}

/// # Safety
///
/// `data` is a subsystem, `dev` a device of the PCI bus.
unsafe extern "C" fn failing(data: *mut c_void, dev: *mut device) {
    // SAFETY: By the contract.
    unsafe { &*data.cast::<Subsystem>() }.failing(dev);
}

/// # Safety
///
/// `data` is a subsystem, `dev` a device of the PCI bus.
unsafe extern "C" fn restored(data: *mut c_void, dev: *mut device) {
    // SAFETY: By the contract.
    unsafe { &*data.cast::<Subsystem>() }.restored(dev);
}

/// Learns of functions that the PCI/TSM core takes or gives back, while it lives.
struct TsmWatch(());

impl TsmWatch {
    fn new() -> Self {
        // What is missed is noticed when a function is to be attested.
        // SAFETY: No requirements; `drop` undoes it.
        unsafe { bindings::spdm_watch_tsm() };
        Self(())
    }
}

impl Drop for TsmWatch {
    fn drop(&mut self) {
        // SAFETY: `new` began it.
        unsafe { bindings::spdm_unwatch_tsm() };
    }
}

/// The PCI/TSM core has taken functions, or given them back. Called by shim.c.
#[no_mangle]
extern "C" fn spdm_tsm_changed() {
    if let Some(subsystem) = running() {
        subsystem.tsm_changed();
    }
}

/// Cancels all attestations when it is dropped.
struct CancelAll(Arc<Subsystem>);

impl Drop for CancelAll {
    fn drop(&mut self) {
        self.0.cancel_all();
    }
}

/// The subsystem runs while this lives.
struct Started(Arc<Subsystem>);

impl Started {
    fn new() -> Result<Self> {
        let subsystem = Subsystem::new()?;
        *SUBSYSTEM.lock() = Some(subsystem.clone());
        Ok(Self(subsystem))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // A function that goes while nobody listens would not be let go of in time.
        let _rescan = RescanLock::new();
        let global = SUBSYSTEM.lock().take();
        drop(global);
        self.0.remove_all();
    }
}
