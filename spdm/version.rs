// SPDX-License-Identifier: GPL-2.0

//! Versions, GET_VERSION and VERSION.

use core::fmt;

use zerocopy::{little_endian::U16, IntoBytes as _};
use zerocopy_derive::{FromBytes, Immutable, KnownLayout, Unaligned};

use crate::{
    error::Reason,
    message::{Header, Reader, Request, RequestCode, ResponseCode, Timing},
};

/// A version of the protocol, as SPDMVersion has it in a message header: major and minor version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Version {
    /// 1.0.
    V1_0 = 0x10,
    /// 1.1.
    V1_1 = 0x11,
    /// 1.2.
    V1_2 = 0x12,
    /// 1.3.
    V1_3 = 0x13,
    /// 1.4.
    V1_4 = 0x14,
}

impl Version {
    /// SPDMVersion of a message header.
    pub const fn as_byte(self) -> u8 {
        self as u8
    }

    /// Major and minor version, as people write them.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
            Self::V1_4 => "1.4",
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x10 => Some(Self::V1_0),
            0x11 => Some(Self::V1_1),
            0x12 => Some(Self::V1_2),
            0x13 => Some(Self::V1_3),
            0x14 => Some(Self::V1_4),
            _ => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Most entries that a VERSION may list: each version with several updates, and room for more.
const MAX_ENTRIES: u8 = 16;

/// GET_VERSION. Its header, and its response's, are always of version 1.0.
pub(crate) struct GetVersion {
    header: Header,
}

impl GetVersion {
    pub(crate) const fn new() -> Self {
        Self {
            header: Header::new(Version::V1_0, RequestCode::GetVersion, 0, 0),
        }
    }
}

/// VERSION, after the header.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct VersionBody {
    _reserved: u8,
    entry_count: u8,
}

impl Request for GetVersion {
    const CODE: RequestCode = RequestCode::GetVersion;
    const RESPONSE: ResponseCode = ResponseCode::Version;
    const TIMING: Timing = Timing::T1;
    /// The highest version that both sides know.
    type Response<'a> = Version;

    fn as_bytes(&self) -> &[u8] {
        self.header.as_bytes()
    }

    fn parse<'a>(&self, _: &Header, body: &mut Reader<'a>) -> Result<Version, Reason> {
        let count = body.read::<VersionBody>()?.entry_count;
        match count {
            0 => return Err(Reason::NoVersions),
            1..=MAX_ENTRIES => (),
            _ => return Err(Reason::TooManyVersions),
        }

        let mut entries = body.read_slice::<U16>(count.into())?;
        let mut best = None;
        while let Some((entry, others)) = entries.split_first() {
            if others.contains(entry) {
                return Err(Reason::DuplicateVersion);
            }
            best = best.max(released(entry.get()));
            entries = others;
        }
        best.ok_or(Reason::UnsupportedVersion)
    }
}

/// The version of a VersionNumberEntry, unless it is an unknown one or, by its Alpha field, a draft.
///
/// UpdateVersionNumber does not matter: updates of a version are compatible.
const fn released(entry: u16) -> Option<Version> {
    let [major_minor, update_alpha] = entry.to_be_bytes();
    match update_alpha & 0x0f {
        0 => Version::from_byte(major_minor),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::testing::{each_version, Bench, GET_CAPABILITIES, GET_VERSION, VERSIONS};

    fn with_versions(versions: &[u16]) -> Bench {
        let mut bench = Bench::new(Version::V1_2);
        bench.responder.versions = versions.to_vec();
        bench
    }

    #[test]
    fn highest_common_version() {
        for (versions, best) in [
            (vec![0x1000, 0x1100, 0x1200, 0x1300], Version::V1_3),
            (vec![0x1300, 0x1000], Version::V1_3),
            (vec![0x1000, 0x1210, 0x1200], Version::V1_2),
            (vec![0x1110, 0x1500, 0x2000, 0x0f00], Version::V1_1),
            (vec![0x1400, 0x1300, 0x1200], Version::V1_4),
            (vec![0x1000, 0x1410, 0x1500], Version::V1_4),
        ] {
            let mut bench = with_versions(&versions);
            bench.succeeds(0);
            assert_eq!(bench.report.negotiated.version, Some(best));
        }
    }

    #[test]
    fn draft_versions_are_unknown() {
        let mut bench = with_versions(&[0x1100, 0x1201]);
        bench.succeeds(0);
        assert_eq!(bench.report.negotiated.version, Some(Version::V1_1));
        with_versions(&[0x1201]).fails("unsupported-version: GET_VERSION");
    }

    #[test]
    fn no_common_version() {
        with_versions(&[0x0900, 0x1500, 0x2200]).fails("unsupported-version: GET_VERSION");
    }

    #[test]
    fn n1_best_version_withheld() {
        let mut bench = with_versions(&[0x1100, 0x1200]).tamper(GET_VERSION, |response| {
            response.truncate(8);
            response[5] = 1;
        });
        bench.fails("bad-signature: CHALLENGE");
        assert_eq!(bench.report.negotiated.version, Some(Version::V1_1));
    }

    #[test]
    fn n2_no_versions() {
        with_versions(&[]).fails("no-versions: GET_VERSION");
    }

    #[test]
    fn n2_255_versions() {
        let versions: vec::Vec<u16> = (0..255).map(|update| 0x1200 | update).collect();
        with_versions(&versions).fails("too-many-versions: GET_VERSION");
        with_versions(&versions[..17]).fails("too-many-versions: GET_VERSION");
        with_versions(&versions[..16]).succeeds(0);
    }

    #[test]
    fn n2_duplicate_versions() {
        with_versions(&[0x1100, 0x1200, 0x1100]).fails("duplicate-version: GET_VERSION");
    }

    #[test]
    fn n2_more_versions_counted_than_there_are() {
        with_versions(&[0x1100, 0x1200])
            .lie(GET_VERSION, |response| response[5] = 4)
            .fails("truncated-response: GET_VERSION");
    }

    each_version!(n3_version_of_another_version);
    fn n3_version_of_another_version(version: Version) {
        Bench::new(version)
            .lie(GET_VERSION, |response| response[0] = 0x12)
            .fails("wrong-version: GET_VERSION");
    }

    #[test]
    fn n3_capabilities_of_another_version() {
        with_versions(&[0x1100, 0x1200])
            .lie(GET_CAPABILITIES, |response| response[0] = 0x11)
            .fails("wrong-version: GET_CAPABILITIES");
    }

    #[test]
    fn names() {
        for version in VERSIONS {
            let name = std::format!("{version}");
            assert_eq!(name, std::format!("1.{}", version.as_byte() & 0xf));
            assert_eq!(Version::from_byte(version.as_byte()), Some(version));
        }
        assert_eq!(Version::from_byte(0x15), None);
        assert_eq!(Version::from_byte(0x0f), None);
    }
}
