// SPDX-License-Identifier: GPL-2.0

//! `vm run`: attests emulated drives in a guest and reports to a person.

use crate::{
    guest::{
        Config,
        Drive,
        Event,
        Guest, //
    },
    image::{
        self,
        Job, //
    },
    report,
    responder::{
        self,
        Responder,
        Transport,
        FIRST_EID, //
    },
    splat::is_splat,
    Common, //
};
use anyhow::{
    bail,
    ensure,
    Context,
    Result, //
};
use base64::{
    engine::general_purpose::STANDARD,
    Engine, //
};
use clap::{
    Args,
    ValueEnum, //
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{
    self,
    File, //
};
use std::io::Read;
use std::path::{
    Path,
    PathBuf, //
};
use std::process::Command;
use std::time::{
    Duration,
    Instant, //
};

/// How long a guest may take under emulation on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// More root ports than this do not fit on the first bus.
const MAX_DRIVES: u16 = 24;

/// More endpoints than this take longer than is interesting to see.
const MAX_ENDPOINTS: u16 = 8;

/// What carries the messages.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Carrier {
    /// The DOE mailboxes of drives.
    Doe,
    /// A serial port with MCTP endpoints at its end.
    Mctp,
}

/// Options of `vm run`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// What carries the messages.
    #[arg(long, value_enum, default_value_t = Carrier::Doe)]
    transport: Carrier,
    /// Number of drives, or of endpoints.
    #[arg(long, default_value_t = 1)]
    devices: u16,
    /// `host:port` of a responder that is running, instead of ours.
    #[arg(long)]
    responder: Option<String>,
    /// Root certificate of that responder, PEM or DER; in place of ours.
    #[arg(long)]
    root: Option<PathBuf>,
    /// A misbehaviour of our responder, or the id of one or several.
    #[arg(long)]
    fault: Option<String>,
    /// Have another drive, with another key, in the slot of the first one when the guest wakes from sleep.
    #[arg(long)]
    swap: bool,
    /// The program that reads evidence in the guest, and verifies it here.
    #[arg(long)]
    spdmctl: PathBuf,
    /// Further programs for the guest.
    #[arg(long)]
    extra: Vec<PathBuf>,
    /// Where the evidence of the first drive is to be kept.
    #[arg(long)]
    evidence: Option<PathBuf>,
    /// Leave a person at a prompt in the guest.
    #[arg(long)]
    shell: bool,
}

/// What the guest sent: content by name.
pub type Facts = BTreeMap<String, Vec<u8>>;

/// Runs a guest, or one after the other for each misbehaviour that goes by the name of `--fault`; true if every drive is
/// authenticated and works.
///
/// # Errors
///
/// If a guest could not be run to its end.
pub fn run(options: &Options) -> Result<bool> {
    let Some(fault) = &options.fault else {
        return attest(options, None);
    };
    let misbehaviours = misbehaviours(&options.common.responder_program, fault)?;
    ensure!(
        !options.shell || misbehaviours.len() == 1,
        "SHELL=1 is for one misbehaviour, and there are {} for FAULT={fault}",
        misbehaviours.len()
    );
    let mut good = true;
    for (nth, Misbehaviour { name, text, words }) in (1..).zip(&misbehaviours) {
        if misbehaviours.len() > 1 {
            println!(
                "\n  {fault}, {nth} of {}: {name}: {text}",
                misbehaviours.len()
            );
        }
        good &= attest(options, Some(words))?;
    }
    Ok(good)
}

/// A misbehaviour of our responder.
struct Misbehaviour {
    name: String,
    text: String,
    /// What the responder is told.
    words: String,
}

/// The misbehaviours, bad certificate chains among them, of a name or an id; a name is one of either kind.
fn misbehaviours(program: &Path, fault: &str) -> Result<Vec<Misbehaviour>> {
    let mut found = Vec::new();
    for list in ["faults", "variants"] {
        let output = Command::new(program).args([list, "--json"]).output()?;
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout)?;
        let text = |row: &Value, key| row[key].as_str().unwrap_or_default().to_owned();
        let mut is_name = false;
        for row in rows {
            let ids = row["ids"].as_array().into_iter().flatten();
            let mut ids = ids.filter_map(Value::as_str);
            let named = row["name"] == fault;
            if named || ids.any(|id| id.eq_ignore_ascii_case(fault)) {
                is_name |= named;
                found.push(Misbehaviour {
                    name: text(&row, "name"),
                    text: text(&row, "text"),
                    words: text(&row, "words"),
                });
            }
        }
        if is_name {
            break;
        }
    }
    ensure!(
        !found.is_empty(),
        "FAULT={fault}: there is none of that name; `make faults` lists them"
    );
    Ok(found)
}

/// Runs the guest, with responders that were told `words`; true if every drive is authenticated and works.
fn attest(options: &Options, words: Option<&str>) -> Result<bool> {
    let common = &options.common;
    let mctp = options.transport == Carrier::Mctp;
    let most = if mctp { MAX_ENDPOINTS } else { MAX_DRIVES };
    ensure!(
        (1..=most).contains(&options.devices),
        "DEVICES is a number from 1 to {most}"
    );
    ensure!(
        !mctp || options.responder.is_none(),
        "RESPONDER is for drives"
    );
    ensure!(
        options.responder.is_none() || options.fault.is_none(),
        "FAULT is for our own responder, not for RESPONDER"
    );
    ensure!(
        options.responder.is_none() || !options.swap,
        "SWAP is for our own responder, not for RESPONDER"
    );

    // Who answers for the devices.
    let mut own = None;
    let socket = common.directory.join("mctp.sock");
    let transport = match options.transport {
        Carrier::Doe => Transport::Doe,
        Carrier::Mctp => Transport::Mctp(socket.clone()),
    };
    let drives: Vec<Drive> = if let Some(address) = &options.responder {
        let mut drives = Vec::new();
        for _ in 0..options.devices {
            drives.push(Drive {
                responder: Some(responder::relay(address)?),
                present: true,
            });
        }
        drives
    } else {
        let mut responder = Responder::start(
            &common.responder_program,
            &transport,
            options.devices,
            &common.pki,
            &common.directory,
        )?;
        // MEAS_CAP: signed.
        let answer = responder.control("set all flags=0x16")?;
        ensure!(answer == "ok", "{answer}");
        if let Some(words) = words {
            let answer = responder.control(&format!("set all {words}"))?;
            ensure!(answer == "ok", "{words}: {answer}");
        }
        let responder = own.insert(responder);
        (0..options.devices)
            .filter(|_| !mctp)
            .map(|n| Drive {
                responder: Some(responder.port(n)),
                present: true,
            })
            .collect()
    };

    let roots = match &options.root {
        Some(path) => vec![("root".to_owned(), crate::certificate(path)?)],
        None => crate::test_roots(&common.pki)?,
    };
    let modules = common.modules();
    let mut programs = options.extra.clone();
    programs.push(options.spdmctl.clone());
    let initramfs = image::build(modules.as_ref(), &roots, &programs, &Job::Run)?;
    let mut append = String::new();
    if options.shell {
        append.push_str("spdm.shell ");
    }
    if mctp {
        write!(append, "spdm.endpoints={}", options.devices)?;
    }

    let from = Instant::now();
    let mut step = Step {
        from,
        print: !options.shell,
    };
    let mut guest = Guest::start(&Config {
        directory: &common.directory,
        kernel: &common.kernel,
        initramfs: &initramfs,
        append: &append,
        drives: &drives,
        drive_size: 4,
        again: false,
        serial: mctp.then_some(socket.as_path()),
        // TCG with more than one sometimes runs into half-patched kernel code (int3).
        cpus: 1,
        native_hotplug: false,
        interactive: options.shell,
    })?;
    let mut deadline = from + LIMIT;
    let mut facts = Facts::new();
    let mut complaints = Vec::new();
    let nonce = nonce()?;
    loop {
        match guest.event(deadline) {
            Event::Console(line) => {
                if line.contains("Linux version") {
                    step.done("firmware has started");
                } else if line.contains("Run /init as init process") {
                    step.done("Linux has booted");
                }
                if is_splat(&line) {
                    complaints.push(line);
                }
            }
            Event::Control(line) => {
                let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
                match word {
                    "step" => step.done(rest),
                    "sleep" => {
                        if let (true, Some(responder)) = (options.swap, &mut own) {
                            let answer = responder.control("set 0 key=7")?;
                            ensure!(answer == "ok", "SWAP: {answer}");
                        }
                    }
                    "packets" => {
                        for n in 0..options.devices {
                            let Some(responder) = &mut own else { break };
                            let stats = responder.control(&format!("get {n} stats"))?;
                            let name = format!("mctp-1-{}/stats", FIRST_EID + n);
                            facts.insert(name, stats.into_bytes());
                        }
                    }
                    "nonce" => {
                        guest.answer(&nonce)?;
                        continue;
                    }
                    "put" => {
                        let (name, content) = rest.split_once(' ').unwrap_or((rest, ""));
                        let content = STANDARD
                            .decode(content)
                            .with_context(|| format!("{name} from the guest"))?;
                        facts.insert(name.to_owned(), content);
                    }
                    "fail" => complaints.push(rest.to_owned()),
                    "shell" => {
                        print!(
                            "{}",
                            report::report(&facts, options.devices.into(), mctp).text
                        );
                        deadline = Instant::now() + Duration::from_secs(24 * 3600);
                    }
                    "job" => {
                        guest.answer("ok")?;
                        break;
                    }
                    _ => bail!("unexpected line from the guest: {line}"),
                }
                guest.answer("ok")?;
            }
            Event::Ended => {
                complaints.push("the guest ended too early".to_owned());
                break;
            }
            Event::Timeout => {
                complaints.push(format!("the guest took more than {} s", LIMIT.as_secs()));
                break;
            }
        }
    }
    guest.wait(Duration::from_secs(20));
    step.done("the guest is powered off");
    drop(guest);

    if !options.shell {
        verify(options, &roots, &nonce, &mut facts)?;
        step.done("the evidence is verified, outside of the guest");
    }
    let report = report::report(&facts, options.devices.into(), mctp);
    if !options.shell {
        print!("{}", report.text);
    }
    for complaint in &complaints {
        println!("  ! {complaint}");
    }
    Ok(report.good && complaints.is_empty())
}

/// 32 random bytes, in hexadecimal digits.
fn nonce() -> Result<String> {
    let mut nonce = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut nonce)?;
    let mut text = String::new();
    for byte in nonce {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

/// Verifies the evidence of each drive, and puts the first line of what is said of it with what the guest sent.
fn verify(
    options: &Options,
    roots: &[(String, Vec<u8>)],
    nonce: &str,
    facts: &mut Facts,
) -> Result<()> {
    let directory = &options.common.directory;
    let mut command = Command::new(&options.spdmctl);
    command.args(["verify", "--nonce", nonce]);
    for (name, certificate) in roots {
        let path = directory.join(format!("{name}.der"));
        fs::write(&path, certificate)?;
        command.arg("--root").arg(path);
    }
    let file = directory.join("evidence");
    command.arg(&file);
    let evidence: Vec<_> = facts
        .iter()
        .filter_map(|(name, content)| Some((name.strip_suffix("/evidence")?, content)))
        .map(|(function, content)| (function.to_owned(), content.clone()))
        .collect();
    for (nth, (function, content)) in evidence.into_iter().enumerate() {
        fs::write(&file, content)?;
        if let (0, Some(kept)) = (nth, &options.evidence) {
            fs::copy(&file, kept).with_context(|| kept.display().to_string())?;
        }
        let said = command.output().context("spdmctl")?.stdout;
        let line = said.split(|byte| *byte == b'\n').next();
        let line = line.unwrap_or_default().to_vec();
        facts.insert(format!("{function}/verified"), line);
    }
    Ok(())
}

/// Lines for a person: what was done, and how long it took.
struct Step {
    from: Instant,
    print: bool,
}

impl Step {
    fn done(&mut self, text: &str) {
        if self.print {
            println!("  {text:<58}{:7.1} s", self.from.elapsed().as_secs_f64());
        }
        self.from = Instant::now();
    }
}
