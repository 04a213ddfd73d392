#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What a mapping has stored into a lower file is written back whenever the kernel likes, also while the name of the file is being
# removed or replaced: the name stays gone, and what is stored is there for who has the file mapped.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3

cd "$TMP"
mkdir lower
head -c 200000000 /dev/urandom >lower/big
ln lower/big lower/other
mv lower/big lower/hold && cp lower/hold lower/big && mv lower/hold lower/big2
echo new >replacement

# race OPTIONS NAME WHAT: stores into NAME, and while the copy of it is being made, which takes long, does WHAT with the name.
race() {
	rm -rf upper work m
	mkdir upper work m
	mount_cairnfs -o "lowerdir=lower,upperdir=upper,workdir=work,fsync=0,$1" m
	cp replacement m/replacement
	python3 - "$2" "$3" <<-'END' || fail "$1, $3 of $2"
		import ctypes, mmap, os, sys, time
		name, what = "m/" + sys.argv[1], sys.argv[2]
		fd = os.open(name, os.O_RDWR)
		held = mmap.mmap(fd, 0)
		held[0:6] = b"stored"
		held[4096 * 100:4096 * 100 + 6] = b"behind"
		writer = os.fork()
		if writer == 0:
		    # As the kernel does it by itself: msync(2) would keep the name from being removed meanwhile.
		    os._exit(ctypes.CDLL(None).sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), 7) != 0)

		def is_being_copied():
		    return os.listdir("work/staging") or os.waitid(os.P_PID, writer, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

		while not is_being_copied():
		    time.sleep(0.0001)
		if what == "unlink":
		    os.unlink(name)
		elif what == "replace":
		    os.rename("m/replacement", name)
		else:
		    os.unlink(name)
		    with open(name, "w") as f:
		        f.write("again")
		if os.waitid(os.P_PID, writer, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
		    print("(the copy was faster than the %s)" % what)
		_, status = os.waitpid(writer, 0)
		assert status == 0, status
		os.fsync(fd)
		assert os.pread(fd, 6, 0) == b"stored"
		assert os.pread(fd, 6, 4096 * 100) == b"behind"
		assert held[4096 * 100:4096 * 100 + 6] == b"behind"
		with open("lower/" + sys.argv[1], "rb") as f:
		    f.seek(8192)
		    assert os.pread(fd, 5000, 8192) == f.read(5000)
		expected = {"unlink": None, "replace": "new\n", "again": "again"}[what]

		def shown(path):
		    try:
		        with open(path) as f:
		            return f.read(100)
		    except FileNotFoundError:
		        return None

		assert shown(name) == expected, shown(name)
		assert (sys.argv[1] in os.listdir("m")) == (expected is not None)
		if sys.argv[1] == "big2":
		    assert os.fstat(fd).st_nlink == 1, os.fstat(fd)
		    with open("m/other", "rb") as f:
		        assert f.read(6) == b"stored"
		held.close()
		os.close(fd)
	END
	umount m
	mount_cairnfs -o "lowerdir=lower,upperdir=upper,workdir=work,$1" m
	case $3 in
	unlink) [ ! -e "m/$2" ] || fail "$1: the removed file is back after a remount" ;;
	replace) [ "$(head -c 100 "m/$2")" = new ] || fail "$1: what replaced it is gone after a remount" ;;
	again) [ "$(head -c 100 "m/$2")" = again ] || fail "$1: what was made again is gone after a remount" ;;
	esac
	umount m
}

for options in whiteout=auto whiteout=file; do
	for name in big big2; do
		for what in unlink replace again; do
			race "$options" "$name" "$what"
		done
	done
done
