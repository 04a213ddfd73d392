#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Members of archives in their less usual forms (members.py), each as it is listed there or refused with one line: alone, through a
# pipe and in an image. And the peers that are here make the same of them, where that is expected (doc/archives.md).
. "$(dirname "$0")/lib.sh"
need_root
need python3 getfattr
cases=$TMP/cases
mkdir "$cases" "$TMP/peer"
python3 "$top_srcdir/tests/tools/members.py" "$cases"

# list DIR: but for the root, whose mode is not part of every layer.
list() {
	treelist --no-times "$1" | tail -n +2
	(cd "$1" && find . -type d | LC_ALL=C sort | while read -r dir; do
		! getfattr --only-values -n trusted.overlay.opaque "$dir" >"$TMP/opaque" 2>&1 || echo "opaque ${dir#.}"
	done)
}

# is_as_listed CASE DIR WHO
is_as_listed() {
	tail -n +2 "$cases/$1.tree" >"$TMP/expected"
	list "$2" >"$TMP/found"
	cmp -s "$TMP/expected" "$TMP/found" || {
		diff "$TMP/expected" "$TMP/found" || :
		fail "$1: not as listed: $3"
	}
}

# ---- cairn ----

# check CASE SOURCE LAYER
check() {
	if [ -e "$cases/$1.refused" ]; then
		refused "$(cat "$cases/$1.refused")" "$2"
	else
		cairn import --tag case "$2" >"$TMP/out" 2>"$TMP/err" || fail "$1: $(cat "$TMP/err")"
		is_as_listed "$1" "$(branch case:latest "$3")" "cairn import $2"
		nothing_left
		cairn rm case >"$TMP/out"
	fi
}

for case in "$cases"/*.peers; do
	case=$(basename "$case" .peers)
	if [ -e "$cases/$case.2" ]; then
		check "$case" "$cases/$case.oci" 1
		continue
	fi
	check "$case" "$cases/$case.1" 0
	check "$case" "$cases/$case.oci" 0
	if [ -e "$cases/$case.tree" ]; then
		cairn import --tag case - <"$cases/$case.1" >"$TMP/out" 2>"$TMP/err"
		is_as_listed "$case" "$(branch case:latest 0)" "through a pipe"
		cairn rm case >"$TMP/out"
	fi
done

# ---- what is lost is said, once ----
lost() {
	cairn import --tag lost "$2" >"$TMP/out" 2>"$TMP/err" || fail "$2: $(cat "$TMP/err")"
	[ "$(wc -l <"$TMP/err")" = 1 ] || fail "not one line: $(cat "$TMP/err")"
	grep -q "$1" "$TMP/err" || fail "not '$1' but $(cat "$TMP/err")"
	cairn rm lost >"$TMP/out"
}
# libarchive takes an attribute in each of two forms.
lost "attributes left out: 5, the first being com.apple.provenance of 'a': Operation not supported" "$cases/xattr-foreign.1"
lost "attributes left out: 5," "$cases/xattr-foreign.oci"
# Members of an image archive may have any: they are no part of the image.
"$MKTAR" file x "x" >"$TMP/layer.tar"
docker_archive "$TMP/docker" some:1 "$TMP/layer.tar"
tar -C "$TMP/docker" --format=pax --pax-option=SCHILY.xattr.com.apple.provenance:=v -cf "$TMP/docker.tar" .
for how in file pipe; do
	if [ $how = file ]; then
		cairn import "$TMP/docker.tar" >"$TMP/out" 2>"$TMP/err"
	else
		gzip <"$TMP/docker.tar" | cairn import - >"$TMP/out" 2>"$TMP/err"
	fi
	[ ! -s "$TMP/err" ] || fail "members with attributes: $(cat "$TMP/err")"
	cairn rm some:1 >"$TMP/out"
done

# ---- a filesystem without attributes ----
mkdir "$TMP/bare"
capability=0100000200200000000000000000000000000000
python3 - "$capability" "$TMP/caps.tar" "$TMP/acl.tar" "$TMP/user.tar" <<'END'
import io, sys, tarfile
capability, *names = sys.argv[1:]
records = (
    {"SCHILY.xattr.security.capability": bytes.fromhex(capability).decode("utf-8", "surrogateescape")},
    {"SCHILY.acl.access": "user::rw-,user:5:rwx,group::r--,mask::rwx,other::---"},
    {"SCHILY.xattr.user.k": "v"},
)
for name, record in zip(names, records):
    with tarfile.open(name, "w", format=tarfile.PAX_FORMAT) as out:
        member = tarfile.TarInfo("f")
        member.mode, member.pax_headers = 0o670, record
        out.addfile(member, io.BytesIO())
END
if mount -t ramfs none "$TMP/bare" 2>"$TMP/none"; then
	usual=$store
	store=$TMP/bare/store
	refused "'f': attribute security.capability cannot be set, and is left out with --lossy only: Operation not supported" "$TMP/caps.tar"
	refused "'f': attribute system.posix_acl_access cannot be set" "$TMP/acl.tar"
	lost "attributes left out: 1, the first being user.k of 'f'" "$TMP/user.tar"
	cairn import --lossy "$TMP/caps.tar" >"$TMP/out" 2>"$TMP/err"
	grep -q "the first being security.capability of 'f'" "$TMP/err" || fail "not said: $(cat "$TMP/err")"
	cairn import --lossy "$TMP/acl.tar" >"$TMP/out" 2>"$TMP/err"
	[ "$(stat -c %a "$(branch acl:latest 0)/f")" = 640 ] || fail "the group got what the ACL's mask allows"
	store=$usual
	umount "$TMP/bare"
else
	echo "no ramfs: a store without attributes was not tried"
fi

# ---- peers ----

# ends_as CASE WHO STATUS DIR: the peer did with that status what cairn does.
ends_as() {
	if [ -e "$cases/$1.refused" ]; then
		[ "$3" != 0 ] || fail "$1: not refused by $2"
	else
		[ "$3" = 0 ] || fail "$1: refused by $2: $(cat "$TMP/err")"
		is_as_listed "$1" "$4" "$2"
	fi
}

by_tar() {
	tar -C "$TMP/peer/d" --xattrs --xattrs-include='*' --acls --numeric-owner -xpf "$cases/$1.1"
}

by_bsdtar() {
	bsdtar -C "$TMP/peer/d" --numeric-owner -xpf "$cases/$1.1"
}

by_umoci() {
	umoci unpack --image "$cases/$1.oci:1" "$TMP/peer/u" && mv "$TMP/peer/u/rootfs"/* "$TMP/peer/d"
}

own_podman() {
	podman --root "$TMP/peer/root" --runroot "$TMP/peer/run" --storage-driver overlay "$@"
}

by_podman() {
	# It makes a name of the directory's, which may not be one that it takes.
	tar -C "$cases/$1.oci" -cf "$TMP/peer/oci.tar" . && own_podman pull -q "oci-archive:$TMP/peer/oci.tar" >"$TMP/id" &&
		peer_dir=$(own_podman image inspect --format '{{.GraphDriver.Data.UpperDir}}' "$(tail -n 1 "$TMP/id")")
}

works() {
	command -v "$1" >"$TMP/none" || { echo "no $1: not compared with it" && return 1; }
	[ "$1" != podman ] || by_podman link-relative >"$TMP/none" 2>"$TMP/err" ||
		{ echo "podman cannot import here, so it is not compared with: $(cat "$TMP/err")" && return 1; }
}

for peer in tar bsdtar umoci podman; do
	works $peer || continue
	n=0
	for case in "$cases"/*.peers; do
		grep -qx "$peer" "$case" || continue
		case=$(basename "$case" .peers)
		rm -rf "$TMP/peer/d" "$TMP/peer/u"
		mkdir "$TMP/peer/d"
		peer_dir=$TMP/peer/d
		status=0
		"by_$peer" "$case" >"$TMP/out" 2>"$TMP/err" || status=$?
		ends_as "$case" "$peer" "$status" "$peer_dir"
		n=$((n + 1))
	done
	echo "$peer: the same for $n"
done
! mountpoint -q "$TMP/peer/root/overlay" || umount "$TMP/peer/root/overlay"
