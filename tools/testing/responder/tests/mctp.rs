// SPDX-License-Identifier: GPL-2.0

//! The program at the end of a serial link: endpoints, and what they make of each other's packets.

use mctpcfg::{make_raw, open_line};
use serde_json::Value;
use spdm_responder::mctp::frame::{encode, Decoder};
use spdm_responder::mctp::packet::{split, Assembled, Assembler, Header, BASELINE_UNIT};
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_spdm-responder");
const GET_VERSION: [u8; 5] = [5, 0x10, 0x84, 0, 0];
const GET_TYPES: [u8; 3] = [0, 0x80, 5];

/// Ends with the test.
struct Program {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts it with one link, and says what that is called.
    fn start(link: &str, words: &[&str]) -> (Program, String) {
        let pki = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pki");
        let mut command = Command::new(PROGRAM);
        command.args(["mctp", "--link", link, "--control-stdin", "--pki"]);
        command.arg(pki).args(words);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut program = Program {
            child,
            input,
            output,
        };
        let line = program.line();
        let name = line.strip_prefix("serving ").unwrap();
        let name = name.strip_suffix(" link 0").unwrap().to_owned();
        assert_eq!(program.line(), "ready");
        (program, name)
    }

    fn line(&mut self) -> String {
        self.output.next().unwrap().unwrap()
    }

    fn control(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        self.line()
    }

    fn stats(&mut self, device: usize) -> Value {
        serde_json::from_str(&self.control(&format!("get {device} stats"))).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn request(destination: u8, tag: u8, message: &[u8]) -> Vec<u8> {
    let header = Header {
        destination,
        source: 8,
        start: true,
        end: true,
        sequence: 0,
        tag_owner: true,
        tag,
    };
    let packets = split(header, message, BASELINE_UNIT);
    packets.iter().flat_map(|packet| encode(packet)).collect()
}

/// The next message that comes, and the header of its last packet.
fn receive(stream: &mut impl Read) -> (Header, Vec<u8>) {
    let mut decoder = Decoder::default();
    let mut assembler = Assembler::default();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        let Some(packet) = decoder.push(byte[0]) else {
            continue;
        };
        let packet = packet.unwrap();
        let (header, body) = Header::parse(&packet).unwrap();
        match assembler.push(&header, body) {
            Assembled::Message(message) => return (header, message),
            Assembled::Part => {}
            Assembled::Dropped(why) => panic!("{why}"),
        }
    }
}

fn socket(name: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    format!("unix:{}", path.display())
}

fn connect(name: &str) -> UnixStream {
    let stream = UnixStream::connect(name.strip_prefix("unix:").unwrap()).unwrap();
    let limit = Some(Duration::from_secs(60));
    stream.set_read_timeout(limit).unwrap();
    stream
}

#[test]
fn endpoints_of_a_link_answer_each_for_itself() {
    let words = [
        "--endpoints",
        "2",
        "--eid",
        "20",
        "--set-device",
        "1 version=1.2",
    ];
    let (mut program, name) = Program::start(&socket("two"), &words);
    let mut stream = connect(&name);
    stream.write_all(&request(20, 1, &GET_TYPES)).unwrap();
    let (header, message) = receive(&mut stream);
    assert_eq!((header.source, header.destination), (20, 8));
    assert_eq!((header.tag, header.tag_owner), (1, false));
    assert_eq!(message, [0, 0, 5, 0, 1, 5]);
    stream.write_all(&request(21, 2, &GET_VERSION)).unwrap();
    let (header, message) = receive(&mut stream);
    assert_eq!((header.source, header.tag), (21, 2));
    assert_eq!(message, [5, 0x10, 0x04, 0, 0, 0, 1, 0, 0x12]);
    // Whoever is at the end of the link, and nobody.
    stream.write_all(&request(0, 3, &[0, 0x80, 2])).unwrap();
    assert_eq!(receive(&mut stream).1, [0, 0, 2, 0, 20, 0, 0]);
    stream.write_all(&request(22, 3, &GET_VERSION)).unwrap();
    stream.write_all(&request(20, 4, &GET_VERSION)).unwrap();
    assert_eq!(receive(&mut stream).0.tag, 4);
    let stats = program.stats(0);
    assert_eq!(
        (&stats["packets_in"], &stats["requests"]),
        (&3.into(), &1.into())
    );
    assert_eq!(stats["wire_in"].as_u64(), Some(3 * 10 + 3 + 2 + 5 + 1));
    assert_eq!(program.stats(1)["packets_out"], 1);
}

#[test]
fn eids_can_be_set() {
    let (_program, name) = Program::start(&socket("set"), &[]);
    let mut stream = connect(&name);
    stream
        .write_all(&request(0, 1, &[0, 0x80, 1, 0, 77]))
        .unwrap();
    assert_eq!(receive(&mut stream).1, [0, 0, 1, 0, 0, 77, 0]);
    stream.write_all(&request(9, 1, &GET_VERSION)).unwrap();
    stream.write_all(&request(77, 2, &GET_VERSION)).unwrap();
    let (header, _) = receive(&mut stream);
    assert_eq!((header.source, header.tag), (77, 2));
}

#[test]
fn what_is_no_request_is_not_answered() {
    let (mut program, name) = Program::start(&socket("none"), &[]);
    let mut stream = connect(&name);
    let mut bad = request(9, 1, &GET_VERSION);
    bad[7] ^= 1;
    stream.write_all(&bad).unwrap();
    // Another type, an integrity check, and an answer.
    stream.write_all(&request(9, 1, &[6, 0x10, 0x84])).unwrap();
    stream
        .write_all(&request(9, 1, &[0x85, 0x10, 0x84, 0, 0]))
        .unwrap();
    stream
        .write_all(&encode(&[1, 9, 8, 0xC1, 5, 0x10, 0x84, 0, 0]))
        .unwrap();
    stream.write_all(&request(9, 2, &GET_VERSION)).unwrap();
    assert_eq!(receive(&mut stream).0.tag, 2);
    assert_eq!(program.stats(0)["requests"], 1);
}

#[test]
fn faults_of_the_link_are_played_and_counted() {
    let (mut program, name) = Program::start(&socket("faults"), &[]);
    let mut stream = connect(&name);
    let words = "set 0 fault=mctp-source,doe-vendor,mctp-sequence times=1";
    assert_eq!(program.control(words), "ok");
    stream.write_all(&request(9, 1, &GET_VERSION)).unwrap();
    assert_ne!(receive(&mut stream).0.source, 9);
    // There are no data objects here, and one packet has no sequence.
    assert_eq!(program.stats(0)["faults"], 1);
    assert_eq!(
        program.control("set 0 fault=mctp-link-silent times=2"),
        "ok"
    );
    stream.write_all(&request(9, 2, &GET_TYPES)).unwrap();
    stream.write_all(&request(9, 3, &GET_VERSION)).unwrap();
    stream.write_all(&request(9, 4, &GET_TYPES)).unwrap();
    assert_eq!(receive(&mut stream).0.tag, 4);
}

#[test]
fn retries_are_answered_as_the_first_time() {
    // DataTransferSize and MaxSPDMmsgSize are 1024.
    let mut get_capabilities = [0; 21];
    get_capabilities[..3].copy_from_slice(&[5, 0x12, 0xE1]);
    get_capabilities[14] = 4;
    get_capabilities[18] = 4;
    for (retries, second) in [("known", [5, 0x12, 0x61]), ("new", [5, 0x12, 0x7F])] {
        let words = ["--eid", "9", "--set", "version=1.2"];
        let (mut program, name) = Program::start(&socket(retries), &words);
        program.control(&format!("set 0 retries={retries}"));
        let mut stream = connect(&name);
        let mut answers = Vec::new();
        let mut ask = |message: &[u8]| {
            stream.write_all(&request(9, 1, message)).unwrap();
            answers.push(receive(&mut stream).1);
        };
        ask(&GET_VERSION);
        ask(&GET_VERSION);
        ask(&get_capabilities);
        ask(&get_capabilities);
        // It is another one now.
        ask(&GET_VERSION);
        ask(&get_capabilities);
        assert_eq!(answers[2][..3], [5, 0x12, 0x61]);
        assert_eq!(answers[3][..3], second);
        assert_eq!(answers[5], answers[2]);
        let violations = if retries == "known" { 0 } else { 1 };
        assert_eq!(program.stats(0)["violations"], violations);
    }
}

#[test]
fn device_that_closes_the_connection_has_another_one() {
    let (mut program, name) = Program::start(&socket("close"), &["--set", "fault=close"]);
    let mut stream = connect(&name);
    stream.write_all(&request(9, 1, &GET_VERSION)).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let mut stream = connect(&name);
    stream.write_all(&request(9, 1, &GET_VERSION)).unwrap();
    receive(&mut stream);
    assert_eq!(program.stats(0)["connections"], 2);
}

#[test]
fn pseudo_terminal_is_a_link() {
    let (mut program, name) = Program::start("pty", &[]);
    for times in 1..=2 {
        let mut line = open_line(Path::new(&name)).unwrap();
        make_raw(&line).unwrap();
        // All bytes go through, those that mean something to a terminal as well.
        let message: Vec<u8> = [5, 0x10, 0x84, 0, 0].into_iter().chain(0..=255).collect();
        line.write_all(&request(9, 3, &message)).unwrap();
        let (header, message) = receive(&mut line);
        assert_eq!((header.tag, message[0]), (3, 5));
        assert_eq!(program.stats(0)["connections"], times);
        drop(line);
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn links_that_are_none_are_refused() {
    for words in [
        ["--link", "serial", "--eid", "9"],
        ["--link", "pty", "--eid", "7"],
        ["--link", "pty", "--eid", "255"],
        ["--link", "/dev/no-such-line", "--eid", "9"],
    ] {
        let pki = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pki");
        let mut command = Command::new(PROGRAM);
        command.arg("mctp").args(words).arg("--pki").arg(pki);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(!output.status.success());
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
    }
}
