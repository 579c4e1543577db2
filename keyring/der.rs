// SPDX-License-Identifier: GPL-2.0

//! Reader of the Distinguished Encoding Rules (ITU-T X.690 section 10).
//!
//! It reads what a device sent, so it takes nothing on trust: lengths are definite, minimal and within
//! the bytes that are there, and every reader is asked at the end whether something is left over. It
//! copies nothing, allocates nothing and has no way to panic.

/// The bytes are not DER, or not what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Result of reading.
pub(crate) type Result<T> = core::result::Result<T, Malformed>;

/// Identifier octets (ITU-T X.680 section 8.4) of the types that certificates use.
pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    /// Context-specific primitive type `number`, below 31.
    pub(crate) const fn context(number: u8) -> u8 {
        0x80 | number
    }

    /// Context-specific constructed type `number`, below 31.
    pub(crate) const fn context_constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// One encoded value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// Identifier octet.
    pub(crate) tag: u8,
    /// Contents octets.
    pub(crate) value: &'a [u8],
    /// The whole encoding.
    pub(crate) raw: &'a [u8],
}

/// Reads encoded values one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts to read `bytes`.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything was read.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if something is left over.
    pub(crate) fn finish(self) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// Reads the next value, whatever it is.
    ///
    /// # Errors
    ///
    /// [`Malformed`]: the end, a tag number above 30, a length that is indefinite, not minimal or
    /// beyond the end.
    pub(crate) fn any(&mut self) -> Result<Element<'a>> {
        let start = self.rest;
        let (&tag, rest) = start.split_first().ok_or(Malformed)?;
        if tag & 0x1f == 0x1f {
            return Err(Malformed);
        }
        let (&first, rest) = rest.split_first().ok_or(Malformed)?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // One to four length octets: more than any certificate needs.
            0x81..=0x84 => {
                let octets = usize::from(first & 0x7f);
                let (octets, rest) = rest.split_at_checked(octets).ok_or(Malformed)?;
                // X.690 section 10.1: as few octets as possible.
                if octets.first() == Some(&0) {
                    return Err(Malformed);
                }
                let length = octets.iter().fold(0u32, |n, &o| (n << 8) | u32::from(o));
                if length < 0x80 {
                    return Err(Malformed);
                }
                (usize::try_from(length).map_err(|_| Malformed)?, rest)
            }
            _ => return Err(Malformed),
        };
        let (value, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        let used = start.len().checked_sub(rest.len()).ok_or(Malformed)?;
        let raw = start.get(..used).ok_or(Malformed)?;
        self.rest = rest;
        Ok(Element { tag, value, raw })
    }

    /// Reads the next value, which must have `tag`.
    ///
    /// # Errors
    ///
    /// [`Malformed`], also for another tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<Element<'a>> {
        let element = self.any()?;
        if element.tag == tag {
            Ok(element)
        } else {
            Err(Malformed)
        }
    }

    /// Reads the next value if it has `tag`.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it has and is broken.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>> {
        if self.rest.first() == Some(&tag) {
            self.any().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Reads a value of type `tag` that contains other values; returns their reader.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub(crate) fn constructed(&mut self, tag: u8) -> Result<Reader<'a>> {
        Ok(Self::new(self.expect(tag)?.value))
    }

    /// Reads `BOOLEAN DEFAULT FALSE`: in DER it is there only if it is TRUE (X.690 sections 11.1, 11.5).
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub(crate) fn default_false(&mut self) -> Result<bool> {
        match self.optional(tag::BOOLEAN)? {
            None => Ok(false),
            Some(element) if element.value == [0xff] => Ok(true),
            Some(_) => Err(Malformed),
        }
    }

    /// Reads an INTEGER; returns its contents octets, big-endian two's complement, at least one.
    ///
    /// # Errors
    ///
    /// [`Malformed`], also if there are more octets than needed (X.690 section 8.3.2).
    pub(crate) fn integer(&mut self) -> Result<&'a [u8]> {
        let value = self.expect(tag::INTEGER)?.value;
        match value {
            [] | [0x00, 0x00..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => Err(Malformed),
            _ => Ok(value),
        }
    }

    /// Reads an INTEGER that is not negative; returns its magnitude, big-endian, without leading zeros.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub(crate) fn unsigned(&mut self) -> Result<&'a [u8]> {
        match self.integer()? {
            [0x80..=0xff, ..] => Err(Malformed),
            [0x00, magnitude @ ..] => Ok(magnitude),
            magnitude => Ok(magnitude),
        }
    }

    /// Reads an INTEGER between 0 and [`u32::MAX`].
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub(crate) fn small_unsigned(&mut self) -> Result<u32> {
        let magnitude = self.unsigned()?;
        if magnitude.len() > 4 {
            return Err(Malformed);
        }
        Ok(magnitude
            .iter()
            .fold(0, |n: u32, &octet| (n << 8) | u32::from(octet)))
    }

    /// Reads a BIT STRING; returns the number of unused bits in its last octet, 0 to 7, and its octets.
    ///
    /// # Errors
    ///
    /// [`Malformed`], also if unused bits are not zero (X.690 section 11.2).
    pub(crate) fn bit_string(&mut self) -> Result<(u8, &'a [u8])> {
        let (&unused, octets) = self
            .expect(tag::BIT_STRING)?
            .value
            .split_first()
            .ok_or(Malformed)?;
        let padding = match (unused, octets.last()) {
            (0, _) => 0,
            (1..=7, Some(last)) => last & !(0xffu8 << unused),
            _ => return Err(Malformed),
        };
        if padding == 0 {
            Ok((unused, octets))
        } else {
            Err(Malformed)
        }
    }

    /// Reads an OBJECT IDENTIFIER; returns its contents octets, in which two are equal that name the same.
    ///
    /// # Errors
    ///
    /// [`Malformed`], also if it is empty, ends within a subidentifier, or has a subidentifier with a
    /// leading zero (X.690 section 8.19.2).
    pub(crate) fn object_identifier(&mut self) -> Result<&'a [u8]> {
        let value = self.expect(tag::OBJECT_IDENTIFIER)?.value;
        let mut last = 0u8;
        for &octet in value {
            if octet == 0x80 && last & 0x80 == 0 {
                return Err(Malformed);
            }
            last = octet;
        }
        if value.is_empty() || last & 0x80 != 0 {
            return Err(Malformed);
        }
        Ok(value)
    }
}
