#!/bin/sh
# Parity: the same commands do the same on the mount and in a plain directory: same output, same exit status, same tree, and
# the same tree again after a remount.
# shellcheck disable=SC2016 # texts are for another shell
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3

cd "$TMP"
mkdir -p l1/d l1/e l2/d/sub l2/many u w m plain
echo one >l1/d/one
echo two >l2/d/two
echo three >l2/d/sub/three
printf '%0100000d' 7 >l2/big
ln l2/big l2/big-link
ln -s d/one l2/link
ln -s nowhere l2/dangling
echo a >l1/e/a
chmod 640 l2/d/two
for i in 1 2 3 4 5 6 7 8 9; do
	echo "$i" >"l2/many/$i"
done
find l1 l2 -exec touch -h -d @1000.5 {} +
cp -a l2/. plain
cp -a l1/. plain
find plain -exec touch -h -d @1000.5 {} +
mount_cairnfs -o lowerdir=l1:l2,upperdir=u,workdir=w m
same_tree plain m

n=0
# both TEXT: runs it in both, and compares.
both() {
	n=$((n + 1))
	for dir in plain m; do
		status=0
		(cd "$dir" && LC_ALL=C timeout 60 sh -c "$1") >"$TMP/$dir.out" 2>&1 || status=$?
		echo "exit $status" >>"$TMP/$dir.out"
	done
	cmp -s plain.out m.out || {
		diff -u plain.out m.out >&2 || :
		fail "differs: $1"
	}
	same_tree plain m --no-times
}

# reading
both 'cat d/one d/two d/sub/three; ls -A . d d/sub many'
both 'readlink link dangling; cat link; cat dangling'
both 'cat d; cat none; cat d/one/x; ls none'
both 'stat -c "%a %u %g %s %h %F %y" big big-link link d d/two'
both 'find . | LC_ALL=C sort; du -s --apparent-size big; wc -c big; md5sum big'
both 'test -ef big big-link; [ big -ef big-link ] && echo one file'
# writing
both 'echo more >>d/one; cat d/one'
both 'echo changed >d/two; cat d/two; stat -c %a d/two'
both 'sed -i s/three/THREE/ d/sub/three; cat d/sub/three'
both 'printf x | dd of=big bs=1 seek=50000 conv=notrunc status=none; md5sum big big-link; stat -c "%h %s" big-link'
both 'truncate -s 10 big; cat big-link; truncate -s 20 big; od -An -c big'
both 'set -C; echo x >d/one; echo $?'
both 'echo new >new; cp new d/new; cp -r d copy; cat copy/sub/three'
both 'tee -a d/one d/two </dev/null; : >d/two; wc -c d/two'
# attributes
both 'chmod 600 d/sub/three; chmod u+s many/1; chmod -R g+w many; stat -c "%a %n" many/* d/sub/three'
both 'chown 12:34 many/2; chown -h 5:6 link; stat -c "%u:%g %n" many/2 link d/one'
both 'touch -d @77.000000001 many/3; stat -c %y many/3; touch -r many/3 e; stat -c %y e'
both 'setfattr -n user.x -v 1 many/4; getfattr -d many/4; setfattr -x user.x many/4; setfattr -x user.x many/4; getfattr -d many/4'
both 'setfattr -n user.y -v 2 e; getfattr -d e; setfattr -h -n user.z -v 3 link'
# names
both 'ln d/one hard; ln d/one hard; ln link hardlink; ln d dir; stat -c "%h %F" hard hardlink'
both 'rm many/5 many/6; rm many/5; ls many; rm d; rmdir d; rmdir many/7'
both 'mkdir many/5 many/8 new/x deep/er; mkdir -p deep/er/still; ls -R many deep'
both 'mv many/9 many/moved; mv many elsewhere; ls elsewhere; ls many'
both 'mv d/sub e; cat e/sub/three; mv e/sub/three .; mv three e/sub/five; ls -R e'
both 'mkdir many; ls many; echo x >many/1; mv many elsewhere; ls -R elsewhere; mv elsewhere many'
both 'mkdir x y; touch y/f; mv -T x y; echo $?; mv -T y x; ls -R x; mv new/x big; mv x new'
both 'mv new link; cat link; mv -n big link; ls'
both 'rm -r e; ls e; mkdir e; ls -A e; touch e/again; ls e'
both 'ln -sf target link; readlink link; ln -sfn other link; readlink link; rm dangling; ln -s x dangling'
both 'mkfifo p; rm p; touch p; mkdir q; rmdir q; touch q; ls -F'
both 'touch "$(printf "a\nb")" " " "*" "-x" "$(printf "\303\251\377")"; ls -b; rm -- "*" "-x"; ls -b'
both 'i=0; while [ $i -lt 300 ]; do echo $i >f$i; i=$((i+1)); done; ls | wc -l; rm f1*; ls | wc -l; cat f299; rm f*'
both 'name=$(printf "%0255d" 1); touch $name; ls | grep -c $name; touch x$name; rm $name'
both 'tar -cf ../tar.$$ . && mkdir tarred && tar -xf ../tar.$$ -C tarred && rm ../tar.$$; diff -r --no-dereference copy tarred/copy; rm -r tarred'
both 'cp -a d d2 && diff -r d d2 && rm -rf d && mv d2 d; ls d'
both 'umask 077; echo x >um; mkdir umd; stat -c %a um umd; rm um; rmdir umd'
both 'python3 -c "
import os
def t(f, *a, **k):
    try: print(f.__name__, f(*a, **k))
    except OSError as e: print(f.__name__, e.errno)
t(os.rename, \"d\", \"d/x\"); t(os.rename, \"d\", \"copy\"); t(os.rename, \"copy/one\", \"d\"); t(os.rename, \"none\", \"x\")
t(os.link, \"none\", \"x\"); t(os.unlink, \".\"); t(os.rmdir, \".\"); t(os.rmdir, \"d/..\"); t(os.mkdir, \"d\"); t(os.symlink, \"\", \"e1\")
t(os.open, \"d\", os.O_WRONLY); t(os.open, \"link\", os.O_NOFOLLOW); t(os.open, \"d/one\", os.O_CREAT | os.O_EXCL); t(os.open, \"d/one\", os.O_DIRECTORY)
t(os.truncate, \"d\", 0); t(os.truncate, \"d/one\", -1); t(os.readlink, \"d\"); t(os.rename, \"d/one\", \"d/one\"); t(os.listdir, \"d/one\")
f = os.open(\"d/one\", os.O_RDWR); t(os.pread, f, 5, 0); t(os.lseek, f, 0, os.SEEK_DATA); t(os.pwrite, f, b\"zz\", 3); t(os.pread, f, 9, 0)
t(os.posix_fallocate, f, 0, 100); t(os.fstat, f) if 0 else None; t(os.copy_file_range, f, f, 5, 0, 50); t(os.pread, f, 60, 0)
"'
both 'chmod 000 d/one; cat d/one >/dev/null && echo root reads'
both 'flock d/one echo locked; dd if=/dev/zero of=zero bs=1M count=5 status=none; cmp zero /dev/zero -n 5242880; sync zero; rm zero'
both 'find . -name "[0-9]*" -delete; find . | LC_ALL=C sort; rm -rf copy deep elsewhere; ls'

same_tree plain m --no-times
treelist m >before
umount m
mount_cairnfs -o lowerdir=l1:l2,upperdir=u,workdir=w m
treelist m >after
same before after
same_tree plain m --no-times
# Everything can be removed, and a fresh tree in its place stays.
rm -rf m/* m/.[!.]* 2>"$TMP/err" || :
[ -z "$(ls -A m)" ] || fail "left: $(ls -A m)"
echo new >m/d
umount m
mount_cairnfs -o lowerdir=l1:l2,upperdir=u,workdir=w m
[ "$(ls -A m)" = d ] || fail "after a remount: $(ls -A m)"
umount m
