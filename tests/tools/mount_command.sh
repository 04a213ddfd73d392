#!/bin/sh
# What cairn mount and umount do to the store, and what they ask of the daemon: a stand-in writes down its arguments, and hands
# them on.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need tar mount

mkdir "$TMP/bin" "$TMP/mnt" "$TMP/mnt2"
cat >"$TMP/bin/cairnfs" <<'END'
#!/bin/sh
printf '%s\n' "$@" >"$TMP/args"
[ ! -e "$TMP/refuse" ] || { echo "cairnfs: refused" >&2 && exit 3; }
[ ! -e "$TMP/record" ] || exit 0
exec "$CAIRNFS" "$@"
END
chmod +x "$TMP/bin/cairnfs"
CAIRN_CAIRNFS=$TMP/bin/cairnfs
export CAIRN_CAIRNFS

two_layers
oci_layout "$TMP/app" 1 cat "$TMP/low.tar" "$TMP/high.tar"
id=$(cairn import "$TMP/app" | cut -d' ' -f2)
# no_container MESSAGE: there is no container, and nothing of one.
no_container() {
	[ "$(containers)" = 0 ] || fail "$1: $(cairn containers)"
	[ -z "$(ls "$store/containers")" ] || fail "$1: $(ls "$store/containers")"
}
containers() {
	cairn containers | tail -n +2 | wc -l
}

# ---- mount: arguments, contents, record ----
cairn mount app:1 "$TMP/mnt" >"$TMP/out"
[ ! -s "$TMP/out" ] || fail "said: $(cat "$TMP/out")"
[ "$(sed -n 1p "$TMP/args")" = cairn:app:1 ] || fail "source"
[ "$(sed -n 2p "$TMP/args")" = "$TMP/mnt" ] || fail "mount point"
[ "$(sed -n 3p "$TMP/args")" = -o ] || fail "-o"
low=$(sha "$TMP/low.tar") high=$(sha "$TMP/high.tar")
chain=$(printf 'sha256:%s sha256:%s' "$low" "$high" | sha256sum | cut -d' ' -f1)
c=$(cairn containers | tail -n 1 | cut -d' ' -f1)
# wanted STORE CONTAINER: the options for it, the store being written as is.
wanted() {
	printf '%s\n' "lowerdir=$1/layers/$high/diff:$1/layers/$low/diff,upperdir=$1/containers/$2/upper,workdir=$1/containers/$2/work,chain=$1/chains/$chain.mdb,chain_id=$chain"
}
wanted "$store" "$c" >"$TMP/wanted"
sed -n 4p "$TMP/args" >"$TMP/given"
same "$TMP/wanted" "$TMP/given"
[ -f "$store/chains/$chain.mdb" ] || fail "no chain index"
[ "$(cat "$TMP/mnt/etc/b") $(ls "$TMP/mnt/dir")" = "three new" ] || fail "contents"
[ "$(stat -c %a "$TMP/mnt")" = "$(stat -c %a "$store/layers/$high/diff")" ] || fail "the root's mode"
[ "$(containers)" = 1 ] || fail "no record"
fails 1 "^cairn rm: app:1: container $c uses it" cairn rm app:1
fails 1 "container $c uses it" cairn rm "$id"
cairn import --tag app:again "$TMP/app" >"$TMP/out"
cairn rm app:again # another tag of it may go

# ---- umount by a link to the directory, by a link to that ----
ln -s mnt "$TMP/link"
ln -s "$TMP/link" "$TMP/second"
ln -s nowhere "$TMP/dangling"
fails 1 "no container is mounted there" cairn umount "$TMP/dangling"
(cd "$TMP" && cairn umount second/)
no_container "umount by a link"
[ -h "$TMP/link" ] || fail "the link is gone"
cairn mount app:1 "$TMP/link"
[ "$(cat "$TMP/mnt/etc/b")" = three ] || fail "mounted by a link"
c=$(cairn containers | tail -n 1 | cut -d' ' -f1)

# ---- umount: busy, then gone ----
echo written >"$TMP/mnt/new"
(cd "$TMP/mnt" && fails 1 "^cairn umount: $TMP/mnt: busy" cairn umount "$TMP/mnt")
[ -f "$TMP/mnt/new" ] || fail "a busy container was unmounted"
[ "$(containers)" = 1 ] || fail "a busy container was forgotten"
(cd "$TMP" && cairn umount mnt/)
[ -z "$(ls "$TMP/mnt")" ] || fail "umount"
no_container "umount"
nothing_left
fails 1 "no container is mounted there" cairn umount "$TMP/mnt"

# ---- kept, taken up again, by name, by id ----
cairn mount --name web app "$TMP/mnt" 2>"$TMP/err" && fail "app is app:latest, which is not there"
cairn mount --name web app:1 "$TMP/mnt"
fails 1 "container web is mounted on $TMP/mnt" cairn mount --name web app:1 "$TMP/mnt2"
echo kept >"$TMP/mnt/file"
cairn umount --keep web
[ "$(cairn containers | tail -n 1 | tr -s ' ' | cut -d' ' -f2,5)" = "web -" ] || fail "kept: $(cairn containers)"
cairn import --tag other "$TMP/low.tar" >"$TMP/out"
fails 1 "container web is of another image, app:1" cairn mount --name web other "$TMP/mnt"
cairn mount --name web app:1 "$TMP/mnt2"
[ "$(cat "$TMP/mnt2/file")" = kept ] || fail "not taken up again"
cairn mount --name two app:1 "$TMP/mnt"
[ ! -e "$TMP/mnt/file" ] || fail "two containers share a writable layer"
[ "$(cairn containers --json | grep -c '"mount_point": "/')" = 2 ] || fail "containers --json"
cairn umount "$(cairn containers | grep ' two ' | cut -c1-6)"
umount "$TMP/mnt2" # by hand: the container is there still
cairn umount web
[ "$(containers)" = 0 ] || fail "web stays"

# ---- a store whose path has what separates options ----
: >"$TMP/record"
plain=$store
store="$TMP/a store:with,\"odd\\signs"
cairn import "$TMP/app" >"$TMP/out"
cairn mount app:1 "$TMP/mnt"
c=$(cairn containers | tail -n 1 | cut -d' ' -f1)
wanted "$(printf '%s' "$store" | sed 's/[":,\\]/\\&/g')" "$c" >"$TMP/wanted"
sed -n 4p "$TMP/args" >"$TMP/given"
same "$TMP/wanted" "$TMP/given"
cairn umount "$c"
store=$plain
rm "$TMP/record"

# ---- read-only; a mount point in the store ----
cairn mount --read-only app:1 "$TMP/mnt"
sed -n 4p "$TMP/args" | grep -q '^lowerdir=.*chain_id=[0-9a-f]*,ro$' || fail "read-only: $(cat "$TMP/args")"
! touch "$TMP/mnt/x" 2>"$TMP/none" || fail "read-only is writable"
cairn umount --keep "$TMP/mnt"
[ "$(containers)" = 0 ] || fail "there is nothing of a read-only mount to keep"
dir=$(cairn mount app:1)
[ "$(cat "$dir/etc/b")" = three ] || fail "mounted in the store"
cairn umount "$dir"

# ---- failures leave nothing ----
: >"$TMP/refuse"
status=0
cairn mount --name x app:1 "$TMP/mnt" 2>"$TMP/err" || status=$?
[ "$status" = 1 ] || fail "refused: status $status"
grep -q "could not mount it" "$TMP/err" || fail "refused: $(cat "$TMP/err")"
no_container "something of a failed mount stays"
rm "$TMP/refuse"
cairn mount --name x app:1 "$TMP/mnt"
echo kept >"$TMP/mnt/file"
cairn umount --keep x
: >"$TMP/refuse"
! cairn mount --name x app:1 "$TMP/mnt" 2>"$TMP/err" || fail "refused, but status 0"
rm "$TMP/refuse"
cairn mount --name x app:1 "$TMP/mnt"
[ "$(cat "$TMP/mnt/file")" = kept ] || fail "a kept layer was lost when its mount failed"
cairn umount x
CAIRN_CAIRNFS=$TMP/absent
! cairn mount app:1 "$TMP/mnt" 2>"$TMP/err" || fail "without a daemon"
grep -q "cannot run $TMP/absent: No such file" "$TMP/err" || fail "not said: $(cat "$TMP/err")"
CAIRN_CAIRNFS=$TMP/bin/cairnfs
fails 1 "nothing: no such image" cairn mount nothing "$TMP/mnt"
fails 1 "absent: No such file" cairn mount app:1 "$TMP/absent"
fails 1 "args: Not a directory" cairn mount app:1 "$TMP/args"
fails 2 "is no name for a container" cairn mount --name a/b app:1 "$TMP/mnt"
no_container "something of failed mounts stays"
cairn rm app:1 other
nothing_left
