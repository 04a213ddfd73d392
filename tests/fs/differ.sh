#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Random programs of operations give the same answers and trees on a mount as on a plain directory (tests/fs/differ.c), and
# kernel overlayfs reads what they leave behind. For two minutes; `make soak` does it for as long as asked.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

# What was found before. (differ-threads-list.prog is for the day when the kernel's listings are right: doc/semantics.md.)
for program in "$top_srcdir"/tests/data/differ-*.prog; do
	case $program in
	*threads-list*) continue ;;
	esac
	"$DIFFER" --cairnfs "$CAIRNFS" --dir "$TMP" --replay "$program" >"$TMP/out" 2>&1 ||
		{ tail -n 60 "$TMP/out" && fail "$program"; }
done
seconds=${DIFFER_SECONDS:-100}
first=$(date +%s)
"$DIFFER" --cairnfs "$CAIRNFS" --dir "$TMP" --seeds "${DIFFER_FIRST:-1}..9999999999" --ops 2000 --seconds "$seconds" --shrink >"$TMP/out" 2>&1 ||
	{ tail -n 60 "$TMP/out" && fail "differences"; }
tail -n 1 "$TMP/out"
echo "took $(($(date +%s) - first)) s"
