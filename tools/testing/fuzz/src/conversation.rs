// SPDX-License-Identifier: GPL-2.0

//! Whole conversations: what becomes of one message after the other.

use crate::bench::{Bench, Carried, Link, DEADLINE_US};
use crate::oracle::Oracle;
use arbitrary::{Arbitrary, Unstructured};
use spdm_core::{MeasurementStatus, TransportError};
use spdm_responder::message::Exchange;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// What becomes of a message.
#[derive(Arbitrary, Clone, Debug)]
enum Act {
    Nothing,
    Flip(u16, u8),
    Set(u16, u8),
    Cut(u16),
    Extend(u16, u8),
    Insert(u16, u8),
    Remove(u16),
    Error(u8, u8, Vec<u8>),
    Earlier(u8),
    Other(Vec<u8>),
}

impl Act {
    /// Does so to the response to `request`; `earlier` are those before.
    fn play(&self, request: &[u8], response: &mut Vec<u8>, earlier: &[Vec<u8>]) {
        let len = response.len();
        let at = |at: u16| usize::from(at) % len.max(1);
        match self {
            Act::Nothing => {}
            Act::Flip(to, mask) => response
                .iter_mut()
                .skip(at(*to))
                .take(1)
                .for_each(|o| *o ^= mask),
            Act::Set(to, value) => response
                .iter_mut()
                .skip(at(*to))
                .take(1)
                .for_each(|o| *o = *value),
            Act::Cut(to) => response.truncate(at(*to)),
            Act::Extend(by, with) => response.resize(len + usize::from(*by), *with),
            Act::Insert(to, value) => response.insert(at(*to), *value),
            Act::Remove(to) if len > 0 => _ = response.remove(at(*to)),
            Act::Remove(_) => {}
            Act::Error(code, data, extended) => {
                *response = vec![request[0], 0x7F, *code, *data];
                response.extend(extended);
            }
            Act::Earlier(which) => {
                if let Some(message) = earlier.get(usize::from(*which) % earlier.len().max(1)) {
                    response.clone_from(message);
                }
            }
            Act::Other(message) => response.clone_from(message),
        }
    }
}

/// Devices that differ in what they say.
const DEVICES: &[&str] = &[
    "version=1.0,1.1,1.2,1.3,1.4 asym=ecdsa-p256 hash=sha256",
    "version=1.0 asym=ecdsa-p256 hash=sha256",
    "version=1.1 asym=ecdsa-p256 hash=sha256 slot0=untrusted slot5=len2",
    "version=1.2 asym=ecdsa-p256 hash=sha512 flags=0x20006 transfer=42 portion=900",
    "version=1.3 asym=ecdsa-p256 hash=sha256 flags=0x17 opaque=12 portion=700",
    "version=1.4 asym=ecdsa-p256 hash=sha512 flags=0x20017 transfer=64 portion=900",
    "version=1.4 asym=mldsa44 hash=sha384 flags=0x80000007",
];

#[derive(Arbitrary, Debug)]
struct Conversation {
    device: u8,
    doe: bool,
    /// Attestations, one after the other, each with what becomes of its messages.
    attestations: Vec<Vec<Act>>,
}

impl Conversation {
    fn read(input: &[u8]) -> Option<Self> {
        let mut read = Self::arbitrary_take_rest(Unstructured::new(input)).ok()?;
        read.attestations.truncate(3);
        Some(read)
    }
}

/// Lends a bench that nothing has happened on.
fn with_bench(device: u8, doe: bool, act: impl FnOnce(&mut Bench)) {
    thread_local!(static BENCHES: RefCell<HashMap<(usize, bool), Bench>> = RefCell::default());

    let device = usize::from(device) % DEVICES.len();
    let make = || {
        let link = if doe { Link::Doe } else { Link::Bytes };
        let bench = Bench::new(DEVICES[device]).with_buffer(8192);
        let mut bench = bench.over(link).with_large_chains().caching();
        bench.measurements = true;
        bench
    };
    BENCHES.with_borrow_mut(|benches| {
        let bench = benches.entry((device, doe)).or_insert_with(make);
        bench.restart();
        act(bench);
        // None of it does lasting harm.
        bench.honest();
    });
}

/// Somebody on the way changes messages.
pub fn on_the_way(input: &[u8]) {
    let Some(conversation) = Conversation::read(input) else {
        return;
    };
    with_bench(conversation.device, conversation.doe, |bench| {
        for acts in conversation.attestations {
            let oracle = Rc::new(RefCell::new(Oracle::default()));
            let follower = oracle.clone();
            let mut earlier = Vec::new();
            let alignment = if conversation.doe { 4 } else { 1 };
            bench.tamper(move |number, carried| {
                if let Carried::Response(request, response) = carried {
                    let honest = response.clone();
                    if let Some(act) = acts.get(number) {
                        act.play(request, response, &earlier);
                        response.resize(response.len().next_multiple_of(alignment), 0);
                    }
                    follower.borrow_mut().follow(request, response, &[&honest]);
                    earlier.push(honest);
                }
            });
            let outcome = bench.attest();
            oracle.borrow().judge(&outcome);
            bench.leave_alone();
        }
    });
}

/// The device says all this, and signs it.
pub fn signed(input: &[u8]) {
    let Some(conversation) = Conversation::read(input) else {
        return;
    };
    with_bench(conversation.device, conversation.doe, |bench| {
        for acts in conversation.attestations {
            let mut acts = acts.into_iter();
            bench.device(|device| {
                device.set_edit(Some(Box::new(move |_: Exchange, message: &mut Vec<u8>| {
                    if let Some(act) = acts.next() {
                        // ERROR would be answered like a response, which no device can do.
                        if !matches!(act, Act::Error(..)) {
                            act.play(&[], message, &[]);
                        }
                    }
                })))
            });
            let outcome = bench.attest();
            assert!(
                !outcome.verdict.starts_with("internal-error"),
                "{outcome:?}"
            );
            bench.device(|device| device.set_edit(None));
        }
    });
}

/// What a transport returns.
#[derive(Arbitrary, Clone, Debug)]
enum End {
    Honest,
    Timeout,
    TooLarge,
    Gone,
    Interrupted,
    Io,
    /// So many bytes were received.
    Length(u16),
}

#[derive(Arbitrary, Debug)]
struct Ends {
    device: u8,
    doe: bool,
    attestations: Vec<Vec<End>>,
}

/// A transport fails, or returns the wrong length, even one beyond the buffer.
pub fn transport(input: &[u8]) {
    let Ok(ends) = Ends::arbitrary_take_rest(Unstructured::new(input)) else {
        return;
    };
    with_bench(ends.device, ends.doe, |bench| {
        for ends in ends.attestations.into_iter().take(3) {
            let honest = Rc::new(RefCell::new(true));
            let is_honest = honest.clone();
            bench.end_by(Box::new(move |number, result| {
                let end = ends.get(number).unwrap_or(&End::Honest);
                let ended = match end {
                    End::Honest => result,
                    End::Timeout => Err(TransportError::Timeout),
                    End::TooLarge => Err(TransportError::TooLarge),
                    End::Gone => Err(TransportError::Gone),
                    End::Interrupted => Err(TransportError::Interrupted),
                    End::Io => Err(TransportError::Io),
                    End::Length(len) => Ok(usize::from(*len)),
                };
                let same = ended == result;
                is_honest.replace_with(|honest| *honest && same);
                ended
            }));
            let outcome = bench.attest();
            if *honest.borrow() {
                assert!(outcome.is_authenticated(), "{outcome:?}");
            }
            assert!(outcome.elapsed_us <= DEADLINE_US + 1_000_000);
            let taken = outcome.report.measurements != MeasurementStatus::NotTaken;
            assert!(taken || !outcome.is_authenticated(), "{outcome:?}");
        }
        bench.end_by(Box::new(|_, result| result));
    });
}

/// Each device and link with nothing that becomes of its messages, and with a little.
pub fn seeds() -> Vec<Vec<u8>> {
    let devices = 0..u8::try_from(DEVICES.len()).unwrap();
    let starts = devices.flat_map(|device| [[device, 0], [device, 1]]);
    starts
        .flat_map(|start| {
            // Two attestations, of which the first is left alone.
            let more: [&[u8]; 2] = [
                &[],
                &[0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0],
            ];
            more.map(|more| [&start, more].concat())
        })
        .collect()
}
