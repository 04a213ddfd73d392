#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What is short or breaks while a mount is in use: room, inodes, descriptors, memory, the disk of a branch, a branch itself,
# the right to write. Each operation then fails with an errno that says so or succeeds, and has all of its effect or none;
# other files are as they should be; nothing is left half made in upper or the work directory; the worker lives on; and when
# it is over, all works again.
#
# Every fault is tried in the same way: a list of operations (below), each of which must have succeeded once in the end, when
# the tree must be that of a plain directory in which they were done.
# shellcheck disable=SC2015,SC2016 # fail does not return; what is quoted is for other shells
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need setfattr mkfs.ext4 losetup prlimit python3 "${CC:-cc}"
losetup -f >"$TMP/out" 2>&1 || skip "no loop devices"
! grep -aq __asan_init "$CAIRNFS" || skip "a daemon with a sanitizer takes no preloaded allocator"

cd "$TMP"
"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O2 -shared -fPIC -o faults.so "$top_srcdir/tests/crash/faults.c" -ldl

# As rm -r, which when it cannot list a directory says that it is one, or is not empty: this says what failed, and why.
cat >remove-tree <<'END'
#!/usr/bin/env python3
import shutil, sys
try:
    shutil.rmtree(sys.argv[1])
except OSError as error:
    sys.exit(f"remove-tree: {error}")
END
chmod 755 remove-tree

# ---- the branch, and what is done ----

# make_branch DIR: two trees that are alike, so that one can be in trouble and the other not.
make_branch() {
	mkdir "$1"
	for half in good bad; do
		mkdir "$1/$half" "$1/$half/dir" "$1/$half/tree" "$1/$half/tree/deep" "$1/$half/empty" "$1/$half/moved"
		for name in 1 2 3 4 5 6 7 8 9 10 tree/a tree/deep/b dir/c moved/d; do
			echo "$half $name" >"$1/$half/$name"
			head -c 3000 /dev/zero | tr '\0' x >>"$1/$half/$name"
		done
		head -c 3000000 /dev/urandom >"$1/$half/big"
		ln "$1/$half/9" "$1/$half/dir/nine"
		setfattr -n user.a -v "$half" "$1/$half/big"
	done
	find "$1" -exec touch -d @1000.5 {} +
}

operations='
chmod 600 HALF/big
/bin/echo more >>HALF/big
chown 5:6 HALF/1
rm HALF/2
mv HALF/3 HALF/three
setfattr -n user.b -v value HALF/4
truncate -s 100 HALF/5
printf XYZ | dd of=HALF/6 bs=1 seek=10 conv=notrunc status=none
touch -d @55.5 HALF/7
ln HALF/8 HALF/dir/eight
/bin/echo linked >>HALF/9
mv HALF/10 HALF/dir/10
mv HALF/moved HALF/renamed
REMOVE_TREE HALF/tree
rmdir HALF/empty
mkdir HALF/made
ln -s nowhere HALF/symlink
mkfifo HALF/fifo
/bin/echo new >HALF/new
/bin/echo replaced >HALF/temporary && mv HALF/temporary HALF/replaced
'

# All operations are to be done; those on good as well as on bad for faults that concern bad alone.
all_pending() {
	: >pending
	for half in ${halves:-good}; do
		printf '%s\n' "$operations" | sed "/^$/d; s/HALF/$half/g; s|REMOVE_TREE|$TMP/remove-tree|" >>pending
	done
}

# attempt REGEX [HALF]: tries all that is to be done; what fails must say so with words that match, and concern HALF alone.
attempt() {
	: >failed
	while IFS= read -r operation; do
		LC_ALL=C timeout 20 env -C m sh -c "$operation" >out 2>&1 </dev/null && continue
		bad_lines=$(grep -vE -e "$1" out || :)
		case "${2:+$operation}" in
		*"${2:-}/"* | '') trouble_there=1 ;;
		*) trouble_there= ;;
		esac
		if [ -s out ] && [ -z "$bad_lines" ] && [ "$trouble_there" ]; then
			echo "$operation" >>failed
		else
			wrong "$operation: $(cat out)"
		fi
	done <pending
	mv failed pending
}

# wrong WHAT: says it; the section goes on, and fails in the end.
wrong() {
	echo "WRONG: $title: $*" >&2
	echo "$title" >>wrong
}

# Nothing is staged, and no orphan is kept, when nobody uses any; the kernel may take a moment to say that.
no_leftovers() {
	for dir in staging orphans; do
		for _ in $(seq 30); do
			[ -d "$work/$dir" ] && [ -n "$(ls -A "$work/$dir")" ] || continue 2
			sleep 0.1
		done
		wrong "in work/$dir: $(find "$work/$dir" -mindepth 1 | wc -l)"
	done
}

# ---- the mount ----

worker() {
	for pid in $(marked_processes); do
		[ "$(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -d ' ' -f 1)" = "$CAIRNFS" ] || continue
		parent=$(sed 's/.*) . \([0-9]*\) .*/\1/' "/proc/$pid/stat")
		[ "$(tr '\0' ' ' <"/proc/$parent/cmdline" | cut -d ' ' -f 1)" = "$CAIRNFS" ] || continue
		echo "$pid"
	done
}

# begin TITLE UPPER-DIR [COMMAND...]: mounts, with the daemon run by that command.
begin() {
	title=$1
	upper=$2/upper
	work=$2/work
	shift 2
	started=$(date +%s)
	mkdir -p "$upper" "$work" m
	rm -rf plain
	cp -a lower plain
	all_pending
	(cd plain && while IFS= read -r operation; do sh -c "$operation" </dev/null; done <../pending)
	"$@" "$CAIRNFS" -o "lowerdir=${branch:-lower},upperdir=$upper,workdir=$work" m || return 1
	worker_before=$(worker)
}

# The fault is over: what failed is done now, and all is as it should be, in this mount and in the next.
end() {
	first_failed=$(wc -l <pending)
	[ "$(worker)" = "$worker_before" ] || fail "$title: the worker died"
	attempt "nothing may fail any more"
	[ ! -s pending ] || fail "$title: still fails: $(cat pending)"
	same_tree plain m --no-times
	umount m
	flock "$work/owner" true
	no_leftovers
	find "$work" ! -name state.map ! -name owner ! -path "$work" >leftovers
	[ ! -s leftovers ] || fail "$title: in the work directory: $(cat leftovers)"
	mount_cairnfs -o "lowerdir=${branch:-lower},upperdir=$upper,workdir=$work" m
	same_tree plain m --no-times
	umount m
	flock "$work/owner" true
	echo "$title: $first_failed operations failed meanwhile; $(($(date +%s) - started)) s"
}

# can_read DIR: everything below can, and is as in the lower branch or as after the operations.
can_read() {
	(cd "$1" && find . -type f -exec cat {} +) >"$TMP/out" 2>"$TMP/err" || fail "$title: reading: $(cat "$TMP/err")"
}

# section FUNCTION: one kind of fault; if it fails, the others are tried all the same.
failed=
section() {
	rm -f wrong
	"$1" &
	wait "$!" && [ ! -e wrong ] || {
		failed="$failed $1"
		unmount_all
		await_daemons || :
		rmdir /sys/fs/cgroup/"${TMP##*/}" /sys/fs/cgroup/*/"${TMP##*/}" 2>"$TMP/err" || : # of out_of_processes
	}
}

# small_disk MIB [MKFS OPTION...]: an ext4 of that size on disk/
small_disk() {
	size=$1
	shift
	rm -f image
	truncate -s "${size}M" image
	mkfs.ext4 -q -F -m 0 "$@" image
	mkdir -p disk
	mount -o loop image disk
}

# inject WHERE VALUE: one byte of what faults.c looks at. n_injected: how often something failed.
inject() {
	# shellcheck disable=SC2059 # that is the way to write a byte
	printf "\\$(printf %03o "$2")" | dd of="$TMP/faults" bs=1 seek="$1" conv=notrunc status=none
}
n_injected() {
	od -An -tu4 -j4 -N4 "$TMP/faults" | tr -d ' '
}
with_faults() {
	printf '\0\0\5\0\0\0\0\0' >"$TMP/faults"
	FAULTS=$TMP/faults FAULTS_DIR=$1
	export FAULTS FAULTS_DIR
	shift
	LD_PRELOAD=$TMP/faults.so "$@"
}

# ---- room ----

out_of_room() {
	small_disk 8
	begin "out of room" disk
	(cat /dev/zero >m/filler) 2>err || :
	grep -q "No space left" err || fail "$title: filling: $(cat err)"
	echo small >m/filler-2 2>err || : # the last block too
	attempt "No space left on device"
	[ -s pending ] || fail "$title: nothing failed"
	can_read m
	no_leftovers
	rm m/filler m/filler-2
	sync -f disk
	end
	umount disk
}

# ---- inodes ----

out_of_inodes() {
	small_disk 16 -N 160
	begin "out of inodes" disk
	i=0
	while true 2>err >"m/filler-$i"; do
		i=$((i + 1))
		[ $i -lt 1000 ] || fail "$title: no end"
	done 2>err || :
	[ "$(stat -f -c %d disk)" = 0 ] || fail "$title: there are inodes left"
	attempt "No space left on device"
	[ -s pending ] || fail "$title: nothing failed"
	can_read m
	no_leftovers
	rm m/filler-*
	end
	umount disk
}

# ---- descriptors ----

# With the fewest the daemon says why it cannot mount, or each operation says why it cannot be done; 64 are enough for one
# process at a time.
out_of_descriptors() {
	for limit in 5 8 10 14 20 30 40 64; do
		mkdir -p tight
		if ! (begin "$limit descriptors" tight prlimit --nofile="$limit:$limit") 2>err; then
			title="$limit descriptors"
			[ "$(grep -c "Too many open files" err)" = 1 ] && [ "$(wc -l <err)" = 1 ] ||
				wrong "refused, not in one line that says why: '$(cat err)'"
			! mountpoint -q m || wrong "refused, and left mounted"
			echo "$limit descriptors: refused: $(sed 's/.*: //' err)"
			rm -rf tight
			continue
		fi
		title="$limit descriptors" upper=tight/upper work=tight/work started=$(date +%s) worker_before=$(worker)
		readers=
		for reader in 1 2 3 4 5 6; do
			LC_ALL=C env -C m sh -c 'for i in 1 2 3; do find . -type f -exec cat {} + >"$0"; done' "$TMP/read.$reader" \
				2>"reader.$reader" &
			readers="$readers $!"
		done
		attempt "Too many open files"
		for pid in $readers; do
			wait "$pid" || :
		done
		cat reader.? | grep -vE "Too many open files|No such file or directory" >err || :
		[ ! -s err ] || fail "$title: a reader: $(cat err)"
		no_leftovers
		echo "$title: $(wc -l <pending) operations and $(cat reader.? | wc -l) readings failed with six readers"
		if [ "$limit" = 64 ]; then
			attempt "nothing may fail"
			[ ! -s pending ] || fail "$title: still fails: $(cat pending)"
		fi
		[ "$(worker)" = "$worker_before" ] || fail "$title: the worker died"
		umount m
		flock "$work/owner" true
		mount_cairnfs -o "lowerdir=lower,upperdir=$upper,workdir=$work" m
		worker_before=$(worker)
		end
		rm -rf tight
	done
}

# ---- memory ----

out_of_memory() {
	mkdir short
	begin "out of memory" short with_faults /nowhere
	for every in 1 2 3 5 7 11 16 23 40 100; do
		inject 0 "$every"
		attempt "Cannot allocate memory"
		LC_ALL=C env -C m find . -type f -exec cat {} + >out 2>err || :
		! grep -v "Cannot allocate memory" err || fail "$title: a reader, every $every: $(head -n 3 err)"
		inject 0 0
		[ "$(worker)" = "$worker_before" ] || fail "$title: the worker died (every $every)"
		no_leftovers
	done
	[ "$(n_injected)" -gt 100 ] || fail "$title: only $(n_injected) allocations failed"
	end
}

# ---- processes and threads ----

# pids_cgroup: makes one in $cgroup, which begins without a limit; fails where there are none, or they are not ours to make.
pids_cgroup() {
	cgroup=
	for parent in /sys/fs/cgroup/pids /sys/fs/cgroup /sys/fs/cgroup/unified; do
		[ -d "$parent" ] || continue
		mkdir "$parent/${TMP##*/}" 2>err || continue
		cgroup=$parent/${TMP##*/}
		[ ! -e "$cgroup/pids.max" ] || return 0
		rmdir "$cgroup"
	done
	return 1
}

# None can be started: what there is, serves. Nor when the worker dies: then there is one as soon as there is room.
out_of_processes() {
	pids_cgroup || {
		echo "out of processes: skipped: no pids cgroup can be made"
		return 0
	}
	mkdir few
	begin "out of processes" few sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$cgroup"
	cat "$cgroup/pids.current" >"$cgroup/pids.max"
	readers=
	for reader in 1 2 3 4 5 6; do
		(LC_ALL=C env -C m find . -type f -exec cat {} + >"$TMP/read.$reader") 2>"reader.$reader" &
		readers="$readers $!"
	done
	attempt "Resource temporarily unavailable"
	for pid in $readers; do
		wait "$pid" || :
	done
	! grep -vh "No such file or directory" reader.? || fail "$title: a reader"
	grep -q "^max [1-9]" "$cgroup/pids.events" || fail "$title: none was refused"
	echo max >"$cgroup/pids.max"
	[ "$(worker)" = "$worker_before" ] || fail "$title: the worker died"
	echo 1 >"$cgroup/pids.max" # the supervisor alone
	kill -9 "$worker_before"
	LC_ALL=C timeout 20 sh -c "/bin/echo during >m/during" 2>err &
	during=$!
	sleep 0.5
	echo max >"$cgroup/pids.max"
	wait "$during" || fail "$title: what was begun meanwhile: $(cat err)"
	LC_ALL=C timeout 20 sh -c "/bin/echo after >m/after" 2>err || fail "$title: afterwards: $(cat err)"
	[ "$(cat m/during m/after)" = "during
after" ] || fail "$title: not written"
	rm m/during m/after
	worker_before=$(worker)
	end
	wait_for rmdir "$cgroup"
}

# ---- the disk of a branch ----

# broken FAULTS WHAT: half of the lower branch gives EIO.
broken() {
	rm -rf broken-disk
	mkdir broken-disk
	halves="good bad"
	begin "lower disk breaks: $2" broken-disk with_faults "$TMP/lower/bad"
	[ "$3" = new ] || find m >out # the names are known before
	inject 1 "$1"
	attempt "Input/output error" bad
	[ -s pending ] && [ "$(n_injected)" -gt 0 ] || fail "$title: nothing failed, $(n_injected) times"
	can_read m/good
	no_leftovers
	inject 1 0
	end
}
lower_reading() {
	broken 1 reading known
}
lower_opening() {
	broken 2 opening known
}
lower_listing() {
	broken 4 listing new
}
lower_looking_up() {
	broken 32 "looking up" new
}
lower_all() {
	broken 39 "all of it" known
}

# The disk of upper, where copies are made.
upper_broken() {
	for bits in 8 16 64 2 4 32; do
		rm -rf broken-disk
		mkdir broken-disk
		begin "upper disk breaks ($bits)" broken-disk with_faults "$TMP/broken-disk"
		inject 1 "$bits"
		attempt "Input/output error"
		[ -s pending ] && [ "$(n_injected)" -gt 0 ] || fail "$title: nothing failed, $(n_injected) times"
		[ "$bits" -lt 8 ] || [ "$bits" = 32 ] || can_read m # the root of all, else
		no_leftovers
		inject 1 0
		end
	done
}

# A file with two names has got one of them in upper, the other cannot be made, and the first not be taken back.
upper_half_linked() {
	mkdir half-linked
	begin "upper half linked" half-linked with_faults "$TMP/half-linked/upper/good/dir"
	inject 1 192
	LC_ALL=C sh -c "/bin/echo linked >>m/good/9" 2>err && fail "$title: nothing failed"
	grep -q "Input/output error" err || fail "$title: $(cat err)"
	[ -e half-linked/upper/good/9 ] && [ ! -e half-linked/upper/good/dir/nine ] || fail "$title: no half"
	inject 1 0
	# Also one who looks the names up anew has it gone on with.
	echo 2 >/proc/sys/vm/drop_caches
	can_read m
	! grep -q linked m/good/9 m/good/dir/nine || fail "$title: an effect of what failed"
	(cd m && /bin/echo linked >>good/dir/nine)
	sed -i '/linked/d' pending
	end
}

# ---- a branch that goes ----

# Unmounted lazily: the daemon has it still.
branch_unmounted() {
	truncate -s 32M lower.image
	mkfs.ext4 -q -F lower.image
	mkdir lower-disk gone
	mount -o loop lower.image lower-disk
	cp -a lower/. lower-disk
	rmdir lower-disk/lost+found
	branch=lower-disk
	begin "a branch unmounted" gone
	umount -l lower-disk
	attempt "nothing may fail"
	[ ! -s pending ] || fail "$title: $(cat pending)"
	same_tree plain m --no-times
	umount m
	branch=
}

# Removed: what is gone is gone, and the rest is there.
branch_removed() {
	mkdir removed
	cp -a lower lower-removed
	branch=lower-removed
	halves="good bad"
	begin "a branch removed" removed
	find m >out
	rm -rf lower-removed/bad
	attempt "Input/output error|Stale file handle|No such file or directory|Directory nonexistent" bad
	can_read m/good
	no_leftovers
	cp -a lower/bad lower-removed/bad
	umount m
	flock "$work/owner" true
	echo "$title: $(wc -l <pending) operations failed meanwhile"
	branch=
}

# ---- upper that can only be read ----

# As ext4 does after an error of its disk, and for good: the mount ends, and works with the disk mounted again.
upper_read_only() {
	small_disk 32
	begin "upper read-only" disk
	sync -f disk
	mount -o remount,abort disk
	attempt "Read-only file system|Input/output error"
	[ "$(wc -l <pending)" -ge 18 ] || fail "$title: little failed: $(wc -l <pending)"
	same_tree lower m
	no_leftovers
	[ "$(worker)" = "$worker_before" ] || fail "$title: the worker died"
	umount m
	flock "$work/owner" true
	umount disk
	mount -o loop image disk
	mount_cairnfs -o "lowerdir=lower,upperdir=$upper,workdir=$work" m
	worker_before=$(worker)
	end
	umount disk
}

make_branch lower
for kind in ${FAULTS_KINDS:-out_of_room out_of_inodes out_of_descriptors out_of_memory out_of_processes lower_reading lower_opening \
	lower_listing lower_looking_up lower_all upper_broken upper_half_linked branch_unmounted branch_removed upper_read_only}; do
	section "$kind"
done
[ -z "$failed" ] || fail "$failed"
