#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Archives whose trees are deep or wide beyond all use: importing and removing them takes time, memory and stack by what they
# hold, not by its square, and there is an end to what is taken at all.
. "$(dirname "$0")/../tools/lib.sh"
need_root
need gzip prlimit

# bounded COMMAND...: with a stack of 256 kB and 200 MB of memory; five minutes say no more than that it would never end. A
# sanitizer's own would not fit.
bounded() {
	case $(ldd "$CAIRN") in
	*libasan*) timeout 600 "$@" ;;
	*) timeout 300 prlimit --stack=262144 --data=200000000 "$@" ;;
	esac
}
import() {
	bounded "$CAIRN" --root "$store" import "$1" >"$TMP/out" || fail "not imported: $1"
}
index_size() {
	stat -c %s "$store"/chains/*.mdb
}
remove() {
	bounded "$CAIRN" --root "$store" rm "$1" || fail "not removed: $1"
	nothing_left
}

# ---- one entry that makes all the directories above it: 12 and 24 kB of archive ----
"$MKTAR" deep 6000 f text >"$TMP/half.tar"
"$MKTAR" deep 12000 f text >"$TMP/deep.tar"
import "$TMP/half.tar"
half=$(index_size)
remove half
import "$TMP/deep.tar"
deep=$(index_size)
[ "$deep" -lt $((3 * half)) ] || fail "an index of $half bytes at depth 6000, $deep at depth 12000"

# What is at the bottom is there, through the index too.
if [ -c /dev/fuse ]; then
	mkdir "$TMP/m"
	cairn mount deep:latest "$TMP/m"
	"$top_builddir/tests/hostile/deep" list "$TMP/m" 12000 >"$TMP/list"
	[ "$(cat "$TMP/list")" = "12001 12001" ] || fail "the tree has other names: $(cat "$TMP/list")"
	[ "$("$top_builddir/tests/hostile/deep" read "$TMP/m" 12000 f)" = "4 1 t" ] || fail "not read at the bottom"
	cairn umount "$TMP/m"
fi
remove deep

# ---- each directory an entry, with a file and a hard link to it; and the same as a layer above itself ----
"$MKTAR" stairs 1500 x >"$TMP/stairs.tar"
import "$TMP/stairs.tar"
remove stairs
oci_layout "$TMP/layout" 1 cat "$TMP/deep.tar" "$TMP/stairs.tar"
import "$TMP/layout"
remove layout:1

# ---- a hard link to what only the layer below has: its directories are copied, with a note of each ----
long() {
	printf 'd/%.0s' $(seq "$1")
}
"$MKTAR" deep 2000 f text >"$TMP/lower.tar"
"$MKTAR" pax linkpath "$(long 2000)f" link k x >"$TMP/upper.tar"
rm -r "$TMP/layout"
oci_layout "$TMP/layout" 1 cat "$TMP/lower.tar" "$TMP/upper.tar"
import "$TMP/layout"
[ "$(stat -c %h "$(branch layout:1 1)/k")" = 2 ] || fail "the link was not made"
remove layout:1
"$MKTAR" deep 3000 f text >"$TMP/lower.tar"
"$MKTAR" pax linkpath "$(long 3000)f" link k x >"$TMP/upper.tar"
rm -r "$TMP/layout"
oci_layout "$TMP/layout" 1 cat "$TMP/lower.tar" "$TMP/upper.tar"
refused "layer 2 .*'k': refused: a hard link to 'd/d/.*\.\.\.: File name too long" "$TMP/layout"

# ---- the limit: 65,535 bytes ----
"$MKTAR" deep 32767 f x >"$TMP/most.tar"
import "$TMP/most.tar"
remove most
"$MKTAR" deep 32768 f x >"$TMP/more.tar"
refused "more.tar: 'd/d/.*\.\.\.: refused: a path of more than 65535 bytes" "$TMP/more.tar"
gzip <"$TMP/more.tar" >"$TMP/more.tar.gz"
refused "more.tar.gz: 'd/d/.*\.\.\.: refused: a path of more than 65535 bytes" "$TMP/more.tar.gz"

# ---- wide: the directories of a directory are moved out of it one by one when it is removed ----
"$MKTAR" dirs 30000 a/b/ >"$TMP/wide.tar"
import "$TMP/wide.tar"
remove wide
