#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What is negotiated when there is a choice, and when there is none.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

# negotiates WORDS VERSION HASH ASYM: what comes of a responder that is configured with WORDS.
negotiates() {
	configure 0 "$1"
	forget 0
	accepts 0 || return 1
	negotiated="$(attribute 0 version) $(attribute 0 algorithms)"
	count 0 violations
	[ "$negotiated, $count violations" = "$2 base_hash=$3 base_asym=$4, 0 violations" ] && return
	echo "# negotiated: $negotiated, $count violations"
	return 1
}

# does_not WORDS REASON ERROR
does_not() {
	configure 0 "$1"
	refuses 0 "$2" "$3"
}

ktap_print_header
ktap_set_plan 17
start_spdm rsassa-3072 ecdsa-p256 ecdsa-p384
whole_attestations

ktap_test_result 'the highest common version' \
	negotiates 'version=1.0,1.1,1.2,1.3' 1.3 sha384 ecdsa-p384
ktap_test_result 'the highest common version of two' \
	negotiates 'version=1.0,1.2' 1.2 sha384 ecdsa-p384
ktap_test_result 'SPDM 1.4, in which the chain is asked for in another way (LARGE_RESP_CAP)' \
	negotiates 'version=1.3,1.4 flags=0x80000006 portion=100' 1.4 sha384 ecdsa-p384
ktap_test_result 'a responder that tells what it supports (CHUNK_CAP)' \
	negotiates 'version=1.3,1.4 flags=0x00020006' 1.4 sha384 ecdsa-p384
ktap_test_result "the responder's choice of hash" \
	negotiates 'hash=sha3-256,sha384' 1.3 sha3-256 ecdsa-p384
ktap_test_result "the responder's choice of signature" \
	negotiates 'asym=rsassa-3072,ecdsa-p256,ecdsa-p384' 1.3 sha384 rsassa-3072
ktap_test_result 'a chain in small portions' \
	negotiates 'portion=100' 1.3 sha384 ecdsa-p384
ktap_test_equal 'small portions are many exchanges' many \
	"$([ "$(attribute 0 exchanges)" -gt 15 ] && echo many)"
ktap_test_result 'a chain in portions of one byte in SPDM 1.0' \
	negotiates 'portion=1 version=1.0 slot0=len1 asym=ecdsa-p256' 1.0 sha384 ecdsa-p256
ktap_test_result 'opaque data' negotiates 'opaque=1024' 1.3 sha384 ecdsa-p384
ktap_test_result 'opaque data in SPDM 1.1' negotiates 'version=1.1 opaque=500' 1.1 sha384 ecdsa-p384
ktap_test_result 'another serial number in the certificate than none is refused' \
	does_not 'serial=1f' 'subject-alt-name-mismatch: slot 0:*' "$EKEYREJECTED"

ktap_test_result 'no certificates (CERT_CAP)' \
	does_not 'flags=0' 'no-certificate-capability: GET_CAPABILITIES' "$EPROTONOSUPPORT"
ktap_test_result 'no challenge (CHAL_CAP)' \
	does_not 'flags=0x12' 'no-challenge-capability: GET_CAPABILITIES' "$EPROTONOSUPPORT"
ktap_test_result 'no common version' \
	does_not 'fault=unknown-versions' 'unsupported-version: GET_VERSION' "$EPROTONOSUPPORT"
ktap_test_result 'no common signature' \
	does_not 'fault=asym-none' 'no-algorithm: NEGOTIATE_ALGORITHMS' "$EPROTONOSUPPORT"
ktap_test_result 'and then an honest one is accepted' negotiates '' 1.3 sha384 ecdsa-p384
ktap_finished
