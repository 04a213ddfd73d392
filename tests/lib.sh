# SPDX-License-Identifier: GPL-3.0-or-later
# lib.sh: what the shell tests share. A test begins with
#
#	. "$(dirname "$0")/../lib.sh"
#	need_root; need_fuse
#
# and then has an empty work directory $TMP, which is not its current directory. When it ends, however it ends, all that is
# mounted below $TMP is unmounted, the processes that it started are ended and $TMP is removed. A test that came to its
# end fails all the same when it left something mounted, a daemon complained on stderr, a sanitizer reported something or a
# daemon would not go away.
#
# From the Makefile: CAIRNFS, CAIRN and TREELIST name the programs, top_srcdir and top_builddir the directories. All have
# defaults, so that a test can be run by hand: sh tests/fs/NAME.sh (top_builddir=DIR for a build elsewhere than build/).
# shellcheck shell=sh

set -eu

# Root's tests have a mount namespace each: what is mounted in one would stay in namespaces that others make meanwhile, and live on
# there after it was unmounted.
if [ -z "${CAIRN_TEST_NAMESPACE:-}" ] && [ "$(id -u)" = 0 ] && unshare --mount true; then
	export CAIRN_TEST_NAMESPACE=own
	exec unshare --mount sh "$0" "$@"
fi

top_srcdir=$(cd "${top_srcdir:-$(dirname "$0")/../..}" && pwd)
top_builddir=$(cd "${top_builddir:-$top_srcdir/build}" && pwd)
: "${CAIRNFS:=$top_builddir/cairnfs}" "${CAIRN:=$top_builddir/cairn}" "${TREELIST:=$top_builddir/tests/treelist}"

# reachable PATH: whether other users get there, as whom some tests run programs. What cannot be asked is taken for so.
reachable() {
	[ "$(id -u)" != 0 ] || ! command -v setpriv >/dev/null ||
		setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$1"
}

umask 022
for base in "${TMPDIR:-/tmp}" /tmp /var/tmp; do
	! reachable "$base/." || break
done
TMP=$(mktemp -d "$base/cairn-test.XXXXXX")
TMP=$(cd "$TMP" && pwd -P)
chmod 755 "$TMP"
# What daemons and sanitizers say; not readable to them alone, for a test may start them as another user.
lib_log=$TMP/.log
mkdir -m 1777 "$lib_log"
stderr_count=0

# From a directory that others may not enter (a home, say) the programs are copied to where they get to them.
if ! reachable "$CAIRNFS"; then
	mkdir "$lib_log/bin"
	cp "$CAIRNFS" "$CAIRN" "$lib_log/bin"
	chmod 755 "$lib_log/bin" "$lib_log/bin"/*
	CAIRNFS=$lib_log/bin/${CAIRNFS##*/} CAIRN=$lib_log/bin/${CAIRN##*/}
fi

# Every process started from here on carries this mark, a detached daemon too: it is how they are found at the end.
CAIRN_TEST=$TMP
# The tool starts the daemon that was built, not an installed one.
CAIRN_CAIRNFS=$CAIRNFS
# Reports go to files, as a detached daemon has no stderr.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=1:exitcode=99:log_path=$lib_log/asan
UBSAN_OPTIONS=${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}print_stacktrace=1:halt_on_error=1:exitcode=99:log_path=$lib_log/ubsan
TSAN_OPTIONS=${TSAN_OPTIONS:+$TSAN_OPTIONS:}exitcode=99:log_path=$lib_log/tsan
export CAIRNFS CAIRN TREELIST top_srcdir top_builddir TMP
export CAIRN_TEST CAIRN_CAIRNFS ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS

# ---- outcomes ----

skip() {
	echo "skipped: $*"
	exit 77
}

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

need_root() {
	[ "$(id -u)" = 0 ] || skip "only for root"
}

need_fuse() {
	[ -c /dev/fuse ] || skip "no /dev/fuse"
	(: <>/dev/fuse) 2>"$lib_log/fuse" || skip "/dev/fuse cannot be opened"
}

# need PROGRAM...: skips when one of them is not installed.
need() {
	for program in "$@"; do
		command -v "$program" >"$lib_log/need" || skip "$program is not installed"
	done
}

# ---- mounting ----

# mount_cairnfs [OPTION...] DIR: runs the daemon with these arguments. Gives its exit status.
mount_cairnfs() {
	stderr_count=$((stderr_count + 1))
	mount_status=0
	"$CAIRNFS" "$@" 2>"$lib_log/stderr.$stderr_count" || mount_status=$?
	cat "$lib_log/stderr.$stderr_count" >&2
	return "$mount_status"
}

# mount_refused REGEX [OPTION...] DIR: the daemon must refuse, in one line that matches, and leave nothing mounted.
mount_refused() {
	refused_regex=$1
	shift
	expect_stderr "$refused_regex"
	mounts >"$lib_log/mounts.before"
	! mount_cairnfs "$@" || fail "not refused: cairnfs $*"
	mounts >"$lib_log/mounts.after"
	same "$lib_log/mounts.before" "$lib_log/mounts.after"
	[ "$(wc -l <"$lib_log/stderr.$stderr_count")" = 1 ] || fail "not one line on stderr: cairnfs $*"
	grep -qE -e "$refused_regex" "$lib_log/stderr.$stderr_count" ||
		fail "not refused with '$refused_regex': cairnfs $*"
}

is_cairnfs() {
	[ "$(tr '\0' ' ' 2>"$lib_log/none" <"/proc/$1/cmdline" | cut -d ' ' -f 1)" = "$CAIRNFS" ]
}

# daemon_process supervisor|worker: the pid of that process of each daemon that this test runs. The supervisor was started as
# "$CAIRNFS" and by no such process (it is the only one with --no-recover); workers are its children.
daemon_process() (
	for pid in $(marked_processes); do
		parent=$(sed 's/.*) . \([0-9]*\) .*/\1/' "/proc/$pid/stat" 2>"$lib_log/none") || continue
		if is_cairnfs "$parent"; then
			[ "$1" != worker ] || echo "$pid"
		elif is_cairnfs "$pid"; then
			[ "$1" != supervisor ] || echo "$pid"
		fi
	done
)

supervisor() {
	daemon_process supervisor
}

worker() {
	daemon_process worker
}

# expect_stderr REGEX: daemons may say lines that match, and one of them must.
expect_stderr() {
	printf '%s\n' "$1" >>"$lib_log/expected"
}

# background PROGRAM [ARGUMENT...]: runs it in the background, to be ended with the test; its process id is in $!. Returns
# once a signal would end it: one sent while this shell forks can get lost.
background() {
	touch "$lib_log/background"
	# shellcheck disable=SC2016 # the other shell's
	sh -c 'echo $$ >>"$0"; exec "$@"' "$lib_log/background" "$@" &
	wait_for grep -qx "$!" "$lib_log/background"
}

# wait_for COMMAND...: tries it until it succeeds, for 10 seconds.
wait_for() {
	for _ in $(seq 100); do
		! "$@" || return 0
		sleep 0.1
	done
	fail "waited in vain for: $*"
}

# rootless PROGRAM [ARGUMENT...]: runs it for user 12345 as root of a user namespace in which 65536 ids are mapped, as podman
# does, with mounts of its own and a /dev/fuse that is for all users, as on most systems.
rootless() {
	rm -f "$lib_log/pid" "$lib_log/go" "$lib_log/fuse-node"
	mkfifo -m 666 "$lib_log/pid" "$lib_log/go"
	mknod -m 666 "$lib_log/fuse-node" c 10 229
	# shellcheck disable=SC2016 # the other shells'
	LIB_LOG=$lib_log unshare -m --propagation private sh -ec '
		umount -a -l -t fuse.cairnfs # those of other tests would live on here
		mount --bind "$LIB_LOG/fuse-node" /dev/fuse
		exec setpriv --reuid 12345 --regid 12345 --clear-groups unshare -Um --propagation private sh -ec '"'"'
			echo $$ >"$LIB_LOG/pid"
			read -r _ <"$LIB_LOG/go"
			exec "$@"'"'"' sh "$@"' sh "$@" &
	rootless_child=$!
	read -r rootless_pid <"$lib_log/pid"
	printf '0 12345 1\n1 200000 65535\n' | tee "/proc/$rootless_pid/uid_map" >"/proc/$rootless_pid/gid_map"
	echo go >"$lib_log/go"
	wait "$rootless_child"
}

# ---- comparing ----

# treelist [--no-times|--no-ids|--dir-times]... DIR: a canonical listing of a tree.
treelist() {
	shared=$top_srcdir/../shared/bin/treelist
	if [ -x "$shared" ] && command -v python3 >"$lib_log/need"; then
		"$shared" "$@"
	else
		"$TREELIST" "$@"
	fi
}

# same FILE FILE
same() {
	cmp -s "$1" "$2" || {
		diff -a -u "$1" "$2" | head -n 50 >&2
		fail "$1 and $2 differ"
	}
}

# same_tree DIR DIR [TREELIST OPTION...]
same_tree() {
	tree_a=$1
	tree_b=$2
	shift 2
	treelist "$@" "$tree_a" >"$lib_log/tree.a"
	treelist "$@" "$tree_b" >"$lib_log/tree.b"
	same "$lib_log/tree.a" "$lib_log/tree.b"
}

# ---- the end ----

# The mount points below $TMP, deepest first. mountinfo writes odd characters as \ooo, which printf %b reads.
mounts() {
	while read -r _ _ _ _ point _; do
		case $point in
		*\\*) point=$(printf '%b' "$point") ;;
		esac
		case $point in
		"$TMP"/*) printf '%s\n' "$point" ;;
		esac
	done </proc/self/mountinfo | sort -r
}

# unmount POINT: a process that is just ending may keep it busy for a moment; -c, so that a hung daemon is not asked.
unmount() {
	for _ in $(seq 20); do
		! timeout 10 umount -c "$1" 2>"$lib_log/umount" || return 0
		sleep 0.1
	done
	cat "$lib_log/umount" >&2
	umount -c -l "$1"
}

unmount_all() {
	mounts | while IFS= read -r point; do
		unmount "$point"
	done
}

# The processes that carry our mark, but not this shell; in a subshell, so that the commands here do not carry it.
marked_processes() (
	unset CAIRN_TEST
	grep -lszFx "CAIRN_TEST=$TMP" /proc/[0-9]*/environ | sed 's|^/proc/\([0-9]*\)/.*|\1|' | grep -vFx "$$"
)

# Daemons end by themselves once unmounted; a sanitizer's leak check comes last and takes its time.
await_daemons() {
	for _ in $(seq 200); do
		running=$(marked_processes)
		[ "$running" ] || return 0
		sleep 0.05
	done
	for pid in $running; do
		echo "still running: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline")" >&2
		kill -9 "$pid" || :
	done
	return 1
}

# Shows what daemons said beyond what the test expects; fails when there is any, or when something expected is missing.
check_reports() {
	bad=0
	touch "$lib_log/expected"
	cat "$lib_log"/stderr.* >"$lib_log/said" 2>"$lib_log/none" || :
	while IFS= read -r regex; do
		grep -qE -e "$regex" "$lib_log/said" || { echo "not said on stderr: $regex" >&2 && bad=1; }
	done <"$lib_log/expected"
	if grep -vEf "$lib_log/expected" "$lib_log/said" | grep -iE 'error|warning|fault|abort|sanitizer|leak' >"$lib_log/bad"; then
		sed 's/^/on stderr: /' "$lib_log/bad" >&2
		bad=1
	fi
	for report in "$lib_log"/asan.* "$lib_log"/ubsan.* "$lib_log"/tsan.*; do
		[ -s "$report" ] || continue
		cat "$report" >&2
		bad=1
	done
	return "$bad"
}

cleanup() {
	status=$?
	trap '' HUP INT TERM
	set +e
	cd /
	touch "$lib_log/background"
	while read -r pid; do
		kill "$pid"
	done <"$lib_log/background" 2>"$lib_log/none"
	if [ "$status" = 0 ] && [ -n "$(mounts)" ]; then
		mounts | sed 's/^/still mounted: /' >&2
		status=1
	fi
	unmount_all
	await_daemons || status=$((status ? status : 1))
	# A process may have been mounting something when it was told to end.
	unmount_all
	check_reports || { [ "$status" != 0 ] && [ "$status" != 77 ]; } || status=1
	[ -n "$(mounts)" ] || rm -rf --one-file-system "$TMP"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
