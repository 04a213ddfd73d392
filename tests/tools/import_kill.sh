#!/bin/sh
# kill -9 at any instant leaves the store as before or as after; SIGINT leaves it as before; imports at once share their work.
. "$(dirname "$0")/lib.sh"
need tar gzip sha256sum

two_layers
dd if=/dev/urandom of="$TMP/blob" bs=1M count=24 status=none
split -b 2M "$TMP/blob" "$TMP/part."
(cd "$TMP" && tar -cf big.tar part.*)
oci_layout "$TMP/layout" 1 gzip "$TMP/low.tar" "$TMP/big.tar" "$TMP/high.tar"
tar -C "$TMP/layout" -cf "$TMP/image.tar" .
gzip -1 <"$TMP/image.tar" >"$TMP/image.tar.gz"
cairn import --tag first "$TMP/low.tar" >"$TMP/out"
cairn images >"$TMP/before"
find "$store/layers" -mindepth 1 -maxdepth 1 | sort >"$TMP/layers.before"

# How long a whole import takes here, to kill within that time.
began=$(date +%s%N)
cairn import "$TMP/image.tar" >"$TMP/out"
took=$((($(date +%s%N) - began) / 1000000))
cairn images >"$TMP/after"
find "$store/layers" -mindepth 1 -maxdepth 1 | sort >"$TMP/layers.after"
cairn rm image:1
sweep
cairn images >"$TMP/now"
same "$TMP/before" "$TMP/now"

finished=0
for round in $(seq 30); do
	case $((round % 3)) in
	0) "$CAIRN" --root "$store" import --tag image:1 - <"$TMP/image.tar.gz" >"$TMP/out" 2>&1 & ;;
	1) "$CAIRN" --root "$store" import "$TMP/image.tar" >"$TMP/out" 2>&1 & ;;
	2) "$CAIRN" --root "$store" import "$TMP/layout" --tag image:1 >"$TMP/out" 2>&1 & ;;
	esac
	pid=$!
	sleep "$(printf '0.%03d' $((round * took / 30 % 1000)))"
	kill -9 "$pid" 2>"$TMP/none" || :
	wait "$pid" 2>"$TMP/none" || :
	sweep
	cairn images >"$TMP/now"
	if cmp -s "$TMP/now" "$TMP/after"; then
		finished=$((finished + 1))
		[ "$(find "$store/layers" -mindepth 1 -maxdepth 1 | wc -l)" = 3 ] || fail "round $round: layers"
		cairn rm image:1
	fi
	sweep
	cairn images >"$TMP/now"
	same "$TMP/before" "$TMP/now"
	nothing_left
	find "$store/layers" -mindepth 1 -maxdepth 1 | sort >"$TMP/now"
	same "$TMP/layers.before" "$TMP/now"
	[ "$(find "$store/chains" "$store/blobs" -type f | wc -l)" = 2 ] || fail "round $round: files without a record"
done
echo "$finished of 30 had come to their end"

# ---- rm killed in the same way ----
for round in $(seq 10); do
	cairn import "$TMP/image.tar" >"$TMP/out"
	"$CAIRN" --root "$store" rm image:1 &
	pid=$!
	sleep "$(printf '0.%03d' "$round")"
	kill -9 "$pid" 2>"$TMP/none" || :
	wait "$pid" 2>"$TMP/none" || :
	sweep
	cairn images >"$TMP/now"
	cmp -s "$TMP/now" "$TMP/after" || same "$TMP/before" "$TMP/now"
	nothing_left
	! cmp -s "$TMP/now" "$TMP/before" || [ "$(find "$store/layers" -mindepth 1 -maxdepth 1 | wc -l)" = 1 ] ||
		fail "a removed layer stays"
done
cairn rm image:1 2>"$TMP/none" || :

# ---- SIGINT: a pipe that never ends ----
mkfifo "$TMP/pipe"
"$CAIRN" --root "$store" import - <"$TMP/pipe" >"$TMP/out" 2>"$TMP/err" &
pid=$!
exec 3>"$TMP/pipe"
head -c 3000000 "$TMP/image.tar.gz" >&3
sleep 0.3
# A shell starts background jobs with SIGINT ignored, so SIGTERM stands for both.
kill -TERM "$pid"
head -c 3000000 /dev/zero >&3 2>"$TMP/none" || :
exec 3>&-
status=0
wait "$pid" || status=$?
[ "$status" = 130 ] || fail "interrupted: status $status, $(cat "$TMP/err")"
grep -q 'interrupted$' "$TMP/err" || fail "not said: $(cat "$TMP/err")"
[ -z "$(ls -A "$store/tmp")" ] || fail "left in tmp/ after an interrupt"
sweep
cairn images >"$TMP/now"
same "$TMP/before" "$TMP/now"

# ---- a running import's staging is not swept; imports of the same image at once ----
"$CAIRN" --root "$store" import --tag slow - <"$TMP/pipe" >"$TMP/out" 2>"$TMP/err" &
pid=$!
exec 3>"$TMP/pipe"
head -c 3000000 "$TMP/image.tar.gz" >&3
sleep 0.2
sweep
cairn images >"$TMP/now"
[ -n "$(ls -A "$store/tmp")" ] || fail "the staging directory of a running import was removed"
pids=
for n in 1 2 3 4; do
	"$CAIRN" --root "$store" import --tag "many$n" "$TMP/image.tar" >"$TMP/out.$n" &
	pids="$pids $!"
done
for p in $pids; do
	wait "$p" || fail "imports at once"
done
tail -c +3000001 "$TMP/image.tar.gz" >&3
exec 3>&-
wait "$pid" || fail "the slow import: $(cat "$TMP/err")"
[ "$(cairn images | grep -c "^many[1-4] \|^slow ")" = 5 ] || fail "not all are there: $(cairn images)"
[ "$(find "$store/layers" -mindepth 1 -maxdepth 1 | wc -l)" = 3 ] || fail "layers are not shared"
nothing_left
