// SPDX-License-Identifier: GPL-2.0

//! `fuzz --target=NAME [--seeds=DIRECTORY] [libFuzzer's options and directories]`
//!
//! libFuzzer has the main function, and passes over options with two hyphens. `--seeds` writes what
//! there is to begin with.
#![no_main]

use fuzz::{Target, TARGETS};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

static TARGET: OnceLock<&Target> = OnceLock::new();

fn option(name: &str) -> Option<String> {
    let mut arguments = std::env::args();
    arguments.find_map(|argument| argument.strip_prefix(name).map(str::to_owned))
}

fn start() {
    let name = option("--target=").unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("--target=NAME, one of:");
        for target in TARGETS {
            println!("{}", target.name);
        }
        exit(2);
    };
    if let Some(directory) = option("--seeds=") {
        for (nth, seed) in target.seeds().iter().enumerate() {
            std::fs::write(Path::new(&directory).join(format!("seed-{nth}")), seed).unwrap();
        }
        exit(0);
    }
    TARGET.get_or_init(|| target);
}

fuzz_target!(init: start(), |data: &[u8]| {
    TARGET.get().unwrap().run(data);
});
