// SPDX-License-Identifier: GPL-2.0

//! What MCTP on serial lines needs of the system and the standard library does not have: for
//! `mctpcfg`, and for the responder at the other end of the line.
#![warn(missing_docs)]

use std::ffi::{c_int, CString};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// The line discipline of terminals.
pub const N_TTY: c_int = 0;
/// That of `drivers/net/mctp/mctp-serial.c` in the kernel's source.
pub const N_MCTP: c_int = 28;

/// The result of a system call.
fn check(result: c_int) -> Result<()> {
    if result < 0 {
        return Err(Error::last_os_error());
    }
    Ok(())
}

/// Opens a serial line, or a side of a pseudo terminal, without waiting for a modem and without
/// making it the terminal of this process.
///
/// # Errors
///
/// If there is no such line.
pub fn open_line(path: &Path) -> Result<File> {
    open(path, 0)
}

fn open(path: &Path, flags: c_int) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options.custom_flags(libc::O_NOCTTY | flags).open(path)
}

/// Makes a pseudo terminal: its master, and the path of its other side. Nothing waits for the
/// master, because nothing would end that: a line discipline other than the terminals' own does not
/// say that it has taken what was written.
///
/// # Errors
///
/// If there is none to be had.
pub fn open_pty() -> Result<(File, String)> {
    let master = open(Path::new("/dev/ptmx"), libc::O_NONBLOCK)?;
    let unlocked: c_int = 0;
    // SAFETY: TIOCSPTLCK reads one `int`, to which this is a pointer.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &unlocked) })?;
    let mut number: c_int = 0;
    // SAFETY: TIOCGPTN writes one `int` (unsigned there), to which this is a pointer.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &mut number) })?;
    Ok((master, format!("/dev/pts/{number}")))
}

/// Has all bytes pass through a line as they are. What is no terminal does that anyway.
///
/// # Errors
///
/// If the line refuses.
pub fn make_raw(line: &File) -> Result<()> {
    let mut settings = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: `tcgetattr` writes one `struct termios`, to which this is a pointer.
    match check(unsafe { libc::tcgetattr(line.as_raw_fd(), settings.as_mut_ptr()) }) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => return Ok(()),
        result => result?,
    }
    // SAFETY: `tcgetattr` succeeded, so it wrote the whole of it.
    let mut settings = unsafe { settings.assume_init() };
    // SAFETY: `cfmakeraw` changes the `struct termios` that this is a pointer to.
    unsafe { libc::cfmakeraw(&mut settings) };
    settings.c_cflag |= libc::CLOCAL;
    // SAFETY: `tcsetattr` reads the `struct termios` that this is a pointer to.
    check(unsafe { libc::tcsetattr(line.as_raw_fd(), libc::TCSANOW, &settings) })
}

/// Sets the line discipline of a line.
///
/// # Errors
///
/// If the kernel does not have it, or this process may not.
pub fn set_discipline(line: &File, discipline: c_int) -> Result<()> {
    // SAFETY: TIOCSETD reads one `int`, to which this is a pointer.
    check(unsafe { libc::ioctl(line.as_raw_fd(), libc::TIOCSETD, &discipline) })
}

/// The index of a network device in the namespace of this thread.
///
/// # Errors
///
/// If there is no such device.
pub fn device_index(name: &str) -> Result<u32> {
    let name = CString::new(name).map_err(|_| ErrorKind::InvalidInput)?;
    // SAFETY: The name is a string that ends with 0.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(Error::last_os_error()),
        index => Ok(index),
    }
}

/// What there is of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Nothing, within the time.
    Nothing,
    /// Something to read, or an error.
    Input,
    /// Nobody has the other side open.
    HungUp,
}

/// Waits until there is something to read.
///
/// # Errors
///
/// If that cannot be waited for.
pub fn wait(file: &File, limit: Duration) -> Result<Ready> {
    let mut polled = libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let limit = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: `poll` reads and writes one `struct pollfd`, to which this is a pointer.
    match check(unsafe { libc::poll(&mut polled, 1, limit) }) {
        Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Ready::Nothing),
        result => result?,
    }
    Ok(match polled.revents {
        0 => Ready::Nothing,
        // What was written before it hung up can still be read.
        events if events & libc::POLLIN == 0 && events & libc::POLLHUP != 0 => Ready::HungUp,
        _ => Ready::Input,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn bytes_pass_through_a_pseudo_terminal() {
        let (mut master, name) = open_pty().unwrap();
        let mut line = open_line(Path::new(&name)).unwrap();
        make_raw(&line).unwrap();
        assert_eq!(wait(&master, Duration::ZERO).unwrap(), Ready::Nothing);
        let bytes: Vec<u8> = (0..=255).collect();
        line.write_all(&bytes).unwrap();
        assert_eq!(wait(&master, Duration::from_secs(9)).unwrap(), Ready::Input);
        let mut read = [0; 256];
        master.read_exact(&mut read).unwrap();
        assert_eq!(read[..], bytes);
        master.write_all(&bytes).unwrap();
        line.read_exact(&mut read).unwrap();
        assert_eq!(read[..], bytes);
        drop(line);
        assert_eq!(
            wait(&master, Duration::from_secs(9)).unwrap(),
            Ready::HungUp
        );
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        assert!(open_line(Path::new("/dev/no-such-line")).is_err());
        assert!(device_index("no-such-device").is_err());
        assert!(device_index("no\0device").is_err());
        let file = File::open("/proc/self/stat").unwrap();
        make_raw(&file).unwrap();
        assert!(set_discipline(&file, N_MCTP).is_err());
    }
}
