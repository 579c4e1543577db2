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
use spdm_responder::mctp::link::Address;
use spdm_responder::pki::{Identity, Pki, DOE_EMU_SAN, QEMU_NVME_SAN};
use spdm_responder::variant::{Variant, Verdict, VARIANTS};
use std::io::{stdin, stdout, Write};
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
        #[command(flatten)]
        options: Options,
    },
    /// Serve the mailboxes of the kernel module doe_emu, until killed.
    #[command(after_help = help())]
    DoeEmu {
        /// Device file of a mailbox, /dev/doe_emu0 or so; the first one is device 0.
        #[arg(long = "device", value_name = "FILE", required = true)]
        mailboxes: Vec<PathBuf>,
        /// Take lines of the control channel from standard input, and answer on standard output.
        #[arg(long)]
        control_stdin: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Serve endpoints of MCTP at the end of serial links, until killed.
    #[command(after_help = help())]
    Mctp {
        /// A link: a serial line (/dev/...), `pty` for a new pseudo terminal, `unix:PATH` or
        /// `tcp:ADDRESS` to listen on.
        #[arg(long = "link", value_name = "LINK", required = true)]
        links: Vec<Address>,
        /// How many endpoints are at the end of each link; those of the first link come first.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        endpoints: u32,
        /// EID of the first one on each link; the others have those that follow.
        #[arg(long, default_value_t = 9)]
        eid: u8,
        /// Take lines of the control channel from standard input, and answer on standard output.
        #[arg(long)]
        control_stdin: bool,
        #[command(flatten)]
        options: Options,
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

/// Whatever it is that carries the messages.
#[derive(clap::Args)]
struct Options {
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
}

impl Options {
    /// Makes the devices of `configs`, changed by the options.
    fn devices(&self, mut configs: Vec<Config>) -> Result<Devices> {
        let pki = Arc::new(Pki::open(&self.pki)?);
        for words in &self.set {
            for config in &mut configs {
                *config = config.changed(words).map_err(|e| anyhow!("--set: {e}"))?;
            }
        }
        for words in &self.set_device {
            let (number, words) = words.split_once(' ').unwrap_or((words, ""));
            let config = number.parse().ok().and_then(|n: usize| configs.get_mut(n));
            let config = config.with_context(|| format!("--set-device: no `{number}`"))?;
            *config = config
                .changed(words)
                .map_err(|e| anyhow!("--set-device: {e}"))?;
        }
        let log = match &self.log {
            Some(path) => Log::create(path, self.log_hex)?,
            None => Log::none(),
        };
        Devices::new(pki, configs, log)
    }

    /// Opens the control channel, if there is to be one, and says that all is ready.
    fn ready(&self, devices: &Devices) -> Result<()> {
        if let Some(address) = self.control {
            let address = devices.listen_control(address)?;
            print(&format!("listening {address} control\n"))?;
        }
        print("ready\n")
    }
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
                if asym.of_keys() != asym {
                    continue;
                }
                print(&format!("{}\n", pki.root_path(asym).display()))?;
            }
            Ok(())
        }
        Command::Serve {
            listen,
            devices,
            options,
        } => {
            let devices = options.devices((0..devices).map(Config::new).collect())?;
            for (number, address) in devices.listen(listen)?.iter().enumerate() {
                print(&format!("listening {address} device {number}\n"))?;
            }
            options.ready(&devices)?;
            serve_for_ever()
        }
        Command::DoeEmu {
            mailboxes,
            control_stdin,
            options,
        } => {
            let configs = (0..).map(Config::new).take(mailboxes.len());
            let configs = configs.map(|config| Config {
                san: DOE_EMU_SAN.to_owned(),
                ..config
            });
            let devices = options.devices(configs.collect())?;
            devices.attach(&mailboxes)?;
            for (number, path) in mailboxes.iter().enumerate() {
                print(&format!("serving {} device {number}\n", path.display()))?;
            }
            options.ready(&devices)?;
            if control_stdin {
                devices.serve_lines(stdin().lock(), stdout().lock())?;
            }
            serve_for_ever()
        }
        Command::Mctp {
            links,
            endpoints,
            eid,
            control_stdin,
            options,
        } => {
            let count = links.len().saturating_mul(endpoints as usize);
            let configs = (0..).map(Config::new).take(count);
            let devices = options.devices(configs.collect())?;
            for (number, name) in devices.link(&links, eid)?.iter().enumerate() {
                print(&format!("serving {name} link {number}\n"))?;
            }
            options.ready(&devices)?;
            if control_stdin {
                devices.serve_lines(stdin().lock(), stdout().lock())?;
            }
            serve_for_ever()
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

/// The threads of the devices do the rest.
fn serve_for_ever() -> ! {
    loop {
        thread::park();
    }
}

/// Prints at once, also into a pipe; an error if nobody reads.
fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
