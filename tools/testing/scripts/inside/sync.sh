#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Brings the copy of the tree in the cache up to date, by content: only what has changed gets a new
# time, whichever clone it comes from, so builds are incremental and the clone stays clean.
set -euo pipefail

exec rsync --recursive --links --perms --checksum --delete --exclude=.git --exclude=target \
	--filter=':- .gitignore' /clone/ /cache/src/
