// SPDX-License-Identifier: GPL-2.0

//! The generic netlink family `spdm` (Documentation/netlink/specs/spdm.yaml).

use crate::file::Evidence;
use anyhow::{anyhow, Context, Result};
use neli::consts::nl::NlmF;
use neli::consts::socket::NlFamily;

use neli::genl::{
    AttrTypeBuilder, GenlAttrHandle, Genlmsghdr, GenlmsghdrBuilder, NlattrBuilder, NoUserHeader,
};
use neli::nl::NlPayload;
use neli::router::synchronous::NlRouter;
use neli::types::GenlBuffer;
use neli::utils::Groups;

const FAMILY: &str = "spdm";
const VERSION: u8 = 1;
const EVIDENCE_READ: u8 = 3;

const EVIDENCE_NAME: u16 = 1;
const EVIDENCE_NONCE: u16 = 4;
const EVIDENCE_TYPE: u16 = 5;
const EVIDENCE_VALUE: u16 = 6;

const VERDICT_DEVICE: u16 = 1;
const VERDICT_NAME: u16 = 2;
const VERDICT_STATE: u16 = 3;
const VERDICT_REASON: u16 = 4;
const VERDICT_CHANGED: u16 = 5;
const VERDICT_ATTESTED_AT: u16 = 6;

const SIG_DEVICE: u16 = 1;
const SIG_RSP_CODE: u16 = 2;
const SIG_SLOT: u16 = 3;
const SIG_HASH_ALGO: u16 = 4;
const SIG_SIG_OFFSET: u16 = 5;
const SIG_TRANSCRIPT: u16 = 9;

type Message = Genlmsghdr<u8, u16>;

/// The evidence of the last attestation or, if there is a nonce, of one that is made now.
///
/// # Errors
///
/// What the kernel says.
pub fn evidence(name: &str, nonce: Option<&[u8]>) -> Result<Evidence> {
    let (router, _) = NlRouter::connect(NlFamily::Generic, None, Groups::empty())?;
    let family = router.resolve_genl_family(FAMILY).map_err(no_family)?;
    let mut name = name.as_bytes().to_vec();
    name.push(0);
    let mut attributes = vec![attribute(EVIDENCE_NAME, name)?];
    if let Some(nonce) = nonce {
        attributes.push(attribute(EVIDENCE_NONCE, nonce.to_vec())?);
    }
    let request = GenlmsghdrBuilder::<u8, u16, NoUserHeader>::default()
        .cmd(EVIDENCE_READ)
        .version(VERSION)
        .attrs(attributes.into_iter().collect::<GenlBuffer<_, _>>())
        .build()?;
    let replies = router
        .send::<_, _, u16, Message>(family, NlmF::DUMP | NlmF::ACK, NlPayload::Payload(request))
        .map_err(explain)?;
    let mut evidence = Evidence::default();
    for reply in replies {
        let reply = reply.map_err(explain)?;
        let Some(message) = reply.get_payload() else {
            continue;
        };
        let handle = message.attrs().get_attr_handle();
        let kind = handle.get_attr_payload_as::<u32>(EVIDENCE_TYPE)?;
        let value = handle.get_attr_payload_as_with_len_borrowed::<&[u8]>(EVIDENCE_VALUE)?;
        evidence.append(kind, value);
    }
    Ok(evidence)
}

fn attribute(kind: u16, payload: Vec<u8>) -> Result<neli::genl::Nlattr<u16, neli::types::Buffer>> {
    let kind = AttrTypeBuilder::default().nla_type(kind).build()?;
    Ok(NlattrBuilder::default()
        .nla_type(kind)
        .nla_payload(payload)
        .build()?)
}

fn no_family(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the kernel has no netlink family `{FAMILY}` ({error}): load the module with `modprobe spdm`")
}

fn explain(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("evidence-read: {error} (it needs CAP_NET_ADMIN)")
}

/// A verdict, as it was told.
#[derive(Debug)]
pub struct Verdict {
    pub device: String,
    pub name: String,
    pub state: String,
    pub reason: String,
    pub measurements_changed: bool,
    /// In nanoseconds since the epoch.
    pub attested_at: i64,
}

/// Hands every verdict to `tell` as it comes, until that returns false.
///
/// # Errors
///
/// If there are no events.
pub fn watch(mut tell: impl FnMut(Verdict) -> Result<bool>) -> Result<()> {
    events("verdict", |handle| {
        let text = |kind| text(handle, kind);
        let verdict = Verdict {
            device: text(VERDICT_DEVICE)?,
            name: text(VERDICT_NAME)?,
            state: text(VERDICT_STATE)?,
            reason: text(VERDICT_REASON)?,
            measurements_changed: handle.get_attribute(VERDICT_CHANGED).is_some(),
            attested_at: handle.get_attr_payload_as::<i64>(VERDICT_ATTESTED_AT)?,
        };
        tell(verdict)
    })
}

/// A signature, as it was told.
#[derive(Debug)]
pub struct Signature {
    pub device: String,
    /// Code of the response that it is in.
    pub response_code: u8,
    pub slot: u8,
    /// `enum hash_algo` of linux/hash_info.h.
    pub hash_algo: u16,
    /// Where in `transcript` the signature begins.
    pub signature_offset: usize,
    /// What was signed, and the signature; of a long one the first part.
    pub transcript: Vec<u8>,
}

/// Hands every signature to `tell` as it comes, until that returns false.
///
/// # Errors
///
/// If there are no events.
pub fn watch_signatures(mut tell: impl FnMut(Signature) -> Result<bool>) -> Result<()> {
    events("sig", |handle| {
        // Further parts of a long transcript have nothing else.
        if handle.get_attribute(SIG_DEVICE).is_none() {
            return Ok(true);
        }
        let transcript = handle.get_attr_payload_as_with_len_borrowed::<&[u8]>(SIG_TRANSCRIPT)?;
        tell(Signature {
            device: text(handle, SIG_DEVICE)?,
            response_code: handle.get_attr_payload_as(SIG_RSP_CODE)?,
            slot: handle.get_attr_payload_as(SIG_SLOT)?,
            hash_algo: handle.get_attr_payload_as(SIG_HASH_ALGO)?,
            signature_offset: handle.get_attr_payload_as::<u32>(SIG_SIG_OFFSET)? as usize,
            transcript: transcript.to_vec(),
        })
    })
}

/// Hands the attributes of each event of a group to `each`, until that returns false.
fn events(
    group: &str,
    mut each: impl FnMut(&GenlAttrHandle<'_, u16>) -> Result<bool>,
) -> Result<()> {
    let (router, mut events) = NlRouter::connect(NlFamily::Generic, None, Groups::empty())?;
    let group = router
        .resolve_nl_mcast_group(FAMILY, group)
        .map_err(no_family)?;
    router.add_mcast_membership(Groups::new_groups(&[group]))?;
    while let Some(event) = events.next_typed::<u16, Message>() {
        let event = event.map_err(|error| anyhow!("{error}"))?;
        if let Some(message) = event.get_payload() {
            if !each(&message.attrs().get_attr_handle())? {
                break;
            }
        }
    }
    Ok(())
}

fn text(handle: &GenlAttrHandle<'_, u16>, kind: u16) -> Result<String> {
    let bytes = handle
        .get_attr_payload_as_with_len_borrowed::<&[u8]>(kind)
        .context("an event without what it has to have")?;
    let text = String::from_utf8_lossy(bytes);
    Ok(text.trim_end_matches('\0').to_owned())
}
