#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# compare.sh CAIRNFS LOWER TARBALL [ROUNDS]: how long everyday work takes on a cairnfs mount, on kernel overlayfs and on
# fuse-overlayfs, and what the ratios are. LOWER is a directory with some thousand files, TARBALL is unpacked on the mount.
#
# Prints `NAME VALUE UNIT` lines: for each job the median in ms on each, then cairnfs to the others as a ratio. The filesystems
# take turns, each time on a fresh xfs image: ext4 makes files slowly for a while after many were removed. As root.
set -euo pipefail

[ $# -ge 3 ] || { sed -n '3,4s/^# //p' "$0" >&2 && exit 2; }
cairnfs=$(realpath "$1") lower=$(realpath "$2") tarball=$(realpath "$3") rounds=${4:-3}
kinds="cairnfs overlay"
! command -v fuse-overlayfs >/dev/null || kinds="$kinds fuse-overlayfs"
work=$(mktemp -d)
cleanup() {
	cd /
	! mountpoint -q "$work/mnt" || umount "$work/mnt" || umount -l "$work/mnt"
	! mountpoint -q "$work/disk" || umount "$work/disk" || umount -l "$work/disk"
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
mkdir "$work/mnt" "$work/disk" "$work/times"

# timed NAME COMMAND...: adds the milliseconds to NAME's times on this kind of mount.
timed() {
	local name=$1 start end
	shift
	start=$(date +%s%N)
	"$@" >"$work/out" 2>&1
	end=$(date +%s%N)
	echo $(((end - start) / 10000)) >>"$work/times/$name.$kind"
}

mount_kind() {
	local options="lowerdir=$work/disk/lower,upperdir=$work/disk/upper,workdir=$work/disk/work"
	case $kind in
	cairnfs) "$cairnfs" -o "$options" "$work/mnt" ;;
	overlay) mount -t overlay overlay -o "$options" "$work/mnt" ;;
	fuse-overlayfs) fuse-overlayfs -o "$options" "$work/mnt" ;;
	esac
}

jobs() {
	timed walk-first find . -xdev -ls
	timed walk-again find . -xdev -ls
	timed read-first tar -cf "$work/disk/read.tar" lower
	timed read-again tar -cf "$work/disk/read.tar" lower
	timed untar tar -xf "$tarball" -C unpacked
	timed chmod-lower chmod -R g+w lower
	timed rm-unpacked rm -rf unpacked
	timed rm-lower rm -rf lower
}

round() {
	truncate -s 4G "$work/image"
	mkfs.xfs -q -f "$work/image"
	mount -o loop "$work/image" "$work/disk"
	mkdir -p "$work/disk/lower/lower" "$work/disk/upper" "$work/disk/work"
	cp -a "$lower/." "$work/disk/lower/lower"
	mount_kind 2>"$work/out"
	mkdir "$work/mnt/unpacked"
	(cd "$work/mnt" && jobs)
	umount "$work/mnt"
	sleep 0.2 # a daemon lets go of the disk
	umount "$work/disk"
	rm "$work/image"
}

# median FILE, in hundredths of a millisecond
median() {
	sort -n "$1" | sed -n "$((($(wc -l <"$1") + 1) / 2))p"
}

for _ in $(seq "$rounds"); do
	for kind in $kinds; do
		round
	done
done
for times in "$work"/times/*.cairnfs; do
	name=$(basename "$times" .cairnfs)
	for kind in $kinds; do
		awk -v t="$(median "$work/times/$name.$kind")" -v n="$name-$kind" 'BEGIN { printf "%s %.2f ms\n", n, t / 100 }'
	done
	for kind in $kinds; do
		[ "$kind" != cairnfs ] || continue
		awk -v a="$(median "$times")" -v b="$(median "$work/times/$name.$kind")" -v n="$name-to-$kind" \
			'BEGIN { printf "%s %.2f ratio\n", n, a / (b ? b : 1) }'
	done
done
