// SPDX-License-Identifier: GPL-2.0

//! Shows what the kernel found out about SPDM devices, and checks it again.

mod file;
mod message;
mod netlink;
mod pcap;
mod sysfs;
#[cfg(test)]
mod tests;
mod verify;

use anyhow::{bail, ensure, Context, Result};
use clap::{CommandFactory, Parser, Subcommand};
use message::from_hex;
use openssl::x509::X509;
use serde_json::{json, Value};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Shows what the kernel found out about SPDM devices, and checks it again.
///
/// DEVICE is a name in /sys/class/spdm, or a PCI address.
///
/// Exit status: 0, the device is authenticated or the command did what it was asked; 1, it is not authenticated or
/// evidence was refused; 2, the command line is wrong; 3, anything else that went wrong.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Where sysfs is mounted
    #[arg(long, global = true, default_value = "/sys", hide = true)]
    sysfs: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A table of devices and verdicts
    List,
    /// All there is to know about a device
    Show {
        /// Name or PCI address
        device: String,
    },
    /// Attest a device now
    Attest {
        /// Name or PCI address
        device: String,
        /// What it is to sign: 64 hexadecimal digits
        #[arg(long, value_name = "HEX")]
        nonce: Option<String>,
    },
    /// Write the evidence of the last attestation, or of one with a nonce, to a file
    Evidence {
        /// Name or PCI address
        device: String,
        /// The file
        #[arg(short, long)]
        output: PathBuf,
        /// Attest first, and have this signed: 64 hexadecimal digits
        #[arg(long, value_name = "HEX")]
        nonce: Option<String>,
    },
    /// Expect the measurements that a device has now, from now on
    Pin {
        /// Name or PCI address
        device: String,
    },
    /// Accept the identity that a device offers
    Accept {
        /// Name or PCI address
        device: String,
    },
    /// Show what follows from verdicts, or change it
    Policy {
        /// Name or PCI address
        device: Option<String>,
        /// audit, enforce or off
        #[arg(value_parser = ["audit", "enforce", "off"])]
        policy: Option<String>,
    },
    /// Print verdicts as they come
    Watch {
        /// End after this many
        #[arg(long)]
        count: Option<u64>,
        /// Signatures instead
        #[arg(long)]
        signatures: bool,
    },
    /// Check evidence in a file again, with nothing but a root certificate
    Verify {
        /// The file
        file: PathBuf,
        /// Root certificates, PEM or DER
        #[arg(long, value_name = "CERT")]
        root: Vec<PathBuf>,
        /// The public key of a device without certificates: SubjectPublicKeyInfo in DER
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
        /// The nonce that has to be signed
        #[arg(long, value_name = "HEX")]
        nonce: Option<String>,
        /// The identity that the device has to have
        #[arg(long, value_name = "HEX")]
        identity: Option<String>,
        /// How old it may be, in seconds, by the clock of the kernel that wrote it
        #[arg(long, value_name = "SECONDS")]
        max_age: Option<u64>,
        /// Measurements that the device has to have: lines as in `measurements`
        #[arg(long, value_name = "FILE")]
        reference: Option<PathBuf>,
    },
    /// Make a pcap file for DMTF's spdm-dump of the text of the trace event spdm:spdm_message
    Pcap {
        /// The text, such as /sys/kernel/tracing/trace
        trace: PathBuf,
        /// The file
        #[arg(short, long)]
        output: PathBuf,
        /// Only messages of this device: its name in /sys/class/spdm
        #[arg(long)]
        device: Option<String>,
    },
    /// Print the manual page, or the completion of a shell
    #[command(hide = true)]
    Generate {
        /// man, bash, zsh, fish
        what: String,
    },
}

/// What a command found, and whether it is good news.
struct Outcome {
    text: String,
    json: Value,
    good: bool,
}

fn good(text: impl Into<String>, json: Value) -> Result<Outcome> {
    let text = text.into();
    Ok(Outcome {
        text,
        json,
        good: true,
    })
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(outcome) => {
            let text = match cli.json {
                true if outcome.json.is_null() => String::new(),
                true => outcome.json.to_string(),
                false => outcome.text,
            };
            if !text.is_empty() {
                // Whoever reads it may have seen enough.
                let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
            }
            ExitCode::from(if outcome.good { 0 } else { 1 })
        }
        Err(error) => {
            eprintln!("spdmctl: {error:#}");
            if cli.json {
                let object = json!({ "error": format!("{error:#}") });
                let _ = writeln!(std::io::stdout(), "{object}");
            }
            ExitCode::from(3)
        }
    }
}

fn run(cli: &Cli) -> Result<Outcome> {
    match &cli.command {
        Command::List => list(cli),
        Command::Show { device } => show(&sysfs::find(&cli.sysfs, device)?),
        Command::Attest { device, nonce } => {
            let device = sysfs::find(&cli.sysfs, device)?;
            let nonce = nonce.as_deref().map(nonce_of).transpose()?;
            let result = device.attest(nonce.as_deref());
            let mut outcome = line(&device);
            match result {
                Err(error) if outcome.good => return Err(error),
                _ => outcome.text = format!("{}: {}", device.name, outcome.text),
            }
            Ok(outcome)
        }
        Command::Evidence {
            device,
            output,
            nonce,
        } => {
            let device = sysfs::find(&cli.sysfs, device)?;
            let nonce = nonce.as_deref().map(nonce_of).transpose()?;
            let evidence = netlink::evidence(&device.name, nonce.as_deref())?;
            let bytes = evidence.to_bytes();
            fs::write(output, &bytes).with_context(|| output.display().to_string())?;
            let state = evidence.info("state").unwrap_or_default().to_owned();
            Ok(Outcome {
                text: format!("{}: {} bytes, state {state}", output.display(), bytes.len()),
                json: json!({ "file": output, "bytes": bytes.len(), "state": state }),
                good: matches!(state.as_str(), "authenticated" | "accepted"),
            })
        }
        Command::Pin { device } => pin(&sysfs::find(&cli.sysfs, device)?),
        Command::Accept { device } => {
            let device = sysfs::find(&cli.sysfs, device)?;
            let offered = device.get("offered_identity");
            ensure!(
                !offered.is_empty(),
                "{} offers no identity to accept: its state is {}",
                device.name,
                device.get("state")
            );
            device.set("identity", offered.as_bytes())?;
            Ok(line(&device))
        }
        Command::Policy { device: None, .. } => {
            let devices = sysfs::devices(&cli.sysfs)?;
            let policies = devices
                .iter()
                .map(|device| (&device.name, device.get("policy")));
            let lines = policies
                .clone()
                .map(|(name, policy)| format!("{name}  {policy}"));
            good(
                lines.collect::<Vec<_>>().join("\n"),
                policies
                    .map(|(name, policy)| json!({ "name": name, "policy": policy }))
                    .collect(),
            )
        }
        Command::Policy {
            device: Some(device),
            policy,
        } => {
            let device = sysfs::find(&cli.sysfs, device)?;
            if let Some(policy) = policy {
                device.set("policy", policy.as_bytes())?;
            }
            let policy = device.get("policy");
            good(
                policy.clone(),
                json!({ "name": device.name, "policy": policy }),
            )
        }
        Command::Watch { count, signatures } => watch(cli, *count, *signatures),
        Command::Verify { .. } => verify(&cli.command),
        Command::Pcap {
            trace,
            output,
            device,
        } => {
            let text = fs::read(trace).with_context(|| trace.display().to_string())?;
            let text = String::from_utf8_lossy(&text);
            let (bytes, count) = pcap::from_trace(&text, device.as_deref())?;
            ensure!(count > 0, "there are no messages in {}", trace.display());
            fs::write(output, bytes).with_context(|| output.display().to_string())?;
            let text = format!("{}: {count} messages", output.display());
            good(text, json!({ "file": output, "messages": count }))
        }
        Command::Generate { what } => generate(what),
    }
}

fn nonce_of(text: &str) -> Result<Vec<u8>> {
    let nonce = from_hex(text).context("--nonce")?;
    ensure!(
        nonce.len() == 32,
        "a nonce has 32 bytes: 64 hexadecimal digits"
    );
    Ok(nonce)
}

fn is_good(state: &str) -> bool {
    matches!(state, "authenticated" | "accepted")
}

/// State and reason of a device.
fn line(device: &sysfs::Device) -> Outcome {
    let (state, reason) = (device.get("state"), device.get("reason"));
    Outcome {
        text: match reason.is_empty() {
            true => state.clone(),
            false => format!("{state}: {reason}"),
        },
        good: is_good(&state),
        json: json!({ "name": device.name, "state": state, "reason": reason }),
    }
}

fn list(cli: &Cli) -> Result<Outcome> {
    let devices = sysfs::devices(&cli.sysfs)?;
    let mut text = format!(
        "{:<20} {:<14} {:<5} {:<12} {:<17} REASON\n",
        "NAME", "STATE", "SPDM", "MEASUREMENTS", "IDENTITY"
    );
    let mut all = Vec::new();
    for device in &devices {
        let [state, version, status, identity, reason] = [
            "state",
            "version",
            "measurements_status",
            "identity",
            "reason",
        ]
        .map(|attribute| device.get(attribute));
        let short = identity.get(..16).unwrap_or(&identity);
        let first = status.split(':').next().unwrap_or_default();
        text += &format!(
            "{:<20} {state:<14} {version:<5} {first:<12} {short:<17} {reason}\n",
            device.name
        );
        all.push(json!({
            "name": device.name, "state": state, "reason": reason, "version": version,
            "measurements_status": status, "identity": identity,
        }));
    }
    if devices.is_empty() {
        text = "there are no SPDM devices".to_owned();
    }
    good(text, Value::Array(all))
}

fn show(device: &sysfs::Device) -> Result<Outcome> {
    const ATTRIBUTES: [&str; 21] = [
        "state",
        "reason",
        "version",
        "algorithms",
        "capabilities",
        "slot",
        "subject",
        "issuer",
        "identity",
        "offered_identity",
        "policy",
        "resume_policy",
        "slot_mask",
        "attested_at",
        "duration_us",
        "exchanges",
        "bytes_sent",
        "bytes_received",
        "measurements_status",
        "measurements",
        "reference_measurements",
    ];
    let mut text = format!("{:<20} {}\n", "name", device.name);
    let mut object = json!({ "name": device.name });
    for attribute in ATTRIBUTES {
        let value = device.get(attribute);
        object[attribute] = value.clone().into();
        let mut lines = value.lines();
        if let Some(first) = lines.next() {
            text += &format!("{attribute:<20} {first}\n");
        }
        for line in lines {
            text += &format!("{:<20} {line}\n", "");
        }
    }
    let der = device.certificates(&device.get("slot"));
    let mut chain = Vec::new();
    for certificate in verify::certificates(&der)? {
        let subject = format!("{:?}", certificate.subject_name());
        let not_after = certificate.not_after().to_string();
        text += &format!("{:<20} {subject}, until {not_after}\n", "certificate");
        chain.push(json!({ "subject": subject, "not_after": not_after }));
    }
    object["certificates"] = chain.into();
    let mut history = Vec::new();
    for (number, context, verdict) in device.signatures() {
        text += &format!("{:<20} {number} {context}: {verdict}\n", "signature");
        history.push(json!({ "number": number, "type": context, "verdict": verdict }));
    }
    object["signatures"] = history.into();
    let good = is_good(&device.get("state"));
    Ok(Outcome {
        text,
        json: object,
        good,
    })
}

fn pin(device: &sysfs::Device) -> Result<Outcome> {
    let status = device.get("measurements_status");
    ensure!(
        status == "signed",
        "{}: only signed measurements can be expected, and these are `{status}`",
        device.name
    );
    let mut measurements = device.get("measurements");
    measurements.push('\n');
    device.set("reference_measurements", measurements.as_bytes())?;
    let count = measurements.lines().count();
    good(
        format!(
            "{}: {count} measurements are expected from now on",
            device.name
        ),
        json!({ "name": device.name, "measurements": count }),
    )
}

fn watch(cli: &Cli, count: Option<u64>, signatures: bool) -> Result<Outcome> {
    let mut left = count;
    if left == Some(0) {
        return good("", Value::Null);
    }
    if signatures {
        netlink::watch_signatures(|signature| {
            let size = signature.transcript.len();
            let object = json!({
                "device": signature.device, "response_code": signature.response_code,
                "slot": signature.slot, "hash_algo": signature.hash_algo,
                "signature_offset": signature.signature_offset, "size": size,
            });
            let text = format!(
                "{}: response {:#04x}, slot {}, {} bytes signed",
                signature.device,
                signature.response_code,
                signature.slot,
                signature.signature_offset
            );
            let mut out = std::io::stdout().lock();
            match cli.json {
                true => writeln!(out, "{object}")?,
                false => writeln!(out, "{text}")?,
            }
            out.flush()?;
            left = left.map(|left| left - 1);
            Ok(left != Some(0))
        })?;
        return good("", Value::Null);
    }
    netlink::watch(|verdict| {
        let mut out = std::io::stdout().lock();
        if cli.json {
            let object = json!({
                "device": verdict.device, "name": verdict.name, "state": verdict.state,
                "reason": verdict.reason, "measurements_changed": verdict.measurements_changed,
                "attested_at": verdict.attested_at,
            });
            writeln!(out, "{object}")?;
        } else {
            let changed = match verdict.measurements_changed {
                true => " (its measurements have changed)",
                false => "",
            };
            let reason = match verdict.reason.as_str() {
                "" => String::new(),
                reason => format!(": {reason}"),
            };
            writeln!(out, "{}: {}{reason}{changed}", verdict.name, verdict.state)?;
        }
        out.flush()?;
        left = left.map(|left| left - 1);
        Ok(left != Some(0))
    })?;
    good("", Value::Null)
}

fn verify(command: &Command) -> Result<Outcome> {
    let Command::Verify {
        file,
        root,
        public_key,
        nonce,
        identity,
        max_age,
        reference,
    } = command
    else {
        bail!("not verify");
    };
    let read = |path: &PathBuf| fs::read(path).with_context(|| path.display().to_string());
    let mut expected = verify::Expected {
        max_age: *max_age,
        ..Default::default()
    };
    for path in root {
        let bytes = read(path)?;
        match X509::from_der(&bytes) {
            Ok(certificate) => expected.roots.push(certificate),
            Err(_) => {
                let pem = X509::stack_from_pem(&bytes).unwrap_or_default();
                ensure!(
                    !pem.is_empty(),
                    "{} is no certificate, PEM or DER",
                    path.display()
                );
                expected.roots.extend(pem);
            }
        }
    }
    expected.public_key = public_key.as_ref().map(read).transpose()?;
    ensure!(
        !expected.roots.is_empty() || expected.public_key.is_some(),
        "whom do you trust? Give a root certificate with --root"
    );
    expected.nonce = nonce.as_deref().map(nonce_of).transpose()?;
    expected.identity = identity
        .as_deref()
        .map(from_hex)
        .transpose()
        .context("--identity")?;
    expected.reference = reference
        .as_ref()
        .map(|path| fs::read_to_string(path).with_context(|| path.display().to_string()))
        .transpose()?;
    let bytes = read(file)?;

    let result = file::Evidence::from_bytes(&bytes)
        .and_then(|evidence| verify::verify(&evidence, &expected));
    Ok(match result {
        Ok(verified) => {
            let lines: Vec<_> = verified
                .measurements
                .iter()
                .map(message::Block::line)
                .collect();
            let mut text = format!(
                "VERIFIED\ndevice        {}\nidentity      {}\nSPDM          {}, {} {}, slot {}\n",
                verified.device,
                verified.identity,
                verified.negotiated.version_text(),
                verified.negotiated.hash.name,
                verified.negotiated.asym.name,
                verified.slot
            );
            for subject in &verified.subjects {
                text += &format!("certificate   {subject}\n");
            }
            text += &format!("nonce         {}\n", verified.nonce);
            if !verified.fresh {
                text += "              not compared: this may be a recording (see --nonce)\n";
            }
            if !verified.measured {
                text += "measurements  none that are signed\n";
            }
            for line in &lines {
                text += &format!("measurement   {line}\n");
            }
            Outcome {
                text,
                json: json!({
                    "verified": true, "device": verified.device, "identity": verified.identity,
                    "version": verified.negotiated.version_text(),
                    "base_hash": verified.negotiated.hash.name,
                    "asym": verified.negotiated.asym.name, "slot": verified.slot,
                    "certificates": verified.subjects, "nonce": verified.nonce,
                    "fresh": verified.fresh, "attested_at": verified.attested_at,
                    "measurements": lines,
                }),
                good: true,
            }
        }
        Err(error) => Outcome {
            text: format!("REFUSED: {error:#}"),
            json: json!({ "verified": false, "reason": format!("{error:#}") }),
            good: false,
        },
    })
}

fn generate(what: &str) -> Result<Outcome> {
    let mut command = Cli::command();
    let mut out = Vec::new();
    if what == "man" {
        let man = clap_mangen::Man::new(command.clone()).section("8");
        man.render_title(&mut out)?;
        man.render_name_section(&mut out)?;
        man.render_synopsis_section(&mut out)?;
        man.render_description_section(&mut out)?;
        man.render_options_section(&mut out)?;
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            writeln!(out, ".SH \"COMMAND {}\"", sub.get_name().to_uppercase())?;
            let man = clap_mangen::Man::new(sub.clone());
            man.render_description_section(&mut out)?;
            man.render_options_section(&mut out)?;
        }
    } else {
        let shell: clap_complete::Shell = what
            .parse()
            .map_err(|error: String| anyhow::anyhow!("{error}"))?;
        clap_complete::generate(shell, &mut command, "spdmctl", &mut out);
    }
    good(String::from_utf8(out)?, Value::Null)
}
