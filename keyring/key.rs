// SPDX-License-Identifier: GPL-2.0

//! Keys of the type "asymmetric", made of certificates.
//!
//! C headers: [`include/linux/key.h`](srctree/include/linux/key.h),
//! [`include/keys/asymmetric-type.h`](srctree/include/keys/asymmetric-type.h),
//! [`include/crypto/public_key.h`](srctree/include/crypto/public_key.h).

use super::{
    hash::KernelHash,
    x509::Certificate, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
    slice, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
};
use spdm_core::algorithms::BaseHash;

/// A reference to a key or keyring.
///
/// # Invariants
///
/// The pointer is valid, and `self` owns one reference to what it points to.
pub(super) struct Key(NonNull<bindings::key>);

// SAFETY: Keys are reference counted and belong to no thread.
unsafe impl Send for Key {}

// SAFETY: What this type reads of a key never changes after the key was made; the functions that it is
// passed to do their own locking.
unsafe impl Sync for Key {}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, `self` owns a reference, which nobody uses any more.
        unsafe { bindings::key_put(self.as_ptr()) };
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariant the key is valid.
        unsafe { bindings::spdm_key_get(self.as_ptr()) };
        // INVARIANT: The function took a reference for the new one.
        Self(self.0)
    }
}

impl Key {
    /// Takes over a reference.
    ///
    /// # Errors
    ///
    /// The error that `key` encodes, if it does.
    ///
    /// # Safety
    ///
    /// `key` encodes an error or is valid, and the caller owns a reference, which passes to the result.
    pub(super) unsafe fn from_raw(key: *mut bindings::key) -> Result<Self> {
        let key = NonNull::new(from_err_ptr(key)?).ok_or(EINVAL)?;
        // INVARIANT: By the safety requirements.
        Ok(Self(key))
    }

    /// Returns the pointer; it stays valid as long as `self`.
    pub(super) fn as_ptr(&self) -> *mut bindings::key {
        self.0.as_ptr()
    }

    /// Makes a key of a DER certificate. It is in no keyring and user space cannot see it.
    ///
    /// If the certificate is self-signed, the kernel verifies that.
    ///
    /// # Errors
    ///
    /// What the kernel's X.509 parser says, among others `EBADMSG`, `EINVAL`: not a certificate;
    /// `ENOPKG`: an algorithm is unknown; `EKEYREJECTED`: the blacklist names it, or it is wrongly
    /// self-signed.
    pub(super) fn from_certificate<'a>(der: &'a [u8]) -> Result<CertificateKey<'a>> {
        // SAFETY: The type is registered as long as this module, which needs its symbol, is there; the
        // description is a string; credentials of the kernel live for ever.
        let key = unsafe {
            Self::from_raw(bindings::key_alloc(
                &raw mut bindings::key_type_asymmetric,
                c"spdm certificate".as_char_ptr(),
                bindings::kuid_t { val: 0 },
                bindings::kgid_t { val: 0 },
                bindings::spdm_kernel_cred(),
                0,
                bindings::KEY_ALLOC_NOT_IN_QUOTA as c_ulong,
                ptr::null_mut(),
            ))?
        };
        // SAFETY: The key was just allocated and is not instantiated; `der` is valid for its length.
        to_result(unsafe {
            bindings::key_instantiate_and_link(
                key.as_ptr(),
                der.as_ptr().cast(),
                der.len(),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        })?;
        Ok(CertificateKey {
            key,
            certificate: PhantomData,
        })
    }

    /// Looks in `keyring` for a key that was made of `certificate`. If that is self-signed, the kernel verified it then.
    ///
    /// Compares the digests of what is signed, and the signatures; there is no digest to compare with of a
    /// certificate signed by ML-DSA. If the keyring holds several of the same issuer and serial number, one is looked
    /// at.
    ///
    /// # Errors
    ///
    /// `ENOKEY`: it is not there; `EOVERFLOW`: its names are longer than those of a certificate that the kernel
    /// reads; or another error of the search.
    pub(super) fn find_certificate(keyring: &Key, certificate: &Certificate<'_>) -> Result<Key> {
        let (serial, issuer) = (certificate.serial, certificate.issuer.octets());
        // An identifier has a length of 16 bits, and the function below does not look. No chain that is fetched is as
        // long, nor is a certificate that the kernel's parser takes; but that is decided elsewhere.
        if serial.len().saturating_add(issuer.len()) > usize::from(u16::MAX) {
            return Err(EOVERFLOW);
        }
        // SAFETY: Both are valid for their lengths, which fit into the identifier together.
        let id = from_err_ptr(unsafe {
            bindings::asymmetric_key_generate_id(
                serial.as_ptr().cast(),
                serial.len(),
                issuer.as_ptr().cast(),
                issuer.len(),
            )
        })?;
        let found = find(keyring, id, ptr::null(), ptr::null());
        // SAFETY: The function above allocated it, and nobody uses it any more.
        unsafe { bindings::kfree(id.cast()) };
        let found = found?;
        let signature = found.signature().ok_or(ENOKEY)?;
        let digest = digest(signature).ok_or(ENOKEY)?;
        let is_digest = |hash: BaseHash| {
            hash.digest_size() == digest.len()
                && KernelHash::digest(hash, certificate.signed)
                    .is_ok_and(|of_certificate| of_certificate.as_bytes() == digest)
        };
        if signature_bytes(signature) == Some(certificate.signature)
            && BaseHash::ALL.into_iter().any(is_digest)
        {
            Ok(found)
        } else {
            Err(ENOKEY)
        }
    }

    /// Returns a word of the payload.
    fn payload(&self, word: bindings::asymmetric_payload_bits) -> *mut c_void {
        let Ok(word) = usize::try_from(word) else {
            return ptr::null_mut();
        };
        // SAFETY: By the type invariant the key is valid. The payload of an asymmetric key does not change
        // after the key was instantiated, until its last reference is dropped.
        let data = unsafe { &(*self.as_ptr()).__bindgen_anon_4.payload.data };
        data.get(word).copied().unwrap_or(ptr::null_mut())
    }

    /// Returns the public key; [`None`] if it is another kind of asymmetric key.
    fn public_key(&self) -> Option<&bindings::public_key> {
        let subtype = self.payload(bindings::asymmetric_payload_bits_asym_subtype);
        if subtype != (&raw mut bindings::public_key_subtype).cast() {
            return None;
        }
        let public_key = self.payload(bindings::asymmetric_payload_bits_asym_crypto);
        // SAFETY: With this subtype the word points to a `public_key` that lives as long as the key.
        unsafe { public_key.cast::<bindings::public_key>().as_ref() }
    }

    /// Returns the signature on the certificate; [`None`] if there was none, or if it is of an
    /// algorithm that the kernel lacks.
    ///
    /// If the algorithm takes data instead of a digest, the data is that of the certificate, which may
    /// be gone: only [`CertificateKey`] knows that it is not.
    fn signature(&self) -> Option<&bindings::public_key_signature> {
        self.public_key()?;
        let signature = self.payload(bindings::asymmetric_payload_bits_asym_auth);
        // SAFETY: With this subtype the word is null or points to a `public_key_signature` that lives as
        // long as the key.
        unsafe { signature.cast::<bindings::public_key_signature>().as_ref() }
    }

    /// The subjectPublicKey as the kernel read it; [`None`] if it is another kind of asymmetric key.
    fn octets(&self) -> Option<&[u8]> {
        let public_key = self.public_key()?;
        let len = usize::try_from(public_key.keylen).ok()?;
        if public_key.key.is_null() {
            return None;
        }
        // SAFETY: `key` is memory of `keylen` bytes that lives as long as the `public_key`.
        Some(unsafe { slice::from_raw_parts(public_key.key.cast::<u8>(), len) })
    }

    /// Whether it is, as the kernel read it, the subjectPublicKey of these octets.
    pub(super) fn is_public_key(&self, octets: &[u8]) -> bool {
        self.octets() == Some(octets)
    }

    /// Whether the certificate that the key was made of is marked as that of a CA.
    pub(super) fn is_ca(&self) -> bool {
        self.public_key()
            .is_some_and(|key| key.key_eflags & (1 << bindings::KEY_EFLAG_CA) != 0)
    }

    /// Looks in `keyring` for a key with the identifiers of this one.
    ///
    /// # Errors
    ///
    /// `ENOKEY`: there is none; or another error of the search.
    fn find_namesake(&self, keyring: &Key) -> Result<Key> {
        let ids = self.payload(bindings::asymmetric_payload_bits_asym_key_ids);
        // SAFETY: The word is null or points to the key's identifiers, which live as long as the key.
        let ids = unsafe { ids.cast::<bindings::asymmetric_key_ids>().as_ref() }.ok_or(ENOKEY)?;
        // Issuer and serial number; subject key identifier.
        find(keyring, ids.id[0].cast(), ids.id[1].cast(), ptr::null())
    }

    /// Whether the key is in `keyring`, and neither revoked nor expired as a key. If the keyring holds several with
    /// the same identifiers, the answer may be no.
    pub(super) fn is_in(&self, keyring: &Key) -> bool {
        self.find_namesake(keyring)
            .is_ok_and(|found| found.as_ptr() == self.as_ptr())
    }

    /// Whether both keys were made of the same certificate.
    ///
    /// Compares the digests of what is signed, and the signatures. It would take a second preimage to
    /// deceive it, also where the digests are of different hashes.
    ///
    /// Of a certificate signed by ML-DSA, the kernel keeps no digest. Two of them are taken for one if both are of a
    /// CA and have the same key: it is the key that what follows in a chain is verified with.
    fn is_same_certificate(&self, other: &Self) -> bool {
        let (Some(signature), Some(other_signature)) = (self.signature(), other.signature()) else {
            return false;
        };
        match (digest(signature), digest(other_signature)) {
            (Some(digest), Some(other_digest)) => {
                digest == other_digest
                    && signature_bytes(signature) == signature_bytes(other_signature)
            }
            (None, None) => {
                let octets = self.octets();
                self.is_ca() && other.is_ca() && octets.is_some() && octets == other.octets()
            }
            _ => false,
        }
    }

    /// Verifies a certificate's signature with the key.
    ///
    /// # Errors
    ///
    /// What the kernel says, among others `EKEYREJECTED`, `EBADMSG`, `EINVAL`: it is wrong.
    fn verify(&self, signature: &bindings::public_key_signature) -> Result {
        // `public_key_verify_signature()` insists on it.
        if signature.s.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariant the key is valid; what the signature points to is valid as long
        // as the borrow, and only read.
        to_result(unsafe { bindings::verify_signature(self.as_ptr(), signature) })
    }
}

/// A key made of a certificate that is still there, so that the certificate's signature can be verified
/// whatever the algorithm.
pub(super) struct CertificateKey<'a> {
    key: Key,
    certificate: PhantomData<&'a [u8]>,
}

impl CertificateKey<'_> {
    /// Verifies that `issuer` signed the certificate.
    ///
    /// # Errors
    ///
    /// `ENOPKG`: an algorithm is unknown to the kernel, or it is a hash that is no longer good enough;
    /// or as [`Key::verify`].
    pub(super) fn verify_issuer(&self, issuer: &Key) -> Result {
        /// Size in bytes of the shortest digest that SPDM knows. MD5 and SHA-1 are below.
        const MIN_DIGEST: u32 = 32;

        let signature = self.key.signature().ok_or(ENOPKG)?;
        if !signature.algo_takes_data && signature.m_size < MIN_DIGEST {
            return Err(ENOPKG);
        }
        issuer.verify(signature)
    }

    /// Looks for this very certificate in `keyring`.
    ///
    /// # Errors
    ///
    /// `ENOKEY`: it is not there; or another error of the search.
    pub(super) fn find_same(&self, keyring: &Key) -> Result<Key> {
        let found = self.key.find_namesake(keyring)?;
        if self.key.is_same_certificate(&found) {
            Ok(found)
        } else {
            Err(ENOKEY)
        }
    }

    /// Looks in `keyring` for the key that, by the names in the certificate, issued it.
    ///
    /// # Errors
    ///
    /// `ENOKEY`: it is not there; or another error of the search.
    pub(super) fn find_issuer(&self, keyring: &Key) -> Result<Key> {
        let [issuer_and_serial, key_id, name] = self.key.signature().ok_or(ENOKEY)?.auth_ids;
        find(keyring, issuer_and_serial, key_id, name)
    }

    /// Whether the certificate's key, as the kernel read it, is the subjectPublicKey of these octets.
    pub(super) fn is_public_key(&self, octets: &[u8]) -> bool {
        self.key.is_public_key(octets)
    }

    /// Returns the key.
    pub(super) fn into_key(self) -> Key {
        self.key
    }
}

/// Looks in `keyring` for a key by its identifiers, each of which is null or valid.
///
/// The caller's credentials must be those of the kernel.
fn find(
    keyring: &Key,
    id_0: *const bindings::asymmetric_key_id,
    id_1: *const bindings::asymmetric_key_id,
    id_2: *const bindings::asymmetric_key_id,
) -> Result<Key> {
    if id_0.is_null() && id_1.is_null() && id_2.is_null() {
        return Err(ENOKEY);
    }
    // SAFETY: The keyring is valid, and so are the identifiers that are not null, of which there is one.
    // The result is an error or a new reference.
    unsafe {
        Key::from_raw(bindings::find_asymmetric_key(
            keyring.as_ptr(),
            id_0,
            id_1,
            id_2,
            false,
        ))
    }
}

/// The digest of what was signed; [`None`] if the algorithm takes the data itself.
fn digest(signature: &bindings::public_key_signature) -> Option<&[u8]> {
    if signature.algo_takes_data || signature.m.is_null() {
        return None;
    }
    let len = usize::try_from(signature.m_size).ok()?;
    // SAFETY: Then `m` is memory of its own, of `m_size` bytes, that lives as long as the signature.
    Some(unsafe { slice::from_raw_parts(signature.m, len) })
}

/// The bytes of the signature.
fn signature_bytes(signature: &bindings::public_key_signature) -> Option<&[u8]> {
    if signature.s.is_null() {
        return None;
    }
    let len = usize::try_from(signature.s_size).ok()?;
    // SAFETY: `s` is memory of `s_size` bytes that lives as long as the signature.
    Some(unsafe { slice::from_raw_parts(signature.s, len) })
}
