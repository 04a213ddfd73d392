#!/bin/sh
# Holes in a lower file are holes in its copy, and a big sparse file costs no time and no space.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

cd "$TMP"
mkdir l u w m
truncate -s 20G l/huge
printf begin | dd of=l/huge conv=notrunc status=none
printf middle | dd of=l/huge bs=1M seek=10000 conv=notrunc status=none
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
[ "$(stat -c %s m/huge)" = $((20 << 30)) ] || fail "size"
[ "$(stat -c %b m/huge)" = "$(stat -c %b l/huge)" ] || fail "blocks: $(stat -c %b m/huge l/huge)"
timeout 60 sh -c 'printf x | dd of=m/huge bs=1 seek=20 conv=notrunc status=none' || fail "copying up takes too long"
[ "$(stat -c %s m/huge)" = $((20 << 30)) ] || fail "size after copy-up"
[ "$(stat -c %b u/huge)" -lt 1000 ] || fail "blocks after copy-up: $(stat -c %b u/huge)"
[ "$(head -c 5 m/huge)" = begin ] || fail "begin"
[ "$(dd if=m/huge bs=1M skip=10000 count=1 status=none | head -c 6)" = middle ] || fail "middle"
# Programs that look for holes find them: cp does not fill them.
timeout 60 cp --sparse=auto m/huge copied 2>"$TMP/err" || fail "cp: $(cat "$TMP/err")"
[ "$(stat -c %b copied)" -lt 1000 ] || fail "blocks of a copy: $(stat -c %b copied)"
# Punching and preallocating.
printf '%1000000s' x >m/full
sync m/full
fallocate -p -o 0 -l 900000 m/full
[ "$(stat -c %s m/full)" = 1000000 ] || fail "size after punching"
[ "$(head -c 3 m/full | od -An -tx1)" = " 00 00 00" ] || fail "punched"
[ "$(stat -c %b u/full)" -lt 300 ] || fail "blocks after punching: $(stat -c %b u/full)"
fallocate -l 2000000 m/pre
[ "$(stat -c %s m/pre)" = 2000000 ] || fail "preallocated"
truncate -s 3000000 m/pre
[ "$(tail -c 2 m/pre | od -An -tx1)" = " 00 00" ] || fail "extended"
# Data that a mapping has put into a hole, and that nobody has written back yet, is no hole.
if command -v python3 >"$TMP/have"; then
	timeout 20 python3 - m/mapped m/huge <<-'EOF' || fail "mapped data taken for a hole"
		import mmap, os, sys
		for path, at in ((sys.argv[1], 500000), (sys.argv[2], 9 << 30)):
		    fd = os.open(path, os.O_RDWR | os.O_CREAT)
		    if os.fstat(fd).st_size == 0:
		        os.ftruncate(fd, 1 << 20)
		    page = at // 4096 * 4096
		    map = mmap.mmap(fd, 4096, offset=page)
		    map[at - page] = 1
		    found = os.lseek(fd, page - 40960, os.SEEK_DATA)
		    assert found == page, (path, found)
		    assert os.lseek(fd, page - 40960, os.SEEK_HOLE) == page - 40960
		    assert os.lseek(fd, page, os.SEEK_HOLE) > page
		    map.close()
	EOF
fi
umount m
