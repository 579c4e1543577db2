#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 300
# guest: own
#
# What the module costs a machine that has no device to attest, and one that has two: loading it, and memory.

# shellcheck source=tools/testing/bench/common.sh
. /bench.sh

! built_in || exit 0

# load CASE...: puts the module in and takes it out again.
load() {
	before=$(awk '/^(Slab|VmallocUsed|Percpu):/ { sum += $2 } END { print sum * 1024 }' /proc/meminfo)
	clear_trace
	insmod /modules/spdm.ko
	stop_trace
	# The module's own memory is there until it goes.
	after=$(awk '/^(Slab|VmallocUsed|Percpu):/ { sum += $2 } END { print sum * 1024 }' /proc/meminfo)
	span 'spdm_loading'
	sample init us "$span" "$*"
	sample memory B $((after - before)) "$*"
	sample module B "$(cat /sys/module/spdm/coresize)" "$*"
	rmmod spdm
}

use_tracing
load_modules spdm
echo 'p:spdm_loading do_init_module' >$tracing/kprobe_events
echo 'r:spdm_loading_done do_init_module' >>$tracing/kprobe_events
echo 1 >$tracing/events/kprobes/enable
times "$runs" load 'module, two drives without a root'
for number in 0 1; do
	drive remove $number >/dev/null
	wait_for 20 test ! -e "/sys/bus/pci/devices/$(bdf $number)"
done
times "$runs" load 'module, no device to attest'
echo 0 >$tracing/events/kprobes/enable
: >$tracing/kprobe_events
