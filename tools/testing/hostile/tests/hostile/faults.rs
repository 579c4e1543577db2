// SPDX-License-Identifier: GPL-2.0

//! Every misbehaviour of the responder's table, in every version and message that it applies to.

use crate::bench::{Bench, Link, AUTHENTICATED, DEADLINE_US};
use spdm_responder::algorithm::Asym;
use spdm_responder::fault::{Fault, FaultInfo, Harm, FAULTS};
use spdm_responder::message::Exchange;

/// What becomes of it: `@` stands for the request, `$` for the request or, if it is
/// GET_CERTIFICATE, the slot.
fn reason(fault: Fault, minor: u8, link: Link) -> &'static str {
    match fault {
        Fault::Busy | Fault::NotReady | Fault::Resynch => AUTHENTICATED,
        // Reserved bits have no meaning.
        Fault::Reserved | Fault::FlagsLater => AUTHENTICATED,

        // In place of an answer.
        Fault::BusyForever => "busy: @",
        Fault::NotReadyForever => "not-ready: @",
        Fault::NotReadyExponent => "not-ready-exponent: @",
        Fault::NotReadyMultiplier0 | Fault::NotReadyMultiplier1 => "not-ready-multiplier: @",
        Fault::NotReadyCode => "not-ready-request: @",
        Fault::NotReadyToken => "not-ready-token: @",
        Fault::NotReadyVersion => "not-ready-illegal: @",
        Fault::ResynchForever => "request-resynch: @",
        Fault::Silence | Fault::Hang | Fault::LateAnswer => "timeout: @",
        Fault::Close => "device-gone: @",
        Fault::ErrorVersion => "wrong-version: @",
        Fault::UnknownError => "error-response: $: 0x3f",
        Fault::ErrorZero => "error-response: $: 0x00",
        Fault::NotReadyShort | Fault::NotReadyLong => "error-data-size: @",
        // With a byte of padding nobody can tell that Param2 is missing.
        Fault::ErrorShort if link == Link::Doe => "error-response: $: Unspecified",
        Fault::ErrorShort => "truncated-response: @",
        Fault::InvalidRequest => "error-response: $: InvalidRequest",
        Fault::UnexpectedRequest => "error-response: $: UnexpectedRequest",
        Fault::Unspecified => "error-response: $: Unspecified",
        Fault::UnsupportedRequest => "error-response: $: UnsupportedRequest",
        Fault::VersionMismatch => "error-response: $: VersionMismatch",
        Fault::LargeResponse => "large-response-illegal: @",

        // Any answer.
        Fault::Truncate | Fault::Empty => "truncated-response: @",
        Fault::Extend => "trailing-bytes: @",
        Fault::Oversize if link == Link::Doe => "trailing-bytes: @",
        Fault::Oversize => "response-too-large: @",
        Fault::Garbage | Fault::WrongVersion => "wrong-version: @",
        Fault::WrongCode | Fault::UnknownCode => "unexpected-response: @",

        // VERSION.
        Fault::NoVersions => "no-versions: @",
        Fault::ManyVersions => "too-many-versions: @",
        Fault::DuplicateVersions => "duplicate-version: @",
        Fault::UnknownVersions => "unsupported-version: @",
        // Two bytes of padding look like an entry for version 0.0, but are not in the transcript.
        Fault::VersionCountLong if link == Link::Doe && minor % 2 == 1 => {
            "bad-signature: CHALLENGE"
        }
        Fault::VersionCountLong => "truncated-response: @",
        Fault::VersionCountShort if minor == 0 => "no-versions: @",
        Fault::VersionCountShort => "trailing-bytes: @",

        // CAPABILITIES.
        Fault::FlagsReserved | Fault::FlagsIncoherent | Fault::NoChalCap | Fault::NoCertCap => {
            "invalid-capabilities: @"
        }
        Fault::TransferSizeSmall | Fault::TransferSizeAboveMax | Fault::TransferSizeBelowMax => {
            "invalid-data-transfer-size: @"
        }
        Fault::CtExponent24 | Fault::CtExponent255 => "invalid-ct-exponent: @",
        Fault::SupportedAlgorithmsUnasked => "trailing-bytes: @",
        Fault::SupportedAlgorithmsLength => "supported-algorithms-length: @",

        // ALGORITHMS.
        Fault::AsymNotOffered
        | Fault::HashNotOffered
        | Fault::PqcNotOffered
        | Fault::TableUnasked => "algorithm-not-offered: @",
        Fault::AsymTwo | Fault::HashTwo | Fault::AsymAndPqc | Fault::OpaqueFormat => {
            "multiple-algorithms: @"
        }
        Fault::AsymNone | Fault::HashNone => "no-algorithm: @",
        Fault::TableOrder | Fault::TableDuplicate => "algorithm-structure: @",
        Fault::TableSize | Fault::TableCount | Fault::LengthShort | Fault::LengthLong => {
            "algorithms-length: @"
        }
        Fault::ExtAlgorithms | Fault::ExtCount => "extended-algorithm: @",

        // DIGESTS and CERTIFICATE.
        Fault::NoSlots => "no-provisioned-slot: @",
        Fault::NotSupported => "provisioned-not-supported: @",
        Fault::DigestMismatch => "digest-mismatch: slot 0",
        Fault::DigestMissing => "truncated-response: @",
        Fault::KeyPair0 | Fault::KeyPairTwoUses => "key-pair-id: @",
        Fault::KeyPairTwice => AUTHENTICATED,
        Fault::KeyUsage => "slot-key-usage: slot 0",
        Fault::KeyUsageNone => "key-usage: @",
        Fault::CertificateModelReserved
        | Fault::CertificateModelNone
        | Fault::GenericSlot0
        | Fault::CertificateModelChanged => "certificate-info: @",
        Fault::EmptyPortion => "empty-portion: @",
        Fault::GrowingTotal | Fault::EndlessRemainder => "chain-length-changed: @",
        // More than is asked for, which is as much as the buffer holds.
        Fault::PortionTooLong if link == Link::Bytes => "response-too-large: @",
        Fault::PortionTooLong => "portion-too-large: @",
        Fault::PortionLength => "truncated-response: @",
        Fault::WrongSlot => "wrong-slot: @",
        Fault::CertificateInfo => "certificate-info: @",
        Fault::LargeCertChain => "large-cert-chain: @",
        Fault::ChainOf4Gib => "chain-too-large: slot 0",

        // CHALLENGE_AUTH.
        Fault::ChainHash => "cert-chain-hash-mismatch: @",
        Fault::ChallengeSlot => "wrong-slot: @",
        Fault::ChallengeSlotMask => "challenged-slot-missing: @",
        Fault::BasicMutAuth => "mutual-authentication: @",
        Fault::ContextNotEchoed => "requester-context-mismatch: @",
        Fault::OpaqueTooLong => "opaque-data-too-large: @",
        Fault::OpaquePastEnd | Fault::ShortSignature => "truncated-response: @",
        Fault::DerSignature => "trailing-bytes: @",

        // Only the signature can tell.
        Fault::VersionWithheld
        | Fault::CapabilitiesChanged
        | Fault::OfferChanged
        | Fault::AlgorithmsChanged
        | Fault::Replay
        | Fault::VcaLeftOut
        | Fault::CertificatesLeftOut
        | Fault::MeasurementSignature
        | Fault::RequesterRole
        | Fault::EmptyContext
        | Fault::OtherPrefix
        | Fault::PssSalt
        | Fault::PssAsPkcs1
        | Fault::ErrorInTranscript
        | Fault::DigestsTwice
        | Fault::BadSignature
        | Fault::ByteOrder
        | Fault::ZeroSignature
        | Fault::ZeroR
        | Fault::ZeroS
        | Fault::OnesSignature
        | Fault::ROverN
        | Fault::DerSignatureCut => "bad-signature: CHALLENGE",

        Fault::DoePadding => "trailing-bytes: @",
        // Chunks.
        Fault::ChunkHandle | Fault::ChunkAckHandle => "chunk-handle: @",
        Fault::ChunkSkipped
        | Fault::ChunkRepeated
        | Fault::ChunkWrapped
        | Fault::ChunkAckSequence => "chunk-sequence: @",
        Fault::ChunkEmpty | Fault::ChunkTooLarge => "chunk-size: @",
        Fault::ChunkCut => "truncated-response: @",
        Fault::LastChunkEarly | Fault::LastChunkLate | Fault::LargeSizeLonger => "last-chunk: @",
        Fault::LargeSizeZero | Fault::LargeSizeSmall | Fault::LargeSizeMax => {
            "large-message-size: @"
        }
        Fault::ChunkNested => "large-response-illegal: @",
        // What is large enough for chunks is too large for it.
        Fault::ChunkNestedInside => "error-data-size: @",
        Fault::ChunkOtherMessage | Fault::ChunkNoChunk | Fault::ChunkAckEarly => {
            "unexpected-response: @"
        }
        Fault::ChunkOtherVersion => "wrong-version: @",
        Fault::ChunkErrorInside | Fault::ChunkError => "error-response: $: Unspecified",
        Fault::ChunkTrailing => "trailing-bytes: @",

        // The kernel's part, so tested in a guest; and measurements, see there.
        _ => unreachable!("{fault:?} is not taken here"),
    }
}

/// The verdict that a fault brings about.
pub fn expected(fault: Fault, exchange: Exchange, minor: u8, link: Link) -> String {
    let request = exchange.request_name();
    let slot = match exchange {
        Exchange::Certificate => "slot 0",
        _ => request,
    };
    let reason = match (fault, exchange) {
        // It may be a large one, as SupportedAlgorithms was asked for; but the device knows no CHUNK_GET.
        (Fault::LargeResponse, Exchange::Capabilities) if minor >= 3 => {
            "error-response: @: UnsupportedRequest"
        }
        _ => reason(fault, minor, link),
    };
    reason.replace('@', request).replace('$', slot)
}

/// Faults of messages from a version on, and of the padding that comes with them.
pub fn faults(minor: u8, link: Link) -> impl Iterator<Item = &'static FaultInfo> {
    FAULTS
        .iter()
        .filter(move |info| info.since <= 0x10 | minor)
        .filter(move |info| match info.fault {
            Fault::DoePadding => link == Link::Doe,
            // See `chunks`, `keys` and `measurements`.
            fault => {
                !fault.is_transport()
                    && !fault.is_chunk()
                    && !fault.is_measurement()
                    && !fault.is_multi_key()
            }
        })
}

/// Whether there are circumstances in which a fault cannot be played.
fn may_be_idle(fault: Fault, at: Exchange, minor: u8) -> bool {
    match fault {
        // CHALLENGE_AUTH of 1.0 has no reserved bits.
        Fault::Reserved => at == Exchange::Challenge && minor == 0,
        // Nothing to withhold.
        Fault::VersionWithheld => minor == 0,
        // Messages of a size that needs none.
        Fault::DoePadding => true,
        // It needs LARGE_RESP_CAP: see `chain_of_4_gib`.
        Fault::ChainOf4Gib => true,
        // There is none but with ML-DSA: see `pqc`.
        Fault::EmptyContext => true,
        // With RSAPSS only: see `every_fault_of_the_challenge_with_every_algorithm`.
        Fault::PssSalt | Fault::PssAsPkcs1 => true,
        // There are no reserved flags left.
        Fault::FlagsLater => minor == 4,
        // ALGORITHMS always fits, and CAPABILITIES without SupportedAlgorithms.
        _ if fault.is_chunk() => {
            at == Exchange::Algorithms || at == Exchange::Capabilities && minor == 2
        }
        _ => false,
    }
}

/// Plays one fault; what is wrong with what came of it.
pub fn play(
    bench: &mut Bench,
    info: &FaultInfo,
    at: Exchange,
    minor: u8,
    link: Link,
) -> Option<String> {
    let expected = expected(info.fault, at, minor, link);
    play_for(bench, info, at, minor, link, &expected)
}

/// Plays one fault, for an expected verdict; what is wrong with what came of it.
pub fn play_for(
    bench: &mut Bench,
    info: &FaultInfo,
    at: Exchange,
    minor: u8,
    link: Link,
    expected: &str,
) -> Option<String> {
    let what = format!(
        "{} at {}, 1.{minor}, {link:?}",
        info.name,
        at.request_name()
    );
    bench.set(&format!("fault={} at={}", info.name, at.request_name()));
    let before = bench.device(|device| device.stats().faults);
    let outcome = bench.attest();
    let played = bench.device(|device| device.stats().faults) - before;
    bench.set("fault=none");
    if played == 0 {
        assert!(may_be_idle(info.fault, at, minor), "{what}: not played");
        assert!(outcome.is_authenticated(), "{what}: {outcome:?}");
        return None;
    }
    // Whatever the table here says.
    match info.harm {
        Harm::Fatal => assert!(!outcome.is_authenticated(), "{what}: {outcome:?}"),
        Harm::None => assert!(outcome.is_authenticated(), "{what}: {outcome:?}"),
        Harm::Open => {}
    }
    if info.fault == Fault::LateAnswer {
        late_answer(bench, at, minor);
    }
    bench.honest();
    (outcome.verdict != expected).then(|| format!("{what}: {}, not {expected}", outcome.verdict))
}

/// The answer to a request that was given up meets the next request, GET_VERSION.
fn late_answer(bench: &mut Bench, at: Exchange, minor: u8) {
    let outcome = bench.attest();
    let expected = match at {
        // It is the right one, by luck.
        Exchange::Version => AUTHENTICATED,
        _ if minor == 0 => "unexpected-response: GET_VERSION",
        _ => "wrong-version: GET_VERSION",
    };
    assert_eq!(outcome.verdict, expected);
}

#[test]
fn every_fault_in_every_version_and_message() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for link in Link::ALL {
        for minor in 0..5 {
            let versions = "1.0,1.1,1.2,1.3,1.4";
            let versions = &versions[..4 * usize::from(minor) + 3];
            // Portions, so that there is a second one.
            let words = format!("version={versions} asym=ecdsa-p256 hash=sha256 portion=512");
            let mut bench = Bench::new(&words).over(link);
            bench.honest();
            for info in faults(minor, link) {
                for &at in info.at {
                    wrong.extend(play(&mut bench, info, at, minor, link));
                    count += 1;
                }
            }
            let stats = bench.device(|device| device.stats().clone());
            assert_eq!(stats.violations, 0, "{}", stats.last_violation);
        }
    }
    assert!(wrong.is_empty(), "{} of {count}: {wrong:#?}", wrong.len());
    assert!(count > 2000, "{count}");
}

/// What a signature looks like depends on its algorithm.
#[test]
fn every_fault_of_the_challenge_with_every_algorithm() {
    let mut wrong = Vec::new();
    for asym in Asym::BASE {
        for minor in 0..5 {
            let words = format!("version=1.{minor} asym={asym} hash=sha512");
            let mut bench = Bench::new(&words);
            for info in faults(minor, Link::Doe) {
                if info.at == [Exchange::Challenge] {
                    let play = play(&mut bench, info, Exchange::Challenge, minor, Link::Doe);
                    wrong.extend(play.map(|what| format!("{asym}: {what}")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Any salt but one of the digest's size, and none; PKCS #1 with the key of RSAPSS.
#[test]
fn pss_as_the_standard_has_it_and_in_no_other_way() {
    for asym in [Asym::Rsapss2048, Asym::Rsapss3072, Asym::Rsapss4096] {
        let mut bench = Bench::new(&format!("version=1.2 asym={asym} hash=sha384"));
        bench.honest();
        for words in [
            "fault=pss-salt bytes=0",
            "fault=pss-salt bytes=47",
            "fault=pss-salt bytes=49",
            "fault=pss-as-pkcs1",
        ] {
            bench.set(words);
            assert_eq!(
                bench.attest().verdict,
                "bad-signature: CHALLENGE",
                "{words}"
            );
            assert!(bench.device(|device| device.stats().faults) > 0);
            bench.set("fault=none");
            bench.honest();
        }
        // And of RSASSA.
        bench.set(&format!("asym={} fault=pss-as-pkcs1", asym.of_keys()));
        bench.honest();
        bench.set(&format!("asym={asym}"));
    }
}

/// A length that only 1.4 can tell, and only a device with LARGE_RESP_CAP.
#[test]
fn chain_of_4_gib() {
    for link in Link::ALL {
        let mut bench = Bench::new("version=1.4 asym=ecdsa-p256 flags=0x80000006 portion=512");
        bench = bench.over(link);
        bench.honest();
        bench.set("fault=chain-4-gib");
        assert_eq!(bench.attest().verdict, "chain-too-large: slot 0");
        bench.set("fault=none");
        bench.honest();
    }
}

/// A signature is wrong with every hash, too.
#[test]
fn every_hash() {
    for hash in [
        "sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512",
    ] {
        for minor in 0..5 {
            let mut bench = Bench::new(&format!("version=1.{minor} asym=ecdsa-p384 hash={hash}"));
            bench.honest();
            bench.set("fault=bad-signature");
            assert_eq!(bench.attest().verdict, "bad-signature: CHALLENGE");
            bench.set("fault=chain-hash");
            assert_eq!(
                bench.attest().verdict,
                "cert-chain-hash-mismatch: CHALLENGE"
            );
            bench.set("fault=none");
            bench.honest();
        }
    }
}

/// It is not asked more often than it said, however short the time that it asks for.
#[test]
fn patience_is_what_the_device_asked_for() {
    for link in Link::ALL {
        for at in &Exchange::ALL[1..] {
            for multiplier in [2, 3, 16, 255] {
                let mut bench = Bench::new("asym=ecdsa-p256").over(link);
                bench.set(&format!(
                    "fault=not-ready-forever at={} rd-exponent=0 rd-multiplier={multiplier}",
                    at.request_name()
                ));
                let outcome = bench.attest();
                assert_eq!(outcome.verdict, format!("not-ready: {}", at.request_name()));
                assert!(outcome.exchanges <= 6 + multiplier, "{outcome:?}");
            }
        }
    }
}

/// The longest that a device can draw it out.
#[test]
fn endless_patience_ends_with_the_deadline() {
    for link in Link::ALL {
        for at in &Exchange::ALL[1..] {
            let mut bench = Bench::new("asym=ecdsa-p256").over(link);
            bench.set(&format!(
                "fault=not-ready-forever at={} rd-exponent=23 rd-multiplier=255",
                at.request_name()
            ));
            let outcome = bench.attest();
            let expected = format!("deadline-exceeded: {}", at.request_name());
            assert_eq!(outcome.verdict, expected);
            assert!(outcome.elapsed_us > DEADLINE_US / 2, "{outcome:?}");
            bench.set("fault=none");
            bench.honest();
        }
    }
}

/// Each answer is just in time, portions are small, and everything is asked for again.
#[test]
fn slow_everything_ends_with_the_deadline() {
    let mut bench = Bench::new("asym=ecdsa-p256 portion=1 delay-ms=900");
    let outcome = bench.attest();
    assert!(
        outcome.verdict.starts_with("deadline-exceeded: "),
        "{outcome:?}"
    );
    bench.set("portion=0 delay-ms=900");
    let outcome = bench.honest();
    assert!(outcome.elapsed_us > 6 * 900_000);
    // Later than a mailbox may be.
    bench.set("delay-ms=1000");
    assert_eq!(bench.attest().verdict, "timeout: GET_VERSION");
    // Later than T1; T2 has 2^ct-exponent microseconds.
    let mut bench = Bench::new("asym=ecdsa-p256 ct-exponent=23").over(Link::Bytes);
    bench.set("delay-ms=201");
    assert_eq!(bench.attest().verdict, "timeout: GET_VERSION");
    bench.set("delay-ms=198");
    bench.honest();
}

/// ERROR is in no transcript: where one slot's chain is refused, the next slot has its chance.
#[test]
fn one_slot_refused_and_the_next_one_taken() {
    for minor in 0..5 {
        let words = format!("version=1.{minor} asym=ecdsa-p256 slot5=len2");
        let mut bench = Bench::new(&words);
        assert_eq!(bench.honest().report.negotiated.slot, Some(0));
        bench.set("fault=invalid-request at=CERTIFICATE times=1");
        assert_eq!(bench.honest().report.negotiated.slot, Some(5));
        bench.set("fault=invalid-request at=CERTIFICATE times=2");
        let outcome = bench.attest();
        assert_eq!(outcome.verdict, "error-response: slot 0: InvalidRequest");
    }
}

/// What `make run FAULT=` tells the responder has every misbehaviour played, and refused if it has to be.
#[test]
fn every_fault_as_it_is_shown_to_people() {
    for info in FAULTS.iter().filter(|info| !info.fault.is_transport()) {
        let mut bench = Bench::new("flags=0x16").with_buffer(8192);
        bench.measurements = true;
        let words = info.fault.words();
        bench.set(&words);
        let outcome = bench.attest();
        assert!(
            bench.device(|device| device.stats().faults) > 0,
            "{words}: {outcome:?}"
        );
        match info.harm {
            Harm::Fatal => assert!(!outcome.is_authenticated(), "{words}"),
            Harm::None => assert!(outcome.is_authenticated(), "{words}: {outcome:?}"),
            Harm::Open => {}
        }
    }
}

/// Several at a time.
#[test]
fn faults_come_together() {
    let mut bench = Bench::new("asym=ecdsa-p256");
    for words in [
        "fault=busy,not-ready,resynch times=2",
        "fault=busy,reserved at=DIGESTS",
        "fault=not-ready times=3 rd-multiplier=16 at=CHALLENGE",
    ] {
        bench.set(words);
        bench.honest();
    }
    bench.set("fault=resynch,not-ready-forever times=3 rd-exponent=23 rd-multiplier=3");
    let outcome = bench.attest();
    assert!(
        !outcome.is_authenticated() || outcome.elapsed_us <= DEADLINE_US,
        "{outcome:?}"
    );
    bench.set("fault=none rd-exponent=14");
    bench.honest();
}
