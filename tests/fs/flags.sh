#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Times of birth are shown, and the flags of chattr(1) too; they can be set, and those that say how a file is to be treated come up
# with it.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need chattr lsattr

cd "$TMP"
mkdir -p lower/dir upper work m
echo x >lower/file
chattr +d +A lower/file 2>err || skip "no such flags on this filesystem"
chattr +D lower/dir
mount_cairnfs -o lowerdir=lower,upperdir=upper,workdir=work m

[ "$(stat -c %W m/file)" = "$(stat -c %W lower/file)" ] || fail "time of birth: $(stat -c %W m/file)"
flags() {
	lsattr -d "$1" | cut -d ' ' -f 1
}
[ "$(flags m/file)" = "$(flags lower/file)" ] || fail "flags of a lower file: $(flags m/file)"
chmod 600 m/file
chmod 700 m/dir
[ "$(flags upper/file)" = "$(flags lower/file)" ] || fail "flags of its copy: $(flags upper/file)"
[ "$(flags upper/dir)" = "$(flags lower/dir)" ] || fail "flags of a directory's copy: $(flags upper/dir)"
chattr -d m/file
case $(flags m/file) in
*d*) fail "a flag cannot be taken away" ;;
esac
case $(flags lower/file) in
*d*) ;;
*) fail "the lower file was changed" ;;
esac

umount m

# A file that is made immutable when its name is gone already, goes when it is closed, as everywhere; and is in nobody's way.
if command -v python3 >"$TMP/have"; then
	mkdir l3 u3 w3
	mount_cairnfs -o lowerdir=l3,upperdir=u3,workdir=w3 m
	python3 - m <<-'EOF'
		import fcntl, os, struct, sys
		for name, flags in (("immutable", 0x10), ("append", 0x20)):
		    fd = os.open(sys.argv[1] + "/" + name, os.O_RDWR | os.O_CREAT)
		    os.unlink(sys.argv[1] + "/" + name)
		    fcntl.ioctl(fd, 0x40086602, struct.pack("l", flags))
		    os.close(fd)
	EOF
	none_left() {
		[ -z "$(ls w3/orphans)" ]
	}
	wait_for none_left
	umount m
	mount_cairnfs -o lowerdir=l3,upperdir=u3,workdir=w3 m
	umount m
fi
