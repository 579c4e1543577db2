#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
#
# DOE mailboxes that misbehave as no emulated drive does, and work in parallel (doe_emu/README.rst).

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

# An emulated mailbox N is the function 10000:00:0N.0, and device N of a responder in this guest.
emulated() {
	echo "10000:00:0$1.0"
}

# ask LINE: the responder in this guest; the answer is in $line.
ask() {
	echo "$*" >&4
	IFS= read -r line <&5
	case $line in error*) echo "# $* gives $line" ;; esac
}

# flaw N WORDS CODE TIMES: the mailbox has these faults for TIMES requests of this code.
flaw() {
	directory=/sys/class/misc/doe_emu$1
	echo "${3:-0}" >"$directory/fault_code"
	echo "${4:-0}" >"$directory/fault_times"
	echo "$2" >"$directory/fault"
}

# says N: errno of an attestation, authenticated, state and reason into $said.
says() {
	function=$(emulated "$1")
	said=
	if ! echo re 2>/run/error >"/sys/bus/pci/devices/$function/authenticated"; then
		read_line /run/error
		said="${line##*: } "
	fi
	read_line "/sys/bus/pci/devices/$function/authenticated"
	said="$said$line"
	read_line "/sys/class/spdm/pci-$function/state"
	said="$said $line"
	read_line "/sys/class/spdm/pci-$function/reason"
	said="$said${line:+ $line}"
}

# tries TEXT WORDS WANTED [CODE]: with the flaw mailbox 0 is refused in bounded time.
tries() {
	flaw 0 "$2" "$4"
	read -r begin rest </proc/uptime
	says 0
	read -r end rest </proc/uptime
	flaw 0 none
	if [ $((${end%.*} - ${begin%.*})) -gt 5 ]; then
		echo "# took from $begin to $end seconds after boot"
		said="slow: $said"
	fi
	ktap_test_match "$1" "$3" "$said"
}

# bad TEXT WORDS WANTED [CODE]: and accepted without it.
bad() {
	tries "$@"
	# What is left in the mailbox may be in the way of one more exchange.
	says 0
	[ "$said" = '1 authenticated' ] || says 0
	ktap_test_equal "$1: it gets over it" '1 authenticated' "$said"
}

# stuck TEXT WORDS WANTED [CODE]: and the PCI core gives the mailbox up; so it takes a new device.
stuck() {
	tries "$@"
	echo 0 >/sys/class/misc/doe_emu0/plugged
	wait_for 10 is_unplugged 0
	echo 1 >/sys/class/misc/doe_emu0/plugged
	ktap_test_result "$1: a new one is accepted" \
		wait_for 10 grep -q 1 "/sys/bus/pci/devices/$(emulated 0)/authenticated"
}

plugged() {
	[ -e "/sys/class/spdm/pci-$(emulated "$1")/state" ]
}

is_unplugged() {
	[ ! -e "/sys/class/spdm/pci-$(emulated "$1")" ] && [ ! -e "/sys/bus/pci/devices/$(emulated "$1")" ]
}

# hundredths: since boot.
hundredths() {
	read -r now rest </proc/uptime
	now=${now%.*}${now#*.}
}

attest_all() {
	jobs=
	for number in "$@"; do
		echo re >"/sys/bus/pci/devices/$(emulated "$number")/authenticated" &
		jobs="$jobs $!"
	done
	for job in $jobs; do
		wait "$job" || echo '# an attestation failed'
	done
}

ktap_print_header
if [ ! -e /modules/doe_emu.ko ] || [ ! -e /bin/spdm-responder ]; then
	ktap_set_plan 1
	ktap_test_skip 'there is no test module, or no responder in the guest'
	ktap_finished
fi
ktap_set_plan 47
start_spdm ecdsa-p384
insmod /modules/doe_emu.ko devices=8 plugged=0
mkfifo /tmp/in /tmp/out
devices=
for number in 0 1 2 3 4 5 6 7; do
	devices="$devices --device /dev/doe_emu$number"
done
# shellcheck disable=SC2086 # They are words.
spdm-responder doe-emu $devices --pki /tmp/pki --set 'asym=ecdsa-p256 hash=sha256' --control-stdin \
	</tmp/in >/tmp/out 2>/tmp/responder.log &
server=$!
exec 4>/tmp/in 5</tmp/out
until [ "$line" = ready ]; do IFS= read -r line <&5 || break; done
ktap_test_equal 'a responder serves eight mailboxes' ready "$line"
add_root /tmp/pki/roots/ecdsa-p256.der >/dev/null
for number in 0 1 2 3 4 5 6 7; do
	echo 1 >/sys/class/misc/doe_emu$number/present
done
echo 1 >/sys/bus/pci/rescan
ktap_test_result 'they are found' wait_for 10 plugged 7
for number in 0 1 2 3 4 5 6 7; do
	until [ "$(cat "/sys/class/spdm/pci-$(emulated $number)/state")" != pending ]; do usleep 100000; done
done
ktap_test_equal 'and authenticated' 8 "$(cat /sys/bus/pci/devices/10000:*/authenticated | grep -c 1)"

bad 'silence' silent "$ETIMEDOUT 0 failed timeout: GET_VERSION"
bad 'silence at CHALLENGE' silent "$ETIMEDOUT 0 failed timeout: CHALLENGE" 83
bad 'error bit instead of an answer' error 'Input/output error 0 failed transport-error: GET_VERSION'
bad 'error bit at CHALLENGE' error 'Input/output error 0 failed transport-error: CHALLENGE' 83
bad 'error bit in the middle of an answer' error-read '* 0 failed transport-error: GET_CERTIFICATE' 82
stuck 'stuck busy' busy '* 0 failed *: GET_VERSION'
stuck 'stuck busy at DIGESTS' busy '* 0 failed *: GET_[CD]*' 81
stuck 'silent, and ignores abort' 'silent ignore-abort' "* 0 failed timeout: GET_VERSION"
bad 'data gone when it is read' vanish '* 0 failed *: GET_CERTIFICATE' 82
bad 'length of one dword' length-1 '* 0 failed transport-error: NEGOTIATE_ALGORITHMS' e3
bad 'a dword less than there is' length-short '* 0 failed *: NEGOTIATE_ALGORITHMS' e3
bad 'more dwords than there are' length-long '* 0 failed *: NEGOTIATE_ALGORITHMS' e3
bad 'the greatest length' length-max '* 0 failed *: GET_CAPABILITIES' e1
bad 'another vendor' wrong-vendor '* 0 failed transport-error: GET_DIGESTS' 81
bad 'another type' wrong-type '* 0 failed transport-error: GET_DIGESTS' 81
bad 'padding that is not zero' padding "$EPROTO 0 failed trailing-bytes: GET_VERSION" 84
ktap_test_match 'all other mailboxes have not noticed' 1111111 \
	"$(cat /sys/bus/pci/devices/10000:00:0[1-7].0/authenticated | tr -d '\n')"

# Gone without a word: config space is all ones.
echo 0 >/sys/class/misc/doe_emu1/present
function=/sys/bus/pci/devices/$(emulated 1)
hundredths
from=$now
echo re 2>/dev/null >"$function/authenticated"
hundredths
ktap_test_equal 'a function that is all ones is not authenticated' 0 "$(cat "$function/authenticated")"
ktap_test_result 'and does not take long' [ $((now - from)) -lt 500 ]
echo 0 >/sys/class/misc/doe_emu1/plugged
ktap_test_result 'it can be removed' wait_for 10 is_unplugged 1
flaw 2 unplug 83 1
echo re 2>/dev/null >"/sys/bus/pci/devices/$(emulated 2)/authenticated"
ktap_test_equal 'one that goes in the middle is not authenticated' 0 \
	"$(cat "/sys/bus/pci/devices/$(emulated 2)/authenticated")"
echo 0 >/sys/class/misc/doe_emu2/plugged
ktap_test_result 'it can be removed, too' wait_for 10 is_unplugged 2
echo 1 >/sys/class/misc/doe_emu1/plugged
ktap_test_result 'one that comes back is authenticated' \
	wait_for 10 grep -q 1 "/sys/bus/pci/devices/$(emulated 1)/authenticated"

# One after the other would take the sum.
ask set all delay-ms=500
hundredths
from=$now
attest_all 3
hundredths
one=$((now - from))
from=$now
attest_all 3 4 5 6
hundredths
echo "# one: $one, four: $((now - from)) hundredths of a second"
ktap_test_result 'four attestations take less time than two' [ $((now - from)) -lt $((2 * one)) ]
ktap_test_match 'and all succeed' 1111 \
	"$(cat /sys/bus/pci/devices/10000:00:0[3-6].0/authenticated | tr -d '\n')"
ask set all delay-ms=0

# A slow one does not hold up another.
ask set 3 fault=not-ready at=CHALLENGE rd-exponent=22
attest_all 3 &
slow=$!
usleep 1000000
attest_all 4
read_line "/sys/class/spdm/pci-$(emulated 3)/state"
ktap_test_equal 'while one is slow another is attested' pending "$line"
wait "$slow"
read_line "/sys/class/spdm/pci-$(emulated 3)/state"
ktap_test_equal 'then the slow one, too' authenticated "$line"
exec 4>&-
kill "$server"
wait
ktap_test_result 'the mailboxes go' rmmod doe_emu
ktap_finished
