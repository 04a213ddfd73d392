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

treelist --dir-times "$low" >"$TMP/low.after"
treelist --dir-times "$high" >"$TMP/high.after"
same "$TMP/low.before" "$TMP/low.after"
same "$TMP/high.before" "$TMP/high.after"
cairn rm app:1
nothing_left
