// SPDX-License-Identifier: GPL-2.0

//! `spdm-responder`: see `--help`.
#![forbid(unsafe_code)]

use anyhow::{anyhow, Context, Result};
use clap::{Parser, Subcommand};
use spdm_responder::algorithm::Asym;
use spdm_responder::config::{Config, KEYS};
use spdm_responder::devices::{variants_json, Devices, CONTROL};
use spdm_responder::fault::{self, Harm, FAULTS};
use spdm_responder::log::Log;
use spdm_responder::pki::{Identity, Pki, QEMU_NVME_SAN};
use spdm_responder::variant::{Variant, Verdict, VARIANTS};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

/// An SPDM responder for tests: honest, or wrong in one chosen way.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make every root, and the right chain for every signature algorithm.
    Pki {
        /// Directory of keys and certificates; what is there is kept.
        #[arg(long)]
        out: PathBuf,
        /// CMA name of the device.
        #[arg(long, default_value = QEMU_NVME_SAN)]
        san: String,
    },
    /// Serve devices to QEMU, until killed.
    #[command(after_help = help())]
    Serve {
        /// Address of the first device; the others have the ports that follow.
        #[arg(long, default_value = "127.0.0.1:2323")]
        listen: SocketAddr,
        /// How many devices.
        #[arg(long, default_value_t = 1)]
        devices: u32,
        /// Directory of keys and certificates; made if missing.
        #[arg(long)]
        pki: PathBuf,
        /// Address of the control channel.
        #[arg(long)]
        control: Option<SocketAddr>,
        /// File to write the exchanges to, in lines of JSON.
        #[arg(long)]
        log: Option<PathBuf>,
        /// Write the bytes of messages to the log as well.
        #[arg(long)]
        log_hex: bool,
        /// What every device is to be: "key=value ...".
        #[arg(long, value_name = "KEYS")]
        set: Vec<String>,
        /// What one device is to be: "NUMBER key=value ...".
        #[arg(long, value_name = "NUMBER KEYS")]
        set_device: Vec<String>,
    },
    /// List the misbehaviours.
    Faults {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the certificate chains.
    Variants {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

fn help() -> String {
    format!("Keys:\n{KEYS}\nLines of the control channel:\n{CONTROL}")
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Pki { out, san } => {
            let pki = Pki::open(&out)?;
            let identity = Identity { san, key: 0 };
            pki.all_roots()?;
            for asym in Asym::ALL {
                pki.chain(asym, Variant::Ok, &identity)?;
                print(&format!("{}\n", pki.root_path(asym).display()))?;
            }
            Ok(())
        }
        Command::Serve {
            listen,
            devices,
            pki,
            control,
            log,
            log_hex,
            set,
            set_device,
        } => {
            let pki = Arc::new(Pki::open(&pki)?);
            let mut configs: Vec<_> = (0..devices).map(Config::new).collect();
            for words in set {
                for config in &mut configs {
                    *config = config.changed(&words).map_err(|e| anyhow!("--set: {e}"))?;
                }
            }
            for words in set_device {
                let (number, words) = words.split_once(' ').unwrap_or((&words, ""));
                let config = number.parse().ok().and_then(|n: usize| configs.get_mut(n));
                let config = config.with_context(|| format!("--set-device: no `{number}`"))?;
                *config = config
                    .changed(words)
                    .map_err(|e| anyhow!("--set-device: {e}"))?;
            }
            let log = match log {
                Some(path) => Log::create(&path, log_hex)?,
                None => Log::none(),
            };
            let devices = Devices::new(pki, configs, log)?;
            for (number, address) in devices.listen(listen)?.iter().enumerate() {
                print(&format!("listening {address} device {number}\n"))?;
            }
            if let Some(address) = control {
                let address = devices.listen_control(address)?;
                print(&format!("listening {address} control\n"))?;
            }
            print("ready\n")?;
            // The threads of the devices do the rest.
            loop {
                thread::park();
            }
        }
        Command::Faults { json: true } => print(&format!("{}\n", fault::to_json())),
        Command::Variants { json: true } => print(&format!("{}\n", variants_json())),
        Command::Faults { .. } => {
            let mut text = String::new();
            for f in FAULTS {
                let harm = match f.harm {
                    Harm::None => "copes",
                    Harm::Open => "either",
                    Harm::Fatal => "",
                };
                text += &format!(
                    "{:28} {:7} {:7} {}\n",
                    f.name,
                    f.ids.join(","),
                    harm,
                    f.text
                );
            }
            print(&text)
        }
        Command::Variants { .. } => {
            let mut text = String::new();
            for v in VARIANTS {
                let verdict = match v.verdict {
                    Verdict::Good => "good",
                    Verdict::Bad => "",
                };
                text += &format!(
                    "{:28} {:7} {:7} {}\n",
                    v.name,
                    v.ids.join(","),
                    verdict,
                    v.text
                );
            }
            print(&text)
        }
    }
}

/// Prints at once, also into a pipe; an error if nobody reads.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
