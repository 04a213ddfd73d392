#!/bin/sh
# On disk the formats are those of overlayfs: the kernel's overlayfs reads an upper that cairnfs wrote, and cairnfs reads the
# uppers of overlayfs and of fuse-overlayfs, as its own upper and as a branch; all see the same tree.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

cd "$TMP"
mkdir probe
(cd probe && mkdir l u w m && mount -t overlay none -o lowerdir=l,upperdir=u,workdir=w m) 2>"$TMP/err" ||
	skip "the kernel has no overlayfs for us here: $(cat "$TMP/err")"
umount probe/m

mkdir -p l1/d l2/d/sub l2/gone l2/opaque/old l2/moved/deep
echo 1 >l1/d/one
echo 2 >l2/d/two
echo 3 >l2/d/sub/three
echo x >l2/gone/x
echo x >l2/opaque/old/x
echo m >l2/moved/deep/m
echo f >l2/file
ln l2/file l2/link
ln -s file l2/symlink
echo r >l2/removed
echo c >l2/chmod
find l1 l2 -exec touch -h -d @1000 {} +

# What a container does, in the directory $1.
change() {
	cd "$1"
	echo changed >d/two
	echo new >d/new
	rm removed
	rm -r gone
	rm -r opaque
	mkdir opaque
	echo fresh >opaque/fresh
	mv moved elsewhere 2>"$TMP/err" || cp -a moved elsewhere && rm -rf moved # overlayfs may refuse without redirect_dir
	chmod 600 chmod
	rm d/sub/three
	rmdir d/sub
	echo dir >d/sub
	ln d/new hard
	mkdir -p deep/er
	mv d/one deep/er/one
	mkdir removed
	mkfifo pipe
	cd "$TMP"
}

options() {
	echo "lowerdir=$TMP/l1:$TMP/l2,upperdir=$TMP/$1/u,workdir=$TMP/$1/w"
}

# seen_alike NAME: kernel overlayfs and cairnfs agree on the upper of NAME, used as an upper and as a branch.
seen_alike() {
	mkdir -p "$1/m" "$1/e"
	mount -t overlay none -o "lowerdir=$TMP/$1/u:$TMP/l1:$TMP/l2" "$1/m"
	treelist --no-times "$1/m" >"$1/by-kernel"
	umount "$1/m"
	mount_cairnfs -o "lowerdir=$1/u:l1:l2" "$1/m"
	treelist --no-times "$1/m" >"$1/by-us"
	umount "$1/m"
	# A directory's link count is 1 in overlayfs where it merges; that of files is not counted by it.
	same "$1/by-kernel" "$1/by-us"
}

mkdir -p ours/u ours/w ours/m kernel/u kernel/w kernel/m fuse/u fuse/w fuse/m plain/m

# the oracle: a plain directory
cp -a l2/. plain/m
cp -a l1/. plain/m
change plain/m
treelist --no-times plain/m >expected

# ---- written by cairnfs ----

mount_cairnfs -o "$(options ours)" ours/m
change ours/m
treelist --no-times ours/m >ours/live
umount ours/m
same expected ours/live
mount -t overlay none -o "$(options ours),redirect_dir=on" ours/m
treelist --no-times ours/m >ours/by-overlay
umount ours/m
same expected ours/by-overlay
seen_alike ours
same expected ours/by-us
# And overlayfs has changed nothing that we cannot go on from.
mount_cairnfs -o "$(options ours)" ours/m
treelist --no-times ours/m >ours/again
same expected ours/again
echo more >>ours/m/d/two
rm -r ours/m/opaque
umount ours/m

# ---- written by kernel overlayfs ----

mount -t overlay none -o "$(options kernel),redirect_dir=on" kernel/m
change kernel/m
umount kernel/m
mount_cairnfs -o "$(options kernel)" kernel/m
treelist --no-times kernel/m >kernel/by-us-as-upper
same expected kernel/by-us-as-upper
echo more >>kernel/m/d/two
mkdir kernel/m/opaque/x
rm -r kernel/m/elsewhere
umount kernel/m
seen_alike kernel

# ---- written by fuse-overlayfs ----

if command -v fuse-overlayfs >"$TMP/need"; then
	fuse-overlayfs -o "$(options fuse)" fuse/m
	change fuse/m
	umount fuse/m
	mount_cairnfs -o "$(options fuse)" fuse/m
	treelist --no-times fuse/m >fuse/by-us-as-upper
	same expected fuse/by-us-as-upper
	umount fuse/m
	mount_cairnfs -o "lowerdir=fuse/u:l1:l2" fuse/m
	treelist --no-times fuse/m >fuse/by-us
	same expected fuse/by-us
	umount fuse/m
else
	echo "not tested: uppers of fuse-overlayfs, which is not installed"
fi

# ---- whiteouts as xattrs, which overlayfs reads below directories marked x ----

mkdir -p x/1/d x/2/d x/m
: >x/1/d/gone
echo here >x/2/d/gone
echo stays >x/2/d/stays
if setfattr -n trusted.overlay.opaque -v x x/1/d 2>"$TMP/err" && setfattr -n trusted.overlay.whiteout -v y x/1/d/gone; then
	mount_cairnfs -o lowerdir=x/1:x/2 x/m
	[ "$(ls x/m/d)" = stays ] || fail "xattr whiteouts: $(ls x/m/d)"
	umount x/m
	if mount -t overlay none -o lowerdir=x/1:x/2 x/m; then
		ls x/m/d >x/by-kernel
		[ "$(cat x/by-kernel)" = stays ] || echo "note: this kernel's overlayfs does not read xattr whiteouts"
		umount x/m
	fi
fi
