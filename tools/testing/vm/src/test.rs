// SPDX-License-Identifier: GPL-2.0

//! `vm test`: runs the selftests in guests, and prints their results as they come. Another one may do so at the same
//! time, so every line says whose it is.

use crate::{
    guest::{
        Config,
        Drive,
        Event,
        Guest, //
    },
    image::{
        self,
        Job,
        Modules, //
    },
    responder::{
        Responder,
        Transport, //
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
use clap::Args;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{
    Duration,
    Instant, //
};

/// From the start of QEMU to the first script.
const BOOT_LIMIT: Duration = Duration::from_secs(300);
/// For a script that does not say otherwise with `# timeout: SECONDS`.
const SCRIPT_LIMIT: Duration = Duration::from_secs(300);
/// For the work between two scripts.
const PAUSE_LIMIT: Duration = Duration::from_secs(60);

/// Drives of the guest: see lib.sh, which tells the scripts.
const RESPONDERS: u16 = 5;
const WITHOUT_DOE: usize = 2;
const PRESENT: usize = 3;
/// Their size in MiB, if the script does not say otherwise with `# drives: MIB`.
const DRIVE_SIZE: u64 = 4;

/// Options of `vm test`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Name of the kernel, for the names of the results.
    #[arg(long)]
    name: String,
    /// Report the results of the KUnit tests that run at boot, too.
    #[arg(long)]
    kunit: bool,
    /// Modules (*.ko) and programs that the scripts use; in the guest's /modules and /bin.
    #[arg(long)]
    extra: Vec<PathBuf>,
    /// `NAME=VALUE` for the scripts, on the guest's command line as `selftest.NAME=VALUE`.
    #[arg(long)]
    setting: Vec<String>,
    /// Seconds that the scripts may take longer than they say.
    #[arg(long, default_value_t = 0)]
    more_time: u64,
    /// The scripts.
    scripts: Vec<PathBuf>,
}

/// A script that runs in a guest.
pub struct Script {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub text: String,
    /// How long it may run.
    pub limit: Duration,
    /// In a guest of its own.
    alone: bool,
    /// How large its drives are, if it is alone.
    drive_size: u64,
    /// In one whose slots the kernel has control of.
    native_hotplug: bool,
}

impl Script {
    /// Reads a script, and the settings at its head.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or a setting makes no sense.
    pub fn read(path: &PathBuf) -> Result<Script> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let name = path.file_stem().context("a script has a name")?;
        let limit = setting(&text, "timeout")
            .map(|value| value.parse().map(Duration::from_secs))
            .transpose()
            .with_context(|| format!("timeout of {}", path.display()))?;
        let drive_size = setting(&text, "drives")
            .map(str::parse)
            .transpose()
            .with_context(|| format!("drives of {}", path.display()))?;
        Ok(Script {
            name: name.to_string_lossy().into_owned(),
            limit: limit.unwrap_or(SCRIPT_LIMIT),
            alone: setting(&text, "guest") == Some("own"),
            drive_size: drive_size.unwrap_or(DRIVE_SIZE),
            native_hotplug: setting(&text, "hotplug") == Some("native"),
            text,
        })
    }
}

/// The value of a line `# NAME: VALUE` in a script.
fn setting<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| {
            line.strip_prefix("# ")?
                .strip_prefix(name)?
                .strip_prefix(": ")
        })
        .map(str::trim)
        .next()
}

/// Runs the scripts, as many in one guest as can be; true if all results are good.
///
/// # Errors
///
/// If a guest cannot be started.
pub fn test(options: &Options) -> Result<bool> {
    let scripts = options
        .scripts
        .iter()
        .map(Script::read)
        .collect::<Result<Vec<Script>>>()?;
    let mut results = Results::new(options)?;
    let (alone, together): (Vec<Script>, Vec<Script>) =
        scripts.into_iter().partition(|script| script.alone);

    // A guest that dies fails the script that ran; the others get a new one.
    let mut left = together.as_slice();
    let mut boots = 0;
    while !left.is_empty() || (boots == 0 && options.kunit) {
        let kunit = options.kunit && boots == 0;
        let done = boot(options, left, kunit, &mut results)?;
        left = left.get(done..).unwrap_or_default();
        boots += 1;
    }
    for script in &alone {
        boot(options, std::slice::from_ref(script), false, &mut results)?;
    }
    Ok(results.failed == 0 && results.passed > 0)
}

/// Boots one guest for some scripts and returns how many of them are done with. `kunit`: results of KUnit count, too.
fn boot(
    options: &Options,
    scripts: &[Script],
    kunit: bool,
    results: &mut Results,
) -> Result<usize> {
    let common = &options.common;
    let name = scripts.first().map_or("boot", |script| &script.name);
    let directory = common.directory.join(format!("{}-{name}", options.name));
    fs::create_dir_all(&directory)?;
    let mut responder = Responder::start(
        &common.responder_program,
        &Transport::Doe,
        RESPONDERS,
        &common.pki,
        &directory,
    )?;
    let drives: Vec<Drive> = (0..RESPONDERS)
        .map(|n| Drive {
            responder: (usize::from(n) != WITHOUT_DOE).then(|| responder.port(n)),
            present: usize::from(n) < PRESENT,
        })
        .collect();
    let modules: Option<Modules> = common.modules();
    let texts: Vec<(String, String)> = scripts
        .iter()
        .map(|script| (script.name.clone(), script.text.clone()))
        .collect();
    let roots = crate::test_roots(&common.pki)?;
    let initramfs = image::build(
        modules.as_ref(),
        &roots,
        &options.extra,
        &Job::Selftests(&texts),
    )?;
    let mut append = "oops=panic softlockup_panic=0 log_buf_len=4M".to_owned();
    for setting in &options.setting {
        append.push_str(" selftest.");
        append.push_str(setting);
    }
    let alone = scripts.first().filter(|script| script.alone);
    let drive_size = alone.map_or(DRIVE_SIZE, |script| script.drive_size);
    let start = |drives: &[Drive], resume: Option<&str>| {
        Guest::start(&Config {
            directory: &directory,
            kernel: &common.kernel,
            initramfs: &initramfs,
            append: &format!("{append} {}", resume.unwrap_or_default()),
            drives,
            drive_size,
            again: resume.is_some(),
            serial: None,
            // TCG with more than one sometimes runs into half-patched kernel code (int3).
            cpus: 1,
            native_hotplug: scripts.iter().any(|script| script.native_hotplug),
            interactive: false,
        })
    };
    let mut guest = start(&drives, None)?;
    let mut plans = Plans::default();

    let mut suite = String::new();
    let mut done = 0;
    let mut running: Option<&Script> = None;
    let mut deadline = Instant::now() + BOOT_LIMIT;
    let whole = loop {
        match guest.event(deadline) {
            Event::Console(line) => {
                if is_splat(&line) {
                    let name = running.map_or("boot", |script| &script.name);
                    results.fail(name, &format!("the kernel log stays clean: {line}"));
                }
                if kunit && running.is_none() && done == 0 {
                    kunit_line(&line, &mut suite, results);
                }
                for order in plans.told_by(&line) {
                    let answer = obey(&order, &mut responder, &mut guest);
                    results.note(&format!("{order}: {}", answer.or_else(error)?));
                }
            }
            Event::Control(line) => {
                let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
                let answer = match word {
                    "responder" | "monitor" | "drive" => {
                        obey(&line, &mut responder, &mut guest).or_else(error)
                    }
                    "when" | "off" | "hibernate" => {
                        plans.make(word, rest).map(or_ok).or_else(error)
                    }
                    "begin" => {
                        running = scripts.get(done).filter(|script| script.name == rest);
                        let script = running.with_context(|| format!("unexpected {line}"))?;
                        deadline =
                            Instant::now() + script.limit + Duration::from_secs(options.more_time);
                        results.begin();
                        // Each script finds the responders as they were.
                        responder.control("reset all").or_else(error)
                    }
                    "tap" => {
                        let script = running.with_context(|| format!("unexpected {line}"))?;
                        results.tap(&script.name, rest);
                        continue;
                    }
                    "end" => {
                        let (name, status) = rest.split_once(' ').unwrap_or((rest, "?"));
                        results.end(name, status);
                        running = None;
                        done += 1;
                        deadline = Instant::now() + PAUSE_LIMIT;
                        Ok("ok".to_owned())
                    }
                    "job" => {
                        guest.answer("ok")?;
                        break true;
                    }
                    _ => Ok(format!("error: unknown word {word}")),
                }?;
                guest.answer(&answer)?;
            }
            // It has written its image: it is started again, with what has been done to its devices meanwhile.
            Event::Ended if plans.resume.is_some() => {
                guest.wait(Duration::from_secs(20));
                let mut drives = guest.drives().to_vec();
                for order in plans.off.drain(..) {
                    match order.split_once(' ') {
                        Some(("responder", line)) => {
                            let answer = responder.control(line)?;
                            ensure!(answer == "ok", "{order}: {answer}");
                        }
                        _ => place(&mut drives, &order)?,
                    }
                }
                let resume = plans.resume.take();
                drop(guest);
                guest = start(&drives, resume.as_deref())?;
            }
            Event::Ended => {
                let name = running.map_or("boot", |script| &script.name);
                results.fail(name, "the guest lives on");
                break false;
            }
            Event::Timeout => {
                let name = running.map_or("boot", |script| &script.name);
                results.fail(name, "the script ends within its time limit");
                break false;
            }
        }
    };
    guest.wait(Duration::from_secs(20));
    if whole && done < scripts.len() {
        results.fail("boot", "every script was run");
        return Ok(scripts.len());
    }
    if !whole {
        results.note(&format!(
            "its console is {}-{name}/console.log",
            options.name
        ));
        // Never the same script twice, and no endless boots.
        return Ok(done + 1);
    }
    Ok(done)
}

fn error(error: anyhow::Error) -> Result<String> {
    Ok(format!("error: {error:#}"))
}

fn or_ok(text: String) -> String {
    if text.trim().is_empty() {
        "ok".to_owned()
    } else {
        text
    }
}

/// What a script wants to be done when it cannot say so.
#[derive(Default)]
struct Plans {
    /// Text of a line of the console, and an order for that moment.
    when: Vec<(String, String)>,
    /// The guest is about to power off, and has to be started with this on its command line.
    resume: Option<String>,
    /// Orders for the time when it is off.
    off: Vec<String>,
}

impl Plans {
    /// `when TEXT then ORDER`, `off ORDER`, `hibernate WORDS`, or `hibernate` if it is not to be after all.
    fn make(&mut self, word: &str, rest: &str) -> Result<String> {
        match word {
            "when" => {
                let (text, order) = rest.split_once(" then ").context("when TEXT then ORDER")?;
                self.when.push((text.to_owned(), order.to_owned()));
            }
            "off" => self.off.push(rest.to_owned()),
            _ => self.resume = Some(rest.to_owned()).filter(|words| !words.is_empty()),
        }
        Ok(String::new())
    }

    /// The orders whose time has come with this line of the console.
    fn told_by(&mut self, line: &str) -> Vec<String> {
        let when = std::mem::take(&mut self.when).into_iter();
        let (due, left): (Vec<_>, Vec<_>) = when.partition(|(text, _)| line.contains(text));
        self.when = left;
        due.into_iter().map(|(_, order)| order).collect()
    }
}

/// `responder LINE`, `monitor COMMAND`, `drive add|remove N`, or `wake`, which comes to the guest on its control port.
fn obey(order: &str, responder: &mut Responder, guest: &mut Guest) -> Result<String> {
    let (word, rest) = order.split_once(' ').unwrap_or((order, ""));
    match word {
        "responder" => responder.control(rest),
        "monitor" => guest.monitor(rest).map(or_ok),
        "drive" => drive(guest, rest).map(|()| "ok".to_owned()),
        "wake" => guest.answer(word).map(|()| "ok".to_owned()),
        _ => bail!("unknown order {order}"),
    }
}

/// `drive add|remove N` while the guest is off.
fn place(drives: &mut [Drive], order: &str) -> Result<()> {
    let (verb, n) = match order.split(' ').collect::<Vec<_>>()[..] {
        ["drive", verb, n] => (verb, n.parse::<usize>()?),
        _ => bail!("unknown order {order}"),
    };
    let drive = drives.get_mut(n).context("no such drive")?;
    drive.present = verb == "add";
    Ok(())
}

/// `add N` or `remove N`.
fn drive(guest: &mut Guest, line: &str) -> Result<()> {
    let (verb, n) = line.split_once(' ').context("drive add|remove N")?;
    let n = n.parse().context("the number of a drive")?;
    match verb {
        "add" => guest.add_drive(n),
        "remove" => guest.remove_drive(n),
        _ => bail!("drive add|remove N"),
    }
}

/// A line of the KTAP that KUnit writes to the console: results of test cases are indented under
/// their suite.
fn kunit_line(line: &str, suite: &mut String, results: &mut Results) {
    // "[    1.234567]     # Subtest: name", "[    1.234567]     ok 1 name"
    let Some((_, text)) = line.split_once("] ") else {
        return;
    };
    if let Some(name) = text.trim_start().strip_prefix("# Subtest: ") {
        *suite = name.to_owned();
    } else if let Some(words) = text.strip_prefix("    ") {
        if words.starts_with("ok ") || words.starts_with("not ok ") {
            results.tap(&format!("kunit/{suite}"), words);
        }
    }
}

/// Results, printed as they come: `ok - GROUP/SCRIPT TEXT`.
struct Results {
    group: String,
    log: fs::File,
    passed: usize,
    failed: usize,
    /// Of the script that runs.
    plan: Option<usize>,
    seen: usize,
    failed_before: usize,
    diagnostics: Vec<String>,
}

impl Results {
    fn new(options: &Options) -> Result<Results> {
        let path = options
            .common
            .directory
            .join(format!("{}.tap", options.name));
        Ok(Results {
            group: options.name.clone(),
            // Of another one, too.
            log: fs::File::options().create(true).append(true).open(path)?,
            passed: 0,
            failed: 0,
            plan: None,
            seen: 0,
            failed_before: 0,
            diagnostics: Vec::new(),
        })
    }

    fn begin(&mut self) {
        self.plan = None;
        self.seen = 0;
        self.failed_before = self.failed;
        self.diagnostics.clear();
    }

    /// One line that a script has printed.
    fn tap(&mut self, name: &str, line: &str) {
        // The log is a help for people; without it the results still count.
        let _ = writeln!(self.log, "{name}: {line}");
        if let Some(text) = line.strip_prefix("ok ") {
            self.seen += 1;
            self.pass(name, text);
        } else if let Some(text) = line.strip_prefix("not ok ") {
            self.seen += 1;
            for line in std::mem::take(&mut self.diagnostics) {
                println!("# {}/{name}: {line}", self.group);
            }
            self.fail(name, without_number(text));
        } else if let Some(plan) = line.strip_prefix("1..") {
            self.plan = plan.trim().parse().ok();
        } else if !line.starts_with("TAP version") {
            self.diagnostics
                .push(line.trim_start_matches("# ").to_owned());
        }
    }

    /// A script has ended: what it did not say counts, too.
    fn end(&mut self, name: &str, status: &str) {
        if let Some(plan) = self.plan.filter(|plan| *plan != self.seen) {
            self.fail(name, &format!("{plan} results planned, {} seen", self.seen));
        }
        if self.seen == 0 {
            self.fail(name, "has results");
        }
        if status != "0" && self.failed == self.failed_before {
            for line in std::mem::take(&mut self.diagnostics) {
                println!("# {}/{name}: {line}", self.group);
            }
            self.fail(name, &format!("ends with status 0, not {status}"));
        }
        self.diagnostics.clear();
    }

    fn pass(&mut self, name: &str, text: &str) {
        self.diagnostics.clear();
        if text.contains("# SKIP") {
            println!("# skipped: {}/{name} {}", self.group, without_number(text));
            return;
        }
        self.passed += 1;
        println!("ok - {}/{name} {}", self.group, without_number(text));
    }

    fn fail(&mut self, name: &str, text: &str) {
        self.failed += 1;
        println!("not ok - {}/{name} {text}", self.group);
    }

    fn note(&mut self, text: &str) {
        println!("# {}: {text}", self.group);
    }
}

/// A result's text without the number and the dash in front.
fn without_number(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_comments() {
        let text = "#!/bin/sh\n# timeout: 300\n# guest: own\n";
        assert_eq!(setting(text, "timeout"), Some("300"));
        assert_eq!(setting(text, "guest"), Some("own"));
        assert_eq!(setting(text, "drives"), None);
    }

    #[test]
    fn orders_wait_for_their_line() {
        let mut plans = Plans::default();
        for order in ["responder set 0 key=7", "wake"] {
            plans
                .make("when", &format!("PM: idle then {order}"))
                .expect("it is well formed");
        }
        assert!(plans.told_by("PM: awake").is_empty());
        let orders = plans.told_by("[ 1.0] PM: idle");
        assert_eq!(orders, ["responder set 0 key=7", "wake"]);
        assert!(plans.told_by("[ 2.0] PM: idle").is_empty());
        assert!(plans.make("when", "idle: wake").is_err());
    }

    #[test]
    fn hibernation_can_be_called_off() {
        let mut plans = Plans::default();
        plans.make("hibernate", "resume=x").expect("it is a plan");
        assert_eq!(plans.resume.as_deref(), Some("resume=x"));
        plans.make("hibernate", "").expect("it is none");
        assert_eq!(plans.resume, None);
    }

    #[test]
    fn drives_come_and_go_while_the_guest_is_off() {
        let mut drives = vec![Drive {
            responder: None,
            present: true,
        }];
        place(&mut drives, "drive remove 0").expect("it is there");
        assert!(!drives[0].present);
        place(&mut drives, "drive add 0").expect("it is there");
        assert!(drives[0].present);
        assert!(place(&mut drives, "drive add 1").is_err());
        assert!(place(&mut drives, "monitor quit").is_err());
    }

    fn results() -> Results {
        Results {
            group: "g".to_owned(),
            log: fs::File::create("/dev/null").expect("it is there"),
            passed: 0,
            failed: 0,
            plan: None,
            seen: 0,
            failed_before: 0,
            diagnostics: Vec::new(),
        }
    }

    #[test]
    fn script_without_results_fails() {
        let mut results = results();
        results.begin();
        results.end("s", "0");
        assert_eq!((results.passed, results.failed), (0, 1));
    }

    #[test]
    fn script_that_breaks_its_plan_fails() {
        let mut results = results();
        results.begin();
        results.tap("s", "1..2");
        results.tap("s", "ok 1 first");
        results.end("s", "0");
        assert_eq!((results.passed, results.failed), (1, 1));
    }

    #[test]
    fn script_that_dies_fails() {
        let mut results = results();
        results.begin();
        results.tap("s", "ok 1 first");
        results.end("s", "2");
        assert_eq!((results.passed, results.failed), (1, 1));
    }

    #[test]
    fn skipped_is_not_passed() {
        let mut results = results();
        results.begin();
        results.tap("s", "ok 1 first # SKIP not here");
        results.end("s", "0");
        assert_eq!((results.passed, results.failed), (0, 0));
    }

    #[test]
    fn kunit_cases_count_and_their_suites_do_not() {
        let mut results = results();
        let mut suite = String::new();
        for line in [
            "[    1.0] KTAP version 1",
            "[    1.0]     # Subtest: rust_spdm",
            "[    1.0]     1..2",
            "[    1.0]     ok 1 first",
            "[    1.0]     not ok 2 second",
            "[    1.0] not ok 1 rust_spdm",
        ] {
            kunit_line(line, &mut suite, &mut results);
        }
        assert_eq!(suite, "rust_spdm");
        assert_eq!((results.passed, results.failed), (1, 1));
    }
}
