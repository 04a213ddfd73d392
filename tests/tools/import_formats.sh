#!/bin/sh
# Every form of image archive, in every packing and order, from a file, a pipe and a directory, gives the same image.
. "$(dirname "$0")/lib.sh"
need tar gzip xz bzip2 zstd sha256sum

two_layers
config "$TMP/low.tar" "$TMP/high.tar" >"$TMP/config"
id=$(sha "$TMP/config")

# is NAME:TAG: the image is there under that name, with both layers, each once on disk.
is() {
	cairn images --json | grep -qF "\"$1\"" || fail "no $1: $(cairn images)"
	[ "$(find "$store/layers" -mindepth 1 -maxdepth 1 | wc -l)" = 2 ] || fail "layers are not shared"
	[ "$(cat "$(branch "$1" 1)/etc/b")" = three ] || fail "$1: its upper layer is wrong"
	nothing_left
}

# ---- OCI, each packing; the layout, the archive, the archive packed again, a pipe ----
for pack in cat gzip zstd xz bzip2; do
	oci_layout "$TMP/$pack" "v1" "$pack" "$TMP/low.tar" "$TMP/high.tar"
	[ "$(cairn import "$TMP/$pack")" = "$pack:v1 $id" ] || fail "$pack layout"
	is "$pack:v1"
	tar -C "$TMP/$pack" -cf "$TMP/oci-$pack.tar" .
	[ "$(cairn import "$TMP/oci-$pack.tar")" = "oci-$pack:v1 $id" ] || fail "$pack archive"
	tar -C "$TMP/$pack" -cf - index.json oci-layout blobs | $pack | cairn import --tag "pipe-$pack" - >"$TMP/out"
	is "pipe-$pack:latest"
	tar -C "$TMP/$pack" -cf - blobs index.json oci-layout | $pack >"$TMP/last-$pack.tar.x"
	cairn import "$TMP/last-$pack.tar.x" >"$TMP/out"
	is "last-$pack:v1"
done

# ---- docker save: the manifest first, and last; links to layers as older versions have them ----
docker_archive "$TMP/docker" "localhost:5000/team/app:2" "$TMP/low.tar" "$TMP/high.tar"
low=$(sha "$TMP/low.tar")
(cd "$TMP/docker" && tar -cf ../first.tar manifest.json ./*.json ./*.tar && tar -cf ../last.tar ./*.tar ./*.json)
for file in first last; do
	[ "$(cairn import "$TMP/$file.tar")" = "localhost:5000/team/app:2 $id" ] || fail "docker archive, manifest $file"
	cairn rm localhost:5000/team/app:2 || fail "rm"
	gzip <"$TMP/$file.tar" | cairn import - >"$TMP/out"
	is "localhost:5000/team/app:2"
	cairn import --tag mine "$TMP/$file.tar" >"$TMP/out"
	is "mine:latest"
done
mkdir "$TMP/docker/$low"
mv "$TMP/docker/$low.tar" "$TMP/docker/layer.real"
ln -s ../layer.real "$TMP/docker/$low/layer.tar"
sed -i "s|$low.tar|$low/layer.tar|" "$TMP/docker/manifest.json"
tar -C "$TMP/docker" -cf "$TMP/legacy.tar" .
cairn rm mine localhost:5000/team/app:2
cairn import "$TMP/legacy.tar" >"$TMP/out"
cairn rm app:2
gzip <"$TMP/legacy.tar" | cairn import - >"$TMP/out"
is "localhost:5000/team/app:2"

# ---- two images in one file ----
docker_archive "$TMP/one" "multi:one" "$TMP/low.tar"
docker_archive "$TMP/two" "multi:two" "$TMP/low.tar" "$TMP/high.tar"
mkdir "$TMP/multi"
cp "$TMP/one"/* "$TMP/multi"
cp "$TMP/two"/* "$TMP/multi"
{ sed 's/]$/,/' "$TMP/one/manifest.json" && sed 's/^\[//' "$TMP/two/manifest.json"; } >"$TMP/multi/manifest.json"
tar -C "$TMP/multi" -cf "$TMP/multi.tar" .
cairn import "$TMP/multi.tar" >"$TMP/out"
[ "$(cut -d' ' -f1 "$TMP/out" | tr '\n' ' ')" = "multi:one multi:two " ] || fail "two images: $(cat "$TMP/out")"
is multi:two
fails 1 "holds 2 images" cairn import --tag x "$TMP/multi.tar"

# ---- several platforms, in a nested index ----
here=$(oci_manifest "$TMP/platforms" gzip "$TMP/low.tar")
other=$(arch=other oci_manifest "$TMP/platforms" gzip "$TMP/high.tar")
printf '{"schemaVersion":2,"manifests":[{%s,"platform":{"os":"linux","architecture":"other"}},{%s,"platform":{"os":"linux","architecture":"%s"}}]}' \
	"$other" "$here" "$(go_arch)" >"$TMP/nested"
oci_index "$TMP/platforms" "$(ref "$(add_blob "$TMP/platforms" "$TMP/nested")" docker.io/library/many:1)"
config "$TMP/low.tar" >"$TMP/config"
[ "$(cairn import "$TMP/platforms")" = "docker.io/library/many:1 $(sha "$TMP/config")" ] || fail "platform"
printf '{"manifests":[{%s,"platform":{"os":"linux","architecture":"other"}},{%s,"platform":{"os":"plan9","architecture":"%s"}}]}' \
	"$other" "$here" "$(go_arch)" >"$TMP/nested"
oci_index "$TMP/platforms" "$(ref "$(add_blob "$TMP/platforms" "$TMP/nested")" x:1)"
refused "no image for linux/$(go_arch)(/v[1-4])?, only linux/other plan9/$(go_arch)" "$TMP/platforms"

# ---- a root filesystem ----
gzip <"$TMP/low.tar" >"$TMP/root.fs.tar.gz"
cairn import "$TMP/low.tar" >"$TMP/out"
[ "$(cairn import "$TMP/root.fs.tar.gz")" = "root.fs:latest $(cut -d' ' -f2 "$TMP/out")" ] || fail "root filesystem"
[ "$(cat "$(branch root.fs:latest 0)/etc/b")" = two ] || fail "root filesystem's file"
[ "$(cairn import - <"$TMP/low.tar")" = "<none> $(cut -d' ' -f2 "$TMP/out")" ] || fail "without a name"
"$MKTAR" file manifest.json '{"name": "an application"}' dir usr >"$TMP/app.tar"
cairn import "$TMP/app.tar" >"$TMP/out" || fail "a root with a manifest.json of its own"
cp "$TMP/app.tar" "$TMP/no name.tar"
cairn import "$TMP/no name.tar" | grep -q '^<none> ' || fail "a file name that cannot be a name"
