// SPDX-License-Identifier: GPL-2.0

//! Many devices in one process, each with a port, a mailbox or an endpoint ID of its own, and the
//! channel that controls them.

use crate::config::Config;
use crate::device::{prepare, Device};
use crate::fault;
use crate::log::Log;
use crate::mailbox;
use crate::mctp::link::{self, Address, Endpoint};
use crate::mctp::packet::{is_unicast, Eid};
use crate::pki::Pki;
use crate::socket;
use crate::variant::{Verdict, VARIANTS};
use anyhow::{anyhow, ensure, Context, Result};
use serde_json::{json, Value};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Devices, numbered from 0.
#[derive(Clone)]
pub struct Devices {
    pki: Arc<Pki>,
    devices: Vec<Arc<Mutex<Device>>>,
    log: Arc<Log>,
}

impl Devices {
    /// Makes a device of each configuration.
    ///
    /// # Errors
    ///
    /// Fails if the certificates cannot be made.
    pub fn new(pki: Arc<Pki>, configs: Vec<Config>, log: Log) -> Result<Devices> {
        let devices: Result<Vec<_>> = configs
            .into_iter()
            .map(|config| Ok(Arc::new(Mutex::new(Device::new(pki.clone(), config)?))))
            .collect();
        Ok(Devices {
            pki,
            devices: devices?,
            log: Arc::new(log),
        })
    }

    /// A device.
    ///
    /// # Errors
    ///
    /// A message for the user, if there is no such device.
    pub fn device(&self, number: usize) -> Result<MutexGuard<'_, Device>, String> {
        let device = self.devices.get(number);
        let device = device.ok_or_else(|| format!("there are {} devices", self.devices.len()))?;
        // A device is whole between requests.
        Ok(device.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Listens for each device, on consecutive ports from that of `address` on, or on any if that
    /// is 0, and serves them in threads of their own. Returns where it listens.
    ///
    /// # Errors
    ///
    /// Fails if a port cannot be had.
    pub fn listen(&self, address: SocketAddr) -> Result<Vec<SocketAddr>> {
        let mut listeners = Vec::new();
        for number in 0..self.devices.len() {
            let mut address = address;
            if address.port() != 0 {
                let port = u16::try_from(number).ok();
                let port = port.and_then(|n| address.port().checked_add(n));
                address.set_port(port.ok_or_else(|| anyhow!("not enough ports"))?);
            }
            let listener = TcpListener::bind(address);
            listeners.push(listener.with_context(|| format!("listen on {address}"))?);
        }
        let mut addresses = Vec::new();
        for (number, listener) in listeners.into_iter().enumerate() {
            addresses.push(listener.local_addr()?);
            let device = self.devices[number].clone();
            let log = self.log.clone();
            thread::Builder::new()
                .name(format!("device {number}"))
                .spawn(move || {
                    let mut serving: Option<(Arc<TcpStream>, JoinHandle<()>)> = None;
                    for stream in listener.incoming().flatten() {
                        // The newest connection counts: QEMU leaves that of a drive which it could not
                        // add open, and would wait for ever behind it.
                        if let Some((stream, thread)) = serving.take() {
                            // Both may have ended by themselves.
                            let _ = stream.shutdown(Shutdown::Both);
                            let _ = thread.join();
                        }
                        let stream = Arc::new(stream);
                        let (device, log, served) = (device.clone(), log.clone(), stream.clone());
                        let thread = thread::spawn(move || {
                            if let Err(error) = socket::serve(&device, number, &served, &log) {
                                log.event(number, &format!("connection lost: {error:#}"));
                            }
                            // The other reference keeps it open.
                            let _ = served.shutdown(Shutdown::Both);
                        });
                        serving = Some((stream, thread));
                    }
                })?;
        }
        Ok(addresses)
    }

    /// Opens a mailbox for each device, and serves them in threads of their own.
    ///
    /// # Errors
    ///
    /// Fails if a mailbox cannot be had.
    pub fn attach(&self, mailboxes: &[PathBuf]) -> Result<()> {
        let mut files = Vec::new();
        for path in mailboxes {
            files.push(mailbox::open(path)?);
        }
        let served = self.devices.iter().cloned().zip(mailboxes).zip(files);
        for (number, ((device, path), mut file)) in served.enumerate() {
            let (path, log) = (path.clone(), self.log.clone());
            thread::Builder::new()
                .name(format!("device {number}"))
                .spawn(move || loop {
                    let end = mailbox::serve(&device, number, &mut file, &log);
                    drop(file);
                    // A device that closes its mailbox comes back.
                    match end.and_then(|()| mailbox::open(&path)) {
                        Ok(again) => file = again,
                        Err(error) => {
                            log.event(number, &format!("mailbox lost: {error:#}"));
                            eprintln!("device {number}: mailbox lost: {error:#}");
                            return;
                        }
                    }
                })?;
        }
        Ok(())
    }

    /// Puts as many devices at the end of each link as each has a share of, with the EIDs from `eid`
    /// on, and serves them in threads of their own. Returns what the peers are to use.
    ///
    /// # Errors
    ///
    /// Fails if a link cannot be had, or there are not enough EIDs.
    pub fn link(&self, links: &[Address], eid: Eid) -> Result<Vec<String>> {
        let share = self.devices.len() / links.len().max(1);
        let last = share.checked_sub(1).and_then(|n| u8::try_from(n).ok());
        let last = last.and_then(|n| eid.checked_add(n));
        ensure!(
            is_unicast(eid) && last.is_some_and(is_unicast),
            "EIDs are 8 to 254"
        );
        let mut names = Vec::new();
        let devices: Vec<_> = self.devices.iter().cloned().enumerate().collect();
        for (address, devices) in links.iter().zip(devices.chunks(share)) {
            let endpoints = devices.iter().zip(eid..);
            let endpoint = |((number, device), eid): (&(usize, Arc<Mutex<Device>>), Eid)| {
                Endpoint::new(device.clone(), *number, eid)
            };
            let endpoints = endpoints.map(endpoint).collect();
            names.push(link::serve(address, endpoints, self.log.clone())?);
        }
        Ok(names)
    }

    /// Listens for lines of [`Devices::control`] and answers them. Returns where.
    ///
    /// # Errors
    ///
    /// Fails if the port cannot be had.
    pub fn listen_control(&self, address: SocketAddr) -> Result<SocketAddr> {
        let listener = TcpListener::bind(address);
        let listener = listener.with_context(|| format!("listen on {address}"))?;
        let address = listener.local_addr()?;
        let devices = self.clone();
        thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    let devices = devices.clone();
                    // Ends with its connection, by an error as well.
                    thread::spawn(move || devices.serve_control(&stream));
                }
            })?;
        Ok(address)
    }

    fn serve_control(&self, stream: &TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        Ok(self.serve_lines(BufReader::new(stream), stream)?)
    }

    /// Answers lines of [`Devices::control`], each by one, until there are no more.
    ///
    /// # Errors
    ///
    /// Fails if reading or writing does.
    pub fn serve_lines(&self, input: impl BufRead, mut output: impl Write) -> io::Result<()> {
        for line in input.lines() {
            let mut answer = self.control(&line?);
            answer.push('\n');
            output.write_all(answer.as_bytes())?;
            output.flush()?;
        }
        Ok(())
    }

    /// Does what a line says, and answers in one line: see [`CONTROL`].
    pub fn control(&self, line: &str) -> String {
        self.try_control(line)
            .unwrap_or_else(|error| format!("error: {error}"))
    }

    fn try_control(&self, line: &str) -> Result<String, String> {
        let (verb, rest) = split_word(line);
        let (which, rest) = split_word(rest);
        match verb {
            "set" => {
                let numbers = self.numbers(which)?;
                // Everything is checked, and made, before anything is changed.
                for &number in &numbers {
                    let config = self.device(number)?.config().changed(rest)?;
                    prepare(&self.pki, &config).map_err(|e| format!("{e:#}"))?;
                }
                for number in numbers {
                    self.device(number)?.set(rest)?;
                }
                Ok("ok".to_owned())
            }
            "reset" => {
                for number in self.numbers(which)? {
                    self.device(number)?.reset();
                }
                Ok("ok".to_owned())
            }
            "get" => {
                let [number] = self.numbers(which)?[..] else {
                    return Err("get takes one device".to_owned());
                };
                let device = self.device(number)?;
                match rest {
                    "stats" => Ok(device.stats_json().to_string()),
                    "config" => Ok(device.config().to_json().to_string()),
                    "public-key" => device.public_key().map_err(|error| error.to_string()),
                    _ => Err(format!(
                        "cannot get `{rest}`; there are: stats config public-key"
                    )),
                }
            }
            "faults" => Ok(fault::to_json().to_string()),
            "variants" => Ok(variants_json().to_string()),
            _ => Err(format!(
                "no command `{verb}`; there are: set get reset faults variants"
            )),
        }
    }

    fn numbers(&self, which: &str) -> Result<Vec<usize>, String> {
        if which == "all" {
            return Ok((0..self.devices.len()).collect());
        }
        match which.parse() {
            Ok(number) if number < self.devices.len() => Ok(vec![number]),
            _ => Err(format!(
                "no device `{which}`; there are {}, from 0, and `all`",
                self.devices.len()
            )),
        }
    }
}

/// Words for the help text: the lines of the control channel.
pub const CONTROL: &str = "\
  set <n|all> key=value ...   -> ok
  get <n> stats|config        -> one line of JSON
  get <n> public-key          -> SubjectPublicKeyInfo of slot 0, in hexadecimal digits
  reset <n|all>               -> ok: as at start, counters at 0
  faults | variants           -> one line of JSON
  or `error: ...`; then nothing was changed
";

/// The first word of a line and what follows it.
fn split_word(line: &str) -> (&str, &str) {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (word, rest.trim())
}

/// The table of chains as JSON.
pub fn variants_json() -> Value {
    VARIANTS
        .iter()
        .map(|v| {
            json!({
                "name": v.name,
                "ids": v.ids,
                "good": v.verdict == Verdict::Good,
                "text": v.text,
                "words": v.variant.words(),
            })
        })
        .collect()
}
