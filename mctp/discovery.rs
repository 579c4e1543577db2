// SPDX-License-Identifier: GPL-2.0

//! Finds endpoints: those of neighbours and routes that say that they speak SPDM.

use super::{
    address::{
        Address,
        Order, //
    },
    control,
    net::{
        add_endpoint,
        is_known, //
    },
    socket::Socket,
    SPDM, //
};
use crate::{
    bindings,
    subsystem, //
};
use core::ptr::NonNull;
use kernel::{
    ffi::c_int,
    prelude::*, //
};

/// Time for an answer: 100 ms by DSP0236 ("Timing specifications", MT2), and the bus.
const TIMEOUT_MS: u32 = 500;

/// Looks once, in the initial network namespace. Called by shim.c as long as discovery is on.
#[no_mangle]
extern "C" fn spdm_mctp_discover() {
    let Some(net) = NonNull::new(&raw mut bindings::init_net) else {
        return;
    };
    let (mut network, mut eid) = (0, 0);
    // SAFETY: The namespace is always there, and the numbers can be written.
    while unsafe { bindings::spdm_mctp_next(net.as_ptr(), &raw mut network, &raw mut eid) } {
        let Some(address) = Address::new(network, eid.into()) else {
            continue;
        };
        let known =
            subsystem::running().is_some_and(|subsystem| is_known(&subsystem, net, address));
        if !known && speaks_spdm(net, address) {
            if let Err(error) = add(net, address) {
                pr_err!("mctp-{}-{} is not added: {:?}\n", network, eid, error);
            }
        }
    }
}

/// Has the initial network namespace looked at now and then. Called by cma/shim.c.
#[no_mangle]
extern "C" fn spdm_mctp_start_discovery() -> c_int {
    // That it starts no more when the module goes.
    let started = subsystem::control(|_| {
        // SAFETY: No requirements.
        unsafe { bindings::spdm_mctp_set_discovery(true) };
        Ok(())
    });
    match started {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// Asks the endpoint what it speaks.
fn speaks_spdm(net: NonNull<bindings::net>, address: Address) -> bool {
    // SAFETY: The initial namespace is always there.
    let Ok(socket) = (unsafe { Socket::open(net, address, control::MESSAGE_TYPE, 0) }) else {
        return false;
    };
    let mut response = [0; control::MAX_RESPONSE];
    if socket.send(&control::REQUEST_TYPES).is_err() {
        return false;
    }
    match socket.receive(&mut response, TIMEOUT_MS) {
        Ok((len, from)) if socket.is_answer(&from) && from.type_ == control::MESSAGE_TYPE => {
            response
                .get(..len)
                .is_some_and(|response| control::supports(response, SPDM))
        }
        _ => false,
    }
}

fn add(net: NonNull<bindings::net>, address: Address) -> Result {
    let order = Order {
        address,
        name: None,
    };
    // SAFETY: The initial namespace is always there.
    let result = subsystem::control(|subsystem| unsafe { add_endpoint(subsystem, net, &order) });
    match result {
        // An administrator was faster.
        Err(error) if error == EEXIST => Ok(()),
        result => result,
    }
}
