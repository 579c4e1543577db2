// SPDX-License-Identifier: GPL-2.0

//! A model of which request is legal when, and what each answer leads to, explored exhaustively.
//!
//! The model is the standard's ("SPDM messaging protocol flow", "Error handling", "Timing
//! specification") in a few lines. For each sequence of answers up to [`DEPTH`], and each way to go on
//! after it for good, the requester has to send what the model says, byte for byte where it repeats a
//! request, and to end as the model does.

use crate::bench::{Bench, Carried, AUTHENTICATED};
use spdm_responder::message::{ErrorCode, Exchange, ERROR, RESPOND_IF_READY};
use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::thread;

/// Answers that are tried in each order.
const DEPTH: usize = 6;

/// Busy is accepted as often as this for one request.
const MAX_BUSY: usize = 10;
/// The same of RequestResynch, for one attestation.
const MAX_RESYNCHS: usize = 3;

/// RDTExponent, RDTM, Token of ResponseNotReady.
const RDT_EXPONENT: u8 = 10;
const RDTM: u8 = 4;
const TOKEN: u8 = 0xA7;

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
}

impl Answer {
    const ALL: [Answer; 6] = [
        Answer::Honest,
        Answer::Busy,
        Answer::NotReady,
        Answer::Resynch,
        Answer::Unspecified,
        Answer::Other,
    ];

    fn error_code(self) -> Option<ErrorCode> {
        match self {
            Answer::Busy => Some(ErrorCode::Busy),
            Answer::NotReady => Some(ErrorCode::ResponseNotReady),
            Answer::Resynch => Some(ErrorCode::RequestResynch),
            Answer::Unspecified => Some(ErrorCode::Unspecified),
            Answer::Honest | Answer::Other => None,
        }
    }
}

/// What is known after some answers.
#[derive(Default)]
struct Model {
    /// Index into [`Exchange::ALL`] of the request that waits for its response.
    state: usize,
    busy: usize,
    resynchs: usize,
    /// How often ResponseNotReady was the answer to this request.
    not_ready: u8,
    /// How it ended: name of the reason.
    end: Option<&'static str>,
}

impl Model {
    /// Whether the request is asked for with RESPOND_IF_READY.
    fn waits(&self) -> bool {
        self.not_ready > 0
    }

    fn enter(&mut self, state: usize) {
        self.state = state;
        self.busy = 0;
        self.not_ready = 0;
        if state == Exchange::ALL.len() {
            self.end = Some(AUTHENTICATED);
        }
    }

    fn step(&mut self, answer: Answer) {
        match answer {
            Answer::Honest => self.enter(self.state + 1),
            Answer::Busy if self.busy == MAX_BUSY => self.end = Some("busy"),
            Answer::Busy => self.busy += 1,
            Answer::NotReady if self.state == 0 => self.end = Some("not-ready-illegal"),
            // WTMax is RDTM times RDT.
            Answer::NotReady if self.not_ready == RDTM => self.end = Some("not-ready"),
            Answer::NotReady => self.not_ready += 1,
            Answer::Resynch if self.resynchs == MAX_RESYNCHS => self.end = Some("request-resynch"),
            Answer::Resynch => {
                self.resynchs += 1;
                self.enter(0);
            }
            Answer::Unspecified => self.end = Some("error-response"),
            Answer::Other => self.end = Some("unexpected-response"),
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
        let code = Exchange::ALL[model.state].request_code();
        if model.waits() {
            assert_eq!(request[1..], [RESPOND_IF_READY, code, TOKEN]);
        } else {
            assert_eq!(request[1], code);
            if model.busy > 0 {
                assert_eq!(self.last.as_ref(), Some(&*request));
            }
        }
        self.last = Some(request.clone());
        let works = matches!(self.answer(number), Answer::Honest | Answer::NotReady);
        if !works || model.waits() {
            request.clear();
        }
    }

    fn response(&mut self, number: usize, request: &[u8], response: &mut Vec<u8>) {
        let answer = self.answer(number);
        let state = self.model.state;
        if answer == Answer::NotReady && !self.model.waits() {
            self.promised = Some(response.clone());
        }
        match answer.error_code() {
            Some(error) => {
                *response = vec![request[0], ERROR, error as u8, 0];
                if answer == Answer::NotReady {
                    let code = Exchange::ALL[state].request_code();
                    response.extend([RDT_EXPONENT, code, TOKEN, RDTM]);
                }
            }
            None if answer == Answer::Other => {
                let other = Exchange::ALL[(state + 1) % Exchange::ALL.len()];
                *response = vec![request[0], other.response_code(), 0, 0];
            }
            None if self.model.waits() => *response = self.promised.take().unwrap(),
            None => (),
        }
        self.model.step(answer);
    }
}

/// Plays `answers`, and `then` for good. Returns how many answers it took.
fn play(bench: &mut Bench, answers: &[Answer], then: Answer) -> usize {
    let player = Rc::new(RefCell::new(Player {
        answers: answers.to_vec(),
        then,
        model: Model::default(),
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
    let outcome = bench.attest();
    let model = &player.borrow().model;
    let reason = outcome.verdict.split(": ").next();
    assert_eq!(reason, model.end, "{answers:?}, {then:?}: {outcome:?}");
    if !outcome.is_authenticated() {
        // A failure to get a chain is that of a slot.
        let name = Exchange::ALL[model.state].request_name();
        let named = outcome.verdict.contains(name) || outcome.verdict.contains(": slot 0");
        assert!(named, "{answers:?}, {then:?}: {outcome:?}");
    }
    outcome.exchanges
}

/// All that begins with `answers`. Returns the number of conversations.
fn explore(bench: &mut Bench, answers: &mut Vec<Answer>) -> usize {
    let mut conversations = 0;
    for answer in Answer::ALL {
        let took = play(bench, answers, answer);
        conversations += 1;
        // It makes a difference what comes later only if it goes on after this answer.
        if took > answers.len() + 1 && answers.len() < DEPTH {
            answers.push(answer);
            conversations += explore(bench, answers);
            answers.pop();
        }
    }
    conversations
}

#[test]
fn every_order_of_answers() {
    let conversations: usize = thread::scope(|scope| {
        let versions: Vec<_> = (0..5)
            .map(|minor| {
                scope.spawn(move || {
                    let words = format!("version=1.{minor} asym=ecdsa-p256");
                    explore(&mut Bench::new(&words), &mut Vec::new())
                })
            })
            .collect();
        versions
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    // Past what captures the output of tests.
    let mut stderr = std::io::stderr();
    writeln!(stderr, "# {conversations} conversations of the model").unwrap();
    assert!(
        conversations > 5 * 4usize.pow(DEPTH as u32),
        "{conversations}"
    );
}
