// SPDX-License-Identifier: GPL-2.0

//! Reader of X.509 version 3 certificates (RFC 5280).
//!
//! The kernel's own parser, which verifies the signatures, keeps neither the lengths of certificates
//! nor most of their extensions. This one reads what the rules for a device's certificate chain need,
//! and nothing else; it verifies no signature.

use super::der::{
    tag,
    Malformed,
    Reader,
    Result, //
};
use super::{
    oid,
    time, //
};

/// Most extensions that a certificate may have. Looking for duplicates takes time in its square.
const MAX_EXTENSIONS: usize = 32;

/// A certificate.
#[derive(Clone, Copy)]
pub(crate) struct Certificate<'a> {
    /// The whole certificate.
    pub(crate) raw: &'a [u8],
    /// The part that is signed (tbsCertificate).
    pub(crate) signed: &'a [u8],
    /// Contents octets of its serial number.
    pub(crate) serial: &'a [u8],
    /// Who issued it.
    pub(crate) issuer: Name<'a>,
    /// Whom it is about.
    pub(crate) subject: Name<'a>,
    /// First second in which it is valid, since the epoch.
    pub(crate) not_before: i64,
    /// Last second in which it is valid, since the epoch.
    pub(crate) not_after: i64,
    /// The subject's public key.
    pub(crate) public_key: PublicKey<'a>,
    /// Extensions.
    pub(crate) extensions: Extensions<'a>,
    /// The issuer's signature, of whole octets.
    pub(crate) signature: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads one certificate (RFC 5280 section 4.1).
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        let whole = reader.expect(tag::SEQUENCE)?;
        let mut certificate = Reader::new(whole.value);
        let signed = certificate.expect(tag::SEQUENCE)?;
        let signature_algorithm = certificate.expect(tag::SEQUENCE)?;
        // Every algorithm that the kernel knows has whole octets.
        let (0, signature) = certificate.bit_string()? else {
            return Err(Malformed);
        };
        certificate.finish()?;

        let mut fields = Reader::new(signed.value);
        let mut version = fields.constructed(tag::context_constructed(0))?;
        // v3(2): versions 1 and 2 have no extensions, without which nothing can be checked.
        if version.integer()? != [2] {
            return Err(Malformed);
        }
        version.finish()?;
        let serial = fields.integer()?;
        // Section 4.1.1.2: the same as the one outside of what is signed.
        if fields.expect(tag::SEQUENCE)?.raw != signature_algorithm.raw {
            return Err(Malformed);
        }
        let issuer = Name::read(&mut fields)?;
        let mut validity = fields.constructed(tag::SEQUENCE)?;
        let not_before = time::read(&mut validity)?;
        let not_after = time::read(&mut validity)?;
        validity.finish()?;
        let subject = Name::read(&mut fields)?;
        let public_key = PublicKey::read(&mut fields)?;
        // issuerUniqueID and subjectUniqueID.
        fields.optional(tag::context(1))?;
        fields.optional(tag::context(2))?;
        let extensions = match fields.optional(tag::context_constructed(3))? {
            Some(extensions) => Extensions::read(extensions.value)?,
            None => Extensions::default(),
        };
        fields.finish()?;

        Ok(Self {
            raw: whole.raw,
            signed: signed.raw,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            public_key,
            extensions,
            signature,
        })
    }

    /// Whether issuer and subject are the same, as in a root certificate.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }
}

/// Certificates one after the other, as in an SPDM certificate chain.
#[derive(Clone, Copy)]
pub(crate) struct Certificates<'a>(Reader<'a>);

impl<'a> Certificates<'a> {
    /// Starts to read `bytes`.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(Reader::new(bytes))
    }

    /// Whether all certificates were read.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the next certificate.
    ///
    /// # Errors
    ///
    /// [`Malformed`], also at the end.
    pub(crate) fn read(&mut self) -> Result<Certificate<'a>> {
        Certificate::read(&mut self.0)
    }
}

/// A distinguished name: the contents octets of its encoding. Two are equal if their encodings are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        Ok(Self(reader.expect(tag::SEQUENCE)?.value))
    }

    /// The contents octets of its encoding.
    pub(crate) fn octets(&self) -> &'a [u8] {
        self.0
    }

    /// The most specific commonName in the encoding that the certificate uses, for people to read.
    ///
    /// [`None`] if there is none, or if the name is broken: nothing else depends on its parts.
    pub(crate) fn common_name(&self) -> Option<&'a [u8]> {
        let mut common_name = None;
        let mut names = Reader::new(self.0);
        while !names.is_empty() {
            let mut attributes = names.constructed(tag::SET).ok()?;
            while !attributes.is_empty() {
                let mut attribute = attributes.constructed(tag::SEQUENCE).ok()?;
                let kind = attribute.object_identifier().ok()?;
                let value = attribute.any().ok()?;
                if kind == oid::COMMON_NAME {
                    common_name = Some(value.value);
                }
            }
        }
        common_name
    }
}

/// A public key.
#[derive(Clone, Copy)]
pub(crate) struct PublicKey<'a> {
    /// The whole SubjectPublicKeyInfo. Its SHA-256 is the identity of a device.
    pub(crate) raw: &'a [u8],
    /// The key itself: the subjectPublicKey of whole octets.
    pub(crate) octets: &'a [u8],
    /// Algorithm and size.
    pub(crate) kind: KeyKind,
}

/// Algorithm and size of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// RSA, with the size of the modulus in bits.
    Rsa(usize),
    /// A point on the curve secp256r1.
    P256,
    /// A point on the curve secp384r1.
    P384,
    /// A point on the curve secp521r1.
    P521,
    /// ML-DSA-44.
    MlDsa44,
    /// ML-DSA-65.
    MlDsa65,
    /// ML-DSA-87.
    MlDsa87,
    /// Anything else.
    Other,
}

impl<'a> PublicKey<'a> {
    /// Reads `bytes`, a SubjectPublicKeyInfo that is in no certificate.
    ///
    /// # Errors
    ///
    /// [`Malformed`], also if something follows it.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let public_key = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(public_key)
    }

    /// Reads a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7, RFC 3279 sections 2.3.1, 2.3.5, RFC 9881 section 4).
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        let whole = reader.expect(tag::SEQUENCE)?;
        let mut info = Reader::new(whole.value);
        let mut algorithm = info.constructed(tag::SEQUENCE)?;
        // Every algorithm that the kernel knows has whole octets.
        let (0, key) = info.bit_string()? else {
            return Err(Malformed);
        };
        info.finish()?;
        let kind = match algorithm.object_identifier()? {
            oid::RSA_ENCRYPTION => {
                algorithm.expect(tag::NULL)?;
                algorithm.finish()?;
                KeyKind::Rsa(rsa_bits(key)?)
            }
            oid::EC_PUBLIC_KEY => {
                let curve = algorithm.object_identifier()?;
                algorithm.finish()?;
                match (curve, key) {
                    // 0x04: an uncompressed point, the only form that RFC 5480 section 2.2 requires and
                    // that the kernel reads.
                    (oid::SECP256R1, [0x04, point @ ..]) if point.len() == 64 => KeyKind::P256,
                    (oid::SECP384R1, [0x04, point @ ..]) if point.len() == 96 => KeyKind::P384,
                    (oid::SECP521R1, [0x04, point @ ..]) if point.len() == 132 => KeyKind::P521,
                    (oid::SECP256R1 | oid::SECP384R1 | oid::SECP521R1, _) => return Err(Malformed),
                    _ => KeyKind::Other,
                }
            }
            // FIPS 204, table 2.
            oid::ML_DSA_44 => ml_dsa(algorithm, key, 1312, KeyKind::MlDsa44)?,
            oid::ML_DSA_65 => ml_dsa(algorithm, key, 1952, KeyKind::MlDsa65)?,
            oid::ML_DSA_87 => ml_dsa(algorithm, key, 2592, KeyKind::MlDsa87)?,
            _ => KeyKind::Other,
        };
        Ok(Self {
            raw: whole.raw,
            octets: key,
            kind,
        })
    }
}

/// Checks an ML-DSA key: the algorithm has no parameters, the key one `size`.
fn ml_dsa(parameters: Reader<'_>, key: &[u8], size: usize, kind: KeyKind) -> Result<KeyKind> {
    parameters.finish()?;
    if key.len() == size {
        Ok(kind)
    } else {
        Err(Malformed)
    }
}

/// Returns the size of an RSAPublicKey's modulus in bits (RFC 8017 appendix A.1.1).
fn rsa_bits(key: &[u8]) -> Result<usize> {
    let mut outer = Reader::new(key);
    let mut numbers = outer.constructed(tag::SEQUENCE)?;
    outer.finish()?;
    let modulus = numbers.unsigned()?;
    numbers.unsigned()?;
    numbers.finish()?;
    let unused = modulus.first().map_or(0, |first| first.leading_zeros());
    let unused = usize::try_from(unused).map_err(|_| Malformed)?;
    modulus
        .len()
        .checked_mul(8)
        .and_then(|bits| bits.checked_sub(unused))
        .ok_or(Malformed)
}

/// What a certificate's extensions say.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extensions<'a> {
    /// basicConstraints.
    pub(crate) basic_constraints: Option<BasicConstraints>,
    /// keyUsage.
    pub(crate) key_usage: Option<KeyUsage>,
    /// extKeyUsage.
    pub(crate) extended_key_usage: Option<ExtendedKeyUsage>,
    /// The names of type 2.23.147 in subjectAltName.
    pub(crate) cma_name: OtherName<'a>,
    /// The names of type 1.3.6.1.4.1.412.274.1 in subjectAltName: manufacturer, product and serial number (DSP0274,
    /// "Leaf certificate").
    pub(crate) dmtf_name: OtherName<'a>,
    /// The DMTF extension names the hardware identity (DSP0274, "Definition of certificate OIDs").
    pub(crate) hardware_identity: bool,
    /// There is a critical extension that is none of the above.
    pub(crate) unknown_critical: bool,
}

/// basicConstraints (RFC 5280 section 4.2.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BasicConstraints {
    /// The subject is a certification authority.
    pub(crate) ca: bool,
    /// Most certificates that may follow this one, not counting the last; [`None`]: any number.
    pub(crate) path_length: Option<u32>,
}

/// keyUsage (RFC 5280 section 4.2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyUsage {
    /// The key signs data.
    pub(crate) digital_signature: bool,
    /// The key signs certificates.
    pub(crate) certificate_signature: bool,
}

/// extKeyUsage (RFC 5280 section 4.2.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExtendedKeyUsage {
    /// The key may be used for anything.
    pub(crate) any: bool,
    /// The key may be used by an SPDM responder.
    pub(crate) responder: bool,
}

/// The names of one type in subjectAltName.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OtherName<'a> {
    /// None.
    #[default]
    Absent,
    /// One, a UTF8String of these bytes.
    One(&'a [u8]),
    /// More than one.
    Several,
}

impl<'a> Extensions<'a> {
    /// Reads Extensions (RFC 5280 section 4.1.2.9).
    fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut outer = Reader::new(bytes);
        let list = outer.constructed(tag::SEQUENCE)?;
        outer.finish()?;
        if list.is_empty() {
            return Err(Malformed);
        }

        let mut extensions = Self::default();
        let mut rest = list;
        let mut count = 0;
        while !rest.is_empty() {
            let extension = Extension::read(&mut rest)?;
            // Section 4.2: no more than one instance of an extension.
            let mut others = list;
            for _ in 0..count {
                if Extension::read(&mut others)?.kind == extension.kind {
                    return Err(Malformed);
                }
            }
            count += 1;
            if count > MAX_EXTENSIONS {
                return Err(Malformed);
            }
            extensions.add(&extension)?;
        }
        Ok(extensions)
    }

    fn add(&mut self, extension: &Extension<'a>) -> Result<()> {
        let value = Reader::new(extension.value);
        match extension.kind {
            oid::BASIC_CONSTRAINTS => self.basic_constraints = Some(BasicConstraints::read(value)?),
            oid::KEY_USAGE => self.key_usage = Some(KeyUsage::read(value)?),
            oid::EXTENDED_KEY_USAGE => {
                self.extended_key_usage = Some(ExtendedKeyUsage::read(value)?);
            }
            oid::SUBJECT_ALT_NAME => {
                self.cma_name = OtherName::read(value, oid::PCI_SIG_CMA)?;
                // Few need it: what is of no use is as good as none.
                self.dmtf_name = OtherName::read(value, oid::DMTF_DEVICE_INFO).unwrap_or_default();
            }
            oid::SPDM_EXTENSION => self.hardware_identity = has_hardware_identity(value)?,
            // The kernel takes care of these two.
            oid::SUBJECT_KEY_IDENTIFIER | oid::AUTHORITY_KEY_IDENTIFIER => (),
            _ => self.unknown_critical |= extension.critical,
        }
        Ok(())
    }
}

/// One extension.
struct Extension<'a> {
    kind: &'a [u8],
    critical: bool,
    value: &'a [u8],
}

impl<'a> Extension<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        let mut fields = reader.constructed(tag::SEQUENCE)?;
        let extension = Self {
            kind: fields.object_identifier()?,
            critical: fields.default_false()?,
            value: fields.expect(tag::OCTET_STRING)?.value,
        };
        fields.finish()?;
        Ok(extension)
    }
}

impl BasicConstraints {
    fn read(mut value: Reader<'_>) -> Result<Self> {
        let mut fields = value.constructed(tag::SEQUENCE)?;
        value.finish()?;
        let ca = fields.default_false()?;
        // pathLenConstraint has no meaning without cA, and must not be there.
        let path_length = if !ca || fields.is_empty() {
            None
        } else {
            Some(fields.small_unsigned()?)
        };
        fields.finish()?;
        Ok(Self { ca, path_length })
    }
}

impl KeyUsage {
    fn read(mut value: Reader<'_>) -> Result<Self> {
        let (_, octets) = value.bit_string()?;
        value.finish()?;
        // X.690 section 11.2.2 allows no trailing zero bits. Some CAs write them; they change nothing.
        let first = octets.first().copied().unwrap_or_default();
        Ok(Self {
            digital_signature: first & 0x80 != 0,
            certificate_signature: first & 0x04 != 0,
        })
    }
}

impl ExtendedKeyUsage {
    fn read(mut value: Reader<'_>) -> Result<Self> {
        let mut purposes = value.constructed(tag::SEQUENCE)?;
        value.finish()?;
        let mut usage = Self {
            any: false,
            responder: false,
        };
        // At least one.
        loop {
            match purposes.object_identifier()? {
                oid::ANY_EXTENDED_KEY_USAGE => usage.any = true,
                oid::RESPONDER_AUTHENTICATION => usage.responder = true,
                _ => (),
            }
            if purposes.is_empty() {
                return Ok(usage);
            }
        }
    }
}

impl<'a> OtherName<'a> {
    /// Reads the names of type `wanted` in a SubjectAltName (RFC 5280 section 4.2.1.6).
    fn read(mut value: Reader<'a>, wanted: &[u8]) -> Result<Self> {
        let mut names = value.constructed(tag::SEQUENCE)?;
        value.finish()?;
        let mut found = Self::Absent;
        // At least one.
        loop {
            let name = names.any()?;
            // otherName
            if name.tag == tag::context_constructed(0) {
                let mut fields = Reader::new(name.value);
                let kind = fields.object_identifier()?;
                let mut explicit = fields.constructed(tag::context_constructed(0))?;
                fields.finish()?;
                if kind == wanted {
                    let text = explicit.expect(tag::UTF8_STRING)?;
                    explicit.finish()?;
                    found = match found {
                        Self::Absent => Self::One(text.value),
                        Self::One(_) | Self::Several => Self::Several,
                    };
                }
            }
            if names.is_empty() {
                return Ok(found);
            }
        }
    }
}

/// Reads the DMTF extension, a sequence of certificate OIDs with optional definitions (DSP0274,
/// "Definition of certificate OIDs"); returns whether the one for the hardware identity is there.
fn has_hardware_identity(mut value: Reader<'_>) -> Result<bool> {
    let mut certificate_oids = value.constructed(tag::SEQUENCE)?;
    value.finish()?;
    let mut found = false;
    while !certificate_oids.is_empty() {
        let mut certificate_oid = certificate_oids.constructed(tag::SEQUENCE)?;
        found |= certificate_oid.object_identifier()? == oid::HARDWARE_IDENTITY;
    }
    Ok(found)
}
