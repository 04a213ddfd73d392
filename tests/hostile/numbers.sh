#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Branches whose inode numbers are so long that they do not fit into ours, as those of another cairnfs mount or of network
# filesystems: each file stays itself over a worker's death, over copy-up, and at the next mount.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3

cd "$TMP"
mkdir -p base/d bu bw inner u w m
mount_cairnfs -o lowerdir=base,upperdir=bu,workdir=bw inner
for i in $(seq 60); do
	echo "content $i" >"inner/d/f$i"
done
[ "$(stat -c %i inner/d/f1)" -ge 4503599627370496 ] || fail "not so long: $(stat -c %i inner/d/f1)"

# numbers: of all files, with their content.
numbers() {
	for i in $(seq 60); do
		printf '%s %s %s\n' "$i" "$(stat -c %i "m/d/f$i")" "$(cat "m/d/f$i")"
	done
}

options=lowerdir=inner,upperdir=u,workdir=w
mount_cairnfs -o "$options" m
# A worker that has seen them in one order dies, and the next sees them in another: open files are what they were.
python3 - "$(daemon_process worker | tr '\n' ' ')" "$TMP/m" <<'END'
import os, signal, sys
fds = {}
for i in range(1, 61):
    fds[i] = os.open("%s/d/f%d" % (sys.argv[2], i), os.O_RDWR)
before = {i: os.fstat(fd).st_ino for i, fd in fds.items()}
for pid in sys.argv[1].split():
    if b"/m\0" in open("/proc/%s/cmdline" % pid, "rb").read() or b"\0m\0" in open("/proc/%s/cmdline" % pid, "rb").read():
        os.kill(int(pid), signal.SIGKILL)
for i in range(60, 0, -1):
    os.stat("%s/d/f%d" % (sys.argv[2], i))
for i in (7, 33, 2, 60, 1):
    assert os.fstat(fds[i]).st_ino == before[i], i
    assert os.pread(fds[i], 100, 0) == b"content %d\n" % i, (i, os.pread(fds[i], 100, 0))
    os.pwrite(fds[i], b"CONTENT", 0)
for i, fd in fds.items():
    want = (b"CONTENT" if i in (7, 33, 2, 60, 1) else b"content") + b" %d\n" % i
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    assert os.pread(fd, 100, 0) == want, (i, os.pread(fd, 100, 0))
    assert os.fstat(fd).st_ino == before[i], i
END
numbers >before
[ "$(cut -d ' ' -f 2 before | sort -u | wc -l)" = 60 ] || fail "a number is shown twice"
umount m
for option in '' ,ino32_t ,metacopy=on; do
	mount_cairnfs -o "$options$option" m
	numbers >after
	if [ "$option" = ,ino32_t ]; then
		cut -d ' ' -f 1,3- before >before.text
		cut -d ' ' -f 1,3- after >after.text
		same before.text after.text
	else
		same before after
	fi
	chmod 600 m/d/f40
	umount m
done
umount inner
