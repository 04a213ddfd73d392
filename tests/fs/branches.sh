#!/bin/sh
# A hundred branches are merged by the same rules as two, and mounted in no more than a few seconds.
# shellcheck disable=SC2012,SC2015 # names are simple; fail does not return
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

cd "$TMP"
mkdir u w m
lowers=
i=0
while [ $i -lt 100 ]; do
	mkdir -p "l$i/d/sub$i"
	echo "$i" >"l$i/d/only-$i"
	echo "$i" >"l$i/d/all"
	echo "$i" >"l$i/file-$i"
	[ $((i % 10)) != 5 ] || mknod "l$i/d/only-$((i + 1))" c 0 0 # hides what the next one below has
	[ $i != 50 ] || echo 50 >l50/deep
	lowers=$lowers${lowers:+:}l$i
	i=$((i + 1))
done
echo hidden >l60/deep
mount_cairnfs -o "lowerdir=$lowers,upperdir=u,workdir=w" m
[ "$(cat m/d/all)" = 0 ] || fail "the topmost does not win"
[ "$(cat m/deep)" = 50 ] || fail "deep"
[ "$(ls m/d | wc -l)" = $((100 - 10 + 1 + 100)) ] || fail "names in d: $(ls m/d | wc -l)"
[ "$(cat m/d/only-99)" = 99 ] || fail "the lowest"
[ ! -e m/d/only-56 ] || fail "only-56 shows"
[ "$(cat m/d/only-57)" = 57 ] || fail "only-57"
[ "$(stat -c %h m/d)" = 102 ] || fail "links of d: $(stat -c %h m/d)"
[ ! -e m/none ] && [ ! -e m/d/none ] || fail "there is something that is not"
rm -r m/d
[ ! -e m/d ] || fail "d is still there"
mkdir m/d
[ -z "$(ls m/d)" ] || fail "d is not new: $(ls m/d)"
echo new >m/file-70
umount m
mount_cairnfs -o "lowerdir=$lowers,upperdir=u,workdir=w" m
[ -z "$(ls m/d)" ] || fail "d is not new after a remount"
[ "$(cat m/file-70)" = new ] || fail "file-70"
umount m
[ "$(cat l70/file-70)" = 70 ] || fail "a branch changed"
