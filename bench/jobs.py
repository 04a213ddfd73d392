# SPDX-License-Identifier: GPL-3.0-or-later
"""What all groups of jobs have in common, and the files that they work on."""
import contextlib
import io
import os
import random
import shutil
import tarfile

import machine
from kinds import PLAIN, OVERLAY, Store
from machine import Failed, Missing, run

SUITE = "bookworm"


class Bench:
    """What is the same for all groups: the work directory, the kinds, the sizes; and the bases that several groups use."""

    def __init__(self, work, kinds, quick, root):
        self.work, self.all_kinds, self.quick = work, kinds, quick
        self.disk, self.mnt = f"{work}/disk", f"{work}/mnt"
        self.given_root = root
        os.makedirs(self.disk)
        os.makedirs(self.mnt)

    def size(self, full, quick):
        return quick if self.quick else full

    @property
    def cairn(self):
        """The tool that makes stores: that of the build to be measured, not of the one before it."""
        for kind in self.all_kinds:
            if kind.cairn and os.path.exists(kind.cairn):
                return kind.cairn
        raise Missing("there is no program cairn beside cairnfs")

    def tree(self):
        """A tree as in a distribution's packages, the same each time: half of its files below 2 kB, a few large ones."""
        top = f"{self.work}/tree"
        if not os.path.exists(top):
            make_tree(top, self.size(3000, 200))
        return top

    def root(self):
        """A Debian root: the one that was given, or one made by mmdebstrap."""
        if self.given_root:
            return self.given_root
        top = f"{self.work}/root"
        if not os.path.exists(f"{top}/usr"):
            machine.need("mmdebstrap")
            try:
                run(["mmdebstrap", "--quiet", "--variant=minbase", SUITE, top])
            except Failed as error:
                shutil.rmtree(top, ignore_errors=True)
                raise Missing(f"no Debian root can be made here: {error}") from error
        return top

    def root_tar(self):
        """The Debian root as an archive."""
        path = f"{self.work}/root.tar"
        if not os.path.exists(path):
            run(["tar", "-C", self.root(), "--exclude=./dev/*", "-cf", path, "."])
        return path

    def own_package(self):
        """A package of files as in tree(), made here."""
        files, path = self.size(500, 50), f"{self.work}/own.deb"
        if not os.path.exists(path):
            machine.need("dpkg-deb")
            top = f"{self.work}/package"
            make_tree(f"{top}/usr/share/cairn-bench", files)
            os.mkdir(f"{top}/DEBIAN")
            with open(f"{top}/DEBIAN/control", "w") as file:
                file.write("Package: cairn-bench\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n"
                           "Description: files to unpack\n")
            run(["dpkg-deb", "--root-owner-group", "-b", top, path])
        return path, files


class Group:
    """Jobs that are done on one kind of base.

    prepare() makes images; turn() has a kind do all jobs once on a fresh one. `base` is the kind to which the others are
    compared. A group with `once` is done in one round, as a round is long and what it finds hardly varies.
    """

    name = about = None
    base = OVERLAY
    once = False

    def __init__(self, bench):
        self.bench, self.work, self.disk, self.mnt = bench, bench.work, bench.disk, bench.mnt
        self.image = f"{bench.work}/{self.name}.image"

    def kinds(self):
        return self.bench.all_kinds

    def prepare(self):
        raise NotImplementedError

    def turn(self, kind, results):
        raise NotImplementedError

    def discard(self):
        """Free the space of what only this group needs."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.image)

    def new_disk(self, gibibytes=8):
        return machine.new_disk(self.image, self.disk, gibibytes)

    def fresh_disk(self):
        return machine.fresh_disk(self.image, self.disk)


class UnionGroup(Group):
    """Jobs for which a plain directory is nothing to compare with."""

    def kinds(self):
        return [kind for kind in self.bench.all_kinds if kind.name != PLAIN]


class StoreGroup(UnionGroup):
    """Jobs on mounts of images in a store of cairn's, which lies on the disk."""

    def store(self):
        return Store(f"{self.disk}/store", self.bench.cairn)

    def one_image(self, entries):
        """Import an image of so many entries; its layers."""
        archive, store = f"{self.work}/entries.tar", self.store()
        make_tar(archive, entries, 0)
        store.add(archive, "image")
        os.unlink(archive)
        return store.layers("image")


def make_tree(top, files):
    """Files of some sizes in some directories, with symbolic links to a tenth of them."""
    chance = random.Random(11)
    for i in range(files):
        where = os.path.join(top, "abcdefgh"[i % 8], f"dir{i % 250:03}")
        os.makedirs(where, exist_ok=True)
        size = min(int(chance.lognormvariate(7.5, 1.8)), 1 << 20)
        with open(os.path.join(where, f"file{i}"), "wb") as file:
            file.write(chance.randbytes(size))
        if i % 10 == 0:
            os.symlink(f"file{i}", os.path.join(where, f"link{i}"))


def make_tar(path, entries, size):
    """An archive of so many entries: directories of 99 files of this size each."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for i in range(entries):
            where = f"{i // 10000:03}/{i // 100 % 100:02}"
            if i % 100 == 0:
                member = tarfile.TarInfo(where)
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
            else:
                member = tarfile.TarInfo(f"{where}/file{i}")
                member.size = size
                archive.addfile(member, io.BytesIO(f"{i:0{size}}".encode()) if size else None)
            archive.members.clear()  # it would keep them all


def touch(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def write_random(path, mebibytes):
    with open(path, "wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(1 << 20))
