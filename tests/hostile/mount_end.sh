#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Once umount(8) has returned, the disk below can be unmounted and the work directory removed, also while the machine is busy; and
# what was made last has its number at the next mount. MOUNT_ENDS says how often it is tried.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need mkfs.ext4

cd "$TMP"
truncate -s 64M image
mkfs.ext4 -q image
mkdir disk m l
echo lower >l/f
for _ in 1 2 3; do
	background sh -c 'while :; do :; done'
done

# ends [OPTION]: mounts, changes something and unmounts, again and again.
ends() {
	i=0
	while [ "$i" -lt "${MOUNT_ENDS:-40}" ]; do
		i=$((i + 1))
		mount -o loop image disk
		mkdir -p disk/l disk/u disk/w
		echo lower >disk/l/f
		mount_cairnfs "$@" -o lowerdir=disk/l,upperdir=disk/u,workdir=disk/w m
		echo "$i" >m/new
		exec 9<>m/kept
		rm m/kept
		exec 9<&-
		echo more >>m/f
		umount m
		umount disk || fail "$* round $i: the disk is busy"
		mkdir u w
		mount_cairnfs "$@" -o lowerdir=l,upperdir=u,workdir=w m
		echo "$i" >m/new
		mkdir m/dir
		number=$(stat -c %i m/new m/dir)
		umount m
		mount_cairnfs "$@" -o lowerdir=l,upperdir=u,workdir=w m
		[ "$(stat -c %i m/new m/dir)" = "$number" ] || fail "$* round $i: other numbers: $(stat -c %i m/new m/dir), not $number"
		rm m/f
		umount m
		rm -rf w || fail "$* round $i: the work directory cannot be removed"
		rm -r u
	done
}
ends
ends --no-recover
