#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# compare.sh CAIRNFS LOWER TARBALL [ROUNDS]: how long everyday work takes on a cairnfs mount, on one without recovery, on
# kernel overlayfs and on fuse-overlayfs, and what the ratios are. LOWER is a directory with some thousand files, TARBALL is
# unpacked on the mount.
#
# Prints `NAME VALUE UNIT` lines: for each job the median in ms on each, then cairnfs to the others as a ratio:
#
#	JOB-cairnfs, JOB-cairnfs-alone (that is --no-recover), JOB-overlay, JOB-fuse-overlayfs (if it is installed)   ms
#	JOB-to-cairnfs-alone (what recovery costs: 1.00 is nothing), JOB-to-overlay, JOB-to-fuse-overlayfs            ratio
#
# With BEFORE=CAIRNFS in the environment also on a mount by that program, such as the build before a change: cairnfs-before.
#
# create-flat makes 4,000 files in a directory of 4,000 lower ones, rm-flat removes them all.
#
# The filesystems take turns, each time on a fresh xfs image: ext4 makes files slowly for a while after many were removed. The
# job create-small unpacks 5,000 files of half a kB, so that little but the filesystem is measured. As root.
set -euo pipefail

[ $# -ge 3 ] || { sed -n '3,5s/^# //p' "$0" >&2 && exit 2; }
cairnfs=$(realpath "$1") lower=$(realpath "$2") tarball=$(realpath "$3") rounds=${4:-3}
kinds="cairnfs cairnfs-alone overlay"
[ -z "${BEFORE:-}" ] || kinds="$kinds cairnfs-before"
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

# 50 directories with 100 files each.
make_small() {
	local dir
	for dir in $(seq 50); do
		mkdir -p "$work/small/$dir"
		seq -f '%0500.0f' 100 | split -l 1 - "$work/small/$dir/"
	done
	tar -cf "$work/small.tar" -C "$work/small" .
	rm -r "$work/small"
}

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
	cairnfs-before) "$(realpath "$BEFORE")" -o "$options" "$work/mnt" ;;
	cairnfs) "$cairnfs" -o "$options" "$work/mnt" ;;
	cairnfs-alone) "$cairnfs" --no-recover -o "$options" "$work/mnt" ;;
	overlay) mount -t overlay overlay -o "$options" "$work/mnt" ;;
	fuse-overlayfs) fuse-overlayfs -o "$options" "$work/mnt" ;;
	esac
}

jobs() {
	timed walk-first find . -xdev -ls
	timed walk-again find . -xdev -ls
	timed read-first tar -cf "$work/disk/read.tar" lower
	timed read-again tar -cf "$work/disk/read.tar" lower
	timed create-small tar -xf "$work/small.tar" -C small
	# shellcheck disable=SC2016 # the other shell's
	timed create-flat sh -c 'cd flat && for i in $(seq 4000); do : >"new$i"; done'
	timed rm-flat rm -rf flat
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
	mkdir "$work/disk/lower/flat"
	(cd "$work/disk/lower/flat" && seq 4000 | xargs touch)
	mount_kind 2>"$work/out"
	mkdir "$work/mnt/unpacked" "$work/mnt/small"
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

make_small
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
