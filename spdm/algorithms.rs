// SPDX-License-Identifier: GPL-2.0

//! Algorithms that a connection can negotiate (DSP0274, "NEGOTIATE_ALGORITHMS request message format").

/// A base hash algorithm (`BaseHashAlgo`, `BaseHashSel`).
///
/// The discriminant is the algorithm's bit in the message field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum BaseHash {
    /// TPM_ALG_SHA_256.
    Sha256 = 1 << 0,
    /// TPM_ALG_SHA_384.
    Sha384 = 1 << 1,
    /// TPM_ALG_SHA_512.
    Sha512 = 1 << 2,
    /// TPM_ALG_SHA3_256.
    Sha3_256 = 1 << 3,
    /// TPM_ALG_SHA3_384.
    Sha3_384 = 1 << 4,
    /// TPM_ALG_SHA3_512.
    Sha3_512 = 1 << 5,
}

impl BaseHash {
    /// Every algorithm that this crate knows, in the order of their bits.
    pub const ALL: [Self; 6] = [
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
    ];

    /// Size of a digest in bytes.
    pub const fn digest_size(self) -> usize {
        match self {
            Self::Sha256 | Self::Sha3_256 => 32,
            Self::Sha384 | Self::Sha3_384 => 48,
            Self::Sha512 | Self::Sha3_512 => 64,
        }
    }

    /// The algorithm's bit in the message field.
    pub const fn bit(self) -> u32 {
        self as u32
    }

    /// Name as the kernel's crypto API spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Sha3_256 => "sha3-256",
            Self::Sha3_384 => "sha3-384",
            Self::Sha3_512 => "sha3-512",
        }
    }
}

/// A base asymmetric signature algorithm (`BaseAsymAlgo`, `BaseAsymSel`).
///
/// The discriminant is the algorithm's bit in the message field. RSAPSS, SM2 and EdDSA have bits too;
/// the kernel has no verifier for them, so they are never offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum BaseAsym {
    /// TPM_ALG_RSASSA_2048.
    RsaSsa2048 = 1 << 0,
    /// TPM_ALG_RSASSA_3072.
    RsaSsa3072 = 1 << 2,
    /// TPM_ALG_ECDSA_ECC_NIST_P256.
    EcdsaP256 = 1 << 4,
    /// TPM_ALG_RSASSA_4096.
    RsaSsa4096 = 1 << 5,
    /// TPM_ALG_ECDSA_ECC_NIST_P384.
    EcdsaP384 = 1 << 7,
    /// TPM_ALG_ECDSA_ECC_NIST_P521.
    EcdsaP521 = 1 << 8,
}

impl BaseAsym {
    /// Every algorithm that this crate knows, in the order of their bits.
    pub const ALL: [Self; 6] = [
        Self::RsaSsa2048,
        Self::RsaSsa3072,
        Self::EcdsaP256,
        Self::RsaSsa4096,
        Self::EcdsaP384,
        Self::EcdsaP521,
    ];

    /// Size of a signature in bytes.
    pub const fn signature_size(self) -> usize {
        match self {
            Self::RsaSsa2048 => 256,
            Self::RsaSsa3072 => 384,
            Self::RsaSsa4096 => 512,
            Self::EcdsaP256 => 64,
            Self::EcdsaP384 => 96,
            Self::EcdsaP521 => 132,
        }
    }

    /// The algorithm's bit in the message field.
    pub const fn bit(self) -> u32 {
        self as u32
    }

    /// Short name for people: `rsassa-3072`, `ecdsa-p384`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaSsa2048 => "rsassa-2048",
            Self::RsaSsa3072 => "rsassa-3072",
            Self::RsaSsa4096 => "rsassa-4096",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::EcdsaP521 => "ecdsa-p521",
        }
    }
}

/// A set of [`BaseHash`] algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BaseHashes(u32);

impl BaseHashes {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// This set and `algorithm`.
    #[must_use]
    pub const fn with(self, algorithm: BaseHash) -> Self {
        Self(self.0 | algorithm.bit())
    }

    /// Whether `algorithm` is in the set.
    pub const fn contains(self, algorithm: BaseHash) -> bool {
        self.0 & algorithm.bit() != 0
    }

    /// The set as a message field.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// A set of [`BaseAsym`] algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BaseAsyms(u32);

impl BaseAsyms {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// This set and `algorithm`.
    #[must_use]
    pub const fn with(self, algorithm: BaseAsym) -> Self {
        Self(self.0 | algorithm.bit())
    }

    /// Whether `algorithm` is in the set.
    pub const fn contains(self, algorithm: BaseAsym) -> bool {
        self.0 & algorithm.bit() != 0
    }

    /// The set as a message field.
    pub const fn bits(self) -> u32 {
        self.0
    }
}
