#!/bin/sh
# FIFOs, sockets and devices work through the mount, from branches, copied up and new, and device 0:0 is no one's to make.
# shellcheck disable=SC2015 # fail does not return
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3

cd "$TMP"
mkdir l u w m
mkfifo l/fifo
mknod l/null c 1 3
mknod l/zero c 1 5
mknod l/block b 259 70000
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("l/socket")'
chmod 666 l/null l/zero
touch -h -d @5.000000005 l/*
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
cd m

[ "$(stat -c '%F %t:%T' null)" = "character special file 1:3" ] || fail "null: $(stat -c '%F %t:%T' null)"
[ "$(stat -c '%F %t:%T' block)" = "block special file 103:11170" ] || fail "block: $(stat -c '%F %t:%T' block)"
[ "$(stat -c %F fifo)" = fifo ] && [ "$(stat -c %F socket)" = socket ] || fail "types"
echo gone >null
[ "$(head -c 4 zero | od -An -tx1)" = " 00 00 00 00" ] || fail "zero"

use_fifo() {
	background sh -c "echo through >$1"
	[ "$(timeout 10 cat "$1")" = through ] || fail "$1"
}
use_fifo fifo
chmod 640 fifo null block socket # copies them up
[ "$(stat -c '%a %t:%T' null)" = "640 1:3" ] || fail "null copied up"
[ "$(stat -c '%a %t:%T' "$TMP/u/block")" = "640 103:11170" ] || fail "block copied up"
[ "$(stat -c '%y' fifo)" != "" ] && use_fifo fifo
mkfifo new-fifo
use_fifo new-fifo
mknod new-null c 1 3
echo gone >new-null
mv zero moved-zero
[ "$(head -c 2 moved-zero | od -An -tx1)" = " 00 00" ] || fail "moved zero"

# A server and its client.
python3 - <<'END' || fail "sockets"
import os, socket
s = socket.socket(socket.AF_UNIX); s.bind("server"); s.listen()
c = socket.socket(socket.AF_UNIX); c.connect("server"); c.send(b"hello")
assert s.accept()[0].recv(5) == b"hello"
END
rm server socket fifo

# It would be a whiteout.
! mknod whiteout c 0 0 2>"$TMP/err" || fail "device 0:0 was made"
[ ! -e whiteout ] || fail "whiteout"
mknod b00 b 0 0 || fail "block device 0:0"
ls >"$TMP/names"
[ "$(tr '\n' ' ' <"$TMP/names")" = "b00 block moved-zero new-fifo new-null null " ] || fail "names: $(cat "$TMP/names")"
cd "$TMP"
umount m

# nodev: they are there and do nothing.
mount_cairnfs -o nodev,lowerdir=l,upperdir=u,workdir=w m
! sh -c 'echo x >m/null' 2>"$TMP/err" || fail "a device opens with nodev"
umount m
