#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Measurements that a device lies about: they are refused, by name, and the device is authenticated all the same.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

entry=/sys/class/spdm/pci-0000:01:00.0

# lies VERSION FAULT STATUS: what measurements_status says of a responder that plays the fault.
lies() {
	configure 0 "version=$1 flags=0x16 fault=$2"
	accepts 0 || return 1
	count 0 faults
	read_line "$entry/measurements_status"
	[ "$line" = "$3" ] && [ "$count" -gt 0 ] && [ "$(wc -c <"$entry/measurements")" = 0 ] && return
	echo "# status \"$line\", $count faults, $(wc -c <"$entry/measurements") bytes of measurements"
	return 1
}

ktap_print_header
ktap_set_plan 31
start_spdm ecdsa-p384
whole_attestations
for version in 1.1 1.2 1.4; do
	while read -r fault name; do
		ktap_test_result "$fault, SPDM $version" \
			lies $version "measurement-$fault" "failed: $name: GET_MEASUREMENTS"
	done <<-END
		unsigned truncated-response
		bad-signature bad-signature
		count measurement-count
		length measurement-block
		index-0 measurement-index
		index-twice measurement-index
		specification measurement-block
		value-size measurement-block
		slot wrong-slot
	END
done
for version in 1.2 1.4; do
	ktap_test_result "changed, SPDM $version" \
		lies $version measurement-changed 'failed: measurements-changed: GET_MEASUREMENTS'
	ktap_test_result "context, SPDM $version" \
		lies $version measurement-context 'failed: bad-signature: GET_MEASUREMENTS'
done
configure 0
ktap_finished
