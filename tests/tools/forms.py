#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""forms.py DIRECTORY ARCH: small archives of every form that doc/archives.md lists, as real tools write them.

Each is a file or a directory there. The file `cases` has a line for each, its fields separated by tabs:

    NAME    OPTIONS of cairn import, or -    PEER    tree    NAMES, or -    the words of a note, or -
    NAME    OPTIONS of cairn import, or -    PEER    refused REGEX

PEER says what `podman load` makes of it: `same` (that tree), `loads` (it has
no tree to show), `refuses`, `differs` (doc/archives.md says how), or `-`, where it is not
asked. The tree is in NAME.tree, a directory: what the image has, its layers merged.
"""
import hashlib, io, json, os, sys, tarfile

out, ARCH = sys.argv[1], sys.argv[2]
os.makedirs(out, exist_ok=True)
os.chdir(out)
cases = open("cases", "w")
TIME = 1000000000

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def dumps(value):
    return json.dumps(value, separators=(",", ":")).encode()


def make_tar(members):
    """members: (name, content); a name that ends with a slash is a directory, a content that is a tuple a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name.rstrip("/"))
            info.mtime, info.mode = TIME, 0o644
            if name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            elif isinstance(content, tuple):
                info.type, info.linkname = tarfile.SYMTYPE, content[0]
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


LOW = make_tar([("./", b""), ("etc/", b""), ("etc/a", b"one"), ("etc/b", b"two"), ("gone", b"gone")])
HIGH = make_tar([("etc/", b""), ("etc/b", b"three"), (".wh.gone", b"")])
TREE = {"etc": None, "etc/a": "one", "etc/b": "three"}


def level(text):
    """A layer, and the tree, that tell which of several images was taken."""
    return make_tar([("./", b""), ("level", text.encode())]), {"level": text}


def write_tree(name, tree):
    base = name + ".tree"
    os.mkdir(base, 0o755)
    for path in sorted(tree):
        at = os.path.join(base, path)
        if tree[path] is None:
            os.mkdir(at, 0o755)
        elif isinstance(tree[path], tuple):
            os.symlink(tree[path][0], at)
        else:
            with open(at, "w") as file:
                file.write(tree[path])
            os.chmod(at, 0o644)
    for path in sorted(tree, reverse=True):
        os.utime(os.path.join(base, path), (TIME, TIME), follow_symlinks=False)
    os.utime(base, (TIME, TIME))


def good(name, tree, names, peer, options="-", note="-"):
    write_tree(name, tree)
    cases.write("\t".join([name, options, peer, "tree", names, note]) + "\n")


def bad(name, regex, peer, options="-"):
    cases.write("\t".join([name, options, peer, "refused", regex]) + "\n")


def config(layers, arch=ARCH, more=None):
    value = {"created": "2020-01-02T03:04:05Z", "architecture": arch, "os": "linux", "config": {}}
    value.update(more or {})
    value["rootfs"] = {"type": "layers", "diff_ids": ["sha256:" + sha(layer) for layer in layers]}
    return dumps(value)


def put(path, data):
    if os.path.dirname(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


class Layout:
    """An OCI image layout in the directory `name`."""

    def __init__(self, name):
        self.name = name
        os.makedirs(name + "/blobs/sha256")

    def blob(self, data, media=None, **more):
        put("%s/blobs/sha256/%s" % (self.name, sha(data)), data)
        value = {"mediaType": media} if media else {}
        value.update({"digest": "sha256:" + sha(data), "size": len(data)})
        value.update(more)
        return value

    def manifest(self, conf, layers, layer_media=OCI_LAYER, config_media=OCI_CONFIG, media=OCI_MANIFEST, more=None, notes=None, **item):
        value = {"schemaVersion": 2, "mediaType": media, "config": self.blob(conf, config_media)}
        value["layers"] = [self.blob(layer, layer_media) for layer in layers]
        if notes:
            value["layers"][0]["annotations"] = notes
        value.update(more or {})
        return self.blob(dumps(value), media, **item)

    def image(self, layers, arch=ARCH, **more):
        return self.manifest(config(layers, arch), layers, **more)

    def nested(self, items, **more):
        return self.blob(dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": items}), OCI_INDEX, **more)

    def index(self, items, layout=True):
        put(self.name + "/index.json", dumps({"schemaVersion": 2, "manifests": items}))
        if layout:
            put(self.name + "/oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        return self

    def docker(self, items):
        put(self.name + "/manifest.json", dumps(items))
        return self

    def tar(self, where="", name=None):
        """Makes it a tar of the same name, its files below `where`."""
        members = []
        for base, _, files in sorted(os.walk(self.name)):
            for file in sorted(files):
                path = os.path.join(base, file)
                with open(path, "rb") as stream:
                    members.append((where + os.path.relpath(path, self.name), stream.read()))
        put((name or self.name) + ".tar", make_tar(members))
        return self


def called(ref):
    return {"annotations": {"org.opencontainers.image.ref.name": ref}}


def by_containerd(name):
    return {"annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": "x"}}


def platform(arch=ARCH, variant=None, os="linux", **more):
    value = {"architecture": arch, "os": os}
    if variant:
        value["variant"] = variant
    value.update(more)
    return {"platform": value}


UNKNOWN = {"platform": {"architecture": "unknown", "os": "unknown"}}

# ---- forms ----

layout = Layout("oci")
layout.index([layout.image([LOW, HIGH], **called("localhost/oci:1"))]).tar()
good("oci", TREE, "localhost/oci:1", "-")
good("oci.tar", TREE, "localhost/oci:1", "same")
layout.tar("image/", "oci-below")
good("oci-below.tar", TREE, "localhost/oci:1", "refuses")
layout.tar("some/where/", "oci-deep")
good("oci-deep.tar", TREE, "localhost/oci:1", "refuses")
bare = Layout("bare")
bare.index([bare.image([LOW, HIGH], **called("localhost/bare:1"))], layout=False).tar()
good("bare", TREE, "localhost/bare:1", "-")
good("bare.tar", TREE, "localhost/bare:1", "same")


def docker_files(name, layers, tags, conf=None, member="%s.tar"):
    conf = conf or config(layers)
    put(name + "/%s.json" % sha(conf), conf)
    for layer in layers:
        put(name + "/" + member % sha(layer), layer)
    return {"Config": sha(conf) + ".json", "RepoTags": tags, "Layers": [member % sha(layer) for layer in layers]}


def docker(name, items):
    put(name + "/manifest.json", dumps(items))
    Layout.tar(type("", (), {"name": name})())


docker("docker", [docker_files("docker", [LOW, HIGH], ["localhost/docker:1"])])
good("docker.tar", TREE, "localhost/docker:1", "same")
docker("twice", [docker_files("twice", [LOW, HIGH, LOW, HIGH], ["localhost/twice:1"])])
good("twice.tar", TREE, "localhost/twice:1", "same")
twice = Layout("twice-oci")
twice.index([twice.image([LOW, HIGH, HIGH], **called("localhost/twice-oci:1"))]).tar()
good("twice-oci.tar", TREE, "localhost/twice-oci:1", "same")

# Docker 25 and later write both; manifest.json is empty where an image has no name that it could be given.
for kind, items in (("null", None), ("empty", [])):
    both = Layout("both-" + kind)
    both.index([both.image([LOW, HIGH], **by_containerd("localhost/both-%s:1" % kind))]).docker(items).tar()
    good("both-%s.tar" % kind, TREE, "localhost/both-%s:1" % kind, "same")
docker("nothing", [])
bad("nothing.tar", "the archive holds no image", "differs")

# What `skopeo copy ... dir:` writes.
flat_config, layers = config([LOW, HIGH]), [LOW, HIGH]
put("flat/version", b"Directory Transport Version: 1.1\n")
for data in layers + [flat_config]:
    put("flat/" + sha(data), data)
put("flat/manifest.json", dumps({
    "schemaVersion": 2, "mediaType": DOCKER_MANIFEST,
    "config": {"mediaType": DOCKER_CONFIG, "digest": "sha256:" + sha(flat_config), "size": len(flat_config)},
    "layers": [{"mediaType": DOCKER_LAYER, "digest": "sha256:" + sha(data), "size": len(data)} for data in layers]}))
Layout.tar(type("", (), {"name": "flat"})())
good("flat", TREE, "flat:latest", "same")
good("flat.tar", TREE, "flat:latest", "refuses")
put("flat-list/version", b"Directory Transport Version: 1.1\n")
one, tree = level("one")
inner_config = config([one])
put("flat-list/" + sha(one), one)
put("flat-list/" + sha(inner_config), inner_config)
inner = dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
               "config": {"mediaType": OCI_CONFIG, "digest": "sha256:" + sha(inner_config), "size": len(inner_config)},
               "layers": [{"mediaType": OCI_LAYER, "digest": "sha256:" + sha(one), "size": len(one)}]})
put("flat-list/%s.manifest.json" % sha(inner), inner)
put("flat-list/manifest.json", dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
    dict({"mediaType": OCI_MANIFEST, "digest": "sha256:" + sha(inner), "size": len(inner)}, **platform())]}))
good("flat-list", tree, "flat-list:latest", "-")

# ---- forms that are known and not read ----

put("incus.tar", make_tar([("metadata.yaml", b"architecture: x86_64\n"), ("rootfs/", b""), ("rootfs/etc/", b""), ("rootfs/etc/a", b"1"),
                           ("templates/", b""), ("templates/hostname.tpl", b"x")]))
bad("incus.tar", "this is an Incus image: what is in its rootfs/", "refuses")
put("bundle.tar", make_tar([("config.json", b"{}"), ("rootfs/etc/a", b"1")]))
bad("bundle.tar", "this is an OCI runtime bundle", "-")
put("aci.tar", make_tar([("manifest", b'{"acKind":"ImageManifest"}'), ("rootfs/etc/a", b"1")]))
bad("aci.tar", "this is an App Container image", "-")
old = sha(b"old")
put("docker1.tar", make_tar([(old + "/", b""), (old + "/VERSION", b"1.0"), (old + "/json", b"{}"), (old + "/layer.tar", LOW),
                             ("repositories", dumps({"old": {"1": old}}))]))
bad("docker1.tar", "this is an image as docker before 1.10 saved it", "refuses")

# Root filesystems, whatever is in them.
ROOT = [("etc/", b""), ("etc/a", b"one"), ("usr/", b""), ("usr/x", b"x")]
ROOT_TREE = {"etc": None, "etc/a": "one", "usr": None, "usr/x": "x"}
for name, more in (("layout", [("srv/", b""), ("srv/oci-layout", b"{}"), ("srv/index.json", b'{"manifests":[]}')]),
                   ("web", [("index.json", b'{"manifests":[]}'), ("manifest.json", b'{"name":"x"}')]),
                   ("links", [("index.json", ("../../x",)), ("manifest.json", ("../y",)), ("oci-layout", ("oci-layout",)),
                              ("version", ("manifest.json",))]),
                   ("yaml", [("metadata.yaml", b"x"), ("rootfs/", b""), ("rootfs/a", b"a")]),
                   ("config", [("config.json", b"{}"), ("rootfs/", b""), ("rootfs/a", b"a")])):
    tree = dict(ROOT_TREE)
    for path, content in more:
        tree[path.rstrip("/")] = None if path.endswith("/") else content if isinstance(content, tuple) else content.decode()
    put("root-%s.tar" % name, make_tar([("./", b"")] + ROOT + more))
    good("root-%s.tar" % name, tree, "root-%s:latest" % name, "-")
put("root-single.tar", make_tar([("./", b""), ("opt/", b""), ("opt/a", b"1")])) # one directory is no wrapping
good("root-single.tar", {"opt": None, "opt/a": "1"}, "root-single:latest", "-")

# ---- names ----

digest = "sha256:" + "0" * 64
named = Layout("named")
item = named.image([LOW, HIGH])
named.index([dict(item, **called("localhost/named:v1.0+build.5"))]).tar()
good("named.tar", TREE, "localhost/named:v1.0+build.5", "differs")
named = Layout("named-digest")
item = named.image([LOW, HIGH])
named.index([dict(item, **by_containerd("localhost/x@" + item["digest"]))]).tar()
good("named-digest.tar", TREE, "localhost/x@" + item["digest"], "differs")
named = Layout("named-other")
named.index([dict(named.image([LOW, HIGH]), **by_containerd("localhost/x@" + digest))]).tar()
good("named-other.tar", TREE, "named-other:latest", "differs")
named = Layout("named-both")
named.index([dict(named.image([LOW, HIGH]), **by_containerd("localhost/x:2@" + digest))]).tar()
good("named-both.tar", TREE, "localhost/x:2", "differs")
docker("docker-digest", [docker_files("docker-digest", [LOW, HIGH], ["localhost/x@" + digest, "localhost/y:1@" + digest])])
good("docker-digest.tar", TREE, "localhost/y:1", "differs")

# ---- images without a layer ----

scratch = Layout("scratch")
scratch.index([scratch.image([], **called("localhost/scratch:1"))]).tar()
good("scratch.tar", {}, "localhost/scratch:1", "loads")
nothing = dumps({"architecture": ARCH, "os": "linux", "config": {}, "rootfs": {"type": "layers"}})
files = docker_files("scratch-docker", [], ["localhost/scratch-docker:1"], nothing)
docker("scratch-docker", [files, dict(files, RepoTags=["localhost/scratch-docker:2"], Layers=None)])
good("scratch-docker.tar", {}, "localhost/scratch-docker:1 localhost/scratch-docker:2", "loads")

# ---- artifacts beside images ----

EMPTY = b"{}"


def chart(layout):
    return layout.manifest(b'{"name":"chart"}', [b"chart"], "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
                           "application/vnd.cncf.helm.config.v1+json", **called("chart:1"))


def signature(layout, **more):
    return layout.manifest(config([b"signed"]), [b"signed"], "application/vnd.dev.cosign.simplesigning.v1+json", **more)


def bill(layout):
    return layout.manifest(EMPTY, [b"bill"], "application/spdx+json", "application/vnd.oci.empty.v1+json",
                           more={"artifactType": "application/spdx+json"})


def attestation(layout, **more):
    return layout.manifest(config([b"attest"]), [b"attest"], "application/vnd.in-toto+json", **more)


for name, make in (("chart", chart), ("signature", signature), ("bill", bill), ("attestation", attestation)):
    beside = Layout("beside-" + name)
    beside.index([make(beside), beside.image([LOW, HIGH], **called("localhost/beside-%s:1" % name))]).tar()
    good("beside-%s.tar" % name, TREE, "localhost/beside-%s:1" % name, "-", "-", "passed over, as it is no image: application/")
    alone = Layout("alone-" + name)
    alone.index([make(alone)]).tar()
    bad("alone-%s.tar" % name, "the archive holds no image, but application/", "refuses" if name in ("chart", "signature") else "-")
referrers = Layout("referrers")
listed = referrers.blob(EMPTY, OCI_MANIFEST, artifactType="application/vnd.example.sbom")
referrers.index([referrers.nested([listed], **called("sha256-x")), referrers.image([LOW, HIGH], **called("localhost/referrers:1"))]).tar()
good("referrers.tar", TREE, "localhost/referrers:1", "-", "-", "application/vnd.example.sbom")
first = Layout("nested-first")
first.index([first.nested([attestation(first), first.image([LOW, HIGH], **platform())], **called("localhost/nested-first:1"))]).tar()
good("nested-first.tar", TREE, "localhost/nested-first:1", "same")
unknown = Layout("nested-unknown")
unknown.index([unknown.nested([attestation(unknown, **UNKNOWN), unknown.image([LOW, HIGH], **platform())],
                              **called("localhost/nested-unknown:1"))]).tar()
good("nested-unknown.tar", TREE, "localhost/nested-unknown:1", "same")

# ---- one of several ----

several = Layout("several")
a, tree_a = level("a")
b, tree_b = level("b")
item_a = several.image([a])
several.index([dict(item_a, **called("localhost/team/a:1")), several.image([b], **called("localhost/team/b:2"))]).tar()
docker("several-docker", [docker_files("several-docker", [a], ["localhost/team/a:1", "localhost/team/a:again"]),
                          docker_files("several-docker", [b], ["localhost/team/b:2"])])
for name in ("several", "several-docker"):
    for suffix, only in (("1", "localhost/team/a:1"), ("2", "a:1")):
        os.link(name + ".tar", name + suffix + ".tar")
        good(name + suffix + ".tar", tree_a, "localhost/team/a:1", "-", "--name " + only)
    os.link(name + ".tar", name + "-none.tar")
    bad(name + "-none.tar", "the archive holds no image 'c', but localhost/team/a:1 ", "-", "--name c")
os.link("several.tar", "several3.tar")
good("several3.tar", tree_a, "localhost/team/a:1", "-", "--name " + item_a["digest"])
tagged = Layout("tagged")
tagged.index([tagged.image([a], **called("1")), tagged.image([b], **called("2"))]).tar()
for suffix, only in (("", "2"), ("-whole", "tagged-whole:2")):
    if suffix:
        os.link("tagged.tar", "tagged%s.tar" % suffix)
    good("tagged%s.tar" % suffix, tree_b, "tagged%s:2" % suffix, "-", "--name " + only)

# ---- platforms ----


def platforms(name, items, tree, options="-", nested=True, peer="-", names=None):
    """items: (text of its layer, platform)"""
    layout = Layout(name)
    ref = called("localhost/%s:1" % name)
    made = [layout.image([level(text)[0]], (where or platform())["platform"]["architecture"], **(where or {})) for text, where in items]
    layout.index([layout.nested(made, **ref)] if nested else [dict(item, **ref) for item in made]).tar()
    if isinstance(tree, dict):
        good(name + ".tar", tree, names or "localhost/%s:1" % name, peer, options)
    else:
        bad(name + ".tar", tree, peer, options)


def is_level(text):
    return {"level": text}


for where in (True, False):
    suffix = "-nested" if where else "-top"
    platforms("exact" + suffix, [("unsaid", None), ("other", platform("other")), ("ours", platform())], is_level("ours"), nested=where,
              peer="same" if where else "-")
    platforms("unsaid" + suffix, [("other", platform("other")), ("unsaid", None)], is_level("unsaid"), nested=where,
              peer="same" if where else "-")
    platforms("none" + suffix, [("other", platform("other")), ("arm", platform("arm", "v9")), ("plan9", platform(os="plan9"))],
              "no image for linux/%s(/v[0-9])?, only linux/other linux/arm/v9 plan9/%s" % (ARCH, ARCH), nested=where, peer="refuses" if where else "-")
    platforms("features" + suffix, [("nydus", platform(**{"os.features": ["nydus.remoteimage.v1"]})), ("ours", platform())],
              is_level("ours"), nested=where)
    LEVELS = [("v9", platform("amd64", "v9")), ("v4", platform("amd64", "v4")), ("v2", platform("amd64", "v2")),
              ("v3", platform("amd64", "v3")), ("plain", platform("amd64"))]
    for wanted in ("v2", "v3", "v4"):
        platforms("%s%s" % (wanted, suffix), LEVELS, is_level(wanted), "--platform linux/amd64/" + wanted, where)
    platforms("v1" + suffix, LEVELS, is_level("plain"), "--platform linux/amd64", where)
    platforms("x86" + suffix, LEVELS, is_level("plain"), "--platform linux/x86_64", where)
    platforms("high" + suffix, LEVELS[:4], "no image for linux/amd64, only linux/amd64/v9 linux/amd64/v4", "--platform linux/amd64", where)
    ARMS = [("v8", platform("arm64", "v8")), ("v6", platform("arm", "v6")), ("v7", platform("arm", "v7")), ("v5", platform("arm", "v5"))]
    platforms("arm7" + suffix, ARMS, is_level("v7"), "--platform linux/arm/v7", where)
    platforms("arm6" + suffix, ARMS, is_level("v6"), "--platform linux/arm/v6", where)
    platforms("arm8" + suffix, ARMS, is_level("v7"), "--platform linux/arm/v8", where)
    platforms("arm64" + suffix, ARMS, is_level("v8"), "--platform linux/arm64", where)
    platforms("arm" + suffix, ARMS, is_level("v7"), "--platform linux/arm", where)
if ARCH == "amd64": # the best of this machine, as `levels` beside us says
    platforms("best", LEVELS, is_level(open("../level").read().strip().replace("v1", "plain")))
single = [("other", platform("other"))]
platforms("single", single, is_level("other"), nested=False, peer="same")
platforms("single-asked", single, "no image for linux/%s, only linux/other" % ARCH, "--platform linux/" + ARCH, False)
docker("docker-asked", [docker_files("docker-asked", [a], ["localhost/x:1"], config([a], "other"))])
bad("docker-asked.tar", "no image for linux/%s, only linux/other" % ARCH, "-", "--platform linux/" + ARCH)

# ---- what cannot be unpacked ----

for name, media, words in (
        ("encrypted", OCI_LAYER + "+gzip+encrypted", "layer 1 is encrypted"),
        ("squashfs", "application/vnd.stacker.image.layer.squashfs+zstd+verity", "layer 1 is a squashfs image"),
        ("erofs", "application/vnd.erofs.layer.v1", "layer 1 is an erofs image"),
        ("nydus", "application/vnd.oci.image.layer.nydus.blob.v1", "layer 1 is of nydus")):
    made = Layout(name)
    made.index([made.manifest(config([LOW]), [LOW], media, **called(name + ":1"))]).tar()
    bad(name + ".tar", "blobs/sha256/[0-9a-f]{64}' in the archive: " + words, "-")
made = Layout("nydus-bootstrap")
made.index([made.manifest(config([LOW]), [LOW], notes={"containerd.io/snapshot/nydus-bootstrap": "true"})]).tar()
bad("nydus-bootstrap.tar", "layer 1 is of nydus", "-")
made = Layout("schema1")
made.index([made.blob(dumps({"schemaVersion": 1, "name": "x", "fsLayers": [], "history": []}),
                      "application/vnd.docker.distribution.manifest.v1+prettyjws")]).tar()
bad("schema1.tar", "in the archive: a manifest of schema 1", "refuses")
put("schema1-flat/version", b"Directory Transport Version: 1.1\n")
put("schema1-flat/manifest.json", dumps({"schemaVersion": 1, "name": "x", "fsLayers": [], "history": []}))
bad("schema1-flat", "'manifest.json' in the archive: a manifest of schema 1", "-")
