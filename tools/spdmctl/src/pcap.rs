// SPDX-License-Identifier: GPL-2.0

//! Makes a pcap file of the messages that the tracepoint `spdm:spdm_message` showed, for DMTF's spdm-dump.

use crate::message::from_hex;
use anyhow::{ensure, Context, Result};

/// LINKTYPE_PCI_DOE, as spdm-dump numbers it: a packet is a data object.
const PCI_DOE: u32 = 292;
/// Largest packet in bytes: spdm-dump takes no more, and the kernel's messages are smaller.
const LARGEST: u32 = 1 << 16;

/// DOE header of a CMA/SPDM data object (PCIe r6.0, 6.30.1).
fn data_object(message: &[u8]) -> Vec<u8> {
    let words = 2 + message.len().div_ceil(4);
    let mut object = vec![1, 0, 1, 0];
    // CAST: a message has at most some KiB.
    object.extend((words as u32).to_le_bytes());
    object.extend(message);
    object.resize(4 * words, 0);
    object
}

/// Seconds and microseconds of a line: `… 12.345678: spdm_message: …`.
fn time(before: &str) -> Option<(u32, u32)> {
    let (seconds, micros) = before.trim_end().rsplit(' ').next()?.split_once('.')?;
    let micros = micros.trim_end_matches(':');
    Some((seconds.parse().ok()?, micros.parse().ok()?))
}

/// The file, and how many messages are in it.
///
/// # Errors
///
/// If a line cannot be read.
pub fn from_trace(text: &str, device: Option<&str>) -> Result<(Vec<u8>, usize)> {
    let mut pcap = Vec::new();
    pcap.extend(0xa1b2_c3d4_u32.to_le_bytes());
    pcap.extend([2, 0, 4, 0]);
    pcap.extend([0; 8]);
    pcap.extend(LARGEST.to_le_bytes());
    pcap.extend(PCI_DOE.to_le_bytes());
    let mut count = 0;
    // A long message comes in several lines.
    let mut message = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some((before, fields)) = line.split_once("spdm_message: ") else {
            continue;
        };
        let field = |name: &str| {
            let at = fields
                .find(name)
                .with_context(|| format!("line {number}: no {name}"))?;
            let value = &fields[at + name.len()..];
            Ok::<_, anyhow::Error>(value)
        };
        let word = |name| Ok::<_, anyhow::Error>(field(name)?.split(' ').next().unwrap_or(""));
        if device.is_some_and(|device| word("name=").ok() != Some(device)) {
            continue;
        }
        let len: usize = word(" len=")?.parse()?;
        let offset: usize = word(" offset=")?.parse()?;
        let data = field(" data=")?.replace(' ', "");
        let data = from_hex(&data).with_context(|| format!("line {number}"))?;
        if offset == 0 {
            message.clear();
        }
        ensure!(
            message.len() == offset,
            "line {number}: a part of a message is missing"
        );
        message.extend(data);
        if message.len() < len {
            continue;
        }
        let object = data_object(&message);
        let (seconds, micros) = time(before).unwrap_or_default();
        // CAST: see above.
        let size = (object.len() as u32).to_le_bytes();
        pcap.extend(seconds.to_le_bytes());
        pcap.extend(micros.to_le_bytes());
        pcap.extend(size);
        pcap.extend(size);
        pcap.extend(object);
        count += 1;
    }
    Ok((pcap, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "# tracer: nop\n\
        sh-80  [000] .....  12.345678: spdm_message: name=pci-0000:01:00.0 dir=request len=4 offset=0 data=10 84 00 00\n\
        sh-80  [000] .....  12.350000: spdm_message: name=pci-0000:01:00.0 dir=response len=5 offset=0 data=10 04 00\n\
        sh-80  [000] .....  12.350001: spdm_message: name=pci-0000:01:00.0 dir=response len=5 offset=3 data=00 01\n\
        sh-80  [000] .....  12.360000: spdm_message: name=pci-0000:02:00.0 dir=request len=4 offset=0 data=10 84 00 00\n";

    #[test]
    fn packets_are_data_objects() {
        let (pcap, count) = from_trace(TRACE, Some("pci-0000:01:00.0")).unwrap();
        assert_eq!(count, 2);
        assert_eq!(pcap[16..20], 0x10000u32.to_le_bytes());
        assert_eq!(pcap[20..24], 292u32.to_le_bytes());
        let first = &pcap[24..];
        assert_eq!(first[..8], [12, 0, 0, 0, 0x4e, 0x46, 5, 0]);
        assert_eq!(first[8..16], [12, 0, 0, 0, 12, 0, 0, 0]);
        assert_eq!(first[16..28], [1, 0, 1, 0, 3, 0, 0, 0, 0x10, 0x84, 0, 0]);
        let second = &first[28 + 16..];
        assert_eq!(
            second[..16],
            [1, 0, 1, 0, 4, 0, 0, 0, 0x10, 4, 0, 0, 1, 0, 0, 0]
        );
        assert_eq!(from_trace(TRACE, None).unwrap().1, 3);
    }

    #[test]
    fn a_part_is_missing() {
        let lines: Vec<_> = TRACE
            .lines()
            .filter(|line| !line.contains("offset=0 data=10 04"))
            .collect();
        assert!(from_trace(&lines.join("\n"), None).is_err());
    }
}
