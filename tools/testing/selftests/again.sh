#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Attesting a drive again: what its last attestation has shown is left out, and none of the checks.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

entry=/sys/class/spdm/pci-0000:01:00.0
cache=/sys/module/spdm/parameters/cache

# exchanges: how many the last attestation of drive 0 took, into $exchanges.
exchanges() {
	read_line $entry/exchanges
	exchanges=$line
}

# bytes: how many bytes it sent and received, into $bytes.
bytes() {
	read_line $entry/bytes_sent
	bytes=$line
	read_line $entry/bytes_received
	bytes=$((bytes + line))
}

# takes N: drive 0 is attested again, with so many exchanges, and accepted.
takes() {
	accepts 0 || return 1
	exchanges
	[ "$exchanges" = "$1" ] && return
	echo "# $exchanges exchanges, not $1"
	return 1
}

# took N: the same of an attestation that has come about by itself.
took() {
	verdict 0
	exchanges
	[ "$verdict $exchanges" = "1 authenticated $1" ] && return
	echo "# $verdict, with $exchanges exchanges, not $1"
	return 1
}

ktap_print_header
ktap_set_plan 36
start_spdm ecdsa-p384

# The certificates.
echo N >$cache
ktap_test_result 'switched off, everything is done' takes 6
ktap_test_result 'each time' takes 6
bytes
whole=$bytes
echo Y >$cache
ktap_test_result 'nor was anything kept' takes 6
identity=$(cat $entry/identity)
configure 0
ktap_test_result 'without the certificates' takes 5
ktap_test_result 'and again' takes 5
ktap_test_equal 'it is the same device' "$identity" "$(cat $entry/identity)"
ktap_test_result 'which has signed each time' challenged 0 2
bytes
echo "# $bytes bytes instead of $whole"
ktap_test_result 'in a quarter of the bytes' [ $((bytes * 4)) -lt "$whole" ]

clear_roots
ktap_test_result 'a root that is gone is missed' refuses 0 'untrusted-root: slot 0: CN=*' "$ENOKEY"
exchanges
ktap_test_equal 'for which the certificates were fetched' 5 "$exchanges"
add_root ecdsa-p256 >/dev/null
ktap_test_result 'another root is none for it' refuses 0 'untrusted-root: *' "$ENOKEY"
add_root ecdsa-p384 >/dev/null
ktap_test_result 'when it is back it is back' wait_for 10 is_authenticated 0
ktap_test_result 'and the certificates can be left out again' takes 5
clear_roots
add_root ecdsa-p384 >/dev/null
ktap_test_result 'the same root, added anew, is looked for anew' takes 6

now=$(date +%s)
date -s "@$((now + 40 * 366 * 86400))" >/dev/null
ktap_test_result 'certificates that have expired meanwhile' \
	refuses 0 'certificate-expired: *' "$EKEYEXPIRED"
date -s "@$now" >/dev/null
ktap_test_result 'which they had not' takes 6

configure 0 slot0=len5
ktap_test_result 'a chain that was renewed is fetched' accepts 0
exchanges
ktap_test_result 'all of it' [ "$exchanges" -ge 6 ]
ktap_test_result 'once' takes 5
configure 0 version=1.1
ktap_test_result 'another version, another transcript' takes 6
configure 0 hash=sha256
ktap_test_result 'another hash, other digests' takes 6
configure 0 key=7
ktap_test_result 'another device' refuses 0 'identity-changed: *' "$EKEYREJECTED"
configure 0
ktap_test_result 'and back' takes 6
ktap_test_result 'a signature that is wrong' misbehaves 0 fault=bad-signature \
	'bad-signature: CHALLENGE' "$EKEYREJECTED"
exchanges
ktap_test_equal 'after which nothing is taken for granted' 6 "$exchanges"

# All that was negotiated (CERT_CAP, CHAL_CAP, CACHE_CAP).
configure 0 flags=7
ktap_test_result 'a drive that keeps negotiated state' accepts 0
ktap_test_result 'is challenged' takes 1
ktap_test_result 'and nothing else' takes 1
bytes
echo "# $bytes bytes instead of $whole"
ktap_test_result 'in an eighth of the bytes' [ $((bytes * 8)) -lt "$whole" ]
responder set 0 'fault=unexpected-request at=CHALLENGE times=1' >/dev/null
ktap_test_result 'until it has forgotten' takes 6
responder set 0 'fault=bad-signature times=1' >/dev/null
ktap_test_result 'or signs something else' takes 7
responder set 0 fault=none >/dev/null
clear_roots
ktap_test_result 'no root, no short cut' refuses 0 'untrusted-root: *' "$ENOKEY"
add_root ecdsa-p384 >/dev/null
wait_for 10 is_authenticated 0

# After sleep.
if grep -qw deep /sys/power/mem_sleep; then
	sleep_and_wake
	ktap_test_result 'one exchange after sleep, if the drive has not forgotten' took 1
	configure 0 'flags=7 key=7 fault=unexpected-request at=CHALLENGE times=1'
	sleep_and_wake
	verdict 0
	ktap_test_match 'one that was swapped is not taken for it' \
		'0 failed identity-changed: *' "$verdict"
	configure 0
	accepts 0
	sleep_and_wake
	ktap_test_result 'five, if it does not keep negotiated state' took 5
	configure 0 key=7
	sleep_and_wake
	verdict 0
	ktap_test_match 'nor is one that was swapped taken for that' \
		'0 failed identity-changed: *' "$verdict"
else
	ktap_test_skip 'this machine does not sleep'
	ktap_test_skip 'this machine does not sleep'
	ktap_test_skip 'this machine does not sleep'
	ktap_test_skip 'this machine does not sleep'
fi
ktap_finished
