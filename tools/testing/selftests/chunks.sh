#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Large messages in chunks, and devices that get them wrong.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

# bad FAULT REASON: a responder that plays the fault in the chunks of a message is refused, and accepted when it does not.
bad() {
	ktap_test_result "$1, SPDM $version" misbehaves 0 "fault=$1 at=${2##* }" "$2" "$EPROTO"
}

ktap_print_header
ktap_set_plan 64
start_spdm ecdsa-p384
whole_attestations

# CERTIFICATE is larger than 512 bytes.
for version in 1.2 1.3 1.4; do
	configure 0 "version=$version flags=0x20006 transfer=512"
	ktap_test_result "chunks, SPDM $version" accepts 0
	while read -r fault reason; do
		bad "$fault" "$reason: GET_CERTIFICATE"
	done <<-END
		chunk-handle chunk-handle
		chunk-skipped chunk-sequence
		chunk-repeated chunk-sequence
		chunk-wrapped chunk-sequence
		chunk-empty chunk-size
		chunk-too-large chunk-size
		chunk-cut truncated-response
		last-chunk-early last-chunk
		last-chunk-late last-chunk
		large-size-zero large-message-size
		large-size-small large-message-size
		large-size-max large-message-size
		large-size-longer last-chunk
		chunk-nested large-response-illegal
		chunk-nested-inside error-data-size
		chunk-other-message unexpected-response
		chunk-other-version wrong-version
		chunk-no-chunk unexpected-response
		chunk-trailing trailing-bytes
	END
done

# CHALLENGE is larger than 42 bytes.
version=1.4
configure 0 "version=$version flags=0x20006 transfer=42"
ktap_test_result "CHALLENGE in chunks, SPDM $version" accepts 0
bad chunk-ack-handle 'chunk-handle: CHALLENGE'
bad chunk-ack-sequence 'chunk-sequence: CHALLENGE'
bad chunk-ack-early 'unexpected-response: CHALLENGE'
ktap_finished
