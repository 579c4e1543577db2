#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 900
#
# Endpoints of MCTP at the end of serial lines (mctp-serial over pseudo terminals): added and removed, their links,
# their networks and namespaces, the system's sleep, and what they may do wrong.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

class=/sys/class/spdm

# plays WORDS WANTED: endpoint 0, which is $e, plays the fault once, and the kernel says WANTED, after which there is how
# many more exchanges it took than without, but authenticates it the next time.
plays() {
	ask 'reset 0'
	ask "set 0 times=1 $1"
	attests $e
	read_line $class/$e/exchanges
	ktap_test_match "$1" "$2" "$said $((line - usual))"
	ask 'reset 0'
	attests $e
	ktap_test_equal "$1: and the next time" 'ok 1 authenticated' "$said"
}

ktap_print_header
start_spdm ecdsa-p384
gives $class/add_mctp ''
if [ "$result" = 'Operation not supported' ]; then
	ktap_set_plan 2
	ktap_test_pass 'a kernel without MCTP says so'
	gives $class/remove_mctp '1 9'
	ktap_test_equal 'and its log, once' 1 "$(dmesg | grep -c 'spdm: this kernel has no MCTP (CONFIG_MCTP)')"
	ktap_finished
fi
ktap_set_plan 150

# What it refuses.
for text in '' 1 '0 9' '1 0' '1 7' '1 255' '1 9 10' '1 9 name=' 'one 9'; do
	gives $class/add_mctp "$text"
	ktap_test_equal "add: '$text' is none" "$EINVAL" "$result"
done
gives $class/remove_mctp '1 9'
ktap_test_equal 'remove: there is none' 'No such file or directory' "$result"

# Nothing there.
gives $class/add_mctp '1 9'
ktap_test_equal 'one is added that has no route' ok "$result"
ktap_test_result 'it cannot be reached' becomes mctp-1-9 '0 failed device-gone: GET_VERSION'
gives $class/add_mctp '1 9'
ktap_test_equal 'it cannot be added twice' 'File exists' "$result"
gives $class/remove_mctp '1 9'
ktap_test_equal 'it is removed' ok "$result"
ktap_test_result 'and gone' [ ! -e $class/mctp-1-9 ]

# Three lines, with two endpoints each: numbers 0 and 1, 2 and 3, 4 and 5.
ktap_test_result 'a responder serves three lines' serve_lines 3 --endpoints 2 --set 'asym=ecdsa-p256 hash=sha256'
add_root /tmp/pki/roots/ecdsa-p256.der >/dev/null
# shellcheck disable=SC2086 # They are words.
set -- $devices
first=$1
second=$2
third=$3
way "$first" 1 9 10
way "$second" 2 9 10

# One.
e=mctp-1-9
gives $class/add_mctp '1 9'
ktap_test_result 'an endpoint is authenticated' becomes $e '1 authenticated'
statistics=/sys/class/net/$first/statistics
packets="$(cat "$statistics/tx_packets") packets of $(cat "$statistics/tx_bytes") bytes sent, $(cat "$statistics/rx_packets") packets of $(cat "$statistics/rx_bytes") bytes received"
echo "# $(cat $class/$e/exchanges) exchanges, $(cat $class/$e/bytes_sent) bytes sent, $(cat $class/$e/bytes_received) received, $(cat $class/$e/duration_us) us; $packets"
ktap_test_equal 'its answers came over the line' 1 $(($(cat "$statistics/rx_packets") > 30))
ktap_test_equal 'its policy' audit "$(cat $class/$e/policy)"
ktap_test_result 'it has no PCI device' [ ! -e $class/$e/device ]
ktap_test_result 'it has certificates' [ -s $class/$e/certificates/slot0 ]
ktap_test_result 'and signatures' [ -s $class/$e/signatures/0_signature ]
identity=$(cat $class/$e/identity)
ktap_test_equal 'and an identity' 64 ${#identity}
attests $e
ktap_test_equal 'it is attested again' 'ok 1 authenticated' "$said"
gives $class/$e/authenticated 1
ktap_test_equal 'authenticated takes nothing but re' "$EINVAL" "$result"
gives $class/$e/policy enforce
ktap_test_equal 'there is no policy enforce' 'Operation not supported' "$result"
gives $class/$e/policy off
says $e
ktap_test_equal 'there is off' 'ok 0 off' "$result $said"
attests $e
ktap_test_equal 'then it is not asked' "$EPERM 0 off" "$said"
gives $class/$e/policy audit
says $e
ktap_test_equal 'and audit' 'ok 1 authenticated' "$result $said"

# It may speak another version, and in chunks.
for version in 1.0 1.1 1.2 1.3 1.4; do
	ask reset 0
	ask "set 0 version=$version"
	attests $e
	ktap_test_equal "SPDM $version" "ok 1 authenticated $version" "$said $(cat $class/$e/version)"
done
ask reset 0
ask 'set 0 flags=0x20006 transfer=64'
whole_attestations
attests $e
echo Y >/sys/module/spdm/parameters/cache
ktap_test_equal 'messages of 64 bytes' 'ok 1 authenticated' "$said"
ktap_test_equal 'in chunks' 1 $(($(cat $class/$e/exchanges) > 10))
ask reset 0

# The link.
mctpcfg down "$first"
ktap_test_result 'a link that goes down drops the verdict' is $e '0 stale'
attests $e
ktap_test_equal 'nothing gets through' "$ENODEV 0 failed device-gone: GET_VERSION" "$said"
mctpcfg up "$first"
ktap_test_result 'when it comes up the endpoint is attested' becomes $e '1 authenticated'
# While it waits for an answer, and amid one.
for fault in mctp-late mctp-no-end; do
	ask "set 0 ct-exponent=23 fault=$fault at=CHALLENGE times=1"
	echo re 2>/dev/null >$class/$e/authenticated &
	usleep 1500000
	mctpcfg down "$first"
	mctpcfg up "$first"
	wait $!
	ktap_test_result "the link goes down amid an attestation: $fault" becomes $e '1 authenticated'
	ask reset 0
done

# The way there.
attested() {
	log_since | grep -q "spdm $e: authenticated" && is "$e" '1 authenticated'
}
mctpcfg route "$first" 9 --delete
ktap_test_result 'without a route there is no verdict' is $e '0 stale'
attests $e
ktap_test_equal 'and no way' "$ENODEV 0 failed device-gone: GET_VERSION" "$said"
mctpcfg route "$first" 9
ktap_test_result 'when there is one, the endpoint is attested' becomes $e '1 authenticated'
log_mark
mctpcfg route "$first" 9 --delete
mctpcfg route "$first" 9 --mtu 36
ktap_test_result 'also when there is one of smaller packets' wait_for 30 attested
packets=$(cat "/sys/class/net/$first/statistics/tx_packets")
attests $e
packets=$(($(cat "/sys/class/net/$first/statistics/tx_packets") - packets))
ktap_test_equal 'of which it takes more' 1 $((packets > $(cat $class/$e/exchanges)))
mctpcfg net "$second" 1
mctpcfg route "$first" 9 --delete
mctpcfg route "$second" 9
ktap_test_result 'on another line there is another device' becomes $e '0 failed identity-changed: *'
mctpcfg route "$second" 9 --delete
mctpcfg route "$first" 9
mctpcfg net "$second" 2
mctpcfg route "$second" 9
ktap_test_result 'and this one on its own' becomes $e '1 authenticated'

# Several.
gives $class/add_mctp '1 10'
gives $class/add_mctp '2 9'
ktap_test_result 'a second endpoint of the line' becomes mctp-1-10 '1 authenticated'
ktap_test_result 'the same EID in another network' becomes mctp-2-9 '1 authenticated'
ktap_test_equal 'they are three devices' 3 "$(cat $class/mctp-*/identity | sort -u | grep -c .)"
ktap_test_equal 'which have nothing in common' '' "$(cat $class/mctp-*/same_device_as)"
jobs=
for name in mctp-1-9 mctp-1-10 mctp-2-9; do
	echo re >$class/$name/authenticated &
	jobs="$jobs $!"
done
failed=0
for job in $jobs; do wait "$job" || failed=$((failed + 1)); done
ktap_test_equal 'they are attested at once' 0 $failed
mctpcfg down "$second"
says mctp-1-9
ktap_test_equal 'the link of one is not that of others' '1 authenticated' "$said"
ktap_test_result 'but its own' is mctp-2-9 '0 stale'
mctpcfg up "$second"
ktap_test_result 'and comes up' becomes mctp-2-9 '1 authenticated'

# What had no route when it was added.
gives $class/remove_mctp '1 10'
mctpcfg route "$first" 10 --delete
gives $class/add_mctp '1 10'
ktap_test_result 'a second endpoint has no route' becomes mctp-1-10 '0 failed device-gone: GET_VERSION'
mctpcfg route "$first" 10
ktap_test_result 'and is attested when it has' becomes mctp-1-10 '1 authenticated'

# Two ways to one device.
ask 'set 1 key=0'
gives $class/mctp-1-10/identity ''
says mctp-1-10
ktap_test_equal 'another endpoint has the same key' '1 authenticated' "$said"
ktap_test_equal 'which the first one says' mctp-1-10 "$(cat $class/$e/same_device_as)"
ktap_test_equal 'and the other' $e "$(cat $class/mctp-1-10/same_device_as)"
gives $class/$e/policy off
ktap_test_equal 'unless it is not proven' '' "$(cat $class/mctp-1-10/same_device_as)"
gives $class/$e/policy audit
gives $class/remove_mctp '1 10'

# A name that the certificate has to have.
gives $class/add_mctp '1 10 name=ACME:NIC 2000:17'
ktap_test_result 'a certificate without the name' becomes mctp-1-10 '0 failed subject-alt-name-missing: slot 0: *'
gives $class/remove_mctp '1 10'
gives $class/remove_mctp '2 9'
ktap_test_result 'endpoints are removed' [ ! -e $class/mctp-1-10 ]

# Amid an attestation.
ask 'set 0 ct-exponent=23 fault=mctp-late at=CHALLENGE times=1'
echo re 2>/dev/null >$class/$e/authenticated &
usleep 1500000
ktap_test_result 'an endpoint goes amid an attestation' bounded 3 gives $class/remove_mctp '1 9'
wait $!
ktap_test_result 'and is gone' [ ! -e $class/$e ]
ask reset 0
gives $class/add_mctp '1 9'
ktap_test_result 'and comes again' becomes $e '1 authenticated'

# A network namespace of its own.
unshare -n sleep 1000 &
holder=$!
usleep 300000
inside() {
	nsenter -t $holder -n "$@"
}
mctpcfg netns "$third" $holder
inside mctpcfg up "$third"
inside mctpcfg addr "$third" 8
inside mctpcfg route "$third" 9
inode=$(readlink /proc/$holder/ns/net)
inode=${inode#*[}
inode=${inode%]}
inside sh -c "echo '1 9' >$class/add_mctp"
n=mctp-1-9-$inode
ktap_test_result 'an endpoint of a namespace' becomes "$n" '1 authenticated'
says $e
ktap_test_equal 'is not that of the initial one' '1 authenticated' "$said"
ktap_test_result 'whose address it has' [ "$(cat $class/$e/identity)" != "$(cat "$class/$n/identity")" ]
gives $class/remove_mctp '1 9'
ktap_test_result 'each removes its own' [ ! -e $class/$e ]
ktap_test_result 'and no other' [ -e "$class/$n" ]
gives $class/add_mctp '1 9'
ask 'set 4 ct-exponent=23 fault=mctp-late at=CHALLENGE times=1'
echo re 2>/dev/null >"$class/$n/authenticated" &
usleep 1500000
kill $holder
ktap_test_result 'a namespace goes with its endpoint, amid an attestation' wait_for 20 test ! -e "$class/$n"
wait $!
ktap_test_result 'another stays' becomes $e '1 authenticated'

# Discovery.
ktap_test_equal 'nothing is looked for' 0 "$(cat $class/mctp_discovery)"
ktap_test_result 'so there is one' [ ! -e $class/mctp-1-10 ]
mctpcfg route "$first" 11
gives $class/mctp_discovery 1
ktap_test_result 'what speaks SPDM is found' becomes mctp-1-10 '1 authenticated'
ktap_test_result 'also in another network' becomes mctp-2-9 '1 authenticated'
ktap_test_result 'what does not answer is not' [ ! -e $class/mctp-1-11 ]
ktap_test_result 'neither is another namespace' [ ! -e "$class/$n" ]
gives $class/mctp_discovery 0
gives $class/remove_mctp '1 10'
gives $class/remove_mctp '2 9'
usleep 6000000
ktap_test_result 'and no more when that is off' [ ! -e $class/mctp-1-10 ]
ktap_test_result 'what was added stays' is $e '1 authenticated'

# Sleep.
log_mark
sleep_and_wake
ktap_test_result 'after sleep' becomes $e '1 authenticated'
ktap_test_result 'it was attested when all were awake' in_order 'PM: suspend exit|Restarting tasks|PM: resume devices took' 'spdm mctp-1-9: authenticated'
gives $class/$e/resume_policy never
sleep_and_wake
ktap_test_result 'unless by policy' becomes $e '0 stale'
attests $e
ktap_test_equal 'until it is asked for' 'ok 1 authenticated' "$said"

# T9: what is not the answer is not heard, and the request sent again. AF_MCTP drops a message whose first packet comes
# twice. The next frame fills the hole in one that was cut.
attests $e
read_line $class/$e/exchanges
usual=$line
for fault in mctp-source mctp-destination mctp-tag mctp-tag-owner mctp-type mctp-version mctp-lost mctp-lost-first \
	mctp-no-start mctp-no-end mctp-sequence mctp-reordered mctp-fcs mctp-duplicated silence; do
	plays "fault=$fault at=CHALLENGE" 'ok 1 authenticated 1'
done
plays 'fault=mctp-cut at=CHALLENGE' 'ok 1 authenticated 2'
plays 'fault=mctp-endless at=CHALLENGE' 'ok 1 authenticated [12]'
plays 'fault=mctp-integrity at=CHALLENGE' "$EPROTO 0 failed integrity-check: CHALLENGE 0"
plays 'fault=bad-signature at=CHALLENGE' "$EKEYREJECTED 0 failed bad-signature: CHALLENGE 0"
plays 'fault=mctp-twice at=CHALLENGE' 'ok 1 authenticated 0'
plays 'fault=mctp-foreign at=CHALLENGE' 'ok 1 authenticated 0'

# Requests are sent three times; a responder that does not know the second one as such is asked from the start.
plays 'fault=mctp-lost at=VERSION' 'ok 1 authenticated 1'
plays 'fault=silence at=CHALLENGE times=2' 'ok 1 authenticated 2'
plays 'fault=mctp-lost at=CHALLENGE times=2' 'ok 1 authenticated 2'
ktap_test_result 'not for ever' bounded 15 plays 'fault=mctp-lost at=CHALLENGE times=3' \
	"$ETIMEDOUT 0 failed timeout: CHALLENGE 2"
ktap_test_result 'nor is a request' bounded 15 plays 'fault=silence at=VERSION times=3' \
	"$ETIMEDOUT 0 failed timeout: GET_VERSION *"
for at in CAPABILITIES DIGESTS CHALLENGE_AUTH; do
	plays "retries=new fault=mctp-lost at=$at" 'ok 1 authenticated [1-9]*'
done
ask 'set 0 fault=mctp-twice times=forever'
attests $e
ktap_test_equal 'every answer comes twice' 'ok 1 authenticated' "$said"
ask reset 0

# A late answer is not that to the request that is sent again, or the next one; one that is not too late may be later
# than the kernel keeps a tag.
ask 'set 0 fault=mctp-late at=GET_DIGESTS times=1'
attests $e
ktap_test_equal 'a late answer is not waited for' 'ok 1 authenticated' "$said"
ask reset 0
read -r begin rest </proc/uptime
late=
while read -r now rest </proc/uptime && [ $((${now%.*} - ${begin%.*})) -le 8 ]; do
	attests $e
	[ "$said" = 'ok 1 authenticated' ] || late="$late $said"
	usleep 200000
done
ktap_test_equal 'is in nobody'"'"'s way' '' "$late"
ask 'set 0 ct-exponent=23 fault=mctp-late at=CHALLENGE times=1'
attests $e
ktap_test_equal 'an answer after eight seconds, in time' 'ok 1 authenticated' "$said"
ask reset 0

gives $class/remove_mctp '1 9'
kill "$server"
ktap_finished
