#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Several keys in one device (MULTI_KEY_CAP): which is challenged, and lies about them.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

# MULTI_KEY_CAP = only, GET_KEY_PAIR_INFO_CAP.
only=flags=0x14000006

# uses TEXT SLOT WORDS: the drive is authenticated by the key in SLOT, and was asked nothing that is wrong.
uses() {
	configure 0 "version=$version $only $3"
	forget 0
	verdict 0
	count 0 violations
	ktap_test_equal "$1, SPDM $version" "1 authenticated, slot $2, 0" "$verdict, slot $(attribute 0 slot), $count"
}

# bad FAULT REASON ERROR
bad() {
	ktap_test_result "$1, SPDM $version" misbehaves 0 "fault=$1" "$2" "$3"
}

ktap_print_header
ktap_set_plan 28
start_spdm ecdsa-p384
whole_attestations
for version in 1.3 1.4; do
	uses 'slot 0 of two' 0 'slot1=ok'
	uses 'the slot whose key is for challenges' 1 'uses0=0x4 slot1=ok uses1=0x2'
	uses 'one key pair in two slots' 4 'slot0=untrusted pair0=4 slot4=ok pair4=4'
	uses 'a generic certificate' 6 'slot0=untrusted slot6=ok model6=generic'
	configure 0 "version=$version $only"
	forget 0
	bad key-pair-0 'key-pair-id: GET_DIGESTS' "$EPROTO"
	bad key-pair-two-uses 'key-pair-id: GET_DIGESTS' "$EPROTO"
	bad key-usage 'slot-key-usage: slot 0' "$EPROTO"
	bad key-usage-none 'key-usage: GET_DIGESTS' "$EPROTO"
	bad certificate-model 'certificate-info: GET_DIGESTS' "$EPROTO"
	bad certificate-model-none 'certificate-info: GET_DIGESTS' "$EPROTO"
	bad generic-slot-0 'certificate-info: GET_DIGESTS' "$EPROTO"
	bad certificate-model-changed 'certificate-info: GET_CERTIFICATE' "$EPROTO"
	configure 0 "version=$version $only slot0=hardware-identity model0=alias"
	ktap_test_result "hardware identity in an alias certificate, SPDM $version" \
		refuses 0 'leaf-hardware-identity: slot 0: *' "$EKEYREJECTED"
	configure 0 "version=$version flags=0x18000006 uses0=0x4"
	ktap_test_result "one key where there is a choice, SPDM $version" accepts 0
done
configure 0
forget 0
ktap_finished
