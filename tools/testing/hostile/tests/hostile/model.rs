// SPDX-License-Identifier: GPL-2.0

//! A model of which request is legal when, and what each answer leads to, explored exhaustively.
//!
//! The model is the standard's ("SPDM messaging protocol flow", "Error handling", "Timing
//! specification") in a few lines. For each sequence of answers up to a depth, and each way to go on
//! after it for good, the requester has to send what the model says, byte for byte where it repeats a
//! request, and to end as the model does.
//!
//! Measurements are not in it: the fuzz targets have an oracle for them.

use crate::bench::{Bench, Carried, Link, AUTHENTICATED};
use spdm_core::TransportError;
use spdm_responder::message::{ErrorCode, Exchange, ERROR, RESPOND_IF_READY};
use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::thread;

/// Busy is accepted as often as this for one request.
const MAX_BUSY: usize = 10;
/// The same of RequestResynch, for one attestation.
const MAX_RESYNCHS: usize = 3;

/// RDTExponent, RDTM, Token of ResponseNotReady.
const RDT_EXPONENT: u8 = 10;
const RDTM: u8 = 4;
const TOKEN: u8 = 0xA7;
const CHUNK_GET: u8 = 0x86;
/// Handle of LargeResponse.
const HANDLE: u8 = 0x5C;
/// What any DataTransferSize has room for does not come in chunks.
const MIN_DATA_TRANSFER_SIZE: usize = 42;

/// Requests that a requester makes that knows nothing,
const WHOLE: &[Exchange] = &Exchange::ALL;
/// that has the chain of the last attestation,
const WITHOUT_CHAIN: &[Exchange] = &[
    Exchange::Version,
    Exchange::Capabilities,
    Exchange::Algorithms,
    Exchange::Digests,
    Exchange::Challenge,
];
/// and that has what was negotiated as well.
const ALONE: &[Exchange] = &[Exchange::Challenge];

/// The device, and what is known of it.
#[derive(Clone, Copy)]
struct Setup {
    minor: u8,
    /// CHUNK_CAP.
    chunks: bool,
    /// How many slots have a good chain.
    slots: usize,
    /// What is asked first.
    requests: &'static [Exchange],
    /// Answers that are tried in each order.
    depth: usize,
}

impl Setup {
    fn bench(&self) -> Bench {
        let flags = match self.requests.len() {
            _ if self.chunks => "flags=0x20006",
            1 => "flags=7",
            _ => "flags=6",
        };
        let slots = ["", "slot5=len2"][self.slots - 1];
        let words = format!("version=1.{} asym=ecdsa-p256 {flags} {slots}", self.minor);
        let bench = Bench::new(&words);
        match self.requests == WHOLE {
            // What comes in chunks is not padded.
            true if self.chunks => bench.over(Link::Bytes),
            true => bench,
            false => bench.caching(),
        }
    }
}

/// How the device answers one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Honest,
    Busy,
    NotReady,
    Resynch,
    /// ERROR with an ErrorCode that ends it.
    Unspecified,
    /// The response code of the request that follows.
    Other,
    Silence,
    /// ERROR LargeResponse, or such an answer to CHUNK_GET.
    Large,
}

impl Answer {
    const ALL: [Answer; 8] = [
        Answer::Honest,
        Answer::Busy,
        Answer::NotReady,
        Answer::Resynch,
        Answer::Unspecified,
        Answer::Other,
        Answer::Silence,
        Answer::Large,
    ];

    fn error_code(self) -> Option<ErrorCode> {
        match self {
            Answer::Busy => Some(ErrorCode::Busy),
            Answer::NotReady => Some(ErrorCode::ResponseNotReady),
            Answer::Resynch => Some(ErrorCode::RequestResynch),
            Answer::Unspecified => Some(ErrorCode::Unspecified),
            Answer::Large => Some(ErrorCode::LargeResponse),
            Answer::Honest | Answer::Other | Answer::Silence => None,
        }
    }
}

/// What is known after some answers.
struct Model {
    setup: Setup,
    requests: &'static [Exchange],
    /// Index into `requests` of the one that waits for its response.
    state: usize,
    /// How many slots were asked for in vain.
    refused: usize,
    /// Whether the response is fetched with CHUNK_GET.
    large: bool,
    busy: usize,
    resynchs: usize,
    /// How often ResponseNotReady was the answer to this request.
    not_ready: u8,
    /// How it ended: name of the reason.
    end: Option<&'static str>,
}

impl Model {
    fn new(setup: Setup) -> Self {
        Model {
            setup,
            requests: setup.requests,
            state: 0,
            refused: 0,
            large: false,
            busy: 0,
            resynchs: 0,
            not_ready: 0,
            end: None,
        }
    }

    /// Whether the request is asked for with RESPOND_IF_READY.
    fn waits(&self) -> bool {
        self.not_ready > 0
    }

    fn exchange(&self) -> Exchange {
        self.requests[self.state]
    }

    /// The request that is made.
    fn code(&self) -> u8 {
        match self.large {
            true => CHUNK_GET,
            false => self.exchange().request_code(),
        }
    }

    /// Another request begins.
    fn begin(&mut self, large: bool) {
        self.large = large;
        self.busy = 0;
        self.not_ready = 0;
    }

    fn enter(&mut self, state: usize) {
        self.state = state;
        self.refused = 0;
        self.begin(false);
        if state == self.requests.len() {
            self.end = Some(AUTHENTICATED);
        }
    }

    fn fail(&mut self, reason: &'static str) {
        // The device may have forgotten what was negotiated: once more from the start, with the chain if it says so.
        if self.requests == ALONE && reason != "timeout" {
            self.requests = match reason {
                "error-response" | "request-resynch" => WITHOUT_CHAIN,
                _ => WHOLE,
            };
            self.enter(0);
        } else {
            self.end = Some(reason);
        }
    }

    /// Whether LargeResponse is a legal answer.
    fn may_be_large(&self) -> bool {
        match self.exchange() {
            _ if self.large => false,
            Exchange::Version => false,
            // With SupportedAlgorithms.
            Exchange::Capabilities => self.setup.minor >= 3,
            _ => self.setup.chunks,
        }
    }

    /// An answer comes; `size` is that of the response in the end.
    fn step(&mut self, answer: Answer, size: usize) {
        match answer {
            Answer::Honest if self.large && size <= MIN_DATA_TRANSFER_SIZE => {
                self.fail("large-message-size");
            }
            Answer::Honest => self.enter(self.state + 1),
            Answer::Busy if self.busy == MAX_BUSY => self.fail("busy"),
            Answer::Busy => self.busy += 1,
            Answer::NotReady if self.exchange() == Exchange::Version => {
                self.fail("not-ready-illegal");
            }
            // WTMax is RDTM times RDT.
            Answer::NotReady if self.not_ready == RDTM => self.fail("not-ready"),
            Answer::NotReady => self.not_ready += 1,
            Answer::Resynch if self.requests == ALONE || self.resynchs == MAX_RESYNCHS => {
                self.fail("request-resynch");
            }
            Answer::Resynch => {
                self.resynchs += 1;
                self.enter(0);
            }
            // The next slot has its chance.
            Answer::Unspecified
                if self.exchange() == Exchange::Certificate
                    && self.refused + 1 < self.setup.slots =>
            {
                self.refused += 1;
                self.begin(false);
            }
            Answer::Unspecified => self.fail("error-response"),
            Answer::Other => self.fail("unexpected-response"),
            Answer::Silence => self.fail("timeout"),
            Answer::Large if self.may_be_large() => self.begin(true),
            Answer::Large => self.fail("large-response-illegal"),
        }
    }
}

/// A device that answers as it is told, with the responses of a real one where they are honest.
struct Player {
    answers: Vec<Answer>,
    then: Answer,
    model: Model,
    last: Option<Vec<u8>>,
    /// The response that was promised.
    promised: Option<Vec<u8>>,
}

impl Player {
    fn answer(&self, number: usize) -> Answer {
        self.answers.get(number).copied().unwrap_or(self.then)
    }

    /// Checks a request. One that the real device is not to see is emptied: it takes no
    /// notice of it.
    fn request(&mut self, number: usize, request: &mut Vec<u8>) {
        let model = &self.model;
        assert_eq!(model.end, None, "another request after the end");
        if model.waits() {
            assert_eq!(request[1..], [RESPOND_IF_READY, model.code(), TOKEN]);
        } else {
            assert_eq!(request[1], model.code());
            if model.large {
                assert_eq!(request[2..6], [0, HANDLE, 0, 0]);
            }
            if model.busy > 0 {
                assert_eq!(self.last.as_ref(), Some(&*request));
            }
        }
        self.last = Some(request.clone());
        let works = matches!(
            self.answer(number),
            Answer::Honest | Answer::NotReady | Answer::Large
        );
        if !works || model.waits() || model.large {
            request.clear();
        }
    }

    fn response(&mut self, number: usize, request: &[u8], response: &mut Vec<u8>) {
        let answer = self.answer(number);
        let model = &self.model;
        let begins = !model.waits() && !model.large;
        if begins && matches!(answer, Answer::NotReady | Answer::Large) {
            self.promised = Some(response.clone());
        }
        if answer == Answer::Honest && !begins {
            *response = self.promised.take().unwrap();
        }
        let size = response.len();
        match answer.error_code() {
            Some(error) => {
                *response = vec![request[0], ERROR, error as u8, 0];
                match answer {
                    Answer::NotReady => {
                        response.extend([RDT_EXPONENT, model.code(), TOKEN, RDTM]);
                    }
                    Answer::Large => response.push(HANDLE),
                    _ => (),
                }
            }
            None if answer == Answer::Other => {
                let other = match model.exchange() {
                    Exchange::Challenge => Exchange::Version,
                    _ => Exchange::Challenge,
                };
                *response = vec![request[0], other.response_code(), 0, 0];
            }
            None if model.large => *response = last_chunk(request[0], response),
            None => (),
        }
        self.model.step(answer, size);
    }
}

/// CHUNK_RESPONSE with all of a message.
fn last_chunk(version: u8, message: &[u8]) -> Vec<u8> {
    let size = u32::try_from(message.len()).unwrap().to_le_bytes();
    let head = [version, CHUNK_GET & 0x7F, 1, HANDLE, 0, 0, 0, 0];
    [&head, &size[..], &size, message].concat()
}

/// Plays `answers`, and `then` for good. Returns how many answers it took.
fn play(setup: Setup, bench: &mut Bench, answers: &[Answer], then: Answer) -> usize {
    if setup.requests != WHOLE {
        bench.leave_alone();
        bench.end_by(Box::new(|_, result| result));
        bench.honest();
        assert_eq!(bench.honest().exchanges, setup.requests.len());
    }
    let player = Rc::new(RefCell::new(Player {
        answers: answers.to_vec(),
        then,
        model: Model::new(setup),
        last: None,
        promised: None,
    }));
    let shared = player.clone();
    bench.tamper(move |number, carried| {
        let mut player = shared.borrow_mut();
        match carried {
            Carried::Request(request) => player.request(number, request),
            Carried::Response(request, response) => player.response(number, request, response),
        }
    });
    let silent = player.clone();
    bench.end_by(Box::new(move |number, result| {
        match silent.borrow().answer(number) {
            Answer::Silence => Err(TransportError::Timeout),
            _ => result,
        }
    }));
    let outcome = bench.attest();
    let model = &player.borrow().model;
    let reason = outcome.verdict.split(": ").next();
    assert_eq!(reason, model.end, "{answers:?}, {then:?}: {outcome:?}");
    if !outcome.is_authenticated() {
        // A failure to get a chain is that of a slot.
        let name = model.exchange().request_name();
        let named = outcome.verdict.contains(name) || outcome.verdict.contains(": slot 0");
        assert!(named, "{answers:?}, {then:?}: {outcome:?}");
    }
    outcome.exchanges
}

/// All that begins with `answers`. Returns the number of conversations.
fn explore(setup: Setup, bench: &mut Bench, answers: &mut Vec<Answer>) -> usize {
    let mut conversations = 0;
    for answer in Answer::ALL {
        let took = play(setup, bench, answers, answer);
        conversations += 1;
        // It makes a difference what comes later only if it goes on after this answer.
        if took > answers.len() + 1 && answers.len() < setup.depth {
            answers.push(answer);
            conversations += explore(setup, bench, answers);
            answers.pop();
        }
    }
    conversations
}

#[test]
fn every_order_of_answers() {
    let mut setups = Vec::new();
    for minor in 0..5 {
        let whole = Setup {
            minor,
            chunks: false,
            slots: 1,
            requests: WHOLE,
            depth: 6,
        };
        setups.push(whole);
        let setup = Setup { depth: 4, ..whole };
        setups.extend([WITHOUT_CHAIN, ALONE].map(|requests| Setup { requests, ..setup }));
        setups.push(Setup { slots: 2, ..setup });
        if minor >= 2 {
            let chunks = true;
            setups.push(Setup { chunks, ..setup });
            setups.push(Setup {
                chunks,
                slots: 2,
                ..setup
            });
        }
    }
    let conversations: usize = thread::scope(|scope| {
        let all: Vec<_> = setups
            .into_iter()
            .map(|setup| scope.spawn(move || explore(setup, &mut setup.bench(), &mut Vec::new())))
            .collect();
        all.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // Past what captures the output of tests.
    let mut stderr = std::io::stderr();
    writeln!(stderr, "# {conversations} conversations of the model").unwrap();
    assert!(conversations > 5 * 4usize.pow(6), "{conversations}");
}
