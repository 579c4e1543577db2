#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Signatures that are not over this session's transcript by the leaf's key.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

faults='bad-signature byte-order zero-signature zero-r zero-s ones-signature r-over-n der-signature-cut replay
	vca-left-out certificates-left-out measurement-signature other-prefix error-in-transcript digests-twice'

ktap_print_header
ktap_set_plan 90
start_spdm ecdsa-p384 ecdsa-p256 rsassa-3072

for words in 'version=1.3 asym=ecdsa-p384' 'version=1.2 asym=rsassa-3072' 'version=1.1 asym=ecdsa-p256' \
	'version=1.0 asym=rsassa-3072' 'version=1.3 asym=rsapss-3072'; do
	configure 0 "$words"
	forget 0
	for fault in $faults; do
		ktap_test_result "$fault, $words" \
			misbehaves 0 "fault=$fault" 'bad-signature: CHALLENGE' "$EKEYREJECTED"
	done
	ktap_test_result "short-signature, $words" \
		misbehaves 0 fault=short-signature 'truncated-response: CHALLENGE' "$EPROTO"
	ktap_test_result "der-signature, $words" \
		misbehaves 0 fault=der-signature 'trailing-bytes: CHALLENGE' "$EPROTO"
done

for words in 'pss-salt bytes=0' 'pss-salt bytes=47' pss-as-pkcs1; do
	ktap_test_result "$words" misbehaves 0 "fault=$words" 'bad-signature: CHALLENGE' "$EKEYREJECTED"
done

# From 1.2 on there is a role in what is signed.
for version in 1.2 1.3; do
	configure 0 version=$version
	forget 0
	ktap_test_result "requester-role, version=$version" \
		misbehaves 0 fault=requester-role 'bad-signature: CHALLENGE' "$EKEYREJECTED"
done
ktap_finished
