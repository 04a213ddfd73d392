#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A volatile mount can be used again after it was unmounted or its daemon died, but not after the machine went down under it.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need flock

# unmounted: unmounts, and waits until the daemon has let go of the work directory too.
unmounted() {
	umount m
	flock work/owner true
}

cd "$TMP"
mkdir lower upper work m
top=lowerdir=lower,upperdir=upper,workdir=work
mount_cairnfs -o "$top,volatile" m
echo kept >m/file
[ -s work/volatile ] || fail "no mark while it is mounted"
umount m
mount_cairnfs -o "$top" m
[ ! -e work/volatile ] || fail "the mark is there after unmounting"
[ "$(cat m/file)" = kept ] || fail "the file"
unmounted

cat /proc/sys/kernel/random/boot_id >work/volatile # as a daemon that was killed leaves it
mount_cairnfs -o "$top,volatile" m
unmounted
echo 00000000-0000-0000-0000-000000000000 >work/volatile # as a machine that went down leaves it
mount_refused "workdir work belongs to a volatile mount" -o "$top" m
[ -e work/volatile ] || fail "the mark was removed"
