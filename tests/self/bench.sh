#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# bench/run --quick has each kind of mount do each job of the groups that need no network, says that nothing was measured, leaves out a
# mode that cairnfs does not know, and leaves nothing behind. A row before which the machine is busy is not measured.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3 mkfs.xfs losetup unshare setpriv

for file in "$top_srcdir"/bench/*; do
	case $file in
	*/__pycache__) continue ;;
	esac
	grep -q "^	bench/${file##*/}\( \\\\\)\{0,1\}$" "$top_srcdir/tests/fragment.am" || fail "$file is missing in tests/fragment.am"
done

cd "$TMP"
TMPDIR=$TMP "$top_srcdir/bench/run" --quick --cairnfs "$CAIRNFS" --modes default,writeback=1,no_such_mode=1 --json out.json --plot out \
	--only files,lookups,memory,import,million >log 2>&1 || fail "bench/run: $(tail -n 5 log)"
[ "$(grep -c '^NOTHING WAS MEASURED' log)" = 2 ] || fail "it does not say that nothing was measured: $(cat log)"
grep -q "^left out: cairnfs no_such_mode=1: unknown option 'no_such_mode'" log || fail "the mode is not told: $(cat log)"
for left in cairn-bench.*; do
	[ ! -e "$left" ] || fail "$left was left"
done
python3 - out.json <<'END' || fail "not all rows have values"
import json, sys
with open(sys.argv[1]) as file:
    found = json.load(file)
assert not found["measured"] and not found["failures"]
ours = {"files": ["plain directory", "overlayfs", "cairnfs", "cairnfs writeback=1"], "memory": ["cairnfs", "cairnfs writeback=1"],
        "import": ["tar -x and sync", "cairn import"]}
ours.update(lookups=ours["files"], million=ours["import"])
assert {row["group"] for row in found["rows"]} == set(ours)
for row in found["rows"]:
    for kind in ours[row["group"]]:
        assert len(row["kinds"][kind]["values"]) == 1, (row["row"], kind)
END

# With a machine that is said to be busy before the second of three values.
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$top_srcdir/bench python3 - 2>/dev/null <<'END' || fail "a busy machine is measured on"
import types
import machine, results
use = iter([0.1, 0.1, 0.6, 0.4, 0.7, 0.7, 0.7, 0.7, 0.1])
machine.cpus_in_use = lambda seconds: next(use)
group, kind = types.SimpleNamespace(name="g", base="k"), types.SimpleNamespace(name="k")
found = results.Results({}, patience=1)
found.timed(group, kind, "quiet", lambda: None)
for _ in range(4):
    found.timed(group, kind, "busy", lambda: None)
quiet, busy = (row.as_json() for row in found.rows.values())
assert quiet["not measured"] is None and len(quiet["kinds"]["k"]["values"]) == 1, quiet
assert busy["not measured"] and not busy["kinds"], busy
assert next(use) == 0.7, "it waits on for a row that is spoilt"
END
