#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# run.sh SECONDS BUILD TARGET...: runs each fuzz target of the build directory for its part of so many seconds, and tells
# how many executions there were. What makes one crash, leak, take too long or too much memory is kept in BUILD/findings,
# and what was found to be of interest, made of the seeds below and of nothing else, in BUILD/corpus.
#
# All of it happens on a tmpfs in mount namespaces of its own, in which the rest of the machine is read-only. That takes root.
set -euo pipefail

say() {
	printf 'fuzz: %s\n' "$*"
}

# ---- seeds: what a mutation at random would not come to ----

seed() {
	cat >"$seeds/$1"
}

seed_damage() {
	printf '\0' | seed nothing
	printf '\0\001\0\040\0' | seed cut
	printf '\0\040\0\0\0\101\0\0\001' | seed bits
	printf '\0\020\001\0\002\0' | seed pages
	printf '\001\001\003\020\0\377\0\0\001' | seed record
}

# layer OPTIONS NAME ITEM...: a tar, after a byte that says how it is unpacked.
layer() {
	local options=$1 name=$2
	shift 2
	{
		# shellcheck disable=SC2059 # an escape
		printf "\\$options"
		"$MKTAR" "$@"
	} | seed "$name"
}

seed_layer() {
	layer 000 plain dir etc file etc/a one link etc/b etc/a symlink etc/c a char null 1 3
	layer 004 marks dir dir file .wh.file '' file dir/.wh..wh..opq '' file dir/new new link dir/linked file
	layer 002 mark-files file .wh.a '' dir a file b/.wh.c '' file b/c text
	layer 000 pax pax SCHILY.xattr.user.key value pax SCHILY.xattr.user.overlay.redirect /etc file f x
	layer 001 acl pax SCHILY.acl.access user::rwx,group::r-x,other::--x pax mtime 1.5 dir d
	layer 000 outside symlink link ../../beside/etc file link/passwd x
	layer 000 through symlink link ../../beside file link/etc/x y
	layer 000 replaced dir a file a/b x file a y symlink a ../../beside file a/etc z
	layer 004 links dir d symlink l d symlink m /l/.. file m/d/x x link h l/x file l/.wh.y '' file m/.wh..wh..opq ''
	layer 000 loop symlink a b symlink b /a file b/x x link h a/x
	layer 000 plinks file .wh..wh.plnk/1.2 x link a .wh..wh.plnk/1.2
	layer 004 names pax SCHILY.acl.access user::rwx,user:anna:rwx,group::r-x,group:staff:r--,mask::rwx,other::--- \
		file f x file etc/passwd anna:x:5:5::/:/ symlink etc/group ../etc/passwd
	layer 000 twice pax SCHILY.xattr.user.k 1 pax SCHILY.xattr.user.k 2 pax SCHILY.xattr.none v dir a/../b
	layer 000 long pax path "$(printf 'd%.0s/' {1..90})file" file x text
	layer 000 sparse pax GNU.sparse.major 1 pax GNU.sparse.minor 0 pax GNU.sparse.realsize 8192 file s 0
}

seed_documents() {
	local config='{"architecture":"amd64","os":"linux","created":"2020-01-02T03:04:05Z",'
	config+='"rootfs":{"type":"layers","diff_ids":["sha256:@L"]}}'
	local manifest='{"schemaVersion":2,"config":{"digest":"sha256:@0","size":#0},'
	manifest+='"layers":[{"digest":"sha256:@L","size":#L}]}'
	local index='{"schemaVersion":2,"manifests":[{"digest":"sha256:@1","size":#1,'
	index+='"platform":{"architecture":"amd64","os":"linux"},'
	index+='"annotations":{"org.opencontainers.image.ref.name":"app:1"}}]}'

	printf 'o%s\0%s\0%s' "$config" "$manifest" "$index" | seed oci
	printf 'o%s\0%s\0%s\0%s' "$config" "$manifest" "$index" \
		'{"manifests":[{"digest":"sha256:@2","size":#2,"mediaType":"application/vnd.oci.image.index.v1+json"}]}' |
		seed nested
	printf 'o%s\0%s\0%s' "$config" "$manifest" '{"manifests":[
		{"digest":"sha256:@1","size":#1,"platform":{"os":"linux","architecture":"amd64","variant":"v9"}},
		{"digest":"sha256:@1","size":#1,"platform":{"os":"linux","architecture":"amd64","variant":"v2","os.features":["x"]}},
		{"digest":"sha256:@1","size":#1},{"digest":"sha256:@1","size":#1,"artifactType":"application/spdx+json"}]}' |
		seed variants
	printf 'o%s\0%s\0%s' '{}' '{"config":{"digest":"sha256:@0","size":#0,"mediaType":"application/vnd.oci.empty.v1+json"},
		"artifactType":"application/spdx+json","subject":{"digest":"sha256:@0","size":#0},"layers":[]}' "$index" | seed artifact
	printf 'o%s\0%s\0%s' '{"rootfs":{"diff_ids":null}}' \
		'{"config":{"digest":"sha256:@0","size":#0},"layers":[{"digest":"sha256:@L","size":#L,"mediaType":"x+encrypted"}]}' \
		"${index/app:1/app@sha256:@1}" | seed encrypted
	printf 'd%s\0%s' '{"rootfs":{"diff_ids":[]}}' '[{"Config":"@0.json","RepoTags":["app:v1+2"],"Layers":null}]' | seed empty
	printf 'd%s\0%s' "$config" '[{"Config":"@0.json","RepoTags":["app:1"],"Layers":["layer.tar"]}]' | seed docker
	printf 'd%s\0%s' "$config" '[{"Config":"@0.json","RepoTags":null,"Layers":["layer.tar","../layer.tar"]}]' |
		seed outside
}

# Objects with their marks, as fuzz_marks.c reads them, after a byte of options and three that say what follows: in the topmost
# branch `f` without data, which are those of `a` below; the directory `a` with the names of `b` below; an opaque `a` in
# upper; a file with an override.
seed_marks() {
	printf '\002\0\0\0\002\001\0\0\003\001\201\0\003\003\0\0\003\001\0\0\0\001\003' | seed metacopy
	printf '\160\0\0\0\003\001\0\001\0\001\001\001\003\003\001\102\0\0\0\0\0\001\004' | seed redirect
	printf '\001\0\0\0\003\001\0\0\0\001\001\0\003\003\001\103\0\0\0\001\006\001\0' | seed opaque
	printf '\064\0\0\0\001\103\0\003\003\001\004\001\001\017' | seed override
}

make_seeds() {
	seeds=$1
	mkdir -p "$seeds"
	case $2 in
	fuzz_layer) seed_layer ;;
	fuzz_documents) seed_documents ;;
	fuzz_marks) seed_marks ;;
	*) seed_damage ;;
	esac
}

# Words that mean something, for those whose input is text.
make_words() {
	echo '# words'
	case $1 in
	fuzz_layer)
		printf '"%s"\n' ../ ../../beside/etc /etc/ .wh. .wh..wh..opq ustar SCHILY.xattr. LIBARCHIVE.xattr. \
			user.overlay. trusted.overlay. security.capability SCHILY.acl.default path= linkpath= size= mtime= \
			GNU.sparse.map= hdrcharset=
		;;
	fuzz_documents)
		printf '"%s"\n' sha256: @0 @1 @2 @L '#0' '#L' manifests layers config rootfs diff_ids mediaType platform \
			annotations RepoTags Config Layers variant null true 1e999 -1 9223372036854775808 '\\"' '\\\\u0000' \
			'\\\\ud800' '{' '}' '[' ']' 'application/vnd.oci.image.index.v1+json' org.opencontainers.image.ref.name
		;;
	esac
}

# ---- runs ----

# The command sees a machine that is read-only, but for what is below $TMPDIR.
alone() {
	# shellcheck disable=SC2016 # the inner shell's
	unshare --mount --propagation private bash -c '
		cut -d" " -f5 /proc/self/mountinfo | sort -u | while read -r place; do
			case $(printf "%b" "$place") in
			"$TMPDIR" | /proc* | /dev*) ;;
			*) mount -o remount,bind,ro "$(printf "%b" "$place")" 2>>"$TMPDIR/ro" || : ;;
			esac
		done
		mount -o remount,bind,ro /
		exec "$@"' alone "$@"
}

# The longest input that is of use.
length() {
	case $1 in
	fuzz_layer | fuzz_documents) echo 16384 ;;
	*) echo 640 ;;
	esac
}

figure() {
	sed -n "s/^stat::$1: *//p" "$TMPDIR/log" | tail -n 1
}

run_target() {
	local target=$1 name kept status=0
	name=$(basename "$target")
	kept=$build/corpus/$name
	mkdir -p "$kept" "$TMPDIR/corpus" "$TMPDIR/found" "$TMPDIR/work"
	make_seeds "$TMPDIR/seeds" "$name"
	make_words "$name" >"$TMPDIR/words"
	cp -r "$kept/." "$TMPDIR/corpus"
	alone env TMPDIR="$TMPDIR/work" "$build/$target" -max_total_time="$part" -timeout=60 -rss_limit_mb=4096 \
		-max_len="$(length "$name")" -dict="$TMPDIR/words" -artifact_prefix="$TMPDIR/found/$name-" -print_final_stats=1 \
		"$TMPDIR/corpus" "$TMPDIR/seeds" >"$TMPDIR/log" 2>&1 || status=$?
	cp -r "$TMPDIR/corpus/." "$kept"
	say "$name: $(figure number_of_executed_units) executions, $(figure average_exec_per_sec) a second," \
		"$(find "$kept" -type f | wc -l) inputs kept, $(figure peak_rss_mb) MB"
	if [ "$status" != 0 ] || [ -n "$(ls -A "$TMPDIR/found")" ]; then
		failed=$((failed + 1))
		mkdir -p "$build/findings"
		cp -r "$TMPDIR/found/." "$build/findings"
		cp "$TMPDIR/log" "$build/findings/$name.log"
		tail -n 60 "$TMPDIR/log"
		say "$name: FAILED; see $build/findings"
	fi
	rm -rf "${TMPDIR:?}"/*
}

[ "$(id -u)" = 0 ] || { say "not without root" && exit 1; }
if [ -z "${FUZZ_ALONE:-}" ]; then
	FUZZ_ALONE=yes exec unshare --mount --propagation private bash "$0" "$@"
fi

seconds=$1
build=$2
shift 2
part=$((seconds / $#))
failed=0
# Not over a directory that others have, which the tree may lie in.
TMPDIR=$build/scratch
mkdir -p "$TMPDIR"
mount -t tmpfs -o size=2g tmpfs "$TMPDIR"
export TMPDIR
for target in "$@"; do
	run_target "$target"
done
say "$failed of $# targets failed"
[ "$failed" = 0 ]
