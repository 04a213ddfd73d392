#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Passthrough for a daemon of an ordinary user in a user namespace, by cairn-backing: what is read and written goes past the
# daemon. What the user could not do to a file is not to be had by way of it. And as root, without a helper.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need setpriv unshare
: "${ONEFILE:=$top_builddir/tests/backing/onefile}" "${CAIRN_BACKING:=$top_builddir/cairn-backing}"
cp "$ONEFILE" "$CAIRN_BACKING" "$lib_log"
ONEFILE=$lib_log/onefile
export ONEFILE
cd "$TMP"
mkdir m
user=12345

# start OPTION... MOUNTPOINT FILE: the daemon, as root.
start() {
	background "$ONEFILE" "$@" >said
	daemon=$!
	wait_for grep -q " $TMP/m " /proc/self/mountinfo
}

# said WORD...: the daemon said that, each once or several times, and nothing else.
said() {
	printf '%s\n' "$@" | sort -u >expected
	sort -u said >found
	same expected found
}

stop() {
	umount m
	wait "$daemon"
}

# ---- as root ----

echo one >file
start m file
[ "$(cat m/file)" = one ]
echo two >>m/file
stop
[ "$(cat file)" = "one
two" ]
if grep -q '^no passthrough' said; then
	skip "this kernel has no FUSE passthrough"
fi
said id

# ---- a user in a namespace ----

# /dev/fuse is for all users on most systems; this mount goes with the test's namespace.
mknod -m 666 "$lib_log/fuse-node" c 10 229
mount --bind "$lib_log/fuse-node" /dev/fuse
mkdir user
chown "$user:$user" user

# as_user COMMAND OPTION...: the daemon mounts user/file at user/m in namespaces of its own, and then there is COMMAND.
as_user() {
	command=$1
	shift
	# shellcheck disable=SC2016 # the other shell's
	CMD=$command setpriv --reuid "$user" --regid "$user" --clear-groups unshare -Urm --propagation private sh -euc '
		cd "$TMP/user"
		mkdir -p m
		"$ONEFILE" "$@" m "${FILE:-file}" >said &
		for _ in $(seq 100); do
			! grep -q " $TMP/user/m " /proc/self/mountinfo || break
			sleep 0.05
		done
		status=0
		sh -euc "$CMD" || status=$?
		umount m
		wait $!
		exit $status' sh "$@"
	cp user/said said
}

# Reading past the daemon, or not.
past='[ "$(cat m/file)" = one ]; echo two >>m/file; [ "$(cat file)" = "one
two" ]'
not_past='[ "$(cat m/file)" = daemon ]; echo two >>m/file'

new_file() {
	rm -f user/file
	echo one >user/file
	chown "$user:$user" user/file
}

new_file
as_user "$not_past"
said 'refused EPERM' unusable read write
as_user "$not_past" --socket "$TMP/socket"
said 'refused EPERM' unusable read write

background "$lib_log/cairn-backing" --socket "$TMP/socket" --limit 1 2>refusals
helper=$!
wait_for [ -S socket ]
[ "$(stat -c %a:%u:%g socket)" = 660:0:0 ]
# Who may not connect.
as_user "$not_past" --socket "$TMP/socket"
said 'refused EPERM' unusable read write
chmod 666 socket
as_user "$past" --socket "$TMP/socket"
said id
[ ! -s refusals ]
# The first one's id was given back: there is only one to be had.
new_file
as_user "$past" --socket "$TMP/socket"
said id

# refused ERRNO OPTION...: of this file, and nothing has changed.
refused() {
	errno=$1
	shift
	new_file
	as_user "$not_past" --socket "$TMP/socket" "$@"
	said "refused $errno" read write
	[ "$(cat user/file)" = one ]
}

refused EACCES --access r
grep -q "^cairn-backing: refused to user $user, process [0-9]*: a descriptor that is not open for reading and writing" refusals
refused EACCES --access w
refused EACCES --access path
refused EACCES --access append

# A file that the user can only read stays as it is, also if the mount that it comes by was read-only at first.
echo one >readable
chmod 644 readable
FILE=$TMP/readable
export FILE
as_user "$not_past" --socket "$TMP/socket" --access r
said 'refused EACCES' read write
unset FILE
mkdir user/bound
# shellcheck disable=SC2016 # the other shell's
setpriv --reuid "$user" --regid "$user" --clear-groups unshare -Urm --propagation private sh -euc '
	cd "$TMP/user"
	mount --bind "$TMP" bound
	mount -o remount,bind,ro bound
	"$ONEFILE" --socket "$TMP/socket" --access r m bound/readable >said &
	for _ in $(seq 100); do
		! grep -q " $TMP/user/m " /proc/self/mountinfo || break
		sleep 0.05
	done
	[ "$(cat m/file)" = daemon ]
	umount m
	wait $!'
cp user/said said
said 'refused EACCES' read
[ "$(cat readable)" = one ]

# ---- its end ----

kill "$helper"
wait "$helper" || fail "cairn-backing did not end as it should"
[ ! -e socket ]
# What is left of one that was killed is in nobody's way; what somebody listens at is.
background "$lib_log/cairn-backing" --socket "$TMP/socket"
wait_for [ -S socket ]
! "$lib_log/cairn-backing" --socket "$TMP/socket" 2>refusals || fail "two at one socket"
grep -q 'Address already in use' refusals
kill -9 $!
wait $! || :
background "$lib_log/cairn-backing" --socket "$TMP/socket"
helper=$!
wait_for sh -c 'grep -q " $TMP/socket\$" /proc/net/unix'
kill "$helper"
wait "$helper"

# ---- bad input: one line, and what it is about ----

bad() {
	! "$lib_log/cairn-backing" "$@" >out 2>&1 || fail "not refused: cairn-backing $*"
}
bad
grep -q 'no socket from systemd, and no --socket: ' out
[ "$(wc -l <out)" = 1 ]
bad --limit 0
bad --limit 1x
bad --socket "$TMP/nowhere/socket"
grep -q "^cairn-backing: $TMP/nowhere/socket: No such file or directory" out
bad --socket "$TMP/file"
grep -q "^cairn-backing: $TMP/file: Address already in use" out
[ -f file ]
