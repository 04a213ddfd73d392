#!/bin/sh
# A mount without a top branch, or with ro, shows everything and takes nothing: EROFS, and no branch changes.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3

cd "$TMP"
mkdir l1 l2 l2/d u w m
echo f >l1/f
echo g >l2/d/g
ln -s f l1/s
mkfifo l2/p
treelist --dir-times l1 >before1
treelist --dir-times l2 >before2

try_everything() {
	python3 - m <<'END' || fail "$1"
import errno, os, sys
m = sys.argv[1]
bad = []
def refused(what, call, *args, **kw):
    try:
        call(*args, **kw)
    except OSError as e:
        if e.errno != errno.EROFS: bad.append(f"{what}: {e}")
    else:
        bad.append(f"{what}: succeeded")
j = lambda p: os.path.join(m, p)
refused("open for writing", os.open, j("f"), os.O_WRONLY)
refused("open for appending", os.open, j("f"), os.O_RDWR | os.O_APPEND)
refused("create", os.open, j("new"), os.O_CREAT | os.O_WRONLY)
refused("truncate", os.truncate, j("f"), 0)
refused("unlink", os.unlink, j("f"))
refused("rmdir", os.rmdir, j("d"))
refused("mkdir", os.mkdir, j("new"))
refused("mkdir below", os.mkdir, j("d/new"))
refused("symlink", os.symlink, "x", j("new"))
refused("link", os.link, j("f"), j("new"))
refused("mknod", os.mknod, j("new"), 0o010644)
refused("rename", os.rename, j("f"), j("new"))
refused("rename of a directory", os.rename, j("d"), j("e"))
refused("chmod", os.chmod, j("f"), 0o600)
refused("chown", os.chown, j("f"), 1, 1)
refused("utime", os.utime, j("f"), (1, 1))
refused("setxattr", os.setxattr, j("f"), "user.x", b"1")
refused("O_TMPFILE", os.open, m, os.O_TMPFILE | os.O_RDWR)
assert open(j("f")).read() == "f\n" and open(j("d/g")).read() == "g\n"
assert sorted(os.listdir(m)) == ["d", "f", "p", "s"] and os.readlink(j("s")) == "f"
print(*bad, sep="\n", file=sys.stderr, end="\n" if bad else "")
sys.exit(bool(bad))
END
}

mount_cairnfs -o lowerdir=l1:l2 m
try_everything "without upperdir"
umount m
mount_cairnfs -o ro,lowerdir=l1:l2,upperdir=u,workdir=w m
try_everything "with ro"
umount m
[ -z "$(find u -mindepth 1)" ] || fail "ro writes to upper: $(find u)"
treelist --dir-times l1 >after1
treelist --dir-times l2 >after2
same before1 after1
same before2 after2
