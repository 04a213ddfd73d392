#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A database of 90 MB that is rewritten page by page while others read it, and 200 small files overwritten in all ways, both
# from a lower branch, keep each byte (tests/compare/pages/pages.c); with the kernel's writeback cache and without.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
: "${PAGES:=$top_builddir/tests/compare/pages/pages}"

cd "$TMP"
mkdir lower m
"$PAGES" database-make lower/database lower.state 23040
"$PAGES" files-make lower 200 1
(cd lower && sha256sum ./*) >lower.sums

# whole DIR: the database and the files are as they should be, and no journal or temporary file is left.
whole() {
	"$PAGES" database-verify "$1/database" state || fail "$title: the database in $1"
	"$PAGES" files-verify "$1" reference 200 || fail "$title: the files in $1"
	[ "$(find "$1" -type f | wc -l)" = 201 ] || fail "$title: files in $1: $(find "$1" | grep -v 'file-[0-9]*$')"
}

# rewrite TITLE OPTIONS SEED
rewrite() {
	title=$1
	start=$(date +%s)
	rm -rf u w reference
	mkdir u w reference
	cp lower/file-* reference
	cp lower.state state
	mount_cairnfs -o "lowerdir=lower,upperdir=u,workdir=w$2" m
	# Where the kernel reads files itself, readers from before the copy-up keep the lower file.
	if [ "$2" = ,io=passthrough ]; then
		for file in m/database m/file-*; do
			: <>"$file"
		done
	fi
	"$PAGES" database-rewrite m/database state "$3" || fail "$title: rewriting the database"
	"$PAGES" files-rewrite m reference 200 "$3" || fail "$title: rewriting files"
	whole m
	umount m
	whole u
	mount_cairnfs -o "lowerdir=lower,upperdir=u,workdir=w$2" m
	whole m
	umount m
	(cd lower && sha256sum -c --quiet ../lower.sums) || fail "$title: the lower branch changed"
	echo "$title: $(($(date +%s) - start)) s"
}

rewrite default "" 1
rewrite writeback ,writeback=1 2
rewrite passthrough ,io=passthrough 3
