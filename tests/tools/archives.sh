#!/bin/sh
# Real archives, beside the checkout, import to exactly the tree that is listed beside each: their layers stacked by the
# kernel's own overlayfs.
. "$(dirname "$0")/lib.sh"
images=$top_srcdir/../shared/images
[ -d "$images" ] || skip "no ../shared/images beside the checkout"
need_root
need python3
mkdir "$TMP/mnt" "$TMP/l"

# mount_layers NAME:TAG: by short names, as the kernel takes one page of options.
mount_layers() {
	rm -f "$TMP/l"/*
	stack=
	n=0
	while directory=$(branch "$1" "$n") && [ "$directory" ]; do
		ln -s "$directory" "$TMP/l/$n"
		stack=$n${stack:+:$stack}
		n=$((n + 1))
	done
	(cd "$TMP/l" && mount -t overlay -o "ro,lowerdir=$stack" none "$TMP/mnt") || skip "no overlayfs here"
}

# is_listed NAME:TAG LISTING: but for the first line, the root, whose mode is not part of every layer.
is_listed() {
	mount_layers "$1"
	"$top_srcdir/../shared/bin/treelist" "$TMP/mnt" | tail -n +2 >"$TMP/found"
	umount "$TMP/mnt"
	tail -n +2 "$2" >"$TMP/expected"
	same "$TMP/expected" "$TMP/found"
}

check() {
	store=$TMP/store.$(basename "$1")
	cairn import "$1" >"$TMP/out"
	is_listed "$2" "$3"
	nothing_left
	echo "$(basename "$1") is as listed"
}

check "$images/feature.oci.tar" feature.oci:1 "$images/feature.treelist"
check "$images/feature-zstd.oci.tar" feature-zstd.oci:1 "$images/feature.treelist"
check "$images/feature.docker.tar.xz" localhost/feature:1 "$images/feature.treelist"
check "$images/feature.dockersave.tar.xz" localhost/feature:1 "$images/feature.treelist"
check "$images/featurerl.oci.tar" featurerl.oci:1 "$images/featurerl.treelist"
check "$images/deep120.oci.tar" deep120.oci:1 "$images/deep120.treelist"
check "$images/feature.podman-multi.docker.tar.xz" localhost/feature:1 "$images/feature.treelist"

# The listing of the second image comes from an engine that cut a time before 1970 and dropped an empty attribute.  Its
# layers are the first one's, for which those two are listed as the archive has them.
sed -e '/^\/opt\/time\/neg\t/s/\t0\t-\t/\t-86400000000000\t-\t/' \
	-e '/^\/opt\/xattr\/f\t/s/,user.test=/,user.empty=&/' "$images/feature-l3.treelist" >"$TMP/l3"
is_listed localhost/feature:l3 "$TMP/l3"
[ "$(find "$store/layers" -mindepth 1 -maxdepth 1 | wc -l)" = 6 ] || fail "two images do not share their layers"
