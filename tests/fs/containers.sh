#!/bin/sh
# Two containers on the same branches do not see each other, and the branches are byte for byte what they were.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

cd "$TMP"
mkdir -p l1/etc l2/etc l2/bin l2/deep/er u1 w1 m1 u2 w2 m2
echo one >l1/etc/conf
echo two >l2/etc/conf
echo motd >l2/etc/motd
printf program >l2/bin/busybox
ln l2/bin/busybox l2/bin/sh
chmod 4755 l2/bin/busybox
echo x >l2/deep/er/x
touch -d @1000.123456789 l2/etc/motd l2/deep
treelist --dir-times l1 >before1
treelist --dir-times l2 >before2
mount_cairnfs -o lowerdir=l1:l2,upperdir=u1,workdir=w1 m1
mount_cairnfs -o lowerdir=l1:l2,upperdir=u2,workdir=w2 m2
treelist m2 >untouched

echo changed >m1/etc/conf
rm m1/etc/motd
chmod 0700 m1/bin/sh
rm -r m1/deep
mkdir m1/deep
echo new >m1/deep/new
mv m1/bin m1/sbin
echo more >>m1/sbin/busybox
touch m1/etc

treelist m2 >still
same untouched still
echo second >m2/etc/conf
[ "$(cat m1/etc/conf)" = changed ] || fail "the first sees the second"
[ "$(cat m2/etc/conf)" = second ] || fail "the second"
[ "$(stat -c %h m2/bin/sh)" = 2 ] || fail "links in the second"

# A third mount, read-only, of the same branches and of one of the uppers.
mkdir m3
mount_cairnfs -o lowerdir=u1:l1:l2 m3
same_tree m1 m3
umount m3
umount m1
umount m2
treelist --dir-times l1 >after1
treelist --dir-times l2 >after2
same before1 after1
same before2 after2
