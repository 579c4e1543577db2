// SPDX-License-Identifier: GPL-2.0

//! The log of exchanges: one JSON object a line.

use crate::message::{hex, name};
use anyhow::{Context, Result};
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Where exchanges are written to.
#[derive(Default)]
pub struct Log {
    file: Option<Mutex<File>>,
    hex: bool,
}

impl Log {
    /// A log that is thrown away.
    pub fn none() -> Log {
        Log::default()
    }

    /// Writes to a new file, with the bytes of each message if `hex` says so.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be made.
    pub fn create(path: &Path, hex: bool) -> Result<Log> {
        let file = File::create(path).with_context(|| format!("write {}", path.display()))?;
        Ok(Log {
            file: Some(Mutex::new(file)),
            hex,
        })
    }

    /// Writes down a message: `direction` is `request` or `response`.
    pub fn message(&self, device: usize, direction: &str, message: &[u8]) {
        self.write(device, direction, &name(message), message);
    }

    /// Writes down that something else happened.
    pub fn event(&self, device: usize, what: &str) {
        self.write(device, "event", what, &[]);
    }

    fn write(&self, device: usize, direction: &str, name: &str, message: &[u8]) {
        let Some(file) = &self.file else {
            return;
        };
        let time = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let mut line = json!({
            "time": time.as_micros() as f64 / 1e6,
            "device": device,
            "direction": direction,
            "message": name,
            "length": message.len(),
        });
        if self.hex && !message.is_empty() {
            line["hex"] = hex(message).into();
        }
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk must not stop a test that does not look at the log.
        let _ = writeln!(file, "{line}");
    }
}
