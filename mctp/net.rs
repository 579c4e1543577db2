// SPDX-License-Identifier: GPL-2.0

//! Endpoints come and go: by an administrator, with their network namespace; and their links go down and up.

use super::{
    address::{
        Address,
        Order, //
    },
    Peer, //
};
use crate::{
    bindings,
    subsystem::{
        self,
        Subsystem, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    bindings::net,
    error::to_result,
    ffi::{
        c_char,
        c_int, //
    },
    prelude::*,
    str::CString,
    sync::Arc, //
};

/// Learns of links and namespaces while it lives, and lets endpoints be added. Dropping it removes all endpoints.
pub(crate) struct Watch(());

impl Watch {
    /// Begins.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(subsystem: &Arc<Subsystem>) -> Result<Self> {
        // SAFETY: Called once, when the module is loaded.
        to_result(unsafe { bindings::spdm_mctp_watch() })?;
        subsystem::set_control(Some(subsystem.clone()));
        Ok(Self(()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Nothing is added any more that would miss that its namespace goes.
        subsystem::set_control(None);
        // SAFETY: `new` succeeded.
        unsafe { bindings::spdm_mctp_unwatch() };
    }
}

/// Adds an endpoint to the namespace of the caller, or removes it from there. Called by cma/shim.c when a line is
/// written to `add_mctp` or to `remove_mctp`.
///
/// # Safety
///
/// `page` has `count` bytes.
#[no_mangle]
unsafe extern "C" fn spdm_mctp_control(add: bool, page: *const c_char, count: usize) -> c_int {
    // SAFETY: By the contract.
    let text = unsafe { core::slice::from_raw_parts(page.cast::<u8>(), count) };
    match control(add, text) {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

fn control(add: bool, text: &[u8]) -> Result {
    let order = Order::read(text).ok_or(EINVAL)?;
    // SAFETY: The caller is a task that runs.
    let net = NonNull::new(unsafe { bindings::spdm_mctp_current_net() }).ok_or(ENODEV)?;
    subsystem::control(|subsystem| match add {
        // SAFETY: The caller keeps its namespace.
        true => unsafe { add_endpoint(subsystem, net, &order) },
        false if order.name.is_some() => Err(EINVAL),
        false => subsystem.remove_endpoint(|peer| peer.is_at(net.as_ptr(), order.address)),
    })
}

/// Adds an endpoint.
///
/// # Errors
///
/// `EEXIST` if it is there already, `ENOMEM`.
///
/// # Safety
///
/// `net` is valid, and begins to go only after this has returned.
pub(super) unsafe fn add_endpoint(
    subsystem: &Subsystem,
    net: NonNull<net>,
    order: &Order<'_>,
) -> Result {
    if is_known(subsystem, net, order.address) {
        return Err(EEXIST);
    }
    let name = name(net, order.address)?;
    // SAFETY: When the namespace goes, `spdm_mctp_net_exit` removes the endpoint before.
    let peer = unsafe { Peer::new(net, order.address, order.name)? };
    subsystem.add_endpoint(peer, &name)?;
    // SAFETY: No requirements.
    unsafe { bindings::spdm_mctp_keep_looking() };
    Ok(())
}

/// Whether an endpoint is there already.
pub(super) fn is_known(subsystem: &Subsystem, net: NonNull<net>, address: Address) -> bool {
    let mut known = false;
    subsystem.for_each_endpoint(|_, peer| known |= peer.is_at(net.as_ptr(), address));
    known
}

/// Name of an endpoint in `/sys/class/spdm`, which all namespaces share. That of the initial one has no number.
fn name(net: NonNull<net>, address: Address) -> Result<CString> {
    let Address { network, eid } = address;
    // SAFETY: The namespace is valid.
    match unsafe { bindings::spdm_mctp_namespace(net.as_ptr()) } {
        0 => CString::try_from_fmt(fmt!("mctp-{network}-{eid}")),
        inode => CString::try_from_fmt(fmt!("mctp-{network}-{eid}-{inode}")),
    }
}

fn running() -> Option<Arc<Subsystem>> {
    subsystem::running()
}

/// A link has gone down or come up. Called by shim.c.
///
/// # Safety
///
/// `net` is a namespace that is valid.
#[no_mangle]
unsafe extern "C" fn spdm_mctp_link(net: *mut net, ifindex: c_int, up: bool) {
    let Some(subsystem) = running() else {
        return;
    };
    subsystem.for_each_endpoint(|attester, peer| {
        // SAFETY: By the contract, and it is the peer's namespace.
        if peer.is_in(net) && unsafe { peer.is_behind(ifindex) } {
            match up {
                true => subsystem.attest_again(attester),
                false => attester.link_down(),
            }
        }
    });
}

/// Looks whether messages to endpoints take other ways than they did. Returns whether there are endpoints. Called by
/// shim.c now and then.
#[no_mangle]
extern "C" fn spdm_mctp_look_at_ways() -> bool {
    let mut any = false;
    if let Some(subsystem) = running() {
        subsystem.for_each_endpoint(|attester, _| {
            any = true;
            if attester.has_moved() {
                subsystem.attest_again(attester);
            }
        });
    }
    any
}

/// A network namespace goes, and its endpoints before. Called by shim.c.
#[no_mangle]
extern "C" fn spdm_mctp_net_exit(net: *mut net) {
    let Some(subsystem) = running() else {
        return;
    };
    while subsystem.remove_endpoint(|peer| peer.is_in(net)).is_ok() {}
}
