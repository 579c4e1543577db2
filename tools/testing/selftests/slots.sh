#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Certificate slots: which of them may be used is policy, and no chain is fetched from another.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

entry=/sys/class/spdm/pci-0000:01:00.0

# chooses MASK: what writing the mask fails with, or "ok", and the verdict.
chooses() {
	gives $entry/slot_mask "$1"
	verdict 0
	read_line $entry/slot_mask
	result="$result, $line: $verdict"
}

# uses TEXT MASK SLOT EXCHANGES: the drive is authenticated by the chain in SLOT and by no more than it takes.
uses() {
	chooses "$2"
	ktap_test_equal "$1" "ok, $2: 1 authenticated, slot $3, $4 exchanges" \
		"$result, slot $(attribute 0 slot), $(attribute 0 exchanges) exchanges"
}

ktap_print_header
ktap_set_plan 19
start_spdm ecdsa-p384
whole_attestations
configure 0 'slot0=ok slot1=untrusted slot3=len2 slot7=expired'
ktap_test_equal 'all slots may be used at first' 0xff "$(cat $entry/slot_mask)"
# shellcheck disable=SC2012 # This name is harmless.
ktap_test_equal 'mode of slot_mask' -rw-r--r-- "$(ls -l $entry/slot_mask | cut -c 1-10)"

uses 'slot 0 of all' 0xff 0 6
uses 'slot 3 alone' 0x08 3 6
uses 'slot 3 after one that is not trusted' 0x0a 3 7
uses 'slot 3 before one that has expired' 0x88 3 6
for text in '' 0 0x00 256 0x100 -1 0x x ff '1 2'; do
	chooses "$text"
	ktap_test_equal "writing \"$text\"" "$EINVAL, 0x88: 1 authenticated" "$result"
done
chooses 128
ktap_test_match 'a decimal number, and a bad chain alone' \
	"$EKEYEXPIRED, 0x80: 0 failed certificate-expired: slot 7: *" "$result"
chooses 0x76
ktap_test_match 'and among others, one that nobody trusts' \
	"$ENOKEY, 0x76: 0 failed untrusted-root: slot 1: *" "$result"
chooses 0x74
ktap_test_equal 'no slot that has a chain' \
	"$EPROTO, 0x74: 0 failed no-permitted-slot: GET_CERTIFICATE" "$result"
echo 0xff >$entry/slot_mask
ktap_finished
