// SPDX-License-Identifier: GPL-2.0

//! The encoding of RSASSA-PSS (RFC 8017 section 9.1): the kernel computes with RSA keys, but knows only
//! the encoding of PKCS #1 version 1.5.

use spdm_core::platform::{
    Digest,
    Hash,
    Unsupported, //
};

/// The last octet of an encoded message.
const TRAILER: u8 = 0xbc;

/// Most blocks of the mask: the encoded message has up to 512 octets, a block at least 32.
const MAX_BLOCKS: u32 = 16;

/// Whether `encoded`, which a signature with a key of 8 bits per octet was made of, is an encoding of `digest`
/// (EMSA-PSS-VERIFY, section 9.1.2), with MGF1 and a salt as long as the digest, as SPDM has it (DSP0274,
/// "Signature generation"). `new` starts the hash that made `digest`. `encoded` is unmasked on the way.
///
/// # Errors
///
/// That of `new`.
pub(crate) fn is_encoding_of<H: Hash>(
    encoded: &mut [u8],
    digest: &Digest,
    new: impl Fn() -> Result<H, Unsupported>,
) -> Result<bool, Unsupported> {
    let digest = digest.as_bytes();
    // Steps 3 to 6. The key has one bit more than the encoded message.
    let Some((&mut TRAILER, rest)) = encoded.split_last_mut() else {
        return Ok(false);
    };
    let split = rest.len().checked_sub(digest.len());
    let Some((masked, hash)) = split.and_then(|at| rest.split_at_mut_checked(at)) else {
        return Ok(false);
    };
    if masked.first().is_none_or(|first| first & 0x80 != 0) {
        return Ok(false);
    }

    // Steps 7 to 9.
    let mut octets = masked.iter_mut();
    for counter in 0..MAX_BLOCKS {
        if octets.len() == 0 {
            break;
        }
        let mask = digest_of(&new, [hash, &counter.to_be_bytes(), &[]])?;
        // In this order: at the end of the block no octet is lost.
        for (mask, octet) in mask.as_bytes().iter().zip(octets.by_ref()) {
            *octet ^= mask;
        }
    }
    if octets.len() != 0 {
        return Ok(false);
    }
    if let Some(first) = masked.first_mut() {
        *first &= 0x7f;
    }

    // Steps 10 and 11.
    let split = masked.len().checked_sub(digest.len());
    let Some((padding, salt)) = split.and_then(|at| masked.split_at_checked(at)) else {
        return Ok(false);
    };
    let Some((0x01, zeros)) = padding.split_last() else {
        return Ok(false);
    };
    if zeros.iter().any(|&octet| octet != 0) {
        return Ok(false);
    }

    // Steps 12 to 14.
    let expected = digest_of(&new, [&[0; 8], digest, salt])?;
    Ok(expected.as_bytes() == &*hash)
}

/// Hashes `parts`, one after the other.
// Not inlined: a running hash has some 200 bytes, and each move may be a copy.
#[inline(never)]
fn digest_of<H: Hash>(
    new: &impl Fn() -> Result<H, Unsupported>,
    parts: [&[u8]; 3],
) -> Result<Digest, Unsupported> {
    let mut hash = new()?;
    for part in parts {
        hash.update(part);
    }
    Ok(hash.finish())
}
