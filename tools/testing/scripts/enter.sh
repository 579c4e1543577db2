#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# enter.sh ROOT HOST=INSIDE=ro|rw... -- COMMAND...
#
# Enters the Debian root. Runs as the first process of a mount and pid namespace of its own, so its
# mounts need no clean-up.
set -euo pipefail

root=$1
shift
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
	IFS='=' read -r from to mode <<<"$1"
	mkdir -p "$root$to"
	mount --bind "$from" "$root$to"
	[ "$mode" = rw ] || mount -o remount,bind,ro "$root$to"
	shift
done
shift

# Names, certificate authorities and cargo's configuration are the host's.
cat /etc/resolv.conf >"$root/etc/resolv.conf" 2>/dev/null || true
if [ -s /etc/ssl/certs/ca-certificates.crt ]; then
	cat /etc/ssl/certs/ca-certificates.crt >"$root/etc/ssl/certs/ca-certificates.crt"
fi
for config in "${USER_HOME:-$HOME}"/.cargo/config.toml "${USER_HOME:-$HOME}"/.cargo/config; do
	[ ! -f "$config" ] || install -D -m 0644 "$config" "$root/cache/cargo/config.toml"
done

cd "$root"
exec chroot "$root" "$@"
