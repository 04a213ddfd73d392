#!/bin/sh
# Without privilege: what cannot be set on disk is written down for the mount to show.
# shellcheck disable=SC2016 # texts are for another shell
. "$(dirname "$0")/lib.sh"
need_root
need tar setpriv getfattr

mkdir "$TMP/home"
chown 12345:12345 "$TMP/home"
store=$TMP/home/store
as_user() {
	setpriv --reuid 12345 --regid 12345 --clear-groups "$@"
}
cairn() {
	as_user "$CAIRN" --root "$store" "$@"
}
override() {
	getfattr --absolute-names --only-values -n user.containers.override_stat "$1" 2>"$TMP/none" || echo none
}

"$MKTAR" dir d file d/root "root's" owner 12345 12345 file mine "mine" owner 7 8 file other "x" char null 1 3 symlink s other \
	file .wh.gone "" dir op file op/.wh..wh..opq "" pax SCHILY.xattr.user.a b pax SCHILY.xattr.trusted.t v dir x link hard other \
	dir ./ >"$TMP/image.tar"
cp "$TMP/image.tar" "$TMP/home/image.tar"
setfattr -n user.probe -v x "$TMP/home/image.tar" || skip "no user attributes here"
cairn import "$TMP/home/image.tar" >"$TMP/out"
b=$(branch image:latest 0)
[ "$(override "$b/d")" = "0:0:0755:dir" ] || fail "directory: $(override "$b/d")"
[ "$(override "$b/d/root")" = "0:0:0644:file" ] || fail "file"
[ "$(override "$b/mine")" = none ] || fail "a file of the user's own"
[ "$(override "$b/other")" = "7:8:0644:file" ] || fail "another's file"
[ "$(override "$b/null")" = "7:8:0644:char-1-3" ] || fail "device: $(override "$b/null")"
[ "$(getfattr --absolute-names --only-values -n user.a "$b/x")" = b ] || fail "attribute"
[ "$(stat -c %i "$b/hard")" = "$(stat -c %i "$b/other")" ] || fail "hard link"
[ -L "$b/s" ] || fail "symbolic link"
[ -e "$b/.wh.gone" ] || [ -c "$b/gone" ] || fail "whiteout"
[ "$(getfattr --absolute-names --only-values -n user.overlay.opaque "$b/op")" = y ] || fail "opaque"
[ -z "$(find "$store" ! -user 12345)" ] || fail "files of another user"

# A mount shows what was written down: to root of a namespace with many users, and as root's to one with no other. (A
# symbolic link is the importing user's: nothing can be written beside it.)
if [ -c /dev/fuse ]; then
	cp "$CAIRN" "$CAIRNFS" "$TMP"
	mkdir "$TMP/home/m"
	chown 12345:12345 "$TMP/home/m"
	cat >"$TMP/session" <<-'EOF'
		"$TMP/cairn" --root "$STORE" mount image "$TMP/home/m"
		cd "$TMP/home/m"
		stat -c '%n %u:%g %a %F' d d/root mine other null s x
		if [ "$FULL" ]; then
			chown 3:4 mine
			mkdir sub
			chown 5:6 sub
			stat -c '%n %u:%g %a' mine sub
		fi
	EOF
	store=$TMP/home/store
	FULL=1 STORE=$store CAIRN_CAIRNFS=$TMP/cairnfs rootless sh -ec '. "$TMP/session"; cd /; "$TMP/cairn" --root "$STORE" umount "$TMP/home/m"' >"$TMP/got"
	cat >"$TMP/want" <<-'EOF'
		d 0:0 755 directory
		d/root 0:0 644 regular file
		mine 12345:12345 644 regular file
		other 7:8 644 regular file
		null 7:8 644 character special file
		s 12345:12345 777 symbolic link
		x 7:8 755 directory
		mine 3:4 644
		sub 5:6 755
	EOF
	same "$TMP/want" "$TMP/got"
	FULL='' STORE=$store CAIRN_CAIRNFS=$TMP/cairnfs rootless unshare -Urm sh -ec '
		. "$TMP/session"; cd /; "$TMP/cairn" --root "$STORE" umount "$TMP/home/m"' >"$TMP/got"
	sed '/^[ms][iu]/d; s/ [0-9]*:[0-9]* / 0:0 /' "$TMP/want" >"$TMP/squashed"
	sed '/^mi/d' "$TMP/got" >"$TMP/got.rest"
	same "$TMP/squashed" "$TMP/got.rest"
fi

# Modes that would shut out the daemon.
mkdir -p "$TMP/t/locked/in"
echo x >"$TMP/t/locked/in/secret"
chmod 0 "$TMP/t/locked/in/secret" "$TMP/t/locked"
tar -C "$TMP/t" --owner=12345 --group=12345 --numeric-owner -cf "$TMP/home/locked.tar" .
cairn import "$TMP/home/locked.tar" >"$TMP/out"
b=$(branch locked:latest 0)
[ "$(override "$b/locked")" = "12345:12345:00:dir" ] || fail "mode 000: $(override "$b/locked")"
[ "$(as_user cat "$b/locked/in/secret")" = x ] || fail "mode 000: not readable"
cairn rm locked image
[ -z "$(ls "$store/layers")" ] || fail "not removed"
nothing_left
