// SPDX-License-Identifier: GPL-2.0

//! Serial lines, and the endpoints at their end.

use super::control::{self, Identity};
use super::frame::Decoder;
use super::packet::{Assembled, Assembler, Eid, Header, BROADCAST_EID, NULL_EID};
use super::{frames, lateness, TYPE_CONTROL, TYPE_SPDM};
use crate::device::{Device, Reply};
use crate::doe::lock;
use crate::fault::Carrier;
use crate::log::Log;
use anyhow::{Context, Result};
use mctpcfg::{make_raw, open_line, open_pty, wait, Ready};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// How often is looked whether somebody is at the other end.
const PAUSE: Duration = Duration::from_millis(20);

/// How long what is sent may wait for the line to take it.
const STUCK: Duration = Duration::from_secs(10);

/// `EIO`, which [`ErrorKind`] has no name for.
const EIO: i32 = 5;

/// Where a link is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A new pseudo terminal, whose other side is the peer's.
    Pty,
    /// A serial line.
    Line(PathBuf),
    /// A connection to this Unix socket.
    Unix(PathBuf),
    /// A connection to this address.
    Tcp(SocketAddr),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.split_once(':') {
            None if text == "pty" => Address::Pty,
            Some(("unix", path)) => Address::Unix(path.into()),
            Some(("tcp", address)) => {
                Address::Tcp(address.parse().map_err(|e| format!("{address}: {e}"))?)
            }
            _ if text.starts_with('/') => Address::Line(text.into()),
            _ => return Err("there are: pty, /dev/..., unix:PATH, tcp:ADDRESS".to_owned()),
        })
    }
}

/// A place at which one connection follows the other.
enum Place {
    Pty(File),
    Line(PathBuf),
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Place {
    /// Takes the place, and says what the peer is to use.
    fn open(address: &Address) -> Result<(Place, String)> {
        Ok(match address {
            Address::Pty => {
                let (master, name) = open_pty().context("/dev/ptmx")?;
                (Place::Pty(master), name)
            }
            Address::Line(path) => {
                let name = path.display().to_string();
                (Place::Line(path.clone()), name)
            }
            Address::Unix(path) => {
                let listener = UnixListener::bind(path);
                let listener = listener.with_context(|| path.display().to_string())?;
                (Place::Unix(listener), format!("unix:{}", path.display()))
            }
            Address::Tcp(address) => {
                let listener = TcpListener::bind(address);
                let listener = listener.with_context(|| format!("listen on {address}"))?;
                let name = format!("tcp:{}", listener.local_addr()?);
                (Place::Tcp(listener), name)
            }
        })
    }

    /// The next connection, once there is one.
    fn connect(&self) -> Result<File> {
        let stream: OwnedFd = match self {
            Place::Pty(master) => {
                while wait(master, Duration::ZERO)? == Ready::HungUp {
                    sleep(PAUSE);
                }
                master.try_clone()?.into()
            }
            Place::Line(path) => {
                let file = open_line(path).with_context(|| path.display().to_string())?;
                make_raw(&file)?;
                file.into()
            }
            Place::Unix(listener) => listener.accept()?.0.into(),
            Place::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                stream.into()
            }
        };
        Ok(stream.into())
    }
}

/// An endpoint: a device, and what it is called on the link.
#[derive(Clone)]
pub struct Endpoint {
    device: Arc<Mutex<Device>>,
    number: usize,
    identity: Arc<Mutex<Identity>>,
}

impl Endpoint {
    /// Makes device `number` one.
    pub fn new(device: Arc<Mutex<Device>>, number: usize, eid: Eid) -> Endpoint {
        lock(&device).set_carrier(Carrier::Mctp);
        // A UUID of version 8, which says nothing but what is put into it.
        let mut uuid = *b"spdm-r\x80e\x80sponde\0";
        // CAST: there are not that many.
        uuid[15] = number as u8;
        Endpoint {
            device,
            number,
            identity: Arc::new(Mutex::new(Identity { eid, uuid })),
        }
    }

    fn identity(&self) -> MutexGuard<'_, Identity> {
        // It is whole between requests.
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a packet to `destination` is for it, which is number `n` on its link.
    fn is_meant(&self, n: usize, destination: Eid) -> bool {
        match destination {
            NULL_EID => n == 0,
            BROADCAST_EID => true,
            eid => eid == self.identity().eid,
        }
    }
}

/// One connection of a link.
struct Connection {
    writer: Mutex<File>,
    closed: AtomicBool,
    log: Arc<Log>,
}

impl Connection {
    fn send(&self, endpoint: &Endpoint, frames: &[Vec<u8>]) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        for frame in frames {
            if let Err(error) = write_all(&mut writer, frame) {
                // The reader notices as well.
                let what = format!("packet not sent: {error}");
                self.log.event(endpoint.number, &what);
                return;
            }
            lock(&endpoint.device).sent_packet(frame.len());
        }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

/// Writes to a file that may not wait.
fn write_all(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    let begin = Instant::now();
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(size) => bytes = bytes.get(size..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && begin.elapsed() < STUCK => {
                sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A message, and the header of its last packet.
type Message = (Header, Vec<u8>);

/// Answers the messages to one endpoint, one after the other.
fn serve_endpoint(endpoint: &Endpoint, messages: &Receiver<Message>, connection: &Arc<Connection>) {
    let (number, log) = (endpoint.number, &connection.log);
    let mut hangs = false;
    for (header, message) in messages {
        let Some((&kind, content)) = message.split_first() else {
            continue;
        };
        if hangs || lock(&endpoint.device).is_link_silent() {
            log.event(number, "link silent");
            continue;
        }
        match kind {
            TYPE_CONTROL => {
                let eid = endpoint.identity().eid;
                let answer = control::answer(&mut endpoint.identity(), content);
                log.event(number, &format!("control message {content:02x?}"));
                if let Some(answer) = answer {
                    let frames = frames(&header, eid, kind, &answer, &[]);
                    connection.send(endpoint, &frames);
                }
            }
            TYPE_SPDM => {
                log.message(number, "request", content);
                let answer = lock(&endpoint.device).respond(content);
                sleep(answer.delay);
                match answer.reply {
                    Reply::Message(message) => {
                        log.message(number, "response", &message);
                        let eid = endpoint.identity().eid;
                        let frames = frames(&header, eid, kind, &message, &answer.transport);
                        let later = lateness(&answer.transport);
                        if later == Duration::ZERO {
                            connection.send(endpoint, &frames);
                            continue;
                        }
                        let (endpoint, connection) = (endpoint.clone(), connection.clone());
                        thread::spawn(move || {
                            sleep(later);
                            connection.log.event(endpoint.number, "late answer");
                            connection.send(&endpoint, &frames);
                        });
                    }
                    Reply::Silence => log.event(number, "silence"),
                    Reply::Hang => {
                        log.event(number, "hang");
                        hangs = true;
                    }
                    Reply::Close => {
                        log.event(number, "close");
                        connection.close();
                    }
                }
            }
            _ => log.event(number, &format!("message of type {kind:#04x} ignored")),
        }
    }
}

/// How a connection ends.
enum End {
    /// The peer has gone.
    Gone,
    /// A device has closed it.
    Closed,
}

/// Serves one connection.
fn serve_connection(endpoints: &[Endpoint], mut stream: File, log: &Arc<Log>) -> Result<End> {
    let connection = Arc::new(Connection {
        writer: Mutex::new(stream.try_clone()?),
        closed: AtomicBool::new(false),
        log: log.clone(),
    });
    let mut assemblers: Vec<(Assembler, Sender<Message>)> = Vec::new();
    for endpoint in endpoints {
        lock(&endpoint.device).connected();
        log.event(endpoint.number, "connected");
        let (sender, receiver) = mpsc::channel();
        assemblers.push((Assembler::default(), sender));
        let (endpoint, connection) = (endpoint.clone(), connection.clone());
        thread::spawn(move || serve_endpoint(&endpoint, &receiver, &connection));
    }
    let first = endpoints.first().map_or(0, |endpoint| endpoint.number);
    let mut decoder = Decoder::default();
    let mut wire = 0;
    let mut buffer = [0; 4096];
    while !connection.is_closed() {
        if wait(&stream, PAUSE)? == Ready::Nothing {
            continue;
        }
        let size = match stream.read(&mut buffer) {
            Ok(0) => return Ok(End::Gone),
            Ok(size) => size,
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) =>
            {
                continue;
            }
            // So says a pseudo terminal whose other side nobody has open.
            Err(error) if error.raw_os_error() == Some(EIO) => return Ok(End::Gone),
            Err(error) => return Err(error.into()),
        };
        for &byte in &buffer[..size] {
            wire += 1;
            let packet = match decoder.push(byte) {
                None => continue,
                Some(Ok(packet)) => packet,
                Some(Err(error)) => {
                    log.event(first, &format!("frame dropped: {error}"));
                    continue;
                }
            };
            let size = wire;
            wire = 0;
            let Some((header, body)) = Header::parse(&packet) else {
                log.event(first, "packet dropped: no header");
                continue;
            };
            for (n, endpoint) in endpoints.iter().enumerate() {
                if !endpoint.is_meant(n, header.destination) {
                    continue;
                }
                lock(&endpoint.device).received_packet(size);
                let (assembler, messages) = &mut assemblers[n];
                match assembler.push(&header, body) {
                    // Who does not own its tag answers, and nobody was asked.
                    Assembled::Message(message) if header.tag_owner => {
                        // Its receiver lives as long as it.
                        let _ = messages.send((header, message));
                    }
                    Assembled::Message(_) | Assembled::Part => {}
                    Assembled::Dropped(why) => {
                        let what = format!("packet dropped: {why}");
                        log.event(endpoint.number, &what);
                    }
                }
            }
        }
    }
    Ok(End::Closed)
}

/// Serves a link in a thread of its own. Returns what the peer is to use.
///
/// # Errors
///
/// Fails if the link cannot be had.
pub fn serve(address: &Address, endpoints: Vec<Endpoint>, log: Arc<Log>) -> Result<String> {
    let (place, name) = Place::open(address)?;
    if let Place::Line(_) = place {
        // That it can be opened is worth knowing at once.
        place.connect()?;
    }
    let thread = thread::Builder::new().name(format!("link {name}"));
    thread.spawn(move || loop {
        let end = place
            .connect()
            .and_then(|stream| serve_connection(&endpoints, stream, &log));
        for endpoint in &endpoints {
            match &end {
                Ok(_) => log.event(endpoint.number, "disconnected"),
                Err(error) => log.event(endpoint.number, &format!("link lost: {error:#}")),
            }
        }
        match (&place, end) {
            // Its other side is hung up with it, as if somebody had pulled the cable.
            (Place::Pty(_), Ok(End::Closed)) => return,
            _ => sleep(PAUSE),
        }
    })?;
    Ok(name)
}
