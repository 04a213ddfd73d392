#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# No cost grows faster than its work: four times as many names, in directories that merge, take at most five times as many system
# calls of the worker's, whatever is done with them. Calls are counted, not seconds, so the result does not depend on the machine.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need strace python3

cd "$TMP"
cat >jobs.py <<'END'
import os, sys

job, n, top = sys.argv[1], int(sys.argv[2]), sys.argv[3]
at = lambda *names: os.path.join(top, *names)

def make_lower():
    for name in "files", "dirs", "links":
        os.makedirs(at(name))
    for i in range(n):
        open(at("files", f"f{i}"), "w").write("lower")
        os.mkdir(at("dirs", f"d{i}"))
        open(at("dirs", f"d{i}", "f"), "w").write("lower")
        if i == 0:
            open(at("links", "l0"), "w").write("lower")
        else:
            os.link(at("links", "l0"), at("links", f"l{i}"))

def each(what):
    def run():
        for i in range(n):
            what(i)
    return run

def write(path, mode):
    with open(path, mode) as file:
        file.write("more")

def list_all():
    for name in "files", "dirs", "links":
        for entry in os.listdir(at(name)):
            os.stat(at(name, entry))

def remove_tree(i):
    os.unlink(at("dirs", f"d{i}", "f"))
    os.rmdir(at("dirs", f"d{i}"))

def replace(i):
    write(at("files", "new"), "w")
    os.replace(at("files", "new"), at("files", f"f{i}"))

def link_in_upper():
    write(at("links", "one"), "w")
    for i in range(n):
        os.link(at("links", "one"), at("links", f"one{i}"))
    for i in range(n):
        os.unlink(at("links", f"one{i}"))

jobs = {
    "make-lower": make_lower,
    "list": list_all,
    "create": each(lambda i: write(at("files", f"n{i}"), "w")),
    "create-and-ask": each(lambda i: (write(at("files", f"n{i}"), "w"), os.stat(at("files")))),
    "mkdir": each(lambda i: (os.mkdir(at("dirs", f"n{i}")), os.stat(at("dirs")))),
    "symlink": each(lambda i: os.symlink("x", at("files", f"n{i}"))),
    "unlink": each(lambda i: os.unlink(at("files", f"f{i}"))),
    "rmdir": each(remove_tree),
    "rename": each(lambda i: os.rename(at("files", f"f{i}"), at("files", f"r{i}"))),
    "rename-dirs": each(lambda i: os.rename(at("dirs", f"d{i}"), at("dirs", f"r{i}"))),
    "move-dirs": each(lambda i: os.rename(at("dirs", f"d{i}"), at("files", f"d{i}"))),
    "replace": each(replace),
    "append": each(lambda i: write(at("files", f"f{i}"), "a")),
    "chmod": each(lambda i: os.chmod(at("files", f"f{i}"), 0o600)),
    "setxattr": each(lambda i: os.setxattr(at("files", f"f{i}"), "user.x", b"y")),
    "link": link_in_upper,
    "unlink-links": each(lambda i: (os.unlink(at("links", f"l{i}")), os.stat(at("links")))),
    "stat-links": each(lambda i: os.stat(at("links", f"l{i}"))),
    "append-links": each(lambda i: write(at("links", f"l{i}"), "a")),
}
jobs[job]()
END

# calls JOB N: how many system calls the worker makes for it, on a mount of its own.
calls() {
	mkdir l u w m
	python3 jobs.py make-lower "$2" l
	mkdir u/files u/dirs u/links
	mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w,fsync=0 m
	worker=$(worker)
	background strace -f -q -c -U calls,name -o count -p "$worker"
	tracer=$!
	# shellcheck disable=SC2317 # called by wait_for
	traced() {
		grep -q "^TracerPid:[[:space:]]*$tracer$" "/proc/$worker/status"
	}
	wait_for traced
	python3 jobs.py "$1" "$2" m
	kill -INT "$tracer"
	wait "$tracer" || :
	umount m
	rm -rf l u w m
	awk '$NF == "total" { print $1 }' count
}

slow=
for job in list create create-and-ask mkdir symlink unlink rmdir rename rename-dirs move-dirs replace append chmod setxattr link \
	unlink-links stat-links append-links; do
	few=$(calls $job 100)
	many=$(calls $job 400)
	echo "$job: $few calls for 100, $many for 400"
	[ "$few" -ge 10 ] || fail "$job: $few calls: nothing was counted"
	[ "$many" -le $((few * 5)) ] || slow="$slow $job"
	# To find all names of a file each directory is listed once, however many names it has: two calls, and a few to merge.
	listings=$(awk '$NF == "getdents64" { print $1 }' count)
	[ "$job" != stat-links ] || [ "${listings:-0}" -le 900 ] || fail "$job: ${listings:-0} calls to list 403 directories"
	[ "$job" != stat-links ] || echo "$job: ${listings:-0} calls to list 403 directories"
done
[ ! "$slow" ] || fail "more than five times as many calls for four times as many names:$slow"
