#!/bin/sh
# With ino32_t every number that is shown fits into 32 bits, is one object's alone, is the same by all ways it is asked for,
# and stays: over copy-up, renaming, a worker's death, unmount and mount. The kernel knows objects by the long ones meanwhile.
# shellcheck disable=SC2015 # fail does not return
. "$(dirname "$0")/../tools/lib.sh"
need_root
need_fuse
need python3

cd "$TMP"
mkdir t u w m
mount -t tmpfs none t

# numbers DIR [long]: path and number of all that is there, sorted by path, each checked. With "long", they are to be too long.
numbers() {
	python3 - "$@" <<'END' || fail "numbers of $1, see above"
import ctypes, fcntl, mmap, os, sys
libc = ctypes.CDLL(None, use_errno=True)

class Dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("reclen", ctypes.c_uint16),
                ("type", ctypes.c_uint8), ("name", ctypes.c_char * 256)]

class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_uint32 * 32)]

libc.opendir.restype = ctypes.c_void_p
libc.readdir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
libc.readdir.restype = ctypes.POINTER(Dirent)

def listed(path):
    stream = libc.opendir(path.encode())
    assert stream, path
    found = {}
    while entry := libc.readdir(stream):
        found[entry.contents.name.decode()] = entry.contents.ino
    libc.closedir(stream)
    return found

# What the kernel knows it by: FUSE puts the node's number into a file handle.
def node(path):
    handle, mount = Handle(bytes=128), ctypes.c_int()
    if libc.name_to_handle_at(-100, path.encode(), ctypes.byref(handle), ctypes.byref(mount), 0) < 0:
        raise OSError(ctypes.get_errno(), path)
    return handle.data[0] << 32 | handle.data[1]

def seen_in_proc(path):
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ):
        fcntl.lockf(f, fcntl.LOCK_SH)
        maps = [int(line.split()[4]) for line in open("/proc/self/maps") if line.rstrip().endswith(path)]
        locks = [line.split() for line in open("/proc/locks")]
        return maps + [int(lock[5].split(":")[2]) for lock in locks if lock[4] == str(os.getpid())]

top, is_long = sys.argv[1], len(sys.argv) > 2
bad, nodes, lines = [], {}, []

def check(path, number, from_listing):
    lines.append((path, number))
    if from_listing not in (None, number):
        bad.append(f"{path}: st_ino {number}, d_ino {from_listing}")
    if not is_long and not 0 < number < 0xffffffff:
        bad.append(f"{path}: {number} does not fit")
    if nodes.setdefault(number, node(path)) != node(path):
        bad.append(f"{path}: {number} is another object's too")
    if path.endswith("/mapped") and seen_in_proc(os.path.realpath(path)) != [number, number]:
        bad.append(f"{path}: {number}, {seen_in_proc(os.path.realpath(path))} in maps and locks")

def walk(path, number, above):
    names = listed(path)
    if (names.pop("."), names.pop("..")) != (number, above):
        bad.append(f"{path}: . or .. differ")
    for name, from_listing in names.items():
        at = os.path.join(path, name)
        st = os.lstat(at)
        check(at, st.st_ino, from_listing)
        if os.path.isdir(at) and not os.path.islink(at):
            walk(at, st.st_ino, number)

check(top, os.stat(top).st_ino, None)
walk(top, os.stat(top).st_ino, os.stat(top).st_ino)
known = list(nodes.values())
if len(set(known)) != len(known):
    bad.append("one object has two numbers")
if max(known) <= 0xffffffff:
    bad.append("no long number here: nothing was tested")
if is_long and max(nodes) <= 0xffffffff:
    bad.append("no long number is shown")
print(*bad, sep="\n", file=sys.stderr, end="\n" if bad else "")
for path, number in sorted(lines):
    print(f"{path}\t{number}")
sys.exit(bool(bad))
END
}

# same_numbers FILE FILE: paths that are in both have the same number in both; there must be some.
same_numbers() {
	join -t "$(printf '\t')" "$1" "$2" >joined
	[ "$(wc -l <joined)" -gt 100 ] || fail "only $(wc -l <joined) paths are in both $1 and $2"
	awk -F '\t' '$2 != $3 { print; bad = 1 } END { exit bad }' joined >&2 || fail "numbers of $1 are others in $2"
}
# number FILE PATH
number() {
	awk -F '\t' -v path="$2" '$1 == path { print $2 }' "$1"
}
# is_one FILE PATH...: they are names of one object.
is_one() {
	file=$1
	shift
	for path; do
		[ -n "$(number "$file" "$path")" ] && [ "$(number "$file" "$path")" = "$(number "$file" "$1")" ] ||
			fail "$file: $path and $1 have different numbers"
	done
}
# Numbers again, which statx gives by another request when it is asked for the time of birth.
numbers_of_statx() {
	find "$1" -exec stat -c '%n	%i	%W' {} + | cut -f 1,2 | LC_ALL=C sort
}
kill_worker() {
	old=$(worker)
	[ -n "$old" ] || fail "no worker found"
	kill -9 "$old"
	timeout 20 stat m >"$TMP/out" || fail "after a worker's death"
	[ "$(worker)" != "$old" ] || fail "the worker is still there"
}

# Two branches on two filesystems, so that lower numbers are composed; names of one file, in one directory and in two.
for branch in t/low low; do
	name=of-$(dirname "$branch" | tr . d)
	mkdir -p "$branch/$name/sub" "$branch/both"
	for i in $(seq 60); do
		echo "$i" >"$branch/$name/f$i"
		echo "$i" >"$branch/both/$name-$i"
	done
	echo x >"$branch/$name/hard1"
	ln "$branch/$name/hard1" "$branch/$name/hard2"
	ln "$branch/$name/hard1" "$branch/$name/sub/hard3"
	echo mapped >"$branch/$name/mapped"
	mkfifo "$branch/$name/fifo"
	ln -s f1 "$branch/$name/link"
done
a=m/of-t b=m/of-d
LC_ALL=C
export LC_ALL

# writable OPTIONS: all that can be done. With timeout=0 the kernel asks again each time.
writable() {
	rm -rf u w
	mkdir u w
	options=$1
	mount_cairnfs -o "ino32_t,lowerdir=t/low:low,upperdir=u,workdir=w,$options" m
	numbers m >before
	numbers_of_statx m >statx
	same before statx
	for d in $a $b; do
		is_one before "$d/hard1" "$d/hard2" "$d/sub/hard3"
		echo copied >>"$d/hard2"
		echo copied >>"$d/f1"
		chmod 600 "$d/f2" "$d/fifo"
		chmod 700 "$d/sub"
		mv "$d/f3" "$d/sub/moved"
		rm "$d/f4"
		echo again >"$d/f5.new"
		mv "$d/f5.new" "$d/f5"
		mkdir -p "$d/new/dir"
		for i in $(seq 40); do echo "$i" >"$d/new/$i"; done
		ln "$d/new/1" "$d/new/dir/1"
		ln -s x "$d/new/link"
		mkfifo "$d/new/fifo"
	done
	mv m/both m/moved
	numbers m >changed
	for d in $a $b; do
		is_one changed "$d/hard1" "$d/hard2" "$d/sub/hard3"
		is_one changed "$d/new/1" "$d/new/dir/1"
		[ "$(number before "$d/f3")" = "$(number changed "$d/sub/moved")" ] || fail "$d/f3: renamed"
		[ "$(number before "$d/f5")" != "$(number changed "$d/f5")" ] || fail "$d/f5: replaced"
		grep -v "^$d/f5	" before >before.kept
		mv before.kept before
	done
	[ "$(number before m/both)" = "$(number changed m/moved)" ] || fail "both: renamed"
	same_numbers before changed
	mv $a/new/2 m/moved/from-new
	[ "$(number changed $a/new/2)" = "$(stat -c %i m/moved/from-new)" ] || fail "new/2: renamed"
	mv m/moved/from-new $a/new/2

	# What a worker knows the next one must, and more than one death.
	for round in 1 2 3; do
		kill_worker
		echo x >"m/after-$round"
		numbers m >killed
		same_numbers changed killed
	done
	[ "$(wc -l <killed)" = $(($(wc -l <changed) + 3)) ] || fail "not all are there"

	umount m
	mount_cairnfs -o "ino32_t,lowerdir=t/low:low,upperdir=u,workdir=w,$options" m
	echo x >m/first
	numbers m >remounted
	same_numbers killed remounted
	umount m
	# Without the option, and with it again.
	mount_cairnfs -o "lowerdir=t/low:low,upperdir=u,workdir=w,$options" m
	echo x >m/meanwhile
	numbers m long >"$TMP/out"
	umount m
	mount_cairnfs -o "ino32_t,lowerdir=t/low:low,upperdir=u,workdir=w,$options" m
	numbers m >again
	same_numbers remounted again
	# With nobody left to save them, numbers may change, and are right all the same.
	for i in $(seq 30); do echo "$i" >"m/moved/late-$i"; done
	for pid in $(marked_processes); do
		! grep -qzxF "$CAIRNFS" "/proc/$pid/cmdline" || kill -9 "$pid"
	done
	umount -l m
	mount_cairnfs -o "ino32_t,lowerdir=t/low:low,upperdir=u,workdir=w,$options" m
	numbers m >"$TMP/out"
	umount m
	await_daemons || fail "daemons do not end"
}
writable timeout=0,fsync=0
writable metacopy=on

# A file that is damaged does no harm; something else in its place is refused.
printf 'x' | dd of=w/ino32.map bs=1 seek=9 conv=notrunc status=none
mount_cairnfs -o ino32_t,lowerdir=t/low:low,upperdir=u,workdir=w m
numbers m >"$TMP/out"
umount m
flock w/owner true
mv w/ino32.map kept
cp kept before
ln -s ../kept w/ino32.map
mount_refused "workdir w: ino32.map: Operation not permitted" -o ino32_t,lowerdir=t/low:low,upperdir=u,workdir=w m
same kept before
rm w/ino32.map

# Read-only: there is no work directory to keep anything in.
mount_cairnfs -o ino32_t,lowerdir=t/low:low m
numbers m >before
kill_worker
numbers m >killed
same before killed
umount m
mount_cairnfs --no-recover -o ino32_t,lowerdir=t/low:low m
numbers m >"$TMP/out"
umount m

# A chain index: lower numbers are shown as they are.
two_layers
oci_layout app 1 cat low.tar high.tar
cairn import app >"$TMP/out"
layers=$store/layers
options=ino32_t,lowerdir=$layers/$(sha high.tar)/diff:$layers/$(sha low.tar)/diff,chain=$(echo "$store"/chains/*.mdb)
rm -rf u w
mkdir u w
mount_cairnfs -o "$options,upperdir=u,workdir=w" m
mkdir m/new
for i in $(seq 100); do echo "$i" >"m/new/$i"; done
echo copied >>m/etc/a
numbers m >before
is_one before m/etc/a m/etc/hard
[ "$(number before m/etc/a)" -lt 1000 ] || fail "a number of the index is not shown as it is"
kill_worker
numbers m >killed
same before killed
umount m
mount_cairnfs -o "$options,upperdir=u,workdir=w" m
numbers m >remounted
same before remounted
umount m
flock w/owner true
umount t
