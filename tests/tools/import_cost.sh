#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What one more small file costs an import, in system calls: to unpack it, and to put it into the index. Counted as the difference
# between two imports, so that what is done once does not count.
. "$(dirname "$0")/../lib.sh"
need strace tar

cd "$TMP"
# calls N: the calls of an import of N files, by name.
calls() {
	rm -rf files store
	mkdir files
	for i in $(seq "$1"); do
		echo "content of $i" >"files/f$i"
	done
	tar -cf image.tar -C files .
	ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -f -q -c -U calls,name -o count "$CAIRN" --root store import image.tar >out ||
		fail "import"
	awk '$2 == "total" { print $1 }' count
	awk '$2 == "ftruncate" || $2 == "pread64" || $2 == "fcntl" { print }' count >"count.$1"
}

few=$(calls 100)
many=$(calls 600)
each=$(((many - few) / 500))
echo "$few calls for 100 files, $many for 600: $each for each"
[ "$each" -ge 5 ] || fail "nothing was counted"
[ "$each" -le 13 ] || fail "$each system calls for each file"
[ "$(awk '$2 == "ftruncate" { print $1 }' count.600)" = "$(awk '$2 == "ftruncate" { print $1 }' count.100)" ] ||
	fail "files are given the length that they have: $(cat count.600)"
