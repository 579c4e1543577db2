// SPDX-License-Identifier: GPL-2.0

//! What a guest starts with: its initial RAM file system.

use crate::cpio::Archive;
use anyhow::{
    bail,
    Context,
    Result, //
};
use std::fs;
use std::path::{
    Path,
    PathBuf, //
};
use std::process::Command;

const INIT: &str = include_str!("../guest/init");
const RUN: &str = include_str!("../guest/run");
const SELFTESTS: &str = include_str!("../guest/selftests");
const LIB: &str = include_str!("../../selftests/lib.sh");
const BENCH: &str = include_str!("../../bench/common.sh");

/// Modules for a kernel that has not everything built in.
#[derive(Clone)]
pub struct Modules {
    /// The directory that contains `lib/modules/RELEASE`.
    pub directory: PathBuf,
    /// The kernel's release name.
    pub release: String,
    /// The module under test.
    pub spdm: PathBuf,
}

/// What the guest does once it is up.
pub enum Job<'a> {
    /// Attest the drives and send what there is to know about them.
    Run,
    /// Run these scripts: name and text.
    Selftests(&'a [(String, String)]),
    /// Run this script, which takes measurements: name and text.
    Bench(&'a (String, String)),
}

/// Makes the file system: busybox, keyctl, modules in the order in which they are inserted, root
/// certificates (name and DER), extra modules and programs, and the job.
///
/// # Errors
///
/// If a file that belongs into it is not there.
pub fn build(
    modules: Option<&Modules>,
    roots: &[(String, Vec<u8>)],
    extra: &[PathBuf],
    job: &Job,
) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in ["/proc", "/sys", "/dev", "/run", "/tmp", "/lib/modules"] {
        archive.directory(directory);
    }
    busybox(&mut archive)?;
    program(&mut archive, Path::new("/usr/bin/keyctl"))?;

    archive.file("/init", 0o755, INIT.as_bytes());
    archive.file("/lib.sh", 0o644, LIB.as_bytes());
    match job {
        Job::Run => archive.file("/job", 0o755, RUN.as_bytes()),
        Job::Selftests(list) => scripts(&mut archive, list),
        Job::Bench(script) => {
            archive.file("/bench.sh", 0o644, BENCH.as_bytes());
            scripts(&mut archive, std::slice::from_ref(*script));
        }
    }
    for (name, certificate) in roots {
        archive.file(&format!("/roots/{name}.der"), 0o644, certificate);
    }
    for path in extra {
        if path.extension().is_some_and(|extension| extension == "ko") {
            let name = path.file_name().context("a module has a name")?;
            let content = fs::read(path).with_context(|| path.display().to_string())?;
            archive.file(
                &format!("/modules/{}", name.to_string_lossy()),
                0o644,
                &content,
            );
        } else {
            program(&mut archive, path)?;
        }
    }
    if let Some(modules) = modules {
        let spdm = fs::read(&modules.spdm)
            .with_context(|| format!("cannot read {}", modules.spdm.display()))?;
        archive.file("/modules/spdm.ko", 0o644, &spdm);
        let needed = needed_by(&modules.spdm)?;
        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
        add_modules(&mut archive, modules, "spdm", &needed)?;
        add_modules(&mut archive, modules, "nvme", &["nvme"])?;
    }
    Ok(archive.finish())
}

/// Adds scripts, and the job that runs them one after the other.
fn scripts(archive: &mut Archive, scripts: &[(String, String)]) {
    archive.file("/job", 0o755, SELFTESTS.as_bytes());
    let mut names = String::new();
    for (name, text) in scripts {
        archive.file(&format!("/selftests/{name}.sh"), 0o755, text.as_bytes());
        names.push_str(name);
        names.push('\n');
    }
    archive.file("/selftests/list", 0o644, names.as_bytes());
}

fn busybox(archive: &mut Archive) -> Result<()> {
    let path = "/usr/bin/busybox";
    archive.file("/bin/busybox", 0o755, &fs::read(path).context(path)?);
    for applet in output(Command::new(path).arg("--list"))?.lines() {
        if applet != "busybox" {
            archive.link(&format!("/bin/{applet}"), "busybox");
        }
    }
    Ok(())
}

/// Adds a dynamically linked program and its libraries.
fn program(archive: &mut Archive, path: &Path) -> Result<()> {
    let name = path.file_name().context("a program has a name")?;
    let content = fs::read(path).with_context(|| path.display().to_string())?;
    archive.file(&format!("/bin/{}", name.to_string_lossy()), 0o755, &content);
    // "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)", "/lib64/ld-linux-x86-64.so.2 (0x…)"
    for line in output(Command::new("ldd").arg(path))?.lines() {
        if let Some(library) = line.split_whitespace().find(|word| word.starts_with('/')) {
            archive.file(
                library,
                0o755,
                &fs::read(library).context(library.to_owned())?,
            );
        }
    }
    Ok(())
}

/// Adds stock modules `names` and what they need, and the order to insert them as
/// `/modules/LIST.list`.
fn add_modules(archive: &mut Archive, modules: &Modules, list: &str, names: &[&str]) -> Result<()> {
    let mut order = String::new();
    for name in names {
        let lines = output(
            Command::new("modprobe")
                .args([
                    "--show-depends",
                    "--ignore-install",
                    "-C",
                    "/dev/null",
                    "-S",
                ])
                .arg(&modules.release)
                .arg("-d")
                .arg(&modules.directory)
                .arg(name),
        )?;
        for line in lines.lines() {
            let Some(path) = line.strip_prefix("insmod ").map(str::trim) else {
                continue;
            };
            let file = Path::new(path)
                .file_name()
                .context("a module has a name")?
                .to_string_lossy();
            let Some(plain) = file.strip_suffix(".xz") else {
                bail!("{path} is not compressed with xz");
            };
            if order.lines().any(|line| line == plain) {
                continue;
            }
            let content = Command::new("xz").args(["-dc", path]).output()?;
            if !content.status.success() {
                bail!("cannot decompress {path}");
            }
            archive.file(&format!("/modules/{plain}"), 0o644, &content.stdout);
            order.push_str(plain);
            order.push('\n');
        }
    }
    archive.file(&format!("/modules/{list}.list"), 0o644, order.as_bytes());
    Ok(())
}

/// Names of the modules that a module file needs.
fn needed_by(module: &Path) -> Result<Vec<String>> {
    let depends = output(Command::new("modinfo").args(["-F", "depends"]).arg(module))?;
    Ok(depends
        .trim()
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!(
            "{:?} failed: {}",
            command.get_program(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}
