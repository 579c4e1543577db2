#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 700
#
# Every version with every algorithm: the drive is authenticated, sysfs says what was negotiated, and the
# responder saw one attestation in which nothing was against the standard.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

hashes='sha256 sha384 sha512 sha3-256 sha3-384 sha3-512'
roots='rsassa-2048 rsassa-3072 rsassa-4096 ecdsa-p256 ecdsa-p384 ecdsa-p521'
asyms="$roots rsapss-2048 rsapss-3072 rsapss-4096"

# attests VERSION HASH ASYM
attests() {
	accepts 0 || return 1
	read_line /sys/class/spdm/pci-0000:01:00.0/version
	negotiated=$line
	read_line /sys/class/spdm/pci-0000:01:00.0/algorithms
	negotiated="$negotiated $line"
	[ "$negotiated" = "$1 base_hash=$2 base_asym=$3" ] && return
	echo "# negotiated: $negotiated"
	return 1
}

ktap_print_header
ktap_set_plan 279
# shellcheck disable=SC2086 # They are words.
start_spdm $roots

for asym in $asyms; do
	configure 0 "asym=$asym"
	forget 0
	for version in 1.0 1.1 1.2 1.3 1.4; do
		for hash in $hashes; do
			responder set 0 "version=$version hash=$hash" >/dev/null
			ktap_test_result "SPDM $version, $hash, $asym" attests $version "$hash" "$asym"
		done
	done
	count 0 challenges
	ktap_test_equal "$asym: the responder signed for each of them" 31 "$count" # forget is one
done
ktap_finished
