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
/// most often allocates nothing.
pub(crate) struct ChainBuf {
    memory: KVVec<u8>,
    len: usize,
}

impl ChainBuf {
    /// Makes a buffer without memory.
    pub(crate) const fn new() -> Self {
        Self {
            memory: KVVec::new(),
            len: 0,
        }
    }
}

impl ChainBuffer for ChainBuf {
    fn reserve(&mut self, len: usize) -> Result<&mut [u8], OutOfMemory> {
        self.len = 0;
        if self.memory.len() < len {
            // One after the other, not both at once.
            self.memory = KVVec::new();
            self.memory = KVVec::from_elem(0, len, GFP_KERNEL).map_err(|_| OutOfMemory)?;
        }
        self.len = len;
        let room = self.memory.get_mut(..len).ok_or(OutOfMemory)?;
        room.fill(0);
        Ok(room)
    }

    fn get(&self) -> &[u8] {
        self.memory.get(..self.len).unwrap_or_default()
    }
}
