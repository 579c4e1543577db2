// SPDX-License-Identifier: GPL-2.0

//! The device class `spdm`: `/sys/class/spdm`.
//!
//! C header: [`include/linux/device/class.h`](srctree/include/linux/device/class.h)

use crate::{
    attester::Attester,
    bindings,
    keyring,
    subsystem, //
};
use core::fmt::Write;
use kernel::{
    bindings::{
        class,
        device, //
    },
    device::Device,
    error::to_result,
    ffi::{
        c_char,
        c_int,
        c_void, //
    },
    page::PAGE_SIZE,
    prelude::*,
    str::Formatter,
    sync::{
        aref::ARef,
        Arc,
        ArcBorrow, //
    },
    types::Opaque, //
};

/// The registered class.
///
/// # Invariants
///
/// The class is registered as long as the object lives.
#[pin_data(PinnedDrop)]
pub(crate) struct Class {
    #[pin]
    class: Opaque<class>,
}

// SAFETY: The driver core serialises access to a registered class.
unsafe impl Send for Class {}
// SAFETY: As above.
unsafe impl Sync for Class {}

impl Class {
    /// Registers the class.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            class <- Opaque::try_ffi_init(|slot: *mut class| {
                let class = class {
                    name: c"spdm".as_char_ptr(),
                    class_groups: (&raw mut bindings::spdm_groups).cast(),
                    dev_groups: (&raw mut bindings::spdm_class_groups).cast(),
                    pm: &raw const PM_OPS,
                    ..Default::default()
                };
                // SAFETY: `slot` is valid for writes.
                unsafe { slot.write(class) };
                // SAFETY: `slot` is initialised, and pinned until `drop` has unregistered it.
                to_result(unsafe { bindings::class_register(slot) })
            }),
        })
    }
}

impl Class {
    /// The entry with that name: its attester and its device.
    ///
    /// # Safety
    ///
    /// `name` is a string.
    pub(crate) unsafe fn find(&self, name: *const c_char) -> Option<(Arc<Attester>, ARef<Device>)> {
        // SAFETY: The class is registered by the type invariant; `name` is a string by the contract.
        let dev = unsafe { bindings::spdm_class_find(self.class.get(), name) };
        if dev.is_null() {
            return None;
        }
        // SAFETY: `dev` is valid, and comes with a reference.
        let device = unsafe { Device::get_device(dev) };
        // SAFETY: As above; `device` holds another.
        unsafe { bindings::put_device(dev) };
        // SAFETY: The device is valid. As long as the lock is held, its driver data is what it was registered with, or
        // null if it is being removed.
        let attester = unsafe {
            bindings::spdm_lock_drvdata(dev);
            let data = bindings::dev_get_drvdata(dev);
            let attester =
                (!data.is_null()).then(|| Arc::from(ArcBorrow::from_raw(data.cast::<Attester>())));
            bindings::spdm_unlock_drvdata(dev);
            attester
        };
        Some((attester?, device))
    }
}

#[pinned_drop]
impl PinnedDrop for Class {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The class was registered by `new`.
        unsafe { bindings::class_unregister(self.class.get()) };
    }
}

/// An attester's entry in the class.
///
/// # Invariants
///
/// `device` is registered, and its driver data is a pointer from [`Arc::into_raw`] that this object owns.
pub(crate) struct Entry {
    device: ARef<Device>,
}

impl Entry {
    /// Makes an entry below `parent`, if it is not null, named `prefix` and `name`.
    ///
    /// # Safety
    ///
    /// `parent` is null, or a registered device that stays so until the entry is dropped, and so does `class`. `name` is
    /// a string.
    pub(crate) unsafe fn new(
        class: &Class,
        parent: *mut device,
        prefix: &'static CStr,
        name: *const c_char,
        attester: Arc<Attester>,
    ) -> Result<Self> {
        let data = Arc::into_raw(attester);
        // SAFETY: `class` is registered, `parent` is valid by the contract, and the format takes two strings.
        let dev = unsafe {
            bindings::device_create(
                class.class.get(),
                parent,
                0,
                data.cast_mut().cast::<c_void>(),
                c"%s%s".as_char_ptr(),
                prefix.as_char_ptr(),
                name,
            )
        };
        let dev = match kernel::error::from_err_ptr(dev) {
            Ok(dev) => dev,
            Err(error) => {
                // SAFETY: `data` is from `Arc::into_raw` above, and no device refers to it.
                drop(unsafe { Arc::from_raw(data) });
                return Err(error);
            }
        };
        // Devices resume in parallel.
        // SAFETY: `dev` is a registered device.
        unsafe { bindings::spdm_enable_async_suspend(dev) };
        // SAFETY: As above.
        let device = unsafe { Device::get_device(dev) };
        // INVARIANT: `dev` was registered with `data`.
        Ok(Self { device })
    }

    /// The entry's device.
    pub(crate) fn device(&self) -> ARef<Device> {
        self.device.clone()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let dev = as_raw(&self.device);
        // SAFETY: By the type invariant the device is registered with an `Arc` in its driver data.
        let data = unsafe { bindings::dev_get_drvdata(dev) };
        // SAFETY: By the type invariant the device is registered. This waits for every reader of its attributes.
        unsafe { bindings::device_unregister(dev) };
        // SAFETY: `self.device` keeps the device alive. Who finds it from now on finds that it has no attester.
        unsafe {
            bindings::spdm_lock_drvdata(dev);
            bindings::dev_set_drvdata(dev, core::ptr::null_mut());
            bindings::spdm_unlock_drvdata(dev);
        }
        // SAFETY: By the type invariant `data` is from `Arc::into_raw`, and nobody reads it any more.
        drop(unsafe { Arc::from_raw(data.cast::<Attester>()) });
    }
}

/// What happens when the system sleeps.
///
/// The noirq phase of a class device comes before that of its parent on the way down, and after it on the way up:
/// there the PCI core has restored the parent's config space, and no driver has resumed.
///
/// What is reached over a network waits for all devices: on the way down it comes before they suspend, on the way up
/// when all have resumed.
static PM_OPS: bindings::dev_pm_ops = bindings::dev_pm_ops {
    suspend: Some(suspend),
    freeze: Some(suspend),
    poweroff: Some(suspend),
    complete: Some(complete),
    suspend_noirq: Some(suspend_noirq),
    resume_noirq: Some(resume_noirq),
    freeze_noirq: Some(suspend_noirq),
    thaw_noirq: Some(resume_noirq),
    poweroff_noirq: Some(suspend_noirq),
    restore_noirq: Some(resume_noirq),
    // SAFETY: All other members are function pointers, of which null is one.
    ..unsafe { core::mem::zeroed() }
};

/// # Safety
///
/// `dev` is a device of the class.
unsafe extern "C" fn suspend(dev: *mut device) -> c_int {
    // SAFETY: By the contract.
    let attester = unsafe { attester(dev) };
    if attester.is_on_network() {
        attester.suspend();
    }
    0
}

/// # Safety
///
/// `dev` is a device of the class.
unsafe extern "C" fn complete(dev: *mut device) {
    // SAFETY: By the contract.
    let attester = unsafe { attester(dev) };
    if !attester.is_on_network() {
        return;
    }
    if let Some(subsystem) = subsystem::running() {
        subsystem.attest_resumed(&attester);
    }
}

/// # Safety
///
/// `dev` is a device of the class.
unsafe extern "C" fn suspend_noirq(dev: *mut device) -> c_int {
    // SAFETY: By the contract.
    let attester = unsafe { attester(dev) };
    if !attester.is_on_network() {
        attester.suspend();
    }
    0
}

/// # Safety
///
/// `dev` is a device of the class, which is registered.
unsafe fn attester(dev: *mut device) -> Arc<Attester> {
    // SAFETY: The driver data is a pointer from `Arc::into_raw` for as long as the device is registered.
    unsafe { ArcBorrow::from_raw(bindings::dev_get_drvdata(dev).cast::<Attester>()) }.into()
}

/// # Safety
///
/// `dev` is a device of the class.
unsafe extern "C" fn resume_noirq(dev: *mut device) -> c_int {
    // SAFETY: By the contract.
    let attester = unsafe { attester(dev) };
    if !attester.is_on_network() {
        attester.resume();
    }
    0
}

/// The attribute `authenticated` of a PCI function, until it is dropped.
///
/// # Invariants
///
/// The attributes were added to the device, which is still registered.
pub(crate) struct Attributes(ARef<Device>);

impl Attributes {
    /// Adds the attributes.
    ///
    /// # Safety
    ///
    /// `dev` is registered and stays so until the attributes are dropped.
    pub(crate) unsafe fn new(dev: *mut device) -> Result<Self> {
        // SAFETY: `dev` is registered by the contract; the groups are static.
        to_result(unsafe {
            bindings::device_add_groups(dev, (&raw mut bindings::spdm_pci_groups).cast())
        })?;
        // SAFETY: `dev` is valid.
        // INVARIANT: The attributes were just added, and `dev` stays registered by the contract.
        Ok(Self(unsafe { Device::get_device(dev) }))
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. This waits for every reader and writer of the attributes.
        unsafe { bindings::spdm_pci_remove_groups(as_raw(&self.0)) };
    }
}

/// The C structure of a device.
pub(crate) fn as_raw(device: &Device) -> *mut device {
    // CAST: `Device` is a transparent wrapper of `struct device`.
    core::ptr::from_ref(device).cast_mut().cast()
}

/// The device that a device of the class is about: its parent or, if it has none, itself.
pub(crate) fn subject(device: &Device) -> ARef<Device> {
    // SAFETY: The device is valid, and its parent as long as it is; the field does not change.
    let parent = unsafe { (*as_raw(device)).parent };
    match parent.is_null() {
        true => device.into(),
        // SAFETY: As above.
        false => unsafe { Device::get_device(parent) },
    }
}

/// Fills the page of a sysfs attribute. What does not fit is left out, for no attribute is that long.
pub(crate) fn show(
    page: &mut [u8],
    write: impl FnOnce(&mut Formatter<'_>) -> core::fmt::Result,
) -> isize {
    let mut writer = Formatter::new(page);
    match write(&mut writer) {
        Ok(()) => isize::try_from(writer.bytes_written()).unwrap_or(0),
        Err(_) => -(bindings::EOVERFLOW as isize),
    }
}

/// Shows one attribute of a class device. Called by shim.c.
///
/// # Safety
///
/// `dev` is a device of the class, `page` a page that may be written.
#[no_mangle]
unsafe extern "C" fn spdm_class_show(
    dev: *mut device,
    attribute: bindings::spdm_attribute,
    page: *mut c_char,
) -> isize {
    // SAFETY: By the contract; attributes are there only while the device is registered.
    let attester = unsafe { attester(dev) };
    // SAFETY: By the contract.
    let page = unsafe { core::slice::from_raw_parts_mut(page.cast::<u8>(), PAGE_SIZE) };
    show(page, |writer| attester.show(attribute, writer))
}

/// Reads a part of an attribute that may be longer than a page. Called by shim.c.
///
/// # Safety
///
/// `dev` is a device of the class, `buffer` has `count` bytes that may be written.
#[no_mangle]
unsafe extern "C" fn spdm_class_read(
    dev: *mut device,
    attribute: bindings::spdm_attribute,
    buffer: *mut c_char,
    offset: i64,
    count: usize,
) -> isize {
    // SAFETY: By the contract; attributes are there only while the device is registered.
    let attester = unsafe { attester(dev) };
    // SAFETY: By the contract.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buffer.cast::<u8>(), count) };
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    match attester.read(attribute) {
        Ok(text) => {
            let rest = text.get().get(offset..).unwrap_or_default();
            for (to, from) in buffer.iter_mut().zip(rest) {
                *to = *from;
            }
            isize::try_from(rest.len().min(count)).unwrap_or(isize::MAX)
        }
        Err(error) => error.to_errno() as isize,
    }
}

/// Writes a part of such an attribute. Called by shim.c.
///
/// # Safety
///
/// `dev` is a device of the class, `buffer` has `count` bytes.
#[no_mangle]
unsafe extern "C" fn spdm_class_write(
    dev: *mut device,
    attribute: bindings::spdm_attribute,
    buffer: *const c_char,
    offset: i64,
    count: usize,
) -> isize {
    // SAFETY: By the contract; attributes are there only while the device is registered.
    let attester = unsafe { attester(dev) };
    // SAFETY: By the contract.
    let text = unsafe { core::slice::from_raw_parts(buffer.cast::<u8>(), count) };
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    match attester.write(attribute, offset, text) {
        Ok(()) => isize::try_from(count).unwrap_or(isize::MAX),
        Err(error) => error.to_errno() as isize,
    }
}

/// Stores to one attribute of a class device. Called by shim.c.
///
/// # Safety
///
/// `dev` is a device of the class, `page` has `count` bytes.
#[no_mangle]
unsafe extern "C" fn spdm_class_store(
    dev: *mut device,
    attribute: bindings::spdm_attribute,
    page: *const c_char,
    count: usize,
) -> isize {
    // SAFETY: By the contract; attributes are there only while the device is registered.
    let attester = unsafe { attester(dev) };
    // SAFETY: By the contract.
    let value = unsafe { core::slice::from_raw_parts(page.cast::<u8>(), count) };
    match attester.store(attribute, value) {
        Ok(()) => isize::try_from(count).unwrap_or(isize::MAX),
        Err(error) => error.to_errno() as isize,
    }
}

/// Shows `authenticated` of a PCI function. Called by shim.c.
///
/// # Safety
///
/// `dev` is a device of the PCI bus, `page` a page that may be written.
#[no_mangle]
unsafe extern "C" fn spdm_pci_authenticated_show(dev: *mut device, page: *mut c_char) -> isize {
    let authenticated =
        subsystem::running().is_some_and(|subsystem| subsystem.is_authenticated(dev));
    // SAFETY: By the contract.
    let page = unsafe { core::slice::from_raw_parts_mut(page.cast::<u8>(), PAGE_SIZE) };
    show(page, |writer| {
        writeln!(writer, "{}", u8::from(authenticated))
    })
}

/// Attests a PCI function again. Called by shim.c when `re` is written to `authenticated`.
///
/// # Safety
///
/// `dev` is a device of the PCI bus.
#[no_mangle]
unsafe extern "C" fn spdm_pci_authenticate(dev: *mut device) -> c_int {
    let Some(attester) = subsystem::running().and_then(|subsystem| subsystem.find(dev)) else {
        return ENODEV.to_errno();
    };
    match attester.attest() {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// Whether a device of the class has an attribute `authenticated` of its own: those that are no PCI function. Called by
/// shim.c.
///
/// # Safety
///
/// `dev` is a device of the class.
#[no_mangle]
unsafe extern "C" fn spdm_class_is_pci(dev: *mut device) -> bool {
    // SAFETY: By the contract.
    unsafe { attester(dev) }.function().is_some()
}

/// Attests a device of the class again. Called by shim.c when `re` is written to `authenticated`.
///
/// # Safety
///
/// `dev` is a device of the class.
#[no_mangle]
unsafe extern "C" fn spdm_class_authenticate(dev: *mut device) -> c_int {
    // SAFETY: By the contract; attributes are there only while the device is registered.
    match unsafe { attester(dev) }.attest() {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// Whether trust is sealed. Called by shim.c.
#[no_mangle]
extern "C" fn spdm_is_sealed() -> bool {
    keyring::is_sealed()
}

/// Seals trust: root certificates, accepted identities and policies stay as they are until the system is started
/// again. Called by shim.c.
#[no_mangle]
extern "C" fn spdm_seal() {
    keyring::seal();
}
