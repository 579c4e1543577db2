// SPDX-License-Identifier: GPL-2.0

//! Prints how often what was received is copied: by its own `memcpy` and `memmove`, which count bytes
//! whose source lies in the receive buffer or in the chain. Argument: the directory of keys and certificates.
//!
//! A copy of a size that the compiler knows is none of these calls: nonces and what else is small.

use spdm_bench::{
    Failure,
    Player,
    CASES, //
};
use std::path::Path;

/// The functions that the compiler calls for copies, and what they count.
#[cfg(target_arch = "x86_64")]
mod counted {
    use std::arch::asm;
    use std::ops::Range;
    use std::sync::atomic::{
        AtomicUsize,
        Ordering::Relaxed, //
    };

    /// Start and end of what is watched.
    static WATCHED: [[AtomicUsize; 2]; 2] = [const { [const { AtomicUsize::new(0) }; 2] }; 2];
    static BYTES: AtomicUsize = AtomicUsize::new(0);

    /// Counts copies from these addresses, from 0.
    pub fn watch(ranges: &[Range<*const u8>; 2]) {
        for ([start, end], range) in WATCHED.iter().zip(ranges) {
            start.store(range.start.addr(), Relaxed);
            end.store(range.end.addr(), Relaxed);
        }
        BYTES.store(0, Relaxed);
    }

    /// Bytes copied since then.
    pub fn bytes() -> usize {
        BYTES.load(Relaxed)
    }

    fn count(from: *const u8, size: usize) {
        let from = from.addr();
        for [start, end] in &WATCHED {
            if (start.load(Relaxed)..end.load(Relaxed)).contains(&from) {
                BYTES.fetch_add(size, Relaxed);
            }
        }
    }

    /// `memcpy` of the C library.
    ///
    /// # Safety
    ///
    /// `from` must be valid for reads and `to` for writes of `size` bytes, and they must not overlap.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
        count(from, size);
        // SAFETY: it reads and writes what the caller says may be; the direction flag is clear in functions.
        unsafe {
            asm!("rep movsb", inout("rcx") size => _, inout("rdi") to => _, inout("rsi") from => _,
                options(nostack, preserves_flags));
        }
        to
    }

    /// `memmove` of the C library.
    ///
    /// # Safety
    ///
    /// As `memcpy`, but they may overlap.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, size: usize) -> *mut u8 {
        if to.addr().wrapping_sub(from.addr()) >= size {
            // SAFETY: what is written before it is read lies in front of all that is still to be read.
            return unsafe { memcpy(to, from, size) };
        }
        count(from, size);
        let (last_to, last_from) = (to.wrapping_add(size - 1), from.wrapping_add(size - 1));
        // SAFETY: as in `memcpy`, from the last byte to the first, because `to` lies in what is read, which is not
        // empty then; the direction flag is cleared again.
        unsafe {
            asm!("std", "rep movsb", "cld", inout("rcx") size => _, inout("rdi") last_to => _,
                inout("rsi") last_from => _, options(nostack));
        }
        to
    }
}

fn main() -> Result<(), Failure> {
    let pki = std::env::args().nth(1).ok_or("PKI")?;
    for case in &CASES {
        let mut player = Player::record(case, Path::new(&pki))?;
        // The chain gets its memory.
        player.play(|_, _| ())?;
        counted::watch(&player.received());
        player.play(|_, _| ())?;
        println!("sample copied B {} {}", counted::bytes(), case.name);
    }
    Ok(())
}
