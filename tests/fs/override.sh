#!/bin/sh
# xattr_permissions: owners, modes and devices that the filesystem does not take are kept in xattrs and shown, so that an
# ordinary user has images with many owners. Compared with what a plain directory does for root.
# shellcheck disable=SC2016 # texts are for another shell
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need setfattr setpriv unshare

cd "$TMP"
mkdir user
chown 12345:12345 user
cd user
override() {
	getfattr --absolute-names --only-values -n "${2:-user.containers.override_stat}" "$1" 2>"$TMP/none" || echo none
}
as_user() {
	setpriv --reuid 12345 --regid 12345 --clear-groups "$@"
}

# A branch as containers/storage leaves it: all files are the user's.
as_user sh -c 'mkdir -p l/d l/secret u w m && echo text >l/d/f && : >l/null && : >l/fifo && echo x >l/plain && ln -s d/f l/link'
as_user chmod 700 l/secret
as_user setfattr -n user.containers.override_stat -v 0:0:0755:dir l || skip "no user xattrs here"
as_user setfattr -n user.containers.override_stat -v 33:34:04755:file l/d/f
as_user setfattr -n user.containers.override_stat -v 0:6:0660:char-1-3 l/null
as_user setfattr -n user.containers.override_stat -v 0:0:0600:pipe l/fifo
as_user setfattr -n user.fuseoverlayfs.override_stat -v 5:6:700 l/secret
as_user cp -a l before

stats='for f in . d d/f null fifo secret plain; do stat -c "%n %u:%g %a %F %t:%T" $f; done; find . -printf "%y %p\n" | LC_ALL=C sort'
changes='chown 7:8 d/f; stat -c "%u:%g %a" d/f; echo more >>d/f; cat d/f; chmod 6711 d/f; stat -c "%u:%g %a" d/f
chown 9 null; chmod 600 null; stat -c "%u:%g %a %F %t:%T" null; mkfifo p; chown 1:2 p; stat -c "%u:%g %a %F" p
chmod 1777 secret; chown 3:4 secret; mkdir secret/sub; chmod 2755 secret/sub; chown 0:77 secret/sub; mkdir secret/sub/deep
touch secret/sub/f; stat -c "%u:%g %a" secret secret/sub secret/sub/deep secret/sub/f; umask 077; touch t; mkdir td
stat -c "%u:%g %a" t td; mv d e; cat e/f; stat -c "%u:%g %a" e/f; rm fifo; mkdir fifo; ln e/f twin; chown 55 twin
stat -c "%u:%g %a %h" e/f; truncate -s 1 twin; cp -p plain copy; chown 42 copy; stat -c "%u:%g %a" copy; ls -A . e
python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")"; stat -c "%a %F" sock; getfattr -d e/f'

# The same by root in a plain directory is the oracle.
mkdir ../plain
(
	cd ../plain
	mkdir d secret
	echo text >d/f
	mknod null c 1 3
	mkfifo fifo
	echo x >plain
	ln -s d/f link
	chown 33:34 d/f && chmod 4755 d/f
	chown 0:6 null && chmod 660 null
	chmod 600 fifo
	chown 5:6 secret && chmod 700 secret
	chown 0:0 . d plain && chmod 755 . d && chmod 644 plain
)

# run_in DIR TEXT OUT: what the text prints there, for root or in the user's namespace.
run_plain() (
	cd ../plain && LC_ALL=C sh -c "$1" 2>&1
)
# The user may not reach where the daemon was built.
cp "$CAIRNFS" "$TMP/cairnfs"
cat >"$TMP/session" <<'EOF'
"$TMP/cairnfs" -o "$OPTIONS" m
(cd m && LC_ALL=C sh -c "$TEXT" 2>&1) || :
umount m
EOF
run_as_user() {
	OPTIONS=$1 TEXT=$2 rootless sh -e "$TMP/session"
}
options=lowerdir=l,upperdir=u,workdir=w,xattr_permissions=2

run_plain "$stats" >"$TMP/want"
run_as_user "$options" "$stats" >"$TMP/got"
same "$TMP/want" "$TMP/got"
run_plain "$changes" >"$TMP/want"
run_as_user "$options" "$changes" >"$TMP/got"
same "$TMP/want" "$TMP/got"
stats='for f in . e e/f null secret secret/sub t td p plain copy twin; do stat -c "%n %u:%g %a %F %t:%T" $f; done; ls -A'
run_plain "$stats" >"$TMP/want"
run_as_user "$options" "$stats" >"$TMP/got"
same "$TMP/want" "$TMP/got"
[ "$(override u/copy)" = 42:0:0644:file ] || fail "on disk: $(override u/copy)"
[ -z "$(find u ! -user 12345)" ] || fail "files of others in upper"
same_tree l before

# It is not to be seen or set, without the option either: at another mount it would count.
text='getfattr -d -m - plain null 2>&1; setfattr -n user.containers.override_stat -v 0:0:777 plain && echo set; stat -c %a plain'
run_as_user "$options" "$text" >"$TMP/got"
! grep -q override_stat "$TMP/got" || grep -q 'not permitted' "$TMP/got" || fail "seen: $(cat "$TMP/got")"
! grep -qx set "$TMP/got" || fail "set"
run_as_user lowerdir=l "$text"'; stat -c %F null' >"$TMP/got"
! grep -q override_stat "$TMP/got" || grep -q 'not permitted' "$TMP/got" || fail "seen without the option: $(cat "$TMP/got")"
! grep -qx set "$TMP/got" || fail "set without the option"
grep -qx "regular empty file" "$TMP/got" || fail "counts without the option: $(cat "$TMP/got")"

# For root, in the security namespace; symbolic links and all other types have it too.
cd "$TMP"
mkdir u w m
mount_cairnfs -o lowerdir=user/l,upperdir=u,workdir=w,xattr_permissions=1 m
echo new >m/new
chown 1000:1001 m/new
chmod 4755 m/new
[ "$(stat -c %u:%g:%a m/new)" = 1000:1001:4755 ] || fail "security: $(stat -c %u:%g:%a m/new)"
[ "$(stat -c %u:%a u/new)" = 0:755 ] || fail "security, on disk: $(stat -c %u:%a u/new)"
[ "$(override u/new security.fuseoverlayfs.override_stat)" = 1000:1001:04755:file ] || fail "security xattr"
umount m

# What the options that take features away do.
mount_cairnfs -o lowerdir=user/l,upperdir=u,workdir=w,noxattrs=1 m
! setfattr -n user.a -v b m/plain 2>"$TMP/err" || fail "noxattrs: set"
grep -q "not supported" "$TMP/err" || fail "noxattrs: $(cat "$TMP/err")"
umount m
if command -v setfacl >"$TMP/have"; then
	mount_cairnfs -o lowerdir=user/l,upperdir=u,workdir=w,noacl m
	! setfacl -m u:1:r m/plain 2>"$TMP/err" || fail "noacl: set"
	grep -q "not supported" "$TMP/err" || fail "noacl: $(cat "$TMP/err")"
	setfattr -n user.a -v b m/plain
	umount m
fi
mount_refused "xattr_permissions: '3' is neither 0, 1 nor 2" -o lowerdir=user/l,xattr_permissions=3 m
