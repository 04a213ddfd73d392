#!/bin/sh
# A symbolic link in a branch is data: the daemon, which is root, never follows one, and so never reads or changes anything
# outside its directories, whatever an image holds.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need setfattr

cd "$TMP"
mkdir -p outside/dir l1 l2/d u w m
echo secret >outside/secret
echo x >outside/dir/x
chmod 600 outside/secret
treelist --dir-times outside >before

# A link in one branch where another has a directory of that name; links up and out; a redirect out.
ln -s "$TMP/outside" l1/d
echo below >l2/d/below
ln -s ../outside l2/up
ln -s "$TMP/outside/secret" l2/file
ln -s / l2/root
mkdir -p l2/a/b
ln -s ../../../outside l2/a/b/out
mkdir l1/redirected l1/absolute
setfattr -n trusted.overlay.redirect -v ../../outside l1/redirected
setfattr -n trusted.overlay.redirect -v /up l1/absolute
mount_cairnfs -o lowerdir=l1:l2,upperdir=u,workdir=w m

# The link hides the directory; what it shows is the link's text.
[ "$(readlink m/d)" = "$TMP/outside" ] || fail "d: $(readlink m/d)"
for dir in m/redirected m/absolute; do
	[ -z "$(ls -A "$dir" 2>"$TMP/err")" ] || fail "$dir leads outside: $(ls -A "$dir")"
done

# Everything that copies up goes through the links' names as well.
ln m/file m/hard
mv m/up m/moved
chown -h 12:34 m/root
touch -h m/file
cp -a m/a m/copy
mv m/a m/z
rm m/d
mkdir m/d
echo inside >m/d/secret
[ "$(ls m/d)" = secret ] || fail "d: $(ls m/d)"
echo here >m/z/b/new
rm -r m/z m/copy
rm m/file m/hard m/moved m/root
umount m

# Links put into upper behind the mount's back, where a directory was.
mkdir -p l2/e/sub
echo in >l2/e/sub/f
ln -s "$TMP/outside" u/e
mount_cairnfs -o lowerdir=l1:l2,upperdir=u,workdir=w m
[ -L m/e ] || fail "e is no link"
rm m/e
mkdir m/e
echo y >m/e/y
umount m
treelist --dir-times outside >after
same before after
