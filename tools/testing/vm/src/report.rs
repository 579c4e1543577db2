// SPDX-License-Identifier: GPL-2.0

//! The report of `vm run`, made of what the guest sent.

use crate::{
    guest::drive_content,
    run::Facts, //
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;

/// A report, and whether everything in it is as it should be.
pub struct Report {
    /// The text.
    pub text: String,
    /// Every device is authenticated, and every drive works.
    pub good: bool,
}

/// One device, as the guest's sysfs shows it: a PCI function, or an MCTP endpoint.
struct Device<'a> {
    facts: &'a Facts,
    name: &'a str,
}

impl Device<'_> {
    /// Network and endpoint ID, if it is an MCTP endpoint.
    fn endpoint(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("mctp-")?.split_once('-')
    }

    /// A counter of the responder's.
    fn counted(&self, name: &str) -> u64 {
        let stats = self.bytes("stats").unwrap_or_default();
        let stats: Value = serde_json::from_slice(stats).unwrap_or_default();
        stats[name].as_u64().unwrap_or(0)
    }

    fn bytes(&self, file: &str) -> Option<&[u8]> {
        self.facts
            .get(&format!("{}/{file}", self.name))
            .map(Vec::as_slice)
    }

    fn text(&self, file: &str) -> String {
        String::from_utf8_lossy(self.bytes(file).unwrap_or_default())
            .trim()
            .to_owned()
    }

    fn number(&self, file: &str) -> u64 {
        self.text(file).parse().unwrap_or(0)
    }

    fn authenticated(&self) -> bool {
        self.text("authenticated") == "1"
    }

    /// Whether it still was when the guest had slept, if it did.
    fn authenticated_after_sleep(&self) -> bool {
        self.bytes("after/authenticated")
            .is_none_or(|text| text == b"1\n")
    }

    /// Whether its evidence was verified, if there is any.
    fn verified(&self) -> bool {
        self.bytes("verified")
            .is_none_or(|line| line == b"VERIFIED")
    }

    /// The number of the drive, and whether what was read is what that drive contains.
    fn block_is_right(&self) -> bool {
        let serial = self.text("serial");
        let Some(n) = serial.strip_prefix("SPDM").and_then(|n| n.parse().ok()) else {
            return false;
        };
        self.bytes("block")
            .is_some_and(|block| block.len() == 4096 && drive_content(n).starts_with(block))
    }
}

/// Makes the report on a number of drives, or of MCTP endpoints.
pub fn report(facts: &Facts, count: usize, mctp: bool) -> Report {
    let names: BTreeSet<&str> = facts
        .keys()
        .filter_map(|key| key.split_once('/'))
        .map(|(name, _)| name)
        .collect();
    let devices: Vec<Device> = names
        .iter()
        .map(|name| Device { facts, name })
        .filter(|device| match mctp {
            true => device.endpoint().is_some(),
            false => device.bytes("vendor").is_some(),
        })
        .collect();

    let mut text = String::new();
    let kernel = facts
        .get("release")
        .map(|name| String::from_utf8_lossy(name));
    let _ = writeln!(
        text,
        "\n  Linux {}, in a guest\n",
        kernel.as_deref().unwrap_or("?").trim()
    );
    let mut good = devices.len() == count;
    for device in &devices {
        good &= device.authenticated()
            && (mctp || device.block_is_right())
            && device.authenticated_after_sleep()
            && device.verified();
        describe(&mut text, device);
    }
    if devices.len() != count {
        let kind = if mctp { "endpoints" } else { "drives" };
        let found = devices.len();
        let _ = writeln!(text, "  {found} of {count} {kind} were found\n");
    }
    if mctp {
        text.push_str(
            "  Next:  make run TRANSPORT=mctp FAULT=mctp-lost   the last packet of every answer is lost\n\
             \x20        make run TRANSPORT=mctp DEVICES=2         two endpoints at the end of the line\n\
             \x20        make run TRANSPORT=mctp SHELL=1           look around in the guest yourself\n\
             \x20        make faults                              the ways in which ours can misbehave\n",
        );
    } else if devices.iter().all(Device::authenticated) {
        text.push_str(
            "  Next:  make run FAULT=bad-signature   a device that lies, and what is said of it\n\
             \x20        make run SWAP=1                another drive in the slot while the system sleeps\n\
             \x20        make run DEVICES=4             four drives at once\n\
             \x20        make run EVIDENCE=file         keep the evidence, for spdmctl verify\n\
             \x20        make run SHELL=1               look around in the guest yourself\n\
             \x20        make run KERNEL=test           built in: attested during boot\n\
             \x20        make run TRANSPORT=mctp        an endpoint at the end of a serial line\n\
             \x20        make test                      everything there is to check\n",
        );
    } else {
        text.push_str(
            "  Next:  make run                       an honest device\n\
             \x20        make faults                    the ways in which ours can misbehave\n\
             \x20        make run SHELL=1               look around in the guest yourself\n",
        );
    }
    Report { text, good }
}

fn verdict(authenticated: bool) -> &'static str {
    if authenticated {
        "AUTHENTICATED"
    } else {
        "NOT AUTHENTICATED"
    }
}

fn describe(text: &mut String, function: &Device) {
    let mut line = |label: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "    {label:<12}{value}");
        }
    };
    let id = |file: &str| function.text(file).trim_start_matches("0x").to_owned();
    let model = function.text("model");
    let model = if model.is_empty() {
        "NVMe drive".to_owned()
    } else {
        model
    };
    line(
        "device",
        match function.endpoint() {
            Some((network, eid)) => format!(
                "{}  MCTP endpoint {eid} in network {network}",
                function.name
            ),
            None => format!(
                "{}  {model} [{}:{}] {}",
                function.name,
                id("vendor"),
                id("device"),
                function.text("serial")
            ),
        },
    );
    line(
        "verdict",
        format!(
            "{}  (sysfs: authenticated = {})",
            verdict(function.authenticated()),
            function.text("authenticated")
        ),
    );
    let state = function.text("spdm/state");
    let reason = function.text("spdm/reason");
    line(
        "state",
        if reason.is_empty() {
            state
        } else {
            format!("{state}: {reason}")
        },
    );
    let version = function.text("spdm/version");
    if !version.is_empty() {
        let slot = function.text("spdm/slot");
        let slot = if slot.is_empty() {
            slot
        } else {
            format!(", slot {slot}")
        };
        line(
            "SPDM",
            format!("{version}, {}{slot}", function.text("spdm/algorithms")),
        );
    }
    line("signed by", function.text("spdm/subject"));
    line("issued by", function.text("spdm/issuer"));
    line("identity", function.text("spdm/identity"));
    if function.number("spdm/exchanges") > 0 {
        line(
            "cost",
            format!(
                "{} round trips, {} bytes out, {} bytes in, {:.1} ms",
                function.number("spdm/exchanges"),
                function.number("spdm/bytes_sent"),
                function.number("spdm/bytes_received"),
                function.number("spdm/duration_us") as f64 / 1000.0,
            ),
        );
    }
    if function.counted("packets_in") > 0 {
        line(
            "line",
            format!(
                "{} packets out, {} in; {} bytes out, {} in, with their frames",
                function.counted("packets_in"),
                function.counted("packets_out"),
                function.counted("wire_in"),
                function.counted("wire_out"),
            ),
        );
    }
    let measurements = function.text("spdm/measurements").lines().count();
    if measurements > 0 {
        let status = function.text("spdm/measurements_status");
        line("measured", format!("{measurements} blocks, {status}"));
    }
    line(
        "drive",
        if function.endpoint().is_some() {
            String::new()
        } else if function.block_is_right() {
            format!(
                "/dev/{} reads what was written on it",
                function.text("name")
            )
        } else if function.text("name").is_empty() {
            "no driver uses it".to_owned()
        } else {
            format!(
                "/dev/{} does NOT read what was written",
                function.text("name")
            )
        },
    );
    if function.bytes("after/authenticated").is_some() {
        let verdict = verdict(function.authenticated_after_sleep());
        let state = match function.text("after/spdm/reason") {
            reason if reason.is_empty() => function.text("after/spdm/state"),
            reason => reason,
        };
        line(
            "after sleep",
            // One that was not authenticated is not asked again.
            if function.authenticated() {
                let ms = function.number("after/spdm/duration_us") as f64 / 1000.0;
                let when = match function.endpoint() {
                    Some(_) => "when all devices had resumed",
                    None => "before its driver resumed",
                };
                format!("{verdict}, {state} ({ms:.1} ms, {when})")
            } else {
                format!("{verdict}, as before")
            },
        );
    }
    line(
        "evidence",
        match function.text("verified") {
            verified if verified == "VERIFIED" => {
                let bytes = function.bytes("evidence").map_or(0, <[u8]>::len);
                format!("VERIFIED outside of the guest, by spdmctl ({bytes} bytes)")
            }
            refused => refused,
        },
    );
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let mut facts = Facts::new();
        let mut put = |name: &str, value: &[u8]| {
            facts.insert(format!("0000:01:00.0/{name}"), value.to_vec());
        };
        put("vendor", b"0x1b36\n");
        put("device", b"0x0010\n");
        put("authenticated", b"1\n");
        put("serial", b"SPDM0\n");
        put("name", b"nvme0n1\n");
        put("block", &drive_content(0)[..4096]);
        facts
    }

    #[test]
    fn report_is_good_for_an_authenticated_drive_that_reads() {
        let report = report(&facts(), 1, false);
        assert!(report.good);
        assert!(report.text.contains("AUTHENTICATED"));
    }

    #[test]
    fn report_is_bad_without_the_verdict() {
        let mut facts = facts();
        facts.insert("0000:01:00.0/authenticated".to_owned(), b"0\n".to_vec());
        assert!(!report(&facts, 1, false).good);
    }

    #[test]
    fn report_is_bad_if_the_verdict_is_gone_after_sleep() {
        let mut facts = facts();
        let name = "0000:01:00.0/after/authenticated";
        facts.insert(name.to_owned(), b"1\n".to_vec());
        assert!(report(&facts, 1, false).good);
        facts.insert(name.to_owned(), b"0\n".to_vec());
        let reason = "0000:01:00.0/after/spdm/reason";
        facts.insert(reason.to_owned(), b"identity-changed: 00\n".to_vec());
        let report = report(&facts, 1, false);
        assert!(!report.good);
        assert!(report.text.contains("NOT AUTHENTICATED, identity-changed"));
    }

    #[test]
    fn report_does_not_say_that_a_refused_drive_was_asked_again() {
        let mut facts = facts();
        for name in ["authenticated", "after/authenticated"] {
            facts.insert(format!("0000:01:00.0/{name}"), b"0\n".to_vec());
        }
        let report = report(&facts, 1, false);
        assert!(report.text.contains("NOT AUTHENTICATED, as before"));
        assert!(!report.text.contains("before its driver resumed"));
    }

    #[test]
    fn report_is_bad_if_evidence_is_refused() {
        let mut facts = facts();
        let name = "0000:01:00.0/verified";
        facts.insert(name.to_owned(), b"VERIFIED".to_vec());
        assert!(report(&facts, 1, false).good);
        facts.insert(name.to_owned(), b"REFUSED: the nonce".to_vec());
        assert!(!report(&facts, 1, false).good);
    }

    #[test]
    fn report_is_bad_with_another_drives_content() {
        let mut facts = facts();
        let block = drive_content(1)[..4096].to_vec();
        facts.insert("0000:01:00.0/block".to_owned(), block);
        assert!(!report(&facts, 1, false).good);
    }

    #[test]
    fn report_is_bad_with_nothing_read() {
        let mut facts = facts();
        facts.remove("0000:01:00.0/block");
        assert!(!report(&facts, 1, false).good);
        facts.insert("0000:01:00.0/block".to_owned(), Vec::new());
        assert!(!report(&facts, 1, false).good);
    }

    #[test]
    fn report_is_bad_when_a_drive_is_missing() {
        assert!(!report(&facts(), 2, false).good);
        assert!(!report(&Facts::new(), 0, false).text.is_empty());
    }

    #[test]
    fn endpoints_have_no_block() {
        let mut facts = Facts::new();
        let mut put = |name: &str, value: &[u8]| {
            facts.insert(format!("mctp-1-9/{name}"), value.to_vec());
        };
        put("authenticated", b"1\n");
        put("spdm/state", b"authenticated\n");
        put(
            "stats",
            br#"{"packets_in":7,"packets_out":40,"wire_in":1,"wire_out":2}"#,
        );
        let good = report(&facts, 1, true);
        assert!(good.good);
        assert!(good.text.contains("MCTP endpoint 9 in network 1"));
        assert!(good.text.contains("7 packets out, 40 in"));
        assert!(!report(&facts, 2, true).good);
        assert!(!report(&facts, 1, false).good);
        let name = "mctp-1-9/authenticated".to_owned();
        facts.insert(name, b"0\n".to_vec());
        assert!(!report(&facts, 1, true).good);
    }
}
