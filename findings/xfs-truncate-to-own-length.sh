#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Finding: ftruncate(2) to the length that a file has already is no empty call on xfs. If the end of the file is not on the disk yet, xfs
# writes the file there and waits for it, before it finds that there is nothing to change; ext4 does not. Who unpacks an archive
# and sets each file's length after writing it, as is usual for files with holes, so makes every small file wait for the disk.
#
# Seen with Linux 6.18, xfs by xfsprogs 6.1.0-1 and ext4 by e2fsprogs 1.47.0-2+b2:
#     xfs: 200 of 200 files wait for a place on the disk after write, 0 after ftruncate to the same length
#     ext4: 200 of 200 files wait for a place on the disk after write, 200 after ftruncate to the same length
#
# Needs root, a loop device, python3 and apt-get with Debian 12's packages. Exits with 1 if the kernel behaves otherwise, with 2 if it
# cannot be tried.
set -eu

[ "$(id -u)" = 0 ] || { echo "only root can mount" && exit 2; }
tmp=$(mktemp -d)
finish() {
	umount "$tmp/disk" 2>/dev/null || :
	rm -rf "$tmp"
}
trap finish EXIT
cd "$tmp"
apt-get -q download xfsprogs=6.1.0-1 e2fsprogs=1.47.0-2+b2 liburcu8=0.13.2-1 libinih1=55-1 >log 2>&1 || { cat log >&2 && exit 2; }
for package in *.deb; do
	dpkg -x "$package" root
done
PATH=$tmp/root/sbin:$tmp/root/usr/sbin:$PATH
LD_LIBRARY_PATH=$(find "$tmp/root" -name 'lib*.so*' -printf '%h\n' | sort -u | tr '\n' ':')
mkdir disk

# How many files are "delayed allocation" (FIEMAP): written, with no place on the disk yet.
cat >count.py <<'END2'
import fcntl, os, struct, sys

FS_IOC_FIEMAP, DELALLOC = 0xC020660B, 4

def is_delayed(fd):
    ask = bytearray(struct.pack("=QQLLLL", 0, 1 << 62, 0, 0, 1, 0) + bytes(56))
    fcntl.ioctl(fd, FS_IOC_FIEMAP, ask)
    return struct.unpack_from("=L", ask, 20)[0] == 1 and bool(struct.unpack_from("=L", ask, 32 + 40)[0] & DELALLOC)

before = after = 0
for i in range(200):
    fd = os.open(f"{sys.argv[1]}/{i}", os.O_CREAT | os.O_RDWR)
    os.write(fd, b"x" * 3000)
    before += is_delayed(fd)
    os.ftruncate(fd, 3000)
    after += is_delayed(fd)
print(before, after)
END2

# try NAME MKFS...: sets $before and $after.
try() {
	name=$1
	shift
	truncate -s 512M image
	LD_LIBRARY_PATH=$LD_LIBRARY_PATH "$@" image >log 2>&1 || { cat log >&2 && exit 2; }
	mount -o loop image disk
	result=$(python3 count.py disk)
	before=${result% *} after=${result#* }
	umount disk
	rm image
	echo "$name: $before of 200 files wait for a place on the disk after write, $after after ftruncate to the same length"
}
try xfs mkfs.xfs -q
[ "$before" = 200 ] && [ "$after" = 0 ] || exit 1
try ext4 mkfs.ext4 -q -F
[ "$before" = 200 ] && [ "$after" = 200 ] || exit 1
