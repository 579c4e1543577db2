// SPDX-License-Identifier: GPL-2.0

//! Data objects of a software mailbox in the running kernel: the device files of doe_emu.

use crate::device::Device;
use crate::doe::{self, lock, Outcome};
use crate::log::Log;
use anyhow::{bail, Context, Result};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Mutex;

/// The largest request that doe_emu hands out, in bytes.
const MAX_OBJECT: usize = 128 * 1024;

/// `ECANCELED`, which [`ErrorKind`] has no name for.
const ECANCELED: i32 = 125;

/// Opens a mailbox.
///
/// # Errors
///
/// Fails if it is not there, or somebody else has it open.
pub fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    file.with_context(|| format!("open {}", path.display()))
}

/// Serves a mailbox that was just opened, until the device closes it: every `read` gives a whole
/// request, every `write` takes a whole response.
///
/// # Errors
///
/// Fails if the mailbox does, other than by reset and abort.
pub fn serve(
    device: &Mutex<Device>,
    number: usize,
    mailbox: &mut (impl Read + Write),
    log: &Log,
) -> Result<()> {
    let mut buffer = vec![0; MAX_OBJECT];
    let mut hangs = false;
    lock(device).connected();
    log.event(number, "connected");
    loop {
        let object = match mailbox.read(&mut buffer) {
            Ok(0) => bail!("the mailbox has ended"),
            Ok(size) => &buffer[..size],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                // The function was reset, or is a new one.
                lock(device).connected();
                log.event(number, "reset");
                hangs = false;
                continue;
            }
            Err(error) => return Err(error).context("read a request"),
        };
        if hangs {
            log.event(number, "hang");
            continue;
        }
        match doe::answer(device, number, object, log) {
            Outcome::Object(object) => match mailbox.write(&object) {
                Ok(_) => {}
                Err(error) if is_refused(&error) => {
                    log.event(number, &format!("response not sent: {error}"));
                }
                Err(error) => return Err(error).context("write a response"),
            },
            Outcome::Silence => {}
            Outcome::Hang => hangs = true,
            Outcome::Close => return Ok(()),
        }
    }
}

/// Whether the request was aborted in the meantime, or the Length of the response is not its own:
/// such a response does not leave the device.
fn is_refused(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ECANCELED) || error.kind() == ErrorKind::InvalidInput
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::pki::Pki;
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::Arc;

    const GET_VERSION: &[u8] = &[1, 0, 1, 0, 3, 0, 0, 0, 0x10, 0x84, 0, 0];

    /// A mailbox with a list of what reading it gives, and of what writing to it does.
    struct Mailbox {
        reads: VecDeque<io::Result<&'static [u8]>>,
        writes: VecDeque<io::Result<()>>,
        written: Vec<Vec<u8>>,
    }

    impl Read for Mailbox {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let object = self.reads.pop_front().unwrap_or(Ok(&[]))?;
            buffer[..object.len()].copy_from_slice(object);
            Ok(object.len())
        }
    }

    impl Write for Mailbox {
        fn write(&mut self, object: &[u8]) -> io::Result<usize> {
            self.writes.pop_front().unwrap_or(Ok(()))?;
            self.written.push(object.to_vec());
            Ok(object.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a device that was told `words` does with that; and how often it was reset.
    fn served(
        words: &str,
        reads: Vec<io::Result<&'static [u8]>>,
        writes: Vec<io::Result<()>>,
    ) -> (Result<()>, Vec<Vec<u8>>, u64) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(format!("mailbox-{}-{}", name.0, name.1));
        let pki = Arc::new(Pki::open(&directory).unwrap());
        let words = format!("slot0=none {words}");
        let config = Config::new(0).changed(&words).unwrap();
        let device = Mutex::new(Device::new(pki, config).unwrap());
        let mut mailbox = Mailbox {
            reads: reads.into(),
            writes: writes.into(),
            written: Vec::new(),
        };
        let end = serve(&device, 0, &mut mailbox, &Log::none());
        let resets = lock(&device).stats().connections;
        std::fs::remove_dir_all(directory).unwrap();
        (end, mailbox.written, resets)
    }

    fn requests(number: usize) -> Vec<io::Result<&'static [u8]>> {
        (0..number).map(|_| Ok(GET_VERSION)).collect()
    }

    fn is_version(object: &[u8]) -> bool {
        object[..4] == [1, 0, 1, 0]
            && usize::from(object[4]) * 4 == object.len()
            && object[8..10] == [0x10, 0x04]
    }

    #[test]
    fn resets_and_aborts_are_survived() {
        let error = |kind: ErrorKind| Err(io::Error::from(kind));
        let canceled = Err(io::Error::from_raw_os_error(ECANCELED));
        let reads = vec![
            error(ErrorKind::ConnectionReset),
            Ok(GET_VERSION),
            error(ErrorKind::Interrupted),
            Ok(GET_VERSION),
            Ok(GET_VERSION),
        ];
        let writes = vec![canceled, Err(io::Error::from_raw_os_error(22))];
        let (end, written, resets) = served("", reads, writes);
        assert!(end.is_err());
        assert_eq!(resets, 2);
        assert_eq!(written.len(), 1);
        assert!(is_version(&written[0]));
    }

    #[test]
    fn other_errors_end_it() {
        let gone = || io::Error::from_raw_os_error(19);
        let (end, written, _) = served("", vec![Err(gone()), Ok(GET_VERSION)], vec![]);
        assert!(end.is_err() && written.is_empty());
        let (end, written, _) = served("", requests(2), vec![Err(gone())]);
        assert!(end.is_err() && written.is_empty());
    }

    #[test]
    fn silence_hang_and_close() {
        let (_, written, _) = served("fault=silence times=1", requests(3), vec![]);
        assert_eq!(written.len(), 2);
        let (end, written, _) = served("fault=close", requests(3), vec![]);
        assert!(end.is_ok() && written.is_empty());
        let reset = Err(io::Error::from(ErrorKind::ConnectionReset));
        let reads = vec![Ok(GET_VERSION), Ok(GET_VERSION), reset, Ok(GET_VERSION)];
        let (_, written, _) = served("fault=hang times=1", reads, vec![]);
        assert_eq!(written.len(), 1);
    }

    #[test]
    fn what_is_no_request_is_not_answered() {
        let reads: [&'static [u8]; 4] = [
            &[1, 0, 1],
            &[1, 0, 1, 0, 4, 0, 0, 0, 0x10, 0x84, 0, 0],
            &[2, 0, 1, 0, 3, 0, 0, 0, 0x10, 0x84, 0, 0],
            &[1, 0, 7, 0, 3, 0, 0, 0, 0x10, 0x84, 0, 0],
        ];
        let (_, written, _) = served("", reads.map(Ok).into(), vec![]);
        assert!(written.is_empty());
    }
}
