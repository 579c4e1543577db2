// SPDX-License-Identifier: GPL-2.0

//! Everything that somebody on the way can do to single messages: each byte changed, each length,
//! each message in place of each other one.
//!
//! All messages up to CHALLENGE_AUTH are in the transcript, reserved fields and ignored ones as
//! well, and the signature is over it. So there is no exception: no change on the way may end in
//! a verdict of authenticated.
//!
//! Where the requester may do without what was changed, because it kept what it needs, or takes
//! measurements in another way, all that counts in the end has to be as the device sent it.

use crate::bench::{Bench, Carried, Link, Outcome};
use crate::oracle::Oracle;
use spdm_responder::algorithm::Asym;
use spdm_responder::message::{ErrorCode, Exchange};
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::ops::Range;
use std::rc::Rc;
use std::thread;

/// What went over the link, by number of the exchange.
#[derive(Clone, Default)]
struct Session {
    requests: Vec<Vec<u8>>,
    responses: Vec<Vec<u8>>,
}

impl Session {
    /// Records an honest attestation.
    fn record(bench: &mut Bench) -> Session {
        let session = Rc::new(Cell::new(Session::default()));
        let recorder = session.clone();
        bench.tamper(move |_, carried| {
            let mut session = recorder.take();
            match carried {
                Carried::Request(request) => session.requests.push(request.clone()),
                Carried::Response(_, response) => session.responses.push(response.clone()),
            }
            recorder.set(session);
        });
        bench.honest();
        bench.leave_alone();
        session.take()
    }
}

/// What may come of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// The device is refused, after one more question at most.
    Refused,
    /// What counts in the end is genuine.
    Genuine,
}

/// The cases of one device over one link.
struct Suite {
    words: String,
    link: Link,
    bench: Bench,
    session: Session,
    rule: Rule,
    /// Whether an honest attestation comes before each case.
    again: bool,
    /// The exchanges in which responses are changed.
    exchanges: Range<usize>,
    /// The distance of bytes, and of lengths, in messages of 3000 bytes and more.
    stride: usize,
    cases: usize,
}

/// Names the case if a check in it fails.
struct Named<'a>(&'a dyn Fn() -> String);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("case: {}", (self.0)());
        }
    }
}

impl Suite {
    fn new(words: &str, link: Link) -> Suite {
        Self::of(words, link, Bench::new(words), Rule::Refused)
    }

    fn of(words: &str, link: Link, bench: Bench, rule: Rule) -> Suite {
        let mut bench = bench.over(link);
        let session = Session::record(&mut bench);
        Suite {
            exchanges: 0..session.responses.len(),
            words: words.to_owned(),
            link,
            bench,
            session,
            rule,
            again: false,
            stride: 1,
            cases: 0,
        }
    }

    /// The same for attestations that leave out what the last one has shown.
    fn again(mut self) -> Suite {
        self.bench = self.bench.caching();
        self.bench.honest();
        self.session = Session::record(&mut self.bench);
        self.exchanges = 0..self.session.responses.len();
        self.again = true;
        self
    }

    /// A case: `change` changes what is carried, and says whether it did.
    fn case(
        &mut self,
        what: &dyn Fn() -> String,
        mut change: impl FnMut(usize, Carried<'_>) -> bool + 'static,
    ) -> Option<Outcome> {
        let (words, link) = (&self.words, self.link);
        let name = || format!("{words}, {link:?}: {}", what());
        let _named = Named(&name);
        if self.again {
            self.bench.leave_alone();
            self.bench.honest();
        }
        let changed = Rc::new(Cell::new(false));
        let did = changed.clone();
        let oracle = Rc::new(RefCell::new(Oracle::default()));
        let follower = oracle.clone();
        self.bench.tamper(move |number, carried| match carried {
            Carried::Request(request) => {
                did.set(change(number, Carried::Request(request)) || did.get());
            }
            Carried::Response(request, response) => {
                let genuine = response.clone();
                did.set(change(number, Carried::Response(request, response)) || did.get());
                follower.borrow_mut().follow(request, response, &[&genuine]);
            }
        });
        let outcome = self.bench.attest();
        if !changed.get() {
            return None;
        }
        oracle.borrow().judge(&outcome);
        if self.rule == Rule::Refused {
            assert!(!outcome.is_authenticated(), "{outcome:?}");
        }
        self.cases += 1;
        Some(outcome)
    }

    /// A case in which the response of one exchange is changed; one that is as long as it was, and
    /// the same, is none.
    fn response(
        &mut self,
        at: usize,
        what: &dyn Fn() -> String,
        change: impl Fn(&mut Vec<u8>) + 'static,
    ) -> Option<Outcome> {
        // What the transport carries.
        let (align, room) = match self.link {
            Link::Doe => (4, 4096),
            Link::Bytes => (1, usize::MAX),
        };
        let what = || format!("response {at}: {}", what());
        let most = match self.rule {
            Rule::Refused => self.session.responses.len() + 1,
            Rule::Genuine => usize::MAX,
        };
        let outcome = self.case(&what, move |number, carried| match carried {
            Carried::Response(_, response) if number == at => {
                let before = response.clone();
                change(response);
                response.resize(response.len().next_multiple_of(align), 0);
                response[..response.len().min(room)] != before
            }
            _ => false,
        })?;
        assert!(outcome.exchanges <= most, "{}: {outcome:?}", what());
        Some(outcome)
    }

    /// Each response in turn, with an honest attestation after all that is done to it.
    fn responses(&mut self, mut each: impl FnMut(&mut Suite, usize, &[u8])) {
        for at in self.exchanges.clone() {
            let response = self.session.responses[at].clone();
            each(self, at, &response);
            self.bench.leave_alone();
            self.bench.honest();
        }
    }

    /// Bits of each byte of each response of a conversation with chunks. What frames a chunk is in
    /// no transcript: its reserved bits do not matter.
    fn bits_of_chunks(&mut self) {
        for at in 0..self.session.responses.len() {
            let response = self.session.responses[at].clone();
            for byte in 0..response.len() {
                let reserved = match (response[1], byte) {
                    // All attributes but the lowest; in CHUNK_RESPONSE after ChunkSeqNo up to 1.3.
                    (0x05 | 0x06, 2) => 0xFE,
                    (0x06, 6..=7) if response[0] < 0x14 => 0xFF,
                    // Param2 of ERROR LargeResponse, by itself or behind CHUNK_SEND_ACK.
                    (0x7F, 3) => 0xFF,
                    (0x05, 9) if response[0] < 0x14 && response[7] == 0x7F => 0xFF,
                    (0x05, 11) if response[0] == 0x14 && response[9] == 0x7F => 0xFF,
                    _ => 0,
                };
                let bits: &[u8] = match byte {
                    0..16 => &[0, 1, 2, 3, 4, 5, 6, 7],
                    // The chunk.
                    _ => &[0],
                };
                for &bit in bits {
                    let flip = move |number, carried: Carried<'_>| match carried {
                        Carried::Response(_, response) if number == at => {
                            response[byte] ^= 1 << bit;
                        }
                        _ => {}
                    };
                    self.bench.tamper(flip);
                    let outcome = self.bench.attest();
                    // A device may not know the version yet that GET_CAPABILITIES tells.
                    let early = response[1] == 0x7F && at == 1 && byte == 0;
                    let harmless =
                        reserved & (1 << bit) != 0 || early && response[0] ^ (1 << bit) == 0x10;
                    let what = format!("{}: {at}, {byte}.{bit}: {outcome:?}", self.words);
                    assert_eq!(outcome.is_authenticated(), harmless, "{what}");
                    self.cases += 1;
                }
            }
            self.bench.leave_alone();
            self.bench.honest();
        }
    }

    /// The places in a message of `size` bytes.
    fn places(&self, size: usize) -> impl Iterator<Item = usize> {
        let stride = match size {
            3000.. => self.stride,
            _ => 1,
        };
        (0..size).step_by(stride)
    }

    /// Bits of each byte of each response.
    fn bits_of_responses(&mut self) {
        self.responses(|suite, at, response| {
            let masks: &[u8] = match (suite.rule, response.len()) {
                // CERTIFICATE with ML-DSA, and CHALLENGE_AUTH.
                (_, 2000..) => &[0x10],
                // CERTIFICATE.
                (_, 500..) => &[0x01, 0x80, 0xFF],
                (Rule::Genuine, _) => &[0x01, 0x80],
                (Rule::Refused, _) => &[1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0xFF],
            };
            for byte in suite.places(response.len()) {
                for &mask in masks {
                    let what = || format!("byte {byte} ^ {mask:#x}");
                    let outcome = suite.response(at, &what, move |r| r[byte] ^= mask);
                    assert!(outcome.is_some());
                }
            }
        });
    }

    /// Every value of the four bytes of the header of each response.
    fn headers_of_responses(&mut self) {
        self.responses(|suite, at, _| {
            for byte in 0..4 {
                for value in 0..=0xFF {
                    let what = || format!("byte {byte} = {value:#x}");
                    suite.response(at, &what, move |r| r[byte] = value);
                }
            }
        });
    }

    /// Bits of each byte of each request.
    fn bits_of_requests(&mut self) {
        for at in 0..self.session.requests.len() {
            for byte in 0..self.session.requests[at].len() {
                for bit in 0..8 {
                    let what = || format!("request {at}: byte {byte}, bit {bit}");
                    let outcome = self.case(&what, move |number, carried| match carried {
                        Carried::Request(request) if number == at => {
                            request[byte] ^= 1 << bit;
                            true
                        }
                        _ => false,
                    });
                    assert!(outcome.is_some());
                }
            }
            self.bench.leave_alone();
            self.bench.honest();
        }
    }

    /// Each response cut everywhere, and made longer.
    fn lengths(&mut self) {
        self.responses(|suite, at, response| {
            for size in suite.places(response.len()) {
                let what = || format!("cut to {size} of {}", response.len());
                suite.response(at, &what, move |r| r.truncate(size));
            }
            let longer: Vec<_> = match suite.rule {
                Rule::Refused => (1..=16)
                    .chain([64, 1024, 4096 - response.len(), 4096, 65536])
                    .collect(),
                Rule::Genuine => vec![1, 2, 3, 4, 16, 4096],
            };
            for more in longer {
                for with in [0, 1, 0xFF] {
                    let what = || format!("{more} bytes {with:#x} more");
                    suite.response(at, &what, move |r| r.resize(r.len() + more, with));
                }
            }
        });
    }

    /// Each response in place of each other one: of this session, and of `others`.
    fn other_messages(&mut self, others: &[Session]) {
        // The same device, the same version; but its nonce and the requester's were others.
        let earlier = self.session.clone();
        for session in others.iter().chain([&earlier]) {
            for (from, message) in session.responses.iter().enumerate() {
                self.responses(|suite, at, _| {
                    let message = message.clone();
                    let what = || format!("replaced by {from}: {message:02x?}");
                    let replacement = message.clone();
                    suite.response(at, &what, move |r| r.clone_from(&replacement));
                });
            }
        }
    }

    /// Each error code in place of each response, from some exchange on.
    fn errors(&mut self) {
        for from in 0..self.session.responses.len() {
            for code in 0..=0xFF {
                for extended in [0, 4] {
                    let what = || format!("ERROR {code:#x} from {from}, {extended} bytes");
                    let outcome = self.case(&what, move |number, carried| match carried {
                        Carried::Response(request, response) if number >= from => {
                            *response = vec![request[0], 0x7F, code, 0];
                            response.resize(4 + extended, 0);
                            true
                        }
                        _ => false,
                    });
                    assert!(outcome.is_some());
                }
            }
            self.bench.leave_alone();
            self.bench.honest();
        }
    }

    /// ResponseNotReady without end, with each exponent.
    fn not_ready(&mut self) {
        for from in 0..self.session.responses.len() {
            for exponent in 0..=0xFF {
                for multiplier in [0, 1, 2, 3, 16, 0xFF] {
                    let what = || format!("ResponseNotReady {exponent} {multiplier} from {from}");
                    let outcome = self.case(&what, move |number, carried| match carried {
                        Carried::Response(request, response) if number >= from => {
                            let code = match request[1] {
                                0xFF => request[2],
                                code => code,
                            };
                            *response = vec![
                                request[0],
                                0x7F,
                                ErrorCode::ResponseNotReady as u8,
                                0,
                                exponent,
                                code,
                                0x77,
                                multiplier,
                            ];
                            true
                        }
                        _ => false,
                    });
                    assert!(outcome.is_some());
                }
            }
            self.bench.leave_alone();
            self.bench.honest();
        }
    }
}

/// The cases of one version.
fn version(minor: u8, others: &[Session]) -> usize {
    let words = format!("version=1.{minor} asym=ecdsa-p256 hash=sha256");
    let mut doe = Suite::new(&words, Link::Doe);
    doe.bits_of_responses();
    doe.headers_of_responses();
    doe.lengths();
    doe.other_messages(others);
    doe.errors();
    let mut bytes = Suite::new(&words, Link::Bytes);
    bytes.bits_of_requests();
    bytes.lengths();
    bytes.not_ready();
    doe.cases + bytes.cases
}

/// Versions to choose from, opaque data, portions.
fn richer() -> usize {
    let words = "asym=ecdsa-p256 hash=sha256 portion=700 opaque=12 slot0=none slot5=len2";
    let mut suite = Suite::new(words, Link::Doe);
    suite.bits_of_responses();
    suite.bits_of_requests();
    suite.cases
}

/// Nearly everything in chunks.
fn chunks(minor: u8) -> usize {
    let words = "asym=ecdsa-p256 hash=sha512 flags=0x20006 transfer=42 portion=900";
    let words = format!("version=1.{minor} {words}");
    let mut suite = Suite::of(&words, Link::Bytes, Bench::new(&words), Rule::Genuine);
    suite.bits_of_chunks();
    suite.lengths();
    suite.other_messages(&[]);
    suite.cases
}

/// Post-quantum signatures: large chains, and CHALLENGE_AUTH that is large, too.
fn pqc(asym: Asym, others: &[Session]) -> usize {
    let (flags, rule) = match asym {
        // It comes in chunks.
        Asym::MlDsa87 => (0x20006, Rule::Genuine),
        _ => (6, Rule::Refused),
    };
    let words = format!("version=1.4 asym={asym} hash=sha256 flags={flags}");
    let bench = Bench::new(&words).with_buffer(8192);
    let mut suite = Suite::of(&words, Link::Doe, bench, rule);
    suite.stride = match asym {
        Asym::MlDsa44 => 7,
        _ => 29,
    };
    suite.bits_of_responses();
    suite.lengths();
    suite.other_messages(others);
    suite.cases
}

/// Measurements, all at once and, with `fault`, one by one. What comes before is the same as without them.
fn measurements(minor: u8, fault: &str) -> usize {
    let words = format!("version=1.{minor} asym=ecdsa-p256 hash=sha256 flags=0x16 {fault}");
    let mut bench = Bench::new(&words);
    bench.measurements = true;
    let mut suite = Suite::of(&words, Link::Doe, bench, Rule::Genuine);
    let first = Exchange::ALL.len();
    suite.exchanges.start = first;
    // The device has a last one after 250 indices that it has not, so a case takes long.
    suite.exchanges.end = suite.exchanges.end.min(first + 5);
    suite.bits_of_responses();
    suite.lengths();
    if fault.is_empty() {
        suite.headers_of_responses();
        suite.other_messages(&[]);
    }
    suite.cases
}

/// Attestations that leave out the chain, and all but CHALLENGE.
fn again(minor: u8) -> usize {
    let mut cases = 0;
    for flags in [6, 7] {
        let words = format!("version=1.{minor} asym=ecdsa-p256 hash=sha256 flags={flags}");
        let bench = Bench::new(&words);
        let mut suite = Suite::of(&words, Link::Doe, bench, Rule::Genuine).again();
        suite.bits_of_responses();
        suite.lengths();
        suite.other_messages(&[]);
        cases += suite.cases;
    }
    cases
}

/// A chain that is refused before one that is not.
///
/// Requests are left alone here: one that the device cannot understand is answered by an ERROR,
/// and neither is in a transcript, so the next slot has its chance.
fn second_slot() -> usize {
    let words = "asym=ecdsa-p256 hash=sha256 version=1.1 slot0=untrusted slot5=len2";
    let mut suite = Suite::new(words, Link::Doe);
    suite.bits_of_responses();
    suite.headers_of_responses();
    suite.cases
}

#[test]
fn nothing_that_was_changed_on_the_way_is_authenticated() {
    let mut others = Vec::new();
    for minor in 0..5 {
        for key in 0..2 {
            let words = format!("version=1.{minor} asym=ecdsa-p256 hash=sha256 key={key}");
            others.push(Session::record(&mut Bench::new(&words)));
        }
    }
    let others = &others;
    let cases: usize = thread::scope(|scope| {
        let mut all = Vec::new();
        for minor in 0..5 {
            all.push(scope.spawn(move || version(minor, others)));
            all.push(scope.spawn(move || measurements(minor, "")));
            all.push(scope.spawn(move || measurements(minor, "fault=measurement-one-by-one")));
            all.push(scope.spawn(move || again(minor)));
        }
        for minor in 2..5 {
            all.push(scope.spawn(move || chunks(minor)));
        }
        for asym in [Asym::MlDsa44, Asym::MlDsa65, Asym::MlDsa87] {
            all.push(scope.spawn(move || pqc(asym, others)));
        }
        all.extend([richer, second_slot].map(|cases| scope.spawn(cases)));
        all.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // Past what captures the output of tests.
    let mut stderr = std::io::stderr();
    writeln!(stderr, "# {cases} generated cases").unwrap();
    assert!(cases >= 10_000, "{cases}");
}
