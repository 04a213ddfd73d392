#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Random programs of operations give the same answers and trees on a mount as on a plain directory (tests/compare/differ/differ.c), and
# kernel overlayfs reads what they leave behind: from one process, several threads or processes, in a user namespace, with
# redirect_dir=off, with writeback=1, on a filesystem that runs full. Several workers on the same names leave a tree that is whole. For two
# minutes; `make soak` does it for as long as asked.
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

# differ PERCENT OPTION...: so much of the time for programs run in this way.
differ() {
	share=$1
	shift
	status=0
	"$DIFFER" --cairnfs "$CAIRNFS" --dir "$TMP" --seeds "${DIFFER_FIRST:-1}..9999999999" --seconds $((seconds * share / 100 + 1)) \
		--shrink "$@" >"$TMP/out" 2>&1 || status=$?
	case $status in
	0) echo "$(tail -n 1 "$TMP/out") ($*)" ;;
	77) echo "skipped: $*" ;;
	*) tail -n 60 "$TMP/out" && fail "differences: $*" ;;
	esac
}

differ 45 --ops 2000
differ 6 --ops 1000 --threads 4
differ 6 --ops 1000 --processes 4
differ 6 --ops 2000 --threads 4 --shared
differ 4 --ops 2000 --processes 4 --shared
differ 7 --ops 1000 --userns
differ 7 --ops 1000 --options redirect_dir=off
differ 5 --ops 2000 --threads 4 --options writeback=1
differ 5 --ops 2000 --threads 4 --options io=passthrough
differ 4 --ops 1000 --full tmpfs
if command -v mkfs.ext4 >"$TMP/out"; then
	differ 5 --ops 1000 --full ext4
fi
echo "took $(($(date +%s) - first)) s"
