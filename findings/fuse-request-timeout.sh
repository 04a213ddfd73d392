#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Finding: fs.fuse.default_request_timeout (Linux 6.16) does not time a request out, it ends the mount. A value of 1 second lets a
# request wait for 12 and be answered, as less than 15 counts as 15; one that waits for longer ends the connection within some
# 30 seconds, and not only its caller has an error then: nothing of the mount can be used any more, whoever asks.
#
# Seen with Debian's fuse-overlayfs 1.10-1 on Linux 6.18, where an open waits for a lease that another process has on the file:
#     waited for 12 s: "one", and the mount lives
#     waited for 40 s: Software caused connection abort; another file: Transport endpoint is not connected
#
# Needs root, /dev/fuse, python3 and apt-get with Debian 12's packages. The setting is as before when it ends; it counts for FUSE
# mounts that are made meanwhile, for some milliseconds. Exits with 1 if the mount behaves otherwise, with 2 if it cannot be tried.
set -eu

setting=/proc/sys/fs/fuse/default_request_timeout
[ -w $setting ] || { echo "this kernel has no $setting" && exit 2; }
before=$(cat $setting)
tmp=$(mktemp -d)
finish() {
	echo "$before" >$setting
	umount -l "$tmp/m" 2>/dev/null || :
	rm -rf "$tmp"
}
trap finish EXIT
cd "$tmp"

apt-get -q download fuse-overlayfs=1.10-1 >log 2>&1 || { cat log >&2 && exit 2; }
dpkg -x fuse-overlayfs_1.10-1_*.deb package
mkdir l u w m
echo one >l/one
echo two >l/two
echo other >l/other

# A write lease keeps whoever opens the file waiting until it is given back, 45 seconds at most.
cat >lease.py <<'END2'
import fcntl, os, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("leased", flush=True)
signal.sigwait([signal.SIGIO])
time.sleep(int(sys.argv[2]))
END2

echo 1 >$setting
package/usr/bin/fuse-overlayfs -o lowerdir=l,upperdir=u,workdir=w m 2>log
echo "$before" >$setting

# read_leased FILE SECONDS: reads it through the mount while it is leased for so long.
read_leased() {
	mkfifo said
	python3 lease.py "l/$1" "$2" >said &
	read -r _ <said
	rm said
	cat "m/$1" 2>&1 || :
	wait $!
}
short=$(read_leased one 12)
alive=$(cat m/other 2>&1) || :
long=$(read_leased two 40)
dead=$(cat m/other 2>&1) || :
echo "waited for 12 s: $short; another file: $alive"
echo "waited for 40 s: $long; another file: $dead"
[ "$short" = one ] && [ "$alive" = other ] || exit 1
case "$long / $dead" in
*"connection abort / "*"not connected") ;;
*) exit 1 ;;
esac
