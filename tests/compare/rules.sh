#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Each rule of how files behave, one by one: first in a plain directory, then on a mount (tests/compare/rules/rules.c).
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
: "${RULES:=$top_builddir/tests/compare/rules/rules}"

"$RULES" --cairnfs "$CAIRNFS" --dir "$TMP" >"$TMP/out" 2>&1 || {
	grep -v '^ok ' "$TMP/out" >&2 || :
	fail "rules are broken"
}
grep '^skipped ' "$TMP/out" || :
tail -n 1 "$TMP/out"
