#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Finding: with FUSE's write-back cache each close of a file, also of one that was only read, from the cache, makes the next stat ask
# the server for its attributes, however long they were to be valid; and each unlink is followed by a SETATTR of the
# file's times, also if nobody has changed the file and no name of it is left. Who answers that by copying a lower file up does so for nobody.
#
# Seen with Debian's fuse-overlayfs 1.10-1 on Linux 6.18:
#     writeback=0: 0 GETATTR for 100 files that are read and looked at again, 0 SETATTR for 100 that are removed
#     writeback=1: 100 GETATTR for 100 files that are read and looked at again, 100 SETATTR for 100 that are removed
#
# Needs root, /dev/fuse, python3 and apt-get with Debian 12's packages. Exits with 1 if the kernel behaves otherwise, with 2 if it
# cannot be tried.
set -eu

[ -w /dev/fuse ] || { echo "there is no /dev/fuse here" && exit 2; }
tmp=$(mktemp -d)
finish() {
	umount -l "$tmp/m" 2>/dev/null || :
	rm -rf "$tmp"
}
trap finish EXIT
cd "$tmp"

apt-get -q download fuse-overlayfs=1.10-1 >log 2>&1 || { cat log >&2 && exit 2; }
dpkg -x fuse-overlayfs_1.10-1_*.deb package
mkdir l u w m
for i in $(seq 100); do
	echo content >"l/$i"
done

cat >use.py <<'END2'
import os, sys
for i in range(1, 101):
    path = f"m/{i}"
    if sys.argv[1] == "remove":
        os.unlink(path)
        continue
    with open(path, "rb", buffering=0) as file:
        file.read(100)
    os.stat(path)
END2

# asked REQUEST WHAT: how many of these requests that makes.
asked() {
	before=$(grep -c "opcode: $1 " log) || :
	python3 use.py "$2"
	sleep 0.5
	echo $(($(grep -c "opcode: $1 " log) - before))
}

# try WRITEBACK: sets $again and $removed.
try() {
	rm -rf u w
	mkdir u w
	package/usr/bin/fuse-overlayfs -d -o "lowerdir=l,upperdir=u,workdir=w,timeout=1000,writeback=$1" m 2>log >log.out &
	daemon=$!
	while ! grep -q " $tmp/m fuse" /proc/mounts; do
		kill -0 $daemon || { cat log >&2 && exit 2; }
		sleep 0.1
	done
	python3 use.py read
	python3 use.py read
	again=$(asked GETATTR read)
	removed=$(asked SETATTR remove)
	umount m
	wait $daemon || :
	echo "writeback=$1: $again GETATTR for 100 files that are read and looked at again, $removed SETATTR for 100 that are removed"
}
try 0
[ "$again" -lt 10 ] && [ "$removed" = 0 ] || exit 1
try 1
[ "$again" = 100 ] && [ "$removed" = 100 ]
