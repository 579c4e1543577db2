#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 600
#
# What an endpoint of MCTP, or somebody on its line, may do wrong amid short messages and long ones; what it may speak;
# and a line that breaks. mctp.sh has the life of endpoints, mctp_link.sh the line without spdm.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

class=/sys/class/spdm
# A network that no other script uses.
endpoint=mctp-21-9

# add_roots: those that the responder has made.
add_roots() {
	for root in /tmp/pki/roots/*.der; do
		add_root "$root" >/dev/null
	done
}

# speaks TEXT WORDS ATTRIBUTE WANTED: told WORDS, the endpoint is authenticated, and the attribute says WANTED.
speaks() {
	ask reset 0
	ask "set 0 $2"
	add_roots
	attests $endpoint
	# As the identity comes with the key.
	case $said in
	*identity-changed*)
		echo >$class/$endpoint/identity
		says $endpoint
		;;
	esac
	ktap_test_match "$1" "*1 authenticated $4" "$said $(cat "$class/$endpoint/$3")"
}

# plays FAULT AT WANTED: it plays the fault once, and the kernel says WANTED, after which there is how many more exchanges
# it took than without. It takes no longer than it may, and it accepts the next answer.
plays() {
	ask reset 0
	ask "set 0 fault=$1 at=$2 times=1"
	read -r begin rest </proc/uptime
	attests $endpoint
	read -r end rest </proc/uptime
	[ $((${end%.*} - ${begin%.*})) -le 15 ] || said="slow: $said"
	read_line $class/$endpoint/exchanges
	ktap_test_match "$1 at $2" "$3" "$said $((line - usual))"
	attests $endpoint
	ktap_test_equal "$1 at $2: and the next time" 'ok 1 authenticated' "$said"
}

ktap_print_header
needs_mctp
start_spdm ecdsa-p384
whole_attestations
ktap_set_plan 86
ktap_test_result 'a responder is at the end of a line' serve_lines 1
add_roots
ktap_test_result 'there is a way to it' way "$device" 21 9
echo '21 9' >$class/add_mctp
ktap_test_result 'it is authenticated' wait_for 60 is $endpoint '1 authenticated'
cp $class/$endpoint/identity /run/identity
read_line $class/$endpoint/exchanges
usual=$line

# One packet, and dozens. What does not come as it should is asked for again.
for at in VERSION CERTIFICATE; do
	for fault in mctp-source mctp-destination mctp-tag mctp-tag-owner mctp-type mctp-version mctp-no-start \
		mctp-lost mctp-lost-first mctp-no-end mctp-fcs; do
		plays $fault $at 'ok 1 authenticated 1'
	done
	plays mctp-integrity $at "$EPROTO 0 failed integrity-check: GET_$at -[15]"
	plays mctp-foreign $at 'ok 1 authenticated 0'
	plays mctp-twice $at 'ok 1 authenticated 0'
done
for fault in mctp-sequence mctp-reordered; do
	plays $fault CERTIFICATE 'ok 1 authenticated 1'
done

# What it may speak.
for version in 1.0 1.1 1.2 1.3 1.4; do
	speaks "SPDM $version" "version=$version" version "$version"
done
for asym in ecdsa-p256 ecdsa-p521 rsassa-2048 rsapss-2048; do
	speaks "$asym" "asym=$asym" algorithms "*$asym*"
done
speaks 'a chain of hundreds of packets' 'version=1.4 flags=0x20006 asym=mldsa65' algorithms '*mldsa65*'
for hash in sha256 sha384 sha512; do
	speaks "$hash" "hash=$hash" algorithms "*base_hash=$hash*"
done
speaks 'measurements' flags=0x16 measurements_status 'signed'
speaks 'chunks of a packet' 'flags=0x20016 transfer=64' measurements_status 'signed'
speaks 'ResponseNotReady for longer than the kernel keeps a tag' \
	'fault=not-ready at=CHALLENGE rd-exponent=23 times=1' state authenticated
ask reset 0
attests $endpoint

# The other end goes amid a message.
ask 'set 0 ct-exponent=23 fault=mctp-late at=CHALLENGE times=1'
echo re 2>/dev/null >$class/$endpoint/authenticated &
attesting=$!
usleep 1500000
kill "$server"
wait $attesting
ktap_test_result 'the cable is pulled' wait_for 20 test ! -e "/sys/class/net/$device"
ktap_test_result 'there is no verdict' is $endpoint '0 *'
attests $endpoint
ktap_test_equal 'nor a way' "$ENODEV 0 failed device-gone: GET_VERSION" "$said"
ktap_test_result 'it is plugged in again' serve_lines 1
ktap_test_result 'and there is a way' way "$device" 21 9
attests $endpoint
ktap_test_equal 'it is authenticated' 'ok 1 authenticated' "$said"
ktap_test_result 'as the same' cmp -s $class/$endpoint/identity /run/identity
echo '21 9' >$class/remove_mctp
kill "$server"
ktap_finished
