#!/bin/sh
# What cannot be mounted is refused: one clear line that names what is wrong, a non-zero exit, nothing mounted, nothing changed.
# shellcheck disable=SC2016 # texts are for another shell
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

cd "$TMP"
mkdir l l/sub u u/sub w m other tmpfs ro
echo f >l/f
: >file

# ---- what is not there, or no directory ----

mount_refused '^cairnfs: .*/none.*No such file' -o lowerdir=l:"$TMP/none" m
mount_refused 'upperdir none: No such file' -o lowerdir=l,upperdir=none,workdir=w m
mount_refused 'workdir none: No such file' -o lowerdir=l,upperdir=u,workdir=none m
mount_refused 'none: No such file' -o lowerdir=l none
mount_refused 'lowerdir file: Not a directory' -o lowerdir=file m
mount_refused 'data-only layers' -o lowerdir=l::l m
mount_refused 'file: Not a directory|file' -o lowerdir=l file
mount_refused 'upperdir file: Not a directory' -o lowerdir=l,upperdir=file,workdir=w m

# ---- options ----

mount_refused "unknown option 'uperdir'" -o lowerdir=l,uperdir=u,workdir=w m
mount_refused "unknown option 'nonsense'" -o lowerdir=l,nonsense m
mount_refused "nonsense" --nonsense -o lowerdir=l m
mount_refused "upperdir needs a value" -o lowerdir=l,upperdir=,workdir=w m
mount_refused "lowerdir needs a value" -o lowerdir m
mount_refused "lowerdir is missing" m
mount_refused "lowerdir is missing" -o upperdir=u,workdir=w m
mount_refused "workdir" -o lowerdir=l,upperdir=u m
mount_refused "upperdir" -o lowerdir=l,workdir=w m
mount_refused "mount point" -o lowerdir=l
mount_refused "extra" -o lowerdir=l one two extra

# ---- directories that lie badly to each other ----

mount_refused "overlaps" -o lowerdir=u,upperdir=u,workdir=w m
mount_refused "overlaps" -o lowerdir=u/sub,upperdir=u,workdir=w m
mount_refused "overlaps" -o lowerdir=w,upperdir=u,workdir=w m
mount_refused "overlaps" -o lowerdir=l,upperdir=u,workdir=u m
mount_refused "overlaps" -o lowerdir=l,upperdir=u,workdir=u/sub m
mount_refused "overlaps" -o lowerdir=l,upperdir=u/sub,workdir=u m
mount -t tmpfs none tmpfs
mkdir tmpfs/u tmpfs/w
mount_refused "not on the filesystem of upperdir" -o lowerdir=l,upperdir=u,workdir=tmpfs/w m
mount_refused "not on the filesystem of upperdir" -o lowerdir=l,upperdir=tmpfs/u,workdir=w m
mount --bind u other
mount_refused "not on the filesystem of upperdir" -o lowerdir=l,upperdir=other,workdir=w m # rename(2) would say EXDEV
umount other
mount -o remount,ro tmpfs
mount_refused "tmpfs/[uw].*Read-only|Read-only" -o lowerdir=l,upperdir=tmpfs/u,workdir=tmpfs/w m
umount tmpfs

# ---- what another mount uses ----

mkdir m2 w2 u2
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
started=$(date +%s)
mount_refused "workdir w is in use" -o lowerdir=l,upperdir=u2,workdir=w m2
mount_refused "upperdir u is in use" -o lowerdir=l,upperdir=u,workdir=w2 m2
mount_refused "in use" -o lowerdir=l,upperdir=u,workdir=w m2
[ $(($(date +%s) - started)) -lt 5 ] || fail "a mount in use is waited for"
# As a lower branch elsewhere it may serve: engines do that.
mount_cairnfs -o lowerdir=u:l m2
[ "$(cat m2/f m/f)" = "f
f" ] || fail "upper as a branch elsewhere"
umount m2
[ "$(cat m/f)" = f ] || fail "the refused mounts hurt the first"
echo new >m/new
umount m

# ---- nothing is left, nothing was changed ----

[ "$(find l u2 -mindepth 1 | LC_ALL=C sort | tr '\n' ' ')" = "l/f l/sub " ] || fail "changed: $(find l u2)"
[ -z "$(mounts)" ] || fail "left mounted: $(mounts)"
wait_for sh -c '[ -z "$(grep -lszFx "CAIRN_TEST=$TMP" /proc/[0-9]*/environ | xargs -rn1 dirname | while read -r p; do tr "\0" " " <$p/cmdline; done | grep "^[^ ]*cairnfs ")" ]'

# Exit codes: usage errors can be told from the rest.
"$CAIRNFS" -o nonsense m 2>"$TMP/err" && fail "no exit code" || [ $? = 2 ] || fail "usage errors exit with $?"
"$CAIRNFS" -o lowerdir=none m 2>"$TMP/err" && fail "no exit code" || [ $? = 1 ] || fail "failures exit with $?"
