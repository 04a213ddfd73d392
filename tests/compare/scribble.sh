#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Several processes write and read one file by every means there is, through its copy-up, and each byte is checked
# (tests/compare/scribble/scribble.c); with the kernel's writeback cache and without. First in a plain directory: the tester is right.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
: "${SCRIBBLE:=$top_builddir/tests/compare/scribble/scribble}"

# scribble TITLE OPTION...
scribble() {
	title=$1
	shift
	"$SCRIBBLE" --cairnfs "$CAIRNFS" --seeds "$first..9999999999" "$@" >"$TMP/out" 2>&1 ||
		{ cat "$TMP/out" && fail "$title"; }
	echo "$title: $(tail -n 1 "$TMP/out")"
}

first=${SCRIBBLE_FIRST:-1}
seconds=${SCRIBBLE_SECONDS:-12}
scribble plain --plain "$TMP" --strict --seconds 1
scribble default --dir "$TMP" --seconds $((seconds / 3))
scribble writeback --dir "$TMP" --seconds $((seconds / 3)) --options writeback=1
scribble passthrough --dir "$TMP" --seconds $((seconds / 3)) --options io=passthrough
