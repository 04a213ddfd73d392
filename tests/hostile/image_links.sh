#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A file with a thousand names in a branch: what a listing of them asks of the branch grows as their number does, and not as its
# square.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need strace

cd "$TMP"
mkdir l u w m
echo linked >l/0
(cd l && seq 1000 | xargs -n 1 ln 0)
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
strace -f -q -c -e trace=openat2,openat,newfstatat -p "$(worker)" -o counts 2>attached &
tracer=$!
wait_for grep -q "^TracerPid:[[:space:]]*$tracer$" "/proc/$(worker)/status"
ls -l m >listed
[ "$(wc -l <listed)" = 1002 ] || fail "not all names"
kill "$tracer"
wait "$tracer" || :
total=$(awk '$NF ~ /^(openat2|openat|newfstatat)$/ { n += $4 } END { print n + 0 }' counts)
[ "$total" -gt 0 ] && [ "$total" -lt 30000 ] || fail "$total calls for 1001 names"
umount m
