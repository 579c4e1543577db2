// SPDX-License-Identifier: GPL-2.0

//! Memory for responses.

use crate::trust::OutOfMemory;

/// Memory in which responses are received, and put together from chunks.
///
/// It may grow when it is asked to: few attestations need what the largest message does.
pub trait ResponseBuffer {
    /// Most bytes that it can have.
    fn max_len(&self) -> usize;

    /// Makes it `len` bytes long, if it is shorter, and returns it. What is in it stays.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`].
    fn reserve(&mut self, len: usize) -> Result<&mut [u8], OutOfMemory>;

    /// All of it.
    fn get(&self) -> &[u8];

    /// Nothing that is in it is needed any more, and nothing will be for a while.
    fn release(&mut self) {}
}

/// Memory that is there already.
impl ResponseBuffer for &mut [u8] {
    fn max_len(&self) -> usize {
        self.len()
    }

    fn reserve(&mut self, len: usize) -> Result<&mut [u8], OutOfMemory> {
        if len <= self.len() {
            Ok(self)
        } else {
            Err(OutOfMemory)
        }
    }

    fn get(&self) -> &[u8] {
        self
    }
}
