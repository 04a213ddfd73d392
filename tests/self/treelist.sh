#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The program that lists trees must print what the script of the same name prints, where that is at hand.
. "$(dirname "$0")/../lib.sh"
shared=$top_srcdir/../shared/bin/treelist
[ -x "$shared" ] || skip "no $shared to compare with"
need python3 setfattr

mkdir -p "$TMP/t/d/e" "$TMP/t/d.e" "$TMP/t/it is"
cd "$TMP/t"
echo text >d/file
ln d/file d.e/again
ln d/file a-first-name
ln -s "../a target" d/link
mkfifo d/fifo
: >"$(printf 'it is/\303\251\377\\ \001')"
truncate -s 5M d/sparse
touch -d @-1.5 d/before
touch -d @1.000000007 d/after
touch -h -d @0 d/link
chmod 6755 d/file
setfattr -n user.b -v 2 d/file
setfattr -n user.a -v 0x00ff d/file
setfattr -n user.overlay.opaque -v y d/e
if [ "$(id -u)" = 0 ]; then
	chown 1234:4294967294 d/e
	mknod d/null c 1 3
	mknod d/loop b 259 70000
	setfattr -n trusted.overlay.opaque -v y d/e
fi

for flag in '' --no-times --no-ids --dir-times; do
	# shellcheck disable=SC2086 # no flag is no word
	"$shared" $flag . >"$TMP/script"
	# shellcheck disable=SC2086
	"$TREELIST" $flag . >"$TMP/program"
	same "$TMP/script" "$TMP/program"
done
