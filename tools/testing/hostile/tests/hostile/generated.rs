// SPDX-License-Identifier: GPL-2.0

//! Everything that somebody on the way can do to single messages: each byte changed, each length,
//! each message in place of each other one.
//!
//! All messages up to CHALLENGE_AUTH are in the transcript, reserved fields and ignored ones as
//! well, and the signature is over it. So there is no exception: no change on the way may end in
//! a verdict of authenticated.

use crate::bench::{Bench, Carried, Link, Outcome};
use spdm_responder::message::ErrorCode;
use std::cell::Cell;
use std::io::Write;
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

/// The cases of one version over one link.
struct Suite {
    words: String,
    link: Link,
    bench: Bench,
    session: Session,
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
        let mut bench = Bench::new(words).over(link);
        let session = Session::record(&mut bench);
        Suite {
            words: words.to_owned(),
            link,
            bench,
            session,
            cases: 0,
        }
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
        let changed = Rc::new(Cell::new(false));
        let did = changed.clone();
        self.bench.tamper(move |number, carried| {
            did.set(change(number, carried) || did.get());
        });
        let outcome = self.bench.attest();
        if !changed.get() {
            return None;
        }
        assert!(!outcome.is_authenticated(), "{outcome:?}");
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
        let align = match self.link {
            Link::Doe => 4,
            Link::Bytes => 1,
        };
        let what = || format!("response {at}: {}", what());
        let honest = self.session.responses.len();
        let outcome = self.case(&what, move |number, carried| match carried {
            Carried::Response(_, response) if number == at => {
                let before = response.clone();
                change(response);
                response.resize(response.len().next_multiple_of(align), 0);
                *response != before
            }
            _ => false,
        })?;
        // One wrong message makes for one more question at most.
        assert!(outcome.exchanges <= honest + 1, "{}: {outcome:?}", what());
        Some(outcome)
    }

    /// Each response in turn, with an honest attestation after all that is done to it.
    fn responses(&mut self, mut each: impl FnMut(&mut Suite, usize, &[u8])) {
        for at in 0..self.session.responses.len() {
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

    /// Bits of each byte of each response, while the requester has everything to leave out what it
    /// can. It may then do all of it instead, but must not believe what was changed.
    fn bits_of_responses_again(&mut self, whole: usize) {
        for at in 0..self.session.responses.len() {
            for byte in 0..self.session.responses[at].len() {
                for bit in [0, 7] {
                    self.bench.leave_alone();
                    let before = self.bench.honest();
                    self.bench.tamper(move |number, carried| match carried {
                        Carried::Response(_, response) if number == at => {
                            response[byte] ^= 1 << bit;
                        }
                        _ => {}
                    });
                    let outcome = self.bench.attest();
                    let what = format!("{}: {at}, {byte}.{bit}: {outcome:?}", self.words);
                    let again = outcome.exchanges >= before.exchanges + whole;
                    assert!(!outcome.is_authenticated() || again, "{what}");
                    self.cases += 1;
                }
            }
        }
        self.bench.leave_alone();
        self.bench.honest();
    }

    /// Bits of each byte of each response.
    fn bits_of_responses(&mut self) {
        self.responses(|suite, at, response| {
            let masks: &[u8] = match response.len() {
                // CERTIFICATE.
                500.. => &[0x01, 0x80, 0xFF],
                _ => &[1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0xFF],
            };
            for byte in 0..response.len() {
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
            for size in 0..response.len() {
                let what = || format!("cut to {size} of {}", response.len());
                suite.response(at, &what, move |r| r.truncate(size));
            }
            let longer = (1..=16).chain([64, 1024, 4096 - response.len(), 4096, 65536]);
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
    let mut suite = Suite::new(&format!("version=1.{minor} {words}"), Link::Bytes);
    suite.bits_of_chunks();
    suite.cases
}

/// Attestations that leave out the chain, and all but CHALLENGE.
fn again() -> usize {
    let mut cases = 0;
    for minor in 0..5 {
        for flags in [6, 7] {
            let words = format!("version=1.{minor} asym=ecdsa-p256 hash=sha256 flags={flags}");
            let mut suite = Suite::new(&words, Link::Doe);
            suite.bench = suite.bench.caching();
            suite.bench.honest();
            suite.session = Session::record(&mut suite.bench);
            suite.bits_of_responses_again(6);
            cases += suite.cases;
        }
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
        let versions: Vec<_> = (0..5)
            .map(|minor| scope.spawn(move || version(minor, others)))
            .collect();
        let chunks = [2, 3, 4].map(|minor| scope.spawn(move || chunks(minor)));
        let richer = [richer, second_slot, again].map(|cases| scope.spawn(cases));
        let all = versions.into_iter().chain(chunks).chain(richer);
        all.map(|thread| thread.join().unwrap()).sum()
    });
    // Past what captures the output of tests.
    let mut stderr = std::io::stderr();
    writeln!(stderr, "# {cases} generated cases").unwrap();
    assert!(cases >= 10_000, "{cases}");
}
