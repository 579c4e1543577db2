// SPDX-License-Identifier: GPL-2.0

//! The size of the module, by the directory that its parts come from.

use anyhow::{
    ensure,
    Context,
    Result, //
};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Bytes of text and data by room, from the module's symbols; what has none is in no room.
///
/// # Errors
///
/// If nm does not read the module.
pub fn by_room(module: &Path) -> Result<BTreeMap<&'static str, u64>> {
    let output = Command::new("nm")
        .args(["--print-size", "--demangle=rust"])
        .arg(module)
        .output()
        .context("nm")?;
    ensure!(
        output.status.success(),
        "nm cannot read {}",
        module.display()
    );
    Ok(rooms(&String::from_utf8_lossy(&output.stdout)))
}

/// Sums up what nm prints: `ADDRESS SIZE TYPE NAME`.
fn rooms(symbols: &str) -> BTreeMap<&'static str, u64> {
    let mut rooms = BTreeMap::new();
    for line in symbols.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some(_), Some(size), Some(kind), Some(name)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let Ok(size) = u64::from_str_radix(size, 16) else {
            continue;
        };
        let name = name.trim_start_matches('<');
        let room = match kind {
            "b" | "B" => "zeroed data",
            _ if name.contains("spdm_core") => "spdm/",
            _ if name.contains("spdm::doe::") => "doe/",
            _ if name.contains("spdm::mctp::") => "mctp/",
            _ if name.contains("spdm::keyring::") => "keyring/",
            _ if name.contains("spdm::") => "cma/",
            _ => "C, and code of the kernel crate that is instantiated here",
        };
        for room in [room, "all"] {
            *rooms.entry(room).or_default() += size;
        }
    }
    rooms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_in_the_room_of_their_path() {
        let rooms = rooms(
            "0000000000000000 0000000000000010 t <spdm_core::exchange::Exchange<T>>::send\n\
             0000000000000010 0000000000000020 t <spdm::doe::Doe as spdm::x>::exchange\n\
             0000000000000030 0000000000000004 r spdm::keyring::der::OID\n\
             0000000000000034 0000000000000001 T spdm_seal\n\
             0000000000000040 0000000000000008 b spdm::subsystem::RUNNING\n\
                              U printk\n",
        );
        assert_eq!(rooms["spdm/"], 16);
        assert_eq!(rooms["doe/"], 32);
        assert_eq!(rooms["keyring/"], 4);
        assert_eq!(rooms["zeroed data"], 8);
        assert_eq!(rooms["all"], 16 + 32 + 4 + 1 + 8);
    }
}
