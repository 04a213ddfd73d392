#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# With writeback=1 the kernel keeps the time of a file's last change, and writes pages back when it likes: whichever two calls
# came before, the time that stat showed is the one that is shown after close, after the kernel has forgotten the file, and
# after a remount, and that upper holds; also when threads store, change and set times at once, and while workers are killed, and
# where upper counts in seconds. ctime, which nobody can set, at least never goes back.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3

cd "$TMP"
mkdir m plain
cat >times.py <<'END'
import ctypes, json, mmap, os, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)
PAGE = 4096
SIZE = 8 * PAGE


def fallocate(fd, mode, offset, length):
    if libc.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)) < 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def start_writing_back(fd):
    """As the kernel does by itself: begins, and waits for nothing."""
    libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), 2)


def shown_at(path):
    st = os.stat(path)
    return [st.st_mtime_ns, st.st_ctime_ns]


class File:
    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_RDWR)
        self.map = mmap.mmap(self.fd, SIZE)
        self.direct = mmap.mmap(-1, PAGE)

    def done(self):
        self.map.close()
        os.close(self.fd)


def direct_write(f):
    fd = os.open(f.path, os.O_WRONLY | os.O_DIRECT)
    os.pwrite(fd, f.direct, 3 * PAGE)
    os.close(fd)


def copy_range(f):
    with open(os.path.join(os.path.dirname(f.path), "source"), "rb") as source:
        os.copy_file_range(source.fileno(), f.fd, PAGE, 0, 5 * PAGE)


def replace_content(f):
    os.close(os.open(f.path, os.O_WRONLY | os.O_TRUNC))
    os.pwrite(f.fd, b"z" * SIZE, 0)


def close_and_open(f):
    os.close(f.fd)
    f.fd = os.open(f.path, os.O_RDWR)


def store(f):
    f.map[0:5] = b"store"


def store_and_sync(f):
    f.map[PAGE:PAGE + 5] = b"store"
    f.map.flush()


CALLS = {
    "write": lambda f: os.pwrite(f.fd, b"w" * PAGE, PAGE),
    "append": lambda f: os.pwrite(f.fd, b"a" * 100, os.fstat(f.fd).st_size),
    "direct": direct_write,
    "store": store,
    "msync": store_and_sync,
    "begin": lambda f: start_writing_back(f.fd),
    "chown": lambda f: os.chown(f.path, 1, 2),
    "chmod": lambda f: os.chmod(f.path, 0o640),
    "fallocate": lambda f: fallocate(f.fd, 0, 0, SIZE),
    "grow": lambda f: fallocate(f.fd, 0, SIZE, PAGE),
    "punch": lambda f: fallocate(f.fd, 3, 6 * PAGE, PAGE),
    "shorten": lambda f: os.truncate(f.path, SIZE),
    "lengthen": lambda f: os.ftruncate(f.fd, os.fstat(f.fd).st_size + 1),
    "same-size": lambda f: os.truncate(f.path, os.fstat(f.fd).st_size),
    "replace": replace_content,
    "copy": copy_range,
    "set": lambda f: os.utime(f.path, ns=(10**18, 10**18 + 123456789)),
    "now": lambda f: os.utime(f.path),
    "setxattr": lambda f: os.setxattr(f.path, "user.x", b"1"),
    "link": lambda f: (os.link(f.path, f.path + "~"), os.unlink(f.path + "~")),
    "fsync": lambda f: os.fsync(f.fd),
    "close": close_and_open,
}


def do_pairs(root):
    """Each pair of calls on a file of its own: what stat shows afterwards."""
    shown, moved = {}, []
    for first in CALLS:
        for second in CALLS:
            name = first + "+" + second
            f = File(os.path.join(root, name))
            CALLS[first](f)
            CALLS[second](f)
            before = shown[name] = shown_at(f.path)
            f.done()
            after = shown_at(f.path)
            if after[0] != before[0]:
                moved.append("%s by %d ns when it was closed" % (name, after[0] - before[0]))
    return shown, moved


def change(path, seed, seconds):
    """Several threads at once; kept open, so that what they leave is written back later."""
    f = File(path)
    end = time.monotonic() + seconds

    def run(i):
        j = seed + i
        while time.monotonic() < end:
            j = (j * 1103515245 + 12345) % 2**31
            page = (j >> 8) % 8 * PAGE
            if i == 0:
                os.utime(path, ns=(10**18, 10**18 + j))
            elif i == 1:
                os.pwrite(f.fd, b"w" * 2 * PAGE, page)
            elif i == 2:
                f.map[page:page + 5] = b"store"
                start_writing_back(f.fd)
            else:
                os.fchmod(f.fd, 0o600 + j % 8)
                os.fsync(f.fd)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = shown_at(path)
    start_writing_back(f.fd)
    f.done()
    return shown


what, root, notes = sys.argv[1:4]
if what == "make":
    with open(os.path.join(root, "source"), "wb") as file:
        file.write(b"s" * 2 * SIZE)
    for first in CALLS:
        for second in CALLS:
            with open(os.path.join(root, first + "+" + second), "wb") as file:
                file.write(b"x" * SIZE)
elif what == "pairs":
    shown, moved = do_pairs(root)
    json.dump(shown, open(notes, "w"))
    for line in moved:
        print(line)
    sys.exit(len(moved) > 0)
elif what == "change":
    shown = {}
    for i in range(int(sys.argv[4])):
        name = "changed%d" % i
        with open(os.path.join(root, name), "wb") as file:
            file.write(b"x" * SIZE)
        shown[name] = change(os.path.join(root, name), i, float(sys.argv[5]))
    json.dump(shown, open(notes, "w"))
else:
    shown = json.load(open(notes))
    n = 0
    for name, before in shown.items():
        path = os.path.join(root, name)
        if what == "in upper" and not os.path.exists(path):
            continue  # nothing has changed it
        after = shown_at(path)
        if after[0] != before[0]:
            n += 1
            print("%s: %d ns %s" % (name, after[0] - before[0], what))
        if after[1] < before[1]:
            n += 1
            print("%s: ctime %d ns back %s" % (name, before[1] - after[1], what))
    print("%d of %d moved" % (n, len(shown)))
    sys.exit(n > 0)
END
options=lowerdir=lower,upperdir=upper,workdir=work,writeback=1

# still NOTES TITLE: it is what it was when the kernel has forgotten the files, in upper, and after a remount.
still() {
	bad=0
	echo 3 >/proc/sys/vm/drop_caches
	python3 times.py "when forgotten" m "$1" || bad=1
	umount m
	python3 times.py "in upper" upper "$1" || bad=1
	mount_cairnfs -o "$options" m
	python3 times.py "after a remount" m "$1" || bad=1
	umount m
	[ $bad = 0 ] || fail "$2: times have moved"
}

python3 times.py make plain notes
python3 times.py pairs plain notes || fail "in a plain directory"

# pairs TITLE: with files of upper, and of a lower branch.
pairs() {
	for place in upper lower; do
		rm -rf upper work lower
		mkdir upper work lower
		python3 times.py make $place notes
		mount_cairnfs -o "$options" m
		python3 times.py pairs m notes || fail "$1: pairs of calls ($place)"
		still notes "$1: pairs of calls ($place)"
	done
}

pairs "this directory"

mount_cairnfs -o "$options" m
python3 times.py change m notes 40 0.1
still notes "threads at once"

mount_cairnfs -o "$options" m
background python3 times.py change m notes 30 0.2
kills=0
while kill -0 $! 2>none; do
	victim=$(worker)
	[ -z "$victim" ] || { kill -9 "$victim" && kills=$((kills + 1)); } 2>none
	sleep 0.05
done
wait $! || fail "while workers were killed"
still notes "$kills killed workers"
echo "$kills workers were killed"

# Where upper counts in seconds, so does the mount.
if { command -v mkfs.ext4 && losetup -f; } >none 2>&1; then
	truncate -s 64M disk
	mkfs.ext4 -q -I 128 disk >none 2>&1
	mkdir coarse
	mount -o loop disk coarse
	rm -rf upper work
	mkdir coarse/upper coarse/work
	options=lowerdir=lower,upperdir=coarse/upper,workdir=coarse/work,writeback=1
	ln -s coarse/upper upper
	mount_cairnfs -o "$options" m
	python3 times.py make m notes
	python3 times.py pairs m notes || fail "counted in seconds"
	still notes "counted in seconds"
	umount coarse
else
	echo "skipped: an upper that counts in seconds (no mkfs.ext4 or loop devices)"
fi
