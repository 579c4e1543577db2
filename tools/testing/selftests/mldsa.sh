#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# guest: own
#
# Post-quantum certificates and signatures, on a kernel that can verify them; on another, what is said of them.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

entry=/sys/class/spdm/pci-0000:01:00.0
# CHUNK_CAP: CHALLENGE_AUTH with ML-DSA-87 may be larger than what the requester takes at once.
mldsa='version=1.4 flags=0x20006'
faults='bad-signature empty-context replay vca-left-out certificates-left-out requester-role other-prefix'

# negotiates WORDS: what was negotiated last.
negotiates() {
	read_line "$entry/algorithms"
	[ "${line% missing=*}" = "$1" ] && return
	echo "# negotiated: $line"
	return 1
}

ktap_print_header
start_spdm ecdsa-p384
configure 0 "$mldsa asym=mldsa65"
re 0
read_line "$entry/reason"
if [ "${line#*NEGOTIATE_ALGORITHMS}" != "$line" ]; then
	# What ML-DSA this kernel has, if any, takes no context string.
	ktap_set_plan 4
	ktap_test_equal 'a drive with nothing but ML-DSA finds nothing in common' \
		'error-response: NEGOTIATE_ALGORITHMS: InvalidRequest' "$line"
	read_line "$entry/algorithms"
	ktap_test_match 'what the kernel lacks is shown' '*missing=*mldsa65*' "$line"
	configure 0 "$mldsa asym=mldsa65,ecdsa-p384"
	ktap_test_result 'a drive with ECDSA, too, is authenticated' accepts 0
	read_line "$entry/algorithms"
	ktap_test_match 'what could be besides is shown' '*base_asym=ecdsa-p384 missing=*mldsa65*' "$line"
	ktap_finished
	exit
fi

ktap_set_plan 49
ktap_test_match 'without its root a drive is refused' 'untrusted-root: slot 0: *' "$line"
for asym in mldsa44 mldsa65 mldsa87; do
	add_root $asym >/dev/null
	configure 0 "$mldsa asym=$asym"
	forget 0
	ktap_test_result "$asym" accepts 0
	ktap_test_result "$asym is negotiated" negotiates "base_hash=sha384 pqc_asym=$asym"
	for fault in $faults; do
		ktap_test_result "$fault, $asym" \
			misbehaves 0 "fault=$fault" 'bad-signature: CHALLENGE' "$EKEYREJECTED"
	done
	configure 0 "$mldsa asym=$asym slot0=bad-cert-signature"
	ktap_test_result "a certificate signed wrongly, $asym" \
		refuses 0 'bad-certificate-signature: slot 0: *' "$EKEYREJECTED"
	configure 0 "$mldsa asym=$asym slot0=untrusted"
	ktap_test_result "a root of the same name, $asym" refuses 0 'untrusted-root: slot 0: *' "$ENOKEY"
done

configure 0 "$mldsa asym=mldsa65,ecdsa-p384"
forget 0
ktap_test_result 'a drive with both' accepts 0
ktap_test_result 'uses ECDSA' negotiates 'base_hash=sha384 base_asym=ecdsa-p384'

# The other kind, where nobody vouches for the chains of the first, and then it stays so.
clear_roots
add_root mldsa65 >/dev/null
for words in 'flags=0x20006' 'flags=0x6'; do
	configure 0 "version=1.4 asym=ecdsa-p384,mldsa65 $words"
	forget 0
	ktap_test_result "a drive with both, and no root for ECDSA, $words" accepts 0
	ktap_test_result 'uses ML-DSA' negotiates 'base_hash=sha384 pqc_asym=mldsa65'
	add_root ecdsa-p384 >/dev/null
	ktap_test_result 'and goes on with it when there is one' accepts 0
	ktap_test_result 'uses ML-DSA' negotiates 'base_hash=sha384 pqc_asym=mldsa65'
	clear_roots
	add_root mldsa65 >/dev/null
done
configure 0 "$mldsa asym=ecdsa-p384"
forget 0
ktap_test_result 'a drive that has no other kind, and says so' \
	refuses 0 'untrusted-root: slot 0: CN=linux-spdm test root ecdsa-p384' "$ENOKEY"
ktap_test_equal 'is not asked for it' 5 "$(cat $entry/exchanges)"
clear_roots
configure 0 "$mldsa asym=ecdsa-p384,mldsa65"
ktap_test_result 'no root for either kind' \
	refuses 0 'untrusted-root: slot 0: CN=linux-spdm test root mldsa65' "$ENOKEY"
ktap_test_result 'what was negotiated is that of the second' \
	negotiates 'base_hash=sha384 pqc_asym=mldsa65'
add_root ecdsa-p384 >/dev/null
ktap_test_result 'and then a root comes' wait_for 10 has_verdict 0 '1 authenticated'
ktap_finished
