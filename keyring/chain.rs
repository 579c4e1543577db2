// SPDX-License-Identifier: GPL-2.0

//! Rules for a device's certificate chain that need neither a signature nor a trusted root.

use super::{
    pci_identity::PciIdentity,
    text::Text,
    x509::{
        Certificate,
        Certificates,
        KeyKind,
        Name, //
        OtherName,
    }, //
};
use spdm_core::{
    algorithms::{
        Asym,
        BaseAsym,
        PqcAsym, //
    },
    trust::{
        CertificateModel,
        ChainError, //
    }, //
};

/// Most certificates in a chain: each costs a signature verification.
///
/// Chains of devices that exist have up to 6.
pub(crate) const MAX_CERTIFICATES: usize = 10;

/// A chain is refused.
#[derive(Clone, Copy)]
pub(crate) struct Refused<'a> {
    /// Why.
    pub(crate) error: ChainError,
    at: At<'a>,
}

/// Which certificate or name a chain is refused for.
#[derive(Clone, Copy)]
enum At<'a> {
    /// None in particular.
    Chain,
    /// The certificate that bears this name, or the one that is missing.
    Certificate(Name<'a>),
    /// This name of a device.
    Device(&'a [u8]),
}

impl<'a> Refused<'a> {
    /// Refuses a chain because of the certificate of `name`.
    pub(crate) fn at(error: ChainError, name: Name<'a>) -> Self {
        Self {
            error,
            at: At::Certificate(name),
        }
    }

    /// Which certificate or name, for people; may be empty.
    pub(crate) fn detail(&self) -> Text {
        match self.at {
            At::Chain => Text::EMPTY,
            At::Certificate(name) => name_text("CN=", &name),
            At::Device(name) => Text::new("", name),
        }
    }
}

impl From<ChainError> for Refused<'_> {
    fn from(error: ChainError) -> Self {
        Self {
            error,
            at: At::Chain,
        }
    }
}

/// Makes a text of `prefix` and the commonName of `name`, or the empty text if it has none.
pub(crate) fn name_text(prefix: &str, name: &Name<'_>) -> Text {
    name.common_name()
        .map_or(Text::EMPTY, |common_name| Text::new(prefix, common_name))
}

/// What a chain is held against.
pub(crate) struct Profile<'a> {
    /// Current time, in seconds since the epoch. Where the clock has not been set, certificates are not
    /// yet valid, and the chain is refused for that: the time of a certificate's validity cannot be
    /// known without a clock.
    pub(crate) now: i64,
    /// Negotiated signature algorithm.
    pub(crate) asym: Asym,
    /// Model of the leaf certificate.
    pub(crate) model: CertificateModel,
    /// SPDM version of the connection, as in a message header.
    pub(crate) version: u8,
    /// The function that the leaf must name; [`None`] for what is no PCI function, whose name no standard
    /// knows.
    pub(crate) device: Option<&'a PciIdentity>,
    /// What the leaf must name as DMTF device information, if an administrator said so.
    pub(crate) name: Option<&'a [u8]>,
}

/// Checks `certificates`, the one nearest the root first.
///
/// The rules are those of RFC 5280 section 6.1 (names chain, validity, basicConstraints, keyUsage, no
/// unknown critical extension), of DSP0274 ("Leaf certificate") and of PCIe r6.0 section 6.31.3
/// (subjectAltName). Whether signatures are right and who vouches for the first certificate is for the
/// caller to find out.
///
/// # Errors
///
/// [`Refused`], with the [`ChainError`] of the first rule that is broken.
// Not inlined: what it needs of the stack is given back before signatures are verified.
#[inline(never)]
pub(crate) fn check<'a>(certificates: &'a [u8], profile: &Profile<'_>) -> Result<(), Refused<'a>> {
    check_number(certificates)?;

    let mut rest = Certificates::new(certificates);
    let mut previous: Option<Certificate<'a>> = None;
    // How many certificates may still come before the leaf.
    let mut path_length = u32::MAX;
    loop {
        let certificate = rest.read().map_err(|_| ChainError::Malformed)?;
        let refuse = |error| Refused::at(error, certificate.subject);
        if previous.is_some_and(|previous| previous.subject != certificate.issuer) {
            return Err(refuse(ChainError::BadCertificateSignature));
        }
        check_any(&certificate, profile.now).map_err(refuse)?;
        if rest.is_empty() {
            return check_leaf(&certificate, profile);
        }
        path_length = check_issuer(&certificate, path_length).map_err(refuse)?;
        previous = Some(certificate);
    }
}

/// There are certificates up to the last byte, and not too many.
fn check_number(certificates: &[u8]) -> Result<(), ChainError> {
    let mut rest = Certificates::new(certificates);
    for _ in 0..MAX_CERTIFICATES {
        rest.read().map_err(|_| ChainError::Malformed)?;
        if rest.is_empty() {
            return Ok(());
        }
    }
    Err(ChainError::TooLong)
}

/// Rules for every certificate.
fn check_any(certificate: &Certificate<'_>, now: i64) -> Result<(), ChainError> {
    if certificate.extensions.unknown_critical {
        return Err(ChainError::UnknownCriticalExtension);
    }
    if now < certificate.not_before {
        return Err(ChainError::NotYetValid);
    }
    if now > certificate.not_after {
        return Err(ChainError::Expired);
    }
    Ok(())
}

/// Rules for a certificate that others follow, of which `path_length` may come before the leaf (RFC 5280
/// sections 6.1.4 (k) to (n)). Returns how many may come after this one.
fn check_issuer(certificate: &Certificate<'_>, path_length: u32) -> Result<u32, ChainError> {
    let extensions = &certificate.extensions;
    let constraints = match extensions.basic_constraints {
        Some(constraints) if constraints.ca => constraints,
        _ => return Err(ChainError::IssuerNotCa),
    };
    let may_sign = extensions
        .key_usage
        .is_none_or(|usage| usage.certificate_signature);
    if !may_sign {
        return Err(ChainError::IssuerNotCa);
    }
    // A self-issued certificate, such as the root, does not count.
    let path_length = if certificate.is_self_issued() {
        path_length
    } else {
        path_length.checked_sub(1).ok_or(ChainError::PathTooLong)?
    };
    Ok(constraints
        .path_length
        .map_or(path_length, |limit| path_length.min(limit)))
}

/// Rules for the last certificate.
fn check_leaf<'a>(leaf: &Certificate<'a>, profile: &Profile<'_>) -> Result<(), Refused<'a>> {
    let refuse = |error| Refused::at(error, leaf.subject);
    let extensions = &leaf.extensions;
    match extensions.basic_constraints {
        Some(constraints) if constraints.ca => return Err(refuse(ChainError::LeafIsCa)),
        None if profile.version >= 0x13 => {
            return Err(refuse(ChainError::LeafLacksBasicConstraints));
        }
        _ => (),
    }
    let signs = extensions
        .key_usage
        .is_some_and(|usage| usage.digital_signature);
    if !signs {
        return Err(refuse(ChainError::LeafKeyUsage));
    }
    let may_respond = extensions
        .extended_key_usage
        .is_none_or(|usage| usage.responder || usage.any);
    if !may_respond {
        return Err(refuse(ChainError::LeafExtendedKeyUsage));
    }
    // DSP0274, "Definition of certificate OIDs": an alias certificate is not the hardware's own.
    if extensions.hardware_identity && profile.model == CertificateModel::Alias {
        return Err(refuse(ChainError::HardwareIdentity));
    }
    if leaf.public_key.kind != key_kind(profile.asym) {
        return Err(refuse(ChainError::LeafKeyMismatch));
    }
    let check_name = |found, is_right: &dyn Fn(&[u8]) -> bool| match found {
        OtherName::One(name) if is_right(name) => Ok(()),
        OtherName::One(name) => Err(Refused {
            error: ChainError::SubjectAltNameMismatch,
            at: At::Device(name),
        }),
        OtherName::Absent | OtherName::Several => Err(refuse(ChainError::SubjectAltNameMissing)),
    };
    if let Some(device) = profile.device {
        check_name(extensions.cma_name, &|name| device.is_named(name))?;
    }
    if let Some(wanted) = profile.name {
        check_name(extensions.dmtf_name, &|name| name == wanted)?;
    }
    Ok(())
}

/// The kind of key that `asym` signs with.
pub(crate) const fn key_kind(asym: Asym) -> KeyKind {
    match asym {
        Asym::Base(BaseAsym::RsaSsa2048 | BaseAsym::RsaPss2048) => KeyKind::Rsa(2048),
        Asym::Base(BaseAsym::RsaSsa3072 | BaseAsym::RsaPss3072) => KeyKind::Rsa(3072),
        Asym::Base(BaseAsym::RsaSsa4096 | BaseAsym::RsaPss4096) => KeyKind::Rsa(4096),
        Asym::Base(BaseAsym::EcdsaP256) => KeyKind::P256,
        Asym::Base(BaseAsym::EcdsaP384) => KeyKind::P384,
        Asym::Base(BaseAsym::EcdsaP521) => KeyKind::P521,
        Asym::Pqc(PqcAsym::MlDsa44) => KeyKind::MlDsa44,
        Asym::Pqc(PqcAsym::MlDsa65) => KeyKind::MlDsa65,
        Asym::Pqc(PqcAsym::MlDsa87) => KeyKind::MlDsa87,
    }
}
