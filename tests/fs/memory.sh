#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Memory of a worker for each file and directory that the kernel knows: its own (RssAnon), by what it grows while 28,000 names are
# walked after 7,000, over a branch and over a chain index. What malloc gives for a node is counted exactly in
# tests/unit/node/test_node.c; this sees what else there may be, as listings are. Prints "name value unit" lines.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need tar
! grep -qE '__(asan|tsan|ubsan)_' "$CAIRNFS" || skip "sanitizers need a multiple of everything"

cd "$TMP"
few=7000
# tree DIR N: N names, in directories of fifty.
tree() {
	for i in $(seq $(($2 / 50))); do
		mkdir -p "$1/directory-$i"
		(cd "$1/directory-$i" && seq -f 'file-%05.0f.conf' 49 | xargs touch)
	done
}
mkdir u w m
tree l/few $few
tree l/many $((4 * few))

own_memory() {
	sed -n 's/^RssAnon:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$(worker)/status"
}

# measure NAME BOUND: of what is mounted on m.
measure() {
	idle=$(own_memory)
	[ "$(find m/few -ls | wc -l)" -gt $few ] || fail "not all is seen"
	before=$(own_memory)
	[ "$(find m/many -ls | wc -l)" -gt $((4 * few)) ] || fail "not all is seen"
	each=$((($(own_memory) - before) * 1024 / (4 * few)))
	echo "idle-own-$1 $idle kB"
	echo "own-per-inode-$1 $each B"
	[ "$idle" -lt 3072 ] || fail "$1: $idle kB of an idle mount's own"
	[ $each -gt 0 ] || fail "$1: nothing was measured"
	[ $each -le "$2" ] || fail "$1: $each bytes for each that the kernel knows"
}

mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
measure branch 300
umount m

export CAIRN_ROOT="$TMP/root"
tar -C l -cf l.tar .
"$CAIRN" import --tag l:1 l.tar >out
"$CAIRN" mount l:1 m
measure chain 260
"$CAIRN" umount m
