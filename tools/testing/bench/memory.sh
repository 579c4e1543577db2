#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 600
#
# Memory that an attestation takes: what the task that asks for it allocates and frees, by the tracepoints of the
# allocators, from the module's first allocation until user space is told of the verdict. The files that show evidence
# are counted by themselves.

# shellcheck source=tools/testing/bench/common.sh
. /bench.sh

cache=/sys/module/spdm/parameters/cache

# memory CASE...: attests the drive; a size is what the allocator gave, not what was asked for.
memory() {
	clear_trace
	# A shell of its own is a task of its own, which asks for nothing else.
	sh -c "echo \$\$ >$tracing/set_event_pid; echo re >/sys/bus/pci/devices/0000:01:00.0/authenticated"
	: >$tracing/set_event_pid
	stop_trace
	if ! is_authenticated 0; then
		echo 'the drive is not authenticated'
		exit 1
	fi
	awk -v name="$*" -v stays="$stays" '
		function word(key,    i) {
			for (i = 1; i <= NF; i++)
				if (index($i, key "=") == 1)
					return substr($i, length(key) + 2)
			return ""
		}
		# Until there is a filter, other tasks are in the trace, too.
		!begun { if (/ kmalloc: call_site=.*\[spdm\]/) begun = 1; else next }
		# Memory of the process, not of the kernel.
		/mm_page_alloc: / && /GFP_HIGHUSER|__GFP_MOVABLE|__GFP_ACCOUNT/ { next }
		/spdm_verdict: / { over = 1 }
		/ (kmalloc|kmem_cache_alloc): / {
			size = word("bytes_alloc") + 0
			if (/kernfs|spdm_file|publish/) {
				files += size
				next
			}
			held[word("ptr")] = size
			own[word("ptr")] = /\[spdm\]|kvrealloc/
			now += size
			if (size > largest)
				largest = size
		}
		/ mm_page_alloc: / {
			# Slabs are made of pages, which are counted as what is allocated from them.
			if ($0 ~ /__GFP_COMP/)
				next
			size = 4096
			for (order = word("order"); order > 0; order--)
				size *= 2
			held["page" word("pfn")] = size
			now += size
			if (size > largest)
				largest = size
		}
		/ (kfree|kmem_cache_free): / { p = word("ptr"); if (p in held) { now -= held[p]; delete held[p] } }
		/ mm_page_free: / { p = "page" word("pfn"); if (p in held) { now -= held[p]; delete held[p] } }
		now > peak && !over { peak = now }
		END {
			if (stays) {
				for (p in held)
					kept += own[p] * held[p]
				printf "sample stays B %d %s\n", kept, name
				printf "sample files B %d %s\n", files, name
			}
			printf "sample peak B %d %s\n", peak, name
			printf "sample largest B %d %s\n", largest, name
		}' $trace
}

# anew CASE...: the same after a failure, which leaves nothing for the next attestation.
anew() {
	responder set 0 fault=bad-signature times=1 >/dev/null
	re 0
	memory "$@"
}

# slab_bytes: what the slabs of the machine hold that cannot be reclaimed, into $slab.
slab_bytes() {
	echo 3 >/proc/sys/vm/drop_caches
	slab=$(awk '/^SUnreclaim:/ { print $2 * 1024 }' /proc/meminfo)
}

start_spdm ecdsa-p384
use_tracing
stays=
for event in kmem/kmalloc kmem/kfree kmem/kmem_cache_alloc kmem/kmem_cache_free kmem/mm_page_alloc kmem/mm_page_free \
	spdm/spdm_message spdm/spdm_verdict; do
	echo 1 >$tracing/events/$event/enable
done
for flags in 6 0x16; do
	with=
	[ $flags = 6 ] || with=', with measurements'
	configure 0 "version=1.3 hash=sha384 asym=ecdsa-p384 flags=$flags"
	echo N >$cache
	re 0
	times "$runs" memory "first$with"
	stays=1
	times "$runs" anew "after a failure$with"
	stays=
	echo Y >$cache
	re 0
	times "$runs" memory "again, chain kept$with"
done
for event in kmem spdm; do
	echo 0 >$tracing/events/$event/enable
done

# What attestations leave behind in the whole machine.
times 20 re 0
slab_bytes
before=$slab
times 200 re 0
slab_bytes
sample kept_each B $(((slab - before) / 200)) 'again, 200 times: unreclaimable slabs of the machine'
