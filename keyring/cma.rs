// SPDX-License-Identifier: GPL-2.0

//! The keyring of trusted root certificates, and the signature algorithms that go with it.
//!
//! C headers: [`include/linux/key.h`](srctree/include/linux/key.h),
//! [`include/crypto/sig.h`](srctree/include/crypto/sig.h).

use super::{
    chain,
    hash::KernelHash,
    key::{
        CertificateKey,
        Key, //
    },
    restriction,
    x509::{
        Certificate,
        Certificates, //
    },
};
use crate::bindings;
use core::{
    ffi::CStr,
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    error::from_err_ptr,
    prelude::*, //
};
use spdm_core::algorithms::{
    BaseAsym,
    BaseAsyms,
    BaseHashes,
    PqcAsym,
    PqcAsyms, //
};

/// The keyring `.cma` and what verification needs besides it.
///
/// Certificates in it are trusted as issuers of devices' certificates. Root may add and remove them:
///
/// ```text
/// keyctl padd asymmetric "" %:.cma < root.der
/// ```
pub(crate) struct Cma {
    keyring: Key,
    algorithms: SignatureAlgorithms,
}

impl Cma {
    /// Makes the keyring and finds out what this kernel can verify.
    ///
    /// Needs process context; may load modules. The kernel's signature algorithms and key types must
    /// have been registered.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or another error of the keys subsystem.
    pub(crate) fn new() -> Result<Self> {
        Self::with_name(c".cma")
    }

    /// Makes a keyring `name`.
    pub(super) fn with_name(name: &CStr) -> Result<Self> {
        const PERMISSIONS: u32 = (bindings::KEY_POS_ALL & !bindings::KEY_POS_SETATTR)
            | bindings::KEY_USR_VIEW
            | bindings::KEY_USR_READ
            | bindings::KEY_USR_WRITE
            | bindings::KEY_USR_SEARCH;

        let algorithms = SignatureAlgorithms::new();
        let restriction = KBox::into_raw(restriction::new()?);

        // SAFETY: `name` is a string, credentials of the kernel live for ever, and the restriction is the
        // keyring's from here on. The result is an error or a new reference.
        let keyring = unsafe {
            Key::from_raw(bindings::keyring_alloc(
                name.as_char_ptr(),
                bindings::kuid_t { val: 0 },
                bindings::kgid_t { val: 0 },
                bindings::spdm_kernel_cred(),
                PERMISSIONS,
                bindings::KEY_ALLOC_NOT_IN_QUOTA as c_ulong,
                restriction,
                ptr::null_mut(),
            ))
        };
        match keyring {
            Ok(keyring) => Ok(Self {
                keyring,
                algorithms,
            }),
            Err(error) => {
                // SAFETY: No key was allocated: what follows that in `keyring_alloc()` fails for no keyring that is
                // linked to none.
                drop(unsafe { KBox::from_raw(restriction) });
                Err(error)
            }
        }
    }

    /// Hash algorithms that this kernel has.
    pub(crate) fn base_hashes(&self) -> BaseHashes {
        KernelHash::algorithms()
    }

    /// Signature algorithms that this kernel can verify, with every hash of [`Cma::base_hashes`].
    pub(crate) fn base_asyms(&self) -> BaseAsyms {
        self.algorithms.base_asyms
    }

    /// Post-quantum signature algorithms that this kernel can verify, in certificates and in SPDM messages.
    pub(crate) fn pqc_asyms(&self) -> PqcAsyms {
        self.algorithms.pqc_asyms
    }

    /// Adds root certificates, DER encodings one after the other, as those that are compiled in.
    ///
    /// Returns how many. One that the kernel refuses is left out, with a line in the log.
    ///
    /// # Errors
    ///
    /// `EBADMSG` if what follows the certificates added so far is none.
    pub(crate) fn add_roots(&self, certificates: &[u8]) -> Result<usize> {
        let _credentials = KernelCredentials::assume();
        let mut rest = Certificates::new(certificates);
        let mut added = 0usize;
        while !rest.is_empty() {
            let certificate = rest.read().map_err(|_| EBADMSG)?;
            let name = chain::name_text("", &certificate.subject);
            match self.add(certificate.raw) {
                Ok(()) => {
                    pr_info!("root certificate: {}\n", name.as_str());
                    added = added.saturating_add(1);
                }
                Err(error) => {
                    pr_err!(
                        "root certificate refused: {} ({:?})\n",
                        name.as_str(),
                        error
                    );
                }
            }
        }
        Ok(added)
    }

    /// Adds one certificate; the caller's credentials are those of the kernel.
    fn add(&self, der: &[u8]) -> Result {
        const PERMISSIONS: u32 = (bindings::KEY_POS_ALL & !bindings::KEY_POS_SETATTR)
            | bindings::KEY_USR_VIEW
            | bindings::KEY_USR_READ;
        const FLAGS: u32 = bindings::KEY_ALLOC_NOT_IN_QUOTA
            | bindings::KEY_ALLOC_BUILT_IN
            | bindings::KEY_ALLOC_BYPASS_RESTRICTION;

        // The lowest bit of a `key_ref_t` says that the caller possesses the key.
        let keyring = self.keyring.as_ptr().map_addr(|address| address | 1);
        // SAFETY: The keyring is valid, the strings are strings, and `der` is valid for its length.
        let added = from_err_ptr(unsafe {
            bindings::key_create_or_update(
                keyring.cast(),
                c"asymmetric".as_char_ptr(),
                ptr::null(),
                der.as_ptr().cast(),
                der.len(),
                PERMISSIONS,
                FLAGS as c_ulong,
            )
        })?;
        let added = added.map_addr(|address| address & !1);
        // SAFETY: The function returned a new reference; the keyring holds another.
        unsafe { bindings::key_put(added.cast()) };
        Ok(())
    }

    /// Waits until a certificate that is being added is there.
    pub(super) fn settle(&self) {
        restriction::settle(&self.keyring);
    }

    /// Looks for this very certificate. What was looked at of it when it was added need not be again.
    ///
    /// # Errors
    ///
    /// `ENOKEY`: it is not there, or it takes a [`CertificateKey`] to know; or another error of the search.
    pub(super) fn find(&self, certificate: &Certificate<'_>) -> Result<Key> {
        Key::find_certificate(&self.keyring, certificate)
    }

    /// Finds out whether the keyring vouches for the certificate that a chain begins with: because it is
    /// in the keyring itself, or because its issuer is, whose key then verifies it. Nothing further down
    /// a chain is looked for. Returns the key in the keyring.
    ///
    /// The key of an issuer that was left out of the chain is all that the kernel keeps of it, besides
    /// its names and whether it is a CA: its validity and its path length constraint are not known here.
    /// If the keyring holds several issuers that the certificate's names fit, one is tried.
    ///
    /// # Errors
    ///
    /// [`NotTrusted`].
    pub(super) fn vouches_for(&self, first: &CertificateKey<'_>) -> Result<Key, NotTrusted> {
        if let Ok(same) = first.find_same(&self.keyring) {
            return Ok(same);
        }
        let issuer = first
            .find_issuer(&self.keyring)
            .map_err(|_| NotTrusted::Unknown)?;
        if !issuer.is_ca() {
            return Err(NotTrusted::IssuerNotCa);
        }
        first
            .verify_issuer(&issuer)
            .map_err(NotTrusted::Signature)?;
        Ok(issuer)
    }

    /// Whether `key`, which vouched for a chain, is still in the keyring.
    pub(super) fn still_has(&self, key: &Key) -> bool {
        key.is_in(&self.keyring)
    }
}

impl Drop for Cma {
    fn drop(&mut self) {
        restriction::remove(&self.keyring);
        // Whoever holds a link to the keyring finds it revoked and empty.
        // SAFETY: The keyring is valid.
        unsafe { bindings::key_revoke(self.keyring.as_ptr()) };
    }
}

/// Why nobody vouches for a certificate.
pub(super) enum NotTrusted {
    /// Neither it nor its issuer is in the keyring.
    Unknown,
    /// Its issuer is, but not as a CA.
    IssuerNotCa,
    /// Its issuer is, but did not sign it, or the signature cannot be verified.
    Signature(Error),
}

/// The task's credentials are those of the kernel while this lives.
///
/// Searching a keyring asks for permission with the credentials of the task. That is a worker of the
/// kernel's for most attestations, but for some it is a process that wrote to a file in sysfs: what it
/// may do to keys, by its user or by a security module, must not change a verdict.
///
/// # Invariants
///
/// `old` are the credentials that the task had. The pointer keeps the type from another task.
pub(crate) struct KernelCredentials {
    old: *const bindings::cred,
}

impl KernelCredentials {
    /// Assumes the kernel's credentials.
    pub(crate) fn assume() -> Self {
        // SAFETY: Credentials of the kernel live for ever.
        let old = unsafe { bindings::spdm_override_creds(bindings::spdm_kernel_cred()) };
        // INVARIANT: That is what the function returns.
        Self { old }
    }
}

impl Drop for KernelCredentials {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this is the same task, and it gets back what it had. Guards are
        // dropped in the reverse order of their making: they are only kept in local variables.
        unsafe { bindings::spdm_revert_creds(self.old) };
    }
}

/// A signature algorithm of the kernel.
///
/// # Invariants
///
/// The pointer is valid, and `self` owns what it points to.
struct SignatureAlgorithm(
    NonNull<bindings::crypto_sig>,
    PhantomData<bindings::crypto_sig>,
);

// SAFETY: The object belongs to no thread.
unsafe impl Send for SignatureAlgorithm {}

// SAFETY: Nothing can be done with a shared reference.
unsafe impl Sync for SignatureAlgorithm {}

impl SignatureAlgorithm {
    fn new(name: &CStr) -> Result<Self> {
        // SAFETY: `name` is a string.
        let algorithm = from_err_ptr(unsafe { bindings::spdm_sig_alloc(name.as_char_ptr()) })?;
        // INVARIANT: The function returned a new object.
        Ok(Self(NonNull::new(algorithm).ok_or(ENOMEM)?, PhantomData))
    }
}

impl Drop for SignatureAlgorithm {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, `self` owns the object.
        unsafe { bindings::spdm_sig_free(self.0.as_ptr()) };
    }
}

/// Signature algorithms that the kernel has.
///
/// They are held so that the kernel neither unloads them nor has to find them at a time when there is no
/// user space to load them from.
struct SignatureAlgorithms {
    base_asyms: BaseAsyms,
    pqc_asyms: PqcAsyms,
    _ecdsa: [[Option<SignatureAlgorithm>; 2]; ECDSA.len()],
    _rsassa: [Option<SignatureAlgorithm>; RSASSA.len()],
    _mldsa: [Option<SignatureAlgorithm>; MLDSA.len()],
}

/// ECDSA, with the kernel's names of it for the signatures in SPDM messages and in certificates.
const ECDSA: [(BaseAsym, [&CStr; 2]); 3] = [
    (
        BaseAsym::EcdsaP256,
        [c"p1363(ecdsa-nist-p256)", c"x962(ecdsa-nist-p256)"],
    ),
    (
        BaseAsym::EcdsaP384,
        [c"p1363(ecdsa-nist-p384)", c"x962(ecdsa-nist-p384)"],
    ),
    (
        BaseAsym::EcdsaP521,
        [c"p1363(ecdsa-nist-p521)", c"x962(ecdsa-nist-p521)"],
    ),
];

/// The kernel's names of RSASSA, one for each hash that SPDM knows. They serve all sizes of keys, in SPDM
/// messages as in certificates, and rest on the "rsa" that RSAPSS needs.
const RSASSA: [&CStr; 6] = [
    c"pkcs1(rsa,sha256)",
    c"pkcs1(rsa,sha384)",
    c"pkcs1(rsa,sha512)",
    c"pkcs1(rsa,sha3-256)",
    c"pkcs1(rsa,sha3-384)",
    c"pkcs1(rsa,sha3-512)",
];

/// ML-DSA, with the kernel's names of it for the signatures in certificates.
const MLDSA: [(PqcAsym, &CStr); 3] = [
    (PqcAsym::MlDsa44, c"mldsa44"),
    (PqcAsym::MlDsa65, c"mldsa65"),
    (PqcAsym::MlDsa87, c"mldsa87"),
];

impl SignatureAlgorithms {
    /// Finds out what this kernel has; may load modules.
    fn new() -> Self {
        let mut base_asyms = BaseAsyms::NONE;
        let ecdsa = ECDSA.map(|(base_asym, names)| {
            let algorithms = names.map(|name| SignatureAlgorithm::new(name).ok());
            if algorithms.iter().all(Option::is_some) {
                base_asyms = base_asyms.with(base_asym);
            }
            algorithms
        });
        let rsassa = RSASSA.map(|name| SignatureAlgorithm::new(name).ok());
        if rsassa.iter().all(Option::is_some) {
            base_asyms = base_asyms
                .with(BaseAsym::RsaSsa2048)
                .with(BaseAsym::RsaSsa3072)
                .with(BaseAsym::RsaSsa4096)
                .with(BaseAsym::RsaPss2048)
                .with(BaseAsym::RsaPss3072)
                .with(BaseAsym::RsaPss4096);
        }
        let mut pqc_asyms = PqcAsyms::NONE;
        // SAFETY: The function may be called from anywhere.
        let in_messages = unsafe { bindings::spdm_has_mldsa() };
        let mldsa = MLDSA.map(|(pqc_asym, name)| {
            let algorithm = SignatureAlgorithm::new(name).ok();
            if in_messages && algorithm.is_some() {
                pqc_asyms = pqc_asyms.with(pqc_asym);
            }
            algorithm
        });
        Self {
            base_asyms,
            pqc_asyms,
            _ecdsa: ecdsa,
            _rsassa: rsassa,
            _mldsa: mldsa,
        }
    }
}
