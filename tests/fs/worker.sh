#!/bin/sh
# A worker that is killed costs applications a pause and nothing else: the mount answers operations on paths, data that was
# written is there, and the supervisor and its mount end well.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

cd "$TMP"
mkdir -p l/d u w m
echo lower >l/f
echo x >l/d/x
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m

# The daemon's processes: the supervisor, and the worker, which is its child.
worker() {
	for pid in $(marked_processes); do
		[ "$(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -d ' ' -f 1)" = "$CAIRNFS" ] || continue
		parent=$(sed 's/.*) . \([0-9]*\) .*/\1/' "/proc/$pid/stat")
		[ "$(tr '\0' ' ' <"/proc/$parent/cmdline" | cut -d ' ' -f 1)" = "$CAIRNFS" ] || continue
		echo "$pid"
	done
}
another_worker() {
	now=$(worker)
	[ -n "$now" ] && [ "$now" != "$old" ]
}

echo before >m/new
mkdir m/newdir
echo written >m/d/x
inode=$(stat -c %i m/new)
lower_inode=$(stat -c %i m/f)
round=0
while [ $round -lt 3 ]; do
	old=$(worker)
	[ -n "$old" ] || fail "no worker found"
	kill -9 "$old"
	[ "$(timeout 20 cat m/new)" = before ] || fail "round $round: m/new"
	[ "$(timeout 20 cat m/f m/d/x)" = "lower
written" ] || fail "round $round: m/f, m/d/x"
	wait_for another_worker
	timeout 20 sh -c "echo $round >m/round-$round" || fail "round $round: writing"
	timeout 20 mkdir "m/newdir/$round" || fail "round $round: mkdir"
	timeout 20 rm -f "m/round-$((round - 1))" || fail "round $round: rm"
	[ "$(timeout 20 ls m)" = "d
f
new
newdir
round-$round" ] || fail "round $round: $(ls m)"
	[ "$(stat -c %i m/f)" = "$lower_inode" ] || fail "round $round: the number of a lower file changed"
	round=$((round + 1))
done

# While something is going on.
background sh -c 'i=0; while [ $i -lt 300 ]; do echo $i >m/busy-$i || exit 1; i=$((i+1)); done; : >busy-done'
writer=$!
for _ in 1 2 3; do
	sleep 0.2
	old=$(worker)
	[ -z "$old" ] || kill -9 "$old" || :
done
wait "$writer" || fail "a writer saw an error"
i=0
while [ $i -lt 300 ]; do
	[ "$(cat "m/busy-$i")" = "$i" ] || fail "busy-$i: $(cat "m/busy-$i")"
	i=$((i + 1))
done

# A descriptor that is open while the worker dies.
exec 8<m/new
old=$(worker)
kill -9 "$old"
[ "$(timeout 20 cat <&8)" = before ] || fail "an open descriptor"
exec 8<&-
[ "$(stat -c %i m/new)" = "$inode" ] || fail "the number of a new file changed: $inode, $(stat -c %i m/new)"
timeout 20 umount m || fail "umount"
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
[ "$(cat m/new m/busy-299 m/round-2)" = "before
299
2" ] || fail "after a remount"
umount m
