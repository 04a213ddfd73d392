#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# demo.sh: an image from its making to the changes in a container of it, with every command shown. ./bootstrap demo runs it.
# top_builddir says where cairn and cairnfs were built.
# shellcheck disable=SC2016 # run expands what it is given
set -eu

top_srcdir=$(cd "$(dirname "$0")/.." && pwd)
top_builddir=${top_builddir:-$top_srcdir/build}
PATH=$top_builddir:$PATH
CAIRN_CAIRNFS=$top_builddir/cairnfs
export PATH CAIRN_CAIRNFS

[ "$(id -u)" = 0 ] || { echo "demo: run this as root" >&2 && exit 1; }
[ -c /dev/fuse ] || { echo "demo: there is no /dev/fuse here (modprobe fuse?)" >&2 && exit 1; }

work=$(mktemp -d)
CAIRN_ROOT=$work/store
export CAIRN_ROOT
cleanup() {
	cd /
	for dir in other root; do
		! mountpoint -q "$work/$dir" || umount "$work/$dir" || umount -l "$work/$dir"
	done
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
cd "$work"

say() {
	printf '\n# %s\n' "$*"
}

# run TEXT: prints the command, then runs it. It is one text, so that what is shown is what is run.
run() {
	printf '$ %s\n' "$1"
	sh -euc "$1"
}

# ---- the image: three layers, as docker save would write them ----

mkdir -p 1/bin 1/etc 1/srv/www 2/etc 2/srv/www 3/etc image
cp "$(command -v busybox)" 1/bin/busybox
for applet in sh ls cat echo rm mv mkdir uname; do
	ln -s busybox "1/bin/$applet"
done
echo 'Welcome to layer one.' >1/etc/motd
echo 'obsolete = yes' >1/etc/old.conf
echo 'one' >1/srv/www/first.html
# The second layer removes a file, and replaces a directory: a whiteout and an opaque mark.
: >2/etc/.wh.old.conf
: >2/srv/www/.wh..wh..opq
echo 'two' >2/srv/www/second.html
echo 'Welcome to layer three.' >3/etc/motd
ln 3/etc/motd 3/etc/issue

for layer in 1 2 3; do
	tar --numeric-owner --owner=0 --group=0 -C "$layer" -cf "image/$layer.tar" .
done
rm -r 1 2 3
for layer in 1 2 3; do
	sha256sum "image/$layer.tar"
done | jq -R '"sha256:" + .[0:64]' | jq -s --arg arch "$(dpkg --print-architecture)" '{
	architecture: $arch, os: "linux", config: {Cmd: ["/bin/sh"]}, rootfs: {type: "layers", diff_ids: .}
}' >image/config.json
jq -n '[{Config: "config.json", RepoTags: ["demo:1"], Layers: ["1.tar", "2.tar", "3.tar"]}]' >image/manifest.json
tar -C image -cf demo.tar manifest.json config.json 1.tar 2.tar 3.tar

# ---- the tour ----

say "An image of three layers, as docker save writes it. The second hides /etc/old.conf and all that was in /srv/www."
run 'tar -tvf demo.tar'
run 'tar -xOf demo.tar 2.tar | tar -t'

say "Import it into a store. The store is $CAIRN_ROOT here (CAIRN_ROOT); it would be /var/lib/cairn."
run 'cairn import demo.tar'
run 'cairn images'

say "Mount a container of it and look around: the layers are one tree, without what the second removed."
mkdir root
run 'cairn mount --name tour demo:1 root'
run 'grep " $PWD/root " /proc/mounts | cut -c 1-100'
run 'ls root root/etc root/srv/www'
run 'chroot root /bin/sh -c "cat /etc/motd; uname -s"'

say "Change it, from inside and from outside."
run 'chroot root /bin/sh -c "rm /etc/issue; mkdir /srv/new; echo hello >/srv/new/file"'
run 'echo "Changed." >>root/etc/motd'
run 'mv root/srv/www root/srv/site'
run 'cat root/etc/motd root/srv/new/file root/srv/site/second.html'

say "Only the changes are in the writable layer; what was removed is a device 0,0 there, a whiteout."
run 'cairn containers'
run 'cd "$CAIRN_ROOT"/containers/*/upper && ls -lR'

say "A second container of the same image sees none of it."
mkdir other
run 'cairn mount demo:1 other; cat other/etc/motd; ls other/srv; cairn umount other'

say "Unmount; the container goes, the image stays until it is removed."
run 'cairn umount root'
run 'cairn images'
run 'cairn rm demo:1'
run 'cairn images'

printf '\ndemo: ok\n'
