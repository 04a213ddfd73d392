#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The tests' own library must notice what it is there to notice, and leave nothing behind. The daemon is a stand-in.
# shellcheck disable=SC2016 # the texts of tests are for another shell
. "$(dirname "$0")/../lib.sh"

cat >"$TMP/cairnfs" <<'END'
#!/bin/sh
case $1 in
complain) echo "cairnfs: an error" >&2 ;;
refuse) echo "cairnfs: no such option" >&2; exit 1 ;;
linger) sleep 60 >/dev/null 2>&1 & ;;
report) echo "ERROR: LeakSanitizer" >"${ASAN_OPTIONS##*log_path=}.1" ;;
esac
END
chmod +x "$TMP/cairnfs"

# outcome STATUS SCRIPT: a test of this text must end so, and its work directory be gone.
outcome() {
	mkdir -p "$TMP/work"
	got=0
	printf '. "%s/tests/lib.sh"\n%s\n' "$top_srcdir" "$2" >"$TMP/a-test"
	TMPDIR=$TMP/work CAIRNFS=$TMP/cairnfs sh "$TMP/a-test" >"$TMP/out" 2>&1 || got=$?
	[ "$got" = "$1" ] || { cat "$TMP/out" >&2 && fail "status $got, not $1: $2"; }
	rmdir "$TMP/work" || fail "left behind: $2"
}

# What other tests mount is not kept alive by namespaces that this one makes, nor the other way round.
[ "$(id -u)" != 0 ] || [ "$(readlink /proc/self/ns/mnt)" != "$(readlink /proc/1/ns/mnt)" ] || fail "in everybody's mount namespace"

outcome 0 'mount_cairnfs DIR'
outcome 1 'false; true'
outcome 1 'fail wrong'
outcome 77 'skip "no reason"'
outcome 77 'need no-such-program'
outcome 1 'kill -TERM $$; sleep 5'
outcome 1 'mount_cairnfs complain'
outcome 0 'expect_stderr "an error$"; mount_cairnfs complain'
outcome 1 'expect_stderr "another"; mount_cairnfs complain'
outcome 1 'mount_cairnfs refuse'
outcome 0 'mount_refused "no such option" refuse'
outcome 1 'mount_refused "a wrong reason" refuse'
outcome 1 'mount_refused "." DIR'
outcome 1 'mount_cairnfs report'
outcome 1 'mount_cairnfs linger'
outcome 0 'background sleep 60'
outcome 0 'echo a >"$TMP/a"; cp "$TMP/a" "$TMP/b"; same "$TMP/a" "$TMP/b"'
outcome 1 'echo a >"$TMP/a"; echo b >"$TMP/b"; same "$TMP/a" "$TMP/b"'

# What follows mounts.
need_root
outcome 0 'mkdir "$TMP/a b"; mount -t tmpfs none "$TMP/a b"; umount "$TMP/a b"'
outcome 1 'mkdir "$TMP/a b"; mount -t tmpfs none "$TMP/a b"; mkdir "$TMP/a b/c"; mount -t tmpfs none "$TMP/a b/c"'
grep -q '^still mounted: .*/a b/c$' "$TMP/out" || fail "not said what is mounted: $(cat "$TMP/out")"
outcome 1 'mkdir "$TMP/a"; mount -t tmpfs none "$TMP/a"; cd "$TMP/a"; background sleep 60'
outcome 1 'mkdir "$TMP/a"; mount -t tmpfs none "$TMP/a"; cd "$TMP/a"; fail wrong'
