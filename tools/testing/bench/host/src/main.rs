// SPDX-License-Identifier: GPL-2.0

//! Prints what the requester costs, as the scripts of `make bench` do. Arguments: the directory of keys and certificates,
//! and how many samples of each case there are to be.
#![forbid(unsafe_code)]

use spdm_bench::{
    time,
    Failure,
    Player,
    CASES, //
};
use std::path::Path;

/// Conversations that a sample is the mean of: few, so that most samples are not interrupted.
const CONVERSATIONS: u32 = 200;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(pki), Some(runs)) = (arguments.next(), arguments.next()) else {
        return Err("PKI RUNS".into());
    };
    for case in &CASES {
        let mut player = Player::record(case, Path::new(&pki))?;
        for ns in time(&mut player, runs.parse()?, CONVERSATIONS)? {
            println!("sample conversation ns {ns:.0} {}", case.name);
        }
        let played = player.play(|_, _| ())?;
        for (name, unit, value) in [
            ("exchanges", "-", played.stats.exchanges as usize),
            ("received", "B", played.stats.bytes_in as usize),
            ("hashed", "B", played.hashed),
        ] {
            println!("sample {name} {unit} {value} {}", case.name);
        }
    }
    Ok(())
}
