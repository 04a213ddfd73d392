#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# How many requests the kernel makes for each of many files: no more than doc/performance.md says, which has the reason for each.
# shellcheck disable=SC2016 # what is in single quotes is the other shell's
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need tar setpriv

cd "$TMP"
n=100
slack=15 # for what is asked for once, whatever the number of files, and the pages of a listing
mkdir l u w m l/d l/e l/large tree
(cd l/large && seq 2000 | xargs touch)
for i in $(seq $n); do
	echo lower >"l/d/f$i"
	echo lower >"l/e/f$i"
	head -c 3000 /dev/zero >"tree/f$i"
done
tar -C tree -cf tree.tar .
"$CAIRNFS" -d -o lowerdir=l,upperdir=u,workdir=w m 2>"$TMP/requests" &
daemon=$!
wait_for mountpoint -q m

# counted WHAT "REQUEST=N..." COMMAND...: each file costs at most N of each of these requests, and none else but FORGET. They are
# counted once a request made after them has been answered.
counted() {
	what=$1 allowed=$2
	shift 2
	before=$(wc -l <requests)
	"$@" >out || fail "$what"
	sync_requests
	tail -n "+$((before + 1))" requests | sed -n 's/.*opcode: \([A-Z0-9_]*\).*/\1/p' | grep -vxE 'B?FORGET|BATCH_FORGET|STATFS' |
		sort | uniq -c >counts || :
	while read -r count request; do
		most=$slack
		for one in $allowed; do
			[ "${one%=*}" != "$request" ] || most=$((n * ${one#*=} + slack))
		done
		[ "$count" -le "$most" ] || fail "$what: $count $request for $n files: $(tr '\n' ' ' <counts)"
	done <counts
	echo "$what:$(tr '\n' ',' <counts | tr -s ' ')"
}

# Statfs is never cached: when its request is written down, all before it are.
sync_requests() {
	statfs=$(grep -c 'opcode: STATFS' requests) || :
	stat -f m >out.statfs
	wait_for more_statfs
}
more_statfs() {
	[ "$(grep -c 'opcode: STATFS' requests)" -gt "$statfs" ]
}

in_each() {
	sh -c 'n=$1 dir=$2 && cd "$dir" && for i in $(seq "$n"); do eval "$3"; done' sh $n "$1" "$2"
}

mkdir m/new m/tree
counted "creating" "LOOKUP=1 MKNOD=1 GETATTR=1" in_each m/new ': >"f$i"'
counted "ls -l, first" "GETXATTR=1" ls -l m/new
counted "ls -l, again" "" ls -l m/new
counted "writing into a file" "GETXATTR=1 WRITE=1" in_each m/new 'echo more >>"f$i"'
counted "unlinking what was written to" "GETATTR=2 UNLINK=1" in_each m/new 'rm "f$i"'
counted "unpacking" "LOOKUP=1 MKNOD=1 GETATTR=1 GETXATTR=2 WRITE=2 SETATTR=3" tar -xf tree.tar -C m/tree
counted "chmod -R" "SETATTR=1" chmod -R g+w m/tree
counted "rm -r" "GETATTR=1 UNLINK=1" rm -r m/tree
counted "reading a lower file, first" "READ=1" sh -c 'cat m/d/*'
counted "reading a lower file, second" "GETATTR=1" sh -c 'cat m/d/*'
counted "reading a lower file, then" "" sh -c 'cat m/d/*'
counted "appending to a lower file" "GETXATTR=1 WRITE=1" in_each m/d 'echo more >>"f$i"'
counted "chmod of a lower file" "SETATTR=1" chmod -R g+w m/e
counted "renaming" "GETATTR=1 LOOKUP=1 RENAME2=1" in_each m/e 'mv "f$i" "g$i"'
counted "making a directory" "GETATTR=1 LOOKUP=1 MKDIR=1" in_each m/new 'mkdir "d$i"'

# Who reads a large directory to its end, and then asks for what is in it: the attributes have come with the names.
counted "find -size of 2000 files" "" find m/large -size 3

# In a directory that is another user's, the kernel asks for the ACL again with the attributes.
chmod 1777 m/new
counted "creating in another's directory" "LOOKUP=1 MKNOD=1 GETATTR=1 GETXATTR=1" \
	setpriv --reuid 12345 --regid 12345 --clear-groups sh -c 'cd m/new && for i in $(seq "$1"); do : >"u$i"; done' sh $n

umount m
wait "$daemon"
