# What the tests of the tool share, on top of tests/lib.sh: a store of their own in $store, and archives to import.
# shellcheck shell=sh
. "$(dirname "$0")/../lib.sh"

: "${MKTAR:=$top_builddir/tests/tools/mktar}"
store=$TMP/store
export store MKTAR
unset CAIRN_ROOT XDG_DATA_HOME

cairn() {
	"$CAIRN" --root "$store" "$@"
}

# sweep: what a command leaves when it is killed, the next one that changes something removes.
sweep() {
	! cairn rm no/such/image 2>"$TMP/none" || fail "no/such/image is there"
}

# Nothing of a command that has ended is left in the store.
nothing_left() {
	[ -z "$(ls -A "$store/tmp")" ] || fail "left in tmp/: $(ls -A "$store/tmp")"
}

# fails STATUS REGEX COMMAND...: it ends with that status and one line on stderr that matches.
fails() {
	fails_status=$1
	fails_regex=$2
	shift 2
	status=0
	"$@" >"$TMP/fails.out" 2>"$TMP/fails.err" || status=$?
	[ "$status" = "$fails_status" ] || fail "status $status, not $fails_status: $* $(cat "$TMP/fails.err")"
	[ "$(wc -l <"$TMP/fails.err")" = 1 ] || fail "not one line on stderr: $* $(cat "$TMP/fails.err")"
	grep -qE -e "$fails_regex" "$TMP/fails.err" || fail "not '$fails_regex' but: $(cat "$TMP/fails.err")"
}

# refused REGEX FILE: import says why, and the store is as before.
refused() {
	cairn images >"$TMP/images.before"
	find "$store/layers" "$store/chains" "$store/blobs" | sort >"$TMP/files.before"
	fails 1 "$1" cairn import "$2"
	nothing_left
	cairn images >"$TMP/images.after"
	find "$store/layers" "$store/chains" "$store/blobs" | sort >"$TMP/files.after"
	same "$TMP/images.before" "$TMP/images.after"
	same "$TMP/files.before" "$TMP/files.after"
}

sha() {
	sha256sum "$1" | cut -d' ' -f1
}

# branch NAME:TAG N: the directory of its Nth layer, counted from the lowest, 0 being the first.
branch() {
	cairn images --json | tr -d ' \n' | sed 's/{"id":/\n&/g' | grep -F "\"$1\"" | grep -o '"directory":"[0-9a-f]*"' |
		sed -n "$(($2 + 1))s|.*:\"\(.*\)\"|$store/layers/\1/diff|p"
}

# ---- archives ----

# config TAR...: the config of an image with these layers, lowest first.
config() {
	printf '{"created":"2020-01-02T03:04:05Z","architecture":"%s","os":"linux","config":{},' "${arch:-$(go_arch)}"
	printf '"rootfs":{"type":"layers","diff_ids":['
	comma=
	for tar in "$@"; do
		printf '%s"sha256:%s"' "$comma" "$(sha "$tar")"
		comma=,
	done
	printf ']}}'
}

go_arch() {
	case $(uname -m) in
	x86_64) echo amd64 ;;
	aarch64) echo arm64 ;;
	i?86) echo 386 ;;
	arm*) echo arm ;;
	*) uname -m ;;
	esac
}

# add_blob LAYOUT FILE: puts it under blobs/, and prints its descriptor without the media type.
add_blob() {
	mkdir -p "$1/blobs/sha256"
	cp "$2" "$1/blobs/sha256/$(sha "$2")"
	printf '"digest":"sha256:%s","size":%d' "$(sha "$2")" "$(wc -c <"$2")"
}

# oci_manifest LAYOUT PACK TAR...: an image with layers packed by the command PACK (cat: not at all). Prints its descriptor.
oci_manifest() {
	layout=$1
	pack=$2
	shift 2
	config "$@" >"$TMP/config"
	printf '{"schemaVersion":2,"config":{%s},"layers":[' "$(add_blob "$layout" "$TMP/config")" >"$TMP/manifest"
	comma=
	for tar in "$@"; do
		$pack <"$tar" >"$TMP/packed"
		printf '%s{%s}' "$comma" "$(add_blob "$layout" "$TMP/packed")" >>"$TMP/manifest"
		comma=,
	done
	printf ']}' >>"$TMP/manifest"
	add_blob "$layout" "$TMP/manifest"
}

# oci_index LAYOUT JSON: the array of descriptors becomes index.json.
oci_index() {
	printf '{"schemaVersion":2,"manifests":[%s]}' "$2" >"$1/index.json"
	printf '{"imageLayoutVersion":"1.0.0"}' >"$1/oci-layout"
}

# ref DESCRIPTOR NAME: an item of an index.
ref() {
	printf '{%s,"annotations":{"org.opencontainers.image.ref.name":"%s"}}' "$1" "$2"
}

# oci_layout LAYOUT REF PACK TAR...: a whole layout with one image.
oci_layout() {
	layout_dir=$1
	layout_ref=$2
	shift 2
	descriptor=$(oci_manifest "$layout_dir" "$@")
	oci_index "$layout_dir" "$(ref "$descriptor" "$layout_ref")"
}

# docker_archive DIR TAG TAR...: the files of `docker save`; tar them in the order wanted.
docker_archive() {
	archive=$1
	tag=$2
	shift 2
	mkdir -p "$archive"
	config "$@" >"$TMP/config"
	cp "$TMP/config" "$archive/$(sha "$TMP/config").json"
	printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":[' "$(sha "$TMP/config")" "$tag" >"$archive/manifest.json"
	comma=
	for tar in "$@"; do
		cp "$tar" "$archive/$(sha "$tar").tar"
		printf '%s"%s.tar"' "$comma" "$(sha "$tar")" >>"$archive/manifest.json"
		comma=,
	done
	printf ']}]' >>"$archive/manifest.json"
}

# Two small layers: $TMP/low.tar and $TMP/high.tar, which hides and replaces some of it.
two_layers() {
	"$MKTAR" dir ./ dir etc file etc/a "one" file etc/b "two" dir dir file dir/old "old" file gone "gone" \
		link etc/hard etc/a symlink link etc/a >"$TMP/low.tar"
	"$MKTAR" dir etc file etc/b "three" file .wh.gone "" dir dir file dir/.wh..wh..opq "" file dir/new "new" \
		>"$TMP/high.tar"
}
