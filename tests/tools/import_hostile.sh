#!/bin/sh
# Archives that mean harm, or are broken: each is refused in one line that names the culprit, or contained, and nothing is left.
. "$(dirname "$0")/lib.sh"
need_root
need gzip sha256sum

outside=$TMP/outside
mkdir "$outside"
echo secret >"$outside/secret"

# layer_refused REGEX ITEM...: as a root filesystem, plain and through a pipe, and as a layer of an image.
layer_refused() {
	regex=$1
	shift
	"$MKTAR" "$@" >"$TMP/bad.tar"
	refused "bad.tar: $regex" "$TMP/bad.tar"
	gzip <"$TMP/bad.tar" >"$TMP/bad.tar.gz"
	refused "bad.tar.gz: $regex" "$TMP/bad.tar.gz"
	rm -rf "$TMP/layout"
	oci_layout "$TMP/layout" 1 gzip "$TMP/good.tar" "$TMP/bad.tar"
	refused "layer 2 .'blobs/sha256/[0-9a-f]{64}'.: $regex" "$TMP/layout"
	[ "$(ls "$outside")" = secret ] || fail "something was made outside: $*"
	[ "$(cat "$outside/secret")" = secret ] || fail "something outside was changed: $*"
}

"$MKTAR" dir etc file etc/a "a" >"$TMP/good.tar"
cairn import "$TMP/good.tar" >"$TMP/out"

layer_refused "'\.\./evil': refused: '\.\.' in its name" file ../evil x
layer_refused "'a/\.\./\.\./evil': refused" file a/../../evil x
layer_refused "'\.\./evil': refused" pax path ../evil file a x
layer_refused "'a': .*Invalid argument" symlink a ''
layer_refused "'a/x': refused: its parent is a whiteout" symlink a .wh.d file a/x x
layer_refused "'a/x': Too many levels of symbolic links" symlink a a file a/x x
layer_refused "'h': refused: a hard link to 'a/x': Too many levels of symbolic links" symlink a a/b link h a/x
layer_refused "'a/(e/)*x': File name too long" pax linkpath "$(printf 'd/%.0s' $(seq 2047))" symlink a long \
	pax path "a/$(printf 'e/%.0s' $(seq 50))x" file a/x x
layer_refused "'a/x': refused: its parent a is no directory" file a x file a/x y
layer_refused "'a': refused: a hard link to '\.\./secret'" link a ../secret
layer_refused "'a': refused: a hard link to '.*/secret': No such file" link a "$outside/secret"
layer_refused "'a': refused: a hard link to 'l/secret'" symlink l "$outside" link a l/secret
layer_refused "'a': refused: a hard link to 'd': Is a directory" dir d link a d
layer_refused "'a': refused: a hard link to 'a'" link a a
layer_refused "'n': no system can hold its device number" char n 70000 1
layer_refused "'a': no system can hold its owner 4294967295:0" owner 4294967295 0 file a x
layer_refused "'a': Tar entry size overflow" claim a 9223372036854775807 x
layer_refused "'a': Tar entry size overflow" claim a 18446744073709551615 x
layer_refused "'a': (the archive ends before it does|Truncated tar archive)" claim a 1000000000000 x
layer_refused "'.wh.': refused: a whiteout of no name" file .wh. ""
layer_refused "'.wh..': refused: a whiteout of no name" file .wh.. ""
layer_refused "'d/.wh...': refused: a whiteout of no name" file d/.wh... ""
layer_refused "'.wh.d/a': refused: its parent is a whiteout" file .wh.d/a ""
layer_refused "'n{256}': refused: File name too long" pax path "$(printf 'n%.0s' $(seq 256))" file a x
layer_refused "'s'" pax GNU.sparse.major 1 pax GNU.sparse.minor 0 pax GNU.sparse.realsize 4611686018427387904 pax GNU.sparse.name s \
	file s '1
0
0
'

# ---- contained ----
"$MKTAR" symlink a "$outside" file a/x x dir a/d link a/h a/x file a/.wh.secret "" dir b symlink b/c ../../../.. symlink b/up .. \
	file "b/c$outside/new" n file b/up/y y symlink p /proc/self/root file p/z z symlink p2 /proc/self/fd file p2/0 z \
	>"$TMP/through.tar"
cairn import "$TMP/through.tar" >"$TMP/out"
b=$(branch through:latest 0)
[ "$(ls "$outside")" = secret ] || fail "a link led outside: $(ls "$outside")"
[ "$(cat "$b$outside/x" "$b$outside/h" "$b$outside/new" "$b/y" "$b/proc/self/root/z" "$b/proc/self/fd/0")" = xxnyzz ] ||
	fail "links were not followed inside"
[ "$(stat -c %F "$b$outside/secret")" = "character special file" ] || fail "a whiteout by way of a link"
"$MKTAR" dir d file d/secret "below" >"$TMP/low.tar"
"$MKTAR" symlink l d file l/.wh..wh..opq "" symlink m d file m/.wh.secret "" link h m/secret >"$TMP/high.tar"
rm -rf "$TMP/layout"
oci_layout "$TMP/layout" 1 gzip "$TMP/low.tar" "$TMP/high.tar"
refused "'h': refused: a hard link to 'm/secret': No such file" "$TMP/layout"
"$MKTAR" symlink l d file l/.wh..wh..opq "" symlink m d file m/.wh.secret "" >"$TMP/high.tar"
rm -rf "$TMP/layout"
oci_layout "$TMP/layout" 1 gzip "$TMP/low.tar" "$TMP/high.tar"
cairn import --tag marked "$TMP/layout" >"$TMP/out"
[ "$(cat "$(branch marked:latest 0)/d/secret")" = below ] || fail "a mark by way of a link changed the layer below"

"$MKTAR" file "$outside/secret" "mine" symlink out "$outside" symlink out "$outside" link hard out file out "a file now" \
	file a 1 file a 2 dir a file a/b 3 file ./a/./b 4 >"$TMP/odd.tar"
cairn import "$TMP/odd.tar" >"$TMP/out"
b=$(branch odd:latest 0)
[ "$(cat "$b$outside/secret" "$b/out" "$b/a/b")" = "minea file now4" ] || fail "contained, but wrong"
[ "$(cat "$outside/secret")" = secret ] || fail "an absolute name led outside"
"$MKTAR" many 30000 f >"$TMP/many.tar"
# In bounded memory; a sanitizer's own would not fit.
need prlimit
grep -q __asan_init "$CAIRN" || prlimit --data=40000000 "$CAIRN" --root "$store" import "$TMP/many.tar" >"$TMP/out"

# ---- cut short, or no archive at all ----
head -c 600000 /dev/urandom >"$TMP/noise"
"$MKTAR" file a "x" >"$TMP/cut.tar"
tar -C "$TMP" -cf "$TMP/noise.tar" noise
head -c 300000 "$TMP/noise.tar" >"$TMP/cut.tar"
refused "'noise': the archive ends before it does" "$TMP/cut.tar"
gzip <"$TMP/cut.tar" >"$TMP/cut2.tar.gz"
refused "'noise': Truncated tar archive" "$TMP/cut2.tar.gz"
gzip <"$TMP/noise.tar" | head -c 300000 >"$TMP/cut3.tar.gz"
refused "cut3.tar.gz: 'noise': truncated gzip input" "$TMP/cut3.tar.gz"
refused "noise: Unrecognized archive format" "$TMP/noise"
: >"$TMP/empty"
refused "there is nothing in it" "$TMP/empty"
refused "absent: No such file" "$TMP/absent"
refused "no image layout" "$outside"

# ---- documents ----
"$MKTAR" file fresh "a layer that the store does not have, so that it is read" >"$TMP/fresh.tar"
fresh() {
	rm -rf "$TMP/layout"
	oci_layout "$TMP/layout" 1 gzip "$TMP/fresh.tar"
}
tamper() {
	chmod u+w "$TMP/layout/blobs/sha256/$1"
	printf ' ' >>"$TMP/layout/blobs/sha256/$1"
}
fresh
manifest=$(sha "$TMP/manifest") config=$(sha "$TMP/config") layer=$(gzip <"$TMP/fresh.tar" | sha256sum | cut -d' ' -f1)
for blob in "$manifest" "$config"; do
	fresh
	sed -i 's/"size":[0-9]*//; s/,}/}/; s/,,/,/' "$TMP/layout/index.json"
	tamper "$blob"
	refused "blobs/sha256/$blob' in the archive: (its digest is sha256|[0-9]+ bytes long, not)" "$TMP/layout"
done
fresh
tamper "$layer"
refused "blobs/sha256/$layer' in the archive: [0-9]+ bytes long, not" "$TMP/layout"
fresh # the same length, another content
printf '\377' | dd of="$TMP/layout/blobs/sha256/$layer" bs=1 seek=9 conv=notrunc status=none
refused "layer 1 .'blobs/sha256/$layer'.: its digest is sha256:" "$TMP/layout"
fresh # a layer whose diff ID is not the config's
"$MKTAR" file other x >"$TMP/other.tar"
config "$TMP/other.tar" >"$TMP/config"
printf '{"config":{%s},"layers":[{"digest":"sha256:%s"}]}' "$(add_blob "$TMP/layout" "$TMP/config")" "$layer" >"$TMP/manifest"
oci_index "$TMP/layout" "$(ref "$(add_blob "$TMP/layout" "$TMP/manifest")" 1)"
refused "its diff ID is sha256:[0-9a-f]{64}, but the config says sha256:$(sha "$TMP/other.tar")" "$TMP/layout"
for blob in "$layer" "$config" "$manifest"; do
	fresh
	rm "$TMP/layout/blobs/sha256/$blob"
	refused "'blobs/sha256/$blob' in the archive: No such file" "$TMP/layout"
done
fresh
oci_index "$TMP/layout" '{"digest":"sha256:../../../etc/passwd"}'
refused "index.json: a descriptor has no sha256 digest" "$TMP/layout"
oci_index "$TMP/layout" '{"digest":"md5:aa"}'
refused "index.json: a descriptor has no sha256 digest: md5:aa" "$TMP/layout"
oci_index "$TMP/layout" ''
refused "holds no image" "$TMP/layout"
printf '{"manifests":' >"$TMP/layout/index.json"
refused "'index.json' in the archive: line 1" "$TMP/layout"
{ printf '%0100000d' 0 | tr 0 '[' && printf '%0100000d' 0 | tr 0 ']'; } >"$TMP/layout/index.json"
refused "'index.json' in the archive: line 1: maximum parsing depth" "$TMP/layout"
head -c 5000000 /dev/zero | tr '\0' ' ' >"$TMP/layout/index.json"
refused "'index.json' in the archive: larger than" "$TMP/layout"
# Indexes in indexes: a true loop would need a digest that contains itself.
fresh
next=$(add_blob "$TMP/layout" "$TMP/manifest")
for _ in 1 2 3 4 5 6; do
	printf '{"manifests":[{%s}]}' "$next" >"$TMP/nested"
	next=$(add_blob "$TMP/layout" "$TMP/nested")
done
oci_index "$TMP/layout" "{$next}"
refused "indexes nested too deep" "$TMP/layout"
rm "$TMP/layout/index.json"
ln -s "$outside/secret" "$TMP/layout/index.json"
refused "no image layout" "$TMP/layout"

rm -rf "$TMP/docker"
docker_archive "$TMP/docker" evil:1 "$TMP/fresh.tar"
(cd "$TMP/docker" && tar -cf ../docker.tar manifest.json)
refused "json' in the archive: No such file" "$TMP/docker.tar"
sed -i 's|"Layers":\["|&../../|' "$TMP/docker/manifest.json"
tar -C "$TMP/docker" -cf "$TMP/docker.tar" .
refused "layer 1 .'\.\./\.\./[0-9a-f]{64}.tar'.: cannot be found: Invalid cross-device link" "$TMP/docker.tar"
printf '[{"Config":"x.json","RepoTags":["../../x"],"Layers":[]}]' >"$TMP/docker/manifest.json"
tar -C "$TMP/docker" -cf "$TMP/docker.tar" .
refused "x.json' in the archive: No such file" "$TMP/docker.tar"
docker_archive "$TMP/docker" "../../x" "$TMP/fresh.tar"
tar -C "$TMP/docker" -cf "$TMP/docker.tar" .
refused "'\.\./\.\./x' is no name for an image" "$TMP/docker.tar"

# ---- no room ----
mkdir "$TMP/small"
mount -t tmpfs -o size=2m none "$TMP/small" || exit 0
tar -C "$TMP" -cf "$TMP/large.tar" noise noise.tar cut3.tar.gz docker.tar many.tar
status=0
"$CAIRN" --root "$TMP/small/store" import "$TMP/large.tar" 2>"$TMP/err" || status=$?
[ "$status" = 1 ] || fail "imported into no room"
grep -q "No space left on device" "$TMP/err" || fail "not said: $(cat "$TMP/err")"
[ -z "$(find "$TMP/small/store/tmp" "$TMP/small/store/layers" -mindepth 1)" ] || fail "something left where there is no room"
umount "$TMP/small"
