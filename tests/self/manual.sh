#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The manual has every option of the table, and of what --help says; and of the tool every option of every command.
. "$(dirname "$0")/../lib.sh"
need man

man -l "$top_srcdir/doc/cairnfs.8" | col -bx | tr -s ' \n' '  ' | sed 's/‐ //g' >"$TMP/cairnfs"
# words FILE: what is in it, a line each, without what separates options.
words() {
	sed 's/[ ,;()]/\n/g' "$1" | sed 's/\.$//; s/=.*//' | sort -u
}
words "$TMP/cairnfs" >"$TMP/words"
sed -n '/^static const struct spec specs/,/^};/s/^	{ "\([^"]*\)", .*/\1/p' "$top_srcdir/fs/daemon/options.c" >"$TMP/table"
[ "$(wc -l <"$TMP/table")" -gt 80 ] || fail "the table is not found"
while read -r option; do
	case $option in
	fsname | acl | atime | diratime) continue ;; # SOURCE, and the opposites of what is there
	esac
	grep -qxF -e "$option" "$TMP/words" || fail "cairnfs(8) does not have $option"
done <"$TMP/table"

man -l "$top_srcdir/doc/cairn.1" | col -bx >"$TMP/cairn"
for command in import images mount umount containers rm upgrade; do
	"$CAIRN" "$command" --help >"$TMP/help"
	grep -oE -e '--[a-z-]+' "$TMP/help" | sort -u >"$TMP/options"
	while read -r option; do
		grep -qE -e "cairn $command .*$option|^ +$option" "$TMP/cairn" || fail "cairn(1) does not have $command $option"
	done <"$TMP/options"
done
