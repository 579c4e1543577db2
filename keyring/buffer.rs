// SPDX-License-Identifier: GPL-2.0

//! Memory for certificate chains.

use kernel::{
    prelude::*,
    sync::{
        Arc,
        UniqueArc, //
    }, //
};
use spdm_core::trust::{
    ChainBuffer,
    OutOfMemory, //
};

/// Memory for one certificate chain.
///
/// It is as large as the chain, and evidence shares it once the chain is complete.
pub(crate) struct ChainBuf(Memory);

enum Memory {
    None,
    /// A chain that is being received.
    Own(UniqueArc<KVVec<u8>>),
    /// A chain that changes no more.
    Shared(Arc<KVVec<u8>>),
}

impl ChainBuf {
    /// Makes a buffer without memory.
    pub(crate) const fn new() -> Self {
        Self(Memory::None)
    }

    /// The chain, if there is one, for whoever keeps it: `known` in its place, if that is the same. Allocates nothing.
    pub(crate) fn share(&mut self, known: Option<&Arc<KVVec<u8>>>) -> Option<Arc<KVVec<u8>>> {
        let chain: Arc<KVVec<u8>> = match core::mem::replace(&mut self.0, Memory::None) {
            Memory::None => return None,
            Memory::Own(chain) => chain.into(),
            Memory::Shared(chain) => chain,
        };
        let chain = match known {
            Some(known) if ***known == **chain => known.clone(),
            _ => chain,
        };
        self.0 = Memory::Shared(chain.clone());
        Some(chain)
    }
}

impl ChainBuffer for ChainBuf {
    fn reserve(&mut self, len: usize) -> Result<&mut [u8], OutOfMemory> {
        // One after the other, not both at once.
        self.0 = Memory::None;
        let memory = KVVec::from_elem(0, len, GFP_KERNEL).map_err(|_| OutOfMemory)?;
        self.0 = Memory::Own(UniqueArc::new(memory, GFP_KERNEL).map_err(|_| OutOfMemory)?);
        match &mut self.0 {
            Memory::Own(chain) => Ok(chain),
            Memory::None | Memory::Shared(_) => Err(OutOfMemory),
        }
    }

    fn get(&self) -> &[u8] {
        match &self.0 {
            Memory::None => &[],
            Memory::Own(chain) => chain,
            Memory::Shared(chain) => chain,
        }
    }
}
