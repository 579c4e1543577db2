#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 400
#
# DOE mailboxes that misbehave as no emulated drive does, and work in parallel (doe_emu/README.rst).

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

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
	pull_out 0
	put_in 0
	ktap_test_result "$1: a new one is accepted" \
		wait_for 10 grep -q 1 "/sys/bus/pci/devices/$(emulated 0)/authenticated"
}

put_in() {
	echo 1 >"/sys/class/misc/doe_emu$1/plugged"
}

# pull_out N: orderly, or if it has gone already, by surprise.
pull_out() {
	echo 0 >"/sys/class/misc/doe_emu$1/plugged"
	wait_for 10 is_unplugged "$1"
}

plugged() {
	[ -e "/sys/class/spdm/pci-$(emulated "$1")/state" ]
}

# requests N: how many data objects mailbox N has taken, into $requests.
requests() {
	read_line "/sys/class/misc/doe_emu$1/requests"
	requests=$line
}

asked_more_than() {
	requests 7
	[ "$requests" -gt "$1" ]
}

is_attested() {
	read_line "/sys/class/spdm/pci-$(emulated "$1")/state"
	[ "$line" != pending ]
}

# is_in N STATE: that is the state of mailbox N.
is_in() {
	read_line "/sys/class/spdm/pci-$(emulated "$1")/state"
	[ "$line" = "$2" ]
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
needs_emulation
ktap_set_plan 68
start_spdm ecdsa-p384
whole_attestations
emulate 8
ktap_test_equal 'a responder serves eight mailboxes' ready "$line"
ktap_test_result 'they are found' wait_for 30 plugged 7
for number in 0 1 2 3 4 5 6 7; do
	wait_for 30 is_attested $number
done
ktap_test_equal 'and authenticated' 8 "$(cat /sys/bus/pci/devices/10000:*/authenticated | grep -c 1)"

bad 'silence' silent "$ETIMEDOUT 0 failed timeout: GET_VERSION"
bad 'silence at CHALLENGE' silent "$ETIMEDOUT 0 failed timeout: CHALLENGE" 83
bad 'error bit instead of an answer' error "$EIO 0 failed transport-error: GET_VERSION"
bad 'error bit at CHALLENGE' error "$EIO 0 failed transport-error: CHALLENGE" 83
bad 'error bit in the middle of an answer' error-read "$EIO 0 failed transport-error: GET_CERTIFICATE" 82
stuck 'stuck busy' busy "$ETIMEDOUT 0 failed timeout: GET_VERSION"
stuck 'stuck busy at DIGESTS' busy "$ETIMEDOUT 0 failed timeout: GET_CERTIFICATE" 81
stuck 'silent, and ignores abort' 'silent ignore-abort' "* 0 failed timeout: GET_VERSION"
bad 'data gone when it is read' vanish "$EIO 0 failed transport-error: GET_CERTIFICATE" 82
bad 'length of one dword' length-1 "$EIO 0 failed transport-error: NEGOTIATE_ALGORITHMS" e3
bad 'a dword less than there is' length-short "$EPROTO 0 failed truncated-response: NEGOTIATE_ALGORITHMS" e3
bad 'more dwords than there are' length-long "$EIO 0 failed transport-error: NEGOTIATE_ALGORITHMS" e3
bad 'the greatest length' length-max "$EPROTO 0 failed trailing-bytes: GET_CAPABILITIES" e1
bad 'another vendor' wrong-vendor "$EIO 0 failed transport-error: GET_DIGESTS" 81
bad 'another type' wrong-type "$EIO 0 failed transport-error: GET_DIGESTS" 81
bad 'padding that is not zero' padding "$EPROTO 0 failed trailing-bytes: GET_VERSION" 84

# E9: what was asked before the abort is not the answer to what is asked after it.
tries 'an answer that comes late' 'silent late' "$ETIMEDOUT 0 failed timeout: CHALLENGE" 83
says 0
ktap_test_equal 'it answers no other request' "$EPROTO 0 failed wrong-version: GET_VERSION" "$said"
says 0
ktap_test_equal 'which is soon over' '1 authenticated' "$said"

# T8: the PCI core gives up a mailbox whose list of features has no end.
pull_out 1
flaw 1 discovery-cycle
ktap_test_result 'one that never ends to say what it has' bounded 20 put_in 1
ktap_test_result 'is a function without a mailbox' \
	[ -e "/sys/bus/pci/devices/$(emulated 1)" -a ! -e "/sys/class/spdm/pci-$(emulated 1)" ]
flaw 1 none
pull_out 1
put_in 1
ktap_test_result 'and attested when it ends' \
	wait_for 10 grep -q 1 "/sys/bus/pci/devices/$(emulated 1)/authenticated"

ktap_test_match 'all other mailboxes have not noticed' 1111111 \
	"$(cat /sys/bus/pci/devices/10000:00:0[1-7].0/authenticated | tr -d '\n')"

# Gone without a word: config space is all ones.
echo 0 >/sys/class/misc/doe_emu1/present
function=/sys/bus/pci/devices/$(emulated 1)
ktap_test_equal 'a function that is all ones is not authenticated' 0 "$(cat "$function/authenticated")"
ktap_test_result 'and not taken for pending' wait_for 10 is_in 1 failed
hundredths
from=$now
echo re 2>/dev/null >"$function/authenticated"
hundredths
ktap_test_equal 'it cannot be attested' 0 "$(cat "$function/authenticated")"
ktap_test_result 'which does not take long' [ $((now - from)) -lt 500 ]
ktap_test_result 'it can be removed' pull_out 1
flaw 2 unplug 83 1
echo re 2>/dev/null >"/sys/bus/pci/devices/$(emulated 2)/authenticated"
ktap_test_equal 'one that goes in the middle is not authenticated' 0 \
	"$(cat "/sys/bus/pci/devices/$(emulated 2)/authenticated")"
ktap_test_result 'it can be removed, too' pull_out 2
put_in 1
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

# Something else is demanded of a device while it proves itself: that proof does not count any more.
ask set 3 fault=none delay-ms=300
entry=/sys/class/spdm/pci-$(emulated 3)
read_line "$entry/identity"
identity=$line
for what in identity public_key; do
	echo re >"/sys/bus/pci/devices/$(emulated 3)/authenticated" &
	first=$!
	usleep 700000
	echo >"$entry/$what" &
	second=$!
	wait $first
	read_line "$entry/state"
	state=$line
	read_line "$entry/identity"
	ktap_test_equal "$what is written meanwhile: there is no verdict, and no identity" 'pending ' "$state $line"
	wait $second
	read_line "$entry/state"
	state=$line
	read_line "$entry/identity"
	ktap_test_equal "$what: the next attestation counts" "authenticated $identity" "$state $line"
done
ask set 3 delay-ms=0

# A function that sleeps by itself: in D3hot it is the same; when it wakes up it may have lost everything, and without
# power (D3cold) it may be another one.
function=/sys/bus/pci/devices/$(emulated 7)
entry=/sys/class/spdm/pci-$(emulated 7)
insmod /modules/doe_emu_drv.ko
wait_for 10 [ -e "$function/driver" ]
echo auto >"$function/power/control"
ktap_test_result 'a function falls asleep' wait_for 10 grep -q suspended "$function/power/runtime_status"
requests 7
asleep=$requests
ktap_test_equal 'it is still authenticated' '1 authenticated' \
	"$(cat "$function/authenticated" "$entry/state" | tr '\n' ' ' | sed 's/ $//')"
requests 7
ktap_test_equal 'which nobody asks it' "$asleep" "$requests"
echo 1 >/sys/class/misc/doe_emu7/cold
ktap_test_equal 'without power it is not' '0 stale' \
	"$(cat "$function/authenticated" "$entry/state" | tr '\n' ' ' | sed 's/ $//')"
requests 7
ktap_test_equal 'which wakes nobody' "$asleep" "$requests"
echo 0 >/sys/class/misc/doe_emu7/cold
echo on >"$function/power/control"
ktap_test_result 'when it is awake it is attested' wait_for 10 asked_more_than "$asleep"
ktap_test_result 'and authenticated' wait_for 10 grep -q 1 "$function/authenticated"
ask set 7 key=6
echo auto >"$function/power/control"
wait_for 10 grep -q suspended "$function/power/runtime_status"
echo on >"$function/power/control"
ktap_test_result 'another one in its place is not' wait_for 10 is_in 7 failed
read_line "$entry/reason"
ktap_test_match 'for that reason' 'identity-changed: *' "$line"
rmmod doe_emu_drv
ktap_test_result 'the mailboxes go' end_emulation
ktap_finished
