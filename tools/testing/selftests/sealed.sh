#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Who is trusted: what goes into .cma, what follows at once, and the seal, which holds until the machine is started
# again.
# guest: own

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

entry=/sys/class/spdm/pci-0000:01:00.0
sealed=/sys/class/spdm/sealed

# fails COMMAND...: what the command fails with, in the words of the C library, into $error.
fails() {
	error=
	"$@" 2>/run/error >/run/answer && return
	read_line /run/error
	error=${line##*: }
}

# store FILE TEXT
store() {
	echo "$2" >"$1"
}

# add TYPE ASYM: puts a root certificate into .cma as a key of that type.
add() {
	keyctl padd "$1" "${1%%asymmetric}" %:.cma <"/roots/$2.der"
}

ktap_print_header
ktap_set_plan 14
start_spdm
configure 0
ktap_test_result 'without a root a drive is refused' refuses 0 'untrusted-root: *' "$ENOKEY"
add asymmetric ecdsa-p256 >/run/answer
sleep 1
ktap_test_result "another root does not help" [ "$(authenticated 0)" = 0 ]
add asymmetric ecdsa-p384 >/run/answer
ktap_test_result 'with its root it is authenticated without being asked for' wait_for 10 is_authenticated 0
fails add user ecdsa-p384
ktap_test_equal '.cma takes certificates only' 'Operation not supported' "$error"

ktap_test_equal 'nothing is sealed at the start' 0 "$(cat $sealed)"
fails store $sealed x
ktap_test_equal 'a seal is 1 or 0' "$EINVAL" "$error"
echo 1 >$sealed
ktap_test_equal 'trust can be sealed' 1 "$(cat $sealed)"
fails store $sealed 0
ktap_test_equal 'for good' "$EPERM" "$error"
fails add asymmetric ecdsa-p521
ktap_test_equal 'then .cma takes nothing' "$EPERM" "$error"
fails store $entry/policy off
ktap_test_equal 'the policy stays' "$EPERM audit" "$error $(cat $entry/policy)"
fails store $entry/identity ''
ktap_test_equal 'the identity stays' "$EPERM" "$error"
ktap_test_result 'drives are still attested' accepts 0
configure 0 key=7
ktap_test_result 'and held against their identity' refuses 0 'identity-changed: *' "$EKEYREJECTED"
if built_in; then
	ktap_test_skip 'the module stays: it is built in'
else
	fails rmmod spdm
	ktap_test_match 'the module stays' 'Resource temporarily unavailable' "$error"
fi
ktap_finished
