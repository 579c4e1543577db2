#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Responses that are not what the standard says, each message in turn.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

# request_of RESPONSE: what the reason names, into $request.
request_of() {
	case $1 in
	VERSION) request=GET_VERSION ;;
	CAPABILITIES) request=GET_CAPABILITIES ;;
	ALGORITHMS) request=NEGOTIATE_ALGORITHMS ;;
	DIGESTS) request=GET_DIGESTS ;;
	CERTIFICATE) request=GET_CERTIFICATE ;;
	CHALLENGE) request=CHALLENGE ;;
	esac
}

# bad FAULT REASON [ERROR]: a responder that plays the fault is refused, and accepted when it does not.
bad() {
	ktap_test_result "$1" misbehaves 0 "fault=$1" "$2" "${3:-$EPROTO}"
}

ktap_print_header
ktap_set_plan 144
start_spdm ecdsa-p384
whole_attestations

# Too short, too long, or something else.
for message in VERSION CAPABILITIES ALGORITHMS DIGESTS CERTIFICATE CHALLENGE; do
	configure 0
	request_of "$message"
	while read -r fault reason; do
		ktap_test_result "$fault, $message" \
			misbehaves 0 "fault=$fault at=$message" "$reason: $request" "$EPROTO"
	done <<-END
		truncate truncated-response
		extend trailing-bytes
		oversize trailing-bytes
		empty truncated-response
		garbage wrong-version
		wrong-version wrong-version
		wrong-code unexpected-response
		unknown-code unexpected-response
	END
	[ "$message" = VERSION ] || for version in 1.0 1.1 1.2; do
		configure 0 "version=$version"
		ktap_test_result "truncate, $message, SPDM $version" \
			misbehaves 0 "fault=truncate at=$message" "truncated-response: $request" "$EPROTO"
		ktap_test_result "extend, $message, SPDM $version" \
			misbehaves 0 "fault=extend at=$message" "trailing-bytes: $request" "$EPROTO"
	done
	ktap_test_result "reserved fields are ignored, $message" copes 0 "fault=reserved at=$message"
done

configure 0
bad no-versions 'no-versions: GET_VERSION'
bad many-versions 'too-many-versions: GET_VERSION'
bad duplicate-versions 'duplicate-version: GET_VERSION'
bad unknown-versions 'unsupported-version: GET_VERSION' "$EPROTONOSUPPORT"
bad version-count-short 'trailing-bytes: GET_VERSION'
configure 0 version=1.1,1.2,1.3
bad version-count-long 'truncated-response: GET_VERSION'
configure 0
bad flags-reserved 'invalid-capabilities: GET_CAPABILITIES'
bad flags-incoherent 'invalid-capabilities: GET_CAPABILITIES'
bad no-cert-cap 'invalid-capabilities: GET_CAPABILITIES'
bad no-chal-cap 'invalid-capabilities: GET_CAPABILITIES'
ktap_test_result 'flags-later' copes 0 fault=flags-later
configure 0
bad transfer-size-small 'invalid-data-transfer-size: GET_CAPABILITIES'
bad transfer-size-above-max 'invalid-data-transfer-size: GET_CAPABILITIES'
bad transfer-size-below-max 'invalid-data-transfer-size: GET_CAPABILITIES'
bad ct-exponent-24 'invalid-ct-exponent: GET_CAPABILITIES'
bad ct-exponent-255 'invalid-ct-exponent: GET_CAPABILITIES'
bad supported-algorithms-unasked 'trailing-bytes: GET_CAPABILITIES'
bad supported-algorithms-length 'supported-algorithms-length: GET_CAPABILITIES'
for kind in asym hash; do
	bad $kind-not-offered 'algorithm-not-offered: NEGOTIATE_ALGORITHMS'
	bad $kind-two 'multiple-algorithms: NEGOTIATE_ALGORITHMS'
	bad $kind-none 'no-algorithm: NEGOTIATE_ALGORITHMS' "$EPROTONOSUPPORT"
done
bad opaque-format 'multiple-algorithms: NEGOTIATE_ALGORITHMS'
bad table-order 'algorithm-structure: NEGOTIATE_ALGORITHMS'
bad table-duplicate 'algorithm-structure: NEGOTIATE_ALGORITHMS'
bad table-size 'algorithms-length: NEGOTIATE_ALGORITHMS'
bad table-unasked 'algorithm-not-offered: NEGOTIATE_ALGORITHMS'
bad table-count 'algorithms-length: NEGOTIATE_ALGORITHMS'
bad length-short 'algorithms-length: NEGOTIATE_ALGORITHMS'
bad length-long 'algorithms-length: NEGOTIATE_ALGORITHMS'
bad ext-algorithms 'extended-algorithm: NEGOTIATE_ALGORITHMS'
bad ext-count 'extended-algorithm: NEGOTIATE_ALGORITHMS'

# What only the signature can tell, because it happens on the way.
for fault in version-withheld capabilities-changed offer-changed algorithms-changed; do
	bad $fault 'bad-signature: CHALLENGE' "$EKEYREJECTED"
done

bad no-slots 'no-provisioned-slot: GET_DIGESTS'
bad not-supported 'provisioned-not-supported: GET_DIGESTS'
bad digest-mismatch 'digest-mismatch: slot 0'
bad digest-missing 'truncated-response: GET_DIGESTS'
bad empty-portion 'empty-portion: GET_CERTIFICATE'
bad portion-too-long 'portion-too-large: GET_CERTIFICATE'
bad portion-length 'truncated-response: GET_CERTIFICATE'
bad wrong-slot 'wrong-slot: GET_CERTIFICATE'
bad certificate-info 'certificate-info: GET_CERTIFICATE'
configure 0 portion=512
bad growing-total 'chain-length-changed: GET_CERTIFICATE'
ktap_test_result 'endless-remainder' \
	keeps_misbehaving 0 fault=endless-remainder 'chain-length-changed: GET_CERTIFICATE' "$EPROTO"
configure 0
bad chain-hash 'cert-chain-hash-mismatch: CHALLENGE'
bad challenge-slot 'wrong-slot: CHALLENGE'
bad challenge-slot-mask 'challenged-slot-missing: CHALLENGE'
bad basic-mut-auth 'mutual-authentication: CHALLENGE'
bad context-not-echoed 'requester-context-mismatch: CHALLENGE'
bad opaque-too-long 'opaque-data-too-large: CHALLENGE'
bad opaque-past-end 'truncated-response: CHALLENGE'

configure 0 version=1.4
bad pqc-not-offered 'algorithm-not-offered: NEGOTIATE_ALGORITHMS'
# The drive is known by its key, so nothing else was offered.
bad asym-and-pqc 'algorithm-not-offered: NEGOTIATE_ALGORITHMS'
bad large-cert-chain 'large-cert-chain: GET_CERTIFICATE'
configure 0 version=1.4 flags=0x80000006 # LARGE_RESP_CAP
bad chain-4-gib 'chain-too-large: slot 0'
ktap_finished
