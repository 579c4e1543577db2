#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# side-by-side.sh -- COMMAND... [-- COMMAND...]: runs the commands, as many at the same time as there are CPUs; fails if
# one of them does.
set -euo pipefail

free=$(nproc)
status=0
running=0
command=()
for word in "$@" --; do
	if [ "$word" != -- ]; then
		command+=("$word")
	elif [ "${#command[@]}" -gt 0 ]; then
		if [ "$running" -eq "$free" ]; then
			wait -n || status=$?
			running=$((running - 1))
		fi
		"${command[@]}" &
		running=$((running + 1))
		command=()
	fi
done
while [ "$running" -gt 0 ]; do
	wait -n || status=$?
	running=$((running - 1))
done
exit "$status"
