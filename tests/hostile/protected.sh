#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What chattr(1) has made immutable or append-only, in a lower branch or through the mount, can be changed in no way that kernel
# overlayfs refuses: the same is done on a mount of each, and again after a remount and by another worker.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need chattr lsattr python3 setfattr

cd "$TMP"
mkdir probe && chattr +i probe 2>err || skip "no such flags on this filesystem"
chattr -i probe

# Nothing of it may outlive the test, or it could not be removed.
finish() {
	status=$?
	set +e
	umount "$TMP/kernel/m" 2>"$lib_log/none"
	for tree in "$TMP"/*/lower "$TMP"/*/upper; do
		chattr -R -ia "$tree" 2>"$lib_log/none"
	done
	(exit "$status")
	cleanup
}
trap finish EXIT

# tree DIR: objects of each kind, to be protected.
tree() {
	for kind in immutable append; do
		mkdir -p "$1/$kind.dir/empty"
		echo content >"$1/$kind.dir/file"
		for name in write truncate mode owner times now xattr unlink rename link target grow map; do
			echo content >"$1/$kind.$name"
		done
	done
	mkdir "$1/free"
}

protect() {
	chattr +i "$1"/immutable.*
	chattr +a "$1"/append.*
}

# deeds DIR: tries everything, and says what came of it.
deeds() {
	python3 - "$1" <<-'END'
		import errno, os, sys
		os.chdir(sys.argv[1])

		def tried(what, deed):
		    try:
		        deed()
		        print(what, "done")
		    except OSError as e:
		        print(what, errno.errorcode[e.errno])

		def append(path):
		    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
		    try:
		        os.write(fd, b"more\n")
		    finally:
		        os.close(fd)

		def overwrite(path):
		    fd = os.open(path, os.O_WRONLY)
		    try:
		        os.pwrite(fd, b"other", 0)
		    finally:
		        os.close(fd)

		def reserve(path):
		    fd = os.open(path, os.O_RDWR | os.O_APPEND)
		    try:
		        os.posix_fallocate(fd, 0, 65536)
		    finally:
		        os.close(fd)

		for kind in ("immutable", "append"):
		    k = kind + "."
		    d = k + "dir"
		    tried(k + "append", lambda: append(k + "write"))
		    tried(k + "overwrite", lambda: overwrite(k + "write"))
		    tried(k + "truncate", lambda: os.truncate(k + "truncate", 3))
		    tried(k + "truncate longer", lambda: os.truncate(k + "truncate", 300))
		    tried(k + "chmod", lambda: os.chmod(k + "mode", 0o600))
		    tried(k + "chown", lambda: os.chown(k + "owner", 1, 1))
		    tried(k + "utimes", lambda: os.utime(k + "times", (1, 1)))
		    tried(k + "touch", lambda: os.utime(k + "now"))
		    tried(k + "setxattr", lambda: os.setxattr(k + "xattr", "user.a", b"b"))
		    tried(k + "unlink", lambda: os.unlink(k + "unlink"))
		    tried(k + "rename", lambda: os.rename(k + "rename", k + "moved"))
		    tried(k + "rename away", lambda: os.rename(k + "rename", "free/moved"))
		    tried(k + "link", lambda: os.link(k + "link", k + "linked"))
		    open("free/source", "w").close()
		    tried(k + "replace", lambda: os.rename("free/source", k + "target"))
		    tried(k + "rmdir", lambda: os.rmdir(d + "/empty"))
		    tried(k + "create in it", lambda: os.close(os.open(d + "/new", os.O_CREAT | os.O_WRONLY)))
		    tried(k + "mkdir in it", lambda: os.mkdir(d + "/newdir"))
		    tried(k + "symlink in it", lambda: os.symlink("x", d + "/newlink"))
		    tried(k + "link into it", lambda: os.link("free/source", d + "/linked"))
		    tried(k + "rename into it", lambda: os.rename("free/source", d + "/moved"))
		    tried(k + "unlink in it", lambda: os.unlink(d + "/file"))
		    tried(k + "rename in it", lambda: os.rename(d + "/file", d + "/file2"))
		    tried(k + "rename from it", lambda: os.rename(d + "/file", "free/file"))
		    tried(k + "chmod of it", lambda: os.chmod(d, 0o700))
		    tried(k + "change in it", lambda: append(d + "/file"))
		    tried(k + "rename it", lambda: os.rename(d, k + "dir2"))
		    tried(k + "fallocate", lambda: reserve(k + "grow"))
	END
	(cd "$1" && lsattr -d ./*.* | sed 's/[-e]*\([ia]\)[-e]*/\1/' && cat ./*.* 2>"$lib_log/none" || :)
}

# one NAME MOUNTER: the whole programme in the directory NAME.
one() {
	mkdir -p "$1/lower" "$1/upper" "$1/work" "$1/m"
	tree "$1/lower"
	protect "$1/lower"
	"$2" "$1"
	echo "--- of the lower branch"
	deeds "$1/m"
	umount "$1/m"
	"$2" "$1"
	echo "--- and after a remount"
	deeds "$1/m"
	mkdir "$1/m/own"
	tree "$1/m/own"
	protect "$1/m/own"
	echo "--- through the mount"
	deeds "$1/m/own"
	umount "$1/m"
	"$2" "$1"
	echo "--- and after a remount"
	deeds "$1/m/own"
}

kernel() {
	mount -t overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" overlay "$1/m" 2>err || skip "no kernel overlayfs"
}

ours() {
	mount_cairnfs -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/m"
}

one kernel kernel >kernel.out
one ours ours >ours.out
same kernel.out ours.out

# By another worker the same.
kill -9 "$(worker)"
deeds kernel/m/own >kernel.out
deeds ours/m/own >ours.out
same kernel.out ours.out

# Taken away again, by root alone; and each reads what the other has marked.
find kernel/m/own ours/m/own ! -type l -exec chattr -ia {} +
deeds kernel/m/own >kernel.out
deeds ours/m/own >ours.out
same kernel.out ours.out
for mark in immutable append; do
	touch kernel/m/$mark.crossed ours/m/$mark.crossed
done
protect kernel/m 2>>"$lib_log/none" || :
protect ours/m 2>>"$lib_log/none" || :
umount kernel/m
umount ours/m
mv kernel/upper kernel/swap && mv ours/upper kernel/upper && mv kernel/swap ours/upper
rm -rf kernel/work/* ours/work/*
kernel kernel
ours ours
[ "$(lsattr -d ours/m/immutable.crossed | cut -c 5)" = i ] || fail "what the kernel has marked is not immutable"
[ "$(lsattr -d kernel/m/immutable.crossed | cut -c 5)" = i ] || fail "what we have marked is not immutable for the kernel"
[ "$(lsattr -d ours/m/append.crossed | cut -c 6)" = a ] || fail "what the kernel has marked is not append-only"
[ "$(lsattr -d kernel/m/append.crossed | cut -c 6)" = a ] || fail "what we have marked is not append-only for the kernel"

# An open file is protected from the moment on that it is marked, whoever has it open.
echo x >ours/m/free/late
exec 9<>ours/m/free/late
echo yes >&9
chattr +i ours/m/free/late
! echo no >&9 2>err || fail "an immutable file was written to by an open descriptor"
exec 9<&-
chattr -i ours/m/free/late
umount ours/m
umount kernel/m
