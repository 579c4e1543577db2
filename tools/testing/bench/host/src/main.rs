// SPDX-License-Identifier: GPL-2.0

//! Prints what the requester costs. Arguments: the directory of keys and certificates, and how many samples of each
//! case there are to be.
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
    println!(
        "{:<32}{:>10}{:>11}{:>9}{:>11}{:>16}{:>14}",
        "conversation",
        "exchanges",
        "received B",
        "hashed B",
        "median ns",
        "least, most",
        "a second"
    );
    for case in &CASES {
        let mut player = Player::record(case, Path::new(&pki))?;
        let mut samples = time(&mut player, runs.parse()?, CONVERSATIONS)?;
        samples.sort_by(f64::total_cmp);
        let [least, .., most] = samples[..] else {
            return Err("at least two samples".into());
        };
        let median = samples[samples.len() / 2];
        let played = player.play(|_, _| ())?;
        println!(
            "{:<32}{:>10}{:>11}{:>9}{:>11.0}{:>16}{:>14.0}",
            case.name,
            played.stats.exchanges,
            played.stats.bytes_in,
            played.hashed,
            median,
            format!("{least:.0}, {most:.0}"),
            1e9 / median
        );
    }
    Ok(())
}
