// SPDX-License-Identifier: GPL-2.0

//! Public keys that devices sign messages with.
//!
//! C headers: [`include/crypto/public_key.h`](srctree/include/crypto/public_key.h),
//! [`include/crypto/akcipher.h`](srctree/include/crypto/akcipher.h),
//! [`include/crypto/mldsa.h`](srctree/include/crypto/mldsa.h).

use super::{
    hash::KernelHash,
    pss,
    x509::{
        KeyKind,
        PublicKey, //
    }, //
};
use crate::bindings;
use core::{
    ffi::CStr,
    ptr, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};
use spdm_core::{
    algorithms::{
        Asym,
        BaseAsym,
        BaseHash,
        PqcAsym, //
    },
    trust::{
        SignatureError,
        Signed, //
    },
};

/// Size in bytes of the largest RSA key's modulus.
const MAX_RSA: usize = 512;

/// A SubjectPublicKeyInfo that an administrator provisioned for a device without certificates.
pub(crate) struct ProvisionedKey(KVec<u8>);

impl ProvisionedKey {
    /// Takes a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is none, or of no algorithm that SPDM and the kernel have in common; `ENOMEM`.
    pub(crate) fn new(der: &[u8]) -> Result<Self> {
        match PublicKey::new(der) {
            Ok(public_key) if public_key.kind != KeyKind::Other => Ok(Self(copy_of(der)?)),
            _ => Err(EINVAL),
        }
    }

    /// Its parts.
    pub(super) fn parts(&self) -> Option<PublicKey<'_>> {
        PublicKey::new(&self.0).ok()
    }
}

/// A public key that a device signs messages with.
pub(super) struct DeviceKey {
    asym: Asym,
    /// The subjectPublicKey.
    octets: KVec<u8>,
}

impl DeviceKey {
    /// Makes a key for `asym` of the `octets` in a SubjectPublicKeyInfo, whose kind and size the caller has
    /// checked.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(asym: Asym, octets: &[u8]) -> Result<Self> {
        Ok(Self {
            asym,
            octets: copy_of(octets)?,
        })
    }

    /// Verifies a signature as the device sent it.
    ///
    /// # Errors
    ///
    /// [`SignatureError`].
    pub(super) fn verify(
        &self,
        signed: &Signed<'_>,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        // The chain was verified for this algorithm, and the encoding has one size.
        if signed.asym != self.asym || signature.len() != self.asym.signature_size() {
            return Err(SignatureError::Bad);
        }
        let (key_algorithm, signature_algorithm, encoding) = match self.asym {
            Asym::Base(BaseAsym::RsaSsa2048 | BaseAsym::RsaSsa3072 | BaseAsym::RsaSsa4096) => {
                (c"rsa", c"rsa", c"pkcs1")
            }
            Asym::Base(BaseAsym::RsaPss2048 | BaseAsym::RsaPss3072 | BaseAsym::RsaPss4096) => {
                return self.verify_pss(signed, signature)
            }
            Asym::Base(BaseAsym::EcdsaP256) => (c"ecdsa-nist-p256", c"ecdsa", c"p1363"),
            Asym::Base(BaseAsym::EcdsaP384) => (c"ecdsa-nist-p384", c"ecdsa", c"p1363"),
            Asym::Base(BaseAsym::EcdsaP521) => (c"ecdsa-nist-p521", c"ecdsa", c"p1363"),
            Asym::Pqc(algorithm) => return self.verify_mldsa(algorithm, signed, signature),
        };
        self.verify_digest(
            signed,
            signature,
            key_algorithm,
            signature_algorithm,
            encoding,
        )
        .map_err(signature_error)
    }

    /// Verifies a signature of the digest, by the kernel's names for the algorithms of key and signature, and for
    /// the encoding of the signature.
    fn verify_digest(
        &self,
        signed: &Signed<'_>,
        signature: &[u8],
        key_algorithm: &'static CStr,
        signature_algorithm: &'static CStr,
        encoding: &'static CStr,
    ) -> Result {
        let digest = signed.digest.as_bytes();
        let key = bindings::public_key {
            key: self.octets.as_ptr().cast_mut().cast(),
            keylen: self.octets.len().try_into()?,
            // Of use to algorithms with parameters.
            algo: bindings::OID_OID__NR,
            params: ptr::null_mut(),
            paramlen: 0,
            key_is_private: false,
            id_type: c"".as_char_ptr(),
            pkey_algo: key_algorithm.as_char_ptr(),
            key_eflags: 0,
        };
        let signature = bindings::public_key_signature {
            auth_ids: [ptr::null_mut(); 3],
            s: signature.as_ptr().cast_mut(),
            m: digest.as_ptr().cast_mut(),
            s_size: signature.len().try_into()?,
            m_size: digest.len().try_into()?,
            m_free: false,
            algo_takes_data: false,
            pkey_algo: signature_algorithm.as_char_ptr(),
            hash_algo: kernel_hash_name(signed.base_hash).as_char_ptr(),
            encoding: encoding.as_char_ptr(),
        };
        // SAFETY: What both point to is valid for the sizes beside it, or a string, and only read.
        to_result(unsafe { bindings::public_key_verify_signature(&key, &signature) })
    }

    /// Verifies a signature of the digest by RSASSA-PSS (RFC 8017 section 8.1.2).
    // Not inlined: the encoded message is of no use to the other algorithms.
    #[inline(never)]
    fn verify_pss(&self, signed: &Signed<'_>, signature: &[u8]) -> Result<(), SignatureError> {
        let mut encoded = [0; MAX_RSA];
        let encoded = encoded
            .get_mut(..signature.len())
            .ok_or(SignatureError::Internal)?;
        let len = u32::try_from(signature.len()).map_err(|_| SignatureError::Internal)?;
        let key_len = u32::try_from(self.octets.len()).map_err(|_| SignatureError::Internal)?;
        // SAFETY: The octets are valid for `key_len`, the signature for `len`, and `encoded` for writes of `len`.
        to_result(unsafe {
            bindings::spdm_rsa_verify_primitive(
                self.octets.as_ptr(),
                key_len,
                signature.as_ptr(),
                encoded.as_mut_ptr(),
                len,
            )
        })
        .map_err(signature_error)?;
        let new = || KernelHash::new(signed.base_hash);
        match pss::is_encoding_of(encoded, signed.digest, new) {
            Ok(true) => Ok(()),
            Ok(false) => Err(SignatureError::Bad),
            Err(_) => Err(SignatureError::Internal),
        }
    }

    /// Verifies a signature of the message by ML-DSA (FIPS 204 algorithm 3).
    fn verify_mldsa(
        &self,
        algorithm: PqcAsym,
        signed: &Signed<'_>,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        let parameter_set = match algorithm {
            PqcAsym::MlDsa44 => 44,
            PqcAsym::MlDsa65 => 65,
            PqcAsym::MlDsa87 => 87,
        };
        // SAFETY: All are valid for the lengths after them, and only read.
        to_result(unsafe {
            bindings::spdm_mldsa_verify(
                parameter_set,
                signature.as_ptr(),
                signature.len(),
                signed.message.as_ptr(),
                signed.message.len(),
                signed.context.as_ptr(),
                signed.context.len(),
                self.octets.as_ptr(),
                self.octets.len(),
            )
        })
        .map_err(signature_error)
    }
}

fn copy_of(bytes: &[u8]) -> Result<KVec<u8>> {
    let mut copy = KVec::new();
    copy.extend_from_slice(bytes, GFP_KERNEL)?;
    Ok(copy)
}

fn signature_error(error: Error) -> SignatureError {
    if is_wrong_signature(error) {
        SignatureError::Bad
    } else {
        SignatureError::Internal
    }
}

/// Whether the kernel's `error` says that a signature is wrong.
///
/// The rest says that it could not be verified. Of what a device controls, algorithm, sizes and encoding
/// have been checked before, so that is not its doing.
pub(super) fn is_wrong_signature(error: Error) -> bool {
    [EKEYREJECTED, EBADMSG, EINVAL].contains(&error)
}

/// The kernel's name of a hash.
fn kernel_hash_name(base_hash: BaseHash) -> &'static CStr {
    match base_hash {
        BaseHash::Sha256 => c"sha256",
        BaseHash::Sha384 => c"sha384",
        BaseHash::Sha512 => c"sha512",
        BaseHash::Sha3_256 => c"sha3-256",
        BaseHash::Sha3_384 => c"sha3-384",
        BaseHash::Sha3_512 => c"sha3-512",
    }
}
