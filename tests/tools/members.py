#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""members.py DIR: archives whose members are of the less usual forms, and what importing each must give.

For each case NAME, in DIR:
  NAME.1, NAME.2     its layers, the lowest first
  NAME.oci           an OCI layout with the image "1" of them
  NAME.tree          the listing of the last layer (treelist --no-times; "opaque PATH" for each directory so marked), or
  NAME.refused       a regular expression for the one line of refusal
  NAME.peers         the programs that are expected to make the same of it; one a line

Everything is written by hand, as the forms are those that libraries do not write.
"""
import bz2
import gzip
import hashlib
import json
import lzma
import os
import struct
import sys

BLOCK = 512
PODMAN, UMOCI, TAR, BSDTAR = "podman", "umoci", "tar", "bsdtar"
ENGINES = (PODMAN, UMOCI)
EXTRACTORS = (TAR, BSDTAR)

# ---- archives ----


def padded(data):
    return data + bytes(-len(data) % BLOCK)


def number(value, width):
    """Octal, or base 256 where that has no room or no sign."""
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    first = b"\xff" if value < 0 else b"\x80"
    return first + value.to_bytes(width - 1, "big", signed=value < 0)


def header(kind, name, size, link=b"", mode=0o644, uid=0, gid=0):
    head = name.ljust(100, b"\0") + number(mode, 8) + number(uid, 8) + number(gid, 8) + number(size, 12)
    head += number(1000000000, 12) + b" " * 8 + kind + link.ljust(100, b"\0") + b"ustar\00000"
    head = head.ljust(329, b"\0") + number(0, 8) + number(0, 8)
    head = head.ljust(BLOCK, b"\0")
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def record(key, value):
    body = b" " + key + b"=" + value + b"\n"
    size = len(body)
    while len(b"%d" % size) + len(body) != size:
        size = len(b"%d" % size) + len(body)
    return b"%d" % size + body


def member(kind, name, content=b"", link="", pax=(), **fields):
    """`pax` is a list of records, in which a key may be there twice."""
    data = b"".join(record(key.encode(), value if isinstance(value, bytes) else value.encode()) for key, value in pax)
    extended = header(b"x", b"pax", len(data)) + padded(data) if data else b""
    return extended + header(kind, name.encode(), len(content), link.encode(), **fields) + padded(content)


def directory(name, **fields):
    return member(b"5", name, mode=fields.pop("mode", 0o755), **fields)


def file(name, content="", **fields):
    return member(b"0", name, content.encode(), **fields)


def symlink(name, to):
    return member(b"2", name, link=to, mode=0o777)


def hard(name, to, **fields):
    return member(b"1", name, link=to, **fields)


def tar(*members):
    return b"".join(members) + bytes(2 * BLOCK)


# ---- compressed ----


def zstd_frame(content, window_log):
    """A frame of uncompressed blocks that asks for a window of that size."""
    frame = struct.pack("<IBB", 0xFD2FB528, 0, (window_log - 10) << 3)
    pieces = [content[i : i + 65536] for i in range(0, len(content), 65536)]
    for i, piece in enumerate(pieces):
        frame += struct.pack("<I", len(piece) << 3 | (i == len(pieces) - 1))[:3] + piece
    return frame


def skippable(content):
    return struct.pack("<II", 0x184D2A57, len(content)) + content


# ---- what is expected ----

ROOT = ("", "d", 0o755, {})


def listing(*objects):
    """Each is (path, kind, mode, {and what differs from the usual}), sorted here."""
    lines = []
    for path, kind, mode, more in sorted((ROOT,) + objects if objects[:1] != (None,) else objects[1:]):
        content = more.get("content", "")
        size = {"f": len(content), "l": len(content), "c": "0:0"}.get(kind, "-")
        last = {"f": hashlib.sha256(content.encode()).hexdigest(), "l": content}.get(kind, "-")
        xattrs = ",".join("%s=%s" % (name, value.hex()) for name, value in sorted(more.get("xattrs", {}).items())) or "-"
        lines.append(
            "/%s\t%s%04o\t%s\t%s\t-\t%s\t%s\t%s\n"
            % (path, kind, mode, more.get("owner", "0:0"), size, more.get("first", "-"), xattrs, last)
        )
    lines += ["opaque /%s\n" % path for path, kind, _, more in sorted(objects) if more.get("opaque")]
    return "".join(lines)


def d(path, mode=0o755, **more):
    return (path, "d", mode, more)


def f(path, content="", mode=0o644, **more):
    return (path, "f", mode, dict(more, content=content))


def l(path, content):
    return (path, "l", 0o777, {"content": content})


def hidden(path):
    return (path, "c", 0, {})


USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, perm, number if number is not None else 0xFFFFFFFF) for tag, perm, number in entries
    )


MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}


class Packed(bytes):
    """A compressed layer, and what is in it."""

    def __new__(cls, data, plain, form):
        self = super().__new__(cls, data)
        self.plain, self.form = plain, form
        return self


class Cases:
    def __init__(self, where):
        self.where = where

    def write(self, name, data):
        with open(os.path.join(self.where, name), "wb") as out:
            out.write(data)

    def blob(self, name, data, kind):
        digest = hashlib.sha256(data).hexdigest()
        self.write("%s.oci/blobs/sha256/%s" % (name, digest), data)
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + digest, "size": len(data)}

    def document(self, name, value, kind):
        return self.blob(name, json.dumps(value).encode(), kind)

    def layout(self, name, layers):
        os.makedirs(os.path.join(self.where, name + ".oci/blobs/sha256"))
        machine = os.uname().machine
        ids = ["sha256:" + hashlib.sha256(getattr(layer, "plain", layer)).hexdigest() for layer in layers]
        config = {"architecture": MACHINES.get(machine, machine), "os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}}
        manifest = {
            "schemaVersion": 2,
            "config": self.document(name, config, "config.v1+json"),
            "layers": [self.blob(name, layer, "layer.v1.tar" + getattr(layer, "form", "")) for layer in layers],
        }
        entry = self.document(name, manifest, "manifest.v1+json")
        entry["annotations"] = {"org.opencontainers.image.ref.name": "1"}
        self.write(name + ".oci/index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
        self.write(name + ".oci/oci-layout", b'{"imageLayoutVersion":"1.0.0"}')

    def add(self, name, layers, peers):
        for i, layer in enumerate(layers):
            self.write("%s.%d" % (name, i + 1), layer)
        self.layout(name, layers)
        self.write(name + ".peers", "".join(peer + "\n" for peer in peers).encode())

    def gives(self, name, layers, objects, peers=()):
        self.add(name, layers, peers)
        self.write(name + ".tree", listing(*objects).encode())

    def refused(self, name, layers, regex, peers=()):
        self.add(name, layers, peers)
        self.write(name + ".refused", regex.encode())


def links(cases):
    """Symbolic links as parents: inside the root, where there is one."""
    usr = directory("usr") + directory("usr/bin")
    cases.gives(
        "link-relative",
        [tar(usr, symlink("bin", "usr/bin"), file("bin/tool", "tool"), directory("bin/sub", mode=0o700))],
        [d("usr"), d("usr/bin"), d("usr/bin/sub", 0o700), f("usr/bin/tool", "tool"), l("bin", "usr/bin")],
        ENGINES + (TAR,),
    )
    cases.gives(
        "link-absolute",
        [tar(usr, symlink("bin", "/usr/bin"), file("bin/tool", "tool"))],
        [d("usr"), d("usr/bin"), f("usr/bin/tool", "tool"), l("bin", "/usr/bin")],
        ENGINES,
    )
    cases.gives(
        "link-before-its-target",
        [tar(symlink("bin", "usr/bin"), file("bin/tool", "tool"))],
        [d("usr"), d("usr/bin"), f("usr/bin/tool", "tool"), l("bin", "usr/bin")],
        (UMOCI,),
    )
    cases.gives(
        "link-above-the-root",
        [tar(directory("a"), directory("b"), symlink("a/l", "../../../../b"), file("a/l/x", "x"), symlink("up", ".."), file("up/y", "y"))],
        [d("a"), d("b"), f("b/x", "x"), l("a/l", "../../../../b"), l("up", ".."), f("y", "y")],
        ENGINES,
    )
    cases.gives(
        "link-to-the-root",
        [tar(symlink("r", "/"), file("r/x", "x"), directory("r/d"), file("r/r/d/y", "y"))],
        [l("r", "/"), f("x", "x"), d("d"), f("d/y", "y")],
        ENGINES,
    )
    cases.gives(
        "link-chain",
        [tar(directory("d"), symlink("l3", "./d/"), symlink("l2", "/l3"), symlink("l1", "l2"), file("l1/x", "x"), file("l1/x", "later"))],
        [d("d"), f("d/x", "later"), l("l1", "l2"), l("l2", "/l3"), l("l3", "./d/")], (UMOCI,),
    )
    cases.gives(
        "link-replaced",
        [tar(directory("a"), directory("b"), symlink("l", "a"), file("l/x", "1"), symlink("l", "b"), file("l/x", "2"), file("l/y", "3"))],
        [d("a"), d("b"), f("a/x", "1"), f("b/x", "2"), f("b/y", "3"), l("l", "b")], (UMOCI, TAR),
    )
    cases.gives(
        "link-replaced-by-directory",
        [tar(directory("a"), symlink("l", "a"), file("l/x", "1"), directory("l"), file("l/x", "2"))],
        [d("a"), f("a/x", "1"), d("l"), f("l/x", "2")], (UMOCI, TAR),
    )
    cases.gives(
        "link-to-what-goes",
        [tar(directory("a"), symlink("l", "a"), file("l/x", "1"), file("a", "now a file"), directory("a"), file("l/y", "2"))],
        [d("a"), f("a/y", "2"), l("l", "a")], (UMOCI,),
    )
    cases.gives(
        "link-and-its-way-back",
        [tar(directory("d"), symlink("d/up", ".."), file("d/up/x", "1"), file("d/up/d", "a file"), file("y", "2"))],
        [f("d", "a file"), f("x", "1"), f("y", "2")], (UMOCI,),
    )
    cases.gives(
        "hard-link-through-link",
        [tar(usr, symlink("bin", "usr/bin"), file("bin/tool", "tool"), hard("bin/b", "usr/bin/tool"), hard("c", "bin/tool"))],
        [d("usr"), d("usr/bin"), l("bin", "usr/bin"), f("c", "tool", first="c"), f("usr/bin/b", "tool", first="c"), f("usr/bin/tool", "tool", first="c")],
        ENGINES + (TAR,),
    )
    cases.gives(
        "hard-link-to-link",
        [tar(directory("d"), symlink("d/s", "../x"), symlink("l", "/d"), hard("h", "l/s"))],
        [d("d"), ("d/s", "l", 0o777, {"content": "../x", "first": "d/s"}), ("h", "l", 0o777, {"content": "../x", "first": "d/s"}), l("l", "/d")],
        ENGINES,
    )
    below = tar(directory("d"), file("d/x", "x"), file("d/y", "y"), directory("o"), file("o/z", "z"), directory("n"), file("n/w", "w"))
    cases.gives(
        "whiteout-through-link",
        [below, tar(directory("d"), symlink("l", "d"), file("l/.wh.x"), directory("o"), symlink("m", "/o"), file("m/.wh..wh..opq"))],
        [d("d"), hidden("d/x"), l("l", "d"), l("m", "/o"), d("o", opaque=True)],
        (PODMAN,),
    )
    cases.gives(
        "whiteout-through-link-to-below",
        [below, tar(symlink("l", "n"), file("l/.wh.w"), hard("h", "l/../d/y"))],
        [d("n"), hidden("n/w"), l("l", "n"), d("d"), f("d/y", "y", first="d/y"), f("h", "y", first="d/y")],
    )
    cases.gives(
        "link-of-the-layer-below",
        [tar(directory("usr"), symlink("bin", "usr")), tar(file("bin/tool", "tool"))],
        [d("bin"), f("bin/tool", "tool")],
        (PODMAN,),
    )
    cases.refused("link-loop", [tar(symlink("a", "b"), symlink("b", "a"), file("a/x", "x"))], "'a/x': .*Too many levels of symbolic links", ENGINES + EXTRACTORS)
    cases.refused("link-to-file", [tar(file("f", "f"), symlink("l", "f"), file("l/x", "x"))], "'l/x': refused: its parent f is no directory", ENGINES + EXTRACTORS)
    cases.refused("link-to-mark", [tar(symlink("l", ".wh.d"), file("l/x", "x"))], "'l/x': refused: its parent is a whiteout", (PODMAN,) + EXTRACTORS)
    cases.refused("hard-link-to-mark", [tar(file(".wh.x"), hard("h", ".wh.x"))], "'h': refused: a hard link to '.wh.x'", ENGINES)
    cases.refused("hard-link-to-directory", [tar(directory("d"), directory("d/e"), symlink("l", "d"), hard("h", "l/e"))], "'h': refused: a hard link to 'l/e'", ENGINES + EXTRACTORS)


def names(cases):
    cases.gives(
        "dots-inside",
        [tar(file("a/../b", "b"), file("c/d/../../e", "e"), hard("f", "x/../b"), directory("g/.."))],
        [f("b", "b", first="b"), f("e", "e"), f("f", "b", first="b")],
        ENGINES,
    )
    cases.refused("dots-outside", [tar(file("a/../../b", "b"))], "'a/../../b': refused", EXTRACTORS)
    cases.refused("hard-link-outside", [tar(file("b", "b"), hard("a", "x/../../b"))], "'a': refused: a hard link to 'x/../../b'", (BSDTAR,))
    cases.gives(
        "owner-minus-two",
        [tar(file("a", "a", uid=-2, gid=-2), file("b", "b", uid=4294967294, gid=65534), file("c", "c", pax=[("uid", "-2")]))],
        [f("a", "a", owner="4294967294:4294967294"), f("b", "b", owner="4294967294:65534"), f("c", "c", owner="4294967294:0")],
        ENGINES + (BSDTAR,),
    )
    cases.refused("owner-minus-one", [tar(file("a", "a", uid=-1))], "'a': no system can hold its owner -1:0", (TAR,))
    cases.refused("owner-below-32-bits", [tar(file("a", "a", uid=-(2**31) - 1))], "'a': no system can hold its owner", (TAR,))
    cases.gives(
        "aufs",
        [
            tar(
                directory(".wh..wh.plnk"),
                directory(".wh..wh.orph"),
                file(".wh..wh.aufs", "x"),
                file(".wh..wh.plnk/12.34", "linked", mode=0o640),
                file(".wh..wh.plnk/99.1", "unused"),
                directory("d"),
                hard("d/a", ".wh..wh.plnk/12.34", mode=0o640),
                hard("b", "./.wh..wh.plnk/12.34", mode=0o640),
                file("d/.wh..wh.orph/x", "x"),
            )
        ],
        [f("b", "linked", 0o640, first="b"), d("d"), f("d/a", "linked", 0o640, first="b")],
    )
    cases.refused("aufs-not-there", [tar(hard("a", ".wh..wh.plnk/1.2"))], "'a': refused: a hard link to '.wh..wh.plnk/1.2'", ENGINES)
    cases.refused("aufs-outside", [tar(symlink("s", "/.wh..wh.plnk"), file("s/x", "x"))], "'s/x': refused: its parent is a whiteout", (PODMAN,) + EXTRACTORS)


def attributes(cases):
    xattr = "SCHILY.xattr."
    cases.gives(
        "xattr-foreign",
        [tar(file("a", "a", pax=[(xattr + name, "v") for name in ("com.apple.provenance", "system.nfs4_acl", "nospace", "user.kept")]), directory("d", pax=[(xattr + "btrfs.compression", "zstd"), ("LIBARCHIVE.xattr.com.apple.x", "dg")]))],
        [f("a", "a", xattrs={"user.kept": b"v"}), d("d")],
        ENGINES + (TAR,),
    )
    cases.gives(
        "xattr-twice",
        [tar(file("a", "a", pax=[(xattr + "user.k", "first"), (xattr + "user.other", "o"), (xattr + "user.k", "second")]))],
        [f("a", "a", xattrs={"user.k": b"second", "user.other": b"o"})],
        ENGINES + EXTRACTORS,
    )
    passwd = "root:x:0:0::/:/bin/sh\nanna:x:1001:1001::/:/bin/sh\nbert:x:1002:100::/:/bin/sh\nanna:x:7:7::/:/bin/sh\nbroken\nalso:x::\nlarge:x:4294967295:0::/:\n"
    group = "root:x:0:\nstaff:x:50:anna\n"
    mask = "user::rw-,user:1001:rwx,group::r--,mask::rw-,other::---"
    masked = acl((USER_OBJ, 6, None), (USER, 7, 1001), (GROUP_OBJ, 4, None), (MASK, 6, None), (OTHER, 0, None))
    cases.gives(
        "acl-mask",
        [tar(file("a", "a", mode=0o660, pax=[("SCHILY.acl.access", mask)]))],
        [f("a", "a", 0o660, xattrs={"system.posix_acl_access": masked})],
        EXTRACTORS,
    )
    cases.gives(
        "acl-name-and-number",
        [tar(file("a", "a", mode=0o640, pax=[("SCHILY.acl.access", mask.replace(":1001:rwx", ":zoe:rwx:1001"))]))],
        [f("a", "a", 0o660, xattrs={"system.posix_acl_access": masked})],
        (BSDTAR,),
    )
    named = "user::rw-,user:bert:rwx,user:anna:r--,user:nobody-here:rwx,user:large:rwx,user:also:rwx,group::r--,group:staff:rw-,mask::rwx,other::---"
    resolved = acl((USER_OBJ, 6, None), (USER, 4, 1001), (USER, 7, 1002), (GROUP_OBJ, 4, None), (GROUP, 6, 50), (MASK, 7, None), (OTHER, 0, None))
    default = acl((USER_OBJ, 7, None), (USER, 7, 1001), (GROUP_OBJ, 5, None), (MASK, 7, None), (OTHER, 0, None))
    objects = file("a", "a", mode=0o670, pax=[("SCHILY.acl.access", named)])
    objects += directory("d", pax=[("SCHILY.acl.default", "user::rwx,user:anna:rwx,group::r-x,mask::rwx,other::---")])
    objects += file("d/x", "x")
    made = [
        f("a", "a", 0o670, xattrs={"system.posix_acl_access": resolved}),
        d("d", xattrs={"system.posix_acl_default": default}),
        f("d/x", "x"),
    ]
    etc = directory("etc") + file("etc/passwd", passwd) + file("etc/group", group)
    cases.gives("acl-names", [tar(objects, etc)], [*made, d("etc"), f("etc/passwd", passwd), f("etc/group", group)])
    cases.gives("acl-names-below", [tar(etc), tar(objects)], made)
    cases.gives(
        "acl-names-by-link",
        [tar(directory("usr"), directory("usr/etc"), file("usr/etc/passwd", passwd), file("usr/g", group), symlink("usr/etc/group", "../../../usr/g"), symlink("etc", "/usr/etc")), tar(objects)],
        made,
    )
    overridden = acl((USER_OBJ, 6, None), (USER, 4, 5), (GROUP_OBJ, 4, None), (MASK, 7, None), (OTHER, 0, None))
    cases.gives(
        "acl-names-hidden",
        [tar(etc), tar(objects, directory("etc"), file("etc/passwd", "anna:x:5:5::/:/\n"), file("etc/.wh.group"))],
        [
            f("a", "a", 0o670, xattrs={"system.posix_acl_access": overridden}),
            d("d", xattrs={"system.posix_acl_default": default.replace(struct.pack("<I", 1001), struct.pack("<I", 5))}),
            f("d/x", "x"),
            d("etc"),
            hidden("etc/group"),
            f("etc/passwd", "anna:x:5:5::/:/\n"),
        ],
    )


def streams(cases):
    # Enough for several blocks of any decompressor, and no multiple of any.
    noise = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(22000)).hex()[:1400000]
    plain = tar(file("noise", noise))
    tree = [f("noise", noise)]
    small = tar(file("a", "a"))
    pack = {
        "gzip": lambda data: gzip.compress(data, 1, mtime=0),
        "bzip2": bz2.compress,
        "xz": lambda data: lzma.compress(data, preset=0),
        "zstd": lambda data: zstd_frame(data, 17),
    }
    packed = {form: pack[form](plain) for form in pack}
    for form, data in packed.items():
        for zeros in (1, 4, 511, 70000):
            peers = EXTRACTORS if form in ("gzip", "bzip2") or (form == "xz" and zeros % 4 == 0) else ()
            cases.gives("zeros-%d-behind-%s" % (zeros, form), [Packed(data + bytes(zeros), plain, "+" + form)], tree, peers)
        pieces = pack[form](plain[:700001]) + pack[form](plain[700001:])
        cases.gives("pieces-" + form, [Packed(pieces, plain, "+" + form)], tree, (PODMAN,) + EXTRACTORS)
    zstd = packed["zstd"]
    framed = skippable(b"before") + zstd + skippable(b"behind") + bytes(10)
    cases.gives("frames-to-be-skipped", [Packed(framed, plain, "+zstd")], tree)
    for log in (27, 28, 31):
        cases.gives("window-2-%d" % log, [Packed(zstd_frame(small, log), small, "+zstd")], [f("a", "a")], {27: (PODMAN,) + EXTRACTORS, 28: (PODMAN,)}.get(log, ()))
    cases.refused("window-2-38", [Packed(zstd_frame(small, 38), small, "+zstd")], "zstd: Frame requires too much memory", (PODMAN,) + EXTRACTORS)
    cases.refused("cut-zstd", [Packed(zstd[:-70000], plain, "+zstd")], "zstd: truncated input", (PODMAN,) + EXTRACTORS)
    cases.refused("cut-xz", [Packed(packed["xz"][:-70000], plain, "+xz")], "Lzma library error", (PODMAN,) + EXTRACTORS)
    cases.refused("damaged-zstd", [Packed(zstd[:5000] + b"\xff" * 200000, plain, "+zstd")], "zstd", (PODMAN,) + EXTRACTORS)
    cases.refused("words-behind-zstd", [Packed(zstd + b"words", plain, "+zstd")], "zstd", (PODMAN,) + EXTRACTORS)


def main():
    cases = Cases(sys.argv[1])
    for write in (links, names, attributes, streams):
        write(cases)


main()
