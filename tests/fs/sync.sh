#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# syncfs(2) does not reach a daemon: fsync(2) of the root does its work, that of another directory is its own, and a volatile
# mount does neither. Counted in system calls of the worker.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need strace python3

cd "$TMP"

# traced DIR: the calls that fsync(2) of DIR makes the worker make.
traced() {
	strace -f -q -e trace=syncfs,fsync,fdatasync -p "$(worker)" -o trace 2>attached &
	tracer=$!
	wait_for grep -q "^TracerPid:[[:space:]]*$tracer$" "/proc/$(worker)/status"
	python3 -c 'import os, sys; os.fsync(os.open(sys.argv[1], os.O_RDONLY))' "$1"
	kill "$tracer"
	wait "$tracer" || :
	grep -oE '(syncfs|fsync|fdatasync)\(' trace | tr -d '(\n' || :
}

mkdir -p lower upper work m
mount_cairnfs -o lowerdir=lower,upperdir=upper,workdir=work m
mkdir m/dir
[ "$(traced m)" = syncfs ] || fail "fsync of the root: $(cat trace)"
[ "$(traced m/dir)" = fsync ] || fail "fsync of a directory: $(cat trace)"
umount m
mount_cairnfs -o lowerdir=lower,upperdir=upper,workdir=work,volatile m
[ -z "$(traced m)" ] || fail "a volatile mount syncs: $(cat trace)"
umount m
