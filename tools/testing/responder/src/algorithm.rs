// SPDX-License-Identifier: GPL-2.0

//! The algorithms a responder can be told to select: base hashes, and base and post-quantum
//! asymmetric signatures.
//!
//! Bit values are those of BaseHashAlgo, BaseAsymAlgo and PqcAsymAlgo (DSP0274,
//! NEGOTIATE_ALGORITHMS).

use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::{hash, MessageDigest};
use openssl::md::{Md, MdRef};
use openssl::md_ctx::MdCtx;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, Id, KeyType, PKey, PKeyRef, Private, Public};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rand::rand_bytes;
use openssl::rsa::{Padding, Rsa};
use openssl::sign::RsaPssSaltlen;
use std::fmt;
use std::str::FromStr;

/// A base hash algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA3-256.
    Sha3_256,
    /// SHA3-384.
    Sha3_384,
    /// SHA3-512.
    Sha3_512,
}

impl Hash {
    /// Every hash, in the order of its bit.
    pub const ALL: [Hash; 6] = [
        Hash::Sha256,
        Hash::Sha384,
        Hash::Sha512,
        Hash::Sha3_256,
        Hash::Sha3_384,
        Hash::Sha3_512,
    ];

    /// The bit in BaseHashAlgo.
    pub fn bit(self) -> u32 {
        match self {
            Hash::Sha256 => 0x01,
            Hash::Sha384 => 0x02,
            Hash::Sha512 => 0x04,
            Hash::Sha3_256 => 0x08,
            Hash::Sha3_384 => 0x10,
            Hash::Sha3_512 => 0x20,
        }
    }

    /// The name used on the command line and by the control channel.
    pub fn name(self) -> &'static str {
        match self {
            Hash::Sha256 => "sha256",
            Hash::Sha384 => "sha384",
            Hash::Sha512 => "sha512",
            Hash::Sha3_256 => "sha3-256",
            Hash::Sha3_384 => "sha3-384",
            Hash::Sha3_512 => "sha3-512",
        }
    }

    /// Size of a digest in bytes.
    pub fn size(self) -> usize {
        match self {
            Hash::Sha256 | Hash::Sha3_256 => 32,
            Hash::Sha384 | Hash::Sha3_384 => 48,
            Hash::Sha512 | Hash::Sha3_512 => 64,
        }
    }

    fn message_digest(self) -> MessageDigest {
        match self {
            Hash::Sha256 => MessageDigest::sha256(),
            Hash::Sha384 => MessageDigest::sha384(),
            Hash::Sha512 => MessageDigest::sha512(),
            Hash::Sha3_256 => MessageDigest::sha3_256(),
            Hash::Sha3_384 => MessageDigest::sha3_384(),
            Hash::Sha3_512 => MessageDigest::sha3_512(),
        }
    }

    fn md(self) -> &'static MdRef {
        match self {
            Hash::Sha256 => Md::sha256(),
            Hash::Sha384 => Md::sha384(),
            Hash::Sha512 => Md::sha512(),
            Hash::Sha3_256 => Md::sha3_256(),
            Hash::Sha3_384 => Md::sha3_384(),
            Hash::Sha3_512 => Md::sha3_512(),
        }
    }

    /// The digest of `data`.
    ///
    /// # Errors
    ///
    /// Fails if OpenSSL lacks the algorithm.
    pub fn digest(self, data: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        Ok(hash(self.message_digest(), data)?.to_vec())
    }
}

/// An asymmetric signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Asym {
    /// RSASSA (PKCS #1 v1.5) with a key of 2048 bits.
    Rsassa2048,
    /// RSASSA (PKCS #1 v1.5) with a key of 3072 bits.
    Rsassa3072,
    /// RSASSA (PKCS #1 v1.5) with a key of 4096 bits.
    Rsassa4096,
    /// RSAPSS with a key of 2048 bits.
    Rsapss2048,
    /// RSAPSS with a key of 3072 bits.
    Rsapss3072,
    /// RSAPSS with a key of 4096 bits.
    Rsapss4096,
    /// ECDSA on NIST P-256.
    EcdsaP256,
    /// ECDSA on NIST P-384.
    EcdsaP384,
    /// ECDSA on NIST P-521.
    EcdsaP521,
    /// ML-DSA-44 (1.4).
    MlDsa44,
    /// ML-DSA-65 (1.4).
    MlDsa65,
    /// ML-DSA-87 (1.4).
    MlDsa87,
}

impl Asym {
    /// Every signature algorithm, in the order of its bit, post-quantum ones last.
    pub const ALL: [Asym; 12] = [
        Asym::Rsassa2048,
        Asym::Rsapss2048,
        Asym::Rsassa3072,
        Asym::Rsapss3072,
        Asym::EcdsaP256,
        Asym::Rsassa4096,
        Asym::Rsapss4096,
        Asym::EcdsaP384,
        Asym::EcdsaP521,
        Asym::MlDsa44,
        Asym::MlDsa65,
        Asym::MlDsa87,
    ];

    /// Those of BaseAsymAlgo, in the order of their bit.
    pub const BASE: [Asym; 9] = [
        Asym::Rsassa2048,
        Asym::Rsapss2048,
        Asym::Rsassa3072,
        Asym::Rsapss3072,
        Asym::EcdsaP256,
        Asym::Rsassa4096,
        Asym::Rsapss4096,
        Asym::EcdsaP384,
        Asym::EcdsaP521,
    ];

    /// The bit in BaseAsymAlgo, or in PqcAsymAlgo.
    pub fn bit(self) -> u32 {
        match self {
            Asym::Rsassa2048 => 0x001,
            Asym::Rsapss2048 => 0x002,
            Asym::Rsassa3072 => 0x004,
            Asym::Rsapss3072 => 0x008,
            Asym::EcdsaP256 => 0x010,
            Asym::Rsassa4096 => 0x020,
            Asym::Rsapss4096 => 0x040,
            Asym::EcdsaP384 => 0x080,
            Asym::EcdsaP521 => 0x100,
            Asym::MlDsa44 => 0x1,
            Asym::MlDsa65 => 0x2,
            Asym::MlDsa87 => 0x4,
        }
    }

    /// The name used on the command line, by the control channel and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Asym::Rsassa2048 => "rsassa-2048",
            Asym::Rsassa3072 => "rsassa-3072",
            Asym::Rsassa4096 => "rsassa-4096",
            Asym::Rsapss2048 => "rsapss-2048",
            Asym::Rsapss3072 => "rsapss-3072",
            Asym::Rsapss4096 => "rsapss-4096",
            Asym::EcdsaP256 => "ecdsa-p256",
            Asym::EcdsaP384 => "ecdsa-p384",
            Asym::EcdsaP521 => "ecdsa-p521",
            Asym::MlDsa44 => "mldsa44",
            Asym::MlDsa65 => "mldsa65",
            Asym::MlDsa87 => "mldsa87",
        }
    }

    /// Size of a signature in an SPDM message, in bytes: the modulus, or r and s side by side.
    pub fn signature_size(self) -> usize {
        match self {
            Asym::Rsassa2048 | Asym::Rsapss2048 => 256,
            Asym::Rsassa3072 | Asym::Rsapss3072 => 384,
            Asym::Rsassa4096 | Asym::Rsapss4096 => 512,
            Asym::EcdsaP256 => 64,
            Asym::EcdsaP384 => 96,
            Asym::EcdsaP521 => 132,
            Asym::MlDsa44 => 2420,
            Asym::MlDsa65 => 3309,
            Asym::MlDsa87 => 4627,
        }
    }

    /// How an RSA signature is padded.
    pub fn rsa_padding(self) -> Padding {
        match self {
            Asym::Rsapss2048 | Asym::Rsapss3072 | Asym::Rsapss4096 => Padding::PKCS1_PSS,
            _ => Padding::PKCS1,
        }
    }

    /// The algorithm whose keys and certificates it uses: RSAPSS signs with the RSA keys that there are, in whose
    /// certificates nothing is padded that way.
    pub fn of_keys(self) -> Asym {
        match self {
            Asym::Rsapss2048 => Asym::Rsassa2048,
            Asym::Rsapss3072 => Asym::Rsassa3072,
            Asym::Rsapss4096 => Asym::Rsassa4096,
            other => other,
        }
    }

    /// What OpenSSL calls keys of a post-quantum algorithm, and the last arc of its OID
    /// (2.16.840.1.101.3.4.3); `None` for others.
    pub fn pqc(self) -> Option<(KeyType, u8)> {
        match self {
            Asym::MlDsa44 => Some((KeyType::ML_DSA_44, 17)),
            Asym::MlDsa65 => Some((KeyType::ML_DSA_65, 18)),
            Asym::MlDsa87 => Some((KeyType::ML_DSA_87, 19)),
            _ => None,
        }
    }

    /// An algorithm whose keys are of another kind: for the chain that carries the wrong key.
    pub fn another(self) -> Asym {
        match self {
            Asym::EcdsaP384 => Asym::EcdsaP256,
            _ => Asym::EcdsaP384,
        }
    }

    /// The digest that certificates of this algorithm are signed with: the one that fits the
    /// curve, SHA-384 for RSA.
    pub fn certificate_digest(self) -> MessageDigest {
        match self {
            Asym::EcdsaP256 => MessageDigest::sha256(),
            Asym::EcdsaP521 => MessageDigest::sha512(),
            _ => MessageDigest::sha384(),
        }
    }

    /// Makes a new key. RSA takes up to seconds.
    ///
    /// # Errors
    ///
    /// Fails if OpenSSL does.
    pub fn generate(self) -> Result<PKey<Private>, ErrorStack> {
        if let Some((kind, _)) = self.pqc() {
            let mut seed = [0; 32];
            rand_bytes(&mut seed)?;
            return PKey::private_key_from_seed(None, kind, None, &seed);
        }
        let curve = match self {
            Asym::Rsassa2048 | Asym::Rsapss2048 => return PKey::from_rsa(Rsa::generate(2048)?),
            Asym::Rsassa3072 | Asym::Rsapss3072 => return PKey::from_rsa(Rsa::generate(3072)?),
            Asym::Rsassa4096 | Asym::Rsapss4096 => return PKey::from_rsa(Rsa::generate(4096)?),
            Asym::EcdsaP256 => Nid::X9_62_PRIME256V1,
            Asym::EcdsaP384 => Nid::SECP384R1,
            _ => Nid::SECP521R1,
        };
        let group = EcGroup::from_curve_name(curve)?;
        PKey::from_ec_key(EcKey::generate(&group)?)
    }
}

macro_rules! by_name {
    ($type:ty, $what:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let all = <$type>::ALL;
                all.into_iter().find(|a| a.name() == text).ok_or_else(|| {
                    let names: Vec<_> = all.iter().map(|a| a.name()).collect();
                    format!(
                        concat!("no ", $what, " `{}`; there are: {}"),
                        text,
                        names.join(" ")
                    )
                })
            }
        }
    };
}

by_name!(Hash, "hash");
by_name!(Asym, "signature algorithm");

/// Size in bytes of r, and of s, in a signature by `key`; `None` for a key that is not on a curve.
pub fn coordinate_size(key: &PKey<Private>) -> Option<usize> {
    let key = key.ec_key().ok()?;
    Some((key.group().degree() as usize).div_ceil(8))
}

/// Signs a digest that was made with `hash`, in the form SPDM sends: RSA with `padding` and, if that is PSS, a salt of
/// the digest's size or of `salt` bytes; or ECDSA as r and s in big-endian order, each as long as the curve's field.
///
/// # Errors
///
/// Fails if OpenSSL does.
pub fn sign_digest(
    key: &PKey<Private>,
    (padding, salt): (Padding, Option<i32>),
    hash: Hash,
    digest: &[u8],
) -> Result<Vec<u8>, ErrorStack> {
    if key.id() == Id::RSA {
        let mut context = PkeyCtx::new(key)?;
        context.sign_init()?;
        context.set_rsa_padding(padding)?;
        context.set_signature_md(hash.md())?;
        if padding == Padding::PKCS1_PSS {
            context.set_rsa_pss_saltlen(
                salt.map_or(RsaPssSaltlen::DIGEST_LENGTH, RsaPssSaltlen::custom),
            )?;
        }
        let mut signature = Vec::new();
        context.sign_to_vec(digest, &mut signature)?;
        return Ok(signature);
    }
    let key = key.ec_key()?;
    let size = (key.group().degree() as i32 + 7) / 8;
    let signature = EcdsaSig::sign(digest, &key)?;
    let mut raw = signature.r().to_vec_padded(size)?;
    raw.extend(signature.s().to_vec_padded(size)?);
    Ok(raw)
}

/// Whether `key` is one of ML-DSA, which signs messages, not digests.
pub fn is_pqc<T: HasPublic>(key: &PKeyRef<T>) -> bool {
    let mut kinds = Asym::ALL.into_iter().filter_map(Asym::pqc);
    kinds.any(|(kind, _)| key.is_a(kind))
}

/// Signs a message with ML-DSA and a context string (FIPS 204, 5.2).
///
/// # Errors
///
/// Fails if OpenSSL does.
pub fn sign_message(
    key: &PKey<Private>,
    context: &[u8],
    message: &[u8],
) -> Result<Vec<u8>, ErrorStack> {
    let mut md = MdCtx::new()?;
    md.digest_sign_init(None, key)?
        .set_context_string(context)?;
    let mut signature = Vec::new();
    md.digest_sign_to_vec(message, &mut signature)?;
    Ok(signature)
}

/// Verifies what [`sign_message`] makes.
///
/// # Errors
///
/// Fails if OpenSSL does for another reason than the signature.
pub fn verify_message(
    key: &PKey<Public>,
    context: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<bool, ErrorStack> {
    let mut md = MdCtx::new()?;
    md.digest_verify_init(None, key)?
        .set_context_string(context)?;
    Ok(md.digest_verify(message, signature).unwrap_or(false))
}

/// Verifies what [`sign_digest`] makes. A malformed signature is `false`.
///
/// # Errors
///
/// Fails if OpenSSL does for another reason than the signature.
pub fn verify_digest(
    key: &PKey<Public>,
    padding: Padding,
    hash: Hash,
    digest: &[u8],
    signature: &[u8],
) -> Result<bool, ErrorStack> {
    if key.id() == Id::RSA {
        let mut context = PkeyCtx::new(key)?;
        context.verify_init()?;
        context.set_rsa_padding(padding)?;
        context.set_signature_md(hash.md())?;
        if padding == Padding::PKCS1_PSS {
            context.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
        }
        return Ok(context.verify(digest, signature).unwrap_or(false));
    }
    let key = key.ec_key()?;
    let size = (key.group().degree() as usize).div_ceil(8);
    if signature.len() != 2 * size {
        return Ok(false);
    }
    let (r, s) = signature.split_at(size);
    let signature = EcdsaSig::from_private_components(
        openssl::bn::BigNum::from_slice(r)?,
        openssl::bn::BigNum::from_slice(s)?,
    )?;
    Ok(signature.verify(digest, &key).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bits_are_unique() {
        for (i, a) in Asym::ALL.iter().enumerate() {
            assert_eq!(a.name().parse::<Asym>().unwrap(), *a);
            let before = Asym::ALL[..i].iter();
            let mut same = before.filter(|b| b.pqc().is_some() == a.pqc().is_some());
            assert!(same.all(|b| b.bit() < a.bit()));
        }
        assert!(Asym::ALL.starts_with(&Asym::BASE));
        for (i, a) in Hash::ALL.iter().enumerate() {
            assert_eq!(a.name().parse::<Hash>().unwrap(), *a);
            assert!(Hash::ALL[..i].iter().all(|b| b.bit() < a.bit()));
        }
        assert!("md5".parse::<Hash>().is_err());
    }

    #[test]
    fn digests_have_their_size_and_known_values() {
        for hash in Hash::ALL {
            assert_eq!(hash.digest(b"").unwrap().len(), hash.size());
        }
        // FIPS 180-4 and FIPS 202 examples for "abc", first bytes.
        let first = |h: Hash| h.digest(b"abc").unwrap()[..4].to_vec();
        assert_eq!(first(Hash::Sha256), [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(first(Hash::Sha384), [0xcb, 0x00, 0x75, 0x3f]);
        assert_eq!(first(Hash::Sha512), [0xdd, 0xaf, 0x35, 0xa1]);
        assert_eq!(first(Hash::Sha3_256), [0x3a, 0x98, 0x5d, 0xa7]);
        assert_eq!(first(Hash::Sha3_384), [0xec, 0x01, 0x49, 0x82]);
        assert_eq!(first(Hash::Sha3_512), [0xb7, 0x51, 0x85, 0x0b]);
    }

    #[test]
    fn ml_dsa_signs_a_message_and_a_context() {
        for asym in [Asym::MlDsa44, Asym::MlDsa65, Asym::MlDsa87] {
            let key = asym.generate().unwrap();
            assert!(is_pqc(&key));
            let public = PKey::public_key_from_der(&key.public_key_to_der().unwrap()).unwrap();
            let signature = sign_message(&key, b"context", b"message").unwrap();
            assert_eq!(signature.len(), asym.signature_size());
            let right = |context: &[u8], message: &[u8], signature: &[u8]| {
                verify_message(&public, context, message, signature).unwrap()
            };
            assert!(right(b"context", b"message", &signature));
            assert!(!right(b"", b"message", &signature));
            assert!(!right(b"context", b"massage", &signature));
            assert!(!right(b"context", b"message", &signature[1..]));
        }
        assert!(!is_pqc(&Asym::EcdsaP256.generate().unwrap()));
    }

    #[test]
    fn signatures_verify_and_only_over_their_digest() {
        for asym in [
            Asym::EcdsaP256,
            Asym::EcdsaP384,
            Asym::EcdsaP521,
            Asym::Rsassa2048,
            Asym::Rsapss2048,
        ] {
            let padding = asym.rsa_padding();
            let key = asym.generate().unwrap();
            let public = PKey::public_key_from_der(&key.public_key_to_der().unwrap()).unwrap();
            for hash in Hash::ALL {
                let digest = hash.digest(b"message").unwrap();
                let other = hash.digest(b"massage").unwrap();
                let signature = sign_digest(&key, (padding, None), hash, &digest).unwrap();
                assert_eq!(signature.len(), asym.signature_size());
                let verify =
                    |digest, signature| verify_digest(&public, padding, hash, digest, signature);
                assert!(verify(&digest, &signature).unwrap());
                assert!(!verify(&other, &signature).unwrap());
                let short = &signature[..signature.len() - 1];
                assert!(!verify(&digest, short).unwrap());
            }
        }
    }

    #[test]
    fn paddings_are_told_apart() {
        let key = Asym::Rsapss2048.generate().unwrap();
        let public = PKey::public_key_from_der(&key.public_key_to_der().unwrap()).unwrap();
        let hash = Hash::Sha256;
        let digest = hash.digest(b"message").unwrap();
        for (form, is_pss, is_pkcs1) in [
            ((Padding::PKCS1_PSS, None), true, false),
            ((Padding::PKCS1_PSS, Some(0)), false, false),
            ((Padding::PKCS1_PSS, Some(33)), false, false),
            ((Padding::PKCS1, None), false, true),
        ] {
            let signature = sign_digest(&key, form, hash, &digest).unwrap();
            for (padding, right) in [(Padding::PKCS1_PSS, is_pss), (Padding::PKCS1, is_pkcs1)] {
                let verified = verify_digest(&public, padding, hash, &digest, &signature);
                assert_eq!(verified.unwrap(), right);
            }
        }
    }
}
