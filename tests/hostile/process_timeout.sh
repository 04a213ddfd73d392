#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A machine can end FUSE mounts of which a request is not answered in time. Its default is not for us: an open that waits for
# longer than any such is answered. Its limit is, and the mount says so.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3
sysctls=/proc/sys/fs/fuse
[ -e $sysctls/max_request_timeout ] || skip "this kernel knows no request timeouts"
[ -w $sysctls/default_request_timeout ] || skip "request timeouts cannot be set here"

cd "$TMP"
mkdir l m
echo leased >l/leased
echo lower >l/f
# ---- the default: set only while the mount is made, for other mounts' sake ----
default=$(cat $sysctls/default_request_timeout)
restore() {
	echo "$default" >$sysctls/default_request_timeout
}
trap 'restore; cleanup' EXIT
echo 1 >$sysctls/default_request_timeout
mount_cairnfs -o lowerdir=l m
restore
# The kernel counts less than 15 seconds as that, and looks as often.
background python3 "$top_srcdir/tests/lease.py" --ready leasing --seconds 35 l/leased
wait_for test -e leasing
[ "$(timeout 60 cat m/leased)" = leased ] || fail "a request that waited was not answered"
[ "$(cat m/f)" = lower ] || fail "the mount has ended"
umount m

# ---- the limit, as far as we see it ----
echo 60 >limit
mount --bind limit $sysctls/max_request_timeout
expect_stderr "fs.fuse.max_request_timeout is 60"
mount_cairnfs -o lowerdir=l m
[ "$(cat m/f)" = lower ] || fail "not mounted"
umount m
umount $sysctls/max_request_timeout
