#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What user space sees: names, modes, formats, events.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

function=/sys/bus/pci/devices/0000:01:00.0
entry=/sys/class/spdm/pci-0000:01:00.0

mode() {
	# shellcheck disable=SC2012 # These names are harmless.
	ls -ldL "$1" | cut -c 1-10
}

# form NAME REGULAR EXPRESSION: the attribute is one line that matches it, and can only be read.
form() {
	content=$(cat "$entry/$1")
	lines=$(wc -l <"$entry/$1")
	if [ "$(mode "$entry/$1") $lines" != "-r--r--r-- 1" ] || ! echo "$content" | grep -qxE "$2"; then
		echo "# $(mode "$entry/$1") $content"
		return 1
	fi
}

# listen: events of the class go to /run/events, one a line. event NUMBER LINE: it was that.
listen() {
	: >/run/events
	# shellcheck disable=SC2016 # The shell that is started expands them.
	uevent sh -c '[ "$SUBSYSTEM" != spdm ] || echo "$ACTION $DEVPATH $SPDM_STATE" >>/run/events' &
	listener=$!
	usleep 500000
}

event() {
	[ "$(sed -n "$1p" /run/events | sed 's,/devices/.*/,,')" = "$2" ]
}

ktap_print_header
ktap_set_plan 45
start_spdm ecdsa-p384
whole_attestations
configure 0
attest 0

ktap_test_equal 'mode of authenticated' -rw-r--r-- "$(mode $function/authenticated)"
ktap_test_equal 'authenticated is a digit and a newline' '31 0a' \
	"$(hexdump -ve '1/1 "%02x "' $function/authenticated | sed 's/ $//')"
ktap_test_equal 'the entry links to the device' "$(readlink -f $function)" "$(readlink -f $entry/device)"
ktap_test_equal 'state' authenticated "$(cat $entry/state)"
ktap_test_equal 'reason is empty' 0 "$(wc -c <$entry/reason)"
for attribute in 'state authenticated' 'version 1\.3' \
	'algorithms base_hash=sha384 base_asym=ecdsa-p384' 'capabilities 0x[0-9a-f]{8}' 'slot 0' \
	'subject linux-spdm test device 0' 'issuer linux-spdm test CA 1 ecdsa-p384' \
	'attested_at [0-9]+' 'duration_us [0-9]+' 'exchanges 6' 'bytes_sent [0-9]+' 'bytes_received [0-9]+'; do
	ktap_test_result "form of ${attribute%% *}" form "${attribute%% *}" "${attribute#* }"
done
ktap_test_match 'identity is 64 hexadecimal digits' 64 \
	"$(tr -d '\n' <$entry/identity | tr -cd 0-9a-f | wc -c)"

# Numbers tell the truth: the responder counted, too.
count 0 requests
ktap_test_equal 'exchanges' 6 "$count"
count 0 bytes_in
ktap_test_equal 'bytes_sent' "$(cat $entry/bytes_sent)" "$count"
count 0 bytes_out
received=$(cat $entry/bytes_received)
ktap_test_result 'bytes_received, which padding may add to' \
	[ $((received - count)) -ge 0 -a $((received - count)) -lt 18 ]
now=$(date +%s)
then=$(cat $entry/attested_at)
ktap_test_result 'attested_at is a moment ago' [ $((now - then)) -ge 0 -a $((now - then)) -lt 20 ]

# Writing.
for text in '' 1 0 rE ree 're re' ' re' reset "$(head -c 4000 /dev/zero | tr '\0' r)"; do
	gives $function/authenticated "$text"
	ktap_test_equal "writing \"$(echo "$text" | head -c 10)\"" "$EINVAL" "$result"
done
ktap_test_result 'nonsense changes no verdict' is_authenticated 0
gives $function/authenticated re
ktap_test_equal 'writing re' ok "$result"
ktap_test_result 'writing re without a newline' eval "printf re >$function/authenticated"
before=$(cat $entry/exchanges)
ktap_test_equal 'reading is not attesting' "$before" "$(cat $function/authenticated >/dev/null; cat $entry/exchanges)"

# A refusal: what was negotiated until then is told, what is only true of an authenticated drive is not.
configure 0 fault=bad-signature
attest 0
ktap_test_equal 'after a refusal: state' failed "$(cat $entry/state)"
ktap_test_result 'after a refusal: reason' form reason 'bad-signature: CHALLENGE'
ktap_test_equal 'after a refusal: authenticated' 0 "$(cat $function/authenticated)"
ktap_test_equal 'after a refusal: subject, issuer' '0 0' "$(wc -c <$entry/subject) $(wc -c <$entry/issuer)"
ktap_test_result 'after a refusal: version' form version '1\.3'
configure 0 fault=no-versions
attest 0
ktap_test_equal 'nothing negotiated: version, algorithms, capabilities, slot' '0 0 0 0' \
	"$(wc -c <$entry/version) $(wc -c <$entry/algorithms) $(wc -c <$entry/capabilities) $(wc -c <$entry/slot)"
ktap_test_result 'but one exchange' form exchanges 1

# Every verdict is an event.
listen
attest 0
configure 0
attest 0
if wait_for 5 event 2 'change pci-0000:01:00.0 authenticated'; then
	ktap_test_pass 'a verdict is an event'
else
	sed 's/^/# /' /run/events
	ktap_test_fail 'a verdict is an event'
fi
ktap_test_result 'so is the one before' event 1 'change pci-0000:01:00.0 failed'
ktap_test_equal 'and there are no others' 2 "$(wc -l </run/events)"
kill "$listener"
ktap_finished
