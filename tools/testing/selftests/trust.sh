#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Whom the kernel trusts: the roots in .cma, and nobody else.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

ktap_print_header
ktap_set_plan 12
start_spdm

ktap_test_result 'an empty keyring trusts nobody' \
	refuses 0 'untrusted-root: slot 0: CN=*' "$ENOKEY"
add_root ecdsa-p256 >/dev/null
ktap_test_result 'another root does not help' \
	refuses 0 'untrusted-root: slot 0: CN=*' "$ENOKEY"

add_root ecdsa-p384 >/dev/null
ktap_test_result 'a drive that waited for its root is attested when it comes' wait_for 10 is_authenticated 0
ktap_test_result 'with its root a drive is authenticated' accepts 0
ktap_test_result 'a second drive with the same root, too' accepts 1
ktap_test_equal 'two drives are two identities' different \
	"$([ "$(attribute 0 identity)" = "$(attribute 1 identity)" ] || echo different)"

clear_roots
ktap_test_equal 'a verdict outlives the root that it came from' 1 "$(authenticated 0)"
ktap_test_result 'but only to the next attestation' \
	refuses 0 'untrusted-root: slot 0: CN=*' "$ENOKEY"
# What is not a certificate is not let in.
echo 'not a certificate' >/tmp/nonsense
if add_root /tmp/nonsense >/dev/null 2>&1; then
	ktap_test_fail 'nonsense is not let into the keyring'
else
	ktap_test_pass 'nonsense is not let into the keyring'
fi
add_root ecdsa-p384 >/dev/null
ktap_test_result 'the root is added, and all is well again' accepts 0

# The keyring changes while chains are verified: a verdict is one of before or one of after.
while :; do
	clear_roots
	add_root ecdsa-p384 >/dev/null
done &
changing=$!
other=
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	re 0
	case $error in '' | "$ENOKEY") ;; *) other=$error ;; esac
done
kill $changing
wait $changing 2>/dev/null
ktap_test_equal 'a keyring that changes meanwhile' '' "$other"
clear_roots
add_root ecdsa-p384 >/dev/null
ktap_test_result 'and then all is well again' accepts 0
ktap_finished
