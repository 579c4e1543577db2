// SPDX-License-Identifier: GPL-2.0

//! Where evidence goes: files in sysfs, events, tracepoints.

use crate::{
    attester::Attester,
    bindings,
    class::as_raw,
    evidence::{
        Chain,
        Evidence, //
    },
    verdict::State, //
};
use core::ptr::NonNull;
use kernel::{
    bindings::{
        device,
        kobject, //
    },
    device::Device,
    ffi::{
        c_char,
        c_int,
        c_void, //
    },
    prelude::*,
    str::CString,
    sync::Arc, //
};
use spdm_core::{
    BaseHash,
    SignedFor,
    Transport,
    TransportError, //
};

/// How many signatures are kept.
const MAX_SIGNATURES: usize = 8;
/// Most that is kept of them, in bytes of transcripts; the last is kept in any case.
const MAX_SIZE: usize = 256 << 10;

/// A directory in sysfs, until it is dropped.
struct Dir(NonNull<kobject>);

// SAFETY: sysfs serialises access to its objects.
unsafe impl Send for Dir {}

impl Dir {
    /// # Safety
    ///
    /// `dev` is registered and stays so until the directory is dropped.
    unsafe fn new(dev: *mut device, name: &CStr) -> Result<Self> {
        // SAFETY: By the contract.
        let dir = unsafe { bindings::spdm_dir_add(dev, name.as_char_ptr()) };
        NonNull::new(dir).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // SAFETY: The directory was made by `new`.
        unsafe { bindings::spdm_dir_remove(self.0.as_ptr()) };
    }
}

/// Who owns what a file shows.
enum Owner {
    Evidence(#[expect(dead_code)] Arc<Evidence>),
    Chain(Arc<Chain>),
    Nobody,
}

/// What a file shows.
enum Content<'a> {
    Bytes(&'a [u8]),
    /// The messages of a transcript.
    Messages(&'a Evidence, SignedFor),
    /// Nothing: reading it fails.
    None,
}

/// The type of evidence that a transcript is.
fn kind(what: SignedFor) -> bindings::spdm_evidence {
    match what {
        SignedFor::ChallengeAuth => bindings::spdm_evidence_SPDM_EVIDENCE_CHALLENGE,
        SignedFor::Measurements => bindings::spdm_evidence_SPDM_EVIDENCE_MEASUREMENTS,
    }
}

/// A file in such a directory, until it is dropped.
struct File {
    file: NonNull<bindings::spdm_file>,
    owner: Owner,
}

// SAFETY: sysfs serialises access to its objects.
unsafe impl Send for File {}

impl File {
    /// Adds a file with `content`.
    ///
    /// # Safety
    ///
    /// `owner` keeps `content` alive, or it is static. The file is dropped before the directory.
    unsafe fn new(
        dir: &Dir,
        number: Option<u32>,
        name: &'static CStr,
        content: Content<'_>,
        owner: Owner,
    ) -> Option<Self> {
        let number = number.and_then(|number| c_int::try_from(number).ok());
        let memory = bindings::spdm_evidence_SPDM_EVIDENCE_END;
        let (data, len, kind) = match content {
            Content::Bytes(bytes) => (bytes.as_ptr().cast::<c_void>(), bytes.len(), memory),
            Content::Messages(evidence, what) => (
                core::ptr::from_ref(evidence).cast(),
                evidence.transcript(what).signature_offset(),
                kind(what),
            ),
            Content::None => (core::ptr::null(), 0, memory),
        };
        // SAFETY: The directory is there; what `data` points to stays until the file is removed, by the contract.
        let file = unsafe {
            bindings::spdm_file_add(
                dir.0.as_ptr(),
                number.unwrap_or(-1),
                name.as_char_ptr(),
                data,
                len,
                kind,
                core::ptr::null_mut(),
            )
        };
        NonNull::new(file).map(|file| Self { file, owner })
    }

    /// Adds the file that takes a nonce for `attester`.
    ///
    /// # Safety
    ///
    /// The file is dropped before the directory and the attester.
    unsafe fn for_nonce(dir: &Dir, attester: &Attester) -> Option<Self> {
        // SAFETY: By the contract, the attester stays until the file is removed.
        let file = unsafe {
            bindings::spdm_file_add(
                dir.0.as_ptr(),
                -1,
                c"next_requester_nonce".as_char_ptr(),
                core::ptr::null(),
                0,
                bindings::spdm_evidence_SPDM_EVIDENCE_END,
                core::ptr::from_ref(attester).cast_mut().cast::<c_void>(),
            )
        };
        NonNull::new(file).map(|file| Self {
            file,
            owner: Owner::Nobody,
        })
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: The file was added by `new`. This waits for its readers.
        unsafe { bindings::spdm_file_remove(self.file.as_ptr()) };
    }
}

/// The files of one signature.
struct Signature {
    _files: [Option<File>; 9],
    size: usize,
}

/// What a file in `certificates` shows.
enum Slot {
    /// A chain.
    Chain(File),
    /// Nothing: the slot has none.
    Empty(#[expect(dead_code)] File),
    /// An error: the chain was not fetched.
    NotFetched(#[expect(dead_code)] File),
}

/// The directories `certificates` and `signatures` of a device, until it is dropped.
pub(crate) struct Files {
    _nonce: Option<File>,
    signatures: [Option<KBox<Signature>>; MAX_SIGNATURES],
    // Number of the next signature.
    next: u32,
    slots: [Option<Slot>; 8],
    // Dropped last.
    signatures_dir: Dir,
    certificates_dir: Dir,
}

impl Files {
    /// Makes the directories below `dev`.
    ///
    /// # Safety
    ///
    /// `dev` is registered and stays so until the files are dropped, which is before `attester` is.
    pub(crate) unsafe fn new(dev: *mut device, attester: &Attester) -> Result<KBox<Self>> {
        // SAFETY: By the contract.
        let signatures_dir = unsafe { Dir::new(dev, c"signatures")? };
        // SAFETY: By the contract.
        let certificates_dir = unsafe { Dir::new(dev, c"certificates")? };
        let files = KBox::new(
            Self {
                // SAFETY: It is dropped before the directory, by the order of the fields, and before the attester, by
                // the contract.
                _nonce: unsafe { File::for_nonce(&signatures_dir, attester) },
                signatures: [const { None }; MAX_SIGNATURES],
                next: 0,
                slots: [const { None }; 8],
                signatures_dir,
                certificates_dir,
            },
            GFP_KERNEL,
        )?;
        Ok(files)
    }

    /// Shows what an attestation left.
    pub(crate) fn publish(&mut self, evidence: &Arc<Evidence>) {
        self.show_certificates(evidence);
        for what in [SignedFor::ChallengeAuth, SignedFor::Measurements] {
            if !evidence.transcript(what).signature().is_empty() {
                self.show_signature(evidence, what);
            }
        }
    }

    fn show_certificates(&mut self, evidence: &Arc<Evidence>) {
        let negotiated = &evidence.negotiated;
        if negotiated.supported_slots == 0 {
            // It did not come so far.
            return;
        }
        const SLOTS: [(u8, u8, &CStr); 8] = [
            (0, 1 << 0, c"slot0"),
            (1, 1 << 1, c"slot1"),
            (2, 1 << 2, c"slot2"),
            (3, 1 << 3, c"slot3"),
            (4, 1 << 4, c"slot4"),
            (5, 1 << 5, c"slot5"),
            (6, 1 << 6, c"slot6"),
            (7, 1 << 7, c"slot7"),
        ];
        let dir = &self.certificates_dir;
        for ((slot, bit, name), shown) in SLOTS.into_iter().zip(&mut self.slots) {
            let there = |mask: u8| mask & bit != 0;
            let chain = evidence.chain.as_ref().filter(|chain| chain.slot == slot);
            let is_shown = match (&*shown, chain) {
                (Some(Slot::Chain(file)), Some(chain)) => {
                    matches!(&file.owner, Owner::Chain(shown) if Arc::ptr_eq(shown, chain))
                }
                _ => false,
            };
            if is_shown {
                continue;
            }
            // The name is free before it is given again.
            *shown = None;
            // SAFETY: The chain's owner goes with the file; the rest is static. Files are dropped before the directory.
            let add = |content, owner| unsafe { File::new(dir, None, name, content, owner) };
            *shown = match chain {
                Some(chain) => {
                    let owner = Owner::Chain(chain.clone());
                    add(Content::Bytes(chain.certificates()), owner).map(Slot::Chain)
                }
                None if there(negotiated.provisioned_slots) => {
                    add(Content::None, Owner::Nobody).map(Slot::NotFetched)
                }
                None if there(negotiated.supported_slots) => {
                    add(Content::Bytes(b""), Owner::Nobody).map(Slot::Empty)
                }
                None => None,
            };
        }
    }

    fn show_signature(&mut self, evidence: &Arc<Evidence>, what: SignedFor) {
        let transcript = evidence.transcript(what);
        let number = self.next;
        // Numbers are not used again.
        self.next = number.wrapping_add(1) & 0x7fff_ffff;
        let size = transcript.len();
        let kept = || self.signatures.iter().flatten();
        let mut all = kept().fold(size, |all, kept| all.saturating_add(kept.size));

        // The oldest is the next one, then those behind it.
        let first = number as usize % MAX_SIGNATURES;
        let (newer, older) = match self.signatures.split_at_mut_checked(first) {
            Some(parts) => parts,
            None => return,
        };
        let mut place_is_free = false;
        for oldest in Iterator::chain(older.iter_mut(), newer) {
            if !place_is_free || all > MAX_SIZE {
                place_is_free = true;
                let dropped = oldest.take();
                all = all.saturating_sub(dropped.map_or(0, |dropped| dropped.size));
            }
        }

        let dir = &self.signatures_dir;
        let add_content = |name, content| {
            // SAFETY: The content is the evidence's, or static. Files are dropped before the directory.
            unsafe {
                File::new(
                    dir,
                    Some(number),
                    name,
                    content,
                    Owner::Evidence(evidence.clone()),
                )
            }
        };
        let add = |name, bytes| add_content(name, Content::Bytes(bytes));
        let hash = evidence.negotiated.base_hash.map_or("", BaseHash::name);
        let chain = evidence.chain.as_ref();
        let files = [
            add(c"signature", transcript.signature()),
            add_content(c"transcript", Content::Messages(evidence, what)),
            add(
                c"requester_nonce",
                transcript.nonce(transcript.requester_nonce_offset()),
            ),
            add(
                c"responder_nonce",
                transcript.nonce(transcript.responder_nonce_offset()),
            ),
            add(c"hash_algorithm", hash.as_bytes()),
            add(
                c"combined_spdm_prefix",
                transcript.prefix().map_or(&[], |prefix| prefix.as_slice()),
            ),
            add(c"type", what.context().as_bytes()),
            add(
                c"certificate_chain",
                chain.map_or(&[], |chain| chain.certificates()),
            ),
            add(
                c"verdict",
                match transcript.is_verified() {
                    true => b"verified",
                    false => b"failed",
                },
            ),
        ];
        if let Some(kept) = self.signatures.get_mut(first) {
            let signature = Signature {
                _files: files,
                size,
            };
            // Without memory, the files are removed again.
            *kept = KBox::new(signature, GFP_KERNEL).ok();
        }
    }
}

/// Tells listeners of the signatures that an attestation received. `parent` is the device that it is about.
pub(crate) fn tell_signatures(parent: &Device, evidence: &Evidence) {
    let negotiated = &evidence.negotiated;
    for (code, what) in [
        (0x03, SignedFor::ChallengeAuth),
        (0x60, SignedFor::Measurements),
    ] {
        let transcript = evidence.transcript(what);
        if transcript.signature().is_empty() {
            continue;
        }
        let offset = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        let signature = bindings::spdm_signature {
            response_code: code,
            slot: negotiated.slot.unwrap_or(0),
            hash_algo: negotiated.base_hash.map_or(0, hash_algo),
            signature_offset: offset(transcript.signature_offset()),
            requester_nonce_offset: offset(transcript.requester_nonce_offset()),
            responder_nonce_offset: offset(transcript.responder_nonce_offset()),
            prefix: transcript
                .prefix()
                .map_or(core::ptr::null(), |prefix| prefix.as_ptr()),
            evidence: core::ptr::from_ref(evidence).cast(),
            type_: kind(what),
            transcript_len: transcript.len(),
        };
        // SAFETY: The device is valid, and so are the pointers in `signature` for as long as this runs.
        unsafe { bindings::spdm_netlink_signature(as_raw(parent), &raw const signature) };
    }
}

/// `enum hash_algo` of `include/uapi/linux/hash_info.h`.
fn hash_algo(hash: BaseHash) -> u16 {
    match hash {
        BaseHash::Sha256 => 4,
        BaseHash::Sha384 => 5,
        BaseHash::Sha512 => 6,
        BaseHash::Sha3_256 => 20,
        BaseHash::Sha3_384 => 21,
        BaseHash::Sha3_512 => 22,
    }
}

/// Tells user space of a verdict: a uevent, an event, a tracepoint.
pub(crate) fn tell(
    device: &Device,
    parent: &Device,
    state: State,
    reason: Option<&CString>,
    measurements_changed: bool,
    attested_at: i64,
) {
    let verdict = bindings::spdm_verdict {
        state: state.as_c_str().as_char_ptr(),
        reason: reason.map_or(c"".as_char_ptr(), |reason| reason.as_char_ptr()),
        measurements_changed,
        attested_at,
    };
    // SAFETY: The devices are valid, and so are the strings.
    unsafe { bindings::spdm_tell(as_raw(device), as_raw(parent), &raw const verdict) };
}

/// A transport whose messages tracers see.
pub(crate) struct Traced<'a, T> {
    pub(crate) transport: &'a mut T,
    pub(crate) device: Option<&'a Device>,
}

impl<T> Traced<'_, T> {
    fn trace(&self, response: bool, message: &[u8]) {
        if let Some(device) = self.device {
            // SAFETY: The device is valid, and so is the message for its length.
            unsafe {
                bindings::spdm_trace_message(
                    as_raw(device),
                    response,
                    message.as_ptr(),
                    message.len(),
                )
            };
        }
    }
}

impl<T: Transport> Transport for Traced<'_, T> {
    fn max_message_size(&self) -> usize {
        self.transport.max_message_size()
    }

    fn alignment(&self) -> usize {
        self.transport.alignment()
    }

    fn round_trip_us(&self) -> u32 {
        self.transport.round_trip_us()
    }

    fn retries(&self) -> usize {
        self.transport.retries()
    }

    fn exchange(
        &mut self,
        request: &[u8],
        response: &mut [u8],
        timeout_us: u32,
    ) -> Result<usize, TransportError> {
        self.trace(false, request);
        let len = self.transport.exchange(request, response, timeout_us)?;
        self.trace(true, response.get(..len).unwrap_or_default());
        Ok(len)
    }
}

/// Takes a nonce for the next attestation. Called by publish.c.
///
/// # Safety
///
/// `attester` is one, `buffer` has `count` bytes.
#[no_mangle]
unsafe extern "C" fn spdm_nonce_store(
    attester: *mut c_void,
    buffer: *const c_char,
    offset: i64,
    count: usize,
) -> isize {
    // SAFETY: By the contract.
    let attester = unsafe { &*attester.cast::<Attester>() };
    // SAFETY: By the contract.
    let nonce = unsafe { core::slice::from_raw_parts(buffer.cast::<u8>(), count) };
    match (offset, <[u8; 32]>::try_from(nonce)) {
        (0, Ok(nonce)) => {
            attester.set_nonce(nonce);
            32
        }
        _ => EINVAL.to_errno() as isize,
    }
}
