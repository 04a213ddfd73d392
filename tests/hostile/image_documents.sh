#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The JSON documents of an archive: many, large, deep, of many values, the same one again and again, with numbers, keys and bytes
# that readers differ about. Each archive is imported, or refused in one line with nothing left, and takes bounded memory.
. "$(dirname "$0")/../tools/lib.sh"
need_root
need python3 tar

# The tool, with its memory measured; a sanitizer's own does not count. What has no bounds ends at 2 GB.
cat >"$TMP/measured" <<'END_PYTHON'
#!/usr/bin/env python3
import os, resource, subprocess, sys
def limit():
    if not os.environ["SANITIZED"]:
        resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30))
status = subprocess.run([os.environ["REAL_CAIRN"]] + sys.argv[1:], preexec_fn=limit).returncode
size = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
if size > 200000 and not os.environ["SANITIZED"]:
    sys.exit("%d kB of memory: %s" % (size, sys.argv[1:]))
sys.exit(status if status >= 0 else 128 - status)
END_PYTHON
chmod 755 "$TMP/measured"
SANITIZED=
! ldd "$CAIRN" | grep -q libasan || SANITIZED=yes
REAL_CAIRN=$CAIRN CAIRN=$TMP/measured
export SANITIZED REAL_CAIRN

cat >"$TMP/archives.py" <<'END_PYTHON'
import hashlib, io, json, os, sys, tarfile
MB = 1 << 20

def sha(data):
    return hashlib.sha256(data).hexdigest()

def make_tar(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()

LAYER = make_tar([("f", b"x")])

def pad(data, size=4 * MB):
    return data + b" " * (size - len(data))

def config(more="", ids=None):
    ids = ids or [LAYER]
    ids = ",".join('"sha256:%s"' % sha(layer) for layer in ids)
    return ('{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[%s]}%s}' % (ids, more)).encode()

class Oci:
    def __init__(self, name):
        self.name = name
        os.makedirs(name + "/blobs/sha256")
        self.write("oci-layout", b"{}")
        self.layer = self.blob(LAYER)

    def write(self, name, data):
        with open(self.name + "/" + name, "wb") as out:
            out.write(data)

    def blob(self, data):
        self.write("blobs/sha256/" + sha(data), data)
        return '{"digest":"sha256:%s","size":%d}' % (sha(data), len(data))

    def manifest(self, conf, layers=None, more=""):
        return ('{"config":%s,"layers":[%s]%s}' % (self.blob(conf), layers or self.layer, more)).encode()

    def index(self, descriptors, more=""):
        self.write("index.json", ('{"manifests":[%s]%s}' % (",".join(descriptors), more)).encode())

def tagged(descriptor, tag):
    return descriptor[:-1] + ',"annotations":{"org.opencontainers.image.ref.name":"%s"}}' % tag

def oci(name, conf, layers=None, more="", index_more=""):
    layout = Oci(name)
    layout.index([tagged(layout.blob(layout.manifest(conf, layers, more)), "1")], index_more)

def docker(name, items, members, size=0):
    members = [("manifest.json", pad(json.dumps(items).encode(), size)), ("l.tar", LAYER)] + members
    with open(name, "wb") as out:
        out.write(make_tar(members))

def refused(name, regex):
    with open("wrong", "a") as out:
        out.write("%s %s\n" % (name, regex))

def item(conf, tag, layers=None):
    return {"Config": conf, "RepoTags": [tag], "Layers": layers or ["l.tar"]}

# ---- large, and the same again and again ----
docker("same.tar", [item("c.json", "same:%d" % i) for i in range(400)], [("c.json", pad(config()))], 4 * MB)
docker("many.tar", [item("%d.json" % i, "many:%d" % i) for i in range(400)],
       [("%d.json" % i, pad(config(',"n":%d' % i), 20000)) for i in range(400)], 4 * MB)
docker("sum.tar", [item("%d.json" % i, "sum:%d" % i) for i in range(8)],
       [("%d.json" % i, pad(config(',"n":%d' % i))) for i in range(8)])
refused("sum.tar", "'7.json' in the archive: all documents together are larger than 33554432 bytes")
docker("images.tar", [item("%d.json" % i, "images:%d" % i) for i in range(1025)],
       [("%d.json" % i, config(',"n":%d' % i)) for i in range(1025)])
refused("images.tar", "more than 1024 images in the archive")

same = Oci("same")
descriptor = same.blob(pad(same.manifest(pad(config()))))
same.index([tagged(descriptor, "t%d" % i) for i in range(1024)])
twins = Oci("twins") # manifests that differ, of one image
conf = pad(config(',"twins":1'))
twins.index([tagged(twins.blob(twins.manifest(conf, None, ',"n":%d' % i)), "t%d" % i) for i in range(1024)])
large = Oci("sum")
large.index([tagged(large.blob(pad(large.manifest(pad(config(',"n":%d' % i))))), "t%d" % i) for i in range(5)])
refused("sum", "all documents together are larger than 33554432 bytes")
nested = Oci("nested") # one index in all items of another
inner = nested.blob(pad(('{"manifests":[%s]}' % nested.blob(nested.manifest(config(',"nested":1')))).encode()))
nested.index([inner] * 1000)
refused("nested", "all documents together are larger than 33554432 bytes")

# As much as the limits allow: many layers in many manifests, then a config of many values that is refused for its last.
most = Oci("most")
layers = ",".join([most.layer] * 29000)
last = most.blob(most.manifest(config("," + ",".join('"%d":{}' % i for i in range(120000)) + ',"rootfs":0')))
most.index([most.blob(most.manifest(config(',"n":%d' % i, [LAYER] * 29000), layers)) for i in range(4)] + [last])
refused("most", "no container image: it has no rootfs.diff_ids")

# ---- many values, and deep ones ----
for name, value in (("arrays", "[]"), ("objects", "{}"), ("numbers", "0"), ("strings", '""')):
    oci(name, config(',"x":[%s]' % ",".join([value] * 600000)))
    refused(name, "more than 262144 values")
    docker(name + ".tar", [item("c.json", "x:1")], [("c.json", config(',"x":[%s]' % ",".join([value] * 600000)))])
    refused(name + ".tar", "'c.json' in the archive: more than 262144 values")
    with open(name + "/index.json", "w") as out:
        out.write('{"manifests":[%s]}' % ",".join([value] * 600000))
oci("commas", config(',"x":"%s\\\\\\"%s"' % ("," * 500000, "[{" * 500000))) # in a string they are none
for name, left, right in (("deep-arrays", "[", "]"), ("deep-objects", '{"a":', "}")):
    deep = left * 100000 + "0" + right * 100000
    oci(name, config(',"x":' + deep))
    refused(name, "line 1: maximum parsing depth reached")
    layout = Oci(name + "-index")
    layout.write("index.json", deep.encode())
    refused(name + "-index", "'index.json' in the archive: line 1: maximum parsing depth reached")
docker("deep.tar", [], [("manifest.json", b"[" * 100000)])
refused("deep.tar", "'manifest.json' in the archive: line 1: maximum parsing depth reached")

# ---- numbers ----
for name, number in (("2-63", "9223372036854775808"), ("negative", "-9223372036854775809"), ("long", "1" * 1000000)):
    oci("number-" + name, config(',"x":' + number))
    refused("number-" + name, "line 1: too big (negative )?integer")
oci("number-real", config(',"x":1e400'))
refused("number-real", "line 1: real number overflow")
oci("number-most", config(',"x":[9223372036854775807,-9223372036854775808,1e308]'))
for name, size in (("negative", "-1"), ("real", "1024.5"), ("string", '"10240"'), ("null", "null")):
    oci("size-" + name, config(), '{"digest":"sha256:%s","size":%s}' % (sha(LAYER), size))
    refused("size-" + name, "the size of blobs/sha256/[0-9a-f]{64} is no number of bytes")

# ---- keys twice: the last one counts ----
oci("keys", config(',"rootfs":{"diff_ids":[],"diff_ids":["sha256:%s"]},"architecture":"last"' % sha(LAYER)),
    '{"digest":"sha256:%s","digest":"sha256:%s"}' % ("0" * 64, sha(LAYER)))
oci("keys-wrong", config(',"rootfs":{"diff_ids":[]}'))
refused("keys-wrong", "0 diff IDs for 1 layers")
oci("keys-both", config(), None, ',"manifests":[]')
refused("keys-both", "both a manifest and an index")
oci("keys-index", config(), None, "", ',"layers":[]')
refused("keys-index", "'index.json' in the archive: both a manifest and an index")

# ---- bytes that are no text ----
for name, text in (("byte", b"\xff"), ("overlong", b"\xc0\xaf"), ("surrogate", b"\xed\xa0\x80"), ("short", b"\xe2\x82"),
                   ("high", b"\xf4\x90\x80\x80"), ("escape", b"\\ud800"), ("nul", b"\\u0000"), ("control", b"\x1b[31m")):
    oci("text-" + name, config(',"x":"@"').replace(b"@", text))
    refused("text-" + name, "line 1: (unable to decode byte|invalid Unicode|.u0000 is not allowed|control character)")
oci("words", config(',"architecture":"%s"' % ("a" * 256)))
refused("words", "its architecture, os or created: File name too long")
oci("dates", config(',"created":"2020-01-01T00:00:00.%sZ"' % ("0" * 1000000)))
refused("dates", "its architecture, os or created: File name too long")
END_PYTHON
mkdir "$TMP/archives"
cd "$TMP/archives"
python3 "$TMP/archives.py"

# ---- imported: one image, however often it is listed ----
imported() {
	cairn import "$1" >"$TMP/out" || fail "not imported: $1"
	[ "$(cut -d ' ' -f 2 "$TMP/out" | sort -u | wc -l)" = "$2" ] || fail "not $2 images: $1"
	[ "$(wc -l <"$TMP/out")" = "$3" ] || fail "not $3 names: $1"
	nothing_left
}
imported same.tar 1 400
imported many.tar 400 400
imported same 1 1024 # the image of same.tar
imported twins 1 1024
imported commas 1 1
imported number-most 1 1
imported keys 1 1
cairn images --json >"$TMP/json"
python3 - "$TMP/json" <<'END_PYTHON'
import json, sys
images = json.load(open(sys.argv[1]))
counts = sorted(len(image["tags"]) for image in images)
assert len(images) == 405 and counts[-2:] == [1024, 1424], counts[-3:]
[keys] = [image for image in images if image["tags"] == ["keys:1"]]
assert keys["architecture"] == "last", keys
END_PYTHON
# A name for the one image that there is.
cairn import --tag one:1 same >"$TMP/out"
grep -q '^one:1 ' "$TMP/out" || fail "not named"
[ "$(find "$store/blobs" -type f | wc -l)" -gt 400 ] || fail "no configs in the store"

# ---- refused ----
while read -r name regex; do
	refused "$regex" "$name"
	case $name in
	*.tar) ;;
	*)
		tar -cf "$TMP/layout.tar" -C "$name" .
		refused "$regex" "$TMP/layout.tar"
		;;
	esac
done <wrong

# ---- members with endless names: as a root filesystem, whose names are not kept in memory ----
python3 - <<'END_PYTHON'
import io, tarfile
with tarfile.open("names.tar", "w", format=tarfile.PAX_FORMAT) as tar:
    for i in range(400):
        tar.addfile(tarfile.TarInfo("d/" * 30000 + "%05d" % i))
END_PYTHON
imported names.tar 1 1
