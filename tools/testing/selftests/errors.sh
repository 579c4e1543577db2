#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
#
# ERROR responses, late answers and no answers. Everything ends.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

# took N LEAST MOST: the last attestation of drive N took this long, in microseconds.
took() {
	read_line "/sys/class/spdm/pci-0000:0$(($1 + 1)):00.0/duration_us"
	[ "$line" -ge "$2" ] && [ "$line" -le "$3" ] && return
	echo "# took $line us"
	return 1
}

all='VERSION:GET_VERSION CAPABILITIES:GET_CAPABILITIES ALGORITHMS:NEGOTIATE_ALGORITHMS DIGESTS:GET_DIGESTS
	CERTIFICATE:GET_CERTIFICATE CHALLENGE:CHALLENGE'
# In all but VERSION ResponseNotReady and RequestResynch are in order.
later=${all#* }

ktap_print_header
ktap_set_plan 72
start_spdm ecdsa-p384
whole_attestations
configure 0
attest 0

# Drive 1 takes as long as it can. What follows, on drive 0, does not wait for it.
configure 1 fault=not-ready-forever at=DIGESTS rd-exponent=23 rd-multiplier=255
attest 1 &
slow=$!

for pair in $all; do
	message=${pair%:*} request=${pair#*:}
	ktap_test_result "Busy once, $message" bounded 4 copes 0 "fault=busy at=$message"
	ktap_test_result "Busy without end, $message" \
		bounded 10 keeps_misbehaving 0 "fault=busy-forever at=$message" "busy: $request" "$EBUSY"
done
for pair in $later; do
	message=${pair%:*} request=${pair#*:}
	ktap_test_result "ResponseNotReady once, $message" bounded 4 copes 0 "fault=not-ready at=$message"
	ktap_test_result "ResponseNotReady three times, $message" \
		bounded 4 copes 0 "fault=not-ready at=$message times=3 rd-multiplier=20"
	ktap_test_result "ResponseNotReady without end, $message" \
		bounded 4 keeps_misbehaving 0 "fault=not-ready-forever at=$message" "not-ready: $request" "$EBUSY"
	ktap_test_result "RequestResynch once, $message" bounded 4 copes 0 "fault=resynch at=$message"
	ktap_test_result "RequestResynch without end, $message" \
		bounded 4 keeps_misbehaving 0 "fault=resynch-forever at=$message" "request-resynch: $request" "$EPROTO"
done
configure 0
ktap_test_result 'ResponseNotReady to GET_VERSION' \
	misbehaves 0 fault=not-ready-version 'not-ready-illegal: GET_VERSION' "$EPROTO"
while read -r fault reason; do
	ktap_test_result "$fault" \
		misbehaves 0 "fault=$fault at=CHALLENGE" "$reason: CHALLENGE" "$EPROTO"
done <<-END
	not-ready-exponent-255 not-ready-exponent
	not-ready-multiplier-0 not-ready-multiplier
	not-ready-multiplier-1 not-ready-multiplier
	not-ready-code not-ready-request
	not-ready-short error-data-size
	not-ready-long error-data-size
	error-version wrong-version
	large-response large-response-illegal
END
ktap_test_result 'not-ready-token' \
	keeps_misbehaving 0 'fault=not-ready-token at=CHALLENGE' 'not-ready-token: CHALLENGE' "$EPROTO"

configure 0
for pair in $all; do
	message=${pair%:*} request=${pair#*:}
	where=$request
	[ "$message" != CERTIFICATE ] || where='slot 0'
	ktap_test_result "ERROR InvalidRequest, $message" \
		misbehaves 0 "fault=invalid-request at=$message" "error-response: $where: InvalidRequest" "$EPROTO"
	ktap_test_result "silence, $message" \
		bounded 4 misbehaves 0 "fault=silence at=$message" "timeout: $request" "$ETIMEDOUT"
done
while read -r fault reason; do
	ktap_test_result "$fault" \
		misbehaves 0 "fault=$fault at=CHALLENGE" "error-response: CHALLENGE: $reason" "$EPROTO"
done <<-END
	unexpected-request UnexpectedRequest
	unspecified Unspecified
	unsupported-request UnsupportedRequest
	version-mismatch VersionMismatch
	unknown-error 0x3f
	error-zero 0x00
END
# Padded with a zero, it is not short any more.
ktap_test_result 'error-short' \
	misbehaves 0 'fault=error-short at=CHALLENGE' 'error-response: CHALLENGE: Unspecified' "$EPROTO"

# The answer to a request that was given up is no answer to the next one.
responder set 0 fault=late-answer at=DIGESTS times=1 >/dev/null
ktap_test_result 'an answer that does not come' refuses 0 'timeout: GET_DIGESTS' "$ETIMEDOUT"
ktap_test_result 'it comes late' refuses 0 'wrong-version: GET_VERSION' "$EPROTO"
ktap_test_result 'and is forgotten' accepts 0

wait "$slow"
verdict 1
ktap_test_equal 'a whole attestation has a deadline' '0 failed deadline-exceeded: GET_DIGESTS' "$verdict"
ktap_test_result 'which is 30 seconds' took 1 20000000 31000000
configure 1
ktap_test_result 'and then it is accepted' accepts 1
ktap_finished
