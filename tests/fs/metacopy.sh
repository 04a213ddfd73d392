#!/bin/sh
# metacopy: files in upper, or in a branch, that have attributes of their own and their data below; ours, and those of kernel
# overlayfs, read by both.
# shellcheck disable=SC2015 # nothing fails in the middle of these lists but what is to
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need setfattr getfattr

cd "$TMP"
mkdir l u w m k plain
head -c 8000000 /dev/urandom >l/big
head -c 3000 /dev/urandom >l/small
mkdir l/d l/e
head -c 1000000 /dev/urandom >l/d/f
head -c 1000000 /dev/urandom >l/d/other
head -c 500000 /dev/urandom >l/two
ln l/two l/e/two
: >l/empty
truncate -s 5000000 l/holes
printf end >>l/holes
find l -exec touch -h -d @1000.5 {} +
cp -a l/. plain
cp -a l before
options=lowerdir=l,upperdir=u,workdir=w
blocks() {
	stat -c %b "$1"
}
is_marked() {
	getfattr -n trusted.overlay.metacopy "$1" >"$TMP/out" 2>&1
}
# both COMMAND...: in the plain directory and on the mount.
both() {
	(cd plain && "$@")
	(cd m && "$@")
}

mount_cairnfs -o "$options,metacopy=on" m
both chmod 600 big small empty
both chown 1:2 d/f two
both setfattr -n user.x -v y holes
both touch -d @77.25 d/other
[ "$(blocks u/big)" -lt 100 ] && [ "$(blocks u/d/f)" -lt 100 ] || fail "data were copied"
is_marked u/big && is_marked u/small && is_marked u/two && ! is_marked u/empty || fail "marks"
[ "$(blocks m/big)" = "$(blocks l/big)" ] || fail "blocks: $(blocks m/big)"
same_tree plain m
# The data are found whatever becomes of the names.
both mv big moved
both mv d/f e/g
both ln small link
both mv d dir
both mv dir/other dir/f
both ln e/two three
same_tree plain m --no-times
# A write brings them, and only then. (The reader has the file open before.)
exec 9<m/moved
both sh -c 'printf X | dd of=moved bs=1 seek=5000 conv=notrunc status=none; echo more >>e/g; truncate -s 70000 dir/f; : >link'
cmp /dev/fd/9 plain/moved || fail "an open file"
exec 9<&-
! is_marked u/moved && ! is_marked u/e/g && ! is_marked u/dir/f || fail "marks after writing"
is_marked u/two || fail "mark of what was not written"
same_tree plain m --no-times
[ "$(stat -c %a m/moved)" = 600 ] || fail "mode"
# setuid and capabilities outlive the data's coming, as far as the write itself leaves them.
both chmod 4755 holes
both sh -c 'exec 3<>holes; fallocate -l 6000000 holes'
[ "$(stat -c %a m/holes)" = "$(stat -c %a plain/holes)" ] || fail "setuid: $(stat -c %a m/holes plain/holes)"
umount m

# Later mounts read it with the option or without.
for option in metacopy=on metacopy=off; do
	mount_cairnfs -o "$options,$option" m
	same_tree plain m --no-times
	umount m
done
same_tree before l
# So does the kernel.
if mount -t overlay overlay -o "$options,metacopy=on,redirect_dir=on" k 2>"$TMP/err"; then
	same_tree plain k --no-times
	# And what it writes, we read: as upper, and as a branch.
	(cd k && chmod 640 dir/f three && mv e/g back && chmod 600 back && ln back twin && mv small s2 && chmod 611 s2)
	(cd plain && chmod 640 dir/f three && mv e/g back && chmod 600 back && ln back twin && mv small s2 && chmod 611 s2)
	rm -rf u2 w2
	mkdir u2 w2
	umount k
	mount -t overlay overlay -o "lowerdir=l,upperdir=u2,workdir=w2,metacopy=on,redirect_dir=on" k
	chmod 604 k/big k/small
	mv k/d/f k/d/f2
	mv k/d k/dd
	chmod 604 k/dd/f2
	umount k
	mount_cairnfs -o "$options" m
	same_tree plain m --no-times
	umount m
	mount -t overlay overlay -o "lowerdir=u2:l,metacopy=on,redirect_dir=on,ro" k
	mount_cairnfs -o lowerdir=u2:l m
	same_tree k m
	umount m
	mount_cairnfs -o "lowerdir=l,upperdir=u2,workdir=w2" m
	same_tree k m
	mv m/small m/renamed
	cmp m/renamed l/small || fail "small, renamed"
	echo more >>m/dd/f2
	cat l/d/f >want
	echo more >>want
	cmp want m/dd/f2 || fail "written to"
	umount m k
else
	echo "no overlayfs here that knows metacopy: $(cat "$TMP/err")"
fi
# Data that are nowhere are no other data.
rm -rf u w
mkdir u w
mount_cairnfs -o "$options,metacopy=on" m
chmod 600 m/big
umount m
mv l/big l/gone
mount_cairnfs -o "$options" m
! cat m/big >out 2>err || fail "data of nowhere"
grep -q "Input/output error" err || fail "$(cat err)"
[ ! -s out ] || fail "some data"
chmod 644 m/big
mv m/big m/b2
rm m/b2
umount m
