#!/bin/sh
# The ways to call the daemon, and what a caller sees: the mount is live when the command returns, nothing is printed, the
# caller's pipes are let go, and /proc/mounts says what was asked for.
# shellcheck disable=SC2016 # texts are for another shell
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

cd "$TMP"
mkdir a b c u w m
echo a >a/f
echo b >b/f
echo b >b/g
echo c >c/h

# mounted_as SOURCE TYPE: the mount on m.
mounted_as() {
	grep -q "^$1 $TMP/m $2 " /proc/mounts || fail "not mounted as $1 $2: $(grep "$TMP/m" /proc/mounts)"
}

# check_and_unmount: the tree is there as soon as the command has returned.
check_and_unmount() {
	[ "$(cat m/f m/g m/h)" = "a
b
c" ] || fail "wrong content"
	umount m
}

# ---- both call forms, the source, options anywhere ----

mount_cairnfs -o lowerdir=a:b:c,upperdir=u,workdir=w m >"$TMP/out"
[ ! -s "$TMP/out" ] || fail "printed on success: $(cat "$TMP/out")"
[ ! -s "$lib_log/stderr.$stderr_count" ] || fail "said something on success"
mounted_as cairnfs fuse.cairnfs
check_and_unmount
mount_cairnfs my-source m -o lowerdir=a:b:c,upperdir=u,workdir=w
mounted_as my-source fuse.cairnfs
check_and_unmount
mount_cairnfs -o "lowerdir=$TMP/a:$TMP/b:$TMP/c" "$TMP/m" -o upperdir=u -o workdir=w
check_and_unmount
mount_cairnfs m -o rw,lowerdir=a:b:c,upperdir=u,workdir=w,,dev,suid,
check_and_unmount

# ---- as engines call it: the daemon must outlive its caller and hold none of its files ----

# The pipe ends when the command does: a daemon that kept stderr would hang podman.
timeout 20 sh -c '"$CAIRNFS" -o lowerdir=a:b:c,upperdir=u,workdir=w m 2>&1 | cat' >"$TMP/out" ||
	fail "the daemon keeps the caller's output open"
[ ! -s "$TMP/out" ] || fail "printed: $(cat "$TMP/out")"
check_and_unmount
timeout 20 sh -c '(exec 7>&1; "$CAIRNFS" -o lowerdir=a:b:c,upperdir=u,workdir=w m) | cat' || fail "the daemon keeps a descriptor"
for pid in $(marked_processes); do
	[ "$(tr '\0' ' ' <"/proc/$pid/cmdline" | grep -c cairnfs)" = 1 ] || continue
	case $(readlink "/proc/$pid/cwd") in
	/) ;;
	*) fail "the daemon's directory is $(readlink "/proc/$pid/cwd")" ;;
	esac
done
check_and_unmount
(
	exec 0<&- 1>&- 2>&-
	"$CAIRNFS" -o lowerdir=a:b:c,upperdir=u,workdir=w m
) || fail "does not start without standard descriptors"
check_and_unmount

# The caller's directory may go.
mkdir goes
(cd goes && mount_cairnfs -o lowerdir=../a:../b:../c ../m)
rmdir goes
check_and_unmount

# ---- names ----

mkdir 'with:colon' 'with,comma' 'with space' 'with\backslash' 'm m'
echo 1 >with:colon/1
echo 2 >with,comma/2
echo 3 >'with space/3'
echo 4 >'with\backslash/4'
mount_cairnfs -o 'lowerdir=with\:colon:with\,comma:with space:with\\backslash' 'm m'
[ "$(cat 'm m'/*)" = "1
2
3
4" ] || fail "names with odd characters"
umount 'm m'
ln -s a link-to-a
ln -s m link-to-m
mount_cairnfs -o lowerdir=link-to-a:b:c link-to-m # as storage's l/ names
check_and_unmount

# ---- mount(8) ----

# It looks for the daemon where root's programs are, whatever PATH says: there it is put, in a mount namespace of its own.
cat >by-mount8 <<'END'
set -eu
umount -a -l -t fuse.cairnfs # those of other tests would live on here
mount -t tmpfs none /usr/local/sbin
ln -s "$CAIRNFS" /usr/local/sbin/cairnfs
mount -t fuse.cairnfs none "$TMP/m" -o "lowerdir=$TMP/a:$TMP/b:$TMP/c,upperdir=$TMP/u,workdir=$TMP/w"
grep -q "^none $TMP/m fuse.cairnfs rw" /proc/mounts
ls "$TMP/m" >"$TMP/listed"
umount "$TMP/m"
mount -t fuse.cairnfs none "$TMP/m" -o "lowerdir=$TMP/a:$TMP/b:$TMP/c,nofail,x-systemd.automount,noauto,_netdev"
grep -q "^none $TMP/m fuse.cairnfs ro" /proc/mounts
umount "$TMP/m"
if mount -t fuse.cairnfs none "$TMP/m" -o "lowerdir=$TMP/none" 2>"$TMP/err"; then exit 1; fi
END
if unshare -m true; then
	unshare -m sh by-mount8 || fail "mount(8)"
	[ -s listed ] || fail "nothing in what mount(8) mounted"
	grep -q "none" "$TMP/err" || fail "mount(8) does not say what is wrong: $(cat "$TMP/err")"
else
	echo "note: no mount namespace can be made here (in a chroot?); mount(8) is left out"
fi

# As mount(8) calls it where it has the name for that: with -f nothing is mounted.
ln -s "$CAIRNFS" "$TMP/mount.fuse.cairnfs"
"$TMP/mount.fuse.cairnfs" none "$TMP/m" -f -v -o "rw,lowerdir=$TMP/a" -t fuse.cairnfs
[ -z "$(mounts)" ] || fail "mount -f mounts"
"$TMP/mount.fuse.cairnfs" none "$TMP/m" -n -o "rw,lowerdir=$TMP/a" -t fuse.cairnfs
umount "$TMP/m"
! "$TMP/mount.fuse.cairnfs" none "$TMP/none" -f -o "rw,lowerdir=$TMP/a" 2>"$TMP/err" || fail "mount -f of nothing"

# ---- read-only ----

mount_cairnfs -o lowerdir=a:b:c m
grep -q "^cairnfs $TMP/m fuse.cairnfs ro" /proc/mounts || fail "not read-only without upperdir"
check_and_unmount
mount_cairnfs -o ro,lowerdir=a:b:c,upperdir=u,workdir=w m
grep -q "^cairnfs $TMP/m fuse.cairnfs ro" /proc/mounts || fail "not read-only with ro"
check_and_unmount

# ---- flags ----

mount_cairnfs -o nosuid,nodev,noexec,noatime,lowerdir=a:b:c m
for flag in nosuid nodev noexec noatime; do
	grep " $TMP/m " /proc/mounts | grep -q "[ ,]${flag}[, ]" || fail "$flag does not show"
done
umount m
mount_cairnfs -o lowerdir=a:b:c m
grep " $TMP/m " /proc/mounts | grep -qE "nosuid|nodev|noexec" && fail "root did not get suid, dev, exec"
grep " $TMP/m " /proc/mounts | grep -q "default_permissions" || fail "no default_permissions"
umount m

# ---- the rest of the command line ----

[ "$("$CAIRNFS" --version | wc -l)" = 1 ] || fail "--version is not one line"
"$CAIRNFS" --version | grep -qE '^cairnfs: version [0-9]' || fail "--version: $("$CAIRNFS" --version)"
"$CAIRNFS" --help | grep -q lowerdir || fail "--help"

# -f stays in the foreground until it is unmounted, and then ends well.
background "$CAIRNFS" -f -o lowerdir=a:b:c m
pid=$!
wait_for grep -q " $TMP/m " /proc/mounts
kill -0 "$pid"
check_and_unmount
wait "$pid" || fail "-f ends with $?"
# And by SIGTERM it unmounts.
background "$CAIRNFS" -f -o lowerdir=a:b:c m
pid=$!
wait_for grep -q " $TMP/m " /proc/mounts
kill -TERM "$pid"
wait "$pid" || :
! grep -q " $TMP/m " /proc/mounts || fail "SIGTERM leaves the mount"

# ---- remount: flags change, nothing else, and by no other way than that of mount(8) ----

mount_cairnfs -o lowerdir=a:b:c,upperdir=u,workdir=w m
exec 8<m/f
mount_cairnfs cairnfs m -o ro,relatime,remount,user_id=0,group_id=0,default_permissions,allow_other,dev,suid
grep -q " $TMP/m fuse.cairnfs ro,relatime" /proc/mounts || fail "not read-only: $(grep "$TMP/m" /proc/mounts)"
! touch m/new 2>"$TMP/err" || fail "written to a mount that is read-only now"
grep -q "Read-only file system" "$TMP/err" || fail "$(cat "$TMP/err")"
mount_cairnfs -o remount,rw,nosuid,noexec m
grep -q " $TMP/m fuse.cairnfs rw,nosuid,noexec,relatime" /proc/mounts || fail "flags: $(grep "$TMP/m" /proc/mounts)"
touch m/new
[ "$(cat <&8)" = a ] || fail "an open file was lost"
exec 8<&-
exec 8>m/new
mount_refused "m: cannot remount: Device or resource busy" -o remount,ro m
exec 8>&-
umount m
mount_refused "m: no cairnfs is mounted there" -o remount,ro m
mount -t tmpfs none m
mount_refused "m: no cairnfs is mounted there" -o remount,ro m
umount m
rm u/new
