#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 1200
#
# One emulated NVMe drive: what an attestation costs, the first time and again.

# shellcheck source=tools/testing/bench/common.sh
. /bench.sh

entry=/sys/class/spdm/pci-0000:01:00.0
cache=/sys/module/spdm/parameters/cache

# cost CASE...: attests the drive.
cost() {
	re 0
	verdict 0
	if [ "$verdict" != '1 authenticated' ]; then
		echo "the drive is not authenticated: $verdict"
		exit 1
	fi
	read_line $entry/duration_us
	sample time us "$line" "$*"
	read_line $entry/exchanges
	sample exchanges - "$line" "$*"
	read_line $entry/bytes_sent
	sample sent B "$line" "$*"
	read_line $entry/bytes_received
	sample received B "$line" "$*"
}

# prepare CACHE ROOT WORDS...: the responder is told WORDS, the drive is attested once.
prepare() {
	echo "$1" >$cache
	clear_roots
	add_root "$2" >/dev/null
	shift 2
	configure 0 "$*"
	forget 0
}

start_spdm ecdsa-p384

p384='hash=sha384 asym=ecdsa-p384'
for version in 1.0 1.1 1.2 1.3 1.4; do
	prepare N ecdsa-p384 "version=$version $p384"
	times "$runs" cost "first, SPDM $version, ecdsa-p384"
done
for asym in ecdsa-p256 rsassa-3072 ecdsa-p521; do
	hash=sha384
	prepare N $asym "version=1.3 hash=$hash asym=$asym"
	times "$runs" cost "first, SPDM 1.3, $asym"
done
# Not every kernel verifies signatures of ML-DSA.
if prepare N mldsa65 'version=1.4 hash=sha384 asym=mldsa65' 2>/dev/null && is_authenticated 0; then
	times "$runs" cost 'first, SPDM 1.4, mldsa65'
fi
for delay in 0 50; do
	behind='answers at once'
	[ $delay = 0 ] || behind="$delay ms per answer"
	prepare N ecdsa-p384 "version=1.3 $p384 delay-ms=$delay"
	times "$runs" cost "first, $behind"
	prepare Y ecdsa-p384 "version=1.3 $p384 delay-ms=$delay"
	times "$runs" cost "again, chain kept, $behind"
	prepare N ecdsa-p384 "version=1.3 $p384 flags=0x16 delay-ms=$delay"
	times "$runs" cost "first, with measurements, $behind"
	prepare Y ecdsa-p384 "version=1.3 $p384 flags=0x16 delay-ms=$delay"
	times "$runs" cost "again, with measurements, $behind"
	prepare Y ecdsa-p384 "version=1.3 $p384 flags=7 delay-ms=$delay"
	times "$runs" cost "again, state kept (CACHE_CAP), $behind"
done
