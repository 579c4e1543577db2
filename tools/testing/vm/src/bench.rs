// SPDX-License-Identifier: GPL-2.0

//! `vm bench`: runs measurements in guests, and prints what they say as one table, and as JSON.

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
    responder::{
        self,
        Responder,
        Transport, //
    },
    samples::Samples,
    size,
    splat::is_splat,
    test::Script,
    Common, //
};
use anyhow::{
    bail,
    ensure,
    Result, //
};
use clap::Args;
use std::fs;
use std::path::PathBuf;
use std::time::{
    Duration,
    Instant, //
};

/// From the start of QEMU to the first script, and for the work between two.
const BOOT_LIMIT: Duration = Duration::from_secs(300);

/// Drives of the guest, each with a responder.
const DRIVES: u16 = 2;

/// Options of `vm bench`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// How often each measurement is taken.
    #[arg(long, default_value_t = 10)]
    runs: u32,
    /// Virtual CPUs.
    #[arg(long, default_value_t = 1)]
    cpus: usize,
    /// `host:port` of a responder that is running, instead of ours.
    #[arg(long)]
    responder: Option<String>,
    /// Root certificate of that responder, PEM or DER; besides ours.
    #[arg(long)]
    root: Option<PathBuf>,
    /// What the requester alone costs on the host: lines as the scripts print them.
    #[arg(long)]
    host: Option<PathBuf>,
    /// Modules (*.ko) and programs that the scripts use; in the guest's /modules and /bin.
    #[arg(long)]
    extra: Vec<PathBuf>,
    /// Where the samples are to be kept, as JSON.
    #[arg(long)]
    json: PathBuf,
    /// Such a file of before, to compare with.
    #[arg(long)]
    compare: Option<PathBuf>,
    /// The scripts.
    scripts: Vec<PathBuf>,
}

/// Takes the measurements; true if all could be taken.
///
/// # Errors
///
/// If a guest cannot be started, or a file cannot be read or written.
pub fn bench(options: &Options) -> Result<bool> {
    let before = options
        .compare
        .as_deref()
        .map(Samples::read)
        .transpose()?
        .unwrap_or_default();
    let mut samples = Samples::default();
    let mut complaints = Vec::new();
    if let Some(module) = &options.common.spdm {
        for (room, bytes) in size::by_room(module)? {
            samples.add("size", "text_and_data", "B", bytes as f64, room);
        }
    }
    if let Some(path) = &options.host {
        for line in fs::read_to_string(path)?.lines() {
            samples.line("host", line)?;
        }
        samples.write(&options.json)?;
    }
    for path in &options.scripts {
        let script = Script::read(path)?;
        let from = Instant::now();
        measure(options, &script, &mut samples, &mut complaints)?;
        println!(
            "  {:<58}{:7.1} s",
            script.name,
            from.elapsed().as_secs_f64()
        );
        // No sample is lost if a later script fails.
        samples.write(&options.json)?;
    }
    println!("\n{}", samples.table(&before));
    for complaint in &complaints {
        println!("  ! {complaint}");
    }
    Ok(complaints.is_empty())
}

/// Runs one script in a guest.
fn measure(
    options: &Options,
    script: &Script,
    samples: &mut Samples,
    complaints: &mut Vec<String>,
) -> Result<()> {
    let common = &options.common;
    let directory = common.directory.join(&script.name);
    fs::create_dir_all(&directory)?;
    let mut own = Responder::start(
        &common.responder_program,
        &Transport::Doe,
        DRIVES,
        &common.pki,
        &directory,
    )?;
    let drives = (0..DRIVES)
        .map(|n| {
            let port = match &options.responder {
                Some(address) => responder::relay(address)?,
                None => own.port(n),
            };
            Ok(Drive {
                responder: Some(port),
                present: true,
            })
        })
        .collect::<Result<Vec<Drive>>>()?;
    let mut roots = crate::test_roots(&common.pki)?;
    if let Some(path) = &options.root {
        roots.push(("other".to_owned(), crate::certificate(path)?));
    }
    let initramfs = image::build(
        common.modules().as_ref(),
        &roots,
        &options.extra,
        &Job::Bench(&(script.name.clone(), script.text.clone())),
    )?;
    let other = match options.responder {
        Some(_) => " spdm.other",
        None => "",
    };
    let mut guest = Guest::start(&Config {
        directory: &directory,
        kernel: &common.kernel,
        initramfs: &initramfs,
        append: &format!("spdm.runs={}{other}", options.runs),
        drives: &drives,
        drive_size: 4,
        again: false,
        serial: None,
        native_hotplug: false,
        cpus: options.cpus,
        interactive: false,
    })?;

    let mut deadline = Instant::now() + BOOT_LIMIT;
    let mut complain = |text: &str| complaints.push(format!("{}: {text}", script.name));
    loop {
        match guest.event(deadline) {
            Event::Console(line) if is_splat(&line) => complain(&line),
            Event::Console(_) => {}
            Event::Control(line) => {
                let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
                let answer = match word {
                    "begin" => {
                        deadline = Instant::now() + script.limit;
                        Ok("ok".to_owned())
                    }
                    "tap" => {
                        if let Err(error) = samples.line(&script.name, rest) {
                            complain(&format!("{error:#}"));
                        }
                        continue;
                    }
                    "end" => {
                        deadline = Instant::now() + BOOT_LIMIT;
                        match rest.rsplit_once(' ') {
                            Some((_, "0")) => {}
                            _ => complain("the script has failed"),
                        }
                        Ok("ok".to_owned())
                    }
                    "responder" => own.control(rest),
                    "drive" => match rest.split_once(' ').map(|(verb, n)| (verb, n.parse())) {
                        Some(("add", Ok(n))) => guest.add_drive(n).map(|()| "ok".to_owned()),
                        Some(("remove", Ok(n))) => guest.remove_drive(n).map(|()| "ok".to_owned()),
                        _ => bail!("unexpected line from the guest: {line}"),
                    },
                    "job" => {
                        guest.answer("ok")?;
                        break;
                    }
                    _ => bail!("unexpected line from the guest: {line}"),
                };
                guest.answer(&answer.unwrap_or_else(|error| format!("error: {error:#}")))?;
            }
            Event::Ended => {
                complain("the guest ended too early");
                break;
            }
            Event::Timeout => {
                complain("the time limit is over");
                break;
            }
        }
    }
    guest.wait(Duration::from_secs(20));
    ensure!(
        !samples.is_empty(),
        "no samples; the guest's console is {}/console.log",
        script.name
    );
    Ok(())
}
