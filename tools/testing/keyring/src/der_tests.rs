// SPDX-License-Identifier: GPL-2.0

//! Tests of the DER reader and of what is made of it: times and texts.

use crate::der::{tag, Malformed, Reader};
use crate::text::Text;
use crate::time;

/// Reads one value and expects the end.
fn whole(bytes: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(bytes);
    let element = reader.any()?;
    reader.finish()?;
    assert_eq!(element.raw, bytes);
    assert_eq!(element.tag, bytes[0]);
    Ok(element.value)
}

#[test]
fn reads_lengths() {
    assert_eq!(whole(&[0x04, 0x00]), Ok(&[][..]));
    assert_eq!(whole(&[0x04, 0x02, 1, 2]), Ok(&[1, 2][..]));
    for len in [0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0x12_3456] {
        let bytes = crate::builder::tlv(0x04, &vec![7; len]);
        assert_eq!(whole(&bytes).unwrap().len(), len);
        assert_eq!(whole(&bytes[..bytes.len() - 1]), Err(Malformed));
    }
}

#[test]
fn refuses_lengths_that_are_not_der() {
    let refused: &[&[u8]] = &[
        &[],
        &[0x04],
        // Beyond the end.
        &[0x04, 0x01],
        &[0x04, 0x81],
        &[0x04, 0x82, 0x01],
        // Indefinite.
        &[0x24, 0x80, 0x00, 0x00],
        // Not minimal.
        &[0x04, 0x81, 0x01, 0x00],
        &[0x04, 0x81, 0x00],
        &[0x04, 0x82, 0x00, 0x01, 0x00],
        &[0x04, 0x84, 0x00, 0x00, 0x00, 0x01, 0x00],
        // 4 GiB, and more.
        &[0x04, 0x84, 0xff, 0xff, 0xff, 0xff],
        &[0x04, 0x85, 0x01, 0x00, 0x00, 0x00, 0x00],
        &[0x04, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x04, 0xff],
        // A tag number of more than one octet.
        &[0x1f, 0x81, 0x01, 0x00],
        &[0xbf, 0x1f, 0x00],
        // Left over.
        &[0x04, 0x01, 0x00, 0x00],
    ];
    for bytes in refused {
        assert_eq!(whole(bytes), Err(Malformed), "{bytes:x?}");
    }
    // Not minimal, at the limits of each form.
    for (header, len) in [
        (&[0x04, 0x81, 0x7f][..], 0x7f),
        (&[0x04, 0x82, 0x00, 0x80], 0x80),
        (&[0x04, 0x82, 0x00, 0xff], 0xff),
        (&[0x04, 0x83, 0x00, 0x01, 0x00], 0x100),
    ] {
        let mut long = header.to_vec();
        long.resize(header.len() + len, 0);
        assert_eq!(whole(&long), Err(Malformed), "{header:x?}");
    }
}

#[test]
fn reads_booleans() {
    let read = |bytes| Reader::new(bytes).default_false();
    assert_eq!(read(&[]), Ok(false));
    assert_eq!(read(&[0x02, 0x01, 0x00]), Ok(false));
    assert_eq!(read(&[0x01, 0x01, 0xff]), Ok(true));
    for value in [
        &[0x01, 0x01, 0x00][..],
        &[1, 1, 1],
        &[1, 0],
        &[1, 2, 0xff, 0xff],
    ] {
        assert_eq!(read(value), Err(Malformed), "{value:x?}");
    }
}

#[test]
fn reads_integers() {
    let unsigned = |bytes| Reader::new(bytes).unsigned();
    let small = |bytes| Reader::new(bytes).small_unsigned();
    assert_eq!(unsigned(&[2, 1, 0]), Ok(&[][..]));
    assert_eq!(unsigned(&[2, 1, 0x7f]), Ok(&[0x7f][..]));
    assert_eq!(unsigned(&[2, 2, 0x00, 0x80]), Ok(&[0x80][..]));
    assert_eq!(small(&[2, 1, 0]), Ok(0));
    assert_eq!(small(&[2, 2, 1, 0]), Ok(256));
    assert_eq!(small(&[2, 5, 0, 0xff, 0xff, 0xff, 0xff]), Ok(u32::MAX));
    assert_eq!(small(&[2, 5, 1, 0, 0, 0, 0]), Err(Malformed));
    assert_eq!(small(&[2, 1, 0xff]), Err(Malformed));
    assert_eq!(Reader::new(&[2, 1, 0xff]).integer(), Ok(&[0xff][..]));
    for value in [
        &[2, 0][..],
        &[2, 2, 0, 0x7f],
        &[2, 2, 0xff, 0x80],
        &[4, 1, 0],
    ] {
        assert_eq!(Reader::new(value).integer(), Err(Malformed), "{value:x?}");
    }
}

#[test]
fn reads_bit_strings() {
    let read = |bytes| Reader::new(bytes).bit_string();
    assert_eq!(read(&[3, 1, 0]), Ok((0, &[][..])));
    assert_eq!(read(&[3, 2, 0, 0xff]), Ok((0, &[0xff][..])));
    assert_eq!(read(&[3, 2, 7, 0x80]), Ok((7, &[0x80][..])));
    assert_eq!(read(&[3, 3, 1, 0xff, 0xfe]), Ok((1, &[0xff, 0xfe][..])));
    for value in [
        &[3, 0][..],
        &[3, 1, 1],
        &[3, 2, 8, 0],
        &[3, 2, 0xff, 0],
        &[3, 2, 1, 0x01],
        &[3, 2, 7, 0x40],
    ] {
        assert_eq!(read(value), Err(Malformed), "{value:x?}");
    }
}

#[test]
fn reads_object_identifiers() {
    let read = |bytes| Reader::new(bytes).object_identifier();
    assert_eq!(read(&[6, 3, 0x67, 0x81, 0x13]), Ok(&[0x67, 0x81, 0x13][..]));
    assert_eq!(read(&[6, 3, 0x67, 0x81, 0x00]), Ok(&[0x67, 0x81, 0x00][..]));
    for value in [
        &[6, 0][..],
        &[6, 1, 0x80],
        &[6, 2, 0x67, 0x81],
        &[6, 4, 0x67, 0x80, 0x81, 0x13],
    ] {
        assert_eq!(read(value), Err(Malformed), "{value:x?}");
    }
    assert_eq!(crate::builder::oid("2.23.147"), [6, 3, 0x67, 0x81, 0x13]);
}

#[test]
fn optional_takes_only_its_tag() {
    let mut reader = Reader::new(&[2, 1, 5, 4, 0]);
    assert_eq!(reader.optional(tag::OCTET_STRING), Ok(None));
    assert_eq!(reader.optional(tag::INTEGER).unwrap().unwrap().value, [5]);
    assert!(!reader.is_empty());
    assert_eq!(reader.expect(tag::INTEGER), Err(Malformed));
    let mut broken = Reader::new(&[2, 5]);
    assert_eq!(broken.optional(tag::INTEGER), Err(Malformed));
}

/// Reads a Time.
fn read_time(tag: u8, text: &str) -> Result<i64, Malformed> {
    time::read(&mut Reader::new(&crate::builder::tlv(tag, text.as_bytes())))
}

#[test]
fn reads_times() {
    let utc = |text| read_time(0x17, text);
    let generalized = |text| read_time(0x18, text);
    // By `date -u -d ... +%s`.
    assert_eq!(utc("700101000000Z"), Ok(0));
    assert_eq!(utc("700301000000Z"), Ok(5_097_600));
    assert_eq!(utc("720229235959Z"), Ok(68_255_999));
    assert_eq!(utc("991231235959Z"), Ok(946_684_799));
    assert_eq!(utc("000101000000Z"), Ok(946_684_800));
    assert_eq!(utc("000229120000Z"), Ok(951_825_600));
    assert_eq!(utc("261123164412Z"), Ok(1_795_452_252));
    assert_eq!(utc("491231235959Z"), Ok(2_524_607_999));
    assert_eq!(generalized("20500101000000Z"), Ok(2_524_608_000));
    assert_eq!(generalized("21000301000000Z"), Ok(4_107_542_400));
    assert_eq!(generalized("24000229000000Z"), Ok(13_574_563_200));
    // RFC 5280 section 4.1.2.5: no well-defined end.
    assert_eq!(generalized("99991231235959Z"), Ok(253_402_300_799));
}

#[test]
fn every_day_follows_the_one_before() {
    let mut expected = 0;
    let mut count = 0u32;
    for year in 1970..=9999u32 {
        for month in 1..=12 {
            for day in 1..=31 {
                let text = if year < 2050 {
                    format!("{:02}{month:02}{day:02}000000Z", year % 100)
                } else {
                    format!("{year:04}{month:02}{day:02}000000Z")
                };
                if let Ok(time) = read_time(if year < 2050 { 0x17 } else { 0x18 }, &text) {
                    assert_eq!(time, expected, "{text}");
                    expected += 86_400;
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, 2_932_897);
}

#[test]
fn refuses_times() {
    for text in [
        "",
        "Z",
        "26112316441Z",
        "2611231644Z",
        "261123164412",
        "261123164412z",
        "261123164412+0000",
        "261123164412ZZ",
        "2611231644120Z",
        "26112316441 Z",
        "2611231644/2Z",
        "2611231644:2Z",
        "260001000000Z",
        "261301000000Z",
        "260100000000Z",
        "260132000000Z",
        "260230000000Z",
        "250229000000Z",
        "260431000000Z",
        "260101240000Z",
        "260101006000Z",
        "260101000060Z",
        "691231235959Z",
        "500101000000Z",
    ] {
        assert_eq!(read_time(0x17, text), Err(Malformed), "{text}");
    }
    for text in [
        "20491231235959Z",
        "20500101000000",
        "20500101000000.0Z",
        "20500101000000.5Z",
        "21000229000000Z",
        "19500101000000Z",
        "00000101000000Z",
        "500101000000Z",
    ] {
        assert_eq!(read_time(0x18, text), Err(Malformed), "{text}");
    }
    assert_eq!(read_time(0x04, "261123164412Z"), Err(Malformed));
}

#[test]
fn texts_are_printable_and_bounded() {
    assert_eq!(Text::EMPTY.as_str(), "");
    assert_eq!(Text::new("CN=", b"Root 1").as_str(), "CN=Root 1");
    assert_eq!(
        Text::new("", b"a\nb\0\\\x7f\xc3\xbc~ ").as_str(),
        "a\\x0ab\\x00\\x5c\\x7f\\xc3\\xbc~ "
    );
    let full = [b'x'; Text::CAPACITY];
    assert_eq!(Text::new("", &full).as_str().as_bytes(), full);
    for len in [Text::CAPACITY + 1, 200, 100_000] {
        let text = Text::new("", &vec![b'x'; len]);
        assert_eq!(text.as_str().len(), Text::CAPACITY);
        assert!(text.as_str().ends_with("xxx..."));
    }
    // Escapes are not cut in the middle; the mark always fits.
    for prefix in 0..8 {
        let text = Text::new(&"p".repeat(prefix), &[0xff; 64]);
        assert!(text.as_str().len() <= Text::CAPACITY);
        assert!(text.as_str().ends_with("..."));
        assert!(text.as_str().is_ascii());
    }
}
