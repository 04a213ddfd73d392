#!/bin/sh
# A measurement: memory of an idle mount (both processes) and time to mount, with 1 and with 100 branches. Fails only on gross
# excess: more than 30 MB, or 3 s. Prints "name value unit" lines.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

cd "$TMP"
mkdir u w m
lowers=
i=0
while [ $i -lt 100 ]; do
	mkdir -p "l$i/etc" "l$i/usr/bin"
	echo "$i" >"l$i/etc/conf-$i"
	lowers=$lowers${lowers:+:}$TMP/l$i
	i=$((i + 1))
done

# sum FIELD: of the daemon's processes, in kB.
sum() {
	total=0
	for pid in $(marked_processes); do
		[ "$(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -d ' ' -f 1)" = "$CAIRNFS" ] || continue
		kb=$(sed -n "s/^$1:[[:space:]]*\([0-9]*\) kB/\1/p" "/proc/$pid/smaps_rollup" | head -n 1)
		total=$((total + ${kb:-0}))
	done
	echo "$total"
}

milliseconds() {
	echo $(($(date +%s%N) / 1000000))
}

# measure NAME LOWERS
measure() {
	best=1000000
	for _ in 1 2 3 4 5; do
		start=$(milliseconds)
		mount_cairnfs -o "lowerdir=$2,upperdir=u,workdir=w" m
		took=$(($(milliseconds) - start))
		[ $took -ge $best ] || best=$took
		umount m
	done
	mount_cairnfs -o "lowerdir=$2,upperdir=u,workdir=w" m
	sleep 0.2
	rss=$(sum Rss)
	pss=$(sum Pss)
	umount m
	echo "mount-time-$1 $best ms"
	echo "idle-rss-$1 $rss kB"
	echo "idle-pss-$1 $pss kB"
	# Sanitizers need a multiple of everything.
	grep -qE '__(asan|tsan|ubsan)_' "$CAIRNFS" || {
		[ "$rss" -gt 0 ] || fail "no daemon found"
		[ "$rss" -lt 30000 ] || fail "$rss kB for an idle mount"
		[ "$best" -lt 3000 ] || fail "$best ms to mount"
	}
}

measure 1-branch "$TMP/l0"
measure 100-branches "$lowers"

# After a burst, threads go that nobody needs any more, with their megabytes.
status() {
	sed -n "s/^$1:[[:space:]]*\([0-9]*\).*/\1/p" "/proc/$(worker)/status"
}
few_threads() {
	[ "$(status Threads)" -le 4 ]
}
mkdir burst
for i in $(seq 40); do
	mkdir "burst/$i"
	(cd "burst/$i" && seq 100 | xargs touch)
done
mount_cairnfs -o "lowerdir=burst,upperdir=u,workdir=w" m
few_threads || fail "$(status Threads) threads at first"
most=0
for _ in 1 2 3 4 5; do
	for i in $(seq 24); do
		(for j in $(seq 40); do getfattr -n user.none "m/$j/"* 2>&1; done | wc -l) >out &
	done
	sleep 0.3
	now=$(status Threads)
	[ "$now" -le "$most" ] || most=$now
	wait
done
echo "burst-threads $most threads"
echo "burst-shared $(status RssShmem) kB"
if [ "$most" -gt 4 ]; then
	# Not sooner than a few seconds after they were needed last; each when it has answered something.
	for _ in $(seq 60); do
		! few_threads || [ "$(status RssShmem)" -gt 5000 ] || break
		for i in $(seq 20); do
			stat -f m >out
		done
		sleep 0.5
	done
	echo "kept-threads $(status Threads) threads"
	echo "kept-shared $(status RssShmem) kB"
	few_threads || fail "$(status Threads) threads are kept"
	[ "$(status RssShmem)" -lt 5000 ] || fail "$(status RssShmem) kB are kept"
	ls m/1 >out # and they can come again
	for i in $(seq 24); do
		(getfattr -n user.none m/*/* 2>&1 | wc -l) >out &
	done
	wait
fi
umount m
