// SPDX-License-Identifier: GPL-2.0

//! A response in one state of an honest conversation is the input.
//!
//! The first octet of an input chooses among the devices of a [`State`] and the links. The
//! requester draws the same nonces in each run, so a response that was recorded in this process is as
//! good as new; in another process it draws others, and what was signed for it is worth nothing.

use crate::bench::{Bench, Carried, Link, Outcome};
use crate::oracle::Oracle;
use openssl::rand::rand_bytes;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::OnceLock;

/// A state of an attestation: a response is awaited.
pub struct State {
    /// What the devices that can be in it were told.
    pub devices: &'static [&'static str],
    /// Code of the request that was sent.
    pub request: u8,
    /// How many of that code were sent before.
    pub nth: usize,
    /// What is particular about it.
    pub before: Before,
}

/// What there was before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// An attestation, which left what it may leave.
    Attestation,
    /// The same, and the device has forgotten it.
    Forgotten,
    /// Somebody provisioned the device's public key.
    Key,
}

/// Code of GET_MEASUREMENTS.
pub const GET_MEASUREMENTS: u8 = 0xE0;

impl State {
    fn bench(&self, device: &str, link: Link) -> Bench {
        let bench = Bench::new(device).with_buffer(8192).with_large_chains();
        let mut bench = bench.over(link);
        bench.measurements = self.request == GET_MEASUREMENTS;
        match self.before {
            Before::Attestation | Before::Forgotten => bench.caching(),
            Before::Nothing | Before::Key => bench,
        }
    }

    /// From the start to the attestation that the state is in.
    fn begin(&self, bench: &mut Bench) {
        bench.restart();
        match self.before {
            Before::Nothing => {}
            Before::Attestation => _ = bench.honest(),
            Before::Forgotten => {
                bench.honest();
                bench.device(|device| device.connected());
            }
            Before::Key => bench.provision(),
        }
    }

    /// Attests, and has `change` change the response in this state; it returns one that would be genuine.
    fn attest(
        &self,
        bench: &mut Bench,
        change: impl Fn(&mut Vec<u8>) -> Vec<u8> + 'static,
    ) -> (Outcome, Oracle) {
        self.begin(bench);
        let (request, nth) = (self.request, self.nth);
        let shared = Rc::new(RefCell::new((Oracle::default(), 0)));
        let inner = shared.clone();
        bench.tamper(move |_, carried| {
            let Carried::Response(sent, response) = carried else {
                return;
            };
            let (oracle, count) = &mut *inner.borrow_mut();
            let honest = response.clone();
            let mut recorded = Vec::new();
            if sent[1] == request {
                if *count == nth {
                    recorded = change(response);
                }
                *count += 1;
            }
            oracle.follow(sent, response, &[&honest, &recorded]);
        });
        let outcome = bench.attest();
        bench.leave_alone();
        let (oracle, _) = shared.take();
        (outcome, oracle)
    }

    /// What the devices really send in this state.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds = Vec::new();
        for nth in 0..self.devices.len() {
            for selector in [nth as u8, 0x80 | nth as u8] {
                let seed = self.with_bench(selector, |_, genuine| genuine.to_vec());
                seeds.push([&[selector], &seed[..]].concat());
            }
        }
        seeds
    }

    /// Lends the bench that `selector` chooses, and what its device sends in this state.
    fn with_bench<R>(&self, selector: u8, act: impl FnOnce(&mut Bench, &[u8]) -> R) -> R {
        type Benches = HashMap<(*const State, u8), (Bench, Vec<u8>)>;
        thread_local!(static BENCHES: RefCell<Benches> = RefCell::default());

        let nth = usize::from(selector & 0x7F) % self.devices.len();
        let device = self.devices[nth];
        // CAST: there are few devices.
        let selector = nth as u8 | selector & 0x80;
        let make = || {
            // What is genuine on one link must not be so on another.
            let mut bench = self.bench(device, link(selector));
            bench.set_nonces(first_nonce() ^ (u64::from(selector) << 32));
            let found = Rc::new(RefCell::new(None));
            let recorder = found.clone();
            self.attest(&mut bench, move |response| {
                recorder.replace(Some(response.clone()));
                Vec::new()
            });
            let missed = || panic!("{device}: the state was not reached");
            (bench, found.take().unwrap_or_else(missed))
        };
        BENCHES.with_borrow_mut(|benches| {
            let (bench, genuine) = benches.entry((self, selector)).or_insert_with(make);
            act(bench, genuine)
        })
    }

    /// Sends the input.
    pub fn run(&self, input: &[u8]) -> Option<Outcome> {
        let (&selector, message) = input.split_first()?;
        let alignment = match link(selector) {
            Link::Doe => 4,
            Link::Bytes => 1,
        };
        let mut message = message.to_vec();
        message.resize(message.len().next_multiple_of(alignment), 0);
        self.with_bench(selector, |bench, genuine| {
            let genuine = genuine.to_vec();
            let (outcome, oracle) = self.attest(bench, move |response| {
                response.clone_from(&message);
                genuine.clone()
            });
            oracle.judge(&outcome);
            Some(outcome)
        })
    }
}

fn link(selector: u8) -> Link {
    match selector {
        0x80.. => Link::Doe,
        _ => Link::Bytes,
    }
}

/// Where nonces begin in this process.
fn first_nonce() -> u64 {
    static FIRST: OnceLock<u64> = OnceLock::new();
    *FIRST.get_or_init(|| {
        let mut octets = [0; 8];
        rand_bytes(&mut octets).unwrap();
        u64::from_le_bytes(octets) >> 1
    })
}
