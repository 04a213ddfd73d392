#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Ids of a user namespace: mapped once, whichever of the option and an id-mapped mount of the branch does it, also those in
# ACLs and capabilities; upper holds the container's. The host's root, who has none of them, can prepare a container; other
# users of the host get nothing that would be somebody else's. Kernel overlayfs on id-mapped branches is what it is compared
# with.
# shellcheck disable=SC2015,SC2016 # fail does not return; what is quoted is for other shells
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need setpriv setfacl getfacl getfattr setcap unshare
: "${IDMAPPED:=$top_builddir/tests/hostile/idmapped}"

cd "$TMP"
mkdir l u w m mapped k ku kw km
ids=uidmapping=0:100000:65536,gidmapping=0:100000:65536
top=upperdir=u,workdir=w

# owner PATH UID:GID
owner() {
	[ "$(stat -c %u:%g "$1")" = "$2" ] || fail "$1 belongs to $(stat -c %u:%g "$1"), not $2"
}

# acl PATH ENTRY: it has the entry, with numbers.
acl() {
	getfacl -cnpE "$1" | grep -qx -e "$2" || fail "$1 has no $2: $(getfacl -cnpE "$1" | tr '\n' ' ')"
}

capability() {
	getfattr --absolute-names -n security.capability -e hex "$1" | sed -n 's/^security.capability=//p'
}
v2=0x0100000200200000000000000000000000000000
v3=0x0100000300200000000000000000000000000000a0860100

refused() {
	why=$1
	shift
	! "$@" 2>err || fail "not refused: $*"
	grep -q "$why" err || fail "$*: $(cat err)"
}

# What branches are made of; all of it but `far` has a place in the mapping.
fill() {
	echo file >l/file && chown 5:6 l/file
	echo second >l/second && chown 5:6 l/second
	echo acl >l/acl && chmod 600 l/acl && setfacl -m u:7:r,g:8:rw l/acl
	mkdir l/d && chown 1000:1000 l/d && setfacl -d -m u:9:rx l/d
	ln -s file l/link && chown -h 5:6 l/link
	cp /bin/true l/cap && chown 5:6 l/cap && setcap cap_net_raw+ep l/cap
	mkdir l/all && chmod 1777 l/all
	mkdir l/far && echo far >l/far/owner && chown 70000:70001 l/far/owner
	echo far >l/far/acl && setfacl -m u:7:rw,u:70007:r l/far/acl
}
fill
chmod 755 .

# ---- the option alone, on plain branches ----

mount_cairnfs -o "lowerdir=l,$top,$ids" m
owner m/file 100005:100006
owner m/link 100005:100006
owner m/far/owner 65534:65534
acl m/acl user:100007:r--
acl m/acl group:100008:rw-
acl m/d default:user:100009:r-x
[ "$(capability m/cap)" = "$v3" ] || fail "capabilities are shown as $(capability m/cap)"

# The host's root has no id in the container, and can work: what it makes is nobody's, until it is given away.
ln -s x m/y
mkdir m/dir
mkfifo m/fifo
echo new >m/new
ln m/new m/all/linked
for name in y dir fifo new; do
	owner "u/$name" 65534:65534
	owner "m/$name" 165534:165534
	chown -h 100003:100004 "m/$name"
	owner "u/$name" 3:4
	owner "m/$name" 100003:100004
done
refused "too large" chown 0:0 m/new
owner u/new 3:4
echo more >>m/file
owner u/file 5:6
chmod g+w m/far/owner
owner u/far/owner 70000:70001

# Others of the host have no id there and are nobody, also those with an id or a group of the container's alone.
refused "too large" setpriv --reuid 1000 --regid 1000 --clear-groups touch m/all/of-1000
refused "too large" setpriv --reuid 100003 --regid 1000 --clear-groups touch m/all/of-1000
refused "too large" setpriv --reuid 1000 --regid 100003 --clear-groups touch m/all/of-1000
[ "$(ls u/all)" = linked ] || fail "made all the same: $(ls u/all)"
setpriv --reuid 100003 --regid 100004 --clear-groups touch m/all/of-3
owner u/all/of-3 3:4

# ACLs: who is named may, upper names the container's ids, and what is set can be read again.
[ "$(setpriv --reuid 100007 --regid 100999 --clear-groups cat m/acl)" = acl ] || fail "an ACL does not let in"
refused denied setpriv --reuid 7 --regid 999 --clear-groups cat m/acl
setfacl -m u:100011:r m/acl
acl u/acl user:7:r--
acl u/acl group:8:rw-
acl u/acl user:11:r--
acl m/acl user:100011:r--
refused "Invalid argument" setfacl -m u:11:r m/acl
acl u/acl user:11:r--
echo in >m/d/in
acl u/d/in user:9:r-x
acl m/d/in user:100009:r-x
# What is said of who is not shown is not shown either, rather than the whole refused.
[ "$(cat m/far/acl)" = far ] || fail "the ACL of an id without a place"
[ "$(getfacl -cnpE m/far/acl | grep -c '^user:.')" = 2 ] || fail "far: $(getfacl -cnpE m/far/acl)"

# Capabilities are for the container's root.
chmod g+x m/cap
[ "$(capability u/cap)" = "$v2" ] || fail "capabilities are stored as $(capability u/cap)"
cp /bin/true m/cap2
setcap -n 100000 cap_net_raw+ep m/cap2
[ "$(capability u/cap2)" = "$v2" ] || fail "capabilities that are set are stored as $(capability u/cap2)"
[ "$(capability m/cap2)" = "$v3" ] || fail "and shown as $(capability m/cap2)"
refused "" setcap cap_net_raw+ep m/cap2
[ "$(capability u/cap2)" = "$v2" ] || fail "the host's root's capabilities are stored"

# A process of a user namespace with these ids sees the container's.
mkfifo -m 666 ready
setpriv --reuid 100000 --regid 100000 --clear-groups unshare -U sh -c 'echo $$ >ready; read -r _ <ready; cd m
	exec sh -ec "touch by-root; chown 12:34 by-root; chown 5:6 by-root
		ln -s x by-root-link; stat -c %u:%g by-root-link file; setfacl -m u:12:r by-root; setcap cap_chown+ep by-root"' >inside &
child=$!
read -r pid <ready
echo "0 100000 65536" | tee "/proc/$pid/uid_map" >"/proc/$pid/gid_map"
echo go >ready
wait "$child" || fail "a process of the user namespace"
[ "$(tr '\n' ' ' <inside)" = "0:0 5:6 " ] || fail "seen inside: $(cat inside)"
owner u/by-root 5:6
acl u/by-root user:12:r--
owner u/by-root-link 0:0
case $(capability u/by-root) in
0x01000002*) ;;
*) fail "the container's root's capabilities are stored as $(capability u/by-root)" ;;
esac
umount m

# What upper holds is what an engine commits: without the option, and as a branch of the next mount.
mount_cairnfs -o "lowerdir=u:l" m
owner m/new 3:4
acl m/acl user:11:r--
umount m
mount_cairnfs -o "lowerdir=u:l,uidmapping=0:300000:65536,gidmapping=0:300000:65536" m
owner m/new 300003:300004
acl m/acl user:300011:r--
umount m

# Squashing is about owners: ACLs say what was set.
mount_cairnfs -o "lowerdir=l,$top,squash_to_uid=12,squash_to_gid=34" m
owner m/file 12:34
setfacl -m u:44:r m/file
acl m/file user:44:r--
acl m/acl user:11:r--
umount m

# ---- branches in id-mapped mounts ----

renew() {
	rm -rf u w ku kw
	mkdir u w ku kw
}
renew
"$IDMAPPED" 0:100000:65536 l mapped || {
	[ $? = 77 ] || fail "idmapped"
	skip "id-mapped mounts cannot be made here"
}

# What is said of all objects of a mount.
say() {
	(cd "$1" && find . | sort | while read -r name; do
		stat -c '%n %u:%g %A' "$name"
		[ -L "$name" ] || getfacl -npE "$name" | grep -v -e '^# file' -e ':4294967295:'
		[ -L "$name" ] || getfattr -d -m '^security' -e hex "$name" 2>"$TMP/err"
	done)
}

# What a user of either mount does, with ids that have a place.
work() {
	(
		cd "$1"
		chmod g+w file second cap
		setfacl -m u:100011:r acl
		chown 100012:100013 link -h
		touch d/in
		chown 100001:100002 d/in
		mkdir d/sub
		chown 100001:100002 d/sub
		mv second moved
	)
}

# Without the option it is the mount's mapping, and upper has the ids as they are seen: as with overlayfs.
mount_cairnfs -o "lowerdir=mapped,$top" m
owner m/file 100005:100006
if mount -t overlay -o lowerdir=mapped,upperdir=ku,workdir=kw none km 2>err; then
	say m >cairnfs && say km >kernel && same cairnfs kernel
	work m && work km
	say m >cairnfs && say km >kernel && same cairnfs kernel
	say u >cairnfs && say ku >kernel && same cairnfs kernel
	refused "too large" chmod o-r km/far/owner
	umount km
	has_kernel=yes
else
	has_kernel=
	work m
	echo "not compared with kernel overlayfs: $(cat err)"
fi
chmod o-r m/far/owner
owner u/far/owner 65534:65534
umount m

# With both the ids are mapped once: seen the same, and upper has the container's.
renew
mount_cairnfs -o "lowerdir=mapped,$top,$ids" m
# The engine takes the mount away as soon as the command has returned.
umount mapped
say m >before
owner m/file 100005:100006
if [ "$has_kernel" ]; then
	"$IDMAPPED" 0:100000:65536 l mapped
	mount -t overlay -o lowerdir=mapped,upperdir=ku,workdir=kw none km
	umount -l mapped
	say km >kernel
	# Of the mount's own root it is upper that is seen: the one has the container's root, the other the host's.
	for file in before kernel; do
		sed '1,/^$/d' "$file" >"$file.rest"
	done
	same before.rest kernel.rest
	work km
	say km | sed '1,/^$/d' >kernel.rest
fi
work m
say m | sed '1,/^$/d' >cairnfs.rest
[ -z "$has_kernel" ] || same cairnfs.rest kernel.rest
[ -z "$has_kernel" ] || umount km
owner u/file 5:6
owner u/moved 5:6
owner u/link 12:13
owner u/d 1000:1000
owner u/d/in 1:2
acl u/acl user:7:r--
acl u/acl user:11:r--
acl u/d default:user:9:r-x
[ "$(capability u/cap)" = "$v2" ] || fail "capabilities are copied up as $(capability u/cap)"

# What has no id can be read, and is not copied up: it would be somebody else's.
owner m/far/owner 65534:65534
[ "$(cat m/far/owner m/far/acl | tr '\n' ' ')" = "far far " ] || fail "far"
refused "too large" chmod o-r m/far/owner
refused "too large" chmod o-r m/far/acl
[ ! -e u/far/owner ] && [ ! -e u/far/acl ] && [ -z "$(ls w/staging)" ] || fail "copied up: $(ls u/far w/staging)"

# Another worker, and another program, know the same.
old=$(worker)
kill -9 "$old"
another_worker() {
	now=$(worker)
	[ -n "$now" ] && [ "$now" != "$old" ]
}
chmod o-w m/all
wait_for another_worker
owner m/all 100000:100000
owner u/all 0:0
old=$now
"$CAIRN" upgrade m >said || fail "cairn upgrade"
wait_for another_worker
chmod g+w m/d/sub
echo 3 >/proc/sys/vm/drop_caches
say m >after
grep -q '^./far/owner 65534:65534' after || fail "after an upgrade: $(grep far/owner after)"
owner m/moved 100005:100006
refused "too large" chmod o-r m/far/acl
umount m

# One branch seen so, one plain: each is mapped once.
renew
mkdir plain
echo plain >plain/plain
chown 5:6 plain/plain
"$IDMAPPED" 0:100000:65536 l mapped
mount_cairnfs -o "lowerdir=plain:mapped,$top,$ids" m
owner m/plain 100005:100006
owner m/file 100005:100006
chmod g+w m/plain m/file
owner u/plain 5:6
owner u/file 5:6
umount m
umount mapped

# Upper's would be mapped twice.
renew
mkdir w/u w/w
"$IDMAPPED" 0:100000:65536 w mapped
mount_refused "upperdir mapped/u lies in an id-mapped mount" -o "lowerdir=l,upperdir=mapped/u,workdir=mapped/w,$ids" m
umount mapped

# ---- without privilege: an ACL may name who is not in our user namespace ----

mkdir -p user/l user/u user/w user/m
echo acl >user/l/acl
chown -R 12345:12345 user
setfacl -m u:7:r,u:12345:r user/l/acl
rootless sh -ec 'cd user && "$CAIRNFS" -o lowerdir=l,upperdir=u,workdir=w m && cat m/acl && getfacl -cnpE m/acl && umount m' >said 2>err ||
	fail "an ACL with somebody else's id: $(cat err)"
grep -qx acl said && grep -qx user:0:r-- said || fail "rootless: $(cat said)"
