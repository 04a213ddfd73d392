#!/bin/sh
# What a layer becomes on disk: everything that tar keeps, and the marks of a union.
. "$(dirname "$0")/lib.sh"
need_root
need tar setfattr getfattr gzip

# ---- a tree with one of everything, as GNU tar unpacks it and as import does ----
tree=$TMP/tree
mkdir -p "$tree/dir/deep" "$tree/locked" "$tree/sticky"
echo text >"$tree/dir/file"
ln "$tree/dir/file" "$tree/dir/hard"
ln -s "$(printf 'x%.0s' $(seq 1000))" "$tree/long-link"
ln "$tree/long-link" "$tree/hard-link-to-link" -P
ln -s ../outside "$tree/dir/deep/link"
mknod "$tree/null" c 1 3
mknod "$tree/disk" b 259 65537
mkfifo "$tree/pipe"
touch "$tree/$(printf 'n%.0s' $(seq 255))" "$tree/back\\slash" "$tree/new
line" "$tree/$(printf 'not\377utf8')" "$tree/é" "$tree/ " "$tree/wh.x"
truncate -s 5M "$tree/sparse"
printf middle | dd of="$tree/sparse" bs=1 seek=3000000 conv=notrunc status=none
printf 'end' >>"$tree/sparse"
dd if=/dev/urandom of="$tree/data" bs=1000 count=3001 status=none
chmod 4755 "$tree/dir/file"
chmod 1777 "$tree/sticky"
chmod 2750 "$tree/dir"
chown 2147483647:12345 "$tree/data"
chown -h 7:8 "$tree/long-link"
touch -d '1969-12-31 00:00:00.5 UTC' "$tree/data"
touch -d '2039-05-05 05:05:05.123456789 UTC' "$tree/null"
touch -h -d '1999-01-01 00:00:00 UTC' "$tree/long-link"
setfattr -n user.text -v value "$tree/data"
setfattr -n user.binary -v 0x0001ff00 "$tree/dir"
setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 "$tree/wh.x"
deep=$tree
for i in 1 2 3 4; do
	deep=$deep/$(printf "$i%.0s" $(seq 200))
	mkdir "$deep"
done
echo deep >"$deep/file"
chmod 000 "$tree/locked"

tar -C "$tree" --warning=no-timestamp --format=pax --xattrs --xattrs-include='*' --sparse -cf "$TMP/pax.tar" .
tar -C "$tree" --warning=no-timestamp --format=gnu --sparse -cf "$TMP/gnu.tar" .
mkdir "$TMP/plain"
tar -C "$TMP/plain" --xattrs --xattrs-include='*' --warning=no-timestamp --numeric-owner -xpf "$TMP/pax.tar"
cairn import "$TMP/pax.tar" >"$TMP/out"
same_tree "$TMP/plain" "$(branch pax:latest 0)" --dir-times
same_tree "$tree" "$(branch pax:latest 0)" --dir-times
[ "$(stat -c %b "$(branch pax:latest 0)/sparse")" -lt 200 ] || fail "the holes are gone"
gzip <"$TMP/gnu.tar" | cairn import --tag gnu - >"$TMP/out"
mkdir "$TMP/plain-gnu"
tar -C "$TMP/plain-gnu" --warning=no-timestamp --numeric-owner -xpf "$TMP/gnu.tar"
same_tree "$TMP/plain-gnu" "$(branch gnu:latest 0)" --dir-times

# ---- a path longer than PATH_MAX: 30 directories of 200 bytes ----
name=
for _ in $(seq 30); do
	name=$name$(printf 'd%.0s' $(seq 200))/
done
"$MKTAR" pax path "${name}file" file short "deep" pax path "${name}" dir short pax path "${name}link" pax linkpath "${name}file" link s t \
	>"$TMP/deep.tar"
cairn import "$TMP/deep.tar" >"$TMP/out"
[ "$(find "$(branch deep:latest 0)" -name file -links 2 -size 4c | wc -l)" = 1 ] || fail "a path longer than PATH_MAX"

# ---- marks ----
hidden() {
	[ "$(stat -c '%F %t:%T' "$1")" = "character special file 0:0" ] || fail "no whiteout: $1"
}
opaque() {
	[ "$(getfattr --absolute-names --only-values -n trusted.overlay.opaque "$1")" = y ] || fail "not opaque: $1"
}
not_opaque() {
	! getfattr --absolute-names -n trusted.overlay.opaque "$1" 2>"$TMP/none" || fail "opaque: $1"
}
"$MKTAR" file .wh.gone "" file d/.wh.gone "" dir e file e/file "x" file e/.wh..wh..opq "" \
	file .wh.back "" file back "is back" file .wh.dir "" file dir/inside "x" file stays "stays" file .wh.stays "" \
	dir kept file .wh.kept "" file kept/file "x" char dev 0 0 file .wh..wh.orph/1 "x" file .wh..wh.aufs "x" dir plain \
	file .wh.twice "" file .wh.twice "" >"$TMP/marks.tar"
cairn import "$TMP/marks.tar" >"$TMP/out"
b=$(branch marks:latest 0)
for name in gone d/gone dev twice; do
	hidden "$b/$name"
done
for name in e dir kept; do
	opaque "$b/$name"
done
not_opaque "$b/plain"
not_opaque "$b/d"
[ "$(cat "$b/back" "$b/stays")" = "is backstays" ] || fail "a name beside its own whiteout"
[ -z "$(find "$b" -name '.wh.*')" ] || fail "marks of the archive were unpacked"

# ---- one entry replaces another ----
"$MKTAR" file a "file" dir a file a/in "x" dir b file b/in "x" file b "file" symlink c /etc file c "file" file d "1" symlink d x \
	file e "first" file e "second" dir f file f/in "kept" dir f dir g/sub file g/sub/x "x" file g "file" dir g file g/sub "y" \
	>"$TMP/replace.tar"
cairn import "$TMP/replace.tar" >"$TMP/out"
b=$(branch replace:latest 0)
[ "$(cd "$b" && stat -c %F a b c d g/sub | tr '\n' ,)" = "directory,regular file,regular file,symbolic link,regular file," ] ||
	fail "types"
[ "$(cat "$b/e" "$b/f/in")" = "secondkept" ] || fail "contents"

# ---- missing parents; the mode of a hard link entry is its file's; a link to a file of a lower layer ----
"$MKTAR" owner 5 6 file a/b/c "x" dir a/b file target "t" pax SCHILY.xattr.user.k v link a/ln target >"$TMP/odd.tar"
cairn import "$TMP/odd.tar" >"$TMP/out"
b=$(branch odd:latest 0)
[ "$(stat -c '%a %u:%g' "$b/a")" = "755 0:0" ] || fail "a missing parent"
[ "$(stat -c '%a %u:%g' "$b/a/b")" = "755 5:6" ] || fail "a parent that came late"
[ "$(stat -c %h "$b/target")" = 2 ] || fail "hard link"

"$MKTAR" dir d owner 3 4 dir d/e file d/e/f "below" symlink d/e/s f file hid "x" >"$TMP/low.tar"
"$MKTAR" link borrowed d/e/f link sym ./d/e/s >"$TMP/high.tar"
oci_layout "$TMP/borrow" 1 cat "$TMP/low.tar" "$TMP/high.tar"
cairn import "$TMP/borrow" >"$TMP/out"
b=$(branch borrow:1 1)
[ "$(cat "$b/borrowed")" = below ] || fail "a link to a file of a lower layer"
[ "$(stat -c %i "$b/borrowed")" = "$(stat -c %i "$b/d/e/f")" ] || fail "the target was not copied up under its own name"
[ "$(stat -c '%u:%g' "$b/d/e") $(readlink "$b/sym")" = "3:4 f" ] || fail "what was copied up differs"
# The same layer above another one is another branch.
"$MKTAR" dir d dir d/e file d/e/f "other" symlink d/e/s g >"$TMP/low2.tar"
oci_layout "$TMP/borrow2" 1 cat "$TMP/low2.tar" "$TMP/high.tar"
cairn import "$TMP/borrow2" >"$TMP/out"
[ "$(cat "$(branch borrow2:1 1)/borrowed")" = other ] || fail "a layer that borrowed was taken for another"
"$MKTAR" file .wh.hid "" link l hid >"$TMP/high.tar"
oci_layout "$TMP/hidden" 1 cat "$TMP/low.tar" "$TMP/high.tar"
refused "'l': refused: a hard link to 'hid'" "$TMP/hidden"

# ---- attributes that belong to a union, or would fool the mount, are not an archive's to give ----
"$MKTAR" pax SCHILY.xattr.trusted.overlay.redirect /etc pax SCHILY.xattr.trusted.overlay.opaque y \
	pax SCHILY.xattr.user.containers.override_stat 0:0:04755 pax SCHILY.xattr.user.mine 1 dir d >"$TMP/attrs.tar"
cairn import "$TMP/attrs.tar" >"$TMP/out"
[ "$(getfattr --absolute-names -m - "$(branch attrs:latest 0)/d" 2>"$TMP/none" | grep -v '^#' | tr -d '\n')" = user.mine ] || fail "attributes"
