#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Mounts inside mounts, as of containers inside containers: all branches of the inner one, upper and work too, lie in the outer one,
# which lets nobody make marks of its own. All changes are possible there, to any depth; what the inner one writes down is read by it,
# by kernel overlayfs and as a branch; it never means anything to the outer one, and nothing is left of it in the end.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need setfattr getfattr python3 tar flock

cd "$TMP"
long=$(printf '%0255d' 7)

# fill DIR: what lower branches hold.
fill() {
	mkdir -p "$1/d/sub/deep" "$1/moves/in" "$1/made-again/old" "$1/emptied" "$1/target"
	for name in f g from to swapped d/a d/b d/sub/c d/sub/deep/e moves/in/f made-again/old/f emptied/x emptied/y target/z "$long"; do
		echo "$name of lower" >"$1/$name"
	done
	: >"$1/empty"
	: >"$1/emptied/empty"
	ln "$1/f" "$1/linked"
	ln -s target "$1/link"
	mkfifo "$1/fifo"
}

# change DIR: everything that leaves marks, and takes them away again.
change() (
	cd "$1"
	rm g empty link fifo "$long" linked
	echo new >g                  # over a mark
	mv from to                   # a file onto a file, both of lower
	mv swapped elsewhere
	mv f swapped                 # where a mark stands
	mv d/a d/renamed
	mv d/renamed d/b             # what is in upper, onto lower
	rm -r made-again
	mkdir made-again             # opaque
	echo other >made-again/new
	rm emptied/x emptied/y emptied/empty
	mv moves moved               # a redirect
	mv moved/in emptied          # a directory, into one that holds only marks
	rm emptied/in/f
	mkdir replacing
	mv replacing emptied/replaced
	rm target/z
	mkdir newdir
	mv -T newdir target          # onto one that holds only marks
	mv d/sub link                # a directory, where a mark stands
	rm link/deep/e
	rmdir link/deep
	mkdir link/deep
	echo up >>link/c
	mkdir fifo
	rmdir fifo
	chmod 600 d/b
	python3 -c '
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for a, b in (b"g", b"d/b"), (b"link", b"made-again"):
    assert libc.renameat2(-100, a, -100, b, 2) == 0, os.strerror(ctypes.get_errno())'
)

# The same without any mount.
mkdir plain
fill plain
change plain
treelist --no-times plain >wanted

# looks_right DIR WHAT
looks_right() {
	treelist --no-times "$1" >got
	diff -u wanted got >&2 || fail "$2"
}

# change_nested DIR: fills DIR/l, mounts it on DIR/m with upper and work beside it, changes, and mounts again.
change_nested() {
	mkdir "$1/l" "$1/u" "$1/w" "$1/m"
	fill "$1/l"
	mount_cairnfs -o "lowerdir=$1/l,upperdir=$1/u,workdir=$1/w" "$1/m"
	change "$1/m"
	looks_right "$1/m" "$1: changed"
	umount "$1/m"
	mount_cairnfs -o "lowerdir=$1/l,upperdir=$1/u,workdir=$1/w" "$1/m"
	looks_right "$1/m" "$1: mounted again"
}

start_outer() {
	mount_cairnfs -o "lowerdir=lo,upperdir=uo,workdir=wo" m
}

# ---- two and three levels ----

mkdir lo uo wo m
start_outer
change_nested m
mkdir m/m/in
change_nested m/m/in
rm -r m/m/in/m/made-again # and on with the innermost
[ -f m/m/in/u/made-again ] && [ ! -s m/m/in/u/made-again ] || fail "not a whiteout by xattr"
[ ! -e m/m/in/m/made-again ] || fail "not removed"
umount m/m/in/m
umount m/m

# Both mounted anew.
umount m
start_outer
mount_cairnfs -o lowerdir=m/l,upperdir=m/u,workdir=m/w m/m
mount_cairnfs -o lowerdir=m/m/in/l,upperdir=m/m/in/u,workdir=m/m/in/w m/m/in/m
[ ! -e m/m/in/m/made-again ] || fail "three levels, all mounted again"
umount m/m/in/m
rm -rf m/m/in
looks_right m/m "all mounted again"
umount m/m

# ---- who else reads it ----

mount_cairnfs -o lowerdir=m/u:m/l m/m
looks_right m/m "upper as a branch"
umount m/m
if mount -t overlay none -o lowerdir=m/u:m/l,redirect_dir=follow m/m 2>err; then
	looks_right m/m "kernel overlayfs"
	umount m/m
else
	echo "not tested: kernel overlayfs as the inner one: $(cat err)"
fi
# And upper as it is on disk, by a mount that is not inside: the names are another mount's.
getfattr -n trusted.overlay.overlay.whiteout uo/u/from >out || fail "not escaped on disk"

# ---- all of it can be removed, and then nothing is left ----

mount_cairnfs -o lowerdir=m/l,upperdir=m/u,workdir=m/w m/m
rm -r m/m/*
[ -z "$(ls -A m/m)" ] || fail "left in the mount: $(ls -A m/m)"
umount m/m
[ "$(find m/u -mindepth 1 ! -type f | wc -l)" = 0 ] || fail "more than whiteouts in upper: $(find m/u)"
rm -rf m/l m/u m/w m/m
[ -z "$(ls -A m)" ] || fail "left in the outer mount: $(ls -A m)"
umount m
[ -z "$(ls -A uo)" ] || fail "left in the outer upper: $(ls -A uo)"

# ---- in kernel overlayfs, which hides fewer marks ----

rm -rf lo uo wo
mkdir lo uo wo
mount -t overlay none -o lowerdir=lo,upperdir=uo,workdir=wo m
kept=$long
long=short # .wh. files are made there, which have no room for it
change_nested m
long=$kept
umount m/m
umount m

# ---- what a container sets is no mark of the mount that it is in ----

rm -rf lo uo wo
mkdir lo uo wo lo/d
echo below >lo/d/below
: >lo/empty
echo content >lo/meta
start_outer
for space in trusted user; do
	setfattr -n $space.overlay.opaque -v y m/d
	setfattr -n $space.overlay.redirect -v /x m/d
	setfattr -n $space.overlay.whiteout -v y m/empty
	setfattr -n $space.overlay.metacopy m/meta
	setfattr -n $space.overlay.redirect -v ../../wanted m/meta
	setfattr -n $space.overlay.overlay.opaque -v y m/d
done
! setfattr -n user.fuseoverlayfs.opaque -v y m/d 2>err || fail "a mark that has no escape was set"
for _ in 1 2; do
	[ "$(cat m/d/below)" = below ] && [ -f m/empty ] && [ "$(cat m/meta)" = content ] || fail "a container's mark counts"
	[ "$(getfattr --absolute-names -d -m - m/d | grep -c overlay)" = 6 ] || fail "shown: $(getfattr -d -m - m/d)"
	[ "$(getfattr --absolute-names --only-values -n user.overlay.redirect m/d)" = /x ] || fail "not what was set"
	umount m
	start_outer
done
umount m
mount_cairnfs -o lowerdir=uo:lo,userxattr m
[ "$(cat m/d/below)" = below ] && [ -f m/empty ] && [ "$(cat m/meta)" = content ] || fail "it counts where upper is a branch"
umount m
mount -t overlay none -o lowerdir=uo:lo,redirect_dir=follow,metacopy=on m
[ "$(cat m/d/below)" = below ] && [ -f m/empty ] && [ "$(cat m/meta)" = content ] || fail "it counts for kernel overlayfs"
umount m

# ---- where nothing can hide a name ----

rm -rf lo uo wo
mkdir lo uo wo
mount_cairnfs -o lowerdir=lo,upperdir=uo,workdir=wo,noxattrs=1 m
mkdir m/l m/u m/w m/m
mount_refused "upperdir m/u takes no whiteouts" -o lowerdir=m/l,upperdir=m/u,workdir=m/w m/m
umount m

# Nor where owners could not be kept.
rm -rf lo uo wo
mkdir lo uo wo
start_outer
mkdir m/l m/u m/w m/m
mount_refused "owners cannot be kept there" -o lowerdir=m/l,upperdir=m/u,workdir=m/w,xattr_permissions=2 m/m
umount m

# ---- a container of the tool, with the store in a mount ----

rm -rf lo uo wo
mkdir lo uo wo image
start_outer
fill image
tar -C image -cf image.tar .
mkdir upper-layer
: >upper-layer/.wh.g
: >upper-layer/.wh.d
tar -C upper-layer -cf upper.tar .
mkdir m/place
"$CAIRN" --root m/store import --tag image:1 image.tar >out
"$CAIRN" --root m/store mount --name one image:1 m/place
change m/place
looks_right m/place "a container"
"$CAIRN" --root m/store umount --keep one
"$CAIRN" --root m/store mount --name one image:1 m/place
looks_right m/place "a container that was kept"
"$CAIRN" --root m/store umount one
[ -z "$(find m/store/containers m/store/tmp -mindepth 1)" ] || fail "left: $(find m/store/containers m/store/tmp)"
umount m

# ---- an ordinary user's ----

mkdir user
chown 12345:12345 user
cat >inside <<'END'
set -eu
cd "$1"
unmount() {
	if [ "$(id -u)" = 0 ]; then umount "$1"; else fusermount3 -u "$1"; fi
}
mkdir lo uo wo m inner # not in m: fusermount3, as root, may not look there
"$CAIRNFS" -o lowerdir=lo,upperdir=uo,workdir=wo m
mkdir m/l m/u m/w
cp -a ../image/. m/l
"$CAIRNFS" -o lowerdir=m/l,upperdir=m/u,workdir=m/w inner
rm inner/g inner/empty
rm -r inner/made-again
mkdir inner/made-again
mv inner/from inner/to
mv inner/moves inner/moved
unmount inner
"$CAIRNFS" -o lowerdir=m/l,upperdir=m/u,workdir=m/w inner
[ ! -e inner/g ] && [ ! -e inner/empty ] && [ -z "$(ls -A inner/made-again)" ]
[ "$(cat inner/to)" = "from of lower" ] && [ ! -e inner/from ]
[ "$(cat inner/moved/in/f)" = "moves/in/f of lower" ] && [ ! -e inner/moves ]
ls inner >listed
! grep -qxE 'g|empty|from|moves' listed
[ "$(getfattr --absolute-names --only-values -n user.overlay.whiteout m/u/g)" = y ]
unmount inner
flock m/w/owner true # it lies in the outer one, which is busy until the daemon has let go
rm -rf m/l m/u m/w
[ -z "$(ls -A m)" ]
unmount m
END
chmod -R go+rX image
chmod 644 inside
rootless sh "$TMP/inside" "$TMP/user" || fail "an ordinary user in a namespace"
if command -v fusermount3 >out; then
	rm -rf user
	mkdir user
	chown nobody user
	# shellcheck disable=SC2016 # the other shell's
	LIB_LOG=$lib_log unshare -m --propagation private sh -ec '
		mount --bind "$LIB_LOG/fuse-node" /dev/fuse
		exec setpriv --reuid nobody --regid nogroup --clear-groups sh "$TMP/inside" "$TMP/user"' || fail "an ordinary user"
else
	echo "not tested: an ordinary user outside of a namespace, as there is no fusermount3"
fi

# ---- at random, and with workers of either killed ----

rm -rf lo uo wo
mkdir -p lo/work uo wo
start_outer
seconds=${NESTED_SECONDS:-10}
for mode in "" "--kills 20 --disable watch,events" "--shared --threads 4"; do
	# shellcheck disable=SC2086 # a mode is several words
	"$DIFFER" --cairnfs "$CAIRNFS" --dir "$TMP/m/work" --profile nested --seeds "${DIFFER_FIRST:-1}..9999999999" --ops 1000 \
		--seconds "$seconds" $mode >"$lib_log/differ" 2>&1 || { tail -n 200 "$lib_log/differ" && fail "differences ($mode)"; }
	tail -n 1 "$lib_log/differ"
done

# killing: ends the workers of all mounts, one after the other, until told to stop. (None may be just starting.)
killing() {
	while [ ! -e stop ]; do
		for pid in $(worker); do
			kill -9 "$pid" 2>"$lib_log/none" || :
		done
		echo round >>rounds
	done
}

rm -rf m/work
for round in 1 2 3 4 5; do
	mkdir "m/$round" "m/$round/l" "m/$round/u" "m/$round/w" "m/$round/m"
	fill "m/$round/l"
	mount_cairnfs -o "lowerdir=m/$round/l,upperdir=m/$round/u,workdir=m/$round/w" "m/$round/m"
	rm -f stop
	killing &
	killer=$!
	change "m/$round/m" || fail "workers were killed"
	touch stop
	wait "$killer"
	looks_right "m/$round/m" "workers were killed"
	umount "m/$round/m"
	mount_cairnfs -o "lowerdir=m/$round/l,upperdir=m/$round/u,workdir=m/$round/w" "m/$round/m"
	looks_right "m/$round/m" "workers were killed, mounted again"
	umount "m/$round/m"
	rm -rf "m/$round"
done
echo "all workers were killed $(wc -l <rounds) times"
umount m
