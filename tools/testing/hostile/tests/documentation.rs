// SPDX-License-Identifier: GPL-2.0

//! Documentation/protocol-coverage.rst says of each rule of the standard where it is kept and by which test, and of
//! each attack how it is met: whatever it names is there, and it names every attack that the responder plays.
#![forbid(unsafe_code)]

use spdm_responder::fault::FAULTS;
use spdm_responder::variant::VARIANTS;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What is in double quotes there but is neither a file nor in a source: programs.
const PROGRAMS: &[&str] = &["spdm_core", "spdm_responder_emu"];

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn table() -> String {
    fs::read_to_string(tree().join("Documentation/protocol-coverage.rst")).unwrap()
}

/// The sources in Rust and C below a directory.
fn sources(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if matches!(path.extension(), Some(end) if end == "rs" || end == "c") {
            *text += &fs::read_to_string(path).unwrap();
        }
    }
}

/// Whether `name` is defined by one of `keywords`, or each version's test is made of it.
fn is_defined(text: &str, keywords: &[&str], name: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let follows = |before: &str| {
        let pattern = format!("{before}{name}");
        text.match_indices(&pattern)
            .any(|(at, _)| ends(&text[at + pattern.len()..]))
    };
    follows("each_version!(")
        || keywords
            .iter()
            .any(|keyword| follows(&format!("{keyword} ")))
}

#[test]
fn what_the_table_names_is_there() {
    const FUNCTIONS: &[&str] = &["fn", "const"];
    const TYPES: &[&str] = &["struct", "enum", "trait", "type", "const", "static"];
    let table = table();
    let mut text = String::new();
    sources(&tree(), &mut text);
    let mut missing = Vec::new();
    let names: BTreeSet<_> = table.split("``").skip(1).step_by(2).collect();
    for name in &names {
        let is_word = |also: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || also.contains(c);
            name.chars().all(fits)
        };
        let there = match name.rsplit_once("::") {
            _ if PROGRAMS.contains(name) => true,
            _ if name.starts_with('.') || name.contains(' ') => true,
            Some((owner, function)) => {
                let owner = owner.rsplit("::").next().unwrap();
                // A function, or a variant.
                let variant = [",", "(", " {"].map(|end| format!("    {function}{end}"));
                is_defined(&text, TYPES, owner)
                    && (is_defined(&text, FUNCTIONS, function)
                        || variant.iter().any(|variant| text.contains(variant)))
            }
            None if name.ends_with(".sh") => {
                tree().join("tools/testing/selftests").join(name).exists()
            }
            None if name.contains('/') && is_word("./-") => tree().join(name).exists(),
            None if name.starts_with(|c: char| c.is_ascii_uppercase()) && is_word("") => {
                is_defined(&text, TYPES, name) || is_defined(&text, FUNCTIONS, name)
            }
            None if name.contains('_') && is_word("") => {
                is_defined(&text, FUNCTIONS, name) || text.contains(&format!("\"{name}\""))
            }
            // A word of something else.
            None => true,
        };
        if !there {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(names.len() > 500, "{}", names.len());
}

/// The identifiers of attacks in brackets, `[N3]` or `[S6, S7]`.
fn ids(table: &str) -> BTreeSet<String> {
    let lists = table
        .split('[')
        .skip(1)
        .filter_map(|text| text.split_once(']'));
    let ids = lists.flat_map(|(list, _)| list.split(','));
    ids.map(|id| id.trim().to_owned()).collect()
}

#[test]
fn the_table_has_every_attack() {
    let ids = ids(&table());
    let series = [
        ('N', 11),
        ('C', 16),
        ('S', 14),
        ('M', 10),
        ('E', 12),
        ('K', 8),
        ('T', 9),
        ('L', 11),
        ('F', 1),
    ];
    for (letter, last) in series {
        for number in 1..=last {
            let id = format!("{letter}{number}");
            assert!(ids.contains(&id), "{id}");
        }
    }
    let played = FAULTS.iter().flat_map(|info| info.ids);
    for id in played.chain(VARIANTS.iter().flat_map(|info| info.ids)) {
        assert!(ids.contains(*id), "{id}");
    }
}

/// A reason that nobody explains helps nobody.
#[test]
fn the_guide_has_every_reason() {
    let guide = fs::read_to_string(tree().join("Documentation/admin-guide/spdm.rst")).unwrap();
    let mut count = 0;
    for file in ["spdm/error.rs", "spdm/trust.rs", "cma/verdict.rs"] {
        let text = fs::read_to_string(tree().join(file)).unwrap();
        let text = text.split("mod tests").next().unwrap();
        for name in text
            .split("=> \"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
        {
            let is_name = name.contains('-')
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c == '-' || c.is_ascii_digit());
            if is_name {
                assert!(guide.contains(&format!("``{name}``")), "{name}");
                count += 1;
            }
        }
    }
    assert!(count > 90, "{count}");
}
