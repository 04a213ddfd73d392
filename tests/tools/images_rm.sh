#!/bin/sh
# Listings, names, and removal of what nothing else uses.
. "$(dirname "$0")/lib.sh"
need tar sha256sum

two_layers
"$MKTAR" file third "3" >"$TMP/third.tar"
oci_layout "$TMP/a" 1 cat "$TMP/low.tar" "$TMP/high.tar"
oci_layout "$TMP/b" 1 cat "$TMP/low.tar" "$TMP/third.tar"
a=$(cairn import "$TMP/a" | cut -d' ' -f2)
b=$(cairn import "$TMP/b" | cut -d' ' -f2)
cairn import --tag registry.example:5000/team/a:1 "$TMP/a" >"$TMP/out"

count() {
	[ "$(find "$store/layers" -mindepth 1 -maxdepth 1 | wc -l) $(find "$store/chains" -type f | wc -l) $(
		find "$store/blobs" -type f | wc -l
	)" = "$1" ] || fail "layers, chains and blobs are not $1"
	nothing_left
}
count "3 2 4"

# ---- listings ----
cairn images >"$TMP/table"
[ "$(wc -l <"$TMP/table")" = 4 ] || fail "table: $(cat "$TMP/table")"
grep -qE "^a +1 +$(echo "$a" | cut -c1-12) +2 +[0-9]+ B +[0-9]+ B +[0-9]+ years ago$" "$TMP/table" || fail "row: $(cat "$TMP/table")"
grep -qE "^registry.example:5000/team/a +1 " "$TMP/table" || fail "row of a long name: $(cat "$TMP/table")"
# Of both images the lower layer is the same, 13 bytes; the others have 8 and 1.
[ "$(grep -oE '[0-9]+ B +[0-9]+ B' "$TMP/table" | tr -s ' ' | sort -u | tr '\n' ' ')" = "14 B 13 B 21 B 13 B " ] ||
	fail "what is shared: $(cat "$TMP/table")"
cairn images --json >"$TMP/json"
if command -v jq >"$TMP/none"; then
	[ "$(jq -r ".[] | select(.id == \"$b\") | .layers[1].diff_id" "$TMP/json")" = "sha256:$(sha "$TMP/third.tar")" ] || fail "json"
	[ "$(jq -r ".[] | select(.id == \"$a\") | .tags | length" "$TMP/json")" = 2 ] || fail "json tags"
	[ "$(jq -r ".[] | select(.id == \"$b\") | .size, (.layers | map(.size) | add)" "$TMP/json" | uniq | wc -l)" = 1 ] ||
		fail "json sizes"
fi
cairn containers --json >"$TMP/json"
[ "$(tr -d ' \n' <"$TMP/json")" = "[]" ] || fail "containers --json of none"

# ---- names ----
fails 1 "nothing: no such image" cairn rm nothing
fails 1 "a:2: no such image" cairn rm a:2
fails 1 "no such image" cairn rm "$(echo "$a" | cut -c1-3)"
cairn import --tag other.example/team/a:1 "$TMP/b" >"$TMP/out"
cairn import --tag unique/thing:7 "$TMP/b" >"$TMP/out"
cairn rm thing:7
fails 1 "no such image" cairn rm unique/thing:7
cairn rm a:1 # the exact one
fails 1 "a:1: more than one image is called so" cairn rm a:1
for name in "a b" "-x" "a:" ":1" "/a" "a/" "a//b" "a:b:c" "a:.x" "$(printf 'x%.0s' $(seq 300))"; do
	fails 2 "is no name for an image" cairn import --tag="$name" "$TMP/a"
done

# ---- removal ----
count "3 2 4"
fails 1 "nothing: no such image" cairn rm registry.example:5000/team/a:1 nothing
count "3 2 4" # all or none
cairn rm registry.example:5000/team/a:1
count "2 1 2"
cairn rm b:1
count "2 1 2"
cairn rm "sha256:$(echo "$b" | cut -c1-10)"
count "0 0 0"
[ "$(cairn images | wc -l)" = 1 ] || fail "images remain"

# ---- a name that moves to another image leaves the old one without ----
cairn import --tag x "$TMP/a" >"$TMP/out"
cairn import --tag x "$TMP/b" >"$TMP/out"
cairn images | grep -qE "^<none> +<none> +$(echo "$a" | cut -c1-12)" || fail "the old image: $(cairn images)"
cairn rm "$a" x
count "0 0 0"

# ---- a damaged, and a foreign store ----
cp "$store/store.mdb" "$TMP/kept"
head -c 100 /dev/urandom >"$store/store.mdb"
fails 1 "store.mdb" cairn images
cp "$TMP/kept" "$store/store.mdb"
cairn images >"$TMP/out"
: >"$TMP/file"
fails 1 "store $TMP/file: Not a directory" "$CAIRN" --root "$TMP/file" images
