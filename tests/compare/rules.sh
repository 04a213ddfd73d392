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

# With io=passthrough the same, but for readers of a lower file that is copied up then, which keep it (doc/semantics.md).
keeping="old_descriptor_reads_new_content truncation_of_open_file mapping_sees_writes reads_see_mapped_writes
	private_mapping_keeps_its_own flock_between_descriptors leases sendfile_and_splice"
"$RULES" --list | cut -d " " -f 1 >"$TMP/list"
for rule in $keeping; do
	grep -qx "$rule" "$TMP/list" || fail "there is no rule $rule"
done
# shellcheck disable=SC2086 # a list of words
names=$(printf '%s\n' $keeping | grep -vxFf - "$TMP/list")
# shellcheck disable=SC2086 # the same
"$RULES" --cairnfs "$CAIRNFS" --dir "$TMP" --options io=passthrough $names >"$TMP/out" 2>&1 || {
	grep -v '^ok ' "$TMP/out" >&2 || :
	fail "rules are broken with io=passthrough"
}
echo "io=passthrough: $(tail -n 1 "$TMP/out")"
