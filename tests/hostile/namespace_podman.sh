#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The real podman with --uidmap and with --userns=auto, as root: run, restart, diff, commit, run of the commit. Inside, all is
# as with kernel overlayfs; what is committed has the container's ids, also where podman on kernel overlayfs commits the
# host's (4.3.1 does).
# shellcheck disable=SC2016 # what is quoted is for other shells
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need podman crun busybox setcap unshare

cd "$TMP"
chmod 755 .

# ---- an image ----

busybox=$(command -v busybox)
mkdir -p image/bin image/cap image/etc image/tmp image/d
cp "$busybox" image/bin/busybox
"$busybox" --list >applets
for name in cat chmod chown grep ln rm sh stat touch; do
	grep -qx "$name" applets || skip "busybox has no $name"
	ln -s busybox "image/bin/$name"
done
cp "$busybox" image/cap/chown
setcap cap_chown+ep image/cap/chown
echo root:x:0:0::/:/bin/sh >image/etc/passwd
echo root >image/of-root
echo file >image/file && chown 5:6 image/file
chown 1000:1000 image/d
ln -s file image/link && chown -h 7:8 image/link
tar --xattrs --xattrs-include='*' --numeric-owner -C image -cf image.tar .

# ---- podman, with stores of its own and nothing of the machine's changed ----

mkdir networks
cat >containers.conf <<END
[containers]
cgroups="disabled"
netns="none"
log_driver="k8s-file"
default_ulimits=["nofile=1024:1024","nproc=1024:1024"]
[network]
network_config_dir="$TMP/networks"
[engine]
cgroup_manager="cgroupfs"
events_logger="file"
lock_type="file"
runtime="crun"
END
echo '{"default":[{"type":"insecureAcceptAnything"}]}' >policy.json
echo containers:500000:1000000 >subids

# store NAME [MOUNT_PROGRAM]
store() {
	mkdir "$1" "$1/graph"
	{
		printf '[storage]\ndriver="overlay"\nrunroot="%s/run"\ngraphroot="%s/graph"\n' "$TMP/$1" "$TMP/$1"
		[ $# = 1 ] || printf '[storage.options.overlay]\nmount_program="%s"\n' "$2"
	} >"$1/storage.conf"
}

# with_podman STORE SCRIPT: in namespaces that take all with them that is left, what the engine's daemons leave to init too.
with_podman() {
	CONTAINERS_STORAGE_CONF=$TMP/$1/storage.conf CONTAINERS_CONF=$TMP/containers.conf TMPDIR=$TMP \
		unshare -mpf --kill-child --mount-proc --propagation private sh -ec '
		umount -a -l -t fuse.cairnfs # those of other tests would live on here
		! grep -q " /sys/fs/cgroup/unified " /proc/mounts || umount /sys/fs/cgroup/unified # crun takes no hybrid
		mount -t tmpfs none /run
		mount -t tmpfs none /dev/shm
		mount -t tmpfs none /var/lib
		for file in /etc/subuid /etc/subgid; do
			mount --bind subids $file
		done
		mount --bind policy.json /etc/containers/policy.json
		'"$2"'
		for _ in $(seq 100); do
			readlink /proc/[0-9]*/exe | grep -q "/${CAIRNFS##*/}$" || exit 0
			sleep 0.1
		done
		echo "a daemon does not end" >&2
		exit 1'
}

# What is done in a container, and what is seen there of it.
see='for f in / /file /of-root /link /d /d/new /new /cap/chown /etc /etc/mtab /dev /run; do
	stat -c "%u:%g %A %n" $f 2>/dev/null || echo "none $f"
done'
change='touch /new; chown 3:4 /new; chmod 4711 /new; touch /d/new; chown 10:11 /d/new; echo more >>/file
	chmod g+w /cap/chown; touch /cap/new /tmp/theirs; rm -f /of-root; chown -h 12:13 /link'
map='--uidmap 0:100000:65536 --gidmap 0:100000:65536'
other='--uidmap 0:300000:65536 --gidmap 0:300000:65536'
cat >scenario <<END
see='$see'
change='$change'
# life NAME OPTION...: a container that is used, started again, and looked at from outside
life() {
	name=\$1
	shift
	echo "-- \$name: run"
	podman create --name \$name "\$@" base sh -c "\$see; \$change; \$see" >/dev/null
	podman start -a \$name
	echo "-- \$name: restart"
	podman start -a \$name
	echo "-- \$name: diff"
	podman diff \$name | sort
	podman inspect -f '{{.GraphDriver.Data.UpperDir}}' \$name >\$where.\$name
	(cd "\$(cat \$where.\$name)" && stat -c '%u:%g %n' file new d/new d link) >\$where.\$name.upper
	podman commit -q \$name \$name-image >/dev/null
}
# capable OPTION...: whether a program with capabilities has them when an ordinary user runs it
capable() {
	podman run --rm --user 1000:1000 "\$@" /cap/chown 9:9 /file && echo capable
}
# again OPTION... IMAGE: what a container of the image sees
again() {
	podman run --rm "\$@" sh -c "\$see"
	capable "\$@"
}
END

run_all='. ./scenario
where=$TMP/$store/said
podman import -q image.tar base >/dev/null
life mapped $map
life auto --userns=auto:size=2000
capable $map base'
export map other

store kernel
store cairn "$CAIRNFS"
export store=kernel
if ! with_podman kernel "$run_all" >kernel.out 2>kernel.err; then
	skip "podman does not work with kernel overlayfs here: $(tail -n 3 kernel.err)"
fi
export store=cairn
with_podman cairn "$run_all" >cairn.out 2>cairn.err || fail "podman with cairnfs: $(cat cairn.out cairn.err)"
same kernel.out cairn.out
for name in mapped auto; do
	printf '5:6 file\n3:4 new\n10:11 d/new\n1000:1000 d\n12:13 link\n' >want
	same want "cairn/said.$name.upper"
done

# What a container saw last is what one of its commit sees, whatever the ids of that one are, and without any.
last() {
	sed -n "/^-- $1: restart/,/^-- $1: diff/p" cairn.out | grep -v '^--' | tail -n 12
}
look_again='. ./scenario
for name in mapped auto; do
	again localhost/$name-image >$name.none
	again $map localhost/$name-image >$name.map
	again $other localhost/$name-image >$name.other
	again --userns=auto localhost/$name-image >$name.auto
done
podman rm -a -f >/dev/null'
with_podman cairn "$look_again" 2>cairn.err || fail "podman with the commit: $(cat cairn.err)"
for name in mapped auto; do
	last "$name" >want
	echo capable >>want
	for ids in none map other auto; do
		same want "$name.$ids"
	done
done
