// SPDX-License-Identifier: GPL-2.0

//! What the kernel shows of the devices, in /sys/class/spdm.

use anyhow::{bail, Context, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// An SPDM device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Name in the class: pci-0000:01:00.0.
    pub name: String,
    entry: PathBuf,
}

/// All of them, by name.
///
/// # Errors
///
/// Fails if SPDM is not there.
pub fn devices(sysfs: &Path) -> Result<Vec<Device>> {
    let class = sysfs.join("class/spdm");
    let entries = match fs::read_dir(&class) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "{} is not there: load the module with `modprobe spdm`",
            class.display()
        ),
        Err(error) => return Err(error).with_context(|| class.display().to_string()),
    };
    let mut devices = Vec::new();
    for entry in entries {
        let entry = entry?.path();
        // The class has attributes of its own.
        if entry.join("state").exists() {
            let name = entry.file_name().unwrap_or_default();
            devices.push(Device {
                name: name.to_string_lossy().into_owned(),
                entry,
            });
        }
    }
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(devices)
}

/// The one with that name, or at that PCI address, with or without its domain.
///
/// # Errors
///
/// Fails if there is none.
pub fn find(sysfs: &Path, wanted: &str) -> Result<Device> {
    let all = devices(sysfs)?;
    let is_wanted = |device: &&Device| {
        let address = device.name.strip_prefix("pci-");
        device.name == wanted
            || address.is_some_and(|address| {
                address == wanted || address.strip_prefix("0000:") == Some(wanted)
            })
    };
    if let Some(device) = all.iter().find(is_wanted) {
        return Ok(device.clone());
    }
    let names: Vec<_> = all.iter().map(|device| device.name.as_str()).collect();
    bail!(
        "no SPDM device `{wanted}`; there {}",
        match names.len() {
            0 => "are none: is the device plugged in, and does it have CMA?".to_owned(),
            _ => format!("are: {}", names.join(" ")),
        }
    )
}

impl Device {
    /// An attribute, without the end of its line; empty if there is nothing to say.
    pub fn get(&self, attribute: &str) -> String {
        let text = fs::read_to_string(self.entry.join(attribute)).unwrap_or_default();
        text.trim_end().to_owned()
    }

    /// Changes an attribute.
    ///
    /// # Errors
    ///
    /// What the kernel has against it.
    pub fn set(&self, attribute: &str, value: &[u8]) -> Result<()> {
        write(&self.entry.join(attribute), value)
    }

    /// The directory of the device itself, or of the entry if evidence is shown there.
    fn directory(&self) -> PathBuf {
        let device = self.entry.join("device");
        if device.join("signatures").exists() {
            device
        } else {
            self.entry.clone()
        }
    }

    /// Has the device attested again, with that nonce if there is one.
    ///
    /// # Errors
    ///
    /// Why it is not authenticated.
    pub fn attest(&self, nonce: Option<&[u8]>) -> Result<()> {
        if let Some(nonce) = nonce {
            write(
                &self.directory().join("signatures/next_requester_nonce"),
                nonce,
            )?;
        }
        let result = write(&self.directory().join("authenticated"), b"re");
        let reason = self.get("reason");
        if result.is_err() && !reason.is_empty() {
            bail!("{}: {reason}", self.name);
        }
        result
    }

    /// The DER certificates in a slot, one after the other, if the kernel has them.
    pub fn certificates(&self, slot: &str) -> Vec<u8> {
        fs::read(
            self.directory()
                .join("certificates")
                .join(format!("slot{slot}")),
        )
        .unwrap_or_default()
    }

    /// Number, purpose and verdict of the signatures that are kept.
    pub fn signatures(&self) -> Vec<(u32, String, String)> {
        let directory = self.directory().join("signatures");
        let read = |name: String| fs::read_to_string(directory.join(name)).unwrap_or_default();
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let number = name.strip_suffix("_type").and_then(|n| n.parse().ok());
            if let Some(number) = number {
                found.push((number, read(name), read(format!("{number}_verdict"))));
            }
        }
        found.sort();
        found
    }
}

fn write(path: &Path, value: &[u8]) -> Result<()> {
    fs::write(path, value).map_err(|error| {
        let what = path.display();
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                anyhow::anyhow!("{what}: {error}: be root; or trust is sealed until the next boot")
            }
            _ => anyhow::anyhow!("{what}: {error}"),
        }
    })
}
