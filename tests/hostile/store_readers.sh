#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Listings only read: they work on a read-only disk, beside a command that takes long, and after readers and writers that were
# killed; and whose store it is, is asked of the user namespace.
. "$(dirname "$0")/../tools/lib.sh"
need_root
need tar strace

two_layers
oci_layout "$TMP/app" 1 cat "$TMP/low.tar" "$TMP/high.tar"
cairn import "$TMP/app" >"$TMP/out"
cairn images >"$TMP/before"

# ---- nothing is written, nor waited for ----
for listing in images "images --json" containers "containers --json"; do
	# shellcheck disable=SC2086 # words
	ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -f -e trace=openat,flock,mkdirat,unlinkat,renameat,renameat2 -o "$TMP/trace" "$CAIRN" --root "$store" $listing >"$TMP/out"
	! grep -E 'O_RDWR|O_WRONLY|O_CREAT|LOCK_EX|mkdirat|unlinkat|renameat' "$TMP/trace" | grep -v '"/dev/null"' || fail "$listing writes"
done

# ---- a caller without standard streams: nothing of ours comes to stand where messages are written ----
ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 strace -f -e trace=openat,open -o "$TMP/trace" \
	sh -c 'exec "$@" <&- >&- 2>&-' sh "$CAIRN" --root "$store" rm absent && fail "an image that is not there was removed"
sed -n '/ = [012]$/p' "$TMP/trace" | grep -v /dev/null | grep -F "$store" && fail "the store stands where messages are written"

# ---- a read-only disk ----
mount --bind "$store" "$store"
mount -o remount,ro,bind "$store"
cairn images >"$TMP/after"
same "$TMP/before" "$TMP/after"
cairn containers >"$TMP/out"
fails 1 "Read-only file system" cairn rm app:1
umount "$store"

# ---- beside an import that waits for its archive ----
mkfifo "$TMP/pipe"
background "$CAIRN" --root "$store" import --tag late "$TMP/pipe"
exec 9>"$TMP/pipe"
cairn images >"$TMP/after"
same "$TMP/before" "$TMP/after"
exec 9>&-
wait "$!" || :

# ---- whose store it is ----
home=$TMP/home
mkdir "$home"
# shellcheck disable=SC2016 # the other shell's
HOME=$home unshare -Ur sh -c '"$CAIRN" images >"$TMP/out"' || fail "in a user namespace"
[ -d "$home/.local/share/cairn" ] || fail "root of a user namespace has not the user's store"
