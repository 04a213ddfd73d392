#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The process that outlives workers: it starts another however often one is killed, gives a mount up whose workers crash one
# after the other, and ends by a signal with all that was written, without touching what others have mounted.
# shellcheck disable=SC2015,SC2016,SC3045 # fail does not return; what is quoted is for other shells; every sh has ulimit -c
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3

cd "$TMP"
ulimit -c 0
mkdir l m
echo lower >l/f

# begin [COMMAND...]: a mount with an upper directory of its own, the daemon started by that command.
begin() {
	rm -rf u w
	mkdir u w
	"$@" "$CAIRNFS" -o lowerdir=l,upperdir=u,workdir=w m
	supervisor=$(supervisor)
	[ -n "$supervisor" ] || fail "no supervisor"
}
another_worker() {
	now=$(worker)
	[ -n "$now" ] && [ "$now" != "$old" ]
}
# end_worker SIGNAL: and waits for the next.
end_worker() {
	old=$(worker)
	kill "-$1" "$old"
	wait_for another_worker
}
daemons() {
	supervisor
	worker
}
# end_workers SIGNAL COUNT: so many, one after the other.
end_workers() {
	for _ in $(seq "$2"); do
		end_worker "$1"
	done
}
# wait_over WHAT: until supervisor and worker have ended; if they do not, where they stand is shown.
wait_over() {
	for _ in $(seq 200); do
		[ -n "$(daemons)" ] || return 0
		sleep 0.1
	done
	for pid in $(daemons); do
		echo "process $pid, child of $(sed 's/.*) . \([0-9]*\) .*/\1/' "/proc/$pid/stat"):"
		cat "/proc/$pid/task"/*/stack
	done
	fail "$1: the daemon does not end"
}
expect_over() {
	wait_over "$1"
	! mounts | grep -qx "$TMP/m" || fail "$1: still mounted"
	[ "$(find w -mindepth 2)" = "" ] || fail "$1: left in the work directory: $(find w)"
}

# ---- killed while nobody asks for anything: that is nobody's fault, however often ----

begin
end_workers KILL 25
[ "$(timeout 20 cat m/f)" = lower ] || fail "after 25 kills"
[ "$(supervisor)" = "$supervisor" ] || fail "another supervisor"

# ---- crashes with work done in between are survived; without any, the tenth is the last ----

i=0
while [ $i -lt 12 ]; do
	end_worker ABRT
	echo $i >m/new
	[ "$(timeout 20 cat m/new)" = $i ] || fail "crash $i"
	i=$((i + 1))
done
end_workers ABRT 9
old=$(worker)
kill -ABRT "$old"
expect_over "ten crashes in a row"
[ "$(cat u/new)" = 11 ] || fail "what was written before is not there"

# ---- SIGTERM, twice: what was below the mount stays ----

mount -t tmpfs below m
: >m/below
begin
kill -TERM "$supervisor"
kill -TERM "$supervisor" 2>"$TMP/none" || :
wait_over "SIGTERM, twice"
[ -e m/below ] || fail "what was mounted below is gone too"
umount m

# ---- and above: what others have mounted over ours is not ours to unmount ----

begin
exec 9<m
mount -t tmpfs above m
: >m/above
kill -TERM "$supervisor"
wait_over "SIGTERM while something is mounted above"
[ -e m/above ] || fail "what was mounted above is gone"
exec 9<&-
umount m
umount m

# ---- a caller that ignores signals ----

begin sh -c 'trap "" TERM INT HUP CHLD USR2; exec "$@"' sh
end_worker KILL
[ "$(timeout 20 cat m/f)" = lower ] || fail "SIGCHLD ignored by the caller: no other worker"
kill -TERM "$supervisor"
expect_over "SIGTERM ignored by the caller"

# ---- SIGTERM to the worker alone is not for it ----

begin
old=$(worker)
kill -TERM "$old"
kill -INT "$old"
kill -HUP "$old"
[ "$(timeout 20 cat m/f)" = lower ] || fail "a signal to the worker"
[ "$(worker)" = "$old" ] || fail "a signal ended the worker"
kill -TERM "$supervisor"
expect_over "SIGTERM"

# ---- what a process has mapped and written is in upper when the daemon is gone, also if the worker dies over it ----

cat >map.py <<'END'
import mmap, os, time
fd = os.open("m/mapped", os.O_CREAT | os.O_RDWR)
os.ftruncate(fd, 64 << 20)
m = mmap.mmap(fd, 64 << 20)
for i in range(0, 64 << 20, 4096): m[i:i + 8] = b"%8d" % i
open("dirty", "w").close()
while not os.path.exists("done"): time.sleep(0.05)
END
for killed in no yes; do
	rm -f dirty "done"
	begin
	background python3 map.py
	mapper=$!
	wait_for test -e dirty
	old=$(worker)
	kill -TERM "$supervisor"
	if [ $killed = yes ]; then
		sleep 0.02
		kill -9 "$old" 2>"$TMP/none" || :
	fi
	expect_over "SIGTERM while a file is mapped"
	python3 -c '
f = open("u/mapped", "rb")
for i in range(0, 64 << 20, 4096):
    f.seek(i)
    assert f.read(8) == b"%8d" % i, i' || fail "what was mapped is not all in upper (worker killed: $killed)"
	touch "done"
	wait "$mapper"
done

# ---- what is open and has no name outlives workers that cannot begin, and a full disk ----

cat >hold.py <<'END'
import os, sys, time
fds = []
for name in ("new", "f"):
    fds.append(os.open("m/" + name, os.O_CREAT | os.O_RDWR)); os.write(fds[-1], b"held"); os.unlink("m/" + name)
open("held", "w").close()
while not os.path.exists("done"): time.sleep(0.05)
for fd in fds: assert os.pread(fd, 4, 0) == b"held"
assert os.path.exists("m/kept") and not os.path.exists("m/f")
END
hold() {
	rm -f held "done"
	echo kept >m/kept
	background python3 hold.py
	holder=$!
	wait_for test -e held
}
release() {
	touch "done"
	wait "$holder" || fail "$1: what was open"
	rm m/kept
	umount m
}
begin
hold
prlimit --pid "$supervisor" --nofile=9:20000
old=$(worker)
kill -9 "$old"
sleep 0.5
prlimit --pid "$supervisor" --nofile=20000:20000
[ "$(timeout 20 cat m/kept)" = kept ] || fail "after workers without descriptors"
release "workers without descriptors"

mkdir full
for limit in size=400k nr_inodes=30; do
	mount -t tmpfs -o "$limit" full full
	mkdir full/u full/w
	"$CAIRNFS" -o lowerdir=l,upperdir=full/u,workdir=full/w m
	supervisor=$(supervisor)
	hold
	i=0
	while head -c 20000 /dev/zero 2>"$TMP/none" >"m/filler-$i"; do
		i=$((i + 1))
		[ $i -lt 1000 ] || fail "$limit: never full"
	done 2>"$TMP/none"
	end_worker KILL
	timeout 20 rm "m/filler-0" || fail "$limit: nothing can be removed after a worker's death"
	rm -f m/filler-*
	mkdir m/again
	release "$limit"
	flock full/w/owner true
	umount full
done

# ---- what is logged ----

rm -rf u w
mkdir u w
"$CAIRNFS" -f -o lowerdir=l,upperdir=u,workdir=w m 2>said &
daemon=$!
wait_for grep -q " $TMP/m " /proc/mounts
wait_for test -e m/f
end_worker KILL
end_worker ABRT
kill -TERM "$daemon"
wait "$daemon" || fail "-f ended with $?"
grep -q "killed by signal 9 (Killed)" said && grep -q "killed by signal 6 (Aborted)" said || fail "the log: $(cat said)"

# ---- it sleeps while others work ----

rm -rf u w
mkdir u w
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
switches() {
	awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$(supervisor)/status"
}
before=$(switches)
for i in $(seq 300); do
	: >"m/$i"
done
rm m/[0-9]*
# Requests are the worker's: the device wakes whoever polls it, be it for errors alone.
[ $(($(switches) - before)) -lt 30 ] || fail "the supervisor was woken $(($(switches) - before)) times by 300 files"
umount m
