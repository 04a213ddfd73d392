#!/bin/sh
# An imported image mounted by the real daemon, with the chain index: what is seen, what is written, what is left.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need tar

mkdir "$TMP/one" "$TMP/two" "$TMP/flat"
two_layers
oci_layout "$TMP/app" 1 gzip "$TMP/low.tar" "$TMP/high.tar"
cairn import "$TMP/app" >"$TMP/out"
low=$(branch app:1 0) high=$(branch app:1 1)
treelist --dir-times "$low" >"$TMP/low.before"
treelist --dir-times "$high" >"$TMP/high.before"

# What tar makes of both layers, marks carried out by hand.
tar -C "$TMP/flat" -xpf "$TMP/low.tar"
rm "$TMP/flat/gone" "$TMP/flat/dir/old"
tar -C "$TMP/flat" --exclude='.wh.*' -xpf "$TMP/high.tar"

cairn mount --name one app:1 "$TMP/one"
grep -q "^cairn:app:1 $TMP/one fuse.cairnfs " /proc/mounts || fail "not in /proc/mounts as cairn:app:1"
same_tree "$TMP/flat" "$TMP/one"
cairn mount app:1 "$TMP/two"
echo one >"$TMP/one/etc/a"
rm -r "$TMP/one/dir"
[ "$(cat "$TMP/one/etc/hard")" = one ] || fail "a hard link was broken by copy-up"
same_tree "$TMP/flat" "$TMP/two"

(cd "$TMP/two" && fails 1 "busy" cairn umount "$TMP/two")
cairn umount "$TMP/two"
cairn umount --keep one
cairn mount --name one app:1 "$TMP/two"
[ "$(cat "$TMP/two/etc/a")" = one ] || fail "the kept layer lost a file"
[ ! -e "$TMP/two/dir" ] || fail "the kept layer lost a removal"
cairn umount one
[ -z "$(ls "$store/containers")" ] || fail "something of a container stays"

cairn mount --read-only app:1 "$TMP/one"
same_tree "$TMP/flat" "$TMP/one"
! touch "$TMP/one/x" 2>"$TMP/none" || fail "read-only is writable"
cairn umount "$TMP/one"

# The worker dies, or is upgraded, when the index is not there any more under its name: a hundred files keep their content,
# number and time of birth, which come from it. A branch on a filesystem of its own has inode numbers as small as the index's.
mkdir "$TMP/small" "$TMP/m"
mount -t tmpfs none "$TMP/small"
mkdir "$TMP/small/files"
i=0
while [ $i -lt 100 ]; do
	echo "content $i" >"$TMP/small/files/$i"
	i=$((i + 1))
done
tar -C "$TMP/small" -cf "$TMP/files.tar" files
rm -r "$TMP/small/files"
CAIRN_ROOT=$TMP/small/root "$CAIRN" import --tag files:1 "$TMP/files.tar" >"$TMP/out"
mkdir "$TMP/small/u" "$TMP/small/w"
index=$(find "$TMP/small/root/chains" -name '*.mdb')
mount_cairnfs -o "lowerdir=$(find "$TMP/small/root/layers" -name diff),upperdir=$TMP/small/u,workdir=$TMP/small/w,chain=$index" "$TMP/m"
read_all() {
	i=0
	while [ $i -lt 100 ]; do
		cat "$TMP/m/files/$i"
		stat -c '%i %n %w' "$TMP/m/files/$i"
		i=$((i + 1))
	done
}
echo 1 >"$TMP/m/files/0" # one is in upper
read_all >"$TMP/before"
mv "$index" "$index.away"
old=$(worker)
kill -9 "$old"
timeout 60 stat "$TMP/m/files/new" 2>"$TMP/none" || :
read_all >"$TMP/after"
same "$TMP/before" "$TMP/after"
"$CAIRN" upgrade "$TMP/m" >"$TMP/out"
kill -9 "$(worker)"
# What the kernel keeps is not asked for: pages are read anew.
echo 2 >/proc/sys/vm/drop_caches
read_all >"$TMP/after"
same "$TMP/before" "$TMP/after"
umount "$TMP/m"
umount "$TMP/small"

treelist --dir-times "$low" >"$TMP/low.after"
treelist --dir-times "$high" >"$TMP/high.after"
same "$TMP/low.before" "$TMP/low.after"
same "$TMP/high.before" "$TMP/high.after"
cairn rm app:1
nothing_left
