#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What a copy-up waits for before it shows (fs/upper/settle.h): nothing for a clone on xfs, the data of a copy on xfs and on ext4 with
# a journal of its own, and the whole disk filesystem's word (fsync) wherever the order of changes is not known. crash powerloss
# tests that it is enough.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need mkfs.xfs mkfs.ext4 losetup strace flock
losetup -f >"$TMP/out" 2>&1 || skip "no loop devices"

cd "$TMP"
mkdir disk other m
for i in 1 2 3; do
	echo lower >"other/$i"
done

# waits WHAT EXPECTED LOWER [OPTION]: the calls that wait for the disk while three files of LOWER are copied up.
waits() {
	rm -rf disk/u disk/w
	mkdir disk/u disk/w
	mount_cairnfs -o "lowerdir=$3,upperdir=disk/u,workdir=disk/w$4" m
	traced=$(worker)
	background strace -f -q -e trace=fsync,fdatasync,sync_file_range,syncfs,sync -o calls -p "$traced"
	tracer=$!
	wait_for grep -q "^TracerPid:[[:space:]]*$tracer$" "/proc/$traced/status"
	chmod 600 m/1 m/2
	echo more >>m/3
	kill -INT "$tracer"
	wait "$tracer" || :
	[ "$(cat m/1 m/2 m/3 | tr '\n' ' ')" = "lower lower lower more " ] || fail "$1: content"
	umount m
	flock disk/w/owner true
	got=$(sed -n 's/^[0-9]* *\([a-z_]*\)(.*/\1/p' calls | sort | uniq -c | tr -s ' ' | tr '\n' ' ')
	[ "$got" = "$2" ] || fail "$1: waits for '$got', not '$2': $(cat calls)"
}

# on MKFS...: a disk like that, with the lower files on it too.
on() {
	truncate -s 600M image
	"$@" image >out 2>&1 || fail "$*: $(cat out)"
	mount -o loop image disk
	cp -a other disk/same
}
off() {
	umount disk
	rm image
}

on mkfs.xfs -q -f -m reflink=1
waits "xfs, clones" "" disk/same ""
waits "xfs, copies" " 3 sync_file_range " other ""
waits "xfs, fsync=0" "" other ,fsync=0
waits "xfs, volatile" "" other ,volatile
off
on mkfs.ext4 -q -F
waits "ext4" " 3 sync_file_range " disk/same ""
off
on mkfs.ext4 -q -F -O ^has_journal
waits "ext4 without a journal" " 3 fsync " disk/same ""
off
if command -v mkfs.btrfs >out && grep -q btrfs /proc/filesystems; then
	on mkfs.btrfs -q -f
	waits "btrfs" " 3 fsync " disk/same ""
	off
else
	echo "not tested: btrfs"
fi
mount -t tmpfs none disk
cp -a other disk/same
waits "tmpfs" " 3 fsync " disk/same ""
umount disk
