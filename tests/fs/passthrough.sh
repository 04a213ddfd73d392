#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# io=passthrough: the kernel reads and writes files of the branches itself, from one page cache for all mounts, with nothing in a
# lower branch changed, copies up under open readers, and goes on through a worker's death.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need setpriv fincore python3
case $(uname -r) in
[1-5].* | 6.[0-8] | 6.[0-8].*) skip "passthrough takes Linux 6.9" ;;
esac

cd "$TMP"
mkdir l u w m u2 w2 m2 t
head -c 8388608 /dev/urandom >l/big
cp l/big l/read
cp l/big l/many
cp /bin/true l/true
cp /bin/true l/suid
chmod 4777 l/suid
echo line >l/log
: >l/empty
ln l/log l/other-name
touch -a -d 2001-01-01 l/*
(cd l && sha256sum ./*) >sums
stat -c '%n %X %Y %Z' l/* >times

"$CAIRNFS" -d -o io=passthrough,lowerdir=l,upperdir=u,workdir=w m 2>requests &
daemon=$!
wait_for mountpoint -q m

# ---- no requests for content ----

cmp m/read l/read || fail "a lower file reads wrong"
m/true || fail "a program does not run"
dd if=/dev/zero of=m/written bs=4096 count=500 status=none
printf 'x%.0s' $(seq 4096) | dd of=m/written bs=4096 seek=7 conv=notrunc status=none
[ "$(stat -c %s m/written u/written)" = "2048000
2048000" ] || fail "sizes: $(stat -c %s m/written u/written)"
cmp m/written u/written || fail "what was written differs"
# Empty files, and what must be looked at, are not given away; these are neither.
! grep -qE 'opcode: (READ|WRITE) ' requests || fail "requests: $(grep -E 'opcode: (READ|WRITE) ' requests | head -n 3)"

# One request to make and open a file, and one to close it.
mkdir tree m/tree
for i in $(seq 100); do
	head -c 3000 /dev/zero >"tree/f$i"
done
before=$(wc -l <requests)
tar -C tree -cf - . | tar -C m/tree -xf -
# The kernel sends RELEASE when it likes.
since() {
	tail -n "+$((before + 1))" requests | grep -c "opcode: $1 "
}
all_released() {
	[ "$(since RELEASE)" = 100 ]
}
wait_for all_released
[ "$(since CREATE)" = 100 ] || fail "$(since CREATE) CREATE for 100 files"
! tail -n "+$((before + 1))" requests | grep -E 'opcode: (WRITE|MKNOD|OPEN) ' || fail "other requests"

# ---- one page cache ----

# What one mount has read is in memory for another that has not.
mount_cairnfs -o io=passthrough,lowerdir=l,upperdir=u2,workdir=w2 m2
pages=$(fincore -b -n -r -o PAGES m2/read)
[ "$pages" = 2048 ] || fail "$pages of 2048 pages are in memory for another mount"
umount m2

# ---- copy-up under a reader ----

before=$(stat -c %i m/big)
exec 5<m/big
echo more >>m/big
[ "$(stat -c %i m/big)" = "$before" ] || fail "the number changed"
[ "$(stat -L -c '%i %s' /proc/self/fd/5)" = "$before 8388613" ] || fail "fstat of the reader: $(stat -L -c '%i %s' /proc/self/fd/5)"
[ "$(tail -c 5 m/big)" = more ] || fail "a new reader does not see what was written"
cmp - l/big <&5 || fail "the reader lost what it had opened"
exec 5<&-
[ "$(tail -c 5 m/big)" = more ] || fail "later"
chmod 600 m/big
[ "$(stat -c %a m/big u/big)" = "600
600" ] || fail "mode after copy-up"

# By one of two names, of which the other is in the kernel's memory.
stat m/other-name >out
exec 5<m/other-name
echo more >>m/log
[ "$(cat m/other-name)" = "line
more" ] || fail "the other name: $(cat m/other-name)"
exec 5<&-
[ "$(cat m/other-name)" = "line
more" ] || fail "the other name, later"
[ "$(stat -c %i m/log)" = "$(stat -c %i m/other-name)" ] || fail "two numbers"
rm m/log
[ "$(stat -c %h m/other-name)" = 1 ] || fail "links: $(stat -c %h m/other-name)"

# ---- mappings that change a file, also after it was closed ----

python3 - <<'END' || fail "mappings"
import mmap, os, time
fd = os.open("m/mapped", os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 8192)
m = mmap.mmap(fd, 8192)
os.utime("m/mapped", (1, 1))
os.close(fd)
time.sleep(0.05)
m[4096:4100] = b"map!"
m.flush()
assert os.stat("m/mapped").st_mtime > 1, "mtime"
assert open("m/mapped", "rb").read()[4096:4100] == b"map!"
assert open("u/mapped", "rb").read()[4096:4100] == b"map!"
END

# ---- rights ----

setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'echo x >>m/suid' || fail "writing as another user"
[ "$(stat -c %a m/suid u/suid)" = "777
777" ] || fail "setuid outlived a write: $(stat -c %a m/suid u/suid)"
# Also if it comes while the file is open, to who has it open.
chmod 777 t
setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'exec 7>>m/suid; : >t/open; while [ ! -e t/go ]; do sleep 0.01; done; echo x >&7' &
wait_for test -e t/open
chmod 4777 m/suid
: >t/go
wait $!
[ "$(stat -c %a m/suid)" = 777 ] || fail "setuid outlived a write by who had it open"
chmod 4755 m/true
setpriv --reuid=65534 --regid=65534 --clear-groups chown : m/true 2>out || :
[ "$(stat -c %a m/true)" = 4755 ] || fail "setuid went with somebody else's chown"
if chattr +a m/written 2>out; then
	! sh -c 'echo x >m/written' 2>out || fail "an append-only file was opened to be overwritten"
	echo end >>m/written || fail "an append-only file takes nothing"
	chattr -a m/written
fi

umount m
wait $daemon || fail "the daemon's exit status"
flock w/owner true

# ---- a worker's death ----

mount_cairnfs -o io=passthrough,lowerdir=l,upperdir=u,workdir=w m
exec 5<m/many 6>>m/kept
kill_worker() {
	old=$(worker)
	[ -n "$old" ] || fail "no worker found"
	kill -9 "$old"
	timeout 20 stat m >out || fail "after a worker's death"
	[ "$(worker)" != "$old" ] || fail "the worker is still there"
}
for round in 1 2 3; do
	kill_worker
	cat m/many >out || fail "opening what is open, after a worker's death"
	cmp out l/many || fail "content after a worker's death"
	echo "$round" >>m/kept || fail "writing what is open to be written"
	echo "$round by the open one" >&6
done
echo more >>m/many
kill_worker
[ "$(tail -c 5 m/many)" = more ] || fail "the copy after a worker's death"
cmp - l/many <&5 || fail "the reader's file after a worker's death"
exec 5<&- 6>&-
[ "$(wc -l <m/kept)" = 6 ] || fail "lines: $(cat m/kept)"
umount m
flock w/owner true

# ---- the branch ----

(cd l && sha256sum -c --quiet ../sums) || fail "the lower branch changed"
stat -c '%n %X %Y %Z' l/* | cmp - times || fail "times in the lower branch changed"

# ---- who may not ----

! "$CAIRNFS" -o io=passthrough,writeback=1,lowerdir=l m 2>out || fail "writeback and passthrough"
grep -q 'exclude each other' out || fail "said: $(cat out)"
! "$CAIRNFS" -o io=fast,lowerdir=l m 2>out || fail "io=fast"
grep -q "option io: 'fast' is neither" out || fail "said: $(cat out)"
