#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The interface for other kernel code (cma/spdm.h): an attester with a transport of its own.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

faux=/sys/devices/faux/spdm_api_test
entry=/sys/class/spdm/test-0

# says: state and reason of the entry, and the result of the last write.
says() {
	read_line $entry/state
	said="$result $line"
	read_line $entry/reason
	said="$said${line:+ $line}"
}

ktap_print_header
if [ ! -e /modules/spdm_api_test.ko ]; then
	ktap_set_plan 1
	ktap_test_skip 'there is no test module'
	ktap_finished
fi
ktap_set_plan 35
start_spdm ecdsa-p384
configure 0
ktap_test_result 'a module that uses the interface is loaded' insmod /modules/spdm_api_test.ko

# What it refuses.
for flaw in no-exchange small alignment-0 alignment-8 no-device no-name no-transport; do
	gives $faux/create "test-0 $flaw"
	ktap_test_equal "create: $flaw" "$EINVAL" "$result"
done
ktap_test_result 'of which nothing is left' [ ! -e $entry ]

gives $faux/create test-0
ktap_test_equal 'an attester is made' ok "$result"
says
ktap_test_equal 'it has not attested' 'ok pending' "$said"
ktap_test_equal 'its entry links to its device' "$(readlink -f $faux)" "$(readlink -f $entry/device)"
ktap_test_result 'which gets no attribute' [ ! -e $faux/authenticated ]
gives $faux/authenticate x
says
ktap_test_equal 'it attests' 'ok authenticated' "$said"
ktap_test_equal 'the version' 1.3 "$(cat $entry/version)"
ktap_test_equal 'the identity is that of the responder' "$(attribute 0 identity | grep . || { accepts 0; attribute 0 identity; })" \
	"$(cat $entry/identity)"
if echo enforce 2>/run/error >$entry/policy; then
	ktap_test_fail 'it has no policy enforce'
else
	read_line /run/error
	ktap_test_equal 'it has no policy enforce' 'Operation not supported' "${line##*: }"
fi

# The name in the certificate is that of a PCI function; this is another bus.
configure 0 slot0=no-san
gives $faux/authenticate x
says
ktap_test_equal 'no name is asked for' 'ok authenticated' "$said"
configure 0 slot0=untrusted
gives $faux/authenticate x
says
ktap_test_match 'but trust is' "$ENOKEY failed untrusted-root: slot 0:*" "$said"
configure 0 fault=bad-signature
gives $faux/authenticate x
says
ktap_test_equal 'and a signature' "$EKEYREJECTED failed bad-signature: CHALLENGE" "$said"
configure 0 key=7
gives $faux/authenticate x
says
ktap_test_match 'and the same device' "$EKEYREJECTED failed identity-changed: *" "$said"
configure 0

# What goes wrong in the transport.
while read -r fault wanted; do
	gives $faux/fault "$fault"
	gives $faux/authenticate x
	says
	ktap_test_equal "transport: $fault" "$wanted" "$said"
done <<-END
	timeout $ETIMEDOUT failed timeout: GET_VERSION
	gone $ENODEV failed device-gone: GET_VERSION
	too-large $EPROTO failed response-too-large: GET_VERSION
	beyond $EPROTO failed response-too-large: GET_VERSION
	io Input/output error failed transport-error: GET_VERSION
END
gives $faux/fault none
gives $faux/authenticate x
says
ktap_test_equal 'transport: none' 'ok authenticated' "$said"

gives $faux/create 'test-1'
gives $faux/destroy x
ktap_test_equal 'it is destroyed' ok "$result"
ktap_test_result 'and gone' [ ! -e $entry ]

# The end of an attester in the middle of its attestation.
gives $faux/create test-0
gives $faux/fault slow
echo x 2>/run/writer >$faux/authenticate &
writer=$!
usleep 1500000
says
ktap_test_equal 'it attests slowly' 'ok pending' "$said"
ktap_test_result 'it can be destroyed meanwhile' bounded 3 gives $faux/destroy x
wait "$writer"
ktap_test_result 'and is gone' [ ! -e $entry ]
gives $faux/fault none
gives $faux/create test-0
gives $faux/authenticate x
says
ktap_test_equal 'another one attests' 'ok authenticated' "$said"
if built_in; then
	ktap_test_skip 'spdm stays as long as somebody uses it: it is built in'
else
	rmmod spdm 2>/run/error
	ktap_test_result 'spdm stays as long as somebody uses it' [ -e $entry ]
fi
rmmod spdm_api_test
ktap_test_result 'when the module goes, so does its attester' [ ! -e $entry ]
ktap_finished
