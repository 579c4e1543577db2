// SPDX-License-Identifier: GPL-2.0

//! Whether a verdict is one that a requester may come to.

use crate::bench::Outcome;
use spdm_core::MeasurementStatus;
use std::collections::BTreeMap;

const GET_VERSION: u8 = 0x84;
const GET_MEASUREMENTS: u8 = 0xE0;
/// MeasurementOperation.
const COUNT: u8 = 0;
const ALL: u8 = 0xFF;
const CHUNK_SEND: u8 = 0x85;
const CHUNK_GET: u8 = 0x86;
const RESPOND_IF_READY: u8 = 0xFF;
const CHUNK_SEND_ACK: u8 = 0x05;
const CHUNK_RESPONSE: u8 = 0x06;
const ERROR: u8 = 0x7F;

/// Follows a conversation.
#[derive(Default)]
pub struct Oracle {
    /// The request that is being answered, whatever carries it.
    request: Vec<u8>,
    /// A response since GET_VERSION that was not as the device sent it, if there was one.
    altered: Option<Vec<u8>>,
    /// The same for MEASUREMENTS, by what was asked for last of each.
    measurements: BTreeMap<u8, Vec<u8>>,
}

impl Oracle {
    /// The requester sent `request` and received `response`. The device, or a device in that state,
    /// had sent one of `genuine`.
    pub fn follow(&mut self, request: &[u8], response: &[u8], genuine: &[&[u8]]) {
        match request.get(1) {
            Some(&(CHUNK_GET | RESPOND_IF_READY)) => {}
            Some(&CHUNK_SEND) => {
                // The request begins behind the first head.
                if let Some(inside) = request.get(16..).filter(|_| request[4..6] == [0, 0]) {
                    self.request = inside.to_vec();
                }
            }
            _ => self.request = request.to_vec(),
        }
        if self.request.get(1) == Some(&GET_VERSION) {
            *self = Oracle {
                request: self.request.clone(),
                ..Oracle::default()
            };
        }
        let received = what_counts(response);
        // One ERROR is as good as another: nothing in it counts.
        let is_genuine = genuine.iter().any(|genuine| {
            what_counts(genuine) == received || is_error(genuine) && is_error(response)
        });
        let measurement = match self.request[..] {
            [_, GET_MEASUREMENTS, _, operation, ..] => Some(operation),
            _ => None,
        };
        if measurement == Some(COUNT) {
            // They are taken one by one, and what came of all at once is void.
            self.measurements.remove(&ALL);
        }
        match measurement {
            Some(operation) if is_genuine => _ = self.measurements.remove(&operation),
            Some(operation) => _ = self.measurements.insert(operation, response.to_vec()),
            None if !is_genuine && !is_error(response) => self.altered = Some(response.to_vec()),
            None => {}
        }
    }

    /// How the conversation ended.
    ///
    /// # Panics
    ///
    /// If it may not end so.
    pub fn judge(&self, outcome: &Outcome) {
        if outcome.is_authenticated() {
            assert_eq!(self.altered, None, "{outcome:?}");
        }
        if outcome.report.measurements == (MeasurementStatus::Taken { signed: true }) {
            assert!(self.measurements.is_empty(), "{:?}", self.measurements);
        }
        assert!(
            !outcome.verdict.starts_with("internal-error"),
            "{outcome:?}"
        );
    }
}

/// No ERROR is in a transcript. It may be in an acknowledgement.
fn is_error(response: &[u8]) -> bool {
    matches!(
        response,
        [_, ERROR, ..]
            | [..=0x13, CHUNK_SEND_ACK, _, _, _, _, _, ERROR, ..]
            | [0x14, CHUNK_SEND_ACK, _, _, _, _, _, _, _, ERROR, ..]
    )
}

/// A response without what is in no transcript: the reserved fields of what carries a chunk.
fn what_counts(response: &[u8]) -> Vec<u8> {
    let mut response = response.to_vec();
    let early = response.first().is_some_and(|&version| version < 0x14);
    if let [_, CHUNK_RESPONSE | CHUNK_SEND_ACK, attributes, ..] = &mut response[..] {
        *attributes &= 1;
    }
    if let ([_, CHUNK_RESPONSE, _, _, _, _, reserved @ .., _], true) = (&mut response[..], early) {
        reserved.iter_mut().take(2).for_each(|octet| *octet = 0);
    }
    response
}
