// SPDX-License-Identifier: GPL-2.0

//! Boots guests under QEMU: `vm run` attests drives and reports, `vm test` runs the kernel
//! selftests, `vm bench` takes measurements. Called by the scripts beside it, which prepare what it boots.

#![forbid(unsafe_code)]

mod bench;
mod cpio;
mod guest;
mod image;
mod report;
mod responder;
mod run;
mod samples;
mod size;
mod splat;
mod test;

use anyhow::{
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
    Parser,
    Subcommand, //
};
use std::fs;
use std::path::{
    Path,
    PathBuf, //
};
use std::process::ExitCode;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Attest drives, and say what came of it.
    Run(run::Options),
    /// Run selftests.
    Test(test::Options),
    /// Take measurements.
    Bench(bench::Options),
}

/// What all need.
#[derive(Args)]
struct Common {
    /// The kernel image.
    #[arg(long)]
    kernel: PathBuf,
    /// The kernel's modules: a directory with lib/modules/RELEASE. Without it, all is built in.
    #[arg(long, requires_all = ["release", "spdm"])]
    modules: Option<PathBuf>,
    /// The kernel's release name.
    #[arg(long)]
    release: Option<String>,
    /// spdm.ko.
    #[arg(long)]
    spdm: Option<PathBuf>,
    /// Our responder.
    #[arg(long)]
    responder_program: PathBuf,
    /// Directory of the test certificates.
    #[arg(long)]
    pki: PathBuf,
    /// An empty directory for what comes and goes; logs stay there.
    #[arg(long)]
    directory: PathBuf,
}

impl Common {
    fn modules(&self) -> Option<image::Modules> {
        Some(image::Modules {
            directory: self.modules.clone()?,
            release: self.release.clone()?,
            spdm: self.spdm.clone()?,
        })
    }
}

/// The test roots: name and DER of each.
fn test_roots(pki: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let directory = pki.join("roots");
    let mut roots = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "der") {
            let name = path.file_stem().context("a file has a name")?;
            roots.push((name.to_string_lossy().into_owned(), fs::read(&path)?));
        }
    }
    roots.sort();
    Ok(roots)
}

/// A certificate from a file in PEM or DER.
fn certificate(path: &Path) -> Result<Vec<u8>> {
    let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let der = match std::str::from_utf8(&content) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => {
            let body: String = text
                .lines()
                .skip_while(|line| !line.starts_with("-----BEGIN CERTIFICATE-----"))
                .skip(1)
                .take_while(|line| !line.starts_with("-----END"))
                .map(str::trim)
                .collect();
            STANDARD.decode(body).context("not base64 in PEM")?
        }
        _ => content,
    };
    // A SEQUENCE with a length of two bytes, as every certificate is.
    ensure!(
        der.starts_with(&[0x30, 0x82]),
        "{} is no certificate in PEM or DER",
        path.display()
    );
    Ok(der)
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Test(options) => test::test(&options),
        Command::Bench(options) => bench::bench(&options),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
