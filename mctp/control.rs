// SPDX-License-Identifier: GPL-2.0

//! The one message of the MCTP control protocol that is spoken: Get Message Type Support (DSP0236, "Get Message Type
//! Support"). Knows nothing of the kernel, so that it is tested on the host.

/// Message type of the control protocol (DSP0236, "MCTP control messages").
pub(crate) const MESSAGE_TYPE: u8 = 0x00;

/// Command code of Get Message Type Support.
const GET_MESSAGE_TYPE_SUPPORT: u8 = 0x05;
/// The message is a request (DSP0236, "Rq").
const REQUEST: u8 = 0x80;
/// The instance of a request; the tag tells them apart already.
const INSTANCE: u8 = 0x01;
/// SUCCESS.
const SUCCESS: u8 = 0x00;

/// Longest response in bytes: four and every message type there can be.
pub(crate) const MAX_RESPONSE: usize = 4 + 255;

/// The request, without its message type.
pub(crate) const REQUEST_TYPES: [u8; 2] = [REQUEST | INSTANCE, GET_MESSAGE_TYPE_SUPPORT];

/// Whether `response`, without its message type, says that messages of `kind` are supported.
pub(crate) fn supports(response: &[u8], kind: u8) -> bool {
    match response {
        [INSTANCE, GET_MESSAGE_TYPE_SUPPORT, SUCCESS, count, kinds @ ..] => {
            kinds.len() == usize::from(*count) && kinds.contains(&kind)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks() {
        assert_eq!((MESSAGE_TYPE, REQUEST_TYPES), (0, [0x81, 5]));
    }

    #[test]
    fn says_so() {
        assert!(supports(&[1, 5, 0, 1, 5], 5));
        assert!(supports(&[1, 5, 0, 3, 0, 6, 5], 5));
        let mut longest = [5; MAX_RESPONSE];
        longest[..4].copy_from_slice(&[1, 5, 0, 255]);
        assert!(supports(&longest, 5));
    }

    #[test]
    fn does_not() {
        for response in [
            &[][..],
            &[1, 5, 0],
            &[1, 5, 0, 0],
            &[1, 5, 0, 2, 0, 6],
            // What it says is not as long as it says.
            &[1, 5, 0, 2, 5],
            &[1, 5, 0, 0, 5],
            // An error, another command, another instance, a datagram, a request.
            &[1, 5, 1, 1, 5],
            &[1, 4, 0, 1, 5],
            &[2, 5, 0, 1, 5],
            &[0x41, 5, 0, 1, 5],
            &[0x81, 5, 0, 1, 5],
        ] {
            assert!(!supports(response, 5), "{response:?}");
        }
    }
}
