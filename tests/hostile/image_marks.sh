#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Marks of union filesystems that an image, or whoever owns a file, can bring: they lead to nothing but what the branches hold.
# A tree beside the branches is the canary: its content must not show, nor may its times of access move.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need setfattr python3

cd "$TMP"

# ---- a file that says that its data are elsewhere ----

mkdir l1 l2 u w m s
echo secret >s/s
echo below >l2/below
ln -s ../s/s l2/link
ln -s "$TMP/s" l2/dir
for name in up path named link through below; do
	truncate -s 7 "l1/$name"
done
# mark NAMESPACE DIR: what each file says, in that namespace.
mark() {
	for name in up path named link through below; do
		setfattr -n "$1.overlay.metacopy" "$2/$name"
	done
	setfattr -n "$1.overlay.redirect" -v ../s/s "$2/up"
	setfattr -n "$1.overlay.redirect" -v /../s/s "$2/path"
	setfattr -n "$1.overlay.redirect" -v "$TMP/s/s" "$2/named"
	setfattr -n "$1.overlay.redirect" -v link "$2/link"
	setfattr -n "$1.overlay.redirect" -v /dir/s "$2/through"
	setfattr -n "$1.overlay.redirect" -v /below "$2/below"
}

# no_secret: whatever these files show, it is not what lies outside.
no_secret() {
	for name in up path named link through; do
		! cat "m/$name" 2>"$TMP/err" | grep -q secret || fail "$1: m/$name shows what is outside"
	done
}

# Of the user namespace, such marks are nobody's word without userxattr: the file is what it is.
mark user l1
mount_cairnfs -o lowerdir=l1:l2 m
no_secret "user marks in a branch"
[ "$(tr -d '\0' <m/below | wc -c)" = 0 ] && [ "$(stat -c %s m/below)" = 7 ] || fail "a user mark counts without userxattr"
umount m
mount_cairnfs -o lowerdir=l1:l2,userxattr m
no_secret "user marks in a branch, with userxattr"
[ "$(head -c 5 m/below)" = below ] || fail "a good mark: $(cat m/below)"
umount m
cp -a l1/. u
mount_cairnfs -o lowerdir=l2,upperdir=u,workdir=w m
no_secret "user marks in upper"
umount m
mount_cairnfs -o lowerdir=l2,upperdir=u,workdir=w,userxattr m
no_secret "user marks in upper, with userxattr"
umount m
for name in up path named link through below; do
	setfattr -x user.overlay.metacopy "l1/$name"
	setfattr -x user.overlay.redirect "l1/$name"
done
mark trusted l1
mount_cairnfs -o lowerdir=l1:l2 m
no_secret "root's marks in a branch"
[ "$(head -c 5 m/below)" = below ] || fail "root's good mark: $(cat m/below)"
umount m
rm -rf u w
mkdir w
cp -a --preserve=xattr l1 u
mount_cairnfs -o lowerdir=l2,upperdir=u,workdir=w m
no_secret "root's marks in upper"
umount m

# ---- the kernel's overlayfs, where it can be asked, shows no less and refuses what we refuse ----

rm -rf l1 l2
mkdir -p l1 l2/target l2/a/b k
echo below >l2/target/f
i=0
for redirect in / . .. ../target a/b /a/../target /target/ //target target /target; do
	i=$((i + 1))
	mkdir l1/d$i
	setfattr -n trusted.overlay.redirect -v "$redirect" l1/d$i
done
printf '' >l1/hidden
echo shown >l2/hidden
setfattr -n trusted.overlay.whiteout -v y l1/hidden
# outcome DIR: what a lookup of each says.
outcome() {
	for name in d1 d2 d3 d4 d5 d6 d7 d8 d9 d10 hidden; do
		echo "$name $(stat -c %F "$1/$name" 2>"$lib_log/none" || echo refused) $(ls "$1/$name" 2>"$lib_log/none")"
	done
}
if mount -t overlay -o ro,lowerdir=l1:l2 overlay k 2>err; then
	outcome k >kernel.out
	umount k
	mount_cairnfs -o lowerdir=l1:l2 m
	outcome m >ours.out
	umount m
	same kernel.out ours.out
fi

# ---- a copy of a renamed directory in upper is no second way to the same lower one ----

rm -rf l1 u w
mkdir -p l1/b u w
echo lower >l1/b/f
mount_cairnfs -o lowerdir=l1,upperdir=u,workdir=w m
mv m/b m/moved
echo upper >m/moved/f
umount m
cp -a u/moved u/copy
mount_cairnfs -o lowerdir=l1,upperdir=u,workdir=w m
[ "$(cat m/moved/f)" = upper ] || fail "the first one is not to be had"
if (echo changed >m/copy/f) 2>err; then fail "a copy of a mark is a second name of the directory"; fi
grep -q "Stale file handle" err || fail "a copy of a mark: $(cat err)"
[ "$(cat m/moved/f)" = upper ] || fail "what was written into the copy is elsewhere"
umount m

# ---- random marks on random objects ----

python3 - "$TMP" "$CAIRNFS" <<'END'
import errno, os, random, shutil, subprocess, sys
top, cairnfs = sys.argv[1:]
secret = b"not to be seen"
canary = os.path.join(top, "canary")
os.makedirs(canary + "/dir")
for path in ("file", "dir/file"):
    with open(os.path.join(canary, path), "wb") as f:
        f.write(secret)
# Times of access that move with the first reading.
watched = [canary, canary + "/dir", canary + "/file", canary + "/dir/file"]
for path in watched:
    os.utime(path, (1, 1))

names = ["a", "b", "c", "canary", "file", "dir"]
values = ["y", "x", "", "/", ".", "..", "a", "b", "a/b", "/a", "/a/b", "/dir/file", "../canary/file", "../../canary/file",
          "/../canary/file", "../canary", "/../canary", "../../canary", canary, canary + "/file", "/link/file", "link",
          "dir\0file", "\xff" * 300, "/" + "a/" * 200 + "b", "//a", "/a/", "0:0:0100755", "0:0:0120777"]
marks = ["overlay.opaque", "overlay.redirect", "overlay.metacopy", "overlay.whiteout", "overlay.origin", "overlay.protattr",
         "overlay.impure", "fuseoverlayfs.opaque", "fuseoverlayfs.origin", "containers.override_stat"]

def plant(rng, where, depth):
    for name in rng.sample(names, rng.randint(2, len(names))):
        path = os.path.join(where, name)
        kind = rng.random()
        if kind < 0.45 and depth < 3:
            os.mkdir(path)
            plant(rng, path, depth + 1)
        elif kind < 0.8:
            with open(path, "wb") as f:
                f.write(b"inside" * rng.randint(0, 2))
        elif kind < 0.9:
            os.symlink(rng.choice(["../canary", canary, canary + "/file", "../../canary/file", "a"]), path)
            continue
        else:
            os.mknod(path, 0o020000, 0)
            continue
        for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
            try:
                os.setxattr(path, rng.choice(["user.", "trusted."]) + rng.choice(marks),
                            rng.choice(values).encode("latin-1"))
            except OSError:
                pass
    if rng.random() < 0.2:
        open(os.path.join(where, rng.choice([".wh.a", ".wh.b", ".wh..wh..opq"])), "w").close()

def look(path):
    try:
        st = os.lstat(path)
        for name in os.listxattr(path, follow_symlinks=False):
            assert not name.startswith(("trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.")), (path, name)
            os.getxattr(path, name, follow_symlinks=False)
        if (st.st_mode & 0o170000) == 0o100000:
            with open(path, "rb") as f:
                assert secret not in f.read(), path
        elif (st.st_mode & 0o170000) == 0o040000:
            for name in os.listdir(path):
                look(os.path.join(path, name))
    except OSError as e:
        assert e.errno in (errno.EIO, errno.ENOENT), (path, e)

def disturb(rng, path):
    for where, dirs, files in os.walk(path, topdown=False):
        for name in dirs + files:
            try:
                old = os.path.join(where, name)
                deed = rng.randrange(5)
                if deed == 0:
                    os.chmod(old, 0o700, follow_symlinks=False)
                elif deed == 1:
                    os.rename(old, old + "2")
                elif deed == 2:
                    os.link(old, old + "3", follow_symlinks=False)
                elif deed == 3:
                    with open(old, "ab") as f:
                        f.write(b"more")
                else:
                    os.unlink(old)
            except (OSError, NotImplementedError):
                pass

for seed in range(40):
    rng = random.Random(seed)
    base = os.path.join(top, "fuzz")
    for name in ("1", "2", "3", "upper", "work", "m"):
        os.makedirs(os.path.join(base, name))
    for name in ("1", "2", "3", "upper")[: 4 if rng.random() < 0.5 else 3]:
        plant(rng, os.path.join(base, name), 0)
    options = "lowerdir=1:2:3,upperdir=upper,workdir=work" + rng.choice(
        ["", ",userxattr", ",metacopy=on", ",xattr_permissions=2", ",redirect_dir=off"])
    subprocess.run([cairnfs, "-o", options, "m"], cwd=base, check=True)
    try:
        look(os.path.join(base, "m"))
        disturb(rng, os.path.join(base, "m"))
        look(os.path.join(base, "m"))
    except AssertionError:
        print("seed", seed, options, file=sys.stderr)
        raise
    finally:
        subprocess.run(["umount", os.path.join(base, "m")], check=True)
    for path in watched:
        assert os.stat(path).st_atime == 1, (seed, path, "was read")
    shutil.rmtree(base)
END
