// SPDX-License-Identifier: GPL-2.0

//! Hashes, by the kernel's crypto library.
//!
//! C headers: [`include/crypto/sha2.h`](srctree/include/crypto/sha2.h),
//! [`include/crypto/sha3.h`](srctree/include/crypto/sha3.h).

use crate::bindings;
use core::mem::MaybeUninit;
use spdm_core::{
    algorithms::{
        BaseHash,
        BaseHashes, //
    },
    platform::{
        Digest,
        Hash,
        Unsupported, //
    },
};

/// A running hash.
///
/// # Invariants
///
/// The context was initialized, for the algorithm that the variant or its [`BaseHash`] names.
pub(crate) struct KernelHash(Context);

enum Context {
    Sha256(bindings::sha256_ctx),
    Sha384(bindings::sha384_ctx),
    Sha512(bindings::sha512_ctx),
    #[cfg(CONFIG_CRYPTO_LIB_SHA3)]
    Sha3(bindings::sha3_ctx, BaseHash),
}

impl KernelHash {
    /// Starts a hash.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] if `algorithm` is not one of [`KernelHash::algorithms`].
    pub(crate) fn new(algorithm: BaseHash) -> Result<Self, Unsupported> {
        let context = match algorithm {
            BaseHash::Sha256 => {
                let mut context = MaybeUninit::uninit();
                // SAFETY: The function initializes the context that the pointer is valid for.
                Context::Sha256(unsafe {
                    bindings::sha256_init(context.as_mut_ptr());
                    context.assume_init()
                })
            }
            BaseHash::Sha384 => {
                let mut context = MaybeUninit::uninit();
                // SAFETY: The function initializes the context that the pointer is valid for.
                Context::Sha384(unsafe {
                    bindings::sha384_init(context.as_mut_ptr());
                    context.assume_init()
                })
            }
            BaseHash::Sha512 => {
                let mut context = MaybeUninit::uninit();
                // SAFETY: The function initializes the context that the pointer is valid for.
                Context::Sha512(unsafe {
                    bindings::sha512_init(context.as_mut_ptr());
                    context.assume_init()
                })
            }
            #[cfg(CONFIG_CRYPTO_LIB_SHA3)]
            BaseHash::Sha3_256 | BaseHash::Sha3_384 | BaseHash::Sha3_512 => {
                let mut context = MaybeUninit::uninit();
                // SAFETY: The function initializes the context that the pointer is valid for, and the
                // size is one of the three that it takes.
                Context::Sha3(
                    unsafe {
                        bindings::spdm_sha3_init(context.as_mut_ptr(), algorithm.digest_size());
                        context.assume_init()
                    },
                    algorithm,
                )
            }
            #[cfg(not(CONFIG_CRYPTO_LIB_SHA3))]
            BaseHash::Sha3_256 | BaseHash::Sha3_384 | BaseHash::Sha3_512 => return Err(Unsupported),
        };
        // INVARIANT: Initialized above, each for its algorithm.
        Ok(Self(context))
    }

    /// Hashes `data`.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] if `algorithm` is not one of [`KernelHash::algorithms`].
    pub(crate) fn digest(algorithm: BaseHash, data: &[u8]) -> Result<Digest, Unsupported> {
        let mut hash = Self::new(algorithm)?;
        hash.update(data);
        Ok(hash.finish())
    }

    /// The algorithms that this kernel has.
    pub(crate) fn algorithms() -> BaseHashes {
        BaseHash::ALL
            .into_iter()
            .filter(|&algorithm| Self::new(algorithm).is_ok())
            .fold(BaseHashes::NONE, BaseHashes::with)
    }
}

impl Hash for KernelHash {
    fn update(&mut self, data: &[u8]) {
        let (bytes, len) = (data.as_ptr(), data.len());
        match &mut self.0 {
            // SAFETY: By the type invariant the context is initialized; `bytes` is valid for `len`.
            Context::Sha256(context) => unsafe {
                bindings::__sha256_update(&mut context.ctx, bytes, len)
            },
            // SAFETY: As above.
            Context::Sha384(context) => unsafe {
                bindings::__sha512_update(&mut context.ctx, bytes, len)
            },
            // SAFETY: As above.
            Context::Sha512(context) => unsafe {
                bindings::__sha512_update(&mut context.ctx, bytes, len)
            },
            // SAFETY: As above.
            #[cfg(CONFIG_CRYPTO_LIB_SHA3)]
            Context::Sha3(context, _) => unsafe {
                bindings::__sha3_update(&mut context.ctx, bytes, len)
            },
        }
    }

    fn finish(mut self) -> Digest {
        match &mut self.0 {
            Context::Sha256(context) => Digest::new(BaseHash::Sha256, |digest| {
                // SAFETY: By the type invariant the context is initialized; `Digest::new` passes as
                // many bytes as a digest of the algorithm has.
                unsafe { bindings::sha256_final(context, digest.as_mut_ptr()) }
            }),
            Context::Sha384(context) => Digest::new(BaseHash::Sha384, |digest| {
                // SAFETY: As above.
                unsafe { bindings::sha384_final(context, digest.as_mut_ptr()) }
            }),
            Context::Sha512(context) => Digest::new(BaseHash::Sha512, |digest| {
                // SAFETY: As above.
                unsafe { bindings::sha512_final(context, digest.as_mut_ptr()) }
            }),
            #[cfg(CONFIG_CRYPTO_LIB_SHA3)]
            Context::Sha3(context, algorithm) => Digest::new(*algorithm, |digest| {
                // SAFETY: As above.
                unsafe { bindings::sha3_final(context, digest.as_mut_ptr()) }
            }),
        }
    }
}
