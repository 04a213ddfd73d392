#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Archives of every form in doc/archives.md (forms.py makes them): each is imported to the tree that it stands for, or refused in
# one line that says why; and podman, where it is installed, makes the same of those it reads.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need python3 gzip

# The level of x86-64 that the C library finds here, whose own search path goes by it.
v=v1
loader=/lib64/ld-linux-x86-64.so.2
for i in 2 3 4; do
	[ ! -x "$loader" ] || ! "$loader" --help | grep -q "x86-64-v$i (supported" || v=v$i
done
echo "$v" >"$TMP/level"
python3 "$top_srcdir/tests/tools/forms.py" "$TMP/forms" "$(go_arch)"
mkdir "$TMP/m"

# is_tree NAME TREE: the image has it. Times of directories that no layer has are nobody's.
is_tree() {
	cairn mount --read-only "$1" "$TMP/m"
	treelist "$TMP/m" | tail -n +2 >"$TMP/found"
	treelist "$2" | tail -n +2 >"$TMP/expected"
	cairn umount "$TMP/m"
	same "$TMP/expected" "$TMP/found"
}

# imported FILE AS TREE NAMES NOTE [OPTION...]: AS is what it is called to be imported: the file, or - with it as input.
imported() {
	file=$1 as=$2 tree=$3 names=$4 note=$5
	shift 5
	"$CAIRN" --root "$store" import "$@" "$as" <"$file" >"$TMP/out" 2>"$TMP/err" || fail "$file $*: $(cat "$TMP/err")"
	if [ "$note" = - ]; then
		[ ! -s "$TMP/err" ] || grep -q 'an attestation' "$TMP/err" || grep -q 'in-toto' "$TMP/err" || fail "$file: $(cat "$TMP/err")"
	else
		[ "$(wc -l <"$TMP/err")" = 1 ] || fail "$file: not one line: $(cat "$TMP/err")"
		grep -qF -e "$note" "$TMP/err" || fail "$file: $(cat "$TMP/err")"
	fi
	if [ "$as" != - ]; then
		[ "$(cut -d' ' -f1 "$TMP/out" | tr '\n' ' ')" = "$names " ] || fail "$file: names: $(cat "$TMP/out")"
	fi
	is_tree "$(head -n 1 "$TMP/out" | cut -d' ' -f2)" "$tree"
	nothing_left
}

n_good=0
n_bad=0
tab=$(printf '\t')
cd "$TMP/forms"
while IFS=$tab read -r name options _ kind names note; do
	[ "$options" != - ] || options=
	# What an earlier one brought does not count.
	rm -rf "$store"
	if [ "$kind" = refused ]; then
		# shellcheck disable=SC2086 # a list of words
		fails 1 "$names" cairn import $options "$name"
		[ -z "$(find "$store/layers" "$store/chains" "$store/blobs" -mindepth 2)" ] || fail "$name: something was left"
		nothing_left
		if [ -f "$name" ]; then
			gzip <"$name" >"$TMP/packed"
			# shellcheck disable=SC2086
			fails 1 "$names" cairn import $options "$TMP/packed"
		fi
		n_bad=$((n_bad + 1))
		continue
	fi
	if [ -d "$name" ]; then
		# shellcheck disable=SC2086
		imported /dev/null "$name" "$name.tree" "$names" "$note" $options
	else
		# shellcheck disable=SC2086
		imported "$name" "$name" "$name.tree" "$names" "$note" $options
		rm -rf "$store"
		gzip <"$name" >"$TMP/packed"
		case $options in # of a pipe no name is known
		*:2) ;;
		*)
			# shellcheck disable=SC2086
			imported "$TMP/packed" - "$name.tree" "$names" "$note" $options
			;;
		esac
	fi
	n_good=$((n_good + 1))
done <cases
echo "$n_good imported, $n_bad refused"
[ "$n_good" -ge 60 ] || fail "some are not made"

# ---- an image by the name that its digest gives ----
rm -rf "$store"
cairn import named-digest.tar >"$TMP/out"
name=$(cut -d' ' -f1 "$TMP/out")
is_tree "$name" named-digest.tar.tree
cairn images | grep -qE '^localhost/x +@sha256:[0-9a-f]{8} ' || fail "listed: $(cairn images)"
fails 2 "is no name for an image" cairn import --tag "$name" named-digest.tar
cairn rm "$name"
fails 2 "'linux' is no platform" cairn import --platform linux oci.tar
fails 2 "'linux/a/b/c' is no platform" cairn import --platform linux/a/b/c oci.tar

# ---- what podman makes of them ----
command -v podman >"$TMP/none" || { echo "podman is not installed: not compared" && exit 0; }
peer() {
	podman --root "$TMP/podman" --runroot "$TMP/podman-run" --storage-driver vfs "$@"
}
peer info >"$TMP/none" 2>"$TMP/err" || { echo "podman does not run here: not compared" && exit 0; }
n_same=0
while IFS=$tab read -r name _ peer kind _; do
	case $peer in
	same)
		peer load -q -i "$name" >"$TMP/out" 2>"$TMP/err" || fail "podman does not load $name: $(cat "$TMP/err")"
		image=$(sed -n 's/^Loaded image: //p' "$TMP/out" | head -n 1)
		dir=$(peer image mount "$image") || fail "podman does not mount $name, $image"
		treelist "$dir" | tail -n +2 >"$TMP/found"
		treelist "$name.tree" | tail -n +2 >"$TMP/expected"
		peer image umount "$image" >"$TMP/none"
		same "$TMP/expected" "$TMP/found"
		n_same=$((n_same + 1))
		;;
	loads)
		peer load -q -i "$name" >"$TMP/out" 2>"$TMP/err" || fail "podman does not load $name: $(cat "$TMP/err")"
		;;
	refuses)
		! peer load -q -i "$name" >"$TMP/out" 2>"$TMP/err" || fail "podman loads $name: $(cat "$TMP/out")"
		;;
	esac
	[ "$kind" ] || fail "a case without an end: $name"
done <cases
echo "$n_same as podman has them"
peer rmi -a -f >"$TMP/none" 2>&1
