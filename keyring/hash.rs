// SPDX-License-Identifier: GPL-2.0

//! Hashes, by the kernel's crypto library.
//!
//! C headers: [`include/crypto/sha2.h`](srctree/include/crypto/sha2.h),
//! [`include/crypto/sha3.h`](srctree/include/crypto/sha3.h).

use crate::bindings;
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
            BaseHash::Sha256 => Context::Sha256(Default::default()),
            BaseHash::Sha384 => Context::Sha384(Default::default()),
            BaseHash::Sha512 => Context::Sha512(Default::default()),
            #[cfg(CONFIG_CRYPTO_LIB_SHA3)]
            BaseHash::Sha3_256 | BaseHash::Sha3_384 | BaseHash::Sha3_512 => {
                Context::Sha3(Default::default(), algorithm)
            }
            #[cfg(not(CONFIG_CRYPTO_LIB_SHA3))]
            BaseHash::Sha3_256 | BaseHash::Sha3_384 | BaseHash::Sha3_512 => {
                return Err(Unsupported);
            }
        };
        let mut hash = Self(context);
        match &mut hash.0 {
            // SAFETY: The pointer is valid.
            Context::Sha256(context) => unsafe { bindings::sha256_init(context) },
            // SAFETY: As above.
            Context::Sha384(context) => unsafe { bindings::sha384_init(context) },
            // SAFETY: As above.
            Context::Sha512(context) => unsafe { bindings::sha512_init(context) },
            #[cfg(CONFIG_CRYPTO_LIB_SHA3)]
            // SAFETY: As above, and the size is one of the three that the function takes.
            Context::Sha3(context, algorithm) => unsafe {
                bindings::spdm_sha3_init(context, algorithm.digest_size())
            },
        }
        // INVARIANT: Initialized above, each for its algorithm.
        Ok(hash)
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
            #[cfg(CONFIG_CRYPTO_LIB_SHA3)]
            // SAFETY: As above.
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

#[cfg(CONFIG_SPDM_KUNIT_TEST)]
#[kernel::prelude::kunit_tests(spdm_keyring_hash)]
mod tests {
    use super::*;

    /// The first 8 bytes of the digest of "abc" (FIPS 180-4 and FIPS 202 examples).
    const ABC: [(BaseHash, [u8; 8]); 6] = [
        (
            BaseHash::Sha256,
            [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea],
        ),
        (
            BaseHash::Sha384,
            [0xcb, 0x00, 0x75, 0x3f, 0x45, 0xa3, 0x5e, 0x8b],
        ),
        (
            BaseHash::Sha512,
            [0xdd, 0xaf, 0x35, 0xa1, 0x93, 0x61, 0x7a, 0xba],
        ),
        (
            BaseHash::Sha3_256,
            [0x3a, 0x98, 0x5d, 0xa7, 0x4f, 0xe2, 0x25, 0xb2],
        ),
        (
            BaseHash::Sha3_384,
            [0xec, 0x01, 0x49, 0x82, 0x88, 0x51, 0x6f, 0xc9],
        ),
        (
            BaseHash::Sha3_512,
            [0xb7, 0x51, 0x85, 0x0b, 0x1a, 0x57, 0x16, 0x8a],
        ),
    ];

    #[test]
    fn digests_are_known() {
        for (algorithm, expected) in ABC {
            let Ok(digest) = KernelHash::digest(algorithm, b"abc") else {
                assert!(!KernelHash::algorithms().contains(algorithm));
                continue;
            };
            assert!(KernelHash::algorithms().contains(algorithm));
            assert_eq!(digest.as_bytes().len(), algorithm.digest_size());
            assert!(digest.as_bytes().starts_with(&expected));
        }
    }

    #[test]
    fn pieces_make_the_whole() -> Result<(), Unsupported> {
        let data = [0x5a; 300];
        for algorithm in BaseHash::ALL {
            if !KernelHash::algorithms().contains(algorithm) {
                continue;
            }
            let whole = KernelHash::digest(algorithm, &data)?;
            for size in [1, 7, 64, 128, 136, 299] {
                let mut hash = KernelHash::new(algorithm)?;
                for piece in data.chunks(size) {
                    hash.update(piece);
                    hash.update(&[]);
                }
                assert!(hash.finish() == whole);
            }
        }
        Ok(())
    }
}
