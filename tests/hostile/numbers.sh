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

# ---- the same upper on other branches, whose numbers are the same and mean other files ----

# other_files FILE FILE: they are not taken for one.
other_files() {
	stat "$1" "$2" >none # so that both are known
	[ "$(stat -c %i "$1")" != "$(stat -c %i "$2")" ] || fail "$1 and $2 have one number"
}

# Filesystems that say no more of themselves than FUSE does: files born in each have the same numbers.
rm -r u w
mkdir u w base1 base2 up1 up2 work1 work2 in1 in2
mount_cairnfs -o lowerdir=base1,upperdir=up1,workdir=work1 in1
mount_cairnfs -o lowerdir=base2,upperdir=up2,workdir=work2 in2
for i in $(seq 20); do
	echo "one $i" >"in1/one$i"
	echo "two $i" >"in2/two$i"
done
mount_cairnfs -o lowerdir=in1,upperdir=u,workdir=w m
chmod 600 m/one*
umount m
mount_cairnfs -o lowerdir=in2,upperdir=u,workdir=w m
for i in $(seq 20); do
	for k in $(seq 20); do
		other_files "m/one$i" "m/two$k"
	done
	[ "$(cat "m/one$i" "m/two$i")" = "one $i
two $i" ] || fail "m/one$i is $(cat "m/one$i"), m/two$i is $(cat "m/two$i")"
done
umount m
umount in1 in2

# A copy that cannot carry its number, as links of ordinary users cannot: the work directory has it, for those branches.
rm -r u w
mkdir u w l1 l2
ln -s one l1/one
ln l1/one l2/two
mount_cairnfs -o lowerdir=l1,upperdir=u,workdir=w,userxattr m
chown -h 7 m/one
number=$(stat -c %i m/one)
umount m
mount_cairnfs -o lowerdir=l1,upperdir=u,workdir=w,userxattr m
[ "$(stat -c %i m/one)" = "$number" ] || fail "a link's number: $(stat -c %i m/one), not $number"
umount m
mount_cairnfs -o lowerdir=l2,upperdir=u,workdir=w,userxattr m
other_files m/two m/one
[ "$(stat -c %u m/one m/two | tr '\n' ' ')" = "7 0 " ] || fail "owners: $(stat -c '%n %u' m/one m/two)"
umount m

# Subvolumes below a branch are known by numbers that the kernel gives out as they are used, to one today and to another tomorrow;
# and two subvolumes of one filesystem are two stacks.
if command -v mkfs.btrfs btrfs >none && grep -qw btrfs /proc/filesystems; then
	rm -r u w
	mkdir u w disk
	truncate -s 300M image
	mkfs.btrfs -q image >none
	mount -o loop image disk
	for name in a b a/one a/two; do
		btrfs subvolume create "disk/$name" >none
	done
	echo a >disk/a/a
	echo b >disk/b/b
	echo one >disk/a/one/one
	echo two >disk/a/two/two
	umount disk
	mount -o loop image disk
	mount_cairnfs -o lowerdir=disk/a,upperdir=u,workdir=w m
	chmod 600 m/a m/one/one
	number=$(stat -c %i m/a)
	umount m
	umount disk
	mount -o loop image disk
	mount_cairnfs -o lowerdir=disk/a,upperdir=u,workdir=w m
	ls m/two >none
	other_files m/two/two m/one/one
	[ "$(cat m/two/two m/one/one)" = "two
one" ] || fail "subvolumes: $(cat m/two/two m/one/one)"
	[ "$(stat -c %i m/a)" = "$number" ] || fail "a copy's number: $(stat -c %i m/a), not $number"
	umount m
	mount_cairnfs -o lowerdir=disk/b,upperdir=u,workdir=w m
	other_files m/b m/a
	[ "$(cat m/b m/a)" = "b
a" ] || fail "another subvolume: $(cat m/b m/a)"
	umount m
	umount disk
fi
