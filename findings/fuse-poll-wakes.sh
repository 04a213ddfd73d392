#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Finding: who polls /dev/fuse for nothing but errors (poll(2) with events = 0, to learn that the mount is gone) is woken by each
# request all the same, sees that there is nothing for it, and sleeps again: poll does not return, so only the scheduler's counts
# show it. The kernel wakes the queue without saying what for. A process that looks after a
# daemon in this way so makes each request cost two more switches of tasks.
#
# Seen with Debian's fuse-overlayfs 1.10-1 on Linux 6.18:
#     1000 files made and removed: the process that polls for errors slept 6966 times
#     without requests, in as much time: 0 times
#
# Needs root, /dev/fuse, python3 and apt-get with Debian 12's packages. Exits with 1 if the kernel behaves otherwise, with 2 if it
# cannot be tried.
set -eu

[ -w /dev/fuse ] || { echo "there is no /dev/fuse here" && exit 2; }
tmp=$(mktemp -d)
poller=
finish() {
	[ -z "$poller" ] || kill "$poller" 2>/dev/null || :
	umount -l "$tmp/m" 2>/dev/null || :
	rm -rf "$tmp"
}
trap finish EXIT
cd "$tmp"

apt-get -q download fuse-overlayfs=1.10-1 >log 2>&1 || { cat log >&2 && exit 2; }
dpkg -x fuse-overlayfs_1.10-1_*.deb package
mkdir l u w m
package/usr/bin/fuse-overlayfs -f -o lowerdir=l,upperdir=u,workdir=w m 2>log &
daemon=$!
while ! grep -q " $tmp/m fuse" /proc/mounts; do
	kill -0 $daemon || { cat log >&2 && exit 2; }
	sleep 0.1
done

# A copy of the daemon's descriptor, polled for errors alone.
cat >poller.py <<'END2'
import ctypes, os, select, sys
pid = int(sys.argv[1])
fds = [int(fd) for fd in os.listdir(f"/proc/{pid}/fd") if os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/fuse"]
SYS_pidfd_getfd = 438
fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_pidfd_getfd, os.pidfd_open(pid), fds[0], 0)
poll = select.poll()
poll.register(fd, 0)
print("polling" if fd >= 0 else "no descriptor", flush=True)
poll.poll()
END2
mkfifo said
python3 poller.py $daemon >said &
poller=$!
read -r word <said
[ "$word" = polling ] || { echo "$word" && exit 2; }
sleep 0.5

sleeps() {
	awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$poller/status"
}
start=$(sleeps)
sleep 1
idle=$(($(sleeps) - start))
start=$(sleeps)
for i in $(seq 1000); do
	: >"m/$i"
done
rm -rf m/*
busy=$(($(sleeps) - start))
echo "1000 files made and removed: the process that polls for errors slept $busy times"
echo "without requests, in as much time: $idle times"
[ "$busy" -gt 1000 ] && [ "$idle" -lt 10 ]
