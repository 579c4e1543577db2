// SPDX-License-Identifier: GPL-2.0

//! What a device is told to be: `key=value` words, at start or while it runs.

use crate::algorithm::{Asym, Hash};
use crate::device::MAX_MESSAGE;
use crate::fault::Fault;
use crate::message::{
    self, Exchange, CERT_CAP, CHAL_CAP, MIN_DATA_TRANSFER_SIZE, SLOTS, STANDARD_USES,
};
use crate::pki::{Identity, QEMU_NVME_SAN};
use crate::variant::{Variant, VariantInfo, VARIANTS};
use serde_json::{json, Value};
use std::array;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What is in a certificate slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The slot is not there.
    None,
    /// The slot is there (1.3 can say so) and has no chain.
    Empty,
    /// The slot has a chain.
    Chain(Variant),
}

impl FromStr for Slot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Slot::None),
            "empty" => Ok(Slot::Empty),
            name => Variant::from_name(name).map(Slot::Chain).ok_or_else(|| {
                let names: Vec<_> = VARIANTS.iter().map(|v| v.name).collect();
                format!(
                    "no chain `{name}`; there are: none empty {}",
                    names.join(" ")
                )
            }),
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Slot::None => "none",
            Slot::Empty => "empty",
            Slot::Chain(variant) => variant.info().name,
        })
    }
}

/// What DIGESTS says of a slot's key where there are several (1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// KeyPairID: slots that have the same one have the same key.
    pub pair: u8,
    /// Certificate model: 1 device, 2 alias, 3 generic.
    pub model: u8,
    /// KeyUsageMask.
    pub uses: u16,
}

/// Names of certificate models, from 1 on.
const MODELS: [&str; 3] = ["device", "alias", "generic"];

/// A fault that is switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    /// Which.
    pub fault: Fault,
    /// In this exchange only; `None`: wherever it can be played.
    pub at: Option<Exchange>,
    /// How often it is still to be played; `None`: without end.
    pub remaining: Option<u32>,
    /// How many bytes to cut or to add.
    pub bytes: usize,
}

impl Active {
    /// Whether it is to be played now.
    pub fn is_due(&self, exchange: Exchange, version: u8) -> bool {
        let info = self.fault.info();
        self.remaining != Some(0)
            && version >= info.since
            && info.at.contains(&exchange)
            && self.at.is_none_or(|at| at == exchange)
    }
}

/// Everything a device is told to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Versions it offers, rising.
    pub versions: Vec<u8>,
    /// Hashes it supports, in order of preference.
    pub hashes: Vec<Hash>,
    /// Signature algorithms it supports, in order of preference.
    pub asyms: Vec<Asym>,
    /// Its certificate slots.
    pub slots: [Slot; SLOTS],
    /// What it says of their keys, if it has MULTI_KEY_CAP (1.3).
    pub keys: [KeyInfo; SLOTS],
    /// Largest portion of a chain in bytes; 0: as large as asked for.
    pub portion: u16,
    /// DataTransferSize in CAPABILITIES, and with CHUNK_CAP the largest message it sends at once.
    pub transfer: u32,
    /// To wait before every answer.
    pub delay: Duration,
    /// The CMA name of its leaf.
    pub san: String,
    /// A serial number to put into the CMA name.
    pub serial: Option<u64>,
    /// Number of its leaf key.
    pub key: u32,
    /// Flags in CAPABILITIES.
    pub flags: u32,
    /// CTExponent in CAPABILITIES.
    pub ct_exponent: u8,
    /// Bytes of opaque data in CHALLENGE_AUTH.
    pub opaque: usize,
    /// Number of its firmware: another number, other measurements.
    pub firmware: u32,
    /// RDTExponent in ResponseNotReady.
    pub rd_exponent: u8,
    /// RDTM in ResponseNotReady.
    pub rd_multiplier: u8,
    /// Whether it knows a request that is sent again when it sees one, where messages can be lost: over MCTP.
    pub knows_retries: bool,
    /// Its misbehaviours.
    pub faults: Vec<Active>,
}

impl Config {
    /// An honest device that supports everything, with one slot and the leaf key `number`.
    pub fn new(number: u32) -> Self {
        let mut slots = [Slot::None; SLOTS];
        slots[0] = Slot::Chain(Variant::Ok);
        Config {
            versions: vec![0x10, 0x11, 0x12, 0x13],
            hashes: vec![
                Hash::Sha384,
                Hash::Sha256,
                Hash::Sha512,
                Hash::Sha3_384,
                Hash::Sha3_256,
                Hash::Sha3_512,
            ],
            asyms: vec![Asym::EcdsaP384],
            slots,
            keys: array::from_fn(|slot| KeyInfo {
                // CAST: there are eight.
                pair: slot as u8 + 1,
                model: 1,
                uses: STANDARD_USES,
            }),
            portion: 0,
            transfer: MAX_MESSAGE as u32,
            delay: Duration::ZERO,
            san: QEMU_NVME_SAN.to_owned(),
            serial: None,
            key: number,
            flags: CERT_CAP | CHAL_CAP,
            ct_exponent: 14,
            opaque: 0,
            firmware: 1,
            rd_exponent: 14,
            rd_multiplier: 4,
            knows_retries: true,
            faults: Vec::new(),
        }
    }

    /// What the leaf certificate is to say.
    pub fn identity(&self) -> Identity {
        let mut san = self.san.clone();
        if let Some(serial) = self.serial {
            san.push_str(&format!(":{serial:016x}"));
        }
        Identity { san, key: self.key }
    }

    /// The same of the leaf certificate in a slot: one key for all of them, or one for each key pair, of which the
    /// first is the one that there would be else.
    pub fn identity_in(&self, slot: usize, multi_key: bool) -> Identity {
        let mut identity = self.identity();
        if multi_key {
            identity.key += 1000 * u32::from(self.keys[slot].pair.saturating_sub(1));
        }
        identity
    }

    /// This configuration, changed by `key=value` words with blanks between them.
    ///
    /// # Errors
    ///
    /// A message for the user, if a word is wrong.
    pub fn changed(&self, words: &str) -> Result<Config, String> {
        let mut config = self.clone();
        let mut times = None;
        let mut at = None;
        let mut bytes = None;
        for word in words.split_whitespace() {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| format!("`{word}` is not key=value"))?;
            match key {
                "version" => config.versions = versions(value)?,
                "hash" => config.hashes = list(value)?,
                "asym" => config.asyms = list(value)?,
                "portion" => config.portion = number(key, value)?,
                "transfer" => config.transfer = number(key, value)?,
                "delay-ms" => config.delay = Duration::from_millis(number(key, value)?),
                "san" if value == "default" => config.san = QEMU_NVME_SAN.to_owned(),
                "san" => config.san = value.to_owned(),
                "serial" if value == "none" => config.serial = None,
                "serial" => {
                    let serial = u64::from_str_radix(value, 16);
                    config.serial = Some(serial.map_err(|e| format!("serial: {e}"))?);
                }
                "key" => config.key = number(key, value)?,
                "flags" => config.flags = number(key, value)?,
                "ct-exponent" => config.ct_exponent = number(key, value)?,
                "opaque" => config.opaque = number(key, value)?,
                "firmware" => config.firmware = number(key, value)?,
                "rd-exponent" => config.rd_exponent = number(key, value)?,
                "rd-multiplier" => config.rd_multiplier = number(key, value)?,
                "retries" => {
                    config.knows_retries = match value {
                        "known" => true,
                        "new" => false,
                        _ => return Err("retries: known or new".to_owned()),
                    }
                }
                "fault" => config.faults = faults(value)?,
                "times" if value == "forever" => times = Some(None),
                "times" => times = Some(Some(number(key, value)?)),
                "at" => at = Some(Exchange::from_name(value)?),
                "bytes" => bytes = Some(number(key, value)?),
                _ => {
                    let what = key.trim_end_matches(|c: char| c.is_ascii_digit());
                    let n = key[what.len()..].parse().unwrap_or(SLOTS);
                    let unknown = || format!("no key `{key}`");
                    let slot = config.slots.get_mut(n).ok_or_else(unknown)?;
                    match what {
                        "slot" => *slot = value.parse()?,
                        "pair" => config.keys[n].pair = number(key, value)?,
                        "uses" => config.keys[n].uses = number(key, value)?,
                        "model" => {
                            let model = MODELS.iter().position(|name| *name == value);
                            let names = || format!("{key}: one of {}", MODELS.join(", "));
                            // CAST: there are three.
                            config.keys[n].model = model.ok_or_else(names)? as u8 + 1;
                        }
                        _ => return Err(unknown()),
                    }
                }
            }
        }
        if config.opaque > 1024 {
            return Err("opaque: at most 1024 (fault=opaque-too-long sends more)".to_owned());
        }
        let transfer = config.transfer as usize;
        if transfer < MIN_DATA_TRANSFER_SIZE as usize || transfer > MAX_MESSAGE {
            return Err(format!(
                "transfer: {MIN_DATA_TRANSFER_SIZE} to {MAX_MESSAGE}"
            ));
        }
        for active in &mut config.faults {
            if let Some(times) = times {
                active.remaining = times;
            }
            if let Some(bytes) = bytes {
                active.bytes = bytes;
            }
            if let Some(at) = at {
                let info = active.fault.info();
                if !info.at.contains(&at) {
                    return Err(format!(
                        "fault `{}` is not played at {}",
                        info.name,
                        at.response_name()
                    ));
                }
                active.at = Some(at);
            }
        }
        Ok(config)
    }

    /// Its one line of JSON.
    pub fn to_json(&self) -> Value {
        let names = |versions: &[u8]| -> Vec<String> {
            let name = |v: &u8| format!("{}.{}", v >> 4, v & 0xF);
            versions.iter().map(name).collect()
        };
        json!({
            "version": names(&self.versions),
            "hash": self.hashes.iter().map(|h| h.name()).collect::<Vec<_>>(),
            "asym": self.asyms.iter().map(|a| a.name()).collect::<Vec<_>>(),
            "slots": self.slots.iter().map(|s| s.to_string()).collect::<Vec<_>>(),
            "keys": self.keys.iter().map(|k| json!({
                "pair": k.pair,
                "model": MODELS.get(usize::from(k.model).wrapping_sub(1)),
                "uses": k.uses,
            })).collect::<Vec<_>>(),
            "portion": self.portion,
            "transfer": self.transfer,
            "delay-ms": self.delay.as_millis() as u64,
            "san": self.identity().san,
            "key": self.key,
            "flags": self.flags,
            "ct-exponent": self.ct_exponent,
            "opaque": self.opaque,
            "firmware": self.firmware,
            "rd-exponent": self.rd_exponent,
            "rd-multiplier": self.rd_multiplier,
            "retries": if self.knows_retries { "known" } else { "new" },
            "faults": self.faults.iter().map(|f| json!({
                "name": f.fault.info().name,
                "at": f.at.map(|at| at.response_name()),
                "remaining": f.remaining,
            })).collect::<Vec<_>>(),
        })
    }
}

/// Words for the help text: one line per key.
pub const KEYS: &str = "\
  version=1.0,1.1,1.2,1.3   versions offered; there is 1.4, too
  hash=NAME[,NAME...]       sha256 sha384 sha512 sha3-256 sha3-384 sha3-512, best first
  asym=NAME[,NAME...]       ecdsa-p256 ecdsa-p384 ecdsa-p521 rsassa-2048 -3072 -4096
                            rsapss-2048 -3072 -4096 (with the keys of rsassa-) mldsa44 mldsa65
                            mldsa87 (1.4), best first
  slot0..slot7=CHAIN        a chain (see `variants`), empty, or none
  pair0..pair7=N            KeyPairID of a slot, with MULTI_KEY_CAP (flags=0x14000006) from 1.3
                            on: another number is another key; model0..=device|alias|generic,
                            uses0..=N (KeyUsageMask)
  portion=BYTES             largest portion of a chain; 0: as large as asked for
  transfer=BYTES            DataTransferSize; with CHUNK_CAP (flags=0x20006) larger messages come
                            in chunks
  delay-ms=N                wait before every answer
  san=TEXT|default          CMA name of the leaf (default: QEMU's NVMe drive); serial=HEX|none is
                            appended to it
  key=N                     number of the leaf key: another number is another identity
  flags=N ct-exponent=N     fields of CAPABILITIES
  opaque=BYTES              opaque data in CHALLENGE_AUTH
  firmware=N                number of the firmware: another number, other measurements; they can be
                            asked for with MEAS_CAP (flags=0x16 signed, flags=0xe unsigned)
  rd-exponent=N rd-multiplier=N   of ResponseNotReady
  retries=known|new         over MCTP, a request that is sent again is answered as it was the first
                            time, or taken for a new one
  fault=NAME[,NAME...]|none see `faults`; with times=N|forever, at=MESSAGE, bytes=N
";

fn number<T: TryFrom<u64>>(key: &str, text: &str) -> Result<T, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed
        .ok()
        .and_then(|n| T::try_from(n).ok())
        .ok_or_else(|| format!("{key}: `{text}` is no number, or too large"))
}

fn list<T: FromStr<Err = String>>(text: &str) -> Result<Vec<T>, String> {
    text.split(',').map(str::parse).collect()
}

fn versions(text: &str) -> Result<Vec<u8>, String> {
    let mut versions = Vec::new();
    for name in text.split(',') {
        versions.push(match name {
            "1.0" => message::VERSION_10,
            "1.1" => message::VERSION_11,
            "1.2" => message::VERSION_12,
            "1.3" => message::VERSION_13,
            "1.4" => message::VERSION_14,
            _ => {
                return Err(format!(
                    "no version `{name}`; there are: 1.0 1.1 1.2 1.3 1.4"
                ))
            }
        });
    }
    versions.sort_unstable();
    versions.dedup();
    Ok(versions)
}

fn faults(text: &str) -> Result<Vec<Active>, String> {
    let mut faults = Vec::new();
    if text == "none" {
        return Ok(faults);
    }
    for name in text.split(',') {
        let fault = match Fault::find(name)[..] {
            [fault] => fault,
            [] => return Err(no_fault(name)),
            // One at a time: else who knows which of them was found out.
            ref several => {
                let names: Vec<_> = several.iter().map(|f| f.info().name).collect();
                return Err(format!("`{name}` is one of {}", names.join(", ")));
            }
        };
        faults.push(Active {
            fault,
            at: None,
            remaining: fault.info().times,
            bytes: 4,
        });
    }
    Ok(faults)
}

/// Why there is no fault `name`.
fn no_fault(name: &str) -> String {
    let has_id = |v: &&VariantInfo| v.ids.iter().any(|id| id.eq_ignore_ascii_case(name));
    let chains: Vec<_> = VARIANTS.iter().filter(has_id).map(|v| v.name).collect();
    if chains.is_empty() {
        format!("no fault `{name}`; `spdm-responder faults` lists them")
    } else {
        format!("`{name}` is a chain: slot0= {}", chains.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_change_what_they_name() {
        let config = Config::new(3);
        assert_eq!(config.identity().key, 3);
        let changed = config
            .changed("version=1.2,1.0 hash=sha3-512 asym=rsassa-2048,ecdsa-p256 slot0=none slot7=expired portion=64 delay-ms=5 serial=1f")
            .unwrap();
        assert_eq!(changed.versions, [0x10, 0x12]);
        assert_eq!(changed.hashes, [Hash::Sha3_512]);
        assert_eq!(changed.asyms, [Asym::Rsassa2048, Asym::EcdsaP256]);
        assert_eq!(changed.slots[0], Slot::None);
        assert_eq!(changed.slots[7], Slot::Chain(Variant::Expired));
        assert_eq!(changed.portion, 64);
        assert!(changed.identity().san.ends_with(":000000000000001f"));
        assert_eq!(
            changed.changed("serial=none").unwrap().identity().san,
            config.san
        );
        assert_eq!(config.changed("").unwrap(), config);
        let changed = config.changed("pair3=7 model3=alias uses3=0x2").unwrap();
        let expected = KeyInfo {
            pair: 7,
            model: 2,
            uses: 2,
        };
        assert_eq!(changed.keys[3], expected);
        assert_eq!(changed.identity_in(3, true).key, 6003);
        assert_eq!(changed.identity_in(3, false), changed.identity());
        assert_eq!(changed.identity_in(0, true), changed.identity());
    }

    #[test]
    fn faults_have_times_and_places() {
        let config = Config::new(0);
        let changed = config.changed("times=2 fault=busy,E5 at=DIGESTS").unwrap();
        assert_eq!(changed.faults.len(), 2);
        assert!(changed.faults[0].is_due(Exchange::Digests, 0x10));
        assert!(!changed.faults[0].is_due(Exchange::Version, 0x10));
        assert_eq!(changed.faults[1].remaining, Some(2));
        assert!(changed.changed("fault=none").unwrap().faults.is_empty());
        // What a fault needs of the version.
        let changed = config.changed("fault=context-not-echoed").unwrap();
        assert!(!changed.faults[0].is_due(Exchange::Challenge, 0x12));
        assert!(changed.faults[0].is_due(Exchange::Challenge, 0x13));
    }

    #[test]
    fn ids_name_what_there_is() {
        let error = |words| Config::new(0).changed(words).unwrap_err();
        assert_eq!(Config::new(0).changed("fault=c4").unwrap().faults.len(), 1);
        assert_eq!(
            error("fault=C3"),
            "`C3` is one of digest-mismatch, digest-missing"
        );
        assert_eq!(error("fault=C5"), "`C5` is a chain: slot0= root-hash");
        assert!(error("fault=C99").starts_with("no fault `C99`"));
    }

    #[test]
    fn words_that_play_a_fault_are_right() {
        for info in crate::fault::FAULTS {
            let config = Config::new(0).changed(&info.fault.words()).unwrap();
            assert_eq!(config.faults[0].fault, info.fault);
            assert!(
                config.versions.iter().any(|v| *v >= info.since),
                "{}",
                info.name
            );
        }
        for info in VARIANTS {
            let config = Config::new(0).changed(&info.variant.words()).unwrap();
            assert_eq!(config.slots[0], Slot::Chain(info.variant));
        }
    }

    #[test]
    fn wrong_words_are_refused() {
        for words in [
            "version=1.9",
            "hash=md5",
            "asym=rsassa-1024",
            "slot8=ok",
            "pair8=1",
            "pair0=256",
            "model0=4",
            "uses0=65536",
            "slot=ok",
            "=",
            "ä=1",
            "slot0=fine",
            "portion=70000",
            "colour=red",
            "fault=unheard-of",
            "fault=C3",
            "fault=C6",
            "fault=bad-signature at=DIGESTS",
            "at=FINISH",
            "times=x",
            "serial=xyz",
            "opaque=1025",
            "transfer=41",
            "transfer=4601",
            "nothing",
        ] {
            assert!(Config::new(0).changed(words).is_err(), "{words}");
        }
    }
}
