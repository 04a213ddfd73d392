#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Limits that a shell can set, and signals that it can have ignored: what is called with them works, or says why in one line and
# leaves nothing, no mount that nobody serves above all.
. "$(dirname "$0")/../tools/lib.sh"
need_root
need_fuse
need tar setpriv

cd "$TMP"
mkdir l u w m
echo lower >l/f

# limited LIMIT...: the daemon with these limits (of ulimit), and without the right to lift them.
limited() {
	# What it says goes through a pipe, which no limit shortens.
	# shellcheck disable=SC2016 # the other shell's
	{
		setpriv --bounding-set -sys_resource sh -c 'ulimit "$@" && exec "$CAIRNFS" -o lowerdir=l,upperdir=u,workdir=w m' sh "$@" 2>&1 &&
			echo 0 >status || echo 1 >status
	} | cat >said
	status=$(cat status)
	if [ "$status" = 0 ]; then
		[ "$(cat m/f)" = lower ] || fail "$*: does not serve"
		echo written >m/new
		umount m
	else
		[ "$(wc -l <said)" = 1 ] || fail "$*: not one line: $(cat said)"
		[ -z "$(mounts)" ] || fail "$*: a mount is left: $(mounts)"
	fi
	echo "ulimit $*: $status $(cat said)"
}
for limit in 0 1 100 10000 100000; do
	limited -f "$limit"
done
case ${ASAN_OPTIONS:-}$(ldd "$CAIRNFS") in
*libasan*) ;; # it takes terabytes for itself
*)
	for limit in 30000 60000 120000 500000; do
		limited -v "$limit"
	done
	;;
esac
for limit in 6 8 12 64; do
	limited -n "$limit"
done

# Signals that who called us ignores, or has blocked.
(
	trap '' HUP TERM USR1 USR2 CHLD PIPE XFSZ
	mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
)
[ "$(cat m/f)" = lower ] || fail "signals ignored"
kill "$(supervisor)"
gone() {
	[ -z "$(mounts)" ]
}
wait_for gone

# ---- the tool ----

two_layers
oci_layout app 1 cat low.tar high.tar
head -c 3000000 /dev/zero >l/big
tar -cf big.tar -C l big
oci_layout big 1 cat big.tar
cairn import app >out
cairn images >before
for limit in "-f 100" "-n 8" "-n 12"; do
	# shellcheck disable=SC2016,SC2086 # the other shell's; words
	fails 1 . sh -c 'ulimit $1 $2 && exec "$CAIRN" --root "$3" import "$4"' sh $limit "$store" big
	sweep
	nothing_left
	cairn images >after
	same before after
done
case ${ASAN_OPTIONS:-}$(ldd "$CAIRN") in
*libasan*) ;;
*)
	# shellcheck disable=SC2016 # the other shell's
	sh -c 'ulimit -v 400000 && exec "$CAIRN" --root "$1" images' sh "$store" >after
	same before after
	;;
esac
