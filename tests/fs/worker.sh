#!/bin/sh
# A worker that is killed: the next one answers operations on paths, known and new, what was written is there, numbers stay, and
# the mount ends well. (killer.sh does all that can be done meanwhile.)
# shellcheck disable=SC2012,SC2015,SC2016 # names are simple; fail does not return; texts are for another shell
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

cd "$TMP"
mkdir -p l/d u w m
echo lower >l/f
echo x >l/d/x
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m

another_worker() {
	now=$(worker)
	[ -n "$now" ] && [ "$now" != "$old" ]
}

echo before >m/new
mkdir m/newdir
echo written >m/d/x
inode=$(stat -c %i m/new)
lower_inode=$(stat -c %i m/f)
# What is mounted inside, and the directory that a process is in, stay what they are.
mkdir m/inside m/place
mount -t tmpfs none m/inside
echo inside >m/inside/file
background sh -c 'cd m/place && while [ ! -e left ]; do sleep 0.1; done; [ "$(pwd -P)" = "$TMP/m/place" ]'
placed=$!
round=0
while [ $round -lt 3 ]; do
	old=$(worker)
	[ -n "$old" ] || fail "no worker found"
	kill -9 "$old"
	# What needs the daemon waits for the next worker, and succeeds.
	timeout 20 sh -c "echo $round >m/round-$round" || fail "round $round: a new file"
	wait_for another_worker
	timeout 20 mkdir "m/newdir/$round" || fail "round $round: mkdir in a known directory"
	[ "$(timeout 20 ls m)" = "d
f
inside
new
newdir
place
round-$round" ] || fail "round $round: $(ls m)"
	[ "$(cat m/inside/file)" = inside ] || fail "round $round: what was mounted inside is gone"
	[ "$(timeout 20 ls m/newdir | wc -l)" = $((round + 1)) ] || fail "round $round: newdir"
	timeout 20 rm "m/round-$round" || fail "round $round: rm"
	# Names that were known to the worker that died.
	[ "$(timeout 20 cat m/new)" = before ] || fail "round $round: m/new"
	[ "$(timeout 20 cat m/f m/d/x)" = "lower
written" ] || fail "round $round: m/f, m/d/x"
	timeout 20 chmod "64$round" m/d/x || fail "round $round: chmod"
	timeout 20 sh -c "echo $round >>m/log" && rm m/log || fail "round $round: appending"
	[ "$(stat -c %i m/f m/new | tr '\n' ' ')" = "$lower_inode $inode " ] || fail "round $round: numbers changed"
	round=$((round + 1))
done
[ "$(readlink "/proc/$placed/cwd")" = "$TMP/m/place" ] || fail "a process is no longer where it was"
touch m/place/left
wait "$placed" || fail "where a process is"
umount m/inside
timeout 20 umount m || fail "umount"
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
[ "$(cat m/new)" = before ] && [ "$(ls m/newdir | wc -l)" = 3 ] || fail "after a remount"
[ "$(stat -c %a m/d/x)" = 642 ] || fail "chmod after a remount"
umount m

# Without a supervisor there is one process, and the mount ends with it; a signal ends both well.
"$CAIRNFS" --no-recover -o lowerdir=l,upperdir=u,workdir=w m
[ "$(cat m/new)" = before ] || fail "--no-recover"
[ -z "$(worker)" ] || fail "--no-recover: two processes"
pid=$(supervisor)
kill "$pid"
gone() {
	! kill -0 "$pid" 2>"$TMP/none"
}
wait_for gone
[ -z "$(mounts)" ] || fail "--no-recover: still mounted"
