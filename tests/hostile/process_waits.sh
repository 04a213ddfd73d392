#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Forty requests that wait for the branch, each for a lease on a file of it that its holder keeps, stop nobody else; and all of
# them are answered in the end, also by a worker after the one that had them.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3

cd "$TMP"
mkdir l u w m
for i in $(seq 40); do
	echo "leased $i" >"l/leased-$i"
done
echo lower >l/f
# waits OPTION...: mounts with these, has all wait, and looks whether others are served.
waits() {
	rm -f leasing enough
	mount_cairnfs "$@" -o lowerdir=l,upperdir=u,workdir=w m
	background python3 "$top_srcdir/tests/lease.py" --ready leasing --until enough l/leased-*
	holder=$!
	wait_for test -e leasing
	readers=
	for i in $(seq 40); do
		timeout 120 cat "m/leased-$i" >"out-$i" &
		readers="$readers $!"
	done
	all_wait() {
		[ "$(grep -c "LEASE *BREAKING *[A-Z]* *$holder " /proc/locks)" -ge 40 ]
	}
	wait_for all_wait
	timeout 20 cat m/f >got || fail "$*: the mount waits with them"
	timeout 20 touch m/new || fail "$*: the mount waits with them"
	[ $# -gt 0 ] || {
		kill -9 "$(worker)"
		timeout 60 ls m >got || fail "another worker waits with them"
	}
	touch enough
	wait "$holder"
	for reader in $readers; do
		wait "$reader" || fail "$*: one of those that waited got no answer"
	done
	for i in $(seq 40); do
		[ "$(cat "out-$i")" = "leased $i" ] || fail "$*: $i: $(cat "out-$i")"
	done
	umount m
}
waits
waits --no-recover
