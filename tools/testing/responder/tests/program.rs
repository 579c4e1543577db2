// SPDX-License-Identifier: GPL-2.0

//! The program as scripts use it: what it prints, and its exit status.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_spdm-responder");

fn pki() -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pki");
    path.to_str().unwrap().to_owned()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn serve_says_where_it_listens() {
    let pki = pki();
    let words = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
        "--devices",
        "2",
        "--pki",
        &pki,
        "--set",
        "version=1.2",
        "--set-device",
        "1 fault=busy times=3",
    ];
    let mut command = Command::new(PROGRAM);
    let mut program = Running(command.args(words).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
    let mut addresses = Vec::new();
    for what in ["device 0", "device 1", "control"] {
        let line = lines.next().unwrap().unwrap();
        let address = line.strip_prefix("listening ").unwrap();
        let address = address.strip_suffix(what).unwrap();
        addresses.push(address.trim().to_owned());
    }
    assert_eq!(lines.next().unwrap().unwrap(), "ready");

    let mut control = TcpStream::connect(&addresses[2]).unwrap();
    writeln!(control, "get 1 config").unwrap();
    let mut line = String::new();
    BufReader::new(&control).read_line(&mut line).unwrap();
    let config: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(config["version"], Value::from(vec!["1.2"]));
    assert_eq!(config["faults"][0]["remaining"], 3);

    // GET_VERSION in a data object in the socket protocol.
    let mut device = TcpStream::connect(&addresses[0]).unwrap();
    let object = [1, 0, 1, 0, 3, 0, 0, 0, 0x10, 0x84, 0, 0];
    device
        .write_all(&[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 12])
        .unwrap();
    device.write_all(&object).unwrap();
    let mut answer = [0; 12 + 16];
    device.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..12], [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 16]);
    assert_eq!(answer[20..], [0x10, 0x04, 0, 0, 0, 1, 0, 0x12]);
}

#[test]
fn roots_are_listed() {
    let output = run(&["pki", "--out", &pki()]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 9);
    for path in text.lines() {
        let root = std::fs::read(path).unwrap();
        openssl::x509::X509::from_der(&root).unwrap();
    }
    let all = std::fs::read(Path::new(&pki()).join("roots/all.pem")).unwrap();
    assert_eq!(openssl::x509::X509::stack_from_pem(&all).unwrap().len(), 6);
}

#[test]
fn tables_are_for_people_and_for_programs() {
    for (table, name) in [("faults", "bad-signature"), ("variants", "expired")] {
        let text = String::from_utf8(run(&[table]).stdout).unwrap();
        assert!(text.lines().any(|l| l.starts_with(&format!("{name} "))));
        let json: Value = serde_json::from_slice(&run(&[table, "--json"]).stdout).unwrap();
        let rows = json.as_array().unwrap();
        assert_eq!(rows.len(), text.lines().count());
        assert!(rows.iter().any(|row| row["name"] == name));
    }
}

#[test]
fn mistakes_are_refused() {
    let pki = pki();
    for words in [
        &["serve", "--pki", &pki, "--set", "fault=unheard-of"][..],
        &["serve", "--pki", &pki, "--set-device", "1 portion=1"],
        &["serve", "--pki", "/proc/none", "--listen", "127.0.0.1:0"],
        &["serve"],
        &["doe-emu", "--pki", &pki],
        &["doe-emu", "--pki", &pki, "--device", "/dev/none"],
        &["dance"],
    ] {
        let output = run(words);
        assert!(!output.status.success(), "{words:?}");
        assert!(!output.stderr.is_empty());
    }
    // A port that is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["serve", "--pki", &pki, "--listen", &address]);
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(&address), "{text}");
}
