#!/bin/sh
# Other users may do what modes and ACLs let them, no more, and what they make is theirs.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need setpriv

cd "$TMP"
mkdir -p l/public l/private l/group l/sticky u w m
echo all >l/public/readable
echo root >l/public/unreadable
chmod 600 l/public/unreadable
echo theirs >l/public/theirs
chown 1000:1000 l/public/theirs
chmod 1777 l/sticky
echo r >l/sticky/of-root
chmod 777 l/public
chmod 700 l/private
echo p >l/private/f
chown 0:2000 l/group
chmod 2770 l/group
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
cd m

as() {
	user=$1
	shift
	setpriv --reuid "$user" --regid "$user" --clear-groups "$@" 2>"$TMP/err"
}
refused() {
	! "$@" || fail "allowed: $*"
}

# reading and writing
[ "$(as 1000 cat public/readable)" = all ] || fail "readable"
refused as 1000 cat public/unreadable
refused as 1000 ls private
refused as 1000 cat private/f
refused as 1000 sh -c 'echo x >public/readable'
refused as 1000 chmod 777 public/readable
refused as 1000 chown 1000 public/readable
refused as 1000 touch -d @1 public/readable
as 1000 sh -c 'echo x >>public/theirs' || fail "own file"
as 1000 chmod 640 public/theirs || fail "chmod of own file"
refused as 1000 chown 1001 public/theirs
[ "$(stat -c %u:%g:%a public/theirs)" = 1000:1000:640 ] || fail "copy-up: $(stat -c %u:%g:%a public/theirs)"
refused as 1000 touch private/new group/new

# making
as 1000 sh -c 'umask 027; echo f >public/f; mkdir public/d; ln -s x public/l; mkfifo public/p' || fail "making"
for name in f d l p; do
	[ "$(stat -c %u:%g "public/$name")" = 1000:1000 ] || fail "owner of $name: $(stat -c %u:%g "public/$name")"
	[ "$(stat -c %u:%g "$TMP/u/public/$name")" = 1000:1000 ] || fail "owner of $name in upper"
done
[ "$(stat -c %a public/f public/d public/p | tr '\n' ' ')" = "640 750 640 " ] || fail "umask: $(stat -c %a public/f public/d public/p)"
refused as 1000 mknod public/null c 1 3
as 1000 rm public/readable || fail "removing in a directory of all"
as 1000 sh -c 'echo again >public/readable' || fail "making over a whiteout"
[ "$(stat -c %u:%g:%a public/readable)" = 1000:1000:644 ] || fail "over a whiteout: $(stat -c %u:%g:%a public/readable)"
as 1000 mv public/d public/e || fail "renaming"
refused as 1001 rmdir private

# the sticky bit
as 1000 sh -c 'echo s >sticky/mine' || fail "sticky"
refused as 1000 rm -f sticky/of-root
refused as 1001 rm -f sticky/mine
refused as 1001 mv sticky/mine sticky/x
as 1000 rm sticky/mine || fail "own file in a sticky directory"

# setgid directories, and supplementary groups
setpriv --reuid 1000 --regid 1000 --groups 2000 sh -c 'umask 002; echo g >group/f; mkdir group/d' || fail "supplementary group"
[ "$(stat -c %u:%g:%a group/f group/d | tr '\n' ' ')" = "1000:2000:664 1000:2000:2775 " ] ||
	fail "setgid: $(stat -c %u:%g:%a group/f group/d)"

# setuid goes when others write, and with a change of owner; root keeps nothing special on files of others
cp /bin/true public/suid
chmod 6777 public/suid
as 1000 sh -c 'echo x >>public/suid' || fail "writing to a setuid file"
[ "$(stat -c %a public/suid)" = 777 ] || fail "setuid after a write: $(stat -c %a public/suid)"
chmod 6755 public/suid
chown 5:5 public/suid
[ "$(stat -c %a public/suid)" = 755 ] || fail "setuid after chown: $(stat -c %a public/suid)"

# ACLs
if command -v setfacl >"$TMP/need" && setfacl -m u:1000:r "$TMP/l/private/f" 2>"$TMP/err"; then
	setfacl -m u:1000:r public/unreadable || fail "setfacl"
	[ "$(as 1000 cat public/unreadable)" = root ] || fail "an ACL does not let in"
	refused as 1001 cat public/unreadable
	mkdir public/acl
	setfacl -d -m u:1001:rwx,o::- public/acl
	(umask 077 && mkdir public/acl/d && echo f >public/acl/f)
	getfacl -cnp public/acl/f | grep -q '^user:1001:rwx' || fail "no default ACL: $(getfacl -cnp public/acl/f)"
	getfacl -cnp public/acl/d | grep -q '^default:user:1001:rwx' || fail "default ACL of a directory"
	[ "$(as 1001 cat public/acl/f)" = f ] || fail "an inherited ACL does not let in"
	refused as 1000 cat public/acl/f
else
	echo "not tested: ACLs (no setfacl, or not on this filesystem)"
fi

cd ..
umount m
