#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
#
# The link that the other scripts of MCTP stand on: the kernel's own sockets, its driver of serial lines, a pseudo
# terminal, and the responder. There is nothing of spdm in it.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

# versions TEXT WANTED ARGUMENTS...: what the endpoint says to GET_VERSION.
versions() {
	text=$1
	wanted=$2
	shift 2
	ktap_test_equal "$text" "$wanted" "$(mctpcfg versions "$@" 2>&1)"
}

# unheard TEXT NETWORK: there is no answer.
unheard() {
	ktap_test_match "$1" '*receive*' "$(mctpcfg versions "$2" 9 --timeout 1 2>&1)"
}

# lost FAULT: with it there is no answer; and the next one is there.
lost() {
	ask reset all
	ask "set 0 fault=$1 times=1"
	unheard "$1: no answer" 11
	versions "$1: the next one is there" "$all" 11 9
}

# heard FAULT: it is in nobody's way.
heard() {
	ask reset all
	ask "set 0 fault=$1 times=1"
	versions "$1: answered" "$all" 11 9
	versions "$1: and again" "$all" 11 9
}

ktap_print_header
needs_mctp
ktap_set_plan 54
# Networks that no other script uses: 11 and 12.
all='1.0 1.1 1.2 1.3'

ktap_test_result 'the responder is at the end of two lines' \
	serve_lines 2 --endpoints 2 --set-device '1 version=1.1' --set-device '2 version=1.2'
# shellcheck disable=SC2086 # These are two words.
set -- $devices
first=$1
second=$2
ktap_test_match 'a line is a network device' 'mctpserial*' "$first"
ktap_test_match 'and so is the other' 'mctpserial*' "$second"
ktap_test_match 'there is no way yet' '*No route to host*' "$(mctpcfg versions 11 9 2>&1)"
ktap_test_result 'the first one has a network' mctpcfg net "$first" 11
ktap_test_result 'the second one another' mctpcfg net "$second" 12
for device in "$first" "$second"; do
	ktap_test_result "$device is up" mctpcfg up "$device"
	ktap_test_result 'has an address' mctpcfg addr "$device" 8
	ktap_test_result 'and a way to endpoints' mctpcfg route "$device" 9 10
done

ktap_test_equal 'an endpoint has SPDM' 5 "$(mctpcfg types 11 9 2>&1)"
versions 'and says which' "$all" 11 9
versions 'another one of the same line' 1.1 11 10
versions 'the same EID in another network' 1.2 12 9
ktap_test_match 'nobody is there' '*No route to host*' "$(mctpcfg versions 11 11 2>&1)"
ktap_test_match 'no network is there' '*No route to host*' "$(mctpcfg versions 13 9 2>&1)"
count=0
for n in 1 2 3 4 5 6 7 8; do
	mctpcfg versions 11 $((9 + n % 2)) >/run/version$n 2>&1 &
	jobs="$jobs $!"
done
for job in $jobs; do wait "$job" && count=$((count + 1)); done
ktap_test_equal 'eight ask at once' 8 $count

# What the kernel keeps from who asks.
for fault in mctp-source mctp-destination mctp-tag mctp-tag-owner mctp-version mctp-no-start mctp-lost mctp-no-end \
	mctp-fcs mctp-endless mctp-link-silent; do
	lost $fault
done
for fault in mctp-foreign mctp-twice; do
	heard $fault
done
# The next frame fills the hole in one that was cut.
ask reset all
ask 'set 0 fault=mctp-cut times=1'
unheard 'mctp-cut: no answer' 11
unheard 'mctp-cut: the next one is taken for the rest' 11
versions 'mctp-cut: the one after that is there' "$all" 11 9
ask reset all

# Down and up.
mctpcfg down "$first"
unheard 'down' 11
mctpcfg up "$first"
versions 'and up' "$all" 11 9

# Another namespace.
unshare -n sleep 1000 &
holder=$!
usleep 300000
ktap_test_result 'a line is moved into another namespace' mctpcfg netns "$first" $holder
ktap_test_match 'and is no more in this one' '*No route to host*' "$(mctpcfg versions 11 9 2>&1)"
for words in "net $first 11" "up $first" "addr $first 8" "route $first 9 10"; do
	# shellcheck disable=SC2086 # These are words.
	nsenter -t $holder -n mctpcfg $words
done
ktap_test_equal 'it is in that' "$all" "$(nsenter -t $holder -n mctpcfg versions 11 9 2>&1)"
kill $holder

# The cable is pulled.
kill "$server"
ktap_test_result 'without its other end a line is none' wait_for 20 test ! -e "/sys/class/net/$second"
ktap_finished
