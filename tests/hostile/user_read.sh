#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What can be read on a plain filesystem can be read on a mount, whoever runs the daemon and whatever has become of the file:
# it is opened for what is asked, not for more.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need git fusermount3 chattr python3

cd "$TMP"

# ---- an ordinary user, whose own files can be read-only to him ----

mkdir user
chown nobody user
mknod -m 666 "$lib_log/fuse-node" c 10 229
cat >user/script <<'END'
set -eu
cd "$1"
export HOME="$1" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
mkdir l u w m
printf lower >l/file
chmod 444 l/file
start() {
	"$CAIRNFS" -o lowerdir=l,upperdir=u,workdir=w m
}
stop() {
	fusermount3 -u m
}
start
# A file that nobody may open, by the descriptor that made it.
python3 - <<'END2'
import os
for mode in (0o444, 0o400, 0):
    fd = os.open("m/mode%o" % mode, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
    os.write(fd, b"written")
    assert os.pread(fd, 10, 0) == b"written"
    os.fsync(fd)
    os.close(fd)
END2
[ "$(stat -c %a m/mode444 m/mode400 m/mode0 u/mode444 u/mode400 u/mode0 | tr '\n' ' ')" = "444 400 0 444 400 0 " ]
git init -q m/repo
echo one >m/repo/file
git -C m/repo add file
git -C m/repo commit -q -m one
chmod 400 m/file
stop
start
[ "$(cat m/mode444 m/mode400)" = writtenwritten ]
if [ "$(id -u)" != 0 ]; then
	! cat m/mode0 2>err
	grep -q "Permission denied" err
fi
[ "$(cat m/file)" = lower ]
chmod 600 m/mode0
[ "$(cat m/mode0)" = written ]
git -C m/repo fsck --strict 2>fsck
echo two >>m/repo/file
git -C m/repo commit -q -a -m two
git clone -q m/repo m/clone
[ "$(cat m/clone/file)" = "one
two" ]
stop
END
chmod 755 user/script
as_nobody() {
	# shellcheck disable=SC2016 # the other shell's
	LIB_LOG=$lib_log unshare -m --propagation private sh -ec '
		mount --bind "$LIB_LOG/fuse-node" /dev/fuse
		exec setpriv --reuid nobody --regid nogroup --clear-groups "$@"' sh "$@"
}
as_nobody sh -x user/script "$TMP/user" 2>out || fail "as an ordinary user: $(cat out)"

# ---- root of a user namespace ----

mkdir container
chown 12345:12345 container
sed 's/fusermount3 -u m/umount m/' user/script >container/script
rootless sh -x "$TMP/container/script" "$TMP/container" 2>out || fail "in a user namespace: $(cat out)"

# ---- files that root cannot open for writing either ----

mkdir l u w m
for name in immutable append; do
	echo "$name" >u/$name
done
cp "$(command -v sleep)" u/program
chattr +i u/immutable 2>err && chattr +a u/append || echo "no chattr here"
background "$TMP/u/program" 60
wait_for cmp -s "$TMP/u/program" "/proc/$!/exe"
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
[ "$(cat m/immutable m/append)" = "immutable
append" ] || fail "chattr"
cmp m/program "$(command -v sleep)" || fail "a program that runs"
! echo x 2>err >>m/program || fail "a program that runs was written to"
umount m
chattr -ia u/immutable u/append 2>err || :

# ---- a disk that became read-only ----

truncate -s 64M image
mkfs.ext4 -q image
mkdir disk m2
mount -o loop image disk
mkdir disk/u disk/w
echo kept >disk/u/file
mount_cairnfs -o lowerdir=l,upperdir=disk/u,workdir=disk/w m2
mount -o remount,abort disk # as ext4 does by itself after an error
[ "$(cat m2/file)" = kept ] || fail "a disk that became read-only"
! echo more 2>err >>m2/file || fail "written to a disk that is read-only"
umount m2
umount disk
