// SPDX-License-Identifier: GPL-2.0

//! `mctpcfg`: what a guest needs of the mctp tools, with nothing else in it. See `--help`.

mod ask;
mod line;
mod netlink;

use anyhow::{ensure, Context, Result};
use clap::{Parser, Subcommand};
use mctpcfg::device_index;
use netlink::Request;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Sets up MCTP on serial lines, and asks endpoints.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a serial line a network device (line discipline N_MCTP), says which, and keeps it until killed.
    Attach {
        /// The line: a serial port, or a side of a pseudo terminal.
        line: PathBuf,
    },
    /// Puts a device up.
    Up { device: String },
    /// Takes a device down.
    Down { device: String },
    /// Moves a device into the network namespace of a process.
    Netns { device: String, process: u32 },
    /// Sets the network that a device is in.
    Net { device: String, network: u32 },
    /// Gives a device an EID of this system.
    Addr {
        device: String,
        eid: u8,
        /// Takes it away.
        #[arg(long)]
        delete: bool,
    },
    /// Makes an EID, or those up to another one, reachable through a device.
    Route {
        device: String,
        eid: u8,
        last: Option<u8>,
        /// Largest packet on this way, in bytes.
        #[arg(long)]
        mtu: Option<u32>,
        /// Takes the route away.
        #[arg(long)]
        delete: bool,
    },
    /// Makes an EID known as a neighbour of a device, which has no addresses of its own.
    Neigh {
        device: String,
        eid: u8,
        /// Forgets it.
        #[arg(long)]
        delete: bool,
    },
    /// Asks an endpoint for its message types, in decimal (control protocol).
    Types {
        network: u32,
        eid: u8,
        /// Seconds to wait for the answer.
        #[arg(long, default_value_t = 5)]
        timeout: u64,
    },
    /// Asks an endpoint for its versions of SPDM.
    Versions {
        network: u32,
        eid: u8,
        /// Seconds to wait for the answer.
        #[arg(long, default_value_t = 5)]
        timeout: u64,
    },
}

/// The index of a device in this network namespace.
fn index(device: &str) -> Result<u32> {
    device_index(device).context(device.to_owned())
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Attach { line } => {
            let (_line, device) = line::attach(&line)?;
            println!("attached {device}");
            loop {
                thread::park();
            }
        }
        Command::Up { device } => Request::up(index(&device)?, true).send(),
        Command::Down { device } => Request::up(index(&device)?, false).send(),
        Command::Netns { device, process } => Request::netns(index(&device)?, process).send(),
        Command::Net { device, network } => Request::net(index(&device)?, network).send(),
        Command::Addr {
            device,
            eid,
            delete,
        } => Request::addr(index(&device)?, eid, delete).send(),
        Command::Route {
            device,
            eid,
            last,
            mtu,
            delete,
        } => {
            let last = last.unwrap_or(eid);
            ensure!(last >= eid, "the last EID is below the first one");
            Request::route(index(&device)?, eid, last - eid, mtu, delete).send()
        }
        Command::Neigh {
            device,
            eid,
            delete,
        } => Request::neigh(index(&device)?, eid, delete).send(),
        Command::Types {
            network,
            eid,
            timeout,
        } => {
            let types = ask::types(network, eid, Duration::from_secs(timeout))?;
            println!("{}", types.join(" "));
            Ok(())
        }
        Command::Versions {
            network,
            eid,
            timeout,
        } => {
            let versions = ask::versions(network, eid, Duration::from_secs(timeout))?;
            println!("{}", versions.join(" "));
            Ok(())
        }
    }
}
