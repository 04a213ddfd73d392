# SPDX-License-Identifier: GPL-3.0-or-later
"""Everyday work in a mounted root: listing, reading, unpacking, changing, removing; dpkg; git; SQLite; fio."""
import contextlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys

import machine
from jobs import Group, touch, write_random
from machine import Failed, output, run

BRANCHES = ["l1", "l2", "l3"]


class Files(Group):
    """Commands on names and small files. The order matters: what an early one unpacks, a later one removes."""

    name = "files"
    about = "work with names and files, in three branches on one xfs"

    def __init__(self, bench):
        super().__init__(bench)
        self.files, self.flat, self.large, self.small = bench.size((3000, 4000, 99999, 5000), (200, 40, 300, 50))
        self.big = bench.size(256, 4)
        self.blocks = self.big * 64

    def prepare(self):
        """Branches with the tree, a directory of empty files and a large one in all three; and what is unpacked and checked out."""
        tree, small = self.bench.tree(), f"{self.work}/small"
        run(f"tar -C {tree} -cf {self.work}/tree.tar .")
        for i in range(self.small):
            os.makedirs(f"{small}/{i % 50}", exist_ok=True)
            with open(f"{small}/{i % 50}/{i}", "w") as file:
                file.write("0" * 500)
        run(f"tar -C {small} -cf {self.work}/small.tar .")
        self.make_repository(tree)
        with self.new_disk() as disk:
            for branch in BRANCHES:
                os.makedirs(f"{disk}/{branch}/large")
                for i in range(self.large // 3):
                    touch(f"{disk}/{branch}/large/b{branch}-name{i}")
            run(f"cp -a {tree} {disk}/l1/tree && mkdir {disk}/l1/flat {disk}/u {disk}/w")
            for i in range(1, self.flat + 1):
                touch(f"{disk}/l1/flat/{i}")
            write_random(f"{disk}/l2/big", self.big)

    def make_repository(self, tree):
        self.git = None
        if shutil.which("git"):
            copy, self.git = f"{self.work}/checked-in", f"{self.work}/repo.git"
            run(f"cp -a {tree} {copy} && cd {copy} && git init -q . && git add -A && "
                f"git -c user.name=b -c user.email=b@b commit -q -m base && mv .git {self.git} && git --git-dir={self.git} config core.bare true")

    def jobs(self):
        """Names and commands, or functions of the root."""
        chance = random.Random(12)
        work, flat, part = self.work, self.flat, self.files // 4
        sequential, scattered = range(self.blocks), [chance.randrange(self.blocks) for _ in range(self.blocks // 2)]
        yield from [
            ("find -ls, first", "find tree flat -xdev -ls"),
            ("find -ls, again", "find tree flat -xdev -ls"),
            ("ls -lR, first", "ls -lR tree"),
            ("ls -lR, again", "ls -lR tree"),
            ("tar of all, first", "tar -cf - tree | wc -c"),
            ("tar of all, again", "tar -cf - tree | wc -c"),
            (f"find -ls of {self.large + 1:,}, first", "find large -ls"),
            (f"untar {self.files:,} files", f"mkdir untar && tar -C untar -xf {work}/tree.tar"),
            (f"create {self.small:,} small", f"mkdir small && tar -C small -xf {work}/small.tar"),
            (f"create {flat:,} in a merged directory", f'cd flat && i=0; while [ $i -lt {flat} ]; do : >"n$i"; i=$((i+1)); done'),
            (f"rm -r of them and {flat:,} lower", "rm -r flat"),
            (f"rm -r upper, {self.files:,}", "rm -r untar"),
            ("append to 300 lower", 'n=0; for f in tree/a/*/file*; do [ $n -lt 300 ] || break; n=$((n+1)); echo more >>"$f"; done'),
            (f"chmod -R lower, {part}", "chmod -R g+w tree/b tree/c"),
            (f"chown -R lower, {part}", "chown -R 12:34 tree/d tree/e"),
            (f"rm -r lower, {self.files:,}", "rm -r tree"),
            (f"copy-up of {self.big} MiB", "echo more >>big"),
            (f"write {self.blocks // 256} MiB by 4 KiB", lambda root: write_blocks(f"{root}/blocks", sequential)),
            (f"write {len(scattered):,} random 4 KiB", lambda root: write_blocks(f"{root}/blocks", scattered)),
        ]
        if self.git:
            yield "git checkout", f"mkdir git && git --git-dir={self.git} --work-tree=git checkout -q -f HEAD -- ."
        yield "SQLite, 100 inserts, DELETE", lambda root: insert(f"{root}/delete", "delete")
        yield "SQLite, 100 inserts, WAL", lambda root: insert(f"{root}/wal", "wal")

    def turn(self, kind, results):
        with self.fresh_disk() as disk, kind.mounted(disk, BRANCHES, self.mnt) as root:
            for name, job in self.jobs():
                results.timed(self, kind, name, lambda: job(root) if callable(job) else run(job, cwd=root))


def write_blocks(path, blocks):
    block = os.urandom(4096)
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    for at in blocks:
        os.pwrite(fd, block, at * 4096)
    os.close(fd)


def insert(where, mode):
    """A transaction each, in a directory of its own: fsync of the mount's root is another thing."""
    os.makedirs(where)
    base = sqlite3.connect(f"{where}/db", isolation_level=None)
    base.execute(f"pragma journal_mode={mode}")
    base.execute("create table t (i integer primary key, x text)")
    for _ in range(100):
        base.execute("insert into t (x) values (?)", ("x" * 100,))
    base.close()


class Dpkg(Group):
    """Packages are what most images are made of. dpkg writes each file under another name, syncs it and renames it."""

    name = "dpkg"
    about = "dpkg -i in a Debian root"
    REAL = "linux-libc-dev"  # some thousand files, no dependencies and no scripts

    def prepare(self):
        package, files = self.bench.own_package()
        root = self.bench.root()
        self.jobs = [(f"dpkg -i, {files} files", "own.deb")]
        with self.new_disk() as disk:
            run(["cp", "-a", root, f"{disk}/root"])
            shutil.copy(package, f"{disk}/root/own.deb")
            os.mkdir(f"{disk}/u")
            os.mkdir(f"{disk}/w")
            try:
                os.mkdir(f"{self.work}/real")
                run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", self.REAL], cwd=f"{self.work}/real", stderr=subprocess.DEVNULL)
                run(f"cp {self.work}/real/*.deb {disk}/root/real.deb")
                self.jobs.append((f"dpkg -i {self.REAL}", "real.deb"))
            except (Failed, FileNotFoundError):
                print(f"dpkg: no package {self.REAL} can be had here; only one of our own is installed", file=sys.stderr)

    def turn(self, kind, results):
        with self.fresh_disk() as disk, kind.mounted(disk, ["root"], self.mnt) as root:
            for name, package in self.jobs:
                results.timed(self, kind, name, lambda: run(["chroot", root, "dpkg", "-i", f"/{package}"],
                                                            env={"DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}))


class Fio(Group):
    """What data cost, by 4 KiB: a new file is written, a lower one read and mapped."""

    name = "fio"
    about = "throughput by fio, blocks of 4 KiB, one job (more is faster)"

    def __init__(self, bench):
        super().__init__(bench)
        self.megabytes = bench.size(256, 4)

    def prepare(self):
        if not shutil.which("fio"):
            print("fio: installing it", file=sys.stderr)
            with contextlib.suppress(Failed, FileNotFoundError):
                run(["apt-get", "-qq", "-y", "install", "fio"], env={"DEBIAN_FRONTEND": "noninteractive"})
            machine.need("fio")
        with self.new_disk() as disk:
            for name in "l1", "u", "w":
                os.mkdir(f"{disk}/{name}")
            write_random(f"{disk}/l1/lower", self.megabytes)
            write_random(f"{disk}/l1/mapped", self.megabytes)

    JOBS = (  # name, file, fio's options
        ("write, sequential", "new", "--rw=write --ioengine=psync"),
        ("write, random", "new", "--rw=randwrite --ioengine=psync"),
        ("read lower, sequential, first", "lower", "--rw=read --ioengine=psync"),
        ("read lower, sequential, again", "lower", "--rw=read --ioengine=psync --invalidate=0 --loops=4"),
        ("read lower, random, again", "lower", "--rw=randread --ioengine=psync --invalidate=0 --loops=4"),
        ("read lower mapped, random", "lower", "--rw=randread --ioengine=mmap --invalidate=0"),
        ("write mapped, random", "new", "--rw=randwrite --ioengine=mmap --invalidate=0"),
        ("write lower mapped, random", "mapped", "--rw=randwrite --ioengine=mmap --invalidate=0"),
    )

    def turn(self, kind, results):
        with self.fresh_disk() as disk, kind.mounted(disk, ["l1"], self.mnt) as root:
            for name, file, options in self.JOBS:
                row = results.row(self, name, "MiB/s")
                results.await_quiet(row)
                said = json.loads(output(f"fio --name=job --filename={root}/{file} --size={self.megabytes}m --bs=4k --fallocate=none "
                                         f"--randseed=7 --output-format=json {options}"))["jobs"][0]
                results.add(self, kind, name, row.unit, (said["read"]["bw_bytes"] + said["write"]["bw_bytes"]) / (1 << 20))


class Lookups(Group):
    """A name that is looked up for the first time may be in any branch; one that is nowhere is looked for in all."""

    name = "lookups"
    about = "names looked up for the first time, by the number of branches that their directory is in"

    def __init__(self, bench):
        super().__init__(bench)
        self.names = bench.size(4000, 200)
        self.counts = bench.size((1, 20, 200), (1, 5))

    def prepare(self):
        with self.new_disk(4) as disk:
            for count in self.counts:
                for branch in range(count):
                    os.makedirs(f"{disk}/{count}/{branch}/d")
                    for i in range(branch, self.names, count):
                        touch(f"{disk}/{count}/{branch}/d/name{i}")
            os.mkdir(f"{disk}/u")
            os.mkdir(f"{disk}/w")

    def turn(self, kind, results):
        for count in self.counts:
            branches = [f"{count}/{branch}" for branch in range(count)]
            with self.fresh_disk() as disk, kind.mounted(disk, branches, self.mnt) as root:
                for what, prefix in (("that are there", "name"), ("that are not", "absent")):
                    results.timed(self, kind, f"{self.names:,} {what}, {count} branches", lambda: look_up(f"{root}/d/{prefix}", self.names))


def look_up(prefix, names):
    for i in range(names):
        with contextlib.suppress(FileNotFoundError):
            os.stat(f"{prefix}{i}")
