#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
#
# Whatever comes of an attestation, no memory is lost.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

kmemleak=/sys/kernel/debug/kmemleak

ktap_print_header
if [ ! -e $kmemleak ]; then
	ktap_set_plan 1
	ktap_test_skip 'this kernel does not look for leaks'
	ktap_finished
fi
ktap_set_plan 3
start_spdm ecdsa-p384
load_nvme
echo scan=off >$kmemleak
echo clear >$kmemleak

for words in '' fault=bad-signature slot0=untrusted slot0=expired slot0=hundred fault=truncate 'portion=100' \
	'fault=busy-forever at=DIGESTS' fault=resynch 'slot0=untrusted slot1=ok' key=7; do
	configure 0 "$words"
	attest 0
done
configure 0
ktap_test_result 'a dozen attestations of all kinds end well' accepts 0
echo 1 >/sys/bus/pci/devices/0000:01:00.0/remove
configure 0 fault=not-ready at=CHALLENGE rd-exponent=23
echo 1 >/sys/bus/pci/rescan
wait_for 10 has_misbehaved 0
echo 1 >/sys/bus/pci/devices/0000:01:00.0/remove
configure 0
echo 1 >/sys/bus/pci/rescan
ktap_test_result 'so do removals' wait_for 20 is_authenticated 0

# What is younger than five seconds is not looked at, and what looks lost once may be found again.
sleep 6
echo scan >$kmemleak
sleep 1
echo scan >$kmemleak
if [ -z "$(cat $kmemleak)" ]; then
	ktap_test_pass 'nothing is lost'
else
	head -n 60 $kmemleak | sed 's/^/# /'
	ktap_test_fail 'nothing is lost'
fi
ktap_finished
