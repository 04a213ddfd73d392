#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A tree so deep that what goes down in it by recursion, or from the root each time, runs out of stack or of patience: it is
# listed, read, copied up, found again by a new worker and by handles, as a shallow one is.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need prlimit

depth=6000
deep() {
	verb=$1
	dir=$2
	shift 2
	timeout 600 "$top_builddir/tests/hostile/deep" "$verb" "$dir" "$depth" "$@" || fail "$verb"
}
# At the bottom there is "l" besides.
names="$((2 * depth + 1)) $((2 * depth + 1))"

cd "$TMP"
mkdir l u w m
deep make l

# What threads have for a stack is the limit's; a sanitizer needs more.
case $(ldd "$CAIRNFS") in
*libasan*) ;;
*) prlimit --pid $$ --stack=262144:262144 ;;
esac
mount_deep() {
	mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
}
mount_deep
old=$(supervisor)
[ "$(deep list m)" = "$names" ] || fail "not all names"
[ "$(deep read m)" = "1 2 z" ] || fail "not read at the bottom"
deep append m
[ "$(deep read m)" = "2 2 z" ] || fail "not copied up"
[ "$(deep list m)" = "$names" ] || fail "not all names, after copy-up"
deep handle m

# A worker that knows nothing yet is asked for what is at the bottom.
first=$(worker)
deep kill m "$first"
[ "$(deep read m)" = "2 2 z" ] || fail "not found by the next worker"
[ "$(deep list m)" = "$names" ] || fail "not all names, of the next worker"
[ "$(supervisor)" = "$old" ] || fail "the mount is another"
umount m

# All of it is in upper now: the names of the file with two are looked for there.
mount_deep
[ "$(deep read m)" = "2 2 z" ] || fail "not found after a remount"
[ "$(deep list m)" = "$names" ] || fail "not all names, after a remount"
umount m

# The same below a directory that has been renamed.
mount_deep
mkdir m/e
mv m/d m/e/d
umount m
mount_deep
deep remove m/e
[ "$(deep list m/e)" = "$((2 * depth - 1)) $((2 * depth - 1))" ] || fail "not all names, below a renamed directory"
umount m

# And in an upper that is too deep for descriptors or stack, without any of it in lower.
rm -rf u w
mkdir u w x
mount_cairnfs -o lowerdir=x,upperdir=u,workdir=w m
deep make m
[ "$(deep list m)" = "$names" ] || fail "not all names, made by the mount"
umount m
