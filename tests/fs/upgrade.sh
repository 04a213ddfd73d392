#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A mount goes on with another program while it is used: fifty times in a row under load, with files open, removed, locked and
# mapped, directories half read, and mounts inside. A program that cannot take over is refused in words, and the mount goes on.
# shellcheck disable=SC2015,SC2016 # fail does not return; what is quoted is for other shells
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3

cd "$TMP"
mkdir -p bin l/d l/big u w m
echo lower >l/f
i=0
while [ $i -lt 3000 ]; do
	: >"l/big/a-name-that-takes-some-room-$i"
	i=$((i + 1))
done
# The program that is installed: what is built, under a name of the test's, so that it can be replaced.
built=$CAIRNFS
install_program() {
	cp "$1" bin/new
	mv bin/new bin/cairnfs
}
install_program "$built"
CAIRNFS=$TMP/bin/cairnfs
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
supervisor=$(supervisor)

# After `old`.
another_worker() {
	now=$(worker)
	[ -n "$now" ] && [ "$now" != "$old" ]
}

# The program that the worker is an instance of, as a device and inode number.
program_of() {
	stat -L -c %d:%i "/proc/$1/exe"
}

# ---- fifty, under load ----

# What a process has and does throughout: it says `ready`, and when `stop` is there, checks that nothing of it has changed.
cat >user.py <<'END'
import fcntl, mmap, os, sys, threading, time
os.chdir("m")
home = os.getcwd()
os.mkdir("cwd"); os.chdir("cwd")
opened = open("opened", "w+"); opened.write("opened"); opened.flush()
removed = os.open("removed", os.O_CREAT | os.O_RDWR); os.write(removed, b"removed"); os.unlink("removed")
lower = os.open("../f", os.O_RDONLY)
os.rename("../d", "../moved")
locked = os.open("locked", os.O_CREAT | os.O_RDWR)
fcntl.lockf(locked, fcntl.LOCK_EX)
flocked = os.open("flocked", os.O_CREAT | os.O_RDWR)
fcntl.flock(flocked, fcntl.LOCK_EX)
mapped_fd = os.open("mapped", os.O_CREAT | os.O_RDWR); os.ftruncate(mapped_fd, 8192)
mapped = mmap.mmap(mapped_fd, 8192)
nameless = os.open(".", os.O_TMPFILE | os.O_RDWR); os.write(nameless, b"nameless")
listing = os.scandir("../big")
names = [next(listing).name for _ in range(100)]
numbers = {fd: os.fstat(fd).st_ino for fd in (opened.fileno(), removed, lower, locked, mapped_fd, nameless)}
errors = []
def writer(n):
    i = 0
    try:
        while not os.path.exists("../../stop"):
            name = f"w{n}-{i % 7}"
            with open(name, "w") as f: f.write(f"{n} {i}\n" * 100)
            assert open(name).read() == f"{n} {i}\n" * 100
            os.rename(name, f"r{n}"); os.mkdir(f"d{n}"); os.link(f"r{n}", f"d{n}/l")
            assert os.stat(f"r{n}").st_nlink == 2
            os.unlink(f"d{n}/l"); os.rmdir(f"d{n}"); os.unlink(f"r{n}")
            with open(f"log{n}", "a") as f: f.write(f"{i}\n")
            mapped[n * 100:n * 100 + 8] = b"%8d" % i
            i += 1
    except Exception as e:
        errors.append(e)
    counts[n] = i
counts = {}
threads = [threading.Thread(target=writer, args=(n,)) for n in range(3)]
for t in threads: t.start()
open("../../ready", "w").close()
for t in threads: t.join()
assert not errors, errors
assert os.getcwd() == home + "/cwd"
for n in range(3):
    assert open(f"log{n}").read() == "".join(f"{i}\n" for i in range(counts[n])), n
    assert mapped[n * 100:n * 100 + 8] == b"%8d" % (counts[n] - 1)
opened.seek(0); assert opened.read() == "opened"
assert os.pread(removed, 10, 0) == b"removed" and os.fstat(removed).st_nlink == 0
assert os.pread(lower, 10, 0) == b"lower\n"
assert os.pread(nameless, 10, 0) == b"nameless"
assert {fd: os.fstat(fd).st_ino for fd in numbers} == numbers
names += [entry.name for entry in listing]
assert sorted(names) == sorted(os.listdir("../big")) and len(names) == 3000, len(names)
if os.fork() == 0:
    for take in (lambda: fcntl.lockf(os.open("locked", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB),
                 lambda: fcntl.flock(os.open("flocked", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)):
        try: take()
        except BlockingIOError: continue
        os._exit(1)
    os._exit(0)
assert os.wait()[1] == 0, "a lock is lost"
os.link(f"/proc/self/fd/{nameless}", "named", src_dir_fd=os.open(".", os.O_RDONLY), follow_symlinks=True); assert open("named").read() == "nameless"
print(sum(counts.values()))
END
mkdir m/inside
mount -t tmpfs none m/inside
: >m/inside/file
background python3 user.py >user.out
user=$!
wait_for test -e ready
i=0
while [ $i -lt 50 ]; do
	old=$(worker)
	install_program "$built"
	"$CAIRN" upgrade m >"$TMP/out" || fail "upgrade $i"
	[ "$(cat "$TMP/out")" = m ] || fail "upgrade $i printed: $(cat "$TMP/out")"
	new=$(worker)
	[ -n "$new" ] && [ "$new" != "$old" ] || fail "upgrade $i: worker $old, then $new"
	[ "$(program_of "$new")" = "$(stat -c %d:%i bin/cairnfs)" ] || fail "upgrade $i: not the program that is installed"
	kill -0 "$user" || { cat user.out && fail "upgrade $i: the process that uses the mount ended"; }
	i=$((i + 1))
done
touch stop
wait "$user" || fail "what a process had open: see above"
echo "50 upgrades; $(cat user.out) rounds of changes meanwhile"
[ -e m/inside/file ] || fail "what was mounted inside is gone"
[ "$(supervisor)" = "$supervisor" ] || fail "another supervisor"

# What an upgraded worker is followed by is the same program, also when its name stands for another by then.
running=$(program_of "$(worker)")
install_program "$built"
old=$(worker)
kill -9 "$old"
wait_for another_worker
[ "$(timeout 20 cat m/f)" = lower ] || fail "after the death of an upgraded worker"
[ "$(program_of "$(worker)")" = "$running" ] || fail "the program changed by itself"

# ---- refusals ----

# refused REGEX: an upgrade is refused in one line, and the worker stays.
refused() {
	old=$(worker)
	if "$CAIRN" upgrade m >"$TMP/out" 2>"$TMP/err"; then fail "not refused: $1"; fi
	[ "$(wc -l <"$TMP/err")" = 1 ] && grep -qE "m: not upgraded: .*$1" "$TMP/err" || fail "not refused with '$1': $(cat "$TMP/err")"
	[ "$(worker)" = "$old" ] || fail "$1: the worker changed"
	[ "$(timeout 20 cat m/f)" = lower ] || fail "$1: the mount does not answer"
	echo "$1" >m/log && [ "$(cat m/log)" = "$1" ] || fail "$1: writing"
}
rm bin/cairnfs
refused "No such file or directory"
mkfifo bin/cairnfs
refused "not a program"
rm bin/cairnfs
mkdir bin/cairnfs
refused "not a program"
rmdir bin/cairnfs
: >bin/cairnfs
refused "Permission denied"
chmod 755 bin/cairnfs
refused "Exec format error"
install_program /bin/true
refused "ends and does not say why"
cp "$built" m/cairnfs
mv bin bin.away
ln -s m bin
refused "on the mount itself"
rm bin
mv bin.away bin

# A program of another version: what the workers share says that it is of version 4711, as that program would.
install_program "$built"
note=
for fd in /proc/"$supervisor"/fd/*; do
	case $(readlink "$fd") in
	"/memfd:cairnfs mount"*) note=$fd ;;
	esac
done
[ "$note" ] || fail "the supervisor has no note"
version() {
	python3 -c 'import struct, sys
with open(sys.argv[1], "r+b", 0) as f: f.seek(4); f.write(struct.pack("I", int(sys.argv[2])))' "$note" "$1"
}
was=$(od -An -tu4 -j4 -N4 "$note" | tr -d ' ')
version 4711
refused "state is of version 4711 .*, the program's of version $was"
version "$was"

# A program that says that it can take over and then does not: the one from before goes on.
cat >fake.c <<'END'
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
int main(int argc, char *argv[])
{
	int talk;
	char word;
	if (argc < 2 || sscanf(argv[1], "--take-over=%*d,%*d,%*d,%d", &talk) != 1 || send(talk, "a", 1, 0) != 1)
		return 1;
	return recv(talk, &word, 1, 0) == 1 && word == 'g' ? 0 : 1;
}
END
"${CC:-cc}" -o fake fake.c
install_program fake
old=$(worker)
if "$CAIRN" upgrade m 2>"$TMP/err"; then fail "an upgrade to a program that fails"; fi
grep -q "not upgraded: the program fails when it has taken over" "$TMP/err" || fail "it says: $(cat "$TMP/err")"
wait_for another_worker
[ "$(timeout 20 cat m/f)" = lower ] || fail "after a program that failed"
[ "$(program_of "$(worker)")" = "$running" ] || fail "after a program that failed: another one"

# ---- who is asked, and without a name ----

install_program "$built"
mkdir plain
for what in plain none; do
	if "$CAIRN" upgrade $what 2>"$TMP/err"; then fail "$what was upgraded"; fi
	[ "$(wc -l <"$TMP/err")" = 1 ] || fail "$what: $(cat "$TMP/err")"
done
# All mounts: where no processes can be seen but those of two mounts, for others' are not ours to upgrade.
cat >all <<'END'
set -eu
umount -a -l -t fuse.cairnfs # those of other tests would live on here
mkdir a-mount another
# At once, when the second has just been mounted.
for _ in 1 2 3 4 5 6 7 8 9 10; do
	"$CAIRNFS" -o lowerdir=l a-mount
	"$CAIRNFS" -o lowerdir=l another
	"$CAIRN" upgrade
	cat a-mount/f another/f
	umount a-mount another
done
END
unshare -m -p -f --mount-proc --kill-child sh all >"$TMP/all.out" || fail "upgrading all: $(cat "$TMP/all.out")"
[ "$(sort "$TMP/all.out" | uniq -c | tr -s ' ')" = " 10 $TMP/a-mount
 10 $TMP/another
 20 lower" ] || fail "all: $(cat "$TMP/all.out")"
# The supervisor of an earlier mount lives on for a moment, and the new mount has that one's st_dev.
mkdir again
before=$(supervisor)
mount_cairnfs -o lowerdir=l again
ending=$(supervisor | grep -vxF "$before")
kill -STOP "$ending"
umount again
mount_cairnfs -o lowerdir=l again
(sleep 0.5 && kill -CONT "$ending") &
"$CAIRN" upgrade again >again.out || fail "a mount made where another is just ending"
[ "$(cat again.out)" = again ] || fail "upgraded: $(cat again.out)"
wait "$!"
umount again
# By the signal alone.
old=$(worker)
kill -USR2 "$supervisor"
wait_for another_worker

# ---- a request that takes longer than the worker is waited for ----

# An open that waits until a lease on the file of the branch is given back, which its holder does only after the upgrade.
echo leased >l/leased
background python3 "$top_srcdir/tests/lease.py" --ready leasing --asked asked --until upgraded l/leased
wait_for test -e leasing
timeout 60 cat m/leased >leased.out &
reader=$!
wait_for test -e asked
"$CAIRN" upgrade m >"$TMP/out" || fail "an upgrade while a request is under way"
touch upgraded
wait "$reader" && [ "$(cat leased.out)" = leased ] || fail "a request that an upgrade interrupted"

umount m/inside
umount m
flock w/owner true
find w -mindepth 2 >left
[ ! -s left ] || fail "left in the work directory: $(cat left)"
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
[ "$(cat m/cwd/named)" = nameless ] && [ "$(cat m/cwd/opened)" = opened ] && [ -d m/moved ] || fail "after a remount"
umount m
