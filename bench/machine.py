# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands, disks on loop devices, memory, and how busy the machine is."""
import contextlib
import glob
import os
import platform
import shutil
import subprocess
import tempfile
import time


class Missing(Exception):
    """Something that is needed is not on this machine; the text says what."""


class Failed(Exception):
    """A command did not do what it should; the text says which."""


def run(command, **more):
    """Run a command (a string by the shell). What it says on stderr is told only if it fails."""
    more.setdefault("stdout", subprocess.DEVNULL)
    # Newer mount(8) hands over lowerdir= in one piece of at most 256 bytes, which 200 branches exceed.
    env = {**os.environ, "LC_ALL": "C", "LIBMOUNT_FORCE_MOUNT2": "always", **more.pop("env", {})}
    with tempfile.TemporaryFile("w+", errors="replace") as said:  # no pipe: a daemon that is started would hold it
        done = subprocess.run(command, shell=isinstance(command, str), env=env, stderr=said, check=False, **more)
        if done.returncode != 0:
            said.seek(0)
            shown = command if isinstance(command, str) else " ".join(command)
            raise Failed(": ".join([f"exit status {done.returncode} of {shown[:200]}", *said.read().strip().splitlines()[-1:]]))
    return done


def output(command, **more):
    """What a command prints."""
    return run(command, stdout=subprocess.PIPE, text=True, **more).stdout


def peak_memory(command, **more):
    """Run a command by the shell; the most bytes that a process of it had in memory, but at least those that we have ourselves, which the
    kernel counts too."""
    child = subprocess.Popen(command, shell=True, stdout=subprocess.DEVNULL, **more)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise Failed(f"exit status {child.returncode} of: {command[:200]}")
    return used.ru_maxrss * 1024


def need(*programs):
    """Missing, unless all of these programs are there."""
    for program in programs:
        if not shutil.which(program):
            raise Missing(f"{program} is not installed")


def version(command):
    """What a program says about its version, in the line with its name or else the first; None if it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    lines = (done.stdout + done.stderr).strip().splitlines()
    return next((line for line in lines if os.path.basename(command[0]) in line), lines[0] if lines else None)


# ---- what machine this is ----


def field(path, key):
    """What a line `key: value` of a file in /proc has as its value."""
    with open(path) as file:
        for line in file:
            if line.startswith(key):
                return line.split(":", 1)[1].strip()
    return None


def kibibytes(path, key):
    return int((field(path, key) or "0 kB").split()[0])


def available_memory():
    return kibibytes("/proc/meminfo", "MemAvailable:") * 1024


def describe():
    """The machine and the peers, for the results."""
    return {
        "kernel": platform.release(),
        "cpu": field("/proc/cpuinfo", "model name") or platform.machine(),
        "cpus": os.cpu_count(),
        "memory, MiB": kibibytes("/proc/meminfo", "MemTotal:") // 1024,
        "system": platform.freedesktop_os_release().get("PRETTY_NAME"),
        "virtualization": version(["systemd-detect-virt"]),
        **{name: version(command) for name, command in {
            "fuse-overlayfs": ["fuse-overlayfs", "--version"],
            "podman": ["podman", "--version"],
            "fio": ["fio", "--version"],
            "git": ["git", "--version"],
            "sqlite": ["sqlite3", "--version"],
            "tar": ["tar", "--version"],
            "dpkg": ["dpkg", "--version"],
            "mkfs.xfs": ["mkfs.xfs", "-V"],
        }.items()},
    }


def cpus_in_use(seconds):
    """How many CPUs are in use over some time in which we do nothing. Waiting for a disk is not use; what a host takes away is."""

    def read():
        with open("/proc/stat") as file:
            fields = [int(x) for x in file.readline().split()[1:9]]
        return sum(fields) - fields[3] - fields[4], sum(fields)

    busy, total = read()
    time.sleep(seconds)
    now_busy, now_total = read()
    return (now_busy - busy) / max(1, now_total - total) * os.cpu_count()


# ---- disks ----


@contextlib.contextmanager
def loop_mount(image, place):
    """An image mounted for a while. The end waits until no daemon holds it any more."""
    # Not mount -o loop, which takes up a device that it finds for a file of the same number: one that is just going away.
    device = output(["losetup", "--find", "--show", image]).strip()
    try:
        run(["mount", device, place])
    finally:
        run(["losetup", "--detach", device])  # at the end, if it is in use
    try:
        yield place
    finally:
        await_true(lambda: subprocess.run(["umount", place], stderr=subprocess.DEVNULL, check=False).returncode == 0, place)
        # A daemon that is about to end may have a mount of it for itself.
        await_true(lambda: backing_file(device) != image, device)


def await_true(condition, what):
    """Wait for what comes by itself, as when the last of some processes ends."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    raise SystemExit(f"{what} stays busy")


def backing_file(device):
    """The file that a loop device is on, or None."""
    with contextlib.suppress(OSError), open(f"/sys/block/{os.path.basename(device)}/loop/backing_file") as file:
        return file.read().strip()


def detach_all(top):
    """Detach the loop devices of files below a directory, which a process that was killed may have left."""
    listed = subprocess.run(["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"], capture_output=True, text=True, check=False)
    for line in listed.stdout.splitlines():
        device, *file = line.split(maxsplit=1)
        if file and file[0].startswith(f"{top}/"):
            subprocess.run(["losetup", "--detach", device], stderr=subprocess.DEVNULL, check=False)


@contextlib.contextmanager
def new_disk(image, place, gibibytes):
    """A new xfs in a sparse file, mounted to be filled."""
    with open(image, "wb") as file:
        file.truncate(gibibytes << 30)
    run(["mkfs.xfs", "-q", "-m", "reflink=1", image])
    with loop_mount(image, place):
        yield place
        run(["sync", "-f", place])


@contextlib.contextmanager
def fresh_disk(image, place):
    """A copy of an image, mounted, so that each turn finds the same disk."""
    copy = f"{image}.copy"
    run(["cp", "--reflink=auto", "--sparse=always", image, copy])
    try:
        with loop_mount(copy, place):
            yield place
    finally:
        os.unlink(copy)


# ---- processes and their memory ----


def daemons():
    """All union daemons that run. bench/run is in a PID namespace of its own: all that it can see are its own."""
    found = []
    for exe in glob.glob("/proc/[0-9]*/exe"):
        with contextlib.suppress(OSError):
            if os.path.basename(os.readlink(exe)).split()[0] in ("cairnfs", "fuse-overlayfs"):
                found.append(int(exe.split("/")[2]))
    return found


def private_memory(pids):
    """Bytes of memory that these processes have for themselves alone."""
    return 1024 * sum(kibibytes(f"/proc/{pid}/smaps_rollup", key) for pid in pids for key in ("Private_Clean:", "Private_Dirty:"))


class MemoryGroup:
    """A memory cgroup: counts what its processes bring into the page cache, and nobody else's. Version 2 or 1."""

    def __init__(self, name):
        if "memory" in self.controllers("/sys/fs/cgroup"):
            self.path, self.key = f"/sys/fs/cgroup/{name}", "file"
        elif os.path.exists("/sys/fs/cgroup/memory/memory.stat"):
            self.path, self.key = f"/sys/fs/cgroup/memory/{name}", "cache"
        else:
            raise Missing("there is no memory controller for cgroups")

    @staticmethod
    def controllers(top):
        """What version 2 counts in the groups below the top one."""
        with contextlib.suppress(OSError), open(f"{top}/cgroup.subtree_control") as file:
            return file.read().split()
        return []

    def __enter__(self):
        try:
            os.mkdir(self.path)
        except OSError as error:
            raise Missing(f"no cgroup can be made here: {error}") from error
        return self

    def __exit__(self, *_):
        await_true(self.remove, self.path)

    def remove(self):
        """Whether the group is gone, which it can be when its processes are."""
        with contextlib.suppress(OSError):
            os.rmdir(self.path)
        return not os.path.exists(self.path)

    def command(self, command):
        """The same command, inside of the group, as are all that it starts."""
        return ["sh", "-c", f'echo 0 >{self.path}/cgroup.procs && exec "$@"', "sh", *command]

    def cached(self):
        """Bytes in the page cache that the group brought there; shared memory, which a daemon may use, is no cache."""
        with open(f"{self.path}/memory.stat") as file:
            stat = dict(line.split() for line in file)
        return int(stat[self.key]) - int(stat.get("shmem", 0))
