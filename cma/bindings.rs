// SPDX-License-Identifier: GPL-2.0

//! The kernel crate's bindings, and those for C headers that it leaves out; see `bindings_helper.h`.

#![allow(
    clippy::all,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

pub(crate) use kernel::bindings::*;
use kernel::ffi;

include!(concat!(env!("SPDM_OBJ"), "/cma/bindings_generated.rs"));
