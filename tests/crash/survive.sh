#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Real work goes on while the daemon's worker is killed, or replaced by an upgrade, once a second: a compilation, dpkg -i of 20
# packages and SQLite with both kinds of journal give what they give in a plain copy of the same tree, no process sees an
# error, and the supervisor is the same and no bigger. Run by `make check-survive`.
#
# SURVIVE_MODES (kill upgrade) and SURVIVE_JOBS (below) choose; CAIRN_DEBIAN_ROOT names a Debian root for dpkg to use instead of
# one that mmdebstrap makes. A job is repeated until there were enough disturbances, each time with the same result.
# shellcheck disable=SC2016 # what is quoted is for other shells
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
: "${CC:=cc}" "${SURVIVE_MODES:=kill upgrade}" "${SURVIVE_JOBS:=compile dpkg sqlite_delete sqlite_wal}"
need make sqlite3 "$CC"
enough=10   # disturbances; then a job is not begun again
required=5  # in each job
most=50     # times that a job is done: the disturber is not at work then
export CC

cd "$TMP"

# ---- the disturber ----

# disturb MODE SUPERVISOR: once a second until there is a file `stop`, and at least once; a line in `disturbances` for each new
# worker that came of it, and what went wrong in `trouble`.
cat >disturb <<'END'
workers() {
	cat "/proc/$supervisor/task/$supervisor/children"
}
trouble() {
	echo "$*" >>trouble
	exit 1
}
mode=$1 supervisor=$2 new=
while
	set -- $(workers)
	[ $# = 1 ] || trouble "workers: $*"
	[ "$1" = "${new:-$1}" ] || trouble "worker $new ended by itself"
	old=$1 new=
	case $mode in
	kill) kill -9 "$old" ;;
	upgrade) kill -USR2 "$supervisor" ;;
	esac
	tries=0
	while [ -z "$new" ]; do
		set -- $(workers)
		[ $# != 1 ] || [ "$1" = "$old" ] || new=$1
		tries=$((tries + 1))
		[ $tries -lt 1000 ] || trouble "no new worker after $old"
		sleep 0.02
	done
	echo "$new" >>disturbances
	[ ! -e stop ]
do
	sleep 1
done
END

# What must not grow. A new worker's pipe is closed once it has spoken, so that the figures need not be right at once.
supervisor_figures() {
	echo "descriptors: $(find "/proc/$supervisor/fd" -type l | wc -l)"
	echo "mappings: $(wc -l <"/proc/$supervisor/maps")"
	grep VmSize "/proc/$supervisor/status"
}
has_not_grown() {
	supervisor_figures >figures
	cmp -s figures.before figures
}

# ---- compile: 200 files and a header that all of them include, twice ----

compile_make() {
	mkdir "$1" "$1/src" "$1/tmp"
	cat >"$1/common.h" <<'END'
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define SEED 0
static inline uint32_t mix(uint32_t x)
{
	x = (x ^ (x >> 16)) * 0x45d9f3bu + SEED;
	return x ^ (x >> 15);
}
END
	cat >"$1/Makefile" <<'END'
objects := $(patsubst src/%.c,obj/%.o,$(sort $(wildcard src/*.c)))
program: $(objects)
	$(CC) -o $@ $^
obj/%.o: src/%.c | obj
	$(CC) -O2 -MMD -c -o $@ $<
obj:
	mkdir obj
-include $(objects:.o=.d)
END
	awk -v dir="$1/src" 'BEGIN {
		main = dir "/main.c"
		print "#include \"../common.h\"" >main
		for (f = 0; f < 200; f++) {
			file = sprintf("%s/f%03d.c", dir, f)
			print "#include \"../common.h\"" >file
			for (g = 0; g < 12; g++) {
				printf "static uint32_t g%d(uint32_t x, char *s, size_t n)\n{\n", g >file
				printf "\tuint32_t i, y = %d;\n\n", f * 1009 + g >file
				printf "\tfor (i = 0; i < x %% %d; i++)\n\t\ty = y * %du + mix(y ^ i);\n", g + 5, 2 * f + 3 >file
				printf "\tsnprintf(s, n, \"%%u-%%08x\", %d + x, y);\n", g >file
				printf "\treturn y + (uint32_t)strlen(s);\n}\n" >file
			}
			printf "uint32_t f%03d(uint32_t x)\n{\n\tchar s[64];\n\tuint32_t y = x;\n\n", f >file
			for (g = 0; g < 12; g++)
				printf "\ty ^= g%d(y, s, sizeof(s));\n", g >file
			print "\treturn y;\n}" >file
			close(file)
			printf "uint32_t f%03d(uint32_t x);\n", f >main
		}
		print "int main(void)\n{" >main
		for (f = 0; f < 200; f++)
			printf "\tprintf(\"%%u\\n\", f%03d(%d));\n", f, f * 7 >main
		print "\treturn 0;\n}" >main
	}'
}

# The compiler's temporary files are on the mount too.
compile_run() {
	cd "$1" && timeout 600 sh -ec '
		unset MAKEFLAGS MFLAGS MAKELEVEL # of `make check-survive`
		export LC_ALL=C TMPDIR=tmp
		rm -rf obj program
		for seed in 1 2; do
			sed -i "s/SEED .*/SEED $seed/" common.h
			make -s -j2
			make -q
			./program >"output.$seed"
		done
		! cmp -s output.1 output.2
		ls tmp'
}

compile_result() {
	treelist --no-times "$1"
}

# ---- dpkg: 20 packages that need none but those of any root ----

packages="cpio dc dos2unix ed figlet gperf hello less libyaml-0-2 m4 make patch psmisc pv rename time tree unzip xxd zip"

# The root's own apt fetches them, with lists and a cache that do not stay.
dpkg_fetch() {
	mkdir -p plain.dpkg/debs/lists/partial plain.dpkg/debs/cache/archives/partial
	cp /etc/resolv.conf plain.dpkg/etc/resolv.conf
	chroot plain.dpkg sh -ec 'cd /debs
		apt() {
			apt-get -q -o APT::Sandbox::User=root -o Dir::State::Lists=/debs/lists -o Dir::Cache=/debs/cache "$@"
		}
		apt update
		apt download '"$packages" >fetch.log 2>&1 || return 1
	rm -rf plain.dpkg/debs/lists plain.dpkg/debs/cache
	cp -a plain.dpkg/debs debs
	cp plain.dpkg/etc/resolv.conf resolv.conf
}

dpkg_make() {
	if [ -d "${CAIRN_DEBIAN_ROOT:-}" ]; then
		ln -s "$(realpath "$CAIRN_DEBIAN_ROOT")" "$1"
	else
		command -v mmdebstrap >out && mmdebstrap --quiet --variant=apt bookworm "$1" >fetch.log 2>&1 || return 1
	fi
	cp -a "$(realpath "$1")" plain.dpkg
	dpkg_fetch
}

dpkg_prepare() {
	cp -a debs "$1/"
	cp resolv.conf "$1/etc/resolv.conf"
}

# What is purged is not there the first time, which dpkg warns of.
dpkg_run() {
	timeout 600 chroot "$1" sh -ec 'export LC_ALL=C HOME=/root DEBIAN_FRONTEND=noninteractive
		dpkg -P '"$packages"' >/tmp/purge.log 2>&1 || { cat /tmp/purge.log && exit 1; }
		rm -f /tmp/purge.log
		: >/var/log/dpkg.log
		: >/var/log/alternatives.log
		dpkg -i /debs/*.deb
		hello
		make --version'
}

# ldconfig's cache holds inode numbers and times of change; the logs are compared without times.
dpkg_result() {
	treelist --no-times "$1" | grep -vE '^/(var/cache/ldconfig/aux-cache|var/log/(dpkg|alternatives)\.log)	'
	sed 's/[-0-9]* [0-9:]* //' "$1/var/log/dpkg.log" "$1/var/log/alternatives.log"
}

# ---- sqlite: many transactions by ten processes, one after the other ----

# sqlite_make DIR: a database that is changed, and what to do with it.
sqlite_make() {
	mkdir "$1"
	sqlite3 "$1/db" >out <<END
PRAGMA journal_mode=${job#sqlite_};
CREATE TABLE old(id INTEGER PRIMARY KEY, text TEXT);
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000)
	INSERT INTO old SELECT i, printf('%.200c', char(65 + i % 26)) FROM c;
END
	awk -v mode="${job#sqlite_}" -v dir="$1" 'BEGIN {
		for (i = 0; i < 3000; i++) {
			file = sprintf("%s/part-%d", dir, i / 300)
			if (i == 0) {
				print "PRAGMA journal_mode=" mode ";\nDROP TABLE IF EXISTS t;" >file
				print "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, text TEXT);" >file
				print "CREATE INDEX by_n ON t(n);" >file
			}
			print "BEGIN IMMEDIATE;" >file
			for (k = 0; k < 5; k++)
				printf "INSERT INTO t VALUES(%d, %d, printf(\"%%.*c\", %d, char(%d)));\n",
					i * 5 + k, (i * 7919 + k) % 10007, 20 + (i * 31 + k) % 900, 65 + (i + k) % 26 >file
			printf "UPDATE t SET n = n + %d, text = substr(text, 3) || id WHERE id %% 307 = %d;\n", i, i % 307 >file
			printf "DELETE FROM t WHERE id %% 1013 = %d;\n", i % 1013 >file
			printf "UPDATE old SET text = %d || substr(text, 1, 190) WHERE id = %d;\nCOMMIT;\n", i, i + 1 >file
			if (i % 50 == 49)
				print "SELECT count(*), sum(n), sum(id * n), sum(length(text)) FROM t;" >file
			if (i == 1450)
				print "CREATE INDEX by_text ON t(text, id);\nVACUUM;" >file
		}
		print "VACUUM;\nPRAGMA journal_mode;\nPRAGMA integrity_check;" >file
	}'
}

sqlite_run() {
	cd "$1" && timeout 600 sh -ec 'for i in 0 1 2 3 4 5 6 7 8 9; do sqlite3 -bail db <part-$i; done' &&
		[ "$(sqlite3 db "PRAGMA integrity_check")" = ok ]
}

# The table that was there holds what the last change of each row left.
sqlite_result() {
	sqlite3 "$1/db" "PRAGMA integrity_check" "SELECT count(*) FROM t INDEXED BY by_n WHERE n >= 0" \
		"SELECT count(*) FROM t INDEXED BY by_text WHERE text >= ''" ".dump t"
}

# ---- a job, undisturbed and disturbed ----

# do_job DIR: once; its output and its result are in `got`.
do_job() {
	("${kind}_run" "$1") >got 2>&1 || { tail -n 50 got >&2 && fail "$mode: $job failed"; }
	"${kind}_result" "$1" >>got
}

# plain_job: what is to be expected.
plain_job() {
	mode=undisturbed
	[ -e "plain.$job" ] || cp -a "lower.$job" "plain.$job"
	do_job "plain.$job"
	mv got "expected.$job"
	rm -rf --one-file-system "plain.$job"
	treelist --dir-times "$(realpath "lower.$job")" >"before.$job"
}

mount_job() {
	mount_cairnfs -o "lowerdir=$(realpath "lower.$job"),upperdir=$TMP/upper,workdir=$TMP/work" m
	supervisor=$(supervisor)
}

# The first disturbance does not count: the first death of a worker opens the system's log.
begin_disturbing() {
	touch stop
	rm -f disturbances trouble
	sh disturb "$mode" "$supervisor" || fail "$mode: $(cat trouble)"
	ls m >out
	sleep 0.5
	supervisor_figures >figures.before
	rm disturbances stop
	touch disturbances
	background sh disturb "$mode" "$supervisor"
	disturber=$!
}

end_disturbing() {
	touch stop
	wait "$disturber" || fail "$mode: $job: $(cat trouble)"
	[ "$count" -ge "$required" ] || fail "$mode: $job: only $count disturbances"
	[ "$(supervisor)" = "$supervisor" ] || fail "$mode: $job: another supervisor"
	ls m >out
	for _ in $(seq 50); do
		! has_not_grown || break
		sleep 0.1
	done
	same figures.before figures
}

disturbed_job() {
	rm -rf upper work
	mkdir -p upper work m
	mount_job
	[ "$kind" != dpkg ] || dpkg_prepare m
	begin_disturbing
	started=$(date +%s)
	times=0 count=0
	while [ "$count" -lt "$enough" ] && [ $times -lt "$most" ] && [ ! -e trouble ]; do
		do_job m
		same "expected.$job" got
		times=$((times + 1))
		count=$(wc -l <disturbances)
	done
	seconds=$(($(date +%s) - started))
	end_disturbing
	after_job
	echo "$mode: $job: $seconds s, $count disturbances, done $times times"
}

# The result is the same in the next mount, with nothing left over, and nothing was written into the lower tree.
after_job() {
	"${kind}_result" m >result
	tail -n "$(wc -l <result)" "expected.$job" >expected
	same expected result
	umount m
	flock work/owner true
	find work ! -name "state.*" ! -name owner ! -path work >leftovers
	[ ! -s leftovers ] || fail "$mode: $job: left in the work directory: $(cat leftovers)"
	mount_job
	"${kind}_result" m >result
	same expected result
	umount m
	treelist --dir-times "$(realpath "lower.$job")" >after
	same "before.$job" after
}

jobs=
for job in $SURVIVE_JOBS; do
	kind=${job%%_*}
	if "${kind}_make" "lower.$job"; then
		jobs="$jobs $job"
		plain_job
	else
		echo "note: no packages can be had here: $job is left out ($(tail -n 1 fetch.log))"
	fi
done
[ "$jobs" ] || skip "nothing can be done here"
for mode in $SURVIVE_MODES; do
	for job in $jobs; do
		kind=${job%%_*}
		disturbed_job
	done
done
