#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# An upper filesystem that keeps less than the branches have, and a container that may less than root: files are copied up and made
# all the same, what is lost is said once.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need setfattr setpriv

cd "$TMP"
mkdir -p l/d top m
echo lower >l/d/file
setfattr -n user.mine -v kept l/d/file
setfattr -n user.mine -v kept l/d
mount -t ramfs none top
mkdir top/u top/w
! setfattr -n user.x -v y top/u 2>err || skip "ramfs takes user xattrs here"
mount_cairnfs -o lowerdir=l,upperdir=top/u,workdir=top/w m 2>said
[ "$(cat said)" = "cairnfs: upperdir top/u takes no user xattrs: files lose them when they are copied up" ] || fail "said: $(cat said)"
echo more >>m/d/file
chmod 700 m/d
echo new >m/d/new
mv m/d/new m/d/file2
[ "$(cat m/d/file)" = "lower
more" ] || fail "written to"
umount m
umount top

# Without CAP_SETPCAP nobody keeps capabilities when the id changes by which files are made.
mkdir u w l/shared
chmod 777 l/shared
echo x >l/shared/gone
setpriv --bounding-set -setpcap "$CAIRNFS" -o lowerdir=l,upperdir=u,workdir=w m
rm m/shared/gone
setpriv --reuid 1234 --regid 1234 --clear-groups sh -c 'umask 077; echo mine >m/shared/gone; mkdir m/shared/dir; echo in >m/shared/dir/f; chmod 000 m/shared/dir/f'
[ "$(stat -c %u:%g:%a m/shared/gone m/shared/dir m/shared/dir/f | tr '\n' ' ')" = "1234:1234:600 1234:1234:700 1234:1234:0 " ] ||
	fail "made as another user: $(stat -c %u:%g:%a m/shared/gone m/shared/dir m/shared/dir/f)"
umount m
