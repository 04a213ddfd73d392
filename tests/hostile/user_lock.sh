#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Who may only read keeps nobody from mounting, unmounting or using a store, however long it holds locks on what it can open; and
# who may write to upper and work still does.
. "$(dirname "$0")/../tools/lib.sh"
need_root
need_fuse
need flock setpriv unshare getfattr

cd "$TMP"
chmod 755 "$TMP"

# locks KIND DIR [SETPRIV OPTION...]: a process that has a lock on DIR until the test ends; nobody's, unless told otherwise.
locks() {
	lock_kind=$1
	lock_dir=$2
	shift 2
	[ $# -gt 0 ] || set -- --reuid 12345 --regid 12345 --clear-groups
	mkdir -p -m 1777 locked
	rm -f locked/yes
	# shellcheck disable=SC2016 # the other shell's
	background setpriv "$@" sh -c 'exec 8<"$1" && flock "$2" 8 && echo >locked/yes && exec sleep 1000' sh "$lock_dir" "$lock_kind"
	locker=$!
	wait_for test -e locked/yes
}

unlock() {
	kill "$locker"
	wait "$locker" || :
}

mkdir l u w w2 m m2
chmod 755 u w w2
echo lower >l/f

# ---- who may read only ----

# mounts_beside NAME: with a lock held, the mount works, and what would be a second one of its directories is refused.
mounts_beside() {
	timeout 20 "$CAIRNFS" -o lowerdir=l,upperdir=u,workdir=w m || fail "$1: not mounted"
	echo "$1" >m/new
	[ "$(cat u/new)" = "$1" ] || fail "$1: not written"
	for work in w w2; do
		mount_refused "in use by another mount" -o lowerdir=l,upperdir=u,workdir=$work m2
	done
	umount m
}
for dir in u w; do
	for kind in -x -s; do
		locks $kind $dir
		mounts_beside "$dir $kind"
		unlock
	done
done
# A program that runs with another's rights has not lost those who started it.
locks -x u --ruid 12345 --clear-groups
mounts_beside "a program with root's rights"
unlock
# One that has closed its descriptor, and left it to a child.
mkdir -p locked
rm -f locked/yes
# shellcheck disable=SC2016 # the other shell's
background setpriv --reuid 12345 --regid 12345 --clear-groups \
	sh -c 'exec 8<u && flock -x 8 && { sh -c "echo \$\$ >locked/yes; exec sleep 1000" & } && exec 8<&- && wait'
locker=$!
wait_for test -s locked/yes
mounts_beside "a lock that its taker has handed on"
kill "$(cat locked/yes)"
wait "$locker" || :

# ---- who may write ----

mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
for work in w w2; do
	mount_refused "in use by another mount" -o lowerdir=l,upperdir=u,workdir=$work m2
done
mkdir u2
mount_refused "workdir w is in use by another mount" -o lowerdir=l,upperdir=u2,workdir=w m2
# It has the lock also when it serves by a program that was put in its place, without the process that started it.
timeout 20 "$CAIRN" upgrade "$TMP/m" >out 2>err || fail "upgrade: $(cat err)"
ends=$(worker)
kill -9 "$(supervisor)"
mount_refused "in use by another mount" -o lowerdir=l,upperdir=u,workdir=w m2
mount_refused "in use by another mount" -o lowerdir=l,upperdir=u,workdir=w2 m2
umount m
gone() {
	! kill -0 "$ends" 2>none
}
wait_for gone
# Root's own lock on upper counts, as it may write there, and anybody's where anybody may.
locks -x u --reuid 0
mount_refused "in use by another mount" -o lowerdir=l,upperdir=u,workdir=w m
unlock
chmod 777 u
locks -x u
mount_refused "in use by another mount" -o lowerdir=l,upperdir=u,workdir=w m
unlock
chmod 755 u

# A mount that did without the lock keeps others away also when that has gone.
locks -s u
timeout 20 "$CAIRNFS" -o lowerdir=l,upperdir=u,workdir=w m || fail "not mounted beside a lock"
unlock
mount_refused "in use by another mount" -o lowerdir=l,upperdir=u,workdir=w2 m2
umount m
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w2 m2
! getfattr -m trusted.overlay.claim u 2>none | grep -q claim || fail "upper says still who did without its lock"
umount m2
# One that has ended is waited for, with another work directory, too, for as long as it takes to close; whether the lock that it
# passed over has gone or not.
for reader in goes stays; do
	locks -s u
	timeout 20 "$CAIRNFS" -o lowerdir=l,upperdir=u,workdir=w m || fail "not mounted beside a lock"
	[ $reader = stays ] || unlock
	ends="$(supervisor) $(worker)"
	# shellcheck disable=SC2086 # two of them
	kill -STOP $ends
	umount -l m
	background "$CAIRNFS" -o lowerdir=l,upperdir=u,workdir=w2 m2
	waits=$!
	sleep 1
	# shellcheck disable=SC2086
	kill -CONT $ends
	wait "$waits" || fail "a mount that has ended is not waited for (the lock of the reader $reader)"
	umount m2
	[ $reader = goes ] || unlock
done
# Who has the rights of upper's owner in a user namespace may be a mount's daemon.
chown 200000 u
locks -x u --reuid 12345 --clear-groups unshare --user
printf '0 12345 1\n1 200000 10\n' >"/proc/$locker/uid_map"
mount_refused "in use by another mount" -o lowerdir=l,upperdir=u,workdir=w m
unlock
chown 0 u

# ---- the tool ----

two_layers
oci_layout app 1 cat low.tar high.tar
mkdir -m 755 store
cairn import app >out
chmod 755 store
locks -x store
timeout 20 "$CAIRN" --root "$store" images >out || fail "the store is locked by who may only read it"
timeout 20 "$CAIRN" --root "$store" mount --name one app:1 m >out || fail "mount: the store is locked by who may only read it"
echo new >m/new
timeout 20 "$CAIRN" --root "$store" umount one || fail "umount: the store is locked by who may only read it"
unlock
# Others get to a container's directories only where somebody has let them.
cairn mount --name two app:1 m >out
cairn umount --keep two
find store -type d -exec chmod 755 {} +
for dir in upper work; do
	locks -x "$(echo store/containers/*/$dir)"
	timeout 20 "$CAIRN" --root "$store" mount --name two app:1 m >out || fail "mount: $dir is locked by who may only read it"
	timeout 20 "$CAIRN" --root "$store" umount --keep two || fail "umount: $dir is locked by who may only read it"
	unlock
done
cairn mount --name two app:1 m >out
cairn umount two
