#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# cairn umount unmounts a container and nothing else, and removes what was written in it only when it is mounted nowhere any more,
# whatever else is mounted there, and whoever else is at work.
. "$(dirname "$0")/../tools/lib.sh"
need_root
need_fuse
need tar mount unshare

two_layers
oci_layout "$TMP/app" 1 cat "$TMP/low.tar" "$TMP/high.tar"
cairn import "$TMP/app" >"$TMP/out"
mkdir "$TMP/mnt"
mnt=$TMP/mnt

# written ID: what was written in the container is there.
written() {
	[ "$(cat "$store/containers/$1/upper/new")" = precious ] || fail "$2: what was written is gone"
	[ "$(cairn containers | grep -c "^$1")" = 1 ] || fail "$2: the record is gone"
}
id_of() {
	cairn containers | grep " $1 " | cut -d' ' -f1
}

# ---- something else is mounted over it ----
cairn mount --name web app:1 "$mnt"
web=$(id_of web)
echo precious >"$mnt/new"
mount -t tmpfs none "$mnt"
echo other >"$mnt/other"
for key in web "$mnt"; do
	fails 1 "^cairn umount: $mnt: something else is mounted there" cairn umount "$key"
done
fails 1 "^cairn umount: $mnt: something else is mounted there" cairn umount --keep web
[ "$(cat "$mnt/other")" = other ] || fail "the wrong mount was unmounted"
written "$web" "mounted over"
umount "$mnt"
[ "$(cat "$mnt/new")" = precious ] || fail "it is not mounted any more"

# ---- another container there is refused ----
fails 1 "$mnt: container web is mounted there" cairn mount --name second app:1 "$mnt"
[ -z "$(id_of second)" ] || fail "a second container was made"
written "$web" "a second one on the same place"

# ---- it is mounted in another mount namespace only ----
rm -f "$TMP/go"
mkfifo "$TMP/go" "$TMP/up"
# shellcheck disable=SC2016 # the other shell's
background unshare -m --propagation private sh -c 'echo up >"$0/up"; read -r _ <"$0/go"; cat "$0/mnt/new" >"$0/seen"; umount "$0/mnt"; echo down >"$0/up"' "$TMP"
read -r _ <"$TMP/up"
umount "$mnt"
fails 1 "container web is mounted, perhaps in another namespace" cairn umount web
fails 1 "container web is mounted, perhaps in another namespace" cairn umount --keep web
written "$web" "mounted in another namespace"
echo go >"$TMP/go"
read -r _ <"$TMP/up"
[ "$(cat "$TMP/seen")" = precious ] || fail "it was removed under the other namespace"

# ---- the recorded place holds another filesystem by now ----
mount -t tmpfs none "$mnt"
fails 1 "something else is mounted there" cairn umount web
mountpoint -q "$mnt" || fail "another filesystem was unmounted"
umount "$mnt"
# Another cairnfs, even one of the same image.
mkdir "$TMP/branch"
mount_cairnfs cairn:app:1 "$mnt" -o "lowerdir=$TMP/branch"
fails 1 "something else is mounted there" cairn umount web
mountpoint -q "$mnt" || fail "another cairnfs was unmounted"
umount "$mnt"
written "$web" "another filesystem"

# ---- kept, and mounted nowhere: then it goes ----
cairn umount --keep web
cairn mount --name web app:1 "$mnt"
[ "$(cat "$mnt/new")" = precious ] || fail "not kept"
cairn umount web
[ -z "$(ls "$store/containers")" ] || fail "left: $(ls "$store/containers")"

# ---- while it comes up ----
cat >"$TMP/slow" <<'END'
#!/bin/sh
echo up >"$TMP/up"
read -r _ <"$TMP/go"
exec "$CAIRNFS" "$@"
END
chmod +x "$TMP/slow"
CAIRN_CAIRNFS=$TMP/slow background "$CAIRN" --root "$store" mount --name slow app:1 "$mnt"
read -r _ <"$TMP/up"
slow=$(id_of slow)
fails 1 "another command is at work on it" cairn umount slow
fails 1 "another command is at work on it" cairn umount --keep slow
fails 1 "$mnt: container slow is mounted there" cairn mount --name third app:1 "$mnt"
[ -d "$store/containers/$slow/upper" ] || fail "removed while it was coming up"
echo go >"$TMP/go"
mounted() {
	mountpoint -q "$mnt"
}
wait_for mounted
wait "$!"
echo precious >"$mnt/new"
written "$slow" "after it has come up"
cairn umount slow

# A daemon that fails after its mount has come up: nothing is removed under that, and it goes.
cat >"$TMP/fails" <<'END'
#!/bin/sh
"$CAIRNFS" "$@"
exit 3
END
chmod +x "$TMP/fails"
cairn mount --name kept app:1 "$mnt"
echo precious >"$mnt/new"
cairn umount --keep kept
for name in new kept; do
	if CAIRN_CAIRNFS=$TMP/fails "$CAIRN" --root "$store" mount --name $name app:1 "$mnt" 2>"$TMP/err"; then fail "mounted"; fi
	grep -q "could not mount it" "$TMP/err" || fail "it says: $(cat "$TMP/err")"
	[ -z "$(mounts)" ] || fail "mounted still: $(mounts)"
done
[ "$(cairn containers | tail -n +2 | tr -s ' ' | cut -d' ' -f2)" = kept ] || fail "containers: $(cairn containers)"
cairn mount --name kept app:1 "$mnt"
[ "$(cat "$mnt/new")" = precious ] || fail "what was in the container is gone"
cairn umount kept

# A disk that was full left no room to note which mount it is.
cairn mount --name unnoted app:1 "$mnt"
echo precious >"$mnt/new"
: >"$store/containers/$(id_of unnoted)/work/owner"
fails 1 "container unnoted is mounted there" cairn mount --name third app:1 "$mnt"
cairn umount --keep unnoted
[ -z "$(mounts)" ] || fail "mounted still: $(mounts)"
cairn mount --name unnoted app:1 "$mnt"
[ "$(cat "$mnt/new")" = precious ] || fail "what was in the container is gone"
# Its daemon takes a while to end.
: >"$store/containers/$(id_of unnoted)/work/owner"
ending=$(supervisor)
kill -STOP "$ending"
(sleep 1 && kill -CONT "$ending") &
cairn umount unnoted || fail "a daemon that is slow to end"
wait "$!"

# The command that mounts is killed, and what it started goes on: the container is that one's until it is mounted, with a layer of its
# own or without, and can be taken away then.
goes() {
	cairn umount slow 2>"$TMP/err"
}
mounted_there() {
	mountpoint -q "${place:-$store/containers/$(id_of slow)/merged}"
}
for how in writable writable-there read-only-there; do
	[ "$how" = writable ] && place= || place=$mnt
	[ "$how" = read-only-there ] && option=--read-only || option=
	# shellcheck disable=SC2086 # none, or a word
	CAIRN_CAIRNFS=$TMP/slow background "$CAIRN" --root "$store" mount --name slow $option app:1 $place
	read -r _ <"$TMP/up"
	kill -9 "$!"
	wait "$!" || :
	fails 1 "another command is at work on it" cairn umount slow
	[ -z "$place" ] || fails 1 "$mnt: container slow is mounted there" cairn mount --name third app:1 "$mnt"
	echo go >"$TMP/go"
	wait_for mounted_there
	wait_for goes
	[ -z "$(mounts)" ] || fail "$how: mounted, and no container: $(mounts)"
	sweep
	cairn images >"$TMP/out"
	cairn containers >"$TMP/out"
	[ "$(wc -l <"$TMP/out")" = 1 ] || fail "left: $(cat "$TMP/out")"
	[ -z "$(ls "$store/containers" "$store/tmp" | grep -v :)" ] || fail "left: $(ls "$store/containers" "$store/tmp")"
done

# ---- something mounted in what a killed command has left is in nobody's way ----
mkdir -p "$store/tmp/0123456789abcdef/dead/merged"
mount -t tmpfs none "$store/tmp/0123456789abcdef/dead/merged"
cairn images >"$TMP/out"
cairn mount --name after app:1 "$mnt"
cairn umount after
umount "$store/tmp/0123456789abcdef/dead/merged"
sweep
cairn images >"$TMP/out"
[ -z "$(ls "$store/tmp")" ] || fail "not swept: $(ls "$store/tmp")"
