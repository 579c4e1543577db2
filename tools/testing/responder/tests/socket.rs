// SPDX-License-Identifier: GPL-2.0

//! The responder behind its sockets, as QEMU sees it, and the control channel.

mod requester;

use requester::{Found, Requester};
use serde_json::Value;
use spdm_responder::algorithm::Asym;
use spdm_responder::config::Config;
use spdm_responder::devices::Devices;
use spdm_responder::log::Log;
use spdm_responder::pki::Pki;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn temporary(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn pki() -> Arc<Pki> {
    Arc::new(Pki::open(&temporary("pki")).unwrap())
}

fn listen(number: u32, log: Log) -> (Devices, Vec<SocketAddr>) {
    let configs = (0..number).map(Config::new).collect();
    let devices = Devices::new(pki(), configs, log).unwrap();
    let addresses = devices.listen(LOOPBACK).unwrap();
    (devices, addresses)
}

/// The client, as QEMU is one: header and payload in pieces.
struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Client(stream)
    }

    fn send(&mut self, command: u32, transport: u32, payload: &[u8]) {
        for word in [command, transport, payload.len() as u32] {
            self.0.write_all(&word.to_be_bytes()).unwrap();
        }
        self.0.write_all(payload).unwrap();
    }

    fn receive(&mut self) -> std::io::Result<(u32, u32, Vec<u8>)> {
        let mut words = [0; 3];
        for word in &mut words {
            let mut bytes = [0; 4];
            self.0.read_exact(&mut bytes)?;
            *word = u32::from_be_bytes(bytes);
        }
        let mut payload = vec![0; words[2] as usize];
        self.0.read_exact(&mut payload)?;
        Ok((words[0], words[1], payload))
    }

    fn exchange(&mut self, payload: &[u8]) -> Vec<u8> {
        self.send(1, 2, payload);
        let (command, transport, payload) = self.receive().unwrap();
        assert_eq!((command, transport), (1, 2));
        assert!(payload.len() <= 0x1200);
        payload
    }

    /// An SPDM message in a data object of its own; `None` if there is no answer, or not the data
    /// object that there should be.
    fn spdm(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        let dwords = 2 + request.len().div_ceil(4) as u8;
        let mut object = vec![1, 0, 1, 0, dwords, 0, 0, 0];
        object.extend(request);
        object.resize(4 * usize::from(dwords), 0);
        let answer = self.exchange(&object);
        let header: [u8; 8] = answer.get(..8)?.try_into().unwrap();
        let length = u32::from_le_bytes(header[4..].try_into().unwrap());
        if header[..4] != [1, 0, 1, 0] || length as usize * 4 != answer.len() {
            return None;
        }
        Some(answer[8..].to_vec())
    }
}

/// Cuts the padding of messages that say how long they are.
fn attest(client: &mut Client) -> Result<Found, String> {
    let requester = Requester::new(pki().root(Asym::EcdsaP384).unwrap());
    requester.attest(&mut |request| {
        let mut response = client.spdm(request)?;
        // Without padding: VERSION and CERTIFICATE say how long they are.
        let size = match response[1] {
            0x04 => 6 + 2 * usize::from(response[5]),
            0x02 => 8 + usize::from(u16::from_le_bytes([response[4], response[5]])),
            0x03 => 4 + 48 + 32 + 2 + 8 + 96,
            _ => response.len(),
        };
        assert!(response.len() < size + 4 && response[size..].iter().all(|&b| b == 0));
        response.truncate(size);
        Some(response)
    })
}

#[test]
fn attestations_over_sockets() {
    let path = temporary("socket.log");
    let (devices, addresses) = listen(3, Log::create(&path, true).unwrap());
    // All at once, each twice on one connection, and then on another one.
    let threads: Vec<_> = addresses
        .iter()
        .map(|&address| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                attest(&mut client).unwrap();
                let found = attest(&mut client).unwrap();
                client.send(0xFFFE, 2, &[]);
                assert_eq!(client.receive().unwrap(), (0xFFFE, 2, vec![]));
                let again = attest(&mut Client::connect(address)).unwrap();
                assert_eq!(found.chain, again.chain);
                found.chain
            })
        })
        .collect();
    let mut chains: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    chains.dedup();
    assert_eq!(chains.len(), 3, "each device has a key of its own");
    for number in 0..3 {
        let device = devices.device(number).unwrap();
        assert_eq!(device.stats().challenges, 3);
        assert_eq!(device.stats().connections, 2);
        assert_eq!(device.stats().violations, 0);
        assert_eq!(device.stats().requests, device.stats().responses);
    }
    // The log has every message of every device.
    let log = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    for device in 0..3 {
        for (direction, message, length) in [
            ("request", "GET_VERSION", 4),
            ("response", "VERSION", 14),
            ("response", "CHALLENGE_AUTH", 190),
        ] {
            let found = lines.iter().filter(|l| {
                l["device"] == device
                    && l["direction"] == direction
                    && l["message"] == message
                    && l["length"] == length
                    && l["hex"].as_str().unwrap().len() == 2 * length as usize
            });
            assert_eq!(found.count(), 3, "{device} {message}");
        }
    }
}

#[test]
fn a_client_that_writes_in_pieces_is_not_held_up() {
    let (_devices, addresses) = listen(1, Log::none());
    let mut client = Client::connect(addresses[0]);
    attest(&mut client).unwrap();
    let start = Instant::now();
    for _ in 0..10 {
        attest(&mut client).unwrap();
    }
    // Delayed acknowledgements would cost 40 ms for each of 70 messages.
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_millis(1400), "{elapsed:?}");
}

#[test]
fn hello_and_what_is_not_understood() {
    let (_devices, addresses) = listen(1, Log::none());
    let mut client = Client::connect(addresses[0]);
    client.send(0xDEAD, 2, b"Client Hello!\0");
    let hello = client.receive().unwrap();
    assert_eq!(hello, (0xDEAD, 2, b"Server Hello!\0".to_vec()));
    // Another transport.
    client.send(1, 1, &[5, 0x10, 0x84, 0, 0]);
    assert_eq!(client.receive().unwrap(), (0xFFFF, 1, vec![]));
    assert_eq!(
        client.receive().unwrap_err().kind(),
        ErrorKind::UnexpectedEof
    );
    // A payload that is too large.
    let mut client = Client::connect(addresses[0]);
    client.send(1, 2, &[0; 0x1204]);
    assert!(client.receive().is_err());
    // It is still there.
    attest(&mut Client::connect(addresses[0])).unwrap();
}

#[test]
fn data_objects() {
    let (devices, addresses) = listen(1, Log::none());
    let mut client = Client::connect(addresses[0]);
    // Discovery.
    let found = client.exchange(&[1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(found, [1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 1]);
    let found = client.exchange(&[1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(found, [1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 1, 0]);
    // What is discarded, is answered by nothing.
    for object in [
        &[1, 0, 1, 0, 4, 0, 0, 0, 0x10, 0x84, 0, 0][..],
        &[2, 0, 1, 0, 3, 0, 0, 0, 0x10, 0x84, 0, 0],
        &[1, 0, 2, 0, 3, 0, 0, 0, 0x10, 0x84, 0, 0],
        &[1, 0, 1, 0],
        &[],
    ] {
        assert!(client.exchange(object).is_empty());
    }
    let honest = [1, 0, 1, 0, 3, 0, 0, 0, 0x10, 0x84, 0, 0];
    let version = client.exchange(&honest);
    assert_eq!(version.len(), 24);
    assert_eq!(version[4..10], [6, 0, 0, 0, 0x10, 0x04]);
    assert_eq!(version[22..], [0, 0], "padding");
    for (fault, at, value) in [
        ("doe-length-max", 4, 0),
        ("doe-length-one", 4, 1),
        ("doe-length-long", 4, 7),
        ("doe-length-short", 4, 5),
        ("doe-vendor", 0, 0xFE),
        ("doe-type", 2, 2),
        ("doe-padding", 22, 0xA5),
    ] {
        assert_eq!(devices.control(&format!("set 0 fault={fault}")), "ok");
        let object = client.exchange(&honest);
        assert_eq!(object[at], value, "{fault}");
        let differ = object.iter().zip(&version).filter(|(a, b)| a != b).count();
        assert_eq!(
            differ,
            if fault == "doe-padding" { 2 } else { 1 },
            "{fault}"
        );
    }
    assert_eq!(devices.control("set 0 fault=discovery-cycle"), "ok");
    let mut index = 0;
    for _ in 0..300 {
        index = client.exchange(&[1, 0, 0, 0, 3, 0, 0, 0, index, 0, 0, 0])[11];
        assert_ne!(index, 0);
    }
    assert_eq!(devices.device(0).unwrap().stats().faults, 307);
}

#[test]
fn silence_hang_close_and_delay() {
    let (devices, addresses) = listen(1, Log::none());
    let version = [1, 0, 1, 0, 3, 0, 0, 0, 0x10, 0x84, 0, 0];
    let mut client = Client::connect(addresses[0]);
    assert_eq!(devices.control("set 0 fault=silence delay-ms=100"), "ok");
    let start = Instant::now();
    assert!(client.exchange(&version).is_empty());
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!(devices.control("set 0 fault=hang delay-ms=0"), "ok");
    client.send(1, 2, &version);
    let short = Some(Duration::from_millis(300));
    client.0.set_read_timeout(short).unwrap();
    let kind = client.receive().unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut));
    drop(client);
    assert_eq!(devices.control("set 0 fault=close"), "ok");
    let mut client = Client::connect(addresses[0]);
    client.send(1, 2, &version);
    let kind = client.receive().unwrap_err().kind();
    assert_eq!(kind, ErrorKind::UnexpectedEof);
    // Once, by default.
    attest(&mut Client::connect(addresses[0])).unwrap();
}

#[test]
fn the_control_channel() {
    let (devices, addresses) = listen(2, Log::none());
    let address = devices.listen_control(LOOPBACK).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut ask = |line: &str| {
        writeln!(&stream, "{line}").unwrap();
        let mut answer = String::new();
        reader.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    };
    let json = |text: String| serde_json::from_str::<Value>(&text).unwrap();

    assert_eq!(ask("set 1 fault=bad-signature"), "ok");
    assert_eq!(json(ask("get 0 config"))["faults"], Value::Array(vec![]));
    let config = json(ask("get 1 config"));
    assert_eq!(config["faults"][0]["name"], "bad-signature");
    attest(&mut Client::connect(addresses[0])).unwrap();
    let refused = attest(&mut Client::connect(addresses[1])).unwrap_err();
    assert_eq!(refused, "signature");
    let stats = json(ask("get 1 stats"));
    assert_eq!(
        (&stats["faults"], &stats["challenges"]),
        (&1.into(), &0.into())
    );
    assert_eq!(stats["version"], "1.3");
    let stats = json(ask("get 0 stats"));
    assert_eq!(stats["challenges"], 1);
    assert_eq!(ask("reset all"), "ok");
    attest(&mut Client::connect(addresses[1])).unwrap();
    assert_eq!(json(ask("get 0 stats"))["challenges"], 0);

    // An error changes nothing, on no device.
    for line in [
        "set all portion=1 hash=none",
        "set 2 portion=1",
        "set",
        "get all stats",
        "get 0 weather",
        "reset 7",
        "go",
        "",
    ] {
        assert!(ask(line).starts_with("error: "), "{line}");
    }
    assert_eq!(json(ask("get 0 config"))["portion"], 0);
    let faults = json(ask("faults"));
    assert!(faults.as_array().unwrap().len() > 100);
    assert_eq!(json(ask("variants"))[0]["name"], "ok");
}

/// QEMU connects before it knows whether a drive can be added, and leaves the connection open if not.
#[test]
fn newest_connection_counts() {
    let (_devices, addresses) = listen(1, Log::none());
    let mut left = Client::connect(addresses[0]);
    left.send(0xdead, 2, b"Client Hello!\0");
    left.receive().unwrap();
    let mut used = Client::connect(addresses[0]);
    used.send(0xdead, 2, b"Client Hello!\0");
    assert_eq!(used.receive().unwrap().2, b"Server Hello!\0");
    assert!(left.receive().is_err());
}
