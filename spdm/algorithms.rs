// SPDX-License-Identifier: GPL-2.0

//! Algorithms that a connection can negotiate (DSP0274, "NEGOTIATE_ALGORITHMS request message format").

use core::{fmt, marker::PhantomData};

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
/// The discriminant is the algorithm's bit in the message field. SM2 and EdDSA have bits too; the kernel has
/// no verifier for them, so they are never offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum BaseAsym {
    /// TPM_ALG_RSASSA_2048.
    RsaSsa2048 = 1 << 0,
    /// TPM_ALG_RSAPSS_2048.
    RsaPss2048 = 1 << 1,
    /// TPM_ALG_RSASSA_3072.
    RsaSsa3072 = 1 << 2,
    /// TPM_ALG_RSAPSS_3072.
    RsaPss3072 = 1 << 3,
    /// TPM_ALG_ECDSA_ECC_NIST_P256.
    EcdsaP256 = 1 << 4,
    /// TPM_ALG_RSASSA_4096.
    RsaSsa4096 = 1 << 5,
    /// TPM_ALG_RSAPSS_4096.
    RsaPss4096 = 1 << 6,
    /// TPM_ALG_ECDSA_ECC_NIST_P384.
    EcdsaP384 = 1 << 7,
    /// TPM_ALG_ECDSA_ECC_NIST_P521.
    EcdsaP521 = 1 << 8,
}

impl BaseAsym {
    /// Every algorithm that this crate knows, in the order of their bits.
    pub const ALL: [Self; 9] = [
        Self::RsaSsa2048,
        Self::RsaPss2048,
        Self::RsaSsa3072,
        Self::RsaPss3072,
        Self::EcdsaP256,
        Self::RsaSsa4096,
        Self::RsaPss4096,
        Self::EcdsaP384,
        Self::EcdsaP521,
    ];

    /// Size of a signature in bytes.
    pub const fn signature_size(self) -> usize {
        match self {
            Self::RsaSsa2048 | Self::RsaPss2048 => 256,
            Self::RsaSsa3072 | Self::RsaPss3072 => 384,
            Self::RsaSsa4096 | Self::RsaPss4096 => 512,
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
            Self::RsaPss2048 => "rsapss-2048",
            Self::RsaSsa3072 => "rsassa-3072",
            Self::RsaPss3072 => "rsapss-3072",
            Self::RsaSsa4096 => "rsassa-4096",
            Self::RsaPss4096 => "rsapss-4096",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::EcdsaP521 => "ecdsa-p521",
        }
    }
}

/// A post-quantum signature algorithm (`PqcAsymAlgo`, `PqcAsymSel`), from version 1.4.
///
/// The discriminant is the algorithm's bit in the message field. SLH-DSA has bits too; the kernel has no
/// verifier for it, so it is never offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PqcAsym {
    /// ML-DSA-44.
    MlDsa44 = 1 << 0,
    /// ML-DSA-65.
    MlDsa65 = 1 << 1,
    /// ML-DSA-87.
    MlDsa87 = 1 << 2,
}

impl PqcAsym {
    /// Every algorithm that this crate knows, in the order of their bits.
    pub const ALL: [Self; 3] = [Self::MlDsa44, Self::MlDsa65, Self::MlDsa87];

    /// Size of a signature in bytes (FIPS 204, table 2).
    pub const fn signature_size(self) -> usize {
        match self {
            Self::MlDsa44 => 2420,
            Self::MlDsa65 => 3309,
            Self::MlDsa87 => 4627,
        }
    }

    /// The algorithm's bit in the message field.
    pub const fn bit(self) -> u32 {
        self as u32
    }

    /// Name as the kernel's crypto API spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MlDsa44 => "mldsa44",
            Self::MlDsa65 => "mldsa65",
            Self::MlDsa87 => "mldsa87",
        }
    }
}

/// The signature algorithm of a connection: exactly one, of one kind or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asym {
    /// A base asymmetric algorithm.
    Base(BaseAsym),
    /// A post-quantum algorithm.
    Pqc(PqcAsym),
}

impl Asym {
    /// Size of a signature in bytes.
    pub const fn signature_size(self) -> usize {
        match self {
            Self::Base(algorithm) => algorithm.signature_size(),
            Self::Pqc(algorithm) => algorithm.signature_size(),
        }
    }

    /// Short name for people: `ecdsa-p384`, `mldsa65`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base(algorithm) => algorithm.name(),
            Self::Pqc(algorithm) => algorithm.name(),
        }
    }
}

/// Algorithms of one message field.
pub trait Algorithm: Copy {
    /// The algorithm's bit in the field.
    fn field_bit(self) -> u32;
}

impl Algorithm for BaseHash {
    fn field_bit(self) -> u32 {
        self.bit()
    }
}

impl Algorithm for BaseAsym {
    fn field_bit(self) -> u32 {
        self.bit()
    }
}

impl Algorithm for PqcAsym {
    fn field_bit(self) -> u32 {
        self.bit()
    }
}

/// A set of algorithms of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set<A>(u32, PhantomData<A>);

/// A set of [`BaseHash`] algorithms.
pub type BaseHashes = Set<BaseHash>;

/// A set of [`BaseAsym`] algorithms.
pub type BaseAsyms = Set<BaseAsym>;

/// A set of [`PqcAsym`] algorithms.
pub type PqcAsyms = Set<PqcAsym>;

impl<A: Algorithm> Set<A> {
    /// The empty set.
    pub const NONE: Self = Self(0, PhantomData);

    /// This set and `algorithm`.
    #[must_use]
    pub fn with(self, algorithm: A) -> Self {
        Self(self.0 | algorithm.field_bit(), PhantomData)
    }

    /// Whether `algorithm` is in the set.
    pub fn contains(self, algorithm: A) -> bool {
        self.0 & algorithm.field_bit() != 0
    }

    /// The set as a message field.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl<A: Algorithm> Default for Set<A> {
    fn default() -> Self {
        Self::NONE
    }
}

/// Names of the bits of BaseHashAlgo.
const BASE_HASH_NAMES: [&str; 7] = [
    "sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512", "sm3",
];

/// Names of the bits of BaseAsymAlgo.
const BASE_ASYM_NAMES: [&str; 12] = [
    "rsassa-2048",
    "rsapss-2048",
    "rsassa-3072",
    "rsapss-3072",
    "ecdsa-p256",
    "rsassa-4096",
    "rsapss-4096",
    "ecdsa-p384",
    "ecdsa-p521",
    "sm2",
    "ed25519",
    "ed448",
];

/// Names of the bits of PqcAsymAlgo.
const PQC_ASYM_NAMES: [&str; 15] = [
    "mldsa44",
    "mldsa65",
    "mldsa87",
    "slhdsa-sha2-128s",
    "slhdsa-shake-128s",
    "slhdsa-sha2-128f",
    "slhdsa-shake-128f",
    "slhdsa-sha2-192s",
    "slhdsa-shake-192s",
    "slhdsa-sha2-192f",
    "slhdsa-shake-192f",
    "slhdsa-sha2-256s",
    "slhdsa-shake-256s",
    "slhdsa-sha2-256f",
    "slhdsa-shake-256f",
];

/// What a responder supports, whether this crate knows it or not.
///
/// Displays as `sha256,sha384,ecdsa-p384,mldsa65`. A bit that no version defines has its field and number for a name:
/// `base_asym-bit31`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SupportedAlgorithms {
    /// BaseHashAlgo.
    pub base_hash: u32,
    /// BaseAsymAlgo.
    pub base_asym: u32,
    /// PqcAsymAlgo; zero up to version 1.3.
    pub pqc_asym: u32,
}

impl SupportedAlgorithms {
    /// What is in none of the three sets: what could be, if they were larger.
    #[must_use]
    pub const fn without(self, hashes: BaseHashes, asyms: BaseAsyms, pqc_asyms: PqcAsyms) -> Self {
        Self {
            base_hash: self.base_hash & !hashes.0,
            base_asym: self.base_asym & !asyms.0,
            pqc_asym: self.pqc_asym & !pqc_asyms.0,
        }
    }
}

impl fmt::Display for SupportedAlgorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: [(&str, u32, &[&str]); 3] = [
            ("base_hash", self.base_hash, &BASE_HASH_NAMES),
            ("base_asym", self.base_asym, &BASE_ASYM_NAMES),
            ("pqc_asym", self.pqc_asym, &PQC_ASYM_NAMES),
        ];
        let mut comma = "";
        for (field, bits, names) in fields {
            for bit in 0..u32::BITS {
                if bits & 1u32.checked_shl(bit).unwrap_or(0) == 0 {
                    continue;
                }
                match usize::try_from(bit).ok().and_then(|bit| names.get(bit)) {
                    Some(name) => write!(f, "{comma}{name}")?,
                    None => write!(f, "{comma}{field}-bit{bit}")?,
                }
                comma = ",";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn names_of_bits_are_those_of_algorithms() {
        let name = |names: &[&'static str], bit: u32| names[bit.trailing_zeros() as usize];
        for algorithm in BaseHash::ALL {
            assert_eq!(name(&BASE_HASH_NAMES, algorithm.bit()), algorithm.name());
        }
        for algorithm in BaseAsym::ALL {
            assert_eq!(name(&BASE_ASYM_NAMES, algorithm.bit()), algorithm.name());
        }
        for algorithm in PqcAsym::ALL {
            assert_eq!(name(&PQC_ASYM_NAMES, algorithm.bit()), algorithm.name());
        }
    }

    #[test]
    fn supported_algorithms_display() {
        let mut supported = SupportedAlgorithms {
            base_hash: 0x43,
            base_asym: 0x8000_0090,
            pqc_asym: 0x0a,
        };
        assert_eq!(
            supported.to_string(),
            "sha256,sha384,sm3,ecdsa-p256,ecdsa-p384,base_asym-bit31,mldsa65,slhdsa-sha2-128s"
        );
        supported = supported.without(
            BaseHashes::NONE
                .with(BaseHash::Sha256)
                .with(BaseHash::Sha384),
            BaseAsyms::NONE.with(BaseAsym::EcdsaP384),
            PqcAsyms::NONE,
        );
        assert_eq!(
            supported.to_string(),
            "sm3,ecdsa-p256,base_asym-bit31,mldsa65,slhdsa-sha2-128s"
        );
        supported.base_hash = 0;
        supported.base_asym = 0;
        assert_eq!(supported.to_string(), "mldsa65,slhdsa-sha2-128s");
        assert_eq!(SupportedAlgorithms::default().to_string(), "");
    }

    #[test]
    fn sets() {
        let set = PqcAsyms::NONE.with(PqcAsym::MlDsa65).with(PqcAsym::MlDsa65);
        assert_eq!(set.bits(), 2);
        assert!(set.contains(PqcAsym::MlDsa65));
        assert!(!set.contains(PqcAsym::MlDsa44));
        assert_eq!(BaseAsyms::default(), BaseAsyms::NONE);
    }

    #[test]
    fn signature_sizes() {
        for (algorithm, size) in BaseAsym::ALL
            .into_iter()
            .zip([256, 256, 384, 384, 64, 512, 512, 96, 132])
        {
            assert_eq!(Asym::Base(algorithm).signature_size(), size);
            assert_eq!(Asym::Base(algorithm).name(), algorithm.name());
        }
        for (algorithm, size) in PqcAsym::ALL.into_iter().zip([2420, 3309, 4627]) {
            assert_eq!(Asym::Pqc(algorithm).signature_size(), size);
            assert_eq!(Asym::Pqc(algorithm).name(), algorithm.name());
        }
    }
}
