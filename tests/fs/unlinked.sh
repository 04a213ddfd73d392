#!/bin/sh
# A file that is open can be used when its name is gone: removed, replaced, from a branch, copied up or new.
# shellcheck disable=SC2016 # texts are for another shell
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3

cd "$TMP"
mkdir -p l/dir u w m
echo lower >l/lower
echo lower >l/written
echo lower >l/replaced
echo lower >l/mapped
echo in >l/dir/in
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
python3 - m <<'END' || fail "see above"
import mmap, os, sys
os.chdir(sys.argv[1])
R = os.O_RDONLY; W = os.O_RDWR

def text(fd):
    return os.pread(fd, 100, 0)

# removed while read, then changed
a = os.open("lower", R); os.unlink("lower")
assert text(a) == b"lower\n" and os.fstat(a).st_nlink == 0, os.fstat(a)
os.fchmod(a, 0o600); assert os.fstat(a).st_mode & 0o777 == 0o600
assert not os.path.exists("lower")

# removed while written to
b = os.open("written", W); os.unlink("written"); os.pwrite(b, b"UPPER", 0)
assert text(b) == b"UPPER\n"
os.ftruncate(b, 2); assert text(b) == b"UP"

# opened for writing only after a reader is there; both see the same
c = os.open("replaced", R); d = os.open("replaced", W)
os.pwrite(d, b"NEW", 0)
assert text(c) == b"NEWer\n", text(c)
open("other", "w").write("other"); os.rename("other", "replaced")
assert text(c) == b"NEWer\n" and open("replaced").read() == "other"
assert os.fstat(c).st_nlink == 0

# new ones, many, all removed; then a new file of the same name
fds = []
for i in range(200):
    fds.append(os.open("new", os.O_CREAT | os.O_EXCL | W)); os.write(fds[-1], b"%d" % i); os.unlink("new")
assert [text(fd) for fd in fds] == [b"%d" % i for i in range(200)]
for fd in fds: os.close(fd)

# mapped
e = os.open("mapped", W); m = mmap.mmap(e, 6); os.unlink("mapped"); m[0:1] = b"M"; m.flush(); os.close(e)
assert m[:] == b"Mower\n"

# a link keeps it
f = os.open("linked", os.O_CREAT | W); os.link("linked", "second"); os.unlink("linked")
assert os.fstat(f).st_nlink == 1; os.write(f, b"x"); assert open("second").read() == "x"
os.unlink("second"); assert os.fstat(f).st_nlink == 0

# a directory that is someone's place
os.mkdir("here"); h = os.open("here", R | os.O_DIRECTORY); os.rmdir("here")
assert os.listdir(h) == []
try: os.open("x", os.O_CREAT | W, dir_fd=h); assert False
except FileNotFoundError: pass

# O_TMPFILE, then a name for it
t = os.open(".", os.O_TMPFILE | W, 0o640); os.write(t, b"tmp")
os.link(f"/proc/self/fd/{t}", "named", src_dir_fd=os.open(".", R), follow_symlinks=True); assert open("named").read() == "tmp"
os.open(".", os.O_TMPFILE | W, 0o640)
END
[ "$(ls m)" = "dir
named
replaced" ] || fail "names: $(ls m)"
# When they are closed nothing of them is left, also on disk.
wait_for sh -c '[ -z "$(find w -path "*orphan*" -type f)" ]'
umount m
[ -z "$(find w -path '*orphan*' -mindepth 2)" ] || fail "left: $(find w)"
