// SPDX-License-Identifier: GPL-2.0

//! Who answers for the drives: our own responder, or one that is already running.

use anyhow::{
    bail,
    Context,
    Result, //
};
use std::fs;
use std::io::{
    self,
    BufRead,
    BufReader,
    Write, //
};
use std::net::{
    Ipv4Addr,
    Shutdown,
    TcpListener,
    TcpStream,
    ToSocketAddrs, //
};
use std::path::{
    Path,
    PathBuf, //
};
use std::process::{
    Child,
    Command,
    Stdio, //
};
use std::thread;
use std::time::Duration;

/// How often another range of ports is tried when somebody has taken one meanwhile.
const ATTEMPTS: u32 = 20;

/// How the guest reaches the devices of our responder.
pub enum Transport {
    /// QEMU's drives have DOE mailboxes, with a port of the loopback interface for each.
    Doe,
    /// They are MCTP endpoints at the end of a serial port, which is this socket.
    Mctp(PathBuf),
}

/// EID of the first endpoint.
pub const FIRST_EID: u16 = 9;

/// Our responder, serving a number of devices. It ends with this object, and with this process.
pub struct Responder {
    process: Child,
    first_port: u16,
    control: BufReader<TcpStream>,
}

impl Responder {
    /// Starts `program` for `devices` devices, with certificates from `pki` and its log in
    /// `directory`.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub fn start(
        program: &Path,
        transport: &Transport,
        devices: u16,
        pki: &Path,
        directory: &Path,
    ) -> Result<Responder> {
        let mut words = String::new();
        for _ in 0..ATTEMPTS {
            let Some(first_port) = free_ports(devices + 1)? else {
                continue;
            };
            let control_port = first_port + devices;
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL"]).arg(program);
            match transport {
                Transport::Doe => command
                    .arg("serve")
                    .args(["--listen", &format!("127.0.0.1:{first_port}")])
                    .args(["--devices", &devices.to_string()]),
                Transport::Mctp(socket) => command
                    .arg("mctp")
                    .args(["--link", &format!("unix:{}", socket.display())])
                    .args(["--eid", &FIRST_EID.to_string()])
                    .args(["--endpoints", &devices.to_string()]),
            };
            let mut process = command
                .args(["--control", &format!("127.0.0.1:{control_port}")])
                .arg("--pki")
                .arg(pki)
                .arg("--log")
                .arg(directory.join("responder.log"))
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(fs::File::create(directory.join("responder.err"))?)
                .spawn()
                .context("cannot run setpriv")?;
            let output = process.stdout.take().context("its output is a pipe")?;
            let ready = BufReader::new(output)
                .lines()
                .map_while(io::Result::ok)
                .any(|line| line == "ready");
            if ready {
                let control = TcpStream::connect((Ipv4Addr::LOCALHOST, control_port))
                    .context("the responder's control port")?;
                control.set_nodelay(true)?;
                return Ok(Responder {
                    process,
                    first_port,
                    control: BufReader::new(control),
                });
            }
            let _ = process.kill();
            process.wait()?;
            words = fs::read_to_string(directory.join("responder.err")).unwrap_or_default();
            if !words.contains("in use") {
                break;
            }
        }
        bail!("the responder did not start: {}", words.trim())
    }

    /// The port of device `n`.
    pub fn port(&self, n: u16) -> u16 {
        self.first_port + n
    }

    /// Gives it a line on its control channel and returns its answer.
    ///
    /// # Errors
    ///
    /// If it is gone.
    pub fn control(&mut self, line: &str) -> Result<String> {
        self.control
            .get_mut()
            .write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        if self.control.read_line(&mut answer)? == 0 {
            bail!("the responder has ended");
        }
        Ok(answer.trim_end().to_owned())
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A range of ports that nobody used a moment ago.
fn free_ports(count: u16) -> Result<Option<u16>> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let free = (0..count).all(|n| {
        first
            .checked_add(n)
            .is_some_and(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
    });
    Ok(free.then_some(first))
}

/// Connects to a running responder at `address` (`host:port`), and returns a port of the loopback
/// interface on which QEMU finds it: QEMU connects to that interface only.
///
/// The connection is made here and kept for QEMU, because some responders serve only one.
///
/// # Errors
///
/// If the responder does not listen.
pub fn relay(address: &str) -> Result<u16> {
    let target = address
        .to_socket_addrs()
        .with_context(|| format!("RESPONDER={address} is not host:port, or an unknown host"))?
        .next()
        .context("no address")?;
    let responder =
        TcpStream::connect_timeout(&target, Duration::from_secs(5)).with_context(|| {
            format!("no responder listens on {address}; start it first, and give its host and port")
        })?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || -> io::Result<()> {
        let (qemu, _) = listener.accept()?;
        qemu.set_nodelay(true)?;
        responder.set_nodelay(true)?;
        let (from, to) = (qemu.try_clone()?, responder.try_clone()?);
        thread::spawn(move || copy(from, to));
        copy(responder, qemu);
        Ok(())
    });
    Ok(port)
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    // Either end may go away at any time; that ends the copying and is the other's to notice.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
