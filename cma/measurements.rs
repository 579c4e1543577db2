// SPDX-License-Identifier: GPL-2.0

//! Measurements as user space sees them, and those that an administrator expects.

use crate::evidence::Bytes;
use core::fmt::Write;
use kernel::prelude::*;
use spdm_core::{
    MeasurementBlock,
    MeasurementBlocks,
    MeasurementStatus, //
};

/// Writes what `measurements_status` says.
pub(crate) fn write_status(
    writer: &mut impl Write,
    status: &MeasurementStatus,
) -> core::fmt::Result {
    match status {
        MeasurementStatus::NotTaken => writer.write_str("none"),
        MeasurementStatus::Unsupported => writer.write_str("unsupported"),
        MeasurementStatus::Taken { signed: true } => writer.write_str("signed"),
        MeasurementStatus::Taken { signed: false } => writer.write_str("unsigned"),
        MeasurementStatus::Failed(error) => write!(writer, "failed: {error}"),
    }
}

/// Writes a measurement as a line of `measurements`, without the end of the line.
fn write_block(writer: &mut impl Write, block: &MeasurementBlock<'_>) -> core::fmt::Result {
    write!(writer, "{} ", block.index)?;
    match (block.type_name(), block.value_type) {
        (Some(name), _) => writer.write_str(name)?,
        (None, Some(value_type)) => write!(writer, "type-{value_type}")?,
        (None, None) => writer.write_str("vendor")?,
    }
    writer.write_str(if block.raw { " raw " } else { " digest " })?;
    block
        .value
        .iter()
        .try_for_each(|byte| write!(writer, "{byte:02x}"))
}

/// Writes `measurements`.
pub(crate) fn write_blocks(writer: &mut impl Write, record: &[u8]) -> core::fmt::Result {
    MeasurementBlocks::new(record).try_for_each(|block| {
        write_block(writer, &block)?;
        writer.write_str("\n")
    })
}

/// Most text of reference values, in bytes.
const MAX_REFERENCE: usize = 256 << 10;

/// The measurements that an administrator expects: lines as in `measurements`.
#[derive(Default)]
pub(crate) struct Reference(Bytes);

impl Reference {
    /// Makes one of the text before and what follows it at `offset`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a line is none, or `offset` is neither 0 nor where the text ends, `EFBIG` if it is too long.
    pub(crate) fn with(before: Option<&Self>, offset: usize, text: &[u8]) -> Result<Self> {
        let before = match (offset, before) {
            (0, _) => &[][..],
            (_, Some(before)) if before.text().len() == offset => before.text(),
            _ => return Err(EINVAL),
        };
        if offset.saturating_add(text.len()) > MAX_REFERENCE {
            return Err(EFBIG);
        }
        let mut reference = Self::default();
        reference.0.append(before)?;
        reference.0.append(text)?;
        // A long text comes in parts, and the last line of a part need not be whole.
        let lines = reference.text().split_inclusive(|byte| *byte == b'\n');
        for line in lines.filter(|line| line.ends_with(b"\n")) {
            parse_reference(line)?;
        }
        Ok(reference)
    }

    /// The text.
    pub(crate) fn text(&self) -> &[u8] {
        self.0.get()
    }

    /// Whether the last line is a whole one.
    pub(crate) fn is_whole(&self) -> bool {
        self.text().ends_with(b"\n")
    }

    /// Whether nothing is expected.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines().next().is_none()
    }

    fn lines(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.text()
            .split(|byte| *byte == b'\n')
            .filter_map(|line| parse_reference(line).ok().flatten())
    }

    /// The index of a measurement in `record` that is not as expected, if there is one.
    pub(crate) fn mismatch(&self, record: &[u8]) -> Option<u8> {
        let differs = |(index, line): &(u8, &[u8])| {
            let mut blocks = MeasurementBlocks::new(record);
            !blocks.any(|block| {
                let mut rest = Rest(line);
                block.index == *index && write_block(&mut rest, &block).is_ok() && rest.0.is_empty()
            })
        };
        self.lines().find(differs).map(|(index, _)| index)
    }
}

/// What is left of a line when what was written has been compared with its beginning.
struct Rest<'a>(&'a [u8]);

impl Write for Rest<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0 = self
            .0
            .strip_prefix(text.as_bytes())
            .ok_or(core::fmt::Error)?;
        Ok(())
    }
}

/// The index in a line of reference values, and the line without blanks around it; `None` if it is empty or a comment.
fn parse_reference(line: &[u8]) -> Result<Option<(u8, &[u8])>> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    let mut words = line.split(|byte| *byte == b' ');
    let words = [(); 5].map(|()| words.next());
    let [Some(index), Some(kind), Some(b"raw" | b"digest"), Some(value), None] = words else {
        return Err(EINVAL);
    };
    let mut number = 0u8;
    for digit in index {
        let digit = char::from(*digit).to_digit(10).ok_or(EINVAL)?;
        let digit = u8::try_from(digit).map_err(|_| EINVAL)?;
        let tens = number.checked_mul(10).ok_or(EINVAL)?;
        number = tens.checked_add(digit).ok_or(EINVAL)?;
    }
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let even = value.len() & 1 == 0;
    match number {
        1..=254 if !kind.is_empty() && even && value.iter().all(is_hex) => Ok(Some((number, line))),
        _ => Err(EINVAL),
    }
}

#[cfg(CONFIG_SPDM_KUNIT_TEST)]
#[kunit_tests(spdm_measurements)]
mod tests {
    use super::*;

    /// Blocks 1 (digest) and 5 (raw).
    const RECORD: &[u8] = b"\x01\x01\x05\x00\x01\x02\x00\xab\xcd\x05\x01\x04\x00\x86\x01\x00\x07";
    const LINES: &[u8] = b"1 mutable-firmware digest abcd\n5 version raw 07\n";

    fn mismatch(text: &[u8]) -> Result<Option<u8>> {
        Reference::with(None, 0, text).map(|reference| reference.mismatch(RECORD))
    }

    #[test]
    fn what_is_written_is_what_is_expected() -> Result {
        let mut text = Bytes::default();
        write_blocks(&mut text, RECORD).map_err(|_| ENOMEM)?;
        assert!(text.get() == LINES);
        assert!(mismatch(LINES)?.is_none());
        Ok(())
    }

    #[test]
    fn other_values() -> Result {
        assert!(mismatch(b"1 mutable-firmware digest abce\n")? == Some(1));
        assert!(mismatch(b"1 mutable-firmware digest abcd00\n")? == Some(1));
        assert!(mismatch(b"1 mutable-firmware digest ab\n")? == Some(1));
        assert!(mismatch(b"1 immutable-rom digest abcd\n")? == Some(1));
        assert!(mismatch(b"1 mutable-firmware raw abcd\n")? == Some(1));
        assert!(mismatch(b"# pinned\n\n5 version raw 07\n9 version raw 07\n")? == Some(9));
        Ok(())
    }

    #[test]
    fn what_is_no_line() {
        for text in [
            &b"0 version raw 07\n"[..],
            b"255 version raw 07\n",
            b"300 version raw 07\n",
            b"x version raw 07\n",
            b"1 version cooked 07\n",
            b"1 version raw 0\n",
            b"1 version raw 0G\n",
            b"1 version raw AB\n",
            b"1 version raw\n",
            b"1 version raw 07 08\n",
            b"1  raw 07\n",
        ] {
            assert!(mismatch(text).is_err());
        }
    }

    #[test]
    fn text_in_parts() -> Result {
        let (first, second) = LINES.split_at(40);
        let first = Reference::with(None, 0, first)?;
        assert!(!first.is_whole());
        let whole = Reference::with(Some(&first), 40, second)?;
        assert!(whole.is_whole() && whole.text() == LINES);
        assert!(Reference::with(Some(&first), 39, second).is_err());
        assert!(Reference::with(None, 40, second).is_err());
        Ok(())
    }
}
