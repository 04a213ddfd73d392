#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Ids are stored as the container's and shown as the host's: uidmapping, gidmapping, squash_to_uid, squash_to_gid, squash_to_root.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

cd "$TMP"
chmod 755 .
mkdir lower upper work m
echo x >lower/root
echo x >lower/user
chown 5:6 lower/user
echo x >lower/other
chown 500:500 lower/other
top=lowerdir=lower,upperdir=upper,workdir=work

# owner PATH UID:GID
owner() {
	[ "$(stat -c %u:%g "$1")" = "$2" ] || fail "$1 belongs to $(stat -c %u:%g "$1"), not $2"
}

mount_cairnfs -o "$top,uidmapping=:0:1000:10,gidmapping=:0:2000:10" m
owner m/root 1000:2000
owner m/user 1005:2006
owner m/other 65534:65534
chmod 777 m
setpriv --reuid 1003 --regid 2004 --clear-groups touch m/new
owner m/new 1003:2004
owner upper/new 3:4
chown 1001:2002 m/user
owner m/user 1001:2002
owner upper/user 1:2
! chown 7:7 m/user 2>err || fail "an id that no stored one stands for was taken"
owner upper/user 1:2
touch m/by-root
owner upper/by-root 65534:65534
! setpriv --reuid 500 --regid 500 --clear-groups touch m/by-500 2>err || fail "a user whom no stored id stands for made a file"
umount m

mount_cairnfs -o "$top,squash_to_uid=12,squash_to_gid=34" m
owner m/other 12:34
owner m/new 12:34
umount m
mount_cairnfs -o "$top,squash_to_root" m
owner m/other 0:0
umount m
mount_refused "uidmapping: '1:2'" -o "$top,uidmapping=1:2" m
