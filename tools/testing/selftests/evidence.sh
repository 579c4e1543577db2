#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
#
# Measurements and evidence: what user space sees of them, and what it can have compared.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

function=/sys/bus/pci/devices/0000:01:00.0
entry=/sys/class/spdm/pci-0000:01:00.0
signatures=$function/signatures

# verdict_is TEXT: state and reason of drive 0.
verdict_is() {
	verdict 0
	[ "$verdict" = "$1" ] || {
		echo "# $verdict"
		return 1
	}
}

status_is() {
	read_line "$entry/measurements_status"
	[ "$line" = "$1" ] || {
		echo "# $line"
		return 1
	}
}

# newest: the number of the last signature.
newest() {
	for file in "$signatures"/*_type; do
		file=${file##*/}
		echo "${file%_type}"
	done | sort -n | tail -n 1
}

# shows FILE TEXT: the signature's file has this text.
shows() {
	[ "$(cat "$signatures/$1")" = "$2" ] || {
		echo "# $1: $(cat "$signatures/$1")"
		return 1
	}
}

size() {
	wc -c <"$1"
}

# is_signed NUMBER CONTEXT: the files of a signature are there, and fit together.
is_signed() {
	for name in signature transcript requester_nonce responder_nonce hash_algorithm \
		combined_spdm_prefix type certificate_chain verdict; do
		[ -r "$signatures/$1_$name" ] || {
			echo "# no $1_$name"
			return 1
		}
	done
	shows "$1_type" "$2" && shows "$1_verdict" verified && shows "$1_hash_algorithm" sha384 &&
		[ "$(size "$signatures/$1_signature")" = 96 ] &&
		[ "$(size "$signatures/$1_requester_nonce")" = 32 ] &&
		[ "$(size "$signatures/$1_responder_nonce")" = 32 ] &&
		[ "$(size "$signatures/$1_combined_spdm_prefix")" = 100 ] &&
		cmp "$signatures/$1_certificate_chain" "$function/certificates/slot0"
}

hex() {
	hexdump -ve '1/1 "%02x"' "$1"
}

# refused FILE COMMAND...: the command fails, and so says FILE of errors.
read_fails() {
	! cat "$1" >/dev/null 2>/run/error && grep -q "$2" /run/error
}

ktap_print_header
ktap_set_plan 89
start_spdm ecdsa-p384
whole_attestations

configure 0
attest 0
ktap_test_result 'a device without measurements' status_is unsupported
ktap_test_equal 'has none' 0 "$(size $entry/measurements)"

for version in 1.0 1.1 1.2 1.3 1.4; do
	configure 0 version=$version flags=0x16
	attest 0
	ktap_test_result "SPDM $version: signed" status_is signed
	ktap_test_equal "SPDM $version: seven blocks" 7 "$(wc -l <$entry/measurements)"
done
ktap_test_equal 'a block is a line' '5 version raw 6669726d776172652031' \
	"$(grep '^5 ' $entry/measurements)"
ktap_test_equal 'raw: the record as it was sent' 1 "$(hex $entry/measurements_raw | cut -c 2)"
read_line $entry/exchanges
ktap_test_equal 'one more exchange' 7 "$line"

configure 0 flags=0x0e
attest 0
ktap_test_result 'unsigned' status_is unsigned
configure 0 flags=0x16 fault=measurement-one-by-one
attest 0
ktap_test_result 'one by one' status_is signed
ktap_test_equal 'one by one: seven blocks' 7 "$(wc -l <$entry/measurements)"
configure 0 flags=0x16 fault=measurement-bad-signature
attest 0
ktap_test_result 'M1: a bad signature' status_is 'failed: bad-signature: GET_MEASUREMENTS'
ktap_test_result 'M1: the device is who it is' accepts 0
ktap_test_equal 'M1: nothing is shown' 0 "$(size $entry/measurements)"
configure 0 flags=0x16 fault=measurement-unsigned
attest 0
ktap_test_result 'M1: no signature' status_is 'failed: truncated-response: GET_MEASUREMENTS'

# Signatures.
configure 0 flags=0x16
attest 0
last=$(newest)
ktap_test_result 'the signature of the challenge' is_signed $((last - 1)) \
	'responder-challenge_auth signing'
ktap_test_result 'the signature of the measurements' is_signed "$last" \
	'responder-measurements signing'
ktap_test_result 'the nonce is in the transcript' \
	sh -c "hexdump -ve '1/1 \"%02x\"' $signatures/${last}_transcript |
		grep -q $(hex "$signatures/${last}_requester_nonce")"
head -c 32 /dev/urandom >/run/nonce
cat /run/nonce >$signatures/next_requester_nonce
attest 0
last=$((last + 2))
ktap_test_result 'a nonce of user space' cmp /run/nonce $signatures/$((last - 1))_requester_nonce
ktap_test_result 'for both signatures' cmp /run/nonce $signatures/${last}_requester_nonce
attest 0
last=$((last + 2))
ktap_test_result 'once' sh -c "! cmp -s /run/nonce $signatures/${last}_requester_nonce"
head -c 31 /dev/urandom >/run/short
ktap_test_result 'a nonce has 32 bytes' sh -c "! cat /run/short >$signatures/next_requester_nonce 2>/dev/null"
ktap_test_equal 'no more than eight are kept' 8 \
	"$(find $signatures -name '*_type' | wc -l)"

configure 0 flags=0x16 fault=bad-signature
attest 0
last=$((last + 1))
ktap_test_result 'a failure leaves evidence' shows ${last}_verdict failed
ktap_test_equal 'a failure leaves one signature' $last "$(newest)"

# Certificates.
configure 0 flags=0x16 slot1=ok slot3=empty
attest 0
ktap_test_result 'slot 0' [ "$(size $function/certificates/slot0)" -gt 1000 ]
ktap_test_result 'slot 1 was not fetched' read_fails $function/certificates/slot1 'No data'
ktap_test_equal 'slot 3 is empty' 0 "$(size $function/certificates/slot3)"
ktap_test_result 'there is no slot 2' [ ! -e $function/certificates/slot2 ]

# Reference values.
configure 0 flags=0x16
attest 0
cat $entry/measurements >/run/pinned
cat /run/pinned >$entry/reference_measurements
ktap_test_result 'as expected' accepts 0
ktap_test_result 'what is expected can be read' cmp /run/pinned $entry/reference_measurements
configure 0 flags=0x16 firmware=2
attest 0
ktap_test_result 'other firmware' verdict_is '0 failed measurement-mismatch: index 2'
configure 0 flags=0x0e
attest 0
ktap_test_result 'unsigned measurements are no proof' verdict_is '0 failed measurements-unsigned'
configure 0
attest 0
ktap_test_result 'no measurements are no proof' verdict_is '0 failed measurements-missing'
configure 0 flags=0x16 fault=measurement-count
attest 0
ktap_test_result 'nor are wrong ones' \
	verdict_is '0 failed measurements-failed: measurement-count: GET_MEASUREMENTS'
configure 0 flags=0x16 firmware=2
echo '2 no measurement' 2>/dev/null >$entry/reference_measurements
ktap_test_result 'what is no reference value is refused' cmp /run/pinned $entry/reference_measurements
cat $entry/measurements 2>/dev/null >$entry/reference_measurements
echo >$entry/reference_measurements
ktap_test_result 'none are expected' accepts 0
ktap_test_equal 'none are shown' 0 "$(size $entry/reference_measurements)"

# What tracers see.
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
tracing=/sys/kernel/tracing
echo 1 >$tracing/events/spdm/enable
attest 0
echo 0 >$tracing/events/spdm/enable
ktap_test_equal 'each request and response is traced' 14 \
	"$(grep -c 'spdm_message: name=pci-0000:01:00.0 .* offset=0 ' $tracing/trace)"
ktap_test_equal 'so is the verdict' 1 \
	"$(grep -c 'spdm_verdict: name=pci-0000:01:00.0 state=authenticated reason=' $tracing/trace)"
echo >$tracing/trace

# spdmctl, which knows the netlink family.
drive=0000:01:00.0
root=/roots/ecdsa-p384.der

# runs STATUS COMMAND...: spdmctl ends with that status; what it said is in /run/said.
runs() {
	wanted=$1
	shift
	spdmctl "$@" >/run/said 2>&1
	got=$?
	[ $got = "$wanted" ] || {
		sed 's/^/# /' /run/said
		return 1
	}
}

says() {
	grep -q "$1" /run/said || {
		sed 's/^/# /' /run/said
		return 1
	}
}

nonce=$(hexdump -ve '1/1 "%02x"' /run/nonce)
for version in 1.0 1.1 1.2 1.3 1.4; do
	configure 0 flags=0x16 version=$version
	runs 0 evidence $drive --nonce "$nonce" -o /run/evidence
	ktap_test_result "SPDM $version: evidence is verified" \
		runs 0 verify /run/evidence --root $root --nonce "$nonce"
done
ktap_test_result 'with measurements' says 'measurement   2 mutable-firmware digest '
echo "# $(size /run/evidence) bytes of evidence"

# has_transcript: what sysfs shows of the last challenge is in the evidence, read in one go and byte by byte.
has_transcript() {
	newest=$(newest challenge_auth)
	dd if="$signatures/${newest}_transcript" of=/run/bytes bs=1 2>/run/error
	cmp "$signatures/${newest}_transcript" /run/bytes || return
	case $(hex /run/evidence) in *"$(hex /run/bytes)"*) ;; *) return 1 ;; esac
}

# The kernel has one copy of a chain in few portions, and of one that was refused, or of the rest, another.
for words in slot0=len5 'slot0=len5 portion=800' 'slot0=len5 portion=200' 'slot0=untrusted slot1=ok' \
	'slot0=untrusted slot1=len5 portion=200'; do
	configure 0 "flags=6 $words"
	runs 0 evidence $drive --nonce "$nonce" -o /run/evidence
	ktap_test_result "$words: evidence is verified" runs 0 verify /run/evidence --root $root --nonce "$nonce"
	ktap_test_result 'and is what sysfs shows' has_transcript
done
# Neither the chain nor, with CACHE_CAP, what was negotiated is sent again.
configure 0 flags=0x17
echo Y >/sys/module/spdm/parameters/cache
attest 0
attest 0
read_line $entry/exchanges
ktap_test_equal 'challenge and measurements alone' 2 "$line"
runs 0 evidence $drive -o /run/evidence
ktap_test_result 'evidence of a short attestation' runs 0 verify /run/evidence --root $root
whole_attestations
ktap_test_result 'is told not to be fresh' says 'this may be a recording'
ktap_test_result 'evidence with another nonce is refused' \
	runs 1 verify /run/evidence --root $root --nonce "$nonce"
ktap_test_result 'evidence with another root is refused' \
	runs 1 verify /run/evidence --root /roots/ecdsa-p256.der
configure 0 flags=0x16 fault=bad-signature
ktap_test_result 'a failure leaves evidence' runs 1 evidence $drive --nonce "$nonce" -o /run/evidence
runs 1 verify /run/evidence --root $root
ktap_test_result 'that says so' says 'REFUSED: the kernel did not authenticate it: failed: bad-signature'
configure 0 flags=0x16

# In the background; the second verdict ends it.
spdmctl --json watch --count 2 >/run/events 2>&1 &
watcher=$!
usleep 500000
attest 0
configure 0 flags=0x16 firmware=3
attest 0
wait $watcher
ktap_test_equal 'a verdict is an event' 1 "$(sed -n 1p /run/events | grep -c '"state":"authenticated"')"
ktap_test_equal 'nothing has changed' 1 \
	"$(sed -n 1p /run/events | grep -c '"measurements_changed":false')"
ktap_test_equal 'another firmware is told' 1 \
	"$(sed -n 2p /run/events | grep -c '"measurements_changed":true')"

# The challenge's signature, and the measurements'.
spdmctl --json watch --signatures --count 2 >/run/events 2>&1 &
watcher=$!
usleep 500000
attest 0
wait $watcher
ktap_test_equal 'a signature is an event' 1 \
	"$(sed -n 1p /run/events | grep '"response_code":3,' | grep -c '"hash_algo":5,')"
ktap_test_equal 'so is the next one' 1 "$(sed -n 2p /run/events | grep -c '"response_code":96,')"
sig_offset=$(sed -n '2s/.*"signature_offset":\([0-9]*\).*/\1/p' /run/events)
ktap_test_equal 'it has the whole transcript' "$(size "$signatures/$(newest)_transcript")" "$sig_offset"

# Under enforce, other firmware costs the drive its driver.
configure 0 flags=0x16
attest 0
runs 0 pin $drive
echo enforce >$entry/policy
configure 0 flags=0x16 firmware=9
attest 0
ktap_test_result 'enforce: no driver with other firmware' wait_for 10 is_unbound 0
echo audit >$entry/policy
echo 2>/dev/null >$entry/reference_measurements

runs 0 list
ktap_test_result 'list' says '^pci-0000:01:00.0 *authenticated *1.3 *signed'
runs 0 show 01:00.0
ktap_test_result 'show' says '^measurements *1 immutable-rom digest '
runs 0 pin $drive
configure 0 flags=0x16 firmware=4
ktap_test_result 'pin' runs 1 attest $drive
ktap_test_result 'the reason' says 'measurement-mismatch: index 2'
echo >$entry/reference_measurements
runs 0 policy $drive enforce
ktap_test_result 'policy' says enforce
runs 0 policy $drive audit
ktap_test_result 'a device that is not there' runs 3 show 77:00.0
ktap_test_result 'is named' says 'no SPDM device .77:00.0.; there are: pci-0000:01:00.0'
ktap_test_result 'no such command' runs 2 destroy
ktap_test_result 'no such nonce' runs 3 attest $drive --nonce 12

echo 1 >$tracing/events/spdm/enable
attest 0
echo 0 >$tracing/events/spdm/enable
cat $tracing/trace >/run/trace
ktap_test_result 'a trace becomes a pcap file' runs 0 pcap /run/trace -o /run/pcap

# IMA, where the kernel has it: its policy may be written once.
mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
ima=/sys/kernel/security/ima
if [ -w $ima/policy ] &&
	echo 'measure func=CRITICAL_DATA label=spdm' 2>/dev/null >$ima/policy; then
	attest 0
	attest 0
	attest 0
	measured() {
		[ "$(grep -c ' pci-0000:01:00.0 ' "$ima/ascii_runtime_measurements")" = 3 ]
	}
	ktap_test_result 'IMA has measured each attestation' wait_for 5 measured
	# The measured text: what evidence calls info.
	grep ' pci-0000:01:00.0 ' $ima/ascii_runtime_measurements | tail -n 1 | sed 's/.* //' |
		xxd -r -p >/run/measured
	ktap_test_result 'with its verdict' grep -q '^state=authenticated$' /run/measured
else
	ktap_test_skip 'this kernel has no IMA, or its policy is taken'
	ktap_test_skip 'this kernel has no IMA, or its policy is taken'
fi

configure 0
ktap_finished
