// SPDX-License-Identifier: GPL-2.0

//! Checks evidence again, with nothing but a root certificate: `spdmctl verify`.
//!
//! It shares no code with the kernel's side; certificates and signatures are OpenSSL's matter.

use crate::file::{Evidence, CHALLENGE, MEASUREMENTS, VCA};
use crate::message::{
    hex, Block, Challenge, Negotiated, Reader, RAW_KEY_SLOT, VERSION_12, VERSION_14,
};
use anyhow::{bail, ensure, Context, Result};
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::md_ctx::MdCtx;
use openssl::pkey::{Id, PKey, Public};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;
use openssl::sha::sha256;
use openssl::sign::RsaPssSaltlen;
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509StoreContext, X509};
use std::time::{SystemTime, UNIX_EPOCH};

/// What evidence is to show.
#[derive(Default)]
pub struct Expected {
    /// Root certificates, one of which has to vouch for the chain.
    pub roots: Vec<X509>,
    /// The public key (SubjectPublicKeyInfo, DER) of a device without certificates.
    pub public_key: Option<Vec<u8>>,
    /// The nonce that was asked to be signed.
    pub nonce: Option<Vec<u8>>,
    /// Hash of the leaf's public key.
    pub identity: Option<Vec<u8>>,
    /// How old it may be in seconds, by the kernel's word.
    pub max_age: Option<u64>,
    /// Lines of reference values, as in `measurements`.
    pub reference: Option<String>,
}

/// What evidence showed.
#[derive(Debug)]
pub struct Verified {
    pub device: String,
    pub negotiated: Negotiated,
    pub slot: u8,
    pub identity: String,
    /// Subjects of the certificates, from the one nearest the root to the leaf.
    pub subjects: Vec<String>,
    pub nonce: String,
    /// Whether the nonce is the one that was expected, so that this is no recording.
    pub fresh: bool,
    pub attested_at: Option<u64>,
    /// Whether the measurements are signed; there are none without.
    pub measured: bool,
    pub measurements: Vec<Block>,
}

/// Verifies evidence.
///
/// # Errors
///
/// Why it does not show that the device is authentic.
pub fn verify(evidence: &Evidence, expected: &Expected) -> Result<Verified> {
    let info = |key| evidence.info(key).unwrap_or_default();
    ensure!(info("format") == "1", "the kernel's format is unknown");
    let state = info("state");
    if !matches!(state, "authenticated" | "accepted") {
        bail!(
            "the kernel did not authenticate it: {state}: {}",
            info("reason")
        );
    }

    let vca = evidence.get(VCA);
    let negotiated = Negotiated::from_vca(vca).context("VCA")?;
    let (m1, signature) = split(evidence.get(CHALLENGE), negotiated.asym.signature_size)?;
    let rest = m1.strip_prefix(vca).context("M1 does not begin with VCA")?;
    let challenge = Reader::new(rest).challenge(&negotiated).context("M1")?;
    if let Some(nonce) = &expected.nonce {
        ensure!(
            nonce == challenge.nonce,
            "the nonce is {}, not {}: a recording, or another request's",
            hex(challenge.nonce),
            hex(nonce)
        );
    }

    let (key, subjects) = match challenge.slot {
        RAW_KEY_SLOT => (raw_key(&negotiated, &challenge, expected)?, Vec::new()),
        _ => chain_key(evidence, &negotiated, &challenge, expected)?,
    };
    check_kind(&key, &negotiated)?;
    let context = "responder-challenge_auth signing";
    let good = is_signed(&key, &negotiated, context, m1, signature)?;
    ensure!(good, "the signature of CHALLENGE_AUTH is wrong");

    let identity = hex(&sha256(&key.public_key_to_der()?));
    if let Some(wanted) = &expected.identity {
        let wanted = hex(wanted);
        ensure!(
            identity == wanted,
            "the identity is {identity}, not {wanted}"
        );
    }
    let (measured, measurements) = measurements(evidence, &negotiated, &challenge, &key)?;
    if let Some(reference) = &expected.reference {
        ensure!(measured, "there are no signed measurements to compare");
        compare(reference, &measurements)?;
    }

    // Nobody signed it, but it must not say anything else.
    let size = |there: bool| match there {
        true => negotiated.asym.signature_size,
        false => 0,
    };
    let asym_key = match negotiated.asym.name.starts_with("mldsa") {
        true => "pqc_asym",
        false => "base_asym",
    };
    for (key, value) in [
        ("version", negotiated.version_text()),
        ("base_hash", negotiated.hash.name.to_owned()),
        (asym_key, negotiated.asym.name.to_owned()),
        ("slot", challenge.slot.to_string()),
        ("identity", identity.clone()),
        ("challenge_signature_size", size(true).to_string()),
        ("measurements_signature_size", size(measured).to_string()),
    ] {
        let said = info(key);
        ensure!(
            said == value,
            "the kernel says {key}={said}, the messages {value}"
        );
    }
    let attested_at = info("attested_at").parse::<u64>().ok();
    if let Some(max_age) = expected.max_age {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let at = attested_at.context("the kernel does not say when")? / 1_000_000_000;
        let age = now.saturating_sub(at);
        ensure!(age <= max_age, "it is {age} s old, and may be {max_age}");
        ensure!(at <= now + 60, "it is from the future: a clock is wrong");
    }
    Ok(Verified {
        device: info("device").to_owned(),
        negotiated,
        slot: challenge.slot,
        identity,
        subjects,
        nonce: hex(challenge.nonce),
        fresh: expected.nonce.is_some(),
        attested_at,
        measured,
        measurements,
    })
}

fn split(signed: &[u8], size: usize) -> Result<(&[u8], &[u8])> {
    let at = signed.len().checked_sub(size);
    Ok(signed.split_at(at.context("a signed transcript is missing")?))
}

/// The provisioned key, which CHALLENGE_AUTH has to name.
fn raw_key(
    negotiated: &Negotiated,
    challenge: &Challenge<'_>,
    expected: &Expected,
) -> Result<PKey<Public>> {
    let der = expected
        .public_key
        .as_ref()
        .context("the device has no certificates: give its public key with --public-key")?;
    ensure!(
        negotiated.hash.digest(der)? == challenge.cert_chain_hash,
        "CHALLENGE_AUTH names another public key"
    );
    Ok(PKey::public_key_from_der(der)?)
}

/// The key of the slot's leaf, if one of the roots vouches for the chain.
fn chain_key(
    evidence: &Evidence,
    negotiated: &Negotiated,
    challenge: &Challenge<'_>,
    expected: &Expected,
) -> Result<(PKey<Public>, Vec<String>)> {
    let hash = negotiated.hash;
    let chain = evidence.get(challenge.slot.into());
    ensure!(!chain.is_empty(), "the certificate chain is missing");
    let digest = hash.digest(chain)?;
    ensure!(
        digest == challenge.cert_chain_hash,
        "CHALLENGE_AUTH is for another certificate chain"
    );
    if let Some(named) = challenge.digest {
        ensure!(digest == named, "DIGESTS is for another certificate chain");
    }
    if let Some(received) = &challenge.chain {
        ensure!(chain == received, "another certificate chain was received");
    }

    let length = match negotiated.version {
        VERSION_14 => u32::from_le_bytes(chain[..4.min(chain.len())].try_into()?) as usize,
        _ => usize::from(u16::from_le_bytes(chain[..2.min(chain.len())].try_into()?)),
    };
    ensure!(length == chain.len(), "Length of the certificate chain");
    let header = 4 + hash.size();
    let root_hash = chain.get(4..header).context("RootHash")?;
    let certificates = certificates(&chain[header..])?;
    let leaf = certificates.last().context("the chain is empty")?;

    let mut store = X509StoreBuilder::new()?;
    for root in &expected.roots {
        store.add_cert(root.clone())?;
    }
    let mut others = Stack::new()?;
    for certificate in &certificates[..certificates.len() - 1] {
        others.push(certificate.clone())?;
    }
    let mut context = X509StoreContext::new()?;
    let outcome = context.init(&store.build(), leaf, &others, |context| {
        let good = context.verify_cert()?;
        let root = context
            .chain()
            .and_then(|chain| chain.iter().last().map(|root| root.to_der()))
            .transpose()?;
        Ok((good, context.error(), root))
    })?;
    let (true, _, Some(root)) = outcome else {
        bail!(
            "no root certificate given vouches for the chain: {}",
            outcome.1
        );
    };
    ensure!(
        hash.digest(&root)? == root_hash,
        "RootHash is another root's"
    );

    let subject = |certificate: &X509| {
        let entries = certificate.subject_name().entries();
        let text = entries.filter_map(|entry| entry.data().to_string().ok());
        text.collect::<Vec<_>>().join(", ")
    };
    let subjects = certificates.iter().map(subject).collect();
    Ok((leaf.public_key()?, subjects))
}

/// DER certificates, one after the other.
pub fn certificates(mut der: &[u8]) -> Result<Vec<X509>> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let certificate = X509::from_der(der).context("a certificate cannot be read")?;
        let len = certificate.to_der()?.len();
        der = der.get(len..).context("a certificate is not in DER")?;
        found.push(certificate);
    }
    Ok(found)
}

/// Whether the key is of the kind and size that was negotiated.
fn check_kind(key: &PKey<Public>, negotiated: &Negotiated) -> Result<()> {
    let name = negotiated.asym.name;
    let right = match name.split_once('-') {
        Some(("rsassa" | "rsapss", bits)) => key.id() == Id::RSA && key.bits().to_string() == bits,
        Some((_, curve)) => key.id() == Id::EC && format!("p{}", key.bits()) == curve,
        // OpenSSL checks the parameter set by the signature's and the key's size.
        None => !matches!(key.id(), Id::RSA | Id::EC),
    };
    ensure!(right, "the key is not one for {name}");
    Ok(())
}

/// Whether the key signed that transcript for that purpose.
fn is_signed(
    key: &PKey<Public>,
    negotiated: &Negotiated,
    context: &str,
    transcript: &[u8],
    signature: &[u8],
) -> Result<bool> {
    let message = negotiated.signed_message(context, transcript)?;
    let name = negotiated.asym.name;
    if name.starts_with("mldsa") {
        let mut md = MdCtx::new()?;
        md.digest_verify_init(None, key)?
            .set_context_string(context.as_bytes())?;
        return Ok(md.digest_verify(&message, signature).unwrap_or(false));
    }
    let digest = match negotiated.version {
        VERSION_12.. => negotiated.hash.digest(&message)?,
        _ => message,
    };
    if name.starts_with("ecdsa") {
        let (r, s) = signature.split_at(signature.len() / 2);
        let signature =
            EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
        return Ok(signature.verify(&digest, &*key.ec_key()?).unwrap_or(false));
    }
    let mut rsa = PkeyCtx::new(key)?;
    rsa.verify_init()?;
    if name.starts_with("rsapss") {
        rsa.set_rsa_padding(Padding::PKCS1_PSS)?;
        rsa.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
    } else {
        rsa.set_rsa_padding(Padding::PKCS1)?;
    }
    let md = openssl::md::Md::from_nid(negotiated.hash.md().type_()).context("hash")?;
    rsa.set_signature_md(md)?;
    Ok(rsa.verify(&digest, signature).unwrap_or(false))
}

/// The measurements, if they are signed: by the same key, in the same attestation.
fn measurements(
    evidence: &Evidence,
    negotiated: &Negotiated,
    challenge: &Challenge<'_>,
    key: &PKey<Public>,
) -> Result<(bool, Vec<Block>)> {
    let status = evidence.info("measurements_status").unwrap_or_default();
    if status != "signed" {
        return Ok((false, Vec::new()));
    }
    let (l1, signature) = split(evidence.get(MEASUREMENTS), negotiated.asym.signature_size)?;
    let rest = match negotiated.version {
        VERSION_12.. => l1
            .strip_prefix(evidence.get(VCA))
            .context("L1 does not begin with VCA")?,
        _ => l1,
    };
    let found = Reader::new(rest).measurements(negotiated).context("L1")?;
    ensure!(
        found.nonce == Some(challenge.nonce),
        "the measurements are of another attestation: they have another nonce"
    );
    let slot = challenge.slot & 0x0f;
    ensure!(
        found.slot.is_none_or(|signed| signed == slot),
        "the measurements are signed with the key of another slot"
    );
    let context = "responder-measurements signing";
    let good = is_signed(key, negotiated, context, l1, signature)?;
    ensure!(good, "the signature of MEASUREMENTS is wrong");
    Ok((true, found.blocks))
}

/// Compares measurements with reference values.
fn compare(reference: &str, measurements: &[Block]) -> Result<()> {
    let lines = reference.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if !measurements.iter().any(|block| block.line() == line) {
            let index = line.split(' ').next().unwrap_or_default();
            bail!("measurement {index} is not the expected one: {line}");
        }
    }
    Ok(())
}
