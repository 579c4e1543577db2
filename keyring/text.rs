// SPDX-License-Identifier: GPL-2.0

//! Short text for people, made of what a device sent.

/// At most [`Text::CAPACITY`] bytes of printable ASCII.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    // Invariant: the first `len` bytes are printable ASCII.
    bytes: [u8; Text::CAPACITY],
    len: usize,
}

impl Text {
    /// Most bytes that a text has. Enough for the longest CMA subjectAltName; others are cut.
    pub(crate) const CAPACITY: usize = 80;

    /// No text.
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; Self::CAPACITY],
        len: 0,
    };

    /// Makes a text of `prefix` and `bytes`.
    ///
    /// What is not printable ASCII, and the backslash, becomes `\xNN`: nothing that a device sends can
    /// end a line or pass for something else. What does not fit is cut and replaced by `...`.
    pub(crate) fn new(prefix: &str, bytes: &[u8]) -> Self {
        let mut text = Self::EMPTY;
        for &byte in prefix.as_bytes().iter().chain(bytes) {
            let escaped = [b'\\', b'x', hex_digit(byte >> 4), hex_digit(byte)];
            let written = match byte {
                b'\\' => text.push(&escaped),
                b' '..=b'~' => text.push(&[byte]),
                _ => text.push(&escaped),
            };
            if !written {
                text.cut();
                break;
            }
        }
        text
    }

    /// Returns the text.
    pub(crate) fn as_str(&self) -> &str {
        // ASCII is UTF-8, so the default is never used.
        core::str::from_utf8(self.bytes.get(..self.len).unwrap_or_default()).unwrap_or_default()
    }

    /// Appends all of `piece` or nothing; returns which.
    fn push(&mut self, piece: &[u8]) -> bool {
        let Some(end) = self.len.checked_add(piece.len()) else {
            return false;
        };
        match self.bytes.get_mut(self.len..end) {
            Some(room) => {
                for (to, from) in room.iter_mut().zip(piece) {
                    *to = *from;
                }
                self.len = end;
                true
            }
            None => false,
        }
    }

    /// Marks a full text as cut.
    fn cut(&mut self) {
        const MARK: &[u8] = b"...";
        self.len = self.len.min(Self::CAPACITY.saturating_sub(MARK.len()));
        // INVARIANT: The mark is printable. It fits: there are as many bytes left as it has.
        self.push(MARK);
    }
}

/// Hexadecimal digit for the low four bits of `nibble`.
pub(crate) const fn hex_digit(nibble: u8) -> u8 {
    match nibble & 0xf {
        digit @ 0..=9 => b'0' | digit,
        letter => b'a'.wrapping_add(letter.wrapping_sub(10)),
    }
}
