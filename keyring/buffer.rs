// SPDX-License-Identifier: GPL-2.0

//! Memory for certificate chains.

use kernel::prelude::*;
use spdm_core::trust::{
    ChainBuffer,
    OutOfMemory, //
};

/// Memory for one certificate chain.
///
/// It keeps what it once got, so that another attestation of the same device, at resume for example,
/// allocates nothing.
pub(crate) struct ChainBuf(KVVec<u8>);

impl ChainBuf {
    /// Makes a buffer without memory.
    pub(crate) const fn new() -> Self {
        Self(KVVec::new())
    }
}

impl ChainBuffer for ChainBuf {
    fn reserve(&mut self, len: usize) -> Result<&mut [u8], OutOfMemory> {
        self.0.clear();
        self.0
            .resize(len, 0, GFP_KERNEL)
            .map_err(|_| OutOfMemory)?;
        Ok(&mut self.0)
    }

    fn get(&self) -> &[u8] {
        &self.0
    }
}
