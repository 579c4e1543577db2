# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2034,SC2119,SC2120 # Variables and arguments are for the scripts.
#
# For scripts that run in a guest: words to report results (the names are those of the kernel's
# ktap_helpers.sh), to talk to the host's side, and to work with spdm. Source it:
#
#	. /lib.sh
#
# Drives of the guest: 0 and 1 have a responder each, 2 has no DOE, 3 and 4 have a responder and are
# not plugged in. Drive n is the PCI function "$(bdf n)" and the responder's device n.

# --- Results -----------------------------------------------------------------------------------

KTAP_TEST_NUM=0
KTAP_FAILED=0

ktap_print_header() {
	echo 'TAP version 13'
}

# ktap_set_plan N: how many results there will be; one more or less is a failure.
ktap_set_plan() {
	echo "1..$1"
}

ktap_test_pass() {
	KTAP_TEST_NUM=$((KTAP_TEST_NUM + 1))
	echo "ok $KTAP_TEST_NUM $*"
}

ktap_test_fail() {
	KTAP_TEST_NUM=$((KTAP_TEST_NUM + 1))
	KTAP_FAILED=$((KTAP_FAILED + 1))
	echo "not ok $KTAP_TEST_NUM $*"
}

# ktap_test_skip TEXT...: not counted as passed; say why.
ktap_test_skip() {
	KTAP_TEST_NUM=$((KTAP_TEST_NUM + 1))
	echo "ok $KTAP_TEST_NUM $* # SKIP"
}

# ktap_test_result TEXT COMMAND...: passes if the command succeeds.
ktap_test_result() {
	text=$1
	shift
	if "$@"; then ktap_test_pass "$text"; else ktap_test_fail "$text"; fi
}

# ktap_test_equal TEXT WANTED GOT: passes if they are the same; else shows both.
ktap_test_equal() {
	if [ "$2" = "$3" ]; then
		ktap_test_pass "$1"
	else
		echo "# wanted \"$2\", got \"$3\""
		ktap_test_fail "$1"
	fi
}

# ktap_test_match TEXT PATTERN GOT: passes if GOT matches the shell pattern.
ktap_test_match() {
	# shellcheck disable=SC2254 # It is a pattern.
	case $3 in
	$2) ktap_test_pass "$1" ;;
	*)
		echo "# wanted \"$2\", got \"$3\""
		ktap_test_fail "$1"
		;;
	esac
}

ktap_finished() {
	[ "$KTAP_FAILED" -eq 0 ]
	exit
}

# --- The host ----------------------------------------------------------------------------------

# host LINE...: says a line to the host and prints its answer, which is one line. File descriptor 3
# is the control port. Not from two processes at once: they could get each other's answers.
host() {
	printf '%s\n' "$*" >&3
	IFS= read -r answer <&3
	printf '%s\n' "$answer"
	case $answer in error*) return 1 ;; esac
}

# responder LINE...: a line for the responders' control channel, such as
# `responder set 0 fault=bad-signature` or `responder get 0 stats`.
responder() {
	host "responder $*"
}

# stat N NAME: a counter of responder N.
stat() {
	responder get "$1" stats | sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p"
}

# monitor COMMAND...: for QEMU's monitor.
monitor() {
	host "monitor $*"
}

# drive add|remove N: into or out of its slot, with the slot's attention button.
drive() {
	host "drive $*"
}

# --- Time --------------------------------------------------------------------------------------

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	tenths=$(($1 * 10))
	shift
	until "$@" 2>/dev/null; do
		[ "$tenths" -gt 0 ] || return 1
		tenths=$((tenths - 1))
		usleep 100000
	done
}

# --- Devices -----------------------------------------------------------------------------------

bdf() {
	printf '0000:%02x:00.0' $(($1 + 1))
}

# authenticated N: 1 or 0.
authenticated() {
	cat "/sys/bus/pci/devices/$(bdf "$1")/authenticated"
}

is_authenticated() {
	[ "$(authenticated "$1")" = 1 ]
}

# is_bound N: drive N has its driver.
is_bound() {
	[ "$(driver_of "$1")" = nvme ]
}

is_unbound() {
	[ ! -e "/sys/bus/pci/devices/$(bdf "$1")/driver" ]
}

# has_verdict N VERDICT: that is what sysfs says about drive N.
has_verdict() {
	verdict "$1"
	[ "$verdict" = "$2" ]
}

# attest N: attests drive N again and waits for the verdict.
attest() {
	echo re 2>/dev/null >"/sys/bus/pci/devices/$(bdf "$1")/authenticated"
}

# attribute N NAME: of the class device of drive N.
attribute() {
	cat "/sys/class/spdm/pci-$(bdf "$1")/$2"
}

# block_device FUNCTION: the name of the NVMe namespace on that PCI function.
block_device() {
	for namespace in "/sys/bus/pci/devices/$1"/nvme/nvme*/nvme*n1; do
		[ ! -d "$namespace" ] || basename "$namespace"
	done | grep -m 1 .
}

# drive_reads N: whether the first block of drive N can be read and is that of drive N.
drive_reads() {
	wait_for 20 block_device "$(bdf "$1")" >/dev/null || return 1
	dd if="/dev/$(block_device "$(bdf "$1")")" bs=512 count=1 2>/dev/null |
		grep -q "^drive $1 sector 0 "
}

driver_of() {
	basename "$(readlink "/sys/bus/pci/devices/$(bdf "$1")/driver")"
}

# --- Attestations ------------------------------------------------------------------------------

# What a write to `authenticated` may fail with, in the words of the C library.
EBUSY='Device or resource busy'
EINVAL='Invalid argument'
EIO='Input/output error'
EKEYEXPIRED='Key has expired'
EKEYREJECTED='Key was rejected by service'
ENODEV='No such device'
ENOKEY='Required key not available'
EPERM='Operation not permitted'
EPROTO='Protocol error'
EPROTONOSUPPORT='Protocol not supported'
ETIMEDOUT='Connection timed out'

# The functions below start no process if they can help it: that takes a while in an emulated machine.

# read_line FILE: its first line into $line; empty if there is none.
read_line() {
	line=
	IFS= read -r line 2>/dev/null <"$1"
	:
}

# configure N WORDS...: responder N is now as it was at the start, but for these words, and has not misbehaved.
configure() {
	number=$1
	played=0
	shift
	if ! responder reset "$number" >/dev/null ||
		! { [ -z "$*" ] || responder set "$number" "$*" >/run/answer; }; then
		read_line /run/answer
		echo "Bail out! responder $number: $*: $line"
		exit 1
	fi
}

# count N NAME: like stat, but into $count.
count() {
	responder get "$1" stats >/run/answer
	read_line /run/answer
	count=${line#*\""$2"\":}
	count=${count%%[,\}]*}
}

# re N: attests drive N again; $error is what the write fails with, or empty.
re() {
	error=
	if ! echo re 2>/run/error >"/sys/bus/pci/devices/0000:0$(($1 + 1)):00.0/authenticated"; then
		read_line /run/error
		error=${line##*: }
	fi
}

# forget N: the identity of drive N. It is attested again, and what it proves then is its new identity: for a
# responder that has been told to have another key.
forget() {
	echo 2>/dev/null >"/sys/class/spdm/pci-0000:0$(($1 + 1)):00.0/identity"
	:
}

# verdict N: all that sysfs says about drive N into $verdict: `0 failed busy: CHALLENGE`.
verdict() {
	read_line "/sys/bus/pci/devices/0000:0$(($1 + 1)):00.0/authenticated"
	verdict=$line
	read_line "/sys/class/spdm/pci-0000:0$(($1 + 1)):00.0/state"
	verdict="$verdict $line"
	read_line "/sys/class/spdm/pci-0000:0$(($1 + 1)):00.0/reason"
	verdict="$verdict${line:+ $line}"
}

# accepts N: attests drive N, and it is authenticated in every respect.
accepts() {
	re "$1"
	verdict "$1"
	[ "$error$verdict" = '1 authenticated' ] && return
	echo "# wanted \"1 authenticated\", got \"$verdict\", errno \"$error\""
	return 1
}

# refuses N REASON ERROR: attests drive N, and it is not, for a reason that matches this pattern, and the write
# fails with ERROR.
refuses() {
	re "$1"
	verdict "$1"
	wanted='0 failed'
	[ "$3" != "$EPROTONOSUPPORT" ] || wanted='0 unsupported'
	# shellcheck disable=SC2254 # It is a pattern.
	case $verdict in
	"$wanted "$2) [ "$error" != "$3" ] || return 0 ;;
	esac
	echo "# wanted \"$wanted $2\", errno \"$3\", got \"$verdict\", errno \"$error\""
	return 1
}

# misbehaves N WORDS REASON ERROR: told WORDS, which are `fault=` and what goes with it, responder N plays the fault
# once, drive N is refused, and then accepted. `configure N` comes first.
misbehaves() {
	responder set "$1" "$2 times=1" >/dev/null
	refuses "$1" "$3" "$4" || return 1
	accepts "$1" || return 1
	played=$((played + 1))
	count "$1" faults
	[ "$count" = $played ] && return
	echo "# the responder misbehaved $count times, not $played"
	return 1
}

# keeps_misbehaving N WORDS REASON ERROR: the same, and it plays the fault as often as it can.
keeps_misbehaving() {
	configure "$1" "$2"
	refuses "$1" "$3" "$4" || return 1
	count "$1" faults
	responder set "$1" fault=none >/dev/null
	accepts "$1" || return 1
	[ "$count" -gt 0 ] && return
	echo '# the responder did not misbehave'
	return 1
}

# copes N WORDS: responder N is told WORDS and plays the fault, and drive N is accepted nevertheless.
copes() {
	configure "$1" "$2"
	accepts "$1" || return 1
	count "$1" faults
	[ "$count" -gt 0 ] && return
	echo '# the responder did not misbehave'
	return 1
}

# challenged N TIMES: responder N has signed this often since it was configured, and was asked nothing that is against
# the standard.
challenged() {
	count "$1" challenges
	challenges=$count
	count "$1" violations
	[ "$challenges $count" = "$2 0" ] && return
	echo "# $challenges challenges, not $2; $count violations"
	return 1
}

# starts N EXPONENT: attests drive N in the background, as process $attesting, and waits until the drive has asked
# for a delay of 2^EXPONENT microseconds before CHALLENGE_AUTH.
starts() {
	configure "$1" "fault=not-ready at=CHALLENGE rd-exponent=$2"
	attest "$1" &
	attesting=$!
	wait_for 10 has_misbehaved "$1"
}

has_misbehaved() {
	count "$1" faults
	[ "$count" -gt 0 ]
}

# gives FILE TEXT: what writing the text fails with, or "ok", into $result.
gives() {
	result=ok
	if ! echo "$2" 2>/run/error >"$1"; then
		read_line /run/error
		result=${line##*: }
	fi
}

fails() {
	! "$@"
}

# bounded SECONDS COMMAND...: the command succeeds, in this time.
bounded() {
	seconds=$1
	read -r begin rest </proc/uptime
	shift
	"$@" || return 1
	read -r end rest </proc/uptime
	[ $((${end%.*} - ${begin%.*})) -le "$seconds" ] && return
	echo "# took from $begin to $end seconds after boot"
	return 1
}

# in_order FIRST SECOND: the first lines since the mark that match either match first this, then that.
in_order() {
	log_since >/run/log
	if ! grep -E "$1|$2" /run/log | head -n 1 | grep -qE "$1" || ! grep -qE "$2" /run/log; then
		sed 's/^/# /' /run/log
		return 1
	fi
}

# log_mark: puts a mark into the kernel log. log_since: what has come after the last mark.
log_mark() {
	echo 'selftest: mark' >/dev/kmsg
}

log_since() {
	dmesg | awk '/selftest: mark$/ { text = ""; next } { text = text $0 "\n" } END { printf "%s", text }'
}

# sleep_and_wake [SECONDS]: the system, to RAM, until so many seconds from now. An alarm that rings before the system
# is asleep does not wake it, and a kernel that checks itself is slow.
sleep_and_wake() {
	echo deep >/sys/power/mem_sleep
	echo 0 >/sys/class/rtc/rtc0/wakealarm
	if built_in; then alarm=5; else alarm=2; fi
	echo "+${1:-$alarm}" >/sys/class/rtc/rtc0/wakealarm
	echo mem >/sys/power/state
}

# idle_and_wake [ORDER...]: the system suspends to idle. When it does, which it says on its console, the host carries
# out the orders, and then sends something to the control port, which wakes it.
idle_and_wake() {
	echo s2idle >/sys/power/mem_sleep
	echo N >/sys/module/printk/parameters/console_suspend
	echo 1 >/sys/power/pm_debug_messages
	read -r level rest </proc/sys/kernel/printk
	echo 8 >/proc/sys/kernel/printk
	echo enabled >/sys/class/tty/ttyS1/power/wakeup
	for order in "$@" wake; do
		host "when PM: suspend-to-idle then $order" >/dev/null
	done
	line=
	echo mem >/sys/power/state && IFS= read -r line <&3
	echo "$level" >/proc/sys/kernel/printk
	echo 0 >/sys/power/pm_debug_messages
	echo Y >/sys/module/printk/parameters/console_suspend
	[ "$line" = wake ]
}

# hibernate [ORDER...]: the system writes an image of itself to the drive that it swaps to, and powers off. The host
# carries out the orders, switches it on, it restores the image, and goes on from here.
hibernate() {
	host "hibernate resume=$swap" >/dev/null
	for order; do host "off $order" >/dev/null; done
	if ! echo disk >/sys/power/state; then
		host hibernate >/dev/null
		return 1
	fi
	# The host waits for that from each machine that is switched on.
	printf '\nhello\n' >&3
}

# swap_to N: the system swaps to drive N, the function $swap.
swap_to() {
	swap=$(bdf "$1")
	wait_for 20 block_device "$swap" >/dev/null &&
		mkswap "/dev/$(block_device "$swap")" >/dev/null &&
		swapon "/dev/$(block_device "$swap")"
}

# plug N...: drives into their slots, with their driver.
plug() {
	for number; do drive add "$number" >/dev/null; done
	for number; do wait_for 30 is_bound "$number" || return 1; done
}

# unplug N...: and out of them.
unplug() {
	for number; do drive remove "$number" >/dev/null; done
	for number; do wait_for 30 is_gone "$number" || return 1; done
}

is_gone() {
	[ ! -e "/sys/bus/pci/devices/$(bdf "$1")" ] && [ ! -e "/sys/class/spdm/pci-$(bdf "$1")" ]
}

# leave_pciehp_its_locks: for guests with native hot plug. pciehp_ist() takes reset_lock, then pci_rescan_remove_lock;
# pciehp_configure_device() and pciehp_unconfigure_device() give up the one and take it again while they hold the other.
# lockdep reports that whoever uses the device, and would report nothing after it.
leave_pciehp_its_locks() {
	[ ! -e /proc/sys/kernel/prove_locking ] || echo 0 >/proc/sys/kernel/prove_locking
}

tracing=/sys/kernel/tracing

# trace_sleep: from here on the kernel notes what happens when, up to trace_ends.
trace_sleep() {
	echo 0 >$tracing/tracing_on
	echo 'p:sleep/module_request __request_module' >$tracing/kprobe_events
	echo 'p:sleep/user_mode_helper call_usermodehelper_exec' >>$tracing/kprobe_events
	echo 4096 >$tracing/buffer_size_kb
	echo >$tracing/trace
	traced='power/device_pm_callback_start power/suspend_resume sched/sched_switch kmem/mm_page_alloc spdm sleep'
	for event in $traced; do echo 1 >"$tracing/events/$event/enable"; done
	echo 1 >$tracing/tracing_on
}

trace_ends() {
	echo 0 >$tracing/tracing_on
	cat $tracing/trace >/run/trace
	for event in $traced; do echo 0 >"$tracing/events/$event/enable"; done
	# This empties the trace, too.
	echo >$tracing/kprobe_events
}

# from_to FIRST LAST: what was traced from the first line that matches the one to the next that matches the other.
from_to() {
	awk -v first="$1" -v last="$2" '$0 ~ first { on = 1 } on && $0 ~ last { exit } on' /run/trace
}

# waking: what was traced from the first device that wakes to the first process of user space.
waking() {
	from_to 'suspend_resume: dpm_resume_noirq.* begin' 'suspend_resume: thaw_processes.* begin'
}

# order_of FUNCTION: what happened to that PCI function when the system woke, in this order.
order_of() {
	awk -v name="$1" '
		function say(word) {
			if (word != last && (last || word == "parent")) printf "%s%s", last ? " " : "", word
			if (last || word == "parent") last = word
		}
		/device_pm_callback_start/ && /\[(resume|restore|thaw|recover)\]/ {
			if (index($0, " " name ", parent"))
				say(/, noirq / ? "parent" : "driver")
			if (index($0, " pci-" name ", parent") && /, noirq /)
				say("attester")
		}
		/spdm_message/ && index($0, "=pci-" name " ") { say("messages") }
		/spdm_verdict/ && index($0, "=pci-" name " ") { say("verdict") }
		/suspend_resume: thaw_processes.* begin/ && last { say("processes"); exit }
	' /run/trace
}

# processes: of user space, other than this one, as an expression for their numbers.
processes() {
	for process in /proc/[0-9]*; do
		[ ! -e "$process/exe" ] || [ "${process#/proc/}" = $$ ] || printf '%s|' "${process#/proc/}"
	done
	echo 0x
}

# sleeps_well COMMAND: 29 results of a kind of sleep, for which the command takes orders to be carried out while the
# system sleeps. All is true again after it.
sleeps_well() {
	asleep=$1
	plug 3 4
	for number in 0 1 3 4; do
		configure "$number"
		accepts "$number"
		drive_reads "$number"
	done

	# The same devices.
	others=$(processes)
	trace_sleep
	ktap_test_result 'the system sleeps and wakes' "$asleep"
	# A file system that there is not: this asks for a module, and tells that it would have been noticed.
	mount -t none-such none /tmp 2>/dev/null
	trace_ends
	for number in 0 1 3 4; do
		verdict "$number"
		ktap_test_equal "drive $number is authenticated after sleep" '1 authenticated' "$verdict"
		ktap_test_equal 'before its driver was woken, and before processes were' \
			'parent attester messages verdict driver processes' "$(order_of "$(bdf "$number")")"
	done
	ktap_test_result 'something ran meanwhile' [ "$(waking | grep -c sched_switch)" -gt 0 ]
	ktap_test_equal 'but nothing of user space, such as process 1' '1 0' \
		"${others%%|*} $(waking | grep -cE "sched_switch.* next_pid=($others) ")"
	ktap_test_equal 'no memory was asked for that may have to be written to a drive first' '' \
		"$(from_to 'suspend_resume: dpm_resume_noirq.* begin' 'suspend_resume: dpm_resume_noirq.* end' |
			grep -E 'mm_page_alloc.*(GFP_(KERNEL|NOFS|USER|HIGHUSER|TRANSHUGE)|GFP_IO.*RECLAIM)')"
	ktap_test_equal 'no module and no helper was asked for, from the first device that slept' 0 \
		"$(from_to 'suspend_resume: dpm_prepare.* begin' 'suspend_resume: thaw_processes.* begin' |
			grep -cE 'module_request|user_mode_helper')"
	ktap_test_result 'which can be noticed' grep -q 'module_request: ' /run/trace

	# Other ones, and ones that fail.
	"$asleep" 'responder set 0 key=7' 'responder set 1 slot0=untrusted' 'responder set 3 fault=silence' \
		'responder set 4 fault=not-ready at=CHALLENGE rd-exponent=21'
	verdict 0
	ktap_test_match 'a drive that was swapped is refused' '0 failed identity-changed: *' "$verdict"
	verdict 1
	ktap_test_match 'one that nobody trusts any more' '0 failed untrusted-root: slot 0:*' "$verdict"
	verdict 3
	ktap_test_equal 'one that is silent' '0 failed timeout: GET_VERSION' "$verdict"
	ktap_test_result 'in bounded time' [ "$(attribute 3 duration_us)" -lt 6000000 ]
	verdict 4
	ktap_test_equal 'one that is slow is authenticated' '1 authenticated' "$verdict"
	if [ "$asleep" = hibernate ] && built_in; then
		ktap_test_skip 'it was slow once, for the kernel that read the image'
	else
		ktap_test_result 'and has its time' [ "$(attribute 4 duration_us)" -ge 2000000 ]
	fi
	for number in 0 1 3 4; do
		configure "$number"
		ktap_test_result "drive $number is as it was, and works" works "$number"
	done

	# No longer trusted, no longer there, and not to be asked.
	clear_roots
	echo never >"/sys/class/spdm/pci-$(bdf 3)/resume_policy"
	"$asleep" 'responder set 4 fault=close'
	verdict 0
	ktap_test_match 'one whose root was removed is refused' '0 failed untrusted-root: slot 0:*' "$verdict"
	verdict 3
	ktap_test_equal 'one that is not to be asked is not' '0 stale' "$verdict"
	verdict 4
	ktap_test_match 'one without a responder is refused' '0 failed *: GET_VERSION' "$verdict"
	add_root ecdsa-p384 >/dev/null
	ktap_test_result 'one whose root is back is authenticated' wait_for 10 has_verdict 0 '1 authenticated'
	ktap_test_result 'drives can be unplugged' unplug 3 4
}

works() {
	accepts "$1" && drive_reads "$1"
}

# --- Emulated mailboxes (doe_emu/README.rst) ----------------------------------------------------

# An emulated mailbox N is the function in slot N of bus 10000:00, and device N of a responder in this guest.
emulated() {
	printf '10000:00:%02x.0' "$1"
}

# ask LINE: the responder in this guest; the answer is in $line.
ask() {
	echo "$*" >&4
	IFS= read -r line <&5
	case $line in error*) echo "# $* gives $line" ;; esac
}

# needs_emulation: this script is for a guest that has them.
needs_emulation() {
	[ -e /modules/doe_emu.ko ] && [ -e /bin/spdm-responder ] && return
	ktap_set_plan 1
	ktap_test_skip 'there is no test module, or no responder in the guest'
	ktap_finished
}

# serve_emulated N ASYM WORDS...: so many that can be put into their slots, and a responder in this guest that answers for
# them, with keys of that algorithm, whose root is in .cma. $line is "ready" if it is there.
serve_emulated() {
	insmod /modules/doe_emu.ko "devices=$1" plugged=0
	[ -p /tmp/in ] || mkfifo /tmp/in /tmp/out
	devices=
	number=0
	while [ $number -lt "$1" ]; do
		devices="$devices --device /dev/doe_emu$number"
		number=$((number + 1))
	done
	asym=$2
	shift 2
	# shellcheck disable=SC2086 # They are words.
	spdm-responder doe-emu $devices --pki /tmp/pki --set "asym=$asym $*" --control-stdin \
		</tmp/in >/tmp/out 2>/tmp/responder.log &
	server=$!
	exec 4>/tmp/in 5</tmp/out
	line=
	until [ "$line" = ready ]; do IFS= read -r line <&5 || break; done
	add_root "/tmp/pki/roots/$asym.der" >/dev/null
}

# settled N: it is authenticated. One whose responder was not done within the second that a mailbox has is asked again: a
# machine may be slow.
settled() {
	entry=/sys/class/spdm/pci-$(emulated "$1")
	case $(cat "$entry/reason") in
	timeout:*) echo re >"/sys/bus/pci/devices/$(emulated "$1")/authenticated" ;;
	esac
	[ "$(cat "$entry/state")" = authenticated ]
}

# emulate N: so many are in their slots, and authenticated, if that goes.
emulate() {
	serve_emulated "$1" ecdsa-p256 hash=sha256
	for file in /sys/class/misc/doe_emu*/present; do echo 1 >"$file"; done
	echo 1 >/sys/bus/pci/rescan
	number=0
	while [ $number -lt "$1" ]; do
		wait_for 30 settled $number
		number=$((number + 1))
	done
}

# end_emulation: they go, with their responder.
end_emulation() {
	exec 4>&- 5<&-
	kill "$server"
	wait "$server" 2>/dev/null
	rmmod doe_emu
}

# --- MCTP --------------------------------------------------------------------------------------

# needs_mctp: this script is for a kernel that has MCTP.
needs_mctp() {
	grep -q '^MCTP ' /proc/net/protocols && return
	ktap_set_plan 1
	ktap_test_skip 'this kernel has no MCTP'
	ktap_finished
}

# serve_lines NUMBER WORDS...: a responder at the end of so many new serial lines, which are network devices in
# $devices; it is process $server and listens to `ask`. $line is the last line, and $device its device.
serve_lines() {
	number=$1
	shift
	links=
	while [ "$number" -gt 0 ]; do
		links="$links --link pty"
		number=$((number - 1))
	done
	rm -f /run/asked /run/answers
	mkfifo /run/asked /run/answers
	# shellcheck disable=SC2086 # These are words.
	spdm-responder mctp $links --eid 9 --pki /tmp/pki --control-stdin "$@" \
		</run/asked >/run/answers 2>/run/mctp.log &
	server=$!
	exec 4>/run/asked 5</run/answers
	devices=
	line=
	until [ "$line" = ready ]; do
		IFS= read -r line <&5 || return 1
		case $line in
		serving*)
			last=${line#serving }
			last=${last%% *}
			attach "$last" || return 1
			devices="$devices $device"
			;;
		esac
	done
	line=$last
}

# attach LINE: it is the network device $device as long as its other end is there.
attach() {
	: >/run/attached
	# Nothing that outlives a script may hold its output open.
	mctpcfg attach "$1" >/run/attached 2>&1 &
	wait_for 20 grep -q attached /run/attached || return 1
	read -r device device </run/attached
}

# way DEVICE NETWORK EID...: from here to the endpoints at the end of the line.
way() {
	mctpcfg net "$1" "$2" && mctpcfg up "$1" && mctpcfg addr "$1" 8 || return 1
	line=$1
	shift 2
	for eid; do mctpcfg route "$line" "$eid" || return 1; done
}

# says NAME: authenticated, state and reason of that device of the class into $said.
says() {
	read_line "/sys/class/spdm/$1/authenticated"
	said=$line
	read_line "/sys/class/spdm/$1/state"
	said="$said $line"
	read_line "/sys/class/spdm/$1/reason"
	said="$said${line:+ $line}"
}

# attests NAME: the same after an attestation, and before it what the write fails with.
attests() {
	gives "/sys/class/spdm/$1/authenticated" re
	says "$1"
	said="$result $said"
}

# is NAME PATTERN: what it says matches the shell pattern.
is() {
	says "$1"
	# shellcheck disable=SC2254 # It is a pattern.
	case $said in $2) return 0 ;; esac
	return 1
}

# becomes NAME PATTERN: in a while.
becomes() {
	wait_for 30 is "$1" "$2" && return
	echo "# wanted \"$2\", got \"$said\""
	return 1
}

# --- Module and keyring ------------------------------------------------------------------------

# Whether spdm is built into this kernel.
built_in() {
	[ ! -e /modules/spdm.ko ]
}

load_modules() {
	while read -r module; do
		grep -q "^$(basename "$module" .ko | tr - _) " /proc/modules ||
			insmod "/modules/$module" || return 1
	done <"/modules/$1.list"
}

load_spdm() {
	built_in || { load_modules spdm && insmod /modules/spdm.ko "$@"; }
}

# start_spdm [ROOT...]: spdm runs, the roots in .cma are these, drives 0 and 1 have been attested.
start_spdm() {
	[ -d /sys/class/spdm ] || load_spdm || return 1
	clear_roots
	for name; do add_root "$name" >/dev/null || return 1; done
	# This waits for attestations that loading and roots have begun.
	forget 0
	forget 1
}

# whole_attestations: from now on each attestation does everything, whatever the last one has shown.
whole_attestations() {
	echo N >/sys/module/spdm/parameters/cache
}

unload_spdm() {
	built_in || rmmod spdm
}

load_nvme() {
	built_in || load_modules nvme
}

unload_nvme() {
	built_in || { ! grep -q '^nvme ' /proc/modules || rmmod nvme; }
}

# add_root FILE|NAME: a root certificate into .cma, by file or by name in /roots.
add_root() {
	file=$1
	[ -f "$file" ] || file=/roots/$1.der
	keyctl padd asymmetric '' %:.cma <"$file"
}

clear_roots() {
	keyctl clear %:.cma
}
