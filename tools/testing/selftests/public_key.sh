#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# guest: own
#
# Devices without certificates: an administrator provisions their public key.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

entry=/sys/class/spdm/pci-0000:01:00.0
without='flags=0x10004'

# key WORDS...: drive 0 has no certificates but, by these words, a key, which goes to /run/key.
key() {
	configure 0 "$without $*"
	responder get 0 public-key | xxd -r -p >/run/key
}

# provision FILE: makes it the public key of drive 0; $error is what the write fails with, or empty.
provision() {
	error=
	if ! cat "$1" 2>/run/error >$entry/public_key; then
		read_line /run/error
		error=${line##*: }
	fi
}

# identity FILE: the identity of a device with this key.
identity() {
	sha256sum "$1" | cut -d ' ' -f 1
}

# is ERROR VERDICT: of the last write and of drive 0.
is() {
	verdict 0
	# shellcheck disable=SC2254 # It is a pattern.
	case "$error $verdict" in
	"$1 "$2) return ;;
	esac
	echo "# wanted \"$1 $2\", got \"$error $verdict\""
	return 1
}

again() {
	re 0
	is "$@"
}

ktap_print_header
ktap_set_plan 27
start_spdm
key
ktap_test_result 'nobody knows the key of a drive' again "$EPROTONOSUPPORT" '0 unsupported no-public-key: CHALLENGE'
provision /run/key
ktap_test_result 'with its key the drive is accepted' is '' '1 accepted'
ktap_test_result 'and again' again '' '1 accepted'
ktap_test_equal 'it is who has the key' "$(identity /run/key)" "$(cat $entry/identity)"
ktap_test_equal 'it has no certificate' ' ' "$(cat $entry/subject) $(cat $entry/issuer)"

for fault in bad-signature zero-signature replay other-prefix; do
	responder set 0 "fault=$fault times=1" >/dev/null
	ktap_test_result "$fault" again "$EKEYREJECTED" '0 failed bad-signature: CHALLENGE'
	again '' '1 accepted'
done

head -c 60 /run/key >/run/cut
cat /run/key /run/key >/run/twice
echo 'not a key' >/run/nonsense
for file in cut twice nonsense; do
	provision /run/$file
	ktap_test_result "no key: $file" is "$EINVAL" '1 accepted'
done

key key=7
ktap_test_result 'another key is another device' again "$EPROTO" '0 failed cert-chain-hash-mismatch: CHALLENGE'
provision /run/key
ktap_test_result 'which can be accepted' is '' '1 accepted'
configure 0
ktap_test_result 'a drive with certificates needs a root' \
	again "$ENOKEY" '0 failed untrusted-root: slot 0: *'
configure 0 "$without key=7"
ktap_test_result 'and one without does not' again '' '1 accepted'
echo >/run/empty
provision /run/empty
ktap_test_result 'the key is taken away' is "$EPROTONOSUPPORT" '0 unsupported no-public-key: CHALLENGE'

for words in 'version=1.1 asym=ecdsa-p256' 'version=1.2 asym=rsassa-3072' 'version=1.3 asym=ecdsa-p521' \
	'version=1.4 asym=ecdsa-p384'; do
	key "$words"
	provision /run/key
	ktap_test_result "$words" is '' '1 accepted'
	ktap_test_equal "who it is, $words" "$(identity /run/key)" "$(cat $entry/identity)"
done
configure 0 "$without asym=ecdsa-p256"
ktap_test_result 'the key is for one algorithm' \
	again "$EPROTONOSUPPORT" '0 unsupported no-public-key: CHALLENGE'
echo 1 >/sys/class/spdm/sealed
provision /run/empty
ktap_test_result 'a seal keeps it' is "$EPERM" '0 unsupported no-public-key: CHALLENGE'
ktap_finished
