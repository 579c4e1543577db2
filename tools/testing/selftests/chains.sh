#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Certificate chains, good and bad, and the slots that they are in.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

# good CHAIN WORDS: a responder with this chain is accepted.
good() {
	configure 0 "slot0=$1 $2"
	case $2 in *asym=*) forget 0 ;; esac
	ktap_test_result "$1${2:+, $2}" accepts 0
}

# bad CHAIN REASON ERROR [WORDS]: it is refused.
bad() {
	configure 0 "slot0=$1 $4"
	ktap_test_result "$1${4:+, $4}" refuses 0 "$2" "$3"
}

# slots TEXT SLOT WORDS: the drive is authenticated by the chain in SLOT.
slots() {
	configure 0 "$3"
	if accepts 0; then
		ktap_test_equal "$1" "$2" "$(attribute 0 slot)"
	else
		ktap_test_fail "$1"
	fi
}

# untrusted_slots TEXT REASON WORDS
untrusted_slots() {
	configure 0 "$3"
	ktap_test_result "$1" refuses 0 "$2" "$4"
}

root_ca='CN=linux-spdm test root ecdsa-p384'
ca='CN=linux-spdm test CA 1 ecdsa-p384'
leaf='CN=linux-spdm test device 0'
san=Vendor=1b36:Device=0010:CC=010802:REV=02:SSVID=1af4:SSID=1100

ktap_print_header
ktap_set_plan 74
start_spdm ecdsa-p384 rsassa-2048

# One to five certificates, with the root and without it.
for chain in len1 len2 len3 len4 len5 noroot noroot3 noroot4 noroot5; do
	good $chain
done
for chain in len1 len5 noroot5; do
	good $chain version=1.0
	good $chain portion=200
done
for chain in len2 len4; do
	good $chain 'version=1.2 asym=rsassa-2048'
done
configure 0
forget 0
for chain in no-expiry no-eku many-ekus extra-extension hardware-identity; do
	good $chain
done
good no-basic-constraints version=1.2

bad untrusted "untrusted-root: slot 0: $root_ca" "$ENOKEY"
bad untrusted-same-id "untrusted-root: slot 0: $root_ca" "$ENOKEY"
bad self-signed "untrusted-root: slot 0: $leaf" "$ENOKEY"
bad loop "untrusted-root: slot 0: CN=linux-spdm test CA 2 *" "$ENOKEY"
bad root-hash "root-hash-mismatch: slot 0: $root_ca" "$EKEYREJECTED"
bad stolen 'bad-signature: CHALLENGE' "$EKEYREJECTED"
bad expired "certificate-expired: slot 0: $leaf" "$EKEYEXPIRED"
bad not-yet "certificate-not-yet-valid: slot 0: $leaf" "$EKEYEXPIRED"
bad expired-intermediate "certificate-expired: slot 0: $ca" "$EKEYEXPIRED"
bad ca-leaf "leaf-is-ca: slot 0: $leaf" "$EKEYREJECTED"
bad no-key-usage "leaf-key-usage: slot 0: $leaf" "$EKEYREJECTED"
bad wrong-key-usage "leaf-key-usage: slot 0: $leaf" "$EKEYREJECTED"
bad wrong-eku "leaf-extended-key-usage: slot 0: $leaf" "$EKEYREJECTED"
bad no-basic-constraints "leaf-lacks-basic-constraints: slot 0: $leaf" "$EKEYREJECTED"
bad leaf-v1 'malformed-certificate: slot 0' "$EKEYREJECTED"
bad key-mismatch "leaf-key-mismatch: slot 0: $leaf" "$EKEYREJECTED"
bad no-san "subject-alt-name-missing: slot 0: $leaf" "$EKEYREJECTED"
bad two-sans "subject-alt-name-missing: slot 0: $leaf" "$EKEYREJECTED"
bad two-san-extensions 'malformed-certificate: slot 0' "$EKEYREJECTED"
bad other-san "subject-alt-name-mismatch: slot 0: ${san%0010*}0011${san#*0010}" "$EKEYREJECTED"
bad odd-case-san 'subject-alt-name-mismatch: slot 0: VENDOR=1B36*' "$EKEYREJECTED"
bad long-san "subject-alt-name-mismatch: slot 0: $san:" "$EKEYREJECTED"
bad pathlen 'path-too-long: slot 0: CN=linux-spdm test CA 2 *' "$EKEYREJECTED"
bad hundred 'chain-too-long: slot 0' "$EKEYREJECTED"
bad reordered "issuer-not-ca: slot 0: $leaf" "$EKEYREJECTED"
bad gap "bad-certificate-signature: slot 0: $leaf" "$EKEYREJECTED"
bad issuer-not-ca "issuer-not-ca: slot 0: $ca" "$EKEYREJECTED"
bad issuer-no-cert-sign "issuer-not-ca: slot 0: $ca" "$EKEYREJECTED"
bad bad-cert-signature "bad-certificate-signature: slot 0: $leaf" "$EKEYREJECTED"
bad bad-intermediate-signature "bad-certificate-signature: slot 0: $ca" "$EKEYREJECTED"
bad unknown-critical "unknown-critical-extension: slot 0: $leaf" "$EKEYREJECTED"
bad length-short 'chain-length-mismatch: slot 0' "$EPROTO"
bad length-long 'chain-length-mismatch: slot 0' "$EPROTO"
bad trailing-bytes 'malformed-certificate: slot 0' "$EKEYREJECTED"
bad cut-certificate 'malformed-certificate: slot 0' "$EKEYREJECTED"
bad no-certificates 'chain-length-mismatch: slot 0' "$EPROTO"
bad garbage 'malformed-certificate: slot 0' "$EKEYREJECTED"

# The name in the certificate is that of the function.
bad ok "subject-alt-name-mismatch: slot 0: $san:0000000000000001" "$EKEYREJECTED" serial=1
bad ok 'subject-alt-name-mismatch: slot 0: Vendor=8086*' "$EKEYREJECTED" \
	"san=Vendor=8086${san#Vendor=1b36}"
bad expired "certificate-expired: slot 0: $leaf" "$EKEYEXPIRED" version=1.0
bad no-key-usage "leaf-key-usage: slot 0: $leaf" "$EKEYREJECTED" version=1.1
bad no-san "subject-alt-name-missing: slot 0: $leaf" "$EKEYREJECTED" version=1.2

slots 'slot 0 of two good ones' 0 'slot1=ok'
slots 'slot 1, if nobody trusts slot 0' 1 'slot0=untrusted slot1=ok'
slots 'slot 1, if slot 0 has expired, in SPDM 1.2' 1 'slot0=expired slot1=ok version=1.2'
slots 'slot 7, with empty ones before it' 7 'slot0=none slot3=empty slot7=ok'
bad_slots='slot0=garbage slot1=expired slot2=no-san slot3=untrusted slot4=length-long slot5=root-hash'
slots 'slot 7, with bad ones in all the others' 7 "$bad_slots slot6=ca-leaf slot7=len2"
untrusted_slots 'no slot, if the good chain is another device'"'"'s' "subject-alt-name-mismatch: slot 1: ${san%0010*}0011${san#*0010}" \
	'slot0=untrusted slot1=other-san' "$EKEYREJECTED"
untrusted_slots 'no slot, if there is no chain in any' \
	'error-response: GET_DIGESTS: Unspecified' 'slot0=empty' "$EPROTO"

configure 0
ktap_test_result 'and then a good chain is accepted' accepts 0
count 0 violations
ktap_test_equal 'in all of this nothing was against the standard' 0 "$count"
ktap_finished
