#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 600
#
# How long an exchange takes behind a mailbox that is ready after 0.1, 1 or 10 ms: what is above that is the time that
# passes until the PCI core looks, and that of the responder, which shares the only CPU.

# shellcheck source=tools/testing/bench/common.sh
. /bench.sh

[ -e /modules/doe_emu.ko ] || exit 0

# exchanges CASE...: attests the function and takes the time of each exchange but the signed one.
exchanges() {
	clear_trace
	echo re >"/sys/bus/pci/devices/$(emulated 0)/authenticated" || echo 'the function is not authenticated'
	stop_trace
	awk -v name="$*" '
		!/spdm_message: name=pci-10000/ || !/ offset=0 / { next }
		{
			for (i = 1; i <= NF; i++)
				if ($i ~ /^[0-9]+\.[0-9]+:$/) {
					split($i, part, /[.:]/)
					now = part[1] * 1000000 + part[2]
				}
		}
		/dir=request/ { began = now; next }
		# CHALLENGE_AUTH
		!/data=[0-9a-f]+ 03/ { printf "sample exchange us %d %s\n", now - began, name }' $trace
}

start_spdm ecdsa-p384
use_tracing
clear_roots
serve_emulated 1 ecdsa-p384 hash=sha384 version=1.3
echo 1 >/sys/class/misc/doe_emu0/present
echo 1 >/sys/bus/pci/rescan
wait_for 20 grep -q 1 "/sys/bus/pci/devices/$(emulated 0)/authenticated"
echo 1 >$tracing/events/spdm/enable
for us in 100 1000 10000; do
	echo $us >/sys/class/misc/doe_emu0/delay_us
	times "$runs" exchanges "ready after $us us"
done
echo 0 >$tracing/events/spdm/enable
end_emulation
