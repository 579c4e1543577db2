#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 1200
#
# L8: each allocation of an attestation fails in turn. A drive that proves itself is authenticated or refused for want
# of memory, never for anything that it did, and the next attestation succeeds; one that does not is never
# authenticated.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

failslab=/sys/kernel/debug/failslab
kmemleak=/sys/kernel/debug/kmemleak
# More than an attestation needs.
most=1000

# re_failing NTH: attests drive 0, in this process, whose NTH allocation from now on fails. $left is 0 if it did.
# The files are open before the count begins, so that it is the attestation's allocations that are counted.
re_failing() {
	exec 4>/proc/self/fail-nth 5>"/sys/bus/pci/devices/$(bdf 0)/authenticated" 7>/dev/null
	# What is read has a position of its own.
	exec 6</proc/self/fail-nth
	echo "$1" >&4
	echo re 2>&7 >&5
	IFS= read -r left <&6
	exec 4>&- 5>&- 6<&- 7>&-
	echo 0 >/proc/self/fail-nth
}

# each_fails COMMAND...: after an attestation in which one allocation failed, for every one, the command succeeds.
# $failed is how many there were.
each_fails() {
	nth=1
	failed=0
	: >/run/verdicts
	while [ "$nth" -le "$most" ]; do
		re_failing "$nth"
		verdict 0
		echo "$verdict" >>/run/verdicts
		"$@" || {
			echo "# allocation $nth: $verdict"
			return 1
		}
		[ "$left" = 0 ] || break
		failed=$((failed + 1))
		nth=$((nth + 1))
	done
	sort /run/verdicts | uniq -c | sed 's/^/# /'
	# The last one did without a failure: all have had their turn.
	[ "$nth" -le "$most" ]
}

survives() {
	case $verdict in
	'1 authenticated' | '0 failed out-of-memory'* | '0 failed internal-error'* | \
		'0 failed signature-not-checked'* | '0 failed hash-unavailable'* | \
		'0 failed transport-error'*) accepts 0 ;;
	*) return 1 ;;
	esac
}

stays_refused() {
	case $verdict in
	0*) ;;
	*) return 1 ;;
	esac
}

ktap_print_header
if [ ! -e /proc/self/fail-nth ] || [ ! -d $failslab ]; then
	ktap_set_plan 1
	ktap_test_skip 'this kernel does not fail allocations'
	ktap_finished
fi
ktap_set_plan 6
start_spdm ecdsa-p384
whole_attestations
configure 0 flags=0x16
accepts 0
echo scan=off >$kmemleak
echo clear >$kmemleak
# Those that may sleep, too, and no word of each in the log.
echo N >$failslab/ignore-gfp-wait
echo 0 >$failslab/verbose

ktap_test_result 'every allocation fails in turn, and the next attestation succeeds' each_fails survives
echo "# $failed allocations"
ktap_test_result 'there are allocations' [ "$failed" -gt 10 ]
configure 0 flags=0x16 fault=bad-signature
# A write that fails before it attests leaves the verdict that there was.
refuses 0 'bad-signature: CHALLENGE' "$EKEYREJECTED"
ktap_test_result 'a drive that proves nothing is never authenticated' each_fails stays_refused
ktap_test_result 'there are allocations in that, too' [ "$failed" -gt 10 ]
configure 0
ktap_test_result 'in the end it is authenticated' accepts 0

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
