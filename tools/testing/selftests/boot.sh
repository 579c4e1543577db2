#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# With spdm built in: drives are attested while the kernel boots, before their driver and before user space.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

# first_in_order FIRST SECOND: both were logged since boot, the first one of the one before the first of the other.
first_in_order() {
	[ "$(dmesg | grep -oE "$1|$2" | head -n 1 | grep -cE "$1")" = 1 ] && dmesg | grep -qE "$2" && return
	dmesg | grep -E "$1|$2" | sed 's/^/# /' | head -n 4
	return 1
}

ktap_print_header
if ! built_in; then
	ktap_set_plan 1
	ktap_test_skip 'spdm is a module in this kernel'
	ktap_finished
fi
ktap_set_plan 7
ktap_test_equal 'there are roots in the kernel' 6 \
	"$(dmesg | grep -c 'root certificate: linux-spdm test root')"
for number in 0 1; do
	bdf=$(bdf $number)
	ktap_test_match "the first verdict on drive $number is a good one" '*: authenticated' \
		"$(dmesg | grep "spdm pci-$bdf: .*authenticated" | head -n 1)"
	ktap_test_result "drive $number is authenticated before its driver probes it" \
		first_in_order "spdm pci-$bdf: authenticated" "nvme nvme[0-9]*: pci function $bdf"
	ktap_test_result "and before user space starts" \
		first_in_order "spdm pci-$bdf: authenticated" 'Run /init as init process'
done
ktap_finished
