#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# powerloss.sh [LOSSES]: the power fails under load, that often (tests/crash/powerloss/powerloss.h says how). What was synced is there
# afterwards, and what was not is as it was before or after the change, whole: data, names, attributes and numbers. Nothing
# that was removed comes back; all can be read, changed and removed.
#
# On ext4 and on xfs, with metacopy=on as well, and where a copy is a clone. First in a plain directory of such a disk: no more is asked for than they
# promise. With fsync=0 the data of a file that was copied up are only promised once somebody synced it; all else is the same.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need mkfs.ext4 mkfs.xfs losetup flock
losetup -f >"$TMP/out" 2>&1 || skip "no loop devices"
: "${POWERLOSS:=$top_builddir/tests/crash/powerloss/powerloss}"

# lose PERCENT TITLE OPTION...: so much of the losses in this way.
lose() {
	n=$(((losses * $1 + 50) / 100))
	[ "$n" -gt 0 ] || n=1
	title=$2
	shift 2
	mkdir "$TMP/d"
	status=0
	"$POWERLOSS" --cairnfs "$CAIRNFS" --dir "$TMP/d" --seed "$seed" --losses "$n" "$@" >"$TMP/out" 2>&1 || status=$?
	echo "$title: $(tail -n 1 "$TMP/out")"
	[ "$status" = 0 ] || {
		failed=1
		tail -n 40 "$TMP/out"
	}
	unmount_all
	rm -rf --one-file-system "$TMP/d"
	seed=$((seed + n))
}

# One loss, always in the same way: files of an earlier mount are removed, and copies of lower files get their inodes; what the
# work directory says of these is then of others. It is as the earlier mount left it, as nothing synced it. xfs uses inodes
# again at once, those of the same part of the disk first; its directories are in different parts.
numbers() {
	cd "$TMP"
	mkdir clones disk disk-after lower m
	truncate -s 2G image
	mkfs.xfs -q -m reflink=1 image
	mount -o loop image clones
	truncate -s 400M clones/disk
	mkfs.xfs -q clones/disk
	mount -o loop clones/disk disk
	mkdir disk/upper disk/work
	for i in $(seq 300); do
		echo "$i" >"lower/$i"
	done
	mount_cairnfs -o lowerdir=lower,upperdir=disk/upper,workdir=disk/work m
	for i in 1 2 3 4 5 6 7 8; do
		mkdir "m/dir-$i"
		(cd "m/dir-$i" && seq 200 | xargs touch)
	done
	umount m
	flock disk/work/owner sync -f disk
	mount_cairnfs -o lowerdir=lower,upperdir=disk/upper,workdir=disk/work m
	stat -c '%n %i' m/? m/?? m/??? >before
	rm -r m/dir-*
	stat -f disk >out # has xfs free their inodes, a little later
	sleep 1
	for i in $(seq 300); do
		chmod 600 "m/$i"
	done
	sync m/? m/?? m/??? m
	cp --reflink=always clones/disk clones/loss
	umount m
	flock disk/work/owner true
	umount disk
	mount -o loop,nouuid clones/loss disk-after
	mount_cairnfs -o lowerdir=lower,upperdir=disk-after/upper,workdir=disk-after/work m
	stat -c '%n %i' m/? m/?? m/??? >now
	changed=$(sort before now | uniq -u | cut -d ' ' -f 1 | uniq | wc -l)
	echo "numbers: $changed of 300 files have another number than before the loss"
	[ "$changed" = 0 ] || failed=1
	umount m
	flock disk-after/work/owner true
	umount disk-after clones
}

losses=${1:-${POWERLOSS_LOSSES:-10}}
seed=${POWERLOSS_SEED:-$(date +%s)}
failed=0
echo "from seed $seed"
lose 9 "ext4, plain" --plain
lose 9 "xfs, plain" --plain --filesystem xfs
lose 22 ext4
lose 22 xfs --filesystem xfs
lose 13 "xfs, clones" --filesystem xfs --clones
lose 13 "ext4, metacopy=on" --options metacopy=on
lose 13 "xfs, metacopy=on" --options metacopy=on --filesystem xfs
lose 9 "xfs, clones, metacopy=on" --options metacopy=on --filesystem xfs --clones
lose 9 "xfs, passthrough" --options io=passthrough --filesystem xfs
lose 9 "ext4, fsync=0" --options fsync=0 --lazy
lose 9 "xfs, fsync=0" --options fsync=0 --lazy --filesystem xfs
numbers
[ "$failed" = 0 ] || fail "after a power loss"
