#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# An image of 450 layers in a store with a long path: more than one argument of a program can hold. Each layer is where it belongs.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need python3 tar

mkdir "$TMP/image" "$TMP/m"
python3 - "$TMP/image" "$(go_arch)" <<'END_PYTHON'
import hashlib, io, json, os, sys, tarfile
os.chdir(sys.argv[1])
ids = []
for i in range(450):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("f%d" % i, "last", "every%d" % (i // 150)):
            info = tarfile.TarInfo(name)
            info.size = len(str(i))
            tar.addfile(info, io.BytesIO(str(i).encode()))
    with open("%d.tar" % i, "wb") as file:
        file.write(out.getvalue())
    ids.append("sha256:" + hashlib.sha256(out.getvalue()).hexdigest())
with open("c.json", "w") as file:
    json.dump({"architecture": sys.argv[2], "os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}}, file)
with open("manifest.json", "w") as file:
    json.dump([{"Config": "c.json", "RepoTags": ["many:1"], "Layers": ["%d.tar" % i for i in range(450)]}], file)
END_PYTHON
tar -C "$TMP/image" -cf "$TMP/many.tar" .
part=$(printf 'p%.0s' $(seq 200))
store=$TMP/$part/$part/$part/$part
mkdir -p "$store"
cairn import "$TMP/many.tar" >"$TMP/out"
cairn mount many:1 "$TMP/m"
[ "$(cat "$TMP/m/last" "$TMP/m/every0" "$TMP/m/every1" "$TMP/m/every2" | tr '\n' ' ')" = 449149299449 ] ||
	fail "the layers are in another order: $(cat "$TMP/m/last" "$TMP/m/every0")"
[ "$(find "$TMP/m" -name 'f*' | wc -l)" = 450 ] || fail "not all layers are there"
for i in 0 1 225 449; do
	[ "$(cat "$TMP/m/f$i")" = "$i" ] || fail "file of layer $i"
done
echo written >"$TMP/m/f0"
cairn upgrade "$TMP/m" >"$TMP/out" # the program is called with all of them once more
[ "$(cat "$TMP/m/f0" "$TMP/m/f1")" = "written
1" ] || fail "after an upgrade"
cairn umount "$TMP/m"
nothing_left
