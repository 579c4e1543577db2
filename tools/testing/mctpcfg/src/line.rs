// SPDX-License-Identifier: GPL-2.0

//! A serial line as a network device.

use anyhow::{Context, Result};
use mctpcfg::{make_raw, open_line, set_discipline, N_MCTP, N_TTY};
use std::collections::BTreeSet;
use std::fs::{read_to_string, File};
use std::path::Path;

/// The devices of serial lines in this network namespace.
fn devices() -> Result<BTreeSet<String>> {
    let table = read_to_string("/proc/self/net/dev")?;
    let names = table.lines().filter_map(|line| line.split_once(':'));
    let names = names.map(|(name, _)| name.trim().to_owned());
    Ok(names
        .filter(|name| name.starts_with("mctpserial"))
        .collect())
}

/// Makes a line a network device, and says its name. It is one until the file is closed.
///
/// # Errors
///
/// If there is no such line, or no N_MCTP.
pub fn attach(path: &Path) -> Result<(File, String)> {
    let line = open_line(path).with_context(|| path.display().to_string())?;
    make_raw(&line)?;
    // A pseudo terminal keeps its discipline as long as its other side is open.
    set_discipline(&line, N_TTY).context("N_TTY")?;
    let before = devices()?;
    set_discipline(&line, N_MCTP).context("N_MCTP")?;
    let after = devices()?;
    let device = after.difference(&before).next();
    let device = device.context("no network device")?.clone();
    Ok((line, device))
}
