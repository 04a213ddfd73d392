#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What is mounted on a branch or below it is not of the branch, as with overlayfs: our own mount least of all, which would ask
# itself.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

cd "$TMP"
mkdir -p l/m l/d l/on u w
echo file >l/file
ln l/file l/d/hard
echo below >l/on/below
mount -t tmpfs none l/on
echo above >l/on/above

# look DIR: what needs all of a branch to be gone through.
look() {
	[ "$(timeout 20 stat -c %h "$1/file" "$1/d/hard" | tr '\n' ' ')" = "2 2 " ] || fail "link counts"
	[ -z "$(ls -A "$1/m")" ] || fail "our own mount shows below itself: $(ls -A "$1/m")"
	[ "$(ls "$1/on")" = below ] || fail "another mount shows: $(ls "$1/on")"
	[ "$(timeout 20 find "$1" | wc -l)" = 7 ] || fail "found: $(find "$1" | head -n 20)"
}

mount_cairnfs -o lowerdir=l l/m
look l/m
umount l/m
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w l/m
look l/m
echo more >>l/m/d/hard
echo new >l/m/m/new
[ "$(cat u/m/new)" = new ] || fail "written below the mount point"
[ "$(cat l/m/file)" = "file
more" ] || fail "a file that was copied up"
umount l/m

# The natural case: all of the machine, with whatever is mounted on it.
mkdir m top
mount -t tmpfs none top
mkdir top/u top/w
mount_refused "upperdir u overlaps lowerdir /" -o lowerdir=/,upperdir=u,workdir=w m
mount_cairnfs -o lowerdir=/,upperdir=top/u,workdir=top/w m 2>err || fail "lowerdir=/: $(cat err)"
[ -d "m$TMP/m" ] && [ -z "$(ls -A "m$TMP/m")" ] || fail "the mount shows below itself"
[ -z "$(ls -A m/proc)" ] || fail "/proc shows"
echo x >m/etc/cairn-test
[ "$(cat top/u/etc/cairn-test)" = x ] && [ ! -e /etc/cairn-test ] || fail "written"
umount m
umount top
umount l/on

# Where no mount of our own can be made (an ordinary user), the mount point may not lie in a branch.
mkdir user
chown nobody user
mknod -m 666 "$lib_log/fuse-node" c 10 229
# shellcheck disable=SC2016 # the other shell's
LIB_LOG=$lib_log unshare -m --propagation private sh -ec '
	mount --bind "$LIB_LOG/fuse-node" /dev/fuse
	cd user
	exec setpriv --reuid nobody --regid nogroup --clear-groups sh -ec "
		mkdir -p l/m
		! \"\$CAIRNFS\" -o lowerdir=l l/m 2>err
		grep -q \"/m lies in lowerdir l\" err"' || fail "an ordinary user: $(cat user/err)"
