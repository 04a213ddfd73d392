#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# stress.sh SECONDS: stress-ng's stressors that work on files, one after the other and then all at once, first in a plain
# directory and then on a mount whose top branch is on the same filesystem. Run by `make check-stress STRESS_SECONDS=600`;
# the stressors have SECONDS between them, and tidying up after them comes on top. STRESS_ONLY="link rename" takes only
# those.
#
# stress-ng knows little of what is right, so the plain directory says it: what stress-ng reports on the mount and not there
# is a failure. So is what hangs, what cannot be removed afterwards, what the daemon says, and what it keeps: memory,
# descriptors, files in the work directory, and anything in the top branch but the whiteouts that must be there.
#
# Nothing ends at the first failure: the table is worth having whole.

# In a mount namespace of its own: whoever makes another while this runs gets copies of all mounts, which keep the daemon.
if [ "$(id -u)" = 0 ] && [ -z "${STRESS_NAMESPACE:-}" ]; then
	STRESS_NAMESPACE=yes exec unshare -m --propagation private sh "$0" "$@"
fi
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need stress-ng setsid pgrep chattr

seconds=${1:-600}
# A stressor that has not ended that long after its time hangs. Those that tidy up (link has 8192 names to remove, and in
# the mix so have others at the same time) were seen to need 25 seconds with two cores in use by somebody else besides.
grace=180
# How much larger the daemon may be after the second round than after the first, in kB: 940 were seen in ten minutes.
memory_bound=16384
# The same of its descriptors. Those of the directories last used may be among them or not: up to 3 were seen.
descriptors_bound=8
# In the plain directory every stressor gets that long; only one that differs gets as long as it had on the mount.
plain_seconds=2

failures=0
complain() {
	echo "FAIL: $*"
	failures=$((failures + 1))
}

# ---- which stressors ----

# Those of the class that do nothing to the files of a directory: they are about /proc, descriptors without files, binder
# and sync(2) of the whole machine. bind-mount may hang the machine, as stress-ng says itself.
beside_the_point="bind-mount binderfs eventfd getdent io procfs"
# Those of other classes that work on files where they are told to: asynchronous, by mapping, by splice, FIFOs, chroot.
of_other_classes="aio aiol chroot fault fifo io-uring mincore mmap msync readahead revio rmap seek sendfile"

stressors=
for name in $(stress-ng --class 'filesystem?' 2>&1 | sed -n 's/.*stressors: *//p') $of_other_classes; do
	case " $beside_the_point " in
	*" $name "*) continue ;;
	esac
	case " ${STRESS_ONLY:-$name} " in
	*" $name "*) stressors="$stressors $name" ;;
	esac
done
[ -n "$stressors" ] || fail "stress-ng knows none of the stressors"

# Small files: the daemon is to be busy, not the disk. Mappings are of files; without the option they are of memory.
sizes="--copy-file-bytes 128m --fallocate-bytes 32m --hdd-bytes 16m --iomix-bytes 16m --mmap-bytes 16m --mmap-file
	--msync-bytes 8m --readahead-bytes 16m --revio-bytes 16m --seek-size 16m --sync-file-bytes 16m"

# On the mount everything is done twice, the first time to warm up; the mix gets what is left of the time.
# shellcheck disable=SC2086 # a list of names
n_stressors=$(set -- $stressors && echo $#)
round=$(((seconds - plain_seconds * (n_stressors + 1)) / 2))
share=$((round / (n_stressors + 8)))
[ "$share" -ge 1 ] || share=1
mix_share=$((round - share * n_stressors))
[ "$mix_share" -ge 2 ] || mix_share=2

# What is accepted, as stress-ng says it (see normalised): one extended regular expression a line, after its reason.
accepted() {
	cat <<-'END'
		# FUSE has no request for it.
		^fiemap: FS_IOC_FIEMAP not supported on the file system, skipping stressor
	END
}
accepted | grep -v '^#' >"$TMP/accepted"

# ---- where ----

# A filesystem of our own, so that both halves are on the same one whatever $TMP is on, and a stressor that fills it, or
# makes files that cannot be removed, does no harm. Without loop devices $TMP has to do.
mkdir "$TMP/disk"
truncate -s 12G "$TMP/image"
if ! { mkfs.ext4 -q "$TMP/image" && mount -o loop "$TMP/image" "$TMP/disk"; } >"$TMP/disk.log" 2>&1; then
	echo "note: no loop device: everything is in $TMP"
fi
cd "$TMP/disk"
mkdir -p plain union upper work lower/a/stress lower/b/stress lower/b/below
echo a >lower/a/stress/a
echo b >lower/b/stress/b
echo below >lower/b/below/file

# ---- the daemon ----

# In the foreground, where it says on stderr what it would have told syslog. Fails if it does not mount.
start_daemon() {
	# shellcheck disable=SC2016 # the other shell's
	background sh -c 'exec "$CAIRNFS" -f -o "$1" "$2" 2>>"$TMP/said"' sh \
		lowerdir=lower/a:lower/b,upperdir=upper,workdir=work union
	supervisor=$!
	for _ in $(seq 100); do
		mountpoint -q union && break
		sleep 0.1
	done
	worker=$(pgrep -P "$supervisor")
}

is_running() {
	grep -q '^State:[[:space:]]*[^Z[:space:]]' "/proc/$1/status" 2>"$TMP/none"
}

# Unmounts, and sees to it that the daemon ends.
stop_daemon() {
	umount union || complain "umount fails"
	for _ in $(seq 200); do
		is_running "$supervisor" || break
		sleep 0.1
	done
	if is_running "$supervisor"; then
		complain "the daemon does not end when it is unmounted"
		kill -9 "$worker" "$supervisor" || :
	fi
	wait "$supervisor" || complain "the daemon has ended with status $?"
}

# Its helper, which is there once a hole has been looked for, is the worker's child.
processes() {
	echo "$supervisor" "$worker"
	pgrep -P "$worker" || :
}

# field NAME FILE: a number of kB.
field() {
	sed -n "s/^$1:[[:space:]]*\([0-9]*\) kB/\1/p" "$2" | head -n 1
}

# measure: what the daemon has when nothing is in use: $rss, $descriptors of supervisor and worker, $pss of all, in kB.
measure() {
	# What the kernel holds by name keeps the daemon's nodes in memory. It sends what it forgets in the background.
	echo 2 >/proc/sys/vm/drop_caches
	sleep 2
	shown='' descriptors=0 rss=0 pss=0
	for pid in $(processes); do
		size=$(field VmRSS "/proc/$pid/status")
		shown="$shown $size"
		case $pid in
		"$supervisor" | "$worker")
			descriptors=$((descriptors + $(find "/proc/$pid/fd" -mindepth 1 | wc -l)))
			rss=$((rss + size))
			;;
		esac
		pss=$((pss + $(field Pss "/proc/$pid/smaps_rollup")))
	done
}

# ---- running ----

# normalised LOG: what stress-ng complained of or left out, each once, without what differs from run to run.
normalised() {
	sed -n -e 's/^stress-ng: \(fail\|error\|warn\): *\[[0-9]*\] *//p' \
		-e 's/^stress-ng: info: *\[[0-9]*\] *\(.*\(skipping\|not supported\|unsupported\).*\)/\1/p' \
		-e 's/^\(.*exit status of stress-ng.*\)/\1/p' "$1" |
		sed -e 's/, filesystem type: .*//' -e "s|[^ ,()']*/[^ ,()']*|PATH|g" -e 's/0x[0-9a-f]*/N/g' \
			-e '/exit status of stress-ng/!s/-*[0-9][0-9]*/N/g' |
		sort -u
}

# What is still running of the last run: stress-ng's processes stay in the session it was started in.
leftovers() {
	pgrep -s "$(cat "$TMP/session")" || :
}

# What is short of memory makes the kernel forget names, and ask the daemon again: while stressors run it does so five times
# in a second, every other two seconds, in which time it keeps everything.
forget() {
	# shellcheck disable=SC2016 # the other shell's
	background sh -c 'while sleep 2; do
			for _ in 1 2 3 4 5 6 7 8 9 10; do
				[ ! -e "$TMP/forget" ] || echo 2 >/proc/sys/vm/drop_caches
				sleep 0.2
			done
		done'
}

# run NAME DIRECTORY SECONDS LOG [ARGUMENT...]: runs stress-ng in a directory of its own and removes that.
run() {
	run_name=$1 run_place=$2/$1 run_seconds=$3 run_log=$4
	shift 4
	mkdir "$run_place"
	touch "$TMP/forget"
	run_status=0
	# shellcheck disable=SC2016,SC2086 # the other shell's; a list of options
	setsid -w sh -c 'echo $$ >"$0"; exec "$@"' "$TMP/session" \
		timeout -k 20 $((run_seconds + grace)) \
		stress-ng --temp-path "$run_place" --verify --metrics-brief $sizes "$@" --timeout "$run_seconds" \
		</dev/null >"$run_log" 2>&1 || run_status=$?
	rm "$TMP/forget"
	echo "exit status of stress-ng: $run_status" >>"$run_log"
	if [ "$run_status" = 124 ] || [ "$run_status" = 137 ]; then
		complain "$run_name hangs in $2: $(for pid in $(leftovers); do
			echo "$pid: $(cat "/proc/$pid/comm" "/proc/$pid/wchan" 2>&1)"
		done | tr '\n' ' ')"
	elif [ -n "$(leftovers)" ]; then
		sleep 2
		[ -z "$(leftovers)" ] || complain "$run_name has left processes in $2: $(leftovers | tr '\n' ' ')"
	fi
	for pid in $(leftovers); do
		kill -9 "$pid" || :
	done
	if ! timeout "$grace" rm -rf "$run_place" 2>"$TMP/rm"; then
		# Some make files immutable, and one that was killed has not made them as they were.
		chattr -R -f -ia "$run_place" || :
		timeout "$grace" rm -rf "$run_place" 2>"$TMP/rm" ||
			complain "$run_name has left in $2 what cannot be removed: $(head -n 3 "$TMP/rm" | tr '\n' ' ')"
	fi
}

# rate NAME LOG: bogo operations per second of real time.
rate() {
	awk -v name="$1" '/metrc:/ && $4 == name && NF == 10 && $10 ~ /^[0-9.]+$/ { print $9; exit }' "$2"
}

# result LOG: in a word.
result() {
	if grep -q '^stress-ng: \(fail\|error\):' "$1"; then
		echo fails
	elif grep -q 'skipping' "$1"; then
		echo skipped
	else
		echo ok
	fi
}

# difference LOG LOG: what the second reports that the first does not, and that is not accepted.
difference() {
	normalised "$1" >"$TMP/plain.said"
	normalised "$2" >"$TMP/union.said"
	comm -13 "$TMP/plain.said" "$TMP/union.said" | grep -vEf "$TMP/accepted" || :
}

row() {
	printf '%-14s %-8s %-8s %8s\n' "$@"
}

# compare NAME SECONDS ARGUMENT...: in the plain directory, then on the mount, where it has warmed up; prints a row of the
# table.
compare() {
	name=$1 time=$2
	shift 2
	run "$name" plain "$plain_seconds" "$TMP/$name.plain" "$@"
	run "$name" union/stress "$time" "$TMP/$name.union" "$@"
	cat "$TMP/$name.warm-up" >>"$TMP/$name.union"
	differs=$(difference "$TMP/$name.plain" "$TMP/$name.union")
	if [ -n "$differs" ]; then
		# It may be rare: the plain directory gets as long as the mount had.
		run "$name" plain "$time" "$TMP/$name.again" "$@"
		cat "$TMP/$name.again" >>"$TMP/$name.plain"
		differs=$(difference "$TMP/$name.plain" "$TMP/$name.union")
	fi
	row "$name" "$(result "$TMP/$name.plain")" "$(result "$TMP/$name.union")" "$({
		rate "$name" "$TMP/$name.union"
		rate "$name" "$TMP/$name.plain"
	} | awk 'NR == 1 { union = $1 } NR == 2 && $1 > 0 { printf "%.2f", union / $1 }')"
	if [ -n "$differs" ]; then
		complain "$name, on the mount only:"
		echo "$differs" | sed 's/^/    /'
		grep -E '^stress-ng: (fail|error|warn):' "$TMP/$name.union" | head -n 20 | sed 's/^/    | /'
	fi
	[ ! -s "$TMP/said" ] || {
		complain "the daemon says after $name: $(head -n 5 "$TMP/said")"
		cat "$TMP/said" >>"$TMP/said.before"
		: >"$TMP/said"
	}
}

# ---- the work directory as a mount leaves it ----

: >"$TMP/said"
start_daemon || fail "no mount: $(cat "$TMP/said")"
mkdir union/stress/d
rmdir union/stress/d
stop_daemon
find work | sort >"$TMP/work.expected"
start_daemon || fail "no mount: $(cat "$TMP/said")"

forget

# ---- the stressors ----

# Memory that has been freed is given back to the system only where malloc can, so what the daemon has afterwards goes by
# the most that it ever had, which differs from stressor to stressor. So everything is run once before the first measurement
# and the same again before the second; both with nothing in use. What stays then stays for good.
mix=
for name in $stressors; do
	mix="$mix --$name 1"
done
echo "$n_stressors stressors: $plain_seconds s in a plain directory, twice $share s on the mount; the mix twice $mix_share s"
for name in $stressors; do
	run "$name" union/stress "$share" "$TMP/$name.warm-up" "--$name" 2
done
# shellcheck disable=SC2086 # a list of options
run mix union/stress "$mix_share" "$TMP/mix.warm-up" $mix
measure
rss_before=$rss pss_before=$pss shown_before=$shown descriptors_before=$descriptors

row stressor plain mount ratio
for name in $stressors; do
	compare "$name" "$share" "--$name" 2
done
# shellcheck disable=SC2086 # a list of options
compare mix "$mix_share" $mix

# ---- what is left ----

measure
echo "RSS of supervisor, worker (and helper), kB: before$shown_before, after$shown"
echo "PSS of all, kB: before $pss_before, after $pss; descriptors: before $descriptors_before, after $descriptors"
# Sanitizers keep what is freed.
if ! grep -qE '__(asan|tsan|ubsan)_' "$CAIRNFS"; then
	[ $((rss - rss_before)) -le $memory_bound ] || complain "RSS has grown by $((rss - rss_before)) kB"
	[ $((pss - pss_before)) -le $memory_bound ] || complain "PSS has grown by $((pss - pss_before)) kB"
fi
[ $((descriptors - descriptors_before)) -le $descriptors_bound ] ||
	complain "descriptors have grown by $((descriptors - descriptors_before))"
[ "$(pgrep -P "$supervisor")" = "$worker" ] || complain "the worker is another"
# What is removed and in use is kept in the work directory; nothing is in use any more.
find work -mindepth 2 >"$TMP/work.used"
[ ! -s "$TMP/work.used" ] || {
	complain "$(wc -l <"$TMP/work.used") files are kept in the work directory with nobody using them:"
	head -n 5 "$TMP/work.used" | while read -r file; do
		lsattr -d "$file" || ls -ld "$file"
	done
}

rm -rf union/* || complain "rm -rf of all fails"
[ -z "$(ls -A union)" ] || complain "after rm -rf of all: $(find union -mindepth 1 | head -n 5)"
stop_daemon
find work | sort >"$TMP/work.left"
diff "$TMP/work.expected" "$TMP/work.left" >"$TMP/work.diff" ||
	complain "left in the work directory: $(grep '^[<>]' "$TMP/work.diff" | head -n 5)"
# The names of the lower branches' roots are hidden, each by a whiteout.
printf '%s\n' "0,0 upper/below" "0,0 upper/stress" >"$TMP/upper.expected"
find upper -mindepth 1 -printf '%p\n' | sort | while read -r file; do
	echo "$(stat -c %t,%T "$file") $file"
done >"$TMP/upper.left"
diff "$TMP/upper.expected" "$TMP/upper.left" >"$TMP/upper.diff" ||
	complain "the upper branch is not as it should be: $(grep '^[<>]' "$TMP/upper.diff" | head -n 5)"
[ ! -s "$TMP/said" ] || complain "the daemon says: $(head -n 5 "$TMP/said")"
# It must serve once more.
if start_daemon; then
	[ -z "$(ls -A union)" ] || complain "after a remount: $(find union -mindepth 1 | head -n 5)"
	stop_daemon
else
	complain "no mount with the same directories: $(cat "$TMP/said")"
fi

chattr -R -f -ia work upper plain || :
cd "$TMP"
! mountpoint -q disk || umount disk
[ "$failures" = 0 ] || fail "$failures failures"
