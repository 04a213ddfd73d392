# SPDX-License-Identifier: GPL-3.0-or-later
"""Import of images, next to tar and sync, which write the same files and no index."""
import os

import machine
from jobs import Group, make_tar
from kinds import Kind
from machine import run


class Import(Group):
    """Many small files, and a few large ones. All must be on the disk at the end."""

    name = "import"
    about = "cairn import, next to tar -x and sync"
    base = "tar -x and sync"

    def __init__(self, bench):
        super().__init__(bench)
        self.small = bench.size(100000, 500)
        self.large = bench.size(1000, 4)

    def kinds(self):
        return [Kind(self.base)] + [Kind(kind.name.replace("cairnfs", "cairn import"), kind.program, kind.cairn)
                                    for kind in self.bench.all_kinds if kind.name in ("cairnfs", "cairnfs before")]

    def prepare(self):
        make_tar(f"{self.work}/small-import.tar", self.small, 200)
        run(f"mkdir {self.work}/large && for i in 1 2 3 4; do head -c {self.large * 250000} /dev/urandom >{self.work}/large/$i || exit; done && "
            f"tar -C {self.work}/large -cf {self.work}/large-import.tar . && rm -r {self.work}/large")
        self.jobs = [(f"import {self.small:,} files of 200 bytes", f"{self.work}/small-import.tar"),
                     (f"import 4 files, {self.large:,} MB in all", f"{self.work}/large-import.tar")]
        with self.new_disk(16):
            pass

    def command(self, kind, archive, disk):
        if kind.cairn:
            return f"{kind.cairn} --root {disk}/store import --tag image {archive}"
        return f"mkdir {disk}/unpacked && tar -C {disk}/unpacked -xf {archive} && sync -f {disk}"

    def turn(self, kind, results):
        for name, archive in self.jobs:
            run(["sync", "-f", self.work])  # what was written for the turn before
            with self.fresh_disk() as disk:
                results.timed(self, kind, name, lambda: run(self.command(kind, archive, disk)))

    def discard(self):
        super().discard()
        for _, archive in self.jobs:
            os.unlink(archive)


class Million(Import):
    """The same rate for each entry, and not more memory, when there are ten times as many."""

    name = "million"
    once = True

    def __init__(self, bench):
        super().__init__(bench)
        self.small = bench.size(1000000, 1000)
        self.about = f"import of {self.small:,} files of 200 bytes"

    def prepare(self):
        archive = f"{self.work}/million.tar"
        make_tar(archive, self.small, 200)
        self.jobs = [(self.about, archive)]
        with self.new_disk(32):
            pass

    def turn(self, kind, results):
        for name, archive in self.jobs:
            run(["sync", "-f", self.work])
            with self.fresh_disk() as disk:
                peak = results.timed(self, kind, "time for each", lambda: machine.peak_memory(self.command(kind, archive, disk)),
                                     per=self.small / 1000000, unit="us")
            results.add(self, kind, "the most memory", "MiB", peak / (1 << 20))
