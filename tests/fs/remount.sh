#!/bin/sh
# After umount(8) has returned the same upper can be mounted again at once, and holds everything: a hundred times.
# shellcheck disable=SC2012 # names are simple
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

cd "$TMP"
mkdir l u w m
echo lower >l/f
mkdir l/d

# Others mount and unmount meanwhile: device numbers that become free are used again at once.
mkdir others
background sh -ec 'until [ -e enough ]; do mount -t tmpfs none others; umount others; done'
others=$!
i=0
while [ $i -lt 100 ]; do
	mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m || fail "round $i"
	[ "$i" = 0 ] || [ "$(cat m/last)" = $((i - 1)) ] || fail "round $i: last is $(cat m/last)"
	echo "$i" >"m/new-$i"
	echo "$i" >m/last
	echo "$i" >>m/f
	mkdir "m/d/$i"
	[ "$i" = 0 ] || rm "m/new-$((i - 1))" || fail "round $i"
	umount m
	i=$((i + 1))
done
[ "$(find u -name 'new-*')" = u/new-99 ] || fail "new files: $(find u -name 'new-*')"
[ "$(wc -l <u/f)" = 101 ] || fail "appended: $(wc -l <u/f)"
[ "$(ls u/d | wc -l)" = 100 ] || fail "directories: $(ls u/d | wc -l)"
touch enough
wait "$others" || fail "the others' mounts"

# A lazy unmount while a file is open: the next mount waits for the first to be really gone, or says that it is in use.
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
exec 9>m/open
umount -l m
echo late >&9
exec 9>&-
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
[ "$(cat m/open)" = late ] || fail "written after umount -l: $(cat m/open)"
umount m
