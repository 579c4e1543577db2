# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # Shared with those who source it.
#
# What `make run` and `make test` share on the host: messages, checks, the cache, its locks, timed
# steps, and the way into the Debian root in which everything else happens. Sourced, never run.

set -euo pipefail

# A jobserver or a variable of the calling make must not reach the builds.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)
scripts=$top/tools/testing/scripts
cache=${XDG_CACHE_HOME:-$HOME/.cache}/linux-spdm
started=$EPOCHREALTIME
child=   # what runs in namespaces of its own
run_dir= # files of this run
tty_state=
lock_fd=
counter= # what counts the results of make test
counter_pipe=

# --- Words -------------------------------------------------------------------------------------

# die TEXT...: one line what is wrong, further ones what to do.
die() {
	printf '\nerror: %s\n' "$1" >&2
	shift
	[ $# -eq 0 ] || printf '       %s\n' "$@" >&2
	exit 1
}

# since TIME: seconds since TIME (an $EPOCHREALTIME), with one decimal.
since() {
	local us=$(( (${EPOCHREALTIME/./} - ${1/./}) / 100000 ))
	printf '%d.%d' $((us / 10)) $((us % 10))
}

# --- Leaving -----------------------------------------------------------------------------------

# Whatever happens, nothing keeps running and nothing stays behind: killing `unshare` kills the
# whole pid namespace, and the mounts go with the mount namespace.
leave() {
	local status=$?
	trap - EXIT
	[ -z "$child" ] || kill -KILL "$child" 2>/dev/null || true
	[ -z "$child" ] || wait "$child" 2>/dev/null || true
	[ -z "$tty_state" ] || stty "$tty_state" 2>/dev/null || true
	[ -z "$run_dir" ] || rm -rf "$run_dir"
	if [ -n "$counter" ]; then
		# It ends when nobody holds its pipe any more. A redirection that was under way has
		# put the pipe elsewhere, and what is in its place may be that of somebody who holds it.
		exec >/dev/null 2>&1
		local fd
		for fd in "/proc/$$/fd"/*; do
			[ "$(readlink "$fd")" != "$counter_pipe" ] || eval "exec ${fd##*/}>&-"
		done
		wait "$counter" || true
	fi
	exit "$status"
}

# stop STATUS: what a signal does, once. Make may pass on what its group was sent, too.
stop() {
	trap '' INT TERM HUP
	exit "$1"
}

trap leave EXIT
trap 'echo >&2; stop 130' INT
trap 'stop 143' TERM
trap 'stop 129' HUP

# --- Checks ------------------------------------------------------------------------------------

# Become root, keeping the caller's cache, or say why that is needed.
as_root() {
	[ "$(id -u)" -ne 0 ] || return 0
	local keep=(XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" USER_HOME="$HOME") name
	for name in "${passed_on[@]}"; do
		[ -z "${!name:-}" ] || keep+=("$name=${!name}")
	done
	command -v sudo >/dev/null ||
		die "this needs root, for a chroot and its mounts" \
			"run it as root, or install sudo"
	echo "not root: continuing with sudo (chroot, mounts in a private namespace)"
	exec sudo env "${keep[@]}" "$0" "$@"
}

# Options and settings that mean something to the scripts or to package tools.
passed_on=(RESPONDER ROOT KERNEL TRANSPORT DEVICES FAULT SWAP EVIDENCE SHELL_IN_GUEST T TIME SEED STRESS_TIME TARGET
	CI USER_HOME BENCH RUNS CPUS JSON COMPARE
	http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY)

check_host() {
	local id='' version='' name='this system'
	if [ -r /etc/os-release ]; then
		id=$(. /etc/os-release && echo "${ID:-}")
		version=$(. /etc/os-release && echo "${VERSION_ID:-}")
		name=$(. /etc/os-release && echo "${PRETTY_NAME:-this system}")
	fi
	[ "$id" = debian ] && [ "${version:-13}" -ge 12 ] ||
		die "$name is not Debian 12 or later" \
			"run this in a Debian 12 or 13 machine, virtual machine or privileged container"
	[ "$(uname -m)" = x86_64 ] ||
		die "this machine is $(uname -m); the stock kernel and the guest are x86_64"
	unshare --mount --pid --fork true 2>/dev/null ||
		die "no permission to create a mount and a pid namespace" \
			"in a container, run it with CAP_SYS_ADMIN (docker run --privileged)"
}

# need_space GIGABYTES WHAT
need_space() {
	local free
	free=$(($(df --output=avail -k "$cache" | tail -n 1) / 1048576))
	[ "$free" -ge "$1" ] ||
		die "not enough space in $cache: $2 needs $1 GB, $free GB are free" \
			"make room, or set XDG_CACHE_HOME to a directory on a larger disk"
}

# --- The cache ---------------------------------------------------------------------------------

# The lock `use` is shared by everyone who reads the cache, and exclusive for those who remove from
# it. Besides, each part has a lock, which is held while that part is made.
open_cache() {
	mkdir -p "$cache/log"
	exec {use_fd}<>"$cache/lock.use"
	flock -s "$use_fd"
	# Removed between opening and locking (make clean-cache): once more, from the start.
	if ! [ "$cache/lock.use" -ef "/dev/fd/$use_fd" ]; then
		exec {use_fd}<&-
		open_cache
	fi
}

# lock NAME: waits until nobody else makes that part. One at a time.
lock() {
	exec {lock_fd}<>"$cache/lock.$1"
	flock -n "$lock_fd" && return
	echo "  waiting for another run, which makes the same ($1)"
	flock "$lock_fd"
}

unlock() {
	exec {lock_fd}<&-
	lock_fd=
}

# key FILE... TEXT...: a short name for content that depends on these.
key() {
	local item
	for item; do
		if [ -f "$item" ]; then cat "$item"; else echo "$item"; fi
	done | sha256sum | cut -c 1-12
}

# drop_other_versions PREFIX KEEP: removes what an earlier version of the tree had prepared, unless
# somebody else is using the cache right now.
drop_other_versions() {
	local path
	for path in "$cache/$1"-*; do
		[ "$path" = "$cache/$2" ] || [ ! -e "$path" ] && continue
		if flock -n -x "$use_fd"; then rm -rf --one-file-system "$path"; fi
		flock -s "$use_fd"
	done
}

# --- Steps -------------------------------------------------------------------------------------

# step TEXT LOG COMMAND...: runs it with its output in LOG; prints one line with the time it took.
# On failure it shows the end of the log, what that means where it is known, and where it lies.
step() {
	local text=$1 log=$cache/log/$2.log from=$EPOCHREALTIME status=0
	shift 2
	printf '  %-58s' "$text"
	"$@" >"$log" 2>&1 || status=$?
	if [ "$status" -eq 0 ]; then
		printf '%7s s\n' "$(since "$from")"
		return 0
	fi
	printf '%9s\n' failed
	explain "$log"
	return 1
}

# ready TEXT: the line of a step that has nothing to do.
ready() {
	printf '  %-58s%9s\n' "$1" ready
}

explain() {
	{
		echo
		tail -n 15 "$1" | sed 's/^/    | /'
		echo
		echo "error: the whole log is $1"
		if grep -qE 'Could not resolve|Temporary failure|Could not connect|Unable to connect|Network is unreachable|Could not resolve host|failed to lookup address' "$1"; then
			echo "       no network: package mirrors (apt, cargo) must be reachable; check DNS and proxy, then try again"
		elif grep -qE 'No space left' "$1"; then
			echo "       the disk is full: make room, or set XDG_CACHE_HOME to a larger disk"
		elif grep -qE '404 +Not Found|Hash Sum mismatch|File has unexpected size' "$1"; then
			echo "       the mirror no longer has this version, or is just being updated: try again in a few minutes"
		elif grep -qE 'NO_PUBKEY|not signed|EXPKEYSIG' "$1"; then
			echo "       the host does not know the keys of Debian 13: apt-get install --only-upgrade debian-archive-keyring"
		fi
	} >&2
}

# --- Namespaces --------------------------------------------------------------------------------

# Runs a command in a mount and pid namespace of its own. In the background, so that a signal is
# handled at once; with this script's death it dies too.
isolated() {
	local status=0
	setpriv --pdeathsig KILL unshare --mount --mount-proc --pid --fork \
		--kill-child -- "$@" <&0 &
	child=$!
	wait "$child" || status=$?
	child=
	return "$status"
}

# inside COMMAND...: runs it in the Debian root $root. It sees the clone read-only as /clone, the
# cache as /cache and the directories of "mounts" (an array of HOST=INSIDE) where they say.
inside() {
	local name variables=() m pairs=("$top=/clone=ro" "$cache=/cache=rw")
	for m in ${mounts[@]+"${mounts[@]}"}; do
		pairs+=("$m=rw")
	done
	for name in "${passed_on[@]}"; do
		[ -z "${!name:-}" ] || variables+=("$name=${!name}")
	done
	isolated bash "$scripts/enter.sh" "$root" "${pairs[@]}" -- \
		env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
		TERM="${TERM:-dumb}" CARGO_HOME=/cache/cargo CARGO_TERM_COLOR=never \
		DEBIAN_FRONTEND=noninteractive \
		${variables[@]+"${variables[@]}"} "$@"
}
