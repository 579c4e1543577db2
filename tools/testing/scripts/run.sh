#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make run: from whatever is there to a report on an attested drive.
#
#   KERNEL=stock|test    the distribution's kernel with spdm.ko, or one built with spdm in it
#   TRANSPORT=doe|mctp   drives with DOE mailboxes, or MCTP endpoints at the end of a serial line; MCTP
#                        takes KERNEL=test, as Debian's kernel has none
#   DEVICES=n            drives, each with a responder of its own, or endpoints
#   FAULT=name           makes the responder misbehave
#   SWAP=1               puts another drive into the slot while the system sleeps
#   RESPONDER=host:port  a responder that is already running, and
#   ROOT=file            its root certificate (PEM or DER)
#   EVIDENCE=file        keeps the first drive's evidence, for spdmctl verify
#   SHELL=1              a prompt in the guest

# shellcheck source=tools/testing/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=tools/testing/scripts/prepare.sh
. "$scripts/prepare.sh"

transport=${TRANSPORT:-doe}
case $transport in
doe) kernel=${KERNEL:-stock} ;;
mctp)
	kernel=${KERNEL:-test}
	[ "$kernel" != stock ] || die "TRANSPORT=mctp is for KERNEL=test: Debian's kernel has no MCTP (CONFIG_MCTP)"
	;;
*) die "TRANSPORT=$transport: there is doe and mctp" ;;
esac
case $kernel in
stock | test) ;;
*) die "KERNEL=$kernel: there is stock and test" ;;
esac
[[ ${DEVICES:-1} =~ ^[0-9]+$ ]] || die "DEVICES=$DEVICES is not a number"
[[ ${SWAP:-} =~ ^1?$ ]] || die "SWAP=$SWAP: there is SWAP=1"
if [ "$transport" = mctp ]; then
	[ -z "${RESPONDER:-}" ] || die "RESPONDER is for drives, not for TRANSPORT=mctp"
fi
if [ -n "${RESPONDER:-}" ]; then
	[[ $RESPONDER =~ ^.+:[0-9]+$ ]] || die "RESPONDER=$RESPONDER is not host:port"
	[ -n "${ROOT:-}" ] || echo "note: without ROOT=file the test roots are used, which it may not have"
	[ -z "${FAULT:-}" ] || die "FAULT is for our own responder, not for RESPONDER"
	[ -z "${SWAP:-}" ] || die "SWAP is for our own responder, not for RESPONDER"
fi
if [ -n "${ROOT:-}" ] && [ ! -r "$ROOT" ]; then
	die "ROOT=$ROOT cannot be read"
fi
if [ -n "${EVIDENCE:-}" ]; then
	[ -z "${SHELL_IN_GUEST:-}" ] || die "EVIDENCE is not for SHELL=1"
	: 2>/dev/null >>"$EVIDENCE" || die "EVIDENCE=$EVIDENCE cannot be written"
fi

as_root "$@"
check_host
open_cache
prepare_root
prepare_stock_kernel
[ "$kernel" = stock ] || prepare_test_kernel
lock build
prepare_programs
arguments=()
if [ "$kernel" = stock ]; then
	prepare_module
	make_run_directory
	cp "$cache/module/spdm/spdm.ko" "$run_dir/"
	arguments+=(--kernel /part/vmlinuz --modules /part/modules --release "$stock_release"
		--spdm /run/spdm/spdm.ko)
else
	build_test_kernel
	make_run_directory
	cp "$test_part/build/arch/x86/boot/bzImage" "$run_dir/"
	arguments+=(--kernel /run/spdm/bzImage)
fi
unlock

if [ -n "${ROOT:-}" ]; then
	cp "$ROOT" "$run_dir/root"
	arguments+=(--root /run/spdm/root)
fi
arguments+=(--transport "$transport")
[ "$transport" = doe ] || arguments+=(--extra /run/spdm/in-guest/mctpcfg)
[ -z "${DEVICES:-}" ] || arguments+=(--devices "$DEVICES")
[ -z "${FAULT:-}" ] || arguments+=(--fault "$FAULT")
[ -z "${SWAP:-}" ] || arguments+=(--swap)
[ -z "${EVIDENCE:-}" ] || arguments+=(--evidence /run/spdm/evidence)
[ -z "${RESPONDER:-}" ] || arguments+=(--responder "$RESPONDER")
if [ -n "${SHELL_IN_GUEST:-}" ]; then
	arguments+=(--shell)
	tty_state=$(stty -g 2>/dev/null || true)
fi

mounts+=("$run_dir=/run/spdm")
status=0
inside /run/spdm/vm run "${arguments[@]}" --responder-program /run/spdm/spdm-responder \
	--spdmctl /run/spdm/in-guest/spdmctl --pki /cache/pki --directory /run/spdm/guest || status=$?
if [ -s "$run_dir/evidence" ]; then
	cp "$run_dir/evidence" "$EVIDENCE"
	root=${ROOT:-$cache/pki/roots/ecdsa-p384.der}
	echo "  try: $cache/target/tools/spdmctl verify $EVIDENCE --root $root"
fi
keep_guest_logs
[ "$status" -eq 0 ] || echo "  logs of the guest and the responder: $cache/log/guest" >&2
printf '  %-58s%7s s\n' total "$(since "$started")"
exit "$status"
