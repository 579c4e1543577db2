// SPDX-License-Identifier: GPL-2.0

//! Makes certificates of any shape, well-formed or not. Their signatures are no signatures: the reader
//! under test does not look.

/// Encodes a value.
pub fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match value.len() {
        len @ 0..=0x7f => out.push(len as u8),
        len @ 0x80..=0xff => out.extend([0x81, len as u8]),
        len @ 0x100..=0xffff => out.extend([0x82, (len >> 8) as u8, len as u8]),
        len => out.extend([0x83, (len >> 16) as u8, (len >> 8) as u8, len as u8]),
    }
    out.extend(value);
    out
}

/// Encodes values inside another one.
pub fn nest(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    tlv(tag, &parts.concat())
}

/// Encodes a SEQUENCE.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    nest(0x30, parts)
}

/// Encodes an OBJECT IDENTIFIER from its dotted form.
pub fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u32> = dotted.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut out = Vec::new();
    let first = arcs[0] * 40 + arcs[1];
    for arc in std::iter::once(&first).chain(&arcs[2..]) {
        let mut groups = vec![(arc & 0x7f) as u8];
        let mut rest = arc >> 7;
        while rest > 0 {
            groups.push(0x80 | (rest & 0x7f) as u8);
            rest >>= 7;
        }
        out.extend(groups.iter().rev());
    }
    tlv(0x06, &out)
}

/// Encodes a Name with one commonName.
pub fn name(common_name: &str) -> Vec<u8> {
    let attribute = sequence(&[&oid("2.5.4.3"), &tlv(0x0c, common_name.as_bytes())]);
    sequence(&[&tlv(0x31, &attribute)])
}

/// Encodes an Extension around the encoding of its value.
pub fn extension(kind: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[0x01, 0x01, 0xff] } else { &[] };
    sequence(&[&oid(kind), critical, &tlv(0x04, value)])
}

/// basicConstraints.
pub fn basic_constraints(ca: bool, path_length: Option<u8>) -> Vec<u8> {
    let ca: &[u8] = if ca { &[0x01, 0x01, 0xff] } else { &[] };
    let path_length = path_length.map_or(vec![], |n| tlv(0x02, &[n]));
    extension("2.5.29.19", true, &sequence(&[ca, &path_length]))
}

/// keyUsage of one octet.
pub fn key_usage(bits: u8) -> Vec<u8> {
    extension(
        "2.5.29.15",
        true,
        &tlv(0x03, &[bits.trailing_zeros() as u8, bits]),
    )
}

/// Bit of keyUsage.
pub const DIGITAL_SIGNATURE: u8 = 0x80;
/// Bit of keyUsage.
pub const KEY_CERT_SIGN: u8 = 0x04;
/// Bit of keyUsage.
pub const CRL_SIGN: u8 = 0x02;

/// extKeyUsage.
pub fn extended_key_usage(purposes: &[&str]) -> Vec<u8> {
    let purposes: Vec<u8> = purposes.iter().flat_map(|purpose| oid(purpose)).collect();
    extension("2.5.29.37", false, &tlv(0x30, &purposes))
}

/// An otherName.
pub fn other_name(kind: &str, value: &[u8]) -> Vec<u8> {
    nest(0xa0, &[&oid(kind), &tlv(0xa0, value)])
}

/// An otherName of CMA.
pub fn cma_name(text: &str) -> Vec<u8> {
    other_name("2.23.147", &tlv(0x0c, text.as_bytes()))
}

/// An otherName with DMTF device information.
pub fn dmtf_name(text: &str) -> Vec<u8> {
    other_name("1.3.6.1.4.1.412.274.1", &tlv(0x0c, text.as_bytes()))
}

/// subjectAltName.
pub fn subject_alt_name(names: &[&[u8]]) -> Vec<u8> {
    extension("2.5.29.17", false, &sequence(names))
}

/// A SubjectPublicKeyInfo with some point of a curve, or what has the size of one.
pub fn ec_key(curve: &str, size: usize) -> Vec<u8> {
    let mut point = vec![0x00, 0x04];
    point.resize(2 + 2 * size, 0x5a);
    sequence(&[
        &sequence(&[&oid("1.2.840.10045.2.1"), &oid(curve)]),
        &tlv(0x03, &point),
    ])
}

/// A SubjectPublicKeyInfo with something of the size of an RSA key.
pub fn rsa_key(bits: usize) -> Vec<u8> {
    let mut modulus = vec![0x00];
    modulus.resize(1 + bits.div_ceil(8), 0xa5);
    if bits % 8 != 0 {
        modulus.remove(0);
        modulus[0] = 1 << (bits % 8 - 1);
    }
    let key = sequence(&[&tlv(0x02, &modulus), &tlv(0x02, &[1, 0, 1])]);
    sequence(&[
        &sequence(&[&oid("1.2.840.113549.1.1.1"), &tlv(0x05, &[])]),
        &tlv(0x03, &[&[0x00], &key[..]].concat()),
    ])
}

/// A SubjectPublicKeyInfo with something of the size of an ML-DSA key.
pub fn ml_dsa_key(algorithm: &str, size: usize) -> Vec<u8> {
    let mut key = vec![0x00];
    key.resize(1 + size, 0x5a);
    sequence(&[&sequence(&[&oid(algorithm)]), &tlv(0x03, &key)])
}

/// The parts of a certificate, each already encoded.
#[derive(Clone)]
pub struct Parts {
    pub version: Vec<u8>,
    pub serial: Vec<u8>,
    pub inner_algorithm: Vec<u8>,
    pub outer_algorithm: Vec<u8>,
    pub issuer: Vec<u8>,
    pub not_before: Vec<u8>,
    pub not_after: Vec<u8>,
    pub subject: Vec<u8>,
    pub public_key: Vec<u8>,
    pub unique_ids: Vec<u8>,
    pub extensions: Vec<Vec<u8>>,
    pub signature: Vec<u8>,
}

impl Parts {
    /// A version 3 certificate, valid from 2024 to 2029, with a P-384 key and no extensions.
    pub fn new(issuer: &str, subject: &str) -> Self {
        let algorithm = sequence(&[&oid("1.2.840.10045.4.3.3")]);
        Self {
            version: tlv(0xa0, &[0x02, 0x01, 0x02]),
            serial: tlv(0x02, &[0x17]),
            inner_algorithm: algorithm.clone(),
            outer_algorithm: algorithm,
            issuer: name(issuer),
            not_before: tlv(0x17, b"240101000000Z"),
            not_after: tlv(0x17, b"290101000000Z"),
            subject: name(subject),
            public_key: ec_key("1.3.132.0.34", 48),
            unique_ids: vec![],
            extensions: vec![],
            signature: tlv(0x03, &[0x00, 0x30, 0x00]),
        }
    }

    /// An issuing certificate.
    pub fn ca(issuer: &str, subject: &str) -> Self {
        Self::new(issuer, subject)
            .with(basic_constraints(true, None))
            .with(key_usage(KEY_CERT_SIGN | CRL_SIGN))
    }

    /// A device's certificate.
    pub fn leaf(issuer: &str, subject: &str) -> Self {
        Self::new(issuer, subject)
            .with(basic_constraints(false, None))
            .with(key_usage(DIGITAL_SIGNATURE))
            .with(extended_key_usage(&["1.3.6.1.4.1.412.274.3"]))
            .with(subject_alt_name(&[&cma_name(DEVICE_NAME)]))
    }

    /// Adds an extension.
    pub fn with(mut self, extension: Vec<u8>) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Takes an extension away.
    pub fn without(mut self, index: usize) -> Self {
        self.extensions.remove(index);
        self
    }

    /// Replaces an extension.
    pub fn replace(mut self, index: usize, extension: Vec<u8>) -> Self {
        self.extensions[index] = extension;
        self
    }

    /// Encodes it.
    pub fn der(&self) -> Vec<u8> {
        let extensions = if self.extensions.is_empty() {
            vec![]
        } else {
            tlv(0xa3, &tlv(0x30, &self.extensions.concat()))
        };
        let signed = sequence(&[
            &self.version,
            &self.serial,
            &self.inner_algorithm,
            &self.issuer,
            &sequence(&[&self.not_before, &self.not_after]),
            &self.subject,
            &self.public_key,
            &self.unique_ids,
            &extensions,
        ]);
        sequence(&[&signed, &self.outer_algorithm, &self.signature])
    }
}

/// Index of an extension in [`Parts::leaf`].
pub const BASIC_CONSTRAINTS: usize = 0;
/// Index of an extension in [`Parts::leaf`].
pub const KEY_USAGE: usize = 1;
/// Index of an extension in [`Parts::leaf`].
pub const EXTENDED_KEY_USAGE: usize = 2;
/// Index of an extension in [`Parts::leaf`].
pub const SUBJECT_ALT_NAME: usize = 3;

/// The name in [`Parts::leaf`]: that of QEMU's NVMe drive.
pub const DEVICE_NAME: &str = "Vendor=1b36:Device=0010:CC=010802:REV=02:SSVID=1af4:SSID=1100";

/// 1 January 2026.
pub const NOW: i64 = 1_767_225_600;
