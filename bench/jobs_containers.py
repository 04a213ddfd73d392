# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers: podman build, mounts of images, many mounts at once, and the memory and page cache that they take."""
import contextlib
import os
import statistics
import sys
import time

import machine
from jobs import StoreGroup, UnionGroup, make_tar
from kinds import OVERLAY
from machine import Missing, MemoryGroup, output, run


class Podman(UnionGroup):
    """Each step of a build mounts what is below it, changes it, and has the difference packed. containers/storage uses the
    kernel's overlayfs, or a mount_program. The steps run without a runtime (--isolation=chroot), and need no network."""

    name = "podman"
    about = "podman build, six steps, from an image of a Debian root"

    STEPS = """FROM localhost/base
COPY tree.tar own.deb /srv/
RUN mkdir /srv/tree && tar -C /srv/tree -xf /srv/tree.tar
RUN dpkg -i /srv/own.deb
RUN chmod -R g+w /srv/tree/b /srv/tree/c /usr/share/cairn-bench
RUN find /usr -xdev -type f -exec cat {} + >/srv/all && rm /srv/all
RUN rm -r /srv/tree/a /usr/share/cairn-bench/b /usr/share/doc
"""

    def prepare(self):
        machine.need("podman")
        self.context = f"{self.work}/context"
        os.makedirs(self.context, exist_ok=True)
        run(f"tar -C {self.bench.tree()} -cf {self.context}/tree.tar .")
        run(["cp", self.bench.own_package()[0], f"{self.context}/own.deb"])
        with open(f"{self.context}/Containerfile", "w") as file:
            file.write(self.STEPS)
        with self.new_disk() as disk:
            self.podman(disk, None, "import", self.bench.root_tar(), "localhost/base")
            self.close(disk)

    def podman(self, disk, program, *arguments):
        """podman with a store on the disk, and nothing of this machine's configuration of storage."""
        conf = f"{self.work}/storage.conf"
        with open(conf, "w") as file:
            file.write(f'[storage]\ndriver = "overlay"\ngraphroot = "{disk}/store"\nrunroot = "{disk}/run"\n')
            if program:
                file.write(f'[storage.options.overlay]\nmount_program = "{program}"\n')
        run(["podman", "--cgroup-manager=cgroupfs", "--events-backend=none", *arguments], cwd=self.work,
            env={"CONTAINERS_STORAGE_CONF": conf, "TMPDIR": self.work})

    @staticmethod
    def close(disk):
        """podman leaves its store mounted on itself."""
        with contextlib.suppress(machine.Failed):
            run(f"mountpoint -q {disk}/store/overlay && umount {disk}/store/overlay")

    def turn(self, kind, results):
        with self.fresh_disk() as disk:
            try:
                results.timed(self, kind, "podman build, six steps", lambda: self.podman(
                    disk, kind.program, "build", "-q", "--no-cache", "--layers", "--isolation=chroot", "-t", "built", self.context))
            finally:
                self.close(disk)


class Cache(UnionGroup):
    """Containers of one image read the same files. What a second one brings into the page cache, and has all read already, is
    memory that it need not take. Counted by the kernel for the daemon and the readers of the second mount alone."""

    name = "cache"
    about = "page cache that a further container takes, as part of what it reads"
    base = None

    def prepare(self):
        MemoryGroup("cairn-bench")  # Missing, where it cannot be
        with self.new_disk() as disk:
            run(["cp", "-a", self.bench.root(), f"{disk}/root"])
            for name in "u", "w", "u2", "w2":
                os.mkdir(f"{disk}/{name}")

    def turn(self, kind, results):
        second = f"{self.work}/second"
        os.makedirs(second, exist_ok=True)
        with self.fresh_disk() as disk, kind.mounted(disk, ["root"], self.mnt), MemoryGroup(os.path.basename(self.work)) as group:
            read = read_all(self.mnt)
            options = "lowerdir=root,upperdir=u2,workdir=w2"
            command = ["mount", "-t", "overlay", "overlay", "-o", options, second] if kind.name == OVERLAY else \
                [kind.program, "-o", options, second]
            run(group.command(command), cwd=disk)
            before = group.cached()
            try:
                run(group.command(reader(second)))
                cached = group.cached() - before
            finally:
                run(["umount", second])
            results.add(self, kind, "of one that reads the whole root", "%", 100 * cached / read)


def reader(top):
    return ["find", top, "-xdev", "-type", "f", "-exec", "cat", "{}", "+"]


def read_all(top):
    """Read all files; how many bytes there are in whole pages."""
    run(reader(top))
    sizes = output(["find", top, "-xdev", "-type", "f", "-printf", "%s\n"]).split()
    return sum(-(-int(size) // 4096) * 4096 for size in sizes)


class Mounts(StoreGroup):
    """A container starts with a mount, which should take as long whatever is in the image."""

    name = "mounts"
    about = "cairn mount, next to mounts of the same directories"
    TIMES = 5  # mounts of which the median is one value, as a single one is short

    def __init__(self, bench):
        super().__init__(bench)
        self.entries = bench.size((1000, 30000, 300000), (100, 1000))

    def prepare(self):
        self.images = []
        with self.new_disk() as _:
            store = self.store()
            for entries in self.entries:
                archive = f"{self.work}/entries.tar"
                make_tar(archive, entries, 0)
                store.add(archive, f"n{entries}")
                self.images.append((f"mount an image of {entries:,} entries", f"n{entries}"))
                os.unlink(archive)
            try:
                store.add(self.bench.root_tar(), "debian")
                self.images.append(("mount a Debian root", "debian"))
            except Missing as error:
                print(f"mounts: without a Debian root: {error}", file=sys.stderr)
            self.layers = {name: store.layers(name) for _, name in self.images}

    def turn(self, kind, results):
        with self.fresh_disk() as disk:
            store = self.store()
            for row, name in self.images:
                results.await_quiet(results.row(self, row))
                times = [timed_mount(store, kind, name, self.layers[name], self.mnt, f"{disk}/{name}.{i}") for i in range(self.TIMES)]
                results.add(self, kind, row, "ms", statistics.median(times))


class Density(StoreGroup):
    """Many containers on one machine: what each keeps in memory, and whether the last starts as fast as the first."""

    name = "density"
    about = "many mounts of one image at once"
    once = True
    EACH = 16 << 20  # bytes of free memory to have for each mount, so that the machine does not run out
    ENDS = 10  # first and last mounts, of which the medians are taken

    def __init__(self, bench):
        super().__init__(bench)
        self.count = min(bench.size(1000, 12), machine.available_memory() // self.EACH)
        self.entries = bench.size(30000, 1000)

    def prepare(self):
        with self.new_disk():
            self.layers = self.one_image(self.entries)

    def turn(self, kind, results):
        ends = min(self.ENDS, self.count // 2)
        places = [f"{self.work}/many/{i}" for i in range(self.count)]
        for place in places:
            os.makedirs(place, exist_ok=True)
        with self.fresh_disk() as disk:
            store, mounted = self.store(), []
            results.await_quiet(results.row(self, f"the first {ends} mounts, each"))
            times = []
            try:
                for i, place in enumerate(places):
                    begun = time.perf_counter()
                    store.mount(kind, "image", self.layers, place, f"{disk}/many/{i}")
                    times.append((time.perf_counter() - begun) * 1000)
                    mounted.append(place)
                    os.listdir(place)
                memory = machine.private_memory(machine.daemons())
            finally:
                for place in mounted:
                    store.unmount(kind, place)
        results.add(self, kind, f"the first {ends} mounts, each", "ms", statistics.median(times[:ends]))
        results.add(self, kind, f"the last {ends} of {self.count:,} mounts, each", "ms", statistics.median(times[-ends:]))
        if kind.program:
            results.add(self, kind, f"private memory of each of {self.count:,} mounts", "MiB", memory / self.count / (1 << 20))


class Memory(StoreGroup):
    """What the daemon keeps for each file that the kernel knows, and without any."""

    name = "memory"
    about = "private memory of the daemon's processes"
    base = "fuse-overlayfs"

    def __init__(self, bench):
        super().__init__(bench)
        self.entries = bench.size(28000, 1000)

    def kinds(self):
        return [kind for kind in super().kinds() if kind.program]

    def prepare(self):
        with self.new_disk():
            self.layers = self.one_image(self.entries)

    def turn(self, kind, results):
        with self.fresh_disk() as disk:
            store = self.store()
            store.mount(kind, "image", self.layers, self.mnt, f"{disk}/scratch")
            try:
                os.listdir(self.mnt)
                idle = machine.private_memory(machine.daemons())
                run(["find", self.mnt, "-ls"])
                more = machine.private_memory(machine.daemons()) - idle
            finally:
                store.unmount(kind, self.mnt)
        results.add(self, kind, "of an idle mount", "MiB", idle / (1 << 20))
        results.add(self, kind, f"for each of {self.entries:,} entries, after find -ls", "bytes", more / self.entries)


def timed_mount(store, kind, name, layers, place, scratch):
    """How long a mount takes, in ms; it is unmounted again."""
    begun = time.perf_counter()
    store.mount(kind, name, layers, place, scratch)
    taken = (time.perf_counter() - begun) * 1000
    store.unmount(kind, place)
    return taken
