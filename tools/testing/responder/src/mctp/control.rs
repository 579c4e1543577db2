// SPDX-License-Identifier: GPL-2.0

//! The control protocol, message type 0, as far as who wants to talk to an endpoint needs it
//! (DSP0236, "MCTP control messages").

use super::packet::{is_unicast, Eid};
use super::TYPE_SPDM;

/// Rq, D, and a reserved bit.
const REQUEST: u8 = 0x80;
const DATAGRAM: u8 = 0x40;
const INSTANCE_MASK: u8 = 0x1F;

const SET_ENDPOINT_ID: u8 = 0x01;
const GET_ENDPOINT_ID: u8 = 0x02;
const GET_ENDPOINT_UUID: u8 = 0x03;
const GET_VERSION_SUPPORT: u8 = 0x04;
const GET_MESSAGE_TYPE_SUPPORT: u8 = 0x05;

const SUCCESS: u8 = 0x00;
const ERROR_INVALID_DATA: u8 = 0x02;
const ERROR_INVALID_LENGTH: u8 = 0x03;
const ERROR_UNSUPPORTED_CMD: u8 = 0x05;
/// Of Get MCTP Version Support only.
const TYPE_NOT_SUPPORTED: u8 = 0x80;

/// In Get MCTP Version Support: the base specification, and the control protocol.
const BASE: u8 = 0xFF;
const CONTROL: u8 = 0x00;
/// 1.3.1, and 1.0 of DSP0275: a byte each for major, minor, update and alpha.
const VERSION_131: [u8; 4] = [0xF1, 0xF3, 0xF1, 0];
const VERSION_10: [u8; 4] = [0xF1, 0xF0, 0xFF, 0];

/// What an endpoint says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its EID; a bus owner may give it another one.
    pub eid: Eid,
    /// Its UUID.
    pub uuid: [u8; 16],
}

/// Answers a message of type 0, without that byte; `None` if there is no answer to it.
pub fn answer(identity: &mut Identity, request: &[u8]) -> Option<Vec<u8>> {
    let &[flags, command, ref data @ ..] = request else {
        return None;
    };
    // Neither an answer nor what wants none.
    if flags & (REQUEST | DATAGRAM) != REQUEST {
        return None;
    }
    let mut response = vec![flags & INSTANCE_MASK, command];
    match body(identity, command, data) {
        Ok(body) => {
            response.push(SUCCESS);
            response.extend(body);
        }
        Err(code) => response.push(code),
    }
    Some(response)
}

/// What follows the completion code, or that code.
fn body(identity: &mut Identity, command: u8, data: &[u8]) -> Result<Vec<u8>, u8> {
    match (command, data) {
        // Set and force; there is nothing to reset it to, and no flag of a discovery.
        (SET_ENDPOINT_ID, &[operation, eid]) => {
            if operation & 3 > 1 || !is_unicast(eid) {
                return Err(ERROR_INVALID_DATA);
            }
            identity.eid = eid;
            // Accepted, and no pool of EIDs to hand out.
            Ok(vec![0, eid, 0])
        }
        // A simple endpoint with a dynamic EID, nothing about the medium.
        (GET_ENDPOINT_ID, []) => Ok(vec![identity.eid, 0, 0]),
        (GET_ENDPOINT_UUID, []) => Ok(identity.uuid.to_vec()),
        (GET_VERSION_SUPPORT, &[of]) => {
            let version = match of {
                BASE | CONTROL => VERSION_131,
                TYPE_SPDM => VERSION_10,
                _ => return Err(TYPE_NOT_SUPPORTED),
            };
            Ok([&[1][..], &version].concat())
        }
        // The control protocol goes without saying.
        (GET_MESSAGE_TYPE_SUPPORT, []) => Ok(vec![1, TYPE_SPDM]),
        (SET_ENDPOINT_ID..=GET_MESSAGE_TYPE_SUPPORT, _) => Err(ERROR_INVALID_LENGTH),
        _ => Err(ERROR_UNSUPPORTED_CMD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Identity {
        Identity {
            eid: 9,
            uuid: [7; 16],
        }
    }

    fn ask(request: &[u8]) -> Vec<u8> {
        answer(&mut endpoint(), request).unwrap()
    }

    #[test]
    fn endpoints_tell_what_they_are() {
        assert_eq!(ask(&[0x80, 2]), [0, 2, 0, 9, 0, 0]);
        // With the number of the instance.
        assert_eq!(ask(&[0x9F, 5]), [0x1F, 5, 0, 1, 5]);
        assert_eq!(ask(&[0x81, 3])[..3], [1, 3, 0]);
        assert_eq!(ask(&[0x81, 3])[3..], [7; 16]);
        let versions = [1, 0xF1, 0xF3, 0xF1, 0];
        assert_eq!(ask(&[0x80, 4, 0xFF])[3..], versions);
        assert_eq!(ask(&[0x80, 4, 0])[3..], versions);
        assert_eq!(ask(&[0x80, 4, 5])[3..], [1, 0xF1, 0xF0, 0xFF, 0]);
        assert_eq!(ask(&[0x80, 4, 1]), [0, 4, 0x80]);
    }

    #[test]
    fn eids_are_set() {
        let mut endpoint = endpoint();
        let set = answer(&mut endpoint, &[0x80, 1, 0, 20]);
        assert_eq!(set, Some(vec![0, 1, 0, 0, 20, 0]));
        assert_eq!(endpoint.eid, 20);
        let forced = answer(&mut endpoint, &[0x80, 1, 1, 21]);
        assert_eq!(forced, Some(vec![0, 1, 0, 0, 21, 0]));
        for bad in [[0, 0], [0, 7], [0, 0xFF], [2, 9], [3, 9]] {
            let request = [0x80, 1, bad[0], bad[1]];
            assert_eq!(answer(&mut endpoint, &request), Some(vec![0, 1, 2]));
        }
        assert_eq!(endpoint.eid, 21);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for command in 1..=5 {
            let long = [0x80, command, 1, 2, 3];
            assert_eq!(ask(&long), [0, command, ERROR_INVALID_LENGTH]);
        }
        for command in [0, 6, 0x0A, 0xFF] {
            assert_eq!(ask(&[0x80, command]), [0, command, ERROR_UNSUPPORTED_CMD]);
        }
    }

    #[test]
    fn answers_and_datagrams_are_not_answered() {
        for request in [&[][..], &[0x80], &[0, 2, 0], &[0xC0, 2], &[0x40, 2]] {
            assert_eq!(answer(&mut endpoint(), request), None);
        }
    }
}
