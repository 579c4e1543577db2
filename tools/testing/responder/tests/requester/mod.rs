// SPDX-License-Identifier: GPL-2.0

//! A strict requester for the tests of the responder: it takes nothing that the standard does not
//! allow, and verifies signatures by OpenSSL's own way from message to verdict.
#![allow(dead_code)] // Not every test program uses all of it.

use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::hash::{hash, MessageDigest};
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Verifier};
use openssl::x509::X509;
use std::thread::sleep;
use std::time::Duration;

/// What it offers, and expects.
#[derive(Clone)]
pub struct Requester {
    pub versions: Vec<u8>,
    pub hashes: u32,
    pub asyms: u32,
    pub slot: u8,
    /// Length asked for in GET_CERTIFICATE.
    pub portion: u16,
    /// DataTransferSize.
    pub room: u32,
    /// Algorithm structures to offer.
    pub tables: Vec<u8>,
    /// The root to trust.
    pub root: Vec<u8>,
}

/// What an attestation found out.
#[derive(Debug)]
pub struct Found {
    pub version: u8,
    pub hash: u32,
    pub asym: u32,
    pub slots: u8,
    pub supported: u8,
    pub chain: Vec<u8>,
    pub opaque: usize,
    pub round_trips: usize,
}

/// Sends a request and receives the response; `None` if there is none.
pub type Transport<'a> = dyn FnMut(&[u8]) -> Option<Vec<u8>> + 'a;

const DIGESTS: [(u32, usize); 6] = [(1, 32), (2, 48), (4, 64), (8, 32), (16, 48), (32, 64)];
const SIGNATURES: [(u32, usize); 9] = [
    (0x001, 256),
    (0x002, 256),
    (0x008, 384),
    (0x040, 512),
    (0x004, 384),
    (0x020, 512),
    (0x010, 64),
    (0x080, 96),
    (0x100, 132),
];

fn message_digest(bit: u32) -> MessageDigest {
    match bit {
        1 => MessageDigest::sha256(),
        2 => MessageDigest::sha384(),
        4 => MessageDigest::sha512(),
        8 => MessageDigest::sha3_256(),
        16 => MessageDigest::sha3_384(),
        _ => MessageDigest::sha3_512(),
    }
}

fn u16_at(message: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(message[at..at + 2].try_into().unwrap())
}

fn u32_at(message: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(message[at..at + 4].try_into().unwrap())
}

fn ensure(holds: bool, or: &str) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(or.to_owned())
    }
}

struct Session<'a> {
    transport: &'a mut Transport<'a>,
    version: u8,
    round_trips: usize,
}

const RESYNCH: &str = "resynch";

impl Session<'_> {
    /// One exchange. ERRORs are dealt with here: they are no part of any transcript.
    fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>, String> {
        let mut sent = request.to_vec();
        let mut token = None;
        for _ in 0..4 {
            self.round_trips += 1;
            let response = (self.transport)(&sent).ok_or("no response")?;
            ensure(response.len() >= 4, "short header")?;
            ensure(response[0] == self.version, "version in the header")?;
            if response[1] == request[1] & 0x7F {
                return Ok(response);
            }
            ensure(response[1] == 0x7F, "response code")?;
            match response[2] {
                0x03 => {
                    ensure(response.len() == 4, "size of Busy")?;
                    sent = request.to_vec();
                }
                0x42 => {
                    ensure(request[1] != 0x84, "ResponseNotReady to GET_VERSION")?;
                    ensure(response.len() == 8, "size of ResponseNotReady")?;
                    ensure(response[4] <= 20, "RDTExponent")?;
                    ensure(response[5] == request[1], "request code")?;
                    ensure(response[7] > 1, "RDTM")?;
                    ensure(token.is_none_or(|t| t == response[6]), "token")?;
                    token = Some(response[6]);
                    sleep(Duration::from_micros(1 << response[4]));
                    sent = vec![self.version, 0xFF, request[1], response[6]];
                }
                0x43 => return Err(RESYNCH.to_owned()),
                code => return Err(format!("ERROR {code:#04x}")),
            }
        }
        Err("endless".to_owned())
    }
}

impl Requester {
    /// Offers everything, trusts `root`.
    pub fn new(root: Vec<u8>) -> Self {
        Requester {
            versions: vec![0x10, 0x11, 0x12, 0x13, 0x14],
            hashes: 0x3F,
            asyms: 0x1FF,
            slot: 0,
            portion: 1024,
            room: 0x1000,
            tables: Vec::new(),
            root,
        }
    }

    /// The whole of an attestation.
    pub fn attest(&self, transport: &mut Transport) -> Result<Found, String> {
        for _ in 0..3 {
            match self.try_attest(transport) {
                Err(error) if error == RESYNCH => {}
                result => return result,
            }
        }
        Err("endless resynch".to_owned())
    }

    fn try_attest(&self, transport: &mut Transport) -> Result<Found, String> {
        let mut session = Session {
            transport: &mut |request| transport(request),
            version: 0x10,
            round_trips: 0,
        };
        let mut transcript = Vec::new();

        let request = vec![0x10, 0x84, 0, 0];
        let response = session.ask(&request)?;
        ensure(response.len() >= 6, "size of VERSION")?;
        let count = usize::from(response[5]);
        ensure(response.len() == 6 + 2 * count, "size of VERSION")?;
        let versions = response[6..].chunks(2).map(|entry| entry[1]);
        let version = versions.filter(|v| self.versions.contains(v)).max();
        let version = version.ok_or("no common version")?;
        transcript.extend([request, response].concat());
        session.version = version;

        let mut request = vec![version, 0xE1, 0, 0];
        if version >= 0x11 {
            request.extend([0, 10, 0, 0, 0, 0, 0, 0]);
        }
        if version >= 0x12 {
            request.extend(self.room.to_le_bytes());
            request.extend(self.room.to_le_bytes());
        }
        let response = session.ask(&request)?;
        let size = if version >= 0x12 { 20 } else { 12 };
        ensure(response.len() == size, "size of CAPABILITIES")?;
        ensure(version < 0x13 || response[2] & 1 == 0, "unasked block")?;
        ensure(response[5] <= 23, "CTExponent")?;
        let flags = u32_at(&response, 8);
        ensure(flags & 0x18 != 0x18, "MEAS_CAP")?;
        ensure(flags & 0x06 == 0x06, "CERT_CAP and CHAL_CAP")?;
        if version >= 0x12 {
            let (transfer, max) = (u32_at(&response, 12), u32_at(&response, 16));
            ensure(transfer >= 42, "DataTransferSize")?;
            ensure(transfer == max, "DataTransferSize and MaxSPDMmsgSize")?;
        }
        transcript.extend([request, response].concat());

        let tables: &[u8] = if version >= 0x11 { &self.tables } else { &[] };
        let mut request = vec![version, 0xE3, tables.len() as u8, 0];
        request.extend((32 + 4 * tables.len() as u16).to_le_bytes());
        request.extend([1, if version >= 0x12 { 2 } else { 0 }]);
        request.extend(self.asyms.to_le_bytes());
        request.extend(self.hashes.to_le_bytes());
        request.resize(32, 0);
        for kind in tables {
            request.extend([*kind, 0x20, 1, 0]);
        }
        let response = session.ask(&request)?;
        ensure(response.len() >= 36, "size of ALGORITHMS")?;
        let length = usize::from(u16_at(&response, 4));
        ensure(length == response.len(), "Length of ALGORITHMS")?;
        ensure(response[32..34] == [0, 0], "extended algorithms")?;
        let count = if version >= 0x11 { response[2] } else { 0 };
        ensure(length == 36 + 4 * usize::from(count), "structures")?;
        let mut last = 0;
        for table in response[36..].chunks(4) {
            ensure(table[0] > last, "order of structures")?;
            ensure(tables.contains(&table[0]), "structure not asked for")?;
            ensure(table[1] == 0x20, "size of a structure")?;
            ensure(table[2..] == [0, 0] || table[2..] == [1, 0], "selection")?;
            last = table[0];
        }
        ensure(response[6] <= 1, "measurement specification")?;
        if version >= 0x12 {
            ensure(matches!(response[7], 0 | 2), "opaque data format")?;
        }
        let (asym, digest) = (u32_at(&response, 12), u32_at(&response, 16));
        ensure(asym.count_ones() == 1, "BaseAsymSel")?;
        ensure(asym & self.asyms != 0, "BaseAsymSel")?;
        let pqc = if version >= 0x14 {
            u32_at(&response, 20)
        } else {
            0
        };
        ensure(pqc == 0, "PqcAsymSel")?;
        ensure(digest.count_ones() == 1, "BaseHashSel")?;
        ensure(digest & self.hashes != 0, "BaseHashSel")?;
        let size = |table: &[(u32, usize)], bit| table.iter().find(|row| row.0 == bit).unwrap().1;
        let digest_size = size(&DIGESTS, digest);
        let signature_size = size(&SIGNATURES, asym);
        let digest_of = |data: &[u8]| hash(message_digest(digest), data).unwrap().to_vec();
        transcript.extend([request, response].concat());

        let request = vec![version, 0x81, 0, 0];
        let response = session.ask(&request)?;
        let (supported, slots) = (response[2], response[3]);
        let count = slots.count_ones() as usize;
        ensure(response.len() == 4 + count * digest_size, "size of DIGESTS")?;
        ensure(version < 0x13 || slots & !supported == 0, "supported slots")?;
        ensure(slots & (1 << self.slot) != 0, "slot not provisioned")?;
        let index = (slots & ((1 << self.slot) - 1)).count_ones() as usize;
        let promised = response[4 + index * digest_size..][..digest_size].to_vec();
        transcript.extend([request, response].concat());

        let mut chain: Vec<u8> = Vec::new();
        let mut total = None;
        while total != Some(chain.len()) {
            let offset = u16::try_from(chain.len()).map_err(|_| "endless chain")?;
            let mut request = vec![version, 0x82, self.slot, 0];
            request.extend(offset.to_le_bytes());
            request.extend(self.portion.to_le_bytes());
            let response = session.ask(&request)?;
            ensure(response.len() >= 8, "size of CERTIFICATE")?;
            ensure(response[2] & 0xF == self.slot, "slot of CERTIFICATE")?;
            ensure(version < 0x14 || response[2] < 0x80, "LargeCertChain")?;
            ensure(version < 0x13 || response[3] & 7 == 0, "certificate model")?;
            let portion = usize::from(u16_at(&response, 4));
            let rest = usize::from(u16_at(&response, 6));
            ensure(portion > 0, "empty portion")?;
            ensure(portion <= usize::from(self.portion), "portion too long")?;
            ensure(response.len() == 8 + portion, "size of CERTIFICATE")?;
            ensure(response.len() <= self.room as usize, "DataTransferSize")?;
            chain.extend(&response[8..]);
            let now = chain.len() + rest;
            ensure(total.is_none_or(|t| t == now), "total of the chain")?;
            total = Some(now);
            transcript.extend([request, response].concat());
        }
        ensure(digest_of(&chain) == promised, "digest of the chain")?;
        let key = check_chain(&chain, &self.root, digest_size, &digest_of)?;
        let is_rsa = asym & 0x06F != 0;
        ensure((key.id() == Id::RSA) == is_rsa, "kind of key")?;
        let bits = match asym {
            0x001 | 0x002 => 2048,
            0x004 | 0x008 => 3072,
            0x020 | 0x040 => 4096,
            0x010 => 256,
            0x080 => 384,
            _ => 521,
        };
        ensure(key.bits() == bits, "size of key")?;

        let mut request = vec![version, 0x83, self.slot, 0];
        request.extend([0x77; 32]);
        if version >= 0x13 {
            request.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        }
        let response = session.ask(&request)?;
        let context = request.len() - 36;
        let opaque_at = 4 + digest_size + 32;
        let least = opaque_at + 2 + context + signature_size;
        ensure(response.len() >= least, "size of CHALLENGE_AUTH")?;
        ensure(response[2] & 0x8F == self.slot, "slot of CHALLENGE_AUTH")?;
        ensure(response[3] == slots, "slot mask of CHALLENGE_AUTH")?;
        ensure(response[4..][..digest_size] == promised, "CertChainHash")?;
        let opaque = usize::from(u16_at(&response, opaque_at));
        ensure(opaque <= 1024, "opaque data")?;
        ensure(response.len() == least + opaque, "size of CHALLENGE_AUTH")?;
        let (signed, signature) = response.split_at(response.len() - signature_size);
        let echo = &signed[signed.len() - context..];
        ensure(echo == &request[36..], "RequesterContext")?;
        transcript.extend(&request);
        transcript.extend(signed);

        let mut message = transcript;
        if version >= 0x12 {
            let prefix = format!("dmtf-spdm-v1.{}.*", version & 0xF).repeat(4);
            let context = "responder-challenge_auth signing";
            let m1 = digest_of(&message);
            message = [prefix.as_bytes(), &[0; 4], context.as_bytes(), &m1].concat();
        }
        let signature = match key.id() {
            Id::RSA => signature.to_vec(),
            _ => {
                let (r, s) = signature.split_at(signature_size / 2);
                EcdsaSig::from_private_components(
                    BigNum::from_slice(r).unwrap(),
                    BigNum::from_slice(s).unwrap(),
                )
                .unwrap()
                .to_der()
                .unwrap()
            }
        };
        let mut verifier = Verifier::new(message_digest(digest), &key).unwrap();
        if asym & 0x04A != 0 {
            verifier.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
            let salt = RsaPssSaltlen::DIGEST_LENGTH;
            verifier.set_rsa_pss_saltlen(salt).unwrap();
        }
        let verified = verifier.verify_oneshot(&signature, &message);
        ensure(verified.unwrap_or(false), "signature")?;
        Ok(Found {
            version,
            hash: digest,
            asym,
            slots,
            supported,
            chain,
            opaque,
            round_trips: session.round_trips,
        })
    }
}

/// Splits certificates by the length of their outermost SEQUENCE.
pub fn split_certificates(mut der: &[u8]) -> Result<Vec<X509>, String> {
    let mut certificates = Vec::new();
    while !der.is_empty() {
        ensure(der.len() > 4 && der[..2] == [0x30, 0x82], "no certificate")?;
        let length = 4 + usize::from(u16::from_be_bytes([der[2], der[3]]));
        ensure(length <= der.len(), "a certificate past the end")?;
        let (certificate, rest) = der.split_at(length);
        certificates.push(X509::from_der(certificate).map_err(|e| e.to_string())?);
        der = rest;
    }
    Ok(certificates)
}

/// Header, root hash, and each certificate issued by the one before.
fn check_chain(
    chain: &[u8],
    root: &[u8],
    digest_size: usize,
    digest_of: &dyn Fn(&[u8]) -> Vec<u8>,
) -> Result<PKey<Public>, String> {
    ensure(chain.len() > 4 + digest_size, "size of the chain")?;
    ensure(usize::from(u16_at(chain, 0)) == chain.len(), "Length")?;
    let (root_hash, certificates) = chain[4..].split_at(digest_size);
    ensure(root_hash == digest_of(root), "RootHash")?;
    let root = X509::from_der(root).map_err(|e| e.to_string())?;
    let mut issuer = root.public_key().unwrap();
    for certificate in split_certificates(certificates)? {
        ensure(certificate.verify(&issuer).unwrap_or(false), "issuer")?;
        issuer = certificate.public_key().unwrap();
    }
    Ok(issuer)
}
