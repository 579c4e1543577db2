// SPDX-License-Identifier: GPL-2.0

//! Which endpoint an administrator means. Knows nothing of the kernel, so that it is tested on the host.

/// Address of an endpoint in a network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Number of the network, as the kernel counts them; not zero.
    pub(crate) network: u32,
    /// Endpoint ID (DSP0236, "Endpoint ID"): 8 to 254.
    pub(crate) eid: u8,
}

/// Endpoint IDs below are null or reserved, 255 is broadcast (DSP0236, "Special endpoint IDs").
const FIRST_EID: u8 = 8;

impl Address {
    /// Makes an address of numbers that may be one.
    pub(crate) fn new(network: u32, eid: u32) -> Option<Self> {
        let eid = u8::try_from(eid).ok()?;
        (network != 0 && (FIRST_EID..u8::MAX).contains(&eid)).then_some(Self { network, eid })
    }
}

/// What is written to add or to remove an endpoint: network and EID in decimal and, to add it, `name=` and what its
/// certificate has to name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order<'a> {
    /// The endpoint.
    pub(crate) address: Address,
    /// What its leaf certificate has to name, `manufacturer:product:serial`. May have blanks, so it comes last.
    pub(crate) name: Option<&'a [u8]>,
}

/// Longest name; a certificate's may be longer, but is none that somebody would type.
const MAX_NAME: usize = 255;

impl<'a> Order<'a> {
    /// Reads what was written; [`None`] if it makes no sense.
    pub(crate) fn read(text: &'a [u8]) -> Option<Self> {
        let (network, rest) = word(text);
        let (eid, rest) = word(rest);
        let address = Address::new(decimal(network)?, decimal(eid)?)?;
        let name = match rest.trim_ascii() {
            b"" => None,
            rest => Some(rest.strip_prefix(b"name=")?),
        };
        if name.is_some_and(|name| name.is_empty() || name.len() > MAX_NAME) {
            return None;
        }
        Some(Self { address, name })
    }
}

/// The first word of `text`, and what follows it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    let end = text.iter().position(u8::is_ascii_whitespace);
    text.split_at_checked(end.unwrap_or(text.len()))
        .unwrap_or_default()
}

fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |value, &digit| {
        let digit = char::from(digit).to_digit(10)?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(network: u32, eid: u8, name: Option<&[u8]>) -> Option<Order<'_>> {
        let address = Address { network, eid };
        Some(Order { address, name })
    }

    #[test]
    fn endpoint() {
        assert_eq!(Order::read(b"1 8"), order(1, 8, None));
        assert_eq!(Order::read(b"  1\t254 \n"), order(1, 254, None));
        assert_eq!(Order::read(b"4294967295 9\n"), order(u32::MAX, 9, None));
    }

    #[test]
    fn name() {
        assert_eq!(
            Order::read(b"1 8 name=ACME:NIC 2000:0017\n"),
            order(1, 8, Some(b"ACME:NIC 2000:0017"))
        );
        let long = [&b"1 8 name="[..], &[b'x'; MAX_NAME]].concat();
        assert!(Order::read(&long).is_some());
        assert_eq!(Order::read(&[&long[..], b"x"].concat()), None);
    }

    #[test]
    fn none() {
        for text in [
            &b""[..],
            b" ",
            b"1",
            b"1 ",
            b"0 8",
            b"1 0",
            b"1 7",
            b"1 255",
            b"1 256",
            b"1 264",
            b"4294967296 8",
            b"-1 8",
            b"+1 8",
            b"1 0x9",
            b"1,8",
            b"one 8",
            b"1 8 9",
            b"1 8 name",
            b"1 8 name=",
            b"1 8 name= ",
            b"1 8 mane=x",
            b"\xff 8",
        ] {
            assert_eq!(Order::read(text), None, "{text:?}");
        }
    }
}
