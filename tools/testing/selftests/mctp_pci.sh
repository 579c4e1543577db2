#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# timeout: 240
#
# One device with two paths: a PCI function with a mailbox (an emulated one) and an MCTP endpoint at the end of a serial
# line answer with the same key and certificates.

# shellcheck source=tools/testing/selftests/lib.sh
. /lib.sh

class=/sys/class/spdm
pci=pci-$(emulated 0)
# A network that no other script uses.
endpoint='mctp-31-9'

# proven NAME: it is authenticated.
proven() {
	read_line "$class/$1/state"
	[ "$line" = authenticated ]
}

# share: both say that they are one.
share() {
	read_line "$class/$pci/same_device_as"
	[ "$line" = "$endpoint" ] || return 1
	read_line "$class/$endpoint/same_device_as"
	[ "$line" = "$pci" ]
}

# alone NAME: it is authenticated, and says that it has no other path.
alone() {
	proven "$1" || return 1
	read_line "$class/$1/same_device_as"
	[ -z "$line" ]
}

ktap_print_header
needs_mctp
needs_emulation
start_spdm
ktap_set_plan 19
emulate 1
ktap_test_equal 'a responder serves a mailbox' ready "$line"
mailbox=$server
# So that it does not see the end of its orders.
exec 6>&4 7<&5
san=Vendor=1b36:Device=d0e0:CC=ff0000:REV=01:SSVID=1b36:SSID=d0e0
ktap_test_result 'and another one a line' serve_lines 1 --set "asym=ecdsa-p256 hash=sha256 san=$san"
ktap_test_result 'there is a way to it' way "$device" 31 9
ktap_test_result 'the function is authenticated' wait_for 30 proven "$pci"
ktap_test_result 'it is the only path' alone "$pci"
gives $class/add_mctp '31 9'
ktap_test_result 'the endpoint is authenticated' wait_for 30 proven "$endpoint"
ktap_test_result 'both have the same certificates' cmp \
	"/sys/bus/pci/devices/$(emulated 0)/certificates/slot0" "$class/$endpoint/certificates/slot0"
ktap_test_result 'both are one device with two paths' share

# One of them is no longer there, or not proven.
gives $class/remove_mctp '31 9'
ktap_test_result 'the endpoint is removed: the function is alone' alone "$pci"
gives $class/add_mctp '31 9'
ktap_test_result 'it is added: there are two paths' wait_for 30 share
mctpcfg route "$device" 9 --delete
ktap_test_result 'it has no route: the function is alone' alone "$pci"
mctpcfg route "$device" 9
ktap_test_result 'it has: there are two paths' wait_for 30 share
mctpcfg down "$device"
ktap_test_result 'its link is down: the function is alone' alone "$pci"
mctpcfg up "$device"
ktap_test_result 'and up: there are two paths' wait_for 30 share
echo 1 >"/sys/bus/pci/devices/$(emulated 0)/remove"
ktap_test_result 'the function is removed' test ! -e "$class/$pci"
ktap_test_result 'and the endpoint alone' alone "$endpoint"
echo 1 >/sys/bus/pci/rescan
ktap_test_result 'the function is found again: there are two paths' wait_for 30 share
ask 'set 0 key=1'
gives "$class/$endpoint/identity" ''
ktap_test_result 'with another key the endpoint is another device' alone "$endpoint"
ktap_test_result 'and so is the function' alone "$pci"

gives $class/remove_mctp '31 9'
kill "$server"
exec 4>&6 5<&7 6>&- 7<&-
server=$mailbox
end_emulation
ktap_finished
