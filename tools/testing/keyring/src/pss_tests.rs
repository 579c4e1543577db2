// SPDX-License-Identifier: GPL-2.0

//! Tests of RSASSA-PSS with signatures that somebody else's code made.

use crate::pss::is_encoding_of;
use openssl::hash::{Hasher, MessageDigest};
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer};
use spdm_core::{
    algorithms::BaseHash,
    platform::{Digest, Hash, Unsupported},
};

fn message_digest(base_hash: BaseHash) -> MessageDigest {
    match base_hash {
        BaseHash::Sha256 => MessageDigest::sha256(),
        BaseHash::Sha384 => MessageDigest::sha384(),
        BaseHash::Sha512 => MessageDigest::sha512(),
        BaseHash::Sha3_256 => MessageDigest::sha3_256(),
        BaseHash::Sha3_384 => MessageDigest::sha3_384(),
        BaseHash::Sha3_512 => MessageDigest::sha3_512(),
    }
}

struct OpensslHash(BaseHash, Hasher);

impl OpensslHash {
    fn new(base_hash: BaseHash) -> Self {
        Self(base_hash, Hasher::new(message_digest(base_hash)).unwrap())
    }
}

impl Hash for OpensslHash {
    fn update(&mut self, data: &[u8]) {
        self.1.update(data).unwrap();
    }

    fn finish(mut self) -> Digest {
        let bytes = self.1.finish().unwrap();
        Digest::new(self.0, |digest| digest.copy_from_slice(&bytes))
    }
}

const MESSAGE: &[u8] = b"what is signed";

fn digest(base_hash: BaseHash, message: &[u8]) -> Digest {
    let mut hash = OpensslHash::new(base_hash);
    hash.update(message);
    hash.finish()
}

fn accepts(base_hash: BaseHash, encoded: &[u8], message: &[u8]) -> bool {
    let new = || Ok::<_, Unsupported>(OpensslHash::new(base_hash));
    is_encoding_of(&mut encoded.to_vec(), &digest(base_hash, message), new).unwrap()
}

/// Has OpenSSL sign [`MESSAGE`]; returns what the signature encodes.
fn encoded(
    key: &PKey<Private>,
    base_hash: BaseHash,
    salt: RsaPssSaltlen,
    mask: MessageDigest,
) -> Vec<u8> {
    let mut signer = Signer::new(message_digest(base_hash), key).unwrap();
    signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
    signer.set_rsa_pss_saltlen(salt).unwrap();
    signer.set_rsa_mgf1_md(mask).unwrap();
    let signature = signer.sign_oneshot_to_vec(MESSAGE).unwrap();
    let rsa = key.rsa().unwrap();
    let mut encoded = vec![0; signature.len()];
    let len = rsa
        .public_decrypt(&signature, &mut encoded, Padding::NONE)
        .unwrap();
    assert_eq!(len, signature.len());
    encoded
}

fn key(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap()
}

#[test]
fn accepts_what_openssl_signed() {
    for bits in [2048, 3072, 4096] {
        let key = key(bits);
        for base_hash in BaseHash::ALL {
            let mask = message_digest(base_hash);
            let encoded = encoded(&key, base_hash, RsaPssSaltlen::DIGEST_LENGTH, mask);
            assert!(accepts(base_hash, &encoded, MESSAGE), "{base_hash:?}");
            assert!(!accepts(base_hash, &encoded, b"something else"));
            for other in BaseHash::ALL {
                assert_eq!(accepts(other, &encoded, MESSAGE), other == base_hash);
            }
        }
    }
}

#[test]
fn salt_is_as_long_as_the_digest() {
    let key = key(2048);
    let base_hash = BaseHash::Sha384;
    let mask = message_digest(base_hash);
    for len in [0, 1, 20, 32, 47, 49, 64] {
        let salt = RsaPssSaltlen::custom(len);
        assert!(!accepts(
            base_hash,
            &encoded(&key, base_hash, salt, mask),
            MESSAGE
        ));
    }
    let salt = RsaPssSaltlen::MAXIMUM_LENGTH;
    assert!(!accepts(
        base_hash,
        &encoded(&key, base_hash, salt, mask),
        MESSAGE
    ));
    let salt = RsaPssSaltlen::custom(48);
    assert!(accepts(
        base_hash,
        &encoded(&key, base_hash, salt, mask),
        MESSAGE
    ));
}

#[test]
fn mask_is_made_with_the_same_hash() {
    let mask = MessageDigest::sha1();
    let encoded = encoded(
        &key(2048),
        BaseHash::Sha256,
        RsaPssSaltlen::DIGEST_LENGTH,
        mask,
    );
    assert!(!accepts(BaseHash::Sha256, &encoded, MESSAGE));
}

#[test]
fn no_bit_may_be_changed() {
    let base_hash = BaseHash::Sha256;
    let mask = message_digest(base_hash);
    let encoded = encoded(&key(2048), base_hash, RsaPssSaltlen::DIGEST_LENGTH, mask);
    for index in 0..encoded.len() {
        for bit in 0..8 {
            let mut changed = encoded.clone();
            changed[index] ^= 1 << bit;
            assert!(!accepts(base_hash, &changed, MESSAGE), "{index} {bit}");
        }
    }
}

#[test]
fn no_length_but_its_own() {
    let base_hash = BaseHash::Sha256;
    let mask = message_digest(base_hash);
    let encoded = encoded(&key(2048), base_hash, RsaPssSaltlen::DIGEST_LENGTH, mask);
    for len in 0..encoded.len() {
        assert!(!accepts(base_hash, &encoded[..len], MESSAGE), "{len}");
        assert!(
            !accepts(base_hash, &encoded[encoded.len() - len..], MESSAGE),
            "{len}"
        );
    }
    let longer = [&[0][..], &encoded].concat();
    assert!(!accepts(base_hash, &longer, MESSAGE));
    // More than the largest key has.
    for len in [512, 513, 600, 4096] {
        for octet in [0x00, 0x01, 0xbc] {
            assert!(!accepts(base_hash, &vec![octet; len], MESSAGE));
        }
    }
}
