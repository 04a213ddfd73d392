# SPDX-License-Identifier: GPL-3.0-or-later
"""What is compared: a plain directory, kernel overlayfs, fuse-overlayfs, and cairnfs in each mode and of each build."""
import contextlib
import json
import os
import shutil
import subprocess

from machine import Failed, await_true, output, run

PLAIN, OVERLAY = "plain directory", "overlayfs"


class Kind:
    """One column of the results.

    `program` mounts as mount_program of podman does: -o OPTIONS DIR; it is None for what the kernel does alone. `cairn` is the
    tool of the same build, where there is one.
    """

    def __init__(self, name, program=None, cairn=None):
        self.name, self.program, self.cairn = name, program, cairn

    def mount(self, lowers, place, upper="u", work="w", cwd=None):
        """Mount branches (names in cwd, the topmost first) on place."""
        where = f"lowerdir={':'.join(lowers)},upperdir={upper},workdir={work}"
        if self.name == PLAIN:  # a directory with all of it
            run(["cp", "-a", "--reflink=always", *(f"{lower}/." for lower in reversed(lowers)), upper], cwd=cwd)
            run(["sync", "-f", upper], cwd=cwd)
            run(["mount", "--bind", upper, place], cwd=cwd)
        elif self.name == OVERLAY:
            run(["mount", "-t", "overlay", "overlay", "-o", where, place], cwd=cwd)
        else:
            run([self.program, "-o", where, place], cwd=cwd)

    @contextlib.contextmanager
    def mounted(self, disk, lowers, place):
        """Mounted on place for a while, with disk/u and disk/w as upper and work directories."""
        self.mount(lowers, place, cwd=disk)
        try:
            yield place
        finally:
            unmount(place)


def unmount(place):
    """Also when a program that was killed takes its time to go."""
    await_true(lambda: subprocess.run(["umount", place], stderr=subprocess.DEVNULL, check=False).returncode == 0, place)


class Store:
    """A store of cairn's, whose images all kinds mount: cairn by its tool, the others by the directories of the layers."""

    def __init__(self, path, cairn):
        self.path, self.cairn = path, cairn

    def add(self, archive, name):
        """Import an archive."""
        run([self.cairn, "--root", self.path, "import", "--tag", name, archive])

    def layers(self, name):
        """The directories of an image's layers, the topmost first."""
        for image in json.loads(output([self.cairn, "--root", self.path, "images", "--json"])):
            if any(tag.split(":")[0].split("/")[-1] == name for tag in image["tags"]):
                return [f"{self.path}/layers/{layer['directory']}" for layer in reversed(image["layers"])]
        raise Failed(f"no image {name} in {self.path}")

    def mount(self, kind, name, layers, place, scratch):
        """Mount an image on place as the root of a container. scratch is a new directory for upper and work, which cairn does not
        need."""
        if kind.cairn:
            run([kind.cairn, "--root", self.path, "mount", name, place], env={"CAIRN_CAIRNFS": kind.program})
        else:
            os.makedirs(f"{scratch}/u")
            os.mkdir(f"{scratch}/w")
            kind.mount(layers, place, f"{scratch}/u", f"{scratch}/w")

    def unmount(self, kind, place):
        if kind.cairn:
            run([kind.cairn, "--root", self.path, "umount", place])
        else:
            unmount(place)


def wrapper(work, number, program, options):
    """A program that mounts with further options, for those who call it with theirs."""
    path = f"{work}/cairnfs-mode{number}"
    with open(path, "w") as file:
        file.write(f'#!/bin/sh\nexec {program} -o {options} "$@"\n')
    os.chmod(path, 0o755)
    return path


def refusal(kind, work):
    """Why a program does not mount with the options of its kind; None if it does."""
    for name in "l", "u", "w", "m":
        os.makedirs(f"{work}/probe/{name}", exist_ok=True)
    try:
        run([kind.program, "-o", "lowerdir=l,upperdir=u,workdir=w", "m"], cwd=f"{work}/probe")
    except (Failed, OSError) as error:
        return str(error).rsplit(": ", 2)[-1]
    unmount(f"{work}/probe/m")
    return None


def choose(work, cairnfs, modes, before):
    """The kinds that there are here; (kinds, why others are left out).

    modes: "default", or mount options with "+" between them. What a program does not know or cannot do here is left out.
    fuse-overlayfs is the one on PATH.
    """
    kinds, left_out = [Kind(PLAIN), Kind(OVERLAY)], []
    peer = shutil.which("fuse-overlayfs")
    if peer:
        kinds.append(Kind("fuse-overlayfs", peer))
    else:
        left_out.append("fuse-overlayfs: it is not installed")
    ours = [("cairnfs" if mode == "default" else f"cairnfs {mode}", cairnfs, mode) for mode in modes]
    if before:
        ours.append(("cairnfs before", before, "default"))
    for number, (name, program, mode) in enumerate(ours):
        kind = Kind(name, program, os.path.join(os.path.dirname(program), "cairn"))
        if mode != "default":
            kind.program = wrapper(work, number, program, mode.replace("+", ","))
        why = refusal(kind, work)
        if why:
            left_out.append(f"{name}: {why}")
        else:
            kinds.append(kind)
    return kinds, left_out
