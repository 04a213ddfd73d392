#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Hard links of a layer to files of layers below, in a large directory that several layers have: none of them makes the importer list
# the directory, so what a link costs does not grow with it.
. "$(dirname "$0")/../tools/lib.sh"
need strace python3

cd "$TMP"
cat >layers.py <<'END'
import io, sys, tarfile

def layer(name, add):
    with tarfile.open(name, "w", format=tarfile.PAX_FORMAT) as tar:
        directory = tarfile.TarInfo("d")
        directory.type = tarfile.DIRTYPE
        directory.mode = 0o755
        tar.addfile(directory)
        add(tar)

def files(tar):
    for i in range(2000):
        tar.addfile(tarfile.TarInfo(f"d/f{i}"), io.BytesIO(b""))

def links(n):
    def add(tar):
        for i in range(n):
            link = tarfile.TarInfo(f"d/l{i}")
            link.type = tarfile.LNKTYPE
            link.linkname = f"d/f{i}"
            tar.addfile(link)
    return add

layer("files.tar", files)
for i in range(3):
    layer(f"more{i}.tar", lambda tar: tar.addfile(tarfile.TarInfo(f"d/m{i}"), io.BytesIO(b"")))
for n in 50, 200:
    layer(f"links{n}.tar", links(n))
END
python3 layers.py

# lists N: how often directories are read to import an image with N links.
lists() {
	oci_layout "image$1" "links$1:1" cat files.tar more0.tar more1.tar more2.tar "links$1.tar"
	rm -rf "$store"
	# The sanitizer looks for leaks by ptrace(2) itself.
	ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" \
		strace -f -q -c -U calls,name -e trace=getdents64 -o count "$CAIRN" --root "$store" import "image$1" >out 2>err ||
		fail "import: $(cat err)"
	awk '$NF == "getdents64" { print $1 }' count
}
few=$(lists 50)
many=$(lists 200)
[ -e "$(branch links200:1 4)/d/l199" ] || fail "a link is missing"
[ "$few" -gt 0 ] || fail "nothing was counted"
[ "$many" -lt $((few + 50)) ] || fail "directories are read $few times for 50 links, $many times for 200"
