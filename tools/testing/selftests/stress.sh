#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# guest: own
# timeout: 420
#
# All that can happen to a device at random, and against each other, for a minute, or as long as `make stress` says.
# What each of the processes does follows from SEED, which of them comes first does not.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

kmemleak=/sys/kernel/debug/kmemleak
functions='0000:01:00.0 0000:02:00.0 10000:00:00.0 10000:00:01.0 10000:00:02.0 10000:00:03.0'

# setting NAME DEFAULT: from the kernel's command line.
setting() {
	value=$2
	# shellcheck disable=SC2013 # They are words.
	for word in $(cat /proc/cmdline); do
		case $word in "selftest.$1="*) value=${word#*=} ;; esac
	done
	echo "$value"
}

# random N: $random is at least 0 and less than N.
random() {
	seed=$(((seed * 1103515245 + 12345) & 0x7fffffff))
	random=$(((seed >> 8) % $1))
}

# any WORD...: one of them, into $any.
any() {
	random $#
	shift "$random"
	any=$1
}

# some_function: one of them, into $any.
some_function() {
	# shellcheck disable=SC2086 # They are words.
	any $functions
}

attests() {
	some_function
	echo re >"/sys/bus/pci/devices/$any/authenticated"
}

forgets() {
	some_function
	echo >"/sys/class/spdm/pci-$any/identity"
}

enforces() {
	some_function
	entry=/sys/class/spdm/pci-$any
	any enforce audit audit off
	echo "$any" >"$entry/policy"
}

rebinds() {
	some_function
	case $any in 0*) driver=nvme ;; *) driver=doe_emu_drv ;; esac
	echo "$any" >/sys/bus/pci/drivers/"$driver"/unbind
	echo "$any" >/sys/bus/pci/drivers/"$driver"/bind
}

# Not what may be torn out: the PCI core's remove_store() goes on with a function that has been removed while it waited,
# and KASAN reports it.
removes() {
	any 0000:01:00.0 0000:02:00.0
	echo 1 >"/sys/bus/pci/devices/$any/remove"
	random 300000
	usleep "$random"
	echo 1 >/sys/bus/pci/rescan
}

tears_out() {
	any 0 1 2 3
	directory=/sys/class/misc/doe_emu$any
	echo 0 >"$directory/present"
	random 300000
	usleep "$random"
	echo 0 >"$directory/plugged"
	echo 1 >"$directory/plugged"
}

resets() {
	some_function
	echo 1 >"/sys/bus/pci/devices/$any/reset"
}

# All phases of suspend and resume, without the machine's part: a timer that rings before the machine sleeps would not
# wake it.
sleeps() {
	random 4000000
	usleep "$random"
	echo mem >/sys/power/state
}

# Only where SPDM is a module.
reloads() {
	random 2000000
	usleep "$random"
	rmmod spdm
	random 300000
	usleep "$random"
	insmod /modules/spdm.ko
	add_root ecdsa-p384
	add_root /tmp/pki/roots/ecdsa-p256.der
}

takes_over() {
	insmod /modules/tsm_test.ko
	random 500000
	usleep "$random"
	rmmod tsm_test
	random 5000000
	usleep "$random"
}

# plays NUMBER COMMAND: does that again and again, until it is time to stop.
plays() {
	seed=$((SEED + $1))
	turns=0
	while [ ! -e /run/stop ]; do
		$2 >/dev/null 2>&1
		turns=$((turns + 1))
		random 500000
		usleep "$random"
	done
	echo "# $2 $turns" >"/run/turns.$1"
}

has_ended() {
	! kill -0 "$1"
}

# settles FUNCTION: it is there, and authenticated when it is attested once more. All of them are honest.
settles() {
	wait_for 30 [ -e "/sys/bus/pci/devices/$1/authenticated" ] || return 1
	echo audit >"/sys/class/spdm/pci-$1/policy"
	echo >"/sys/class/spdm/pci-$1/identity"
	echo re >"/sys/bus/pci/devices/$1/authenticated" &&
		[ "$(cat "/sys/bus/pci/devices/$1/authenticated")" = 1 ] && return
	grep . "/sys/class/spdm/pci-$1/state" "/sys/class/spdm/pci-$1/reason" | sed 's/^/# /'
	return 1
}

ktap_print_header
needs_emulation
TIME=$(setting time 60)
SEED=$(setting seed "$(date +%s)")
actors='attests attests forgets enforces rebinds removes tears_out resets sleeps takes_over'
built_in || actors="$actors reloads"
# shellcheck disable=SC2086 # They are words.
ktap_set_plan $((5 + $(echo $functions | wc -w)))
start_spdm ecdsa-p384
load_nvme
emulate 4
insmod /modules/doe_emu_drv.ko
drive_reads 0
configure 0
configure 1
echo platform >/sys/power/pm_test
echo 0 >/sys/module/suspend/parameters/pm_test_delay
# For a minute the PCI core waits for a function that was torn out while it was reset, and cannot be frozen.
echo 90000 >/sys/power/pm_freeze_timeout
if [ -e $kmemleak ]; then
	echo scan=off >$kmemleak
	echo clear >$kmemleak
fi

echo "# TIME=$TIME SEED=$SEED"
number=0
processes=
for actor in $actors; do
	number=$((number + 1))
	plays $number "$actor" &
	processes="$processes $!"
done
sleep "$TIME"
touch /run/stop
ended=0
for process in $processes; do
	wait_for 120 has_ended "$process" && ended=$((ended + 1))
done
cat /run/turns.*
[ "$ended" = "$number" ] || echo w >/proc/sysrq-trigger
ktap_test_equal 'all that was begun has come to its end' "$number" "$ended"

rmmod tsm_test 2>/dev/null
[ -d /sys/class/spdm ] || load_spdm
add_root ecdsa-p384 >/dev/null
add_root /tmp/pki/roots/ecdsa-p256.der >/dev/null
for file in /sys/class/misc/doe_emu*/plugged; do echo 1 >"$file"; done
echo 1 >/sys/bus/pci/rescan
for function in $functions; do
	ktap_test_result "the function $function is authenticated" settles "$function"
done
echo 0000:01:00.0 2>/dev/null >/sys/bus/pci/drivers/nvme/bind
echo 0000:02:00.0 2>/dev/null >/sys/bus/pci/drivers/nvme/bind
ktap_test_result 'a drive works' drive_reads 0
ktap_test_result 'and the other' drive_reads 1
rmmod doe_emu_drv
ktap_test_result 'the mailboxes go' end_emulation

if [ -e $kmemleak ]; then
	sleep 6
	echo scan >$kmemleak
	sleep 1
	echo scan >$kmemleak
	if [ -z "$(cat $kmemleak)" ]; then
		ktap_test_pass 'nothing is lost'
	else
		head -n 60 $kmemleak | sed 's/^/# /'
		ktap_test_fail 'nothing is lost'
	fi
else
	ktap_test_skip 'this kernel does not look for leaks'
fi
ktap_finished
