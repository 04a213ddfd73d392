#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# SQLite databases of a lower branch, one with a rollback journal and one with a write-ahead log (which is a shared mapping and
# POSIX locks), are changed by three processes at once; they hold the same as in a plain directory.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need sqlite3

cd "$TMP"
mkdir lower u w m plain

# make FILE JOURNAL-MODE: about 20 MB, with two indexes.
make() {
	sqlite3 "$1" >"$TMP/mode" <<END
PRAGMA journal_mode=$2;
CREATE TABLE t(id INTEGER PRIMARY KEY, owner INTEGER, n INTEGER, text TEXT);
BEGIN;
WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 45000)
	INSERT INTO t SELECT i, i % 3, i * 7919 % 10007, printf('%.300c', char(65 + i % 26)) FROM c;
CREATE INDEX by_n ON t(n);
CREATE INDEX by_text ON t(text, id) WHERE id % 4 = 0;
COMMIT;
END
}

# work FILE OWNER: what one process does: to rows of its own, so that the order of the processes does not matter.
work() {
	{
		echo "PRAGMA mmap_size=30000000;"
		for round in 1 2 3 4; do
			cat <<END
BEGIN IMMEDIATE;
UPDATE t SET n = n + $round, text = printf('%.*c', 100 + (id * $round) % 500, char(97 + $round))
	WHERE owner = $2 AND id % 60 = $round;
DELETE FROM t WHERE owner = $2 AND id % 97 = $round;
INSERT INTO t SELECT id + $round * 1000000, owner, n, text FROM t WHERE owner = $2 AND id % 211 = $round AND id < 100000;
COMMIT;
SELECT count(*) FROM t WHERE owner = $2;
END
		done
	} | sqlite3 -bail -cmd ".timeout 30000" "$1"
}

# work_all DIR: on both databases, three processes each; what they read is in DIR-NAME-OWNER.
work_all() {
	for name in delete wal; do
		pids=
		for owner in 0 1 2; do
			work "$1/$name" $owner >"$TMP/$1-$name-$owner" 2>&1 &
			pids="$pids $!"
		done
		for pid in $pids; do
			wait "$pid" || fail "sqlite3 in $1: $(cat "$TMP/$1-$name-"*)"
		done
	done
}

# sums DIR: all rows of both, by the table and by each index.
sums() {
	for name in delete wal; do
		sqlite3 -cmd ".timeout 30000" "$1/$name" <<'END'
SELECT count(*), sum(id), sum(n), sum(n * id), sum(length(text)) FROM t NOT INDEXED;
SELECT count(*), sum(id), sum(n) FROM t INDEXED BY by_n WHERE n >= 0;
SELECT count(*), sum(id) FROM t INDEXED BY by_text WHERE text >= '' AND id % 4 = 0;
SELECT id, n, text FROM t WHERE id % 100 = 3 ORDER BY id;
PRAGMA integrity_check;
PRAGMA journal_mode;
END
	done
}

make lower/delete delete
make lower/wal wal
cp lower/* plain
sha256sum lower/* >lower.sums
mount_cairnfs -o lowerdir=lower,upperdir=u,workdir=w m
work_all plain
work_all m
for name in delete wal; do
	for owner in 0 1 2; do
		same "plain-$name-$owner" "m-$name-$owner"
	done
done
sums plain >plain.sums
[ "$(grep -cx ok plain.sums)" = 2 ] || fail "in a plain directory: $(grep -v '|' plain.sums)"
sums m >m.sums
same plain.sums m.sums
umount m
sums u >u.sums
same plain.sums u.sums
mount_cairnfs -o lowerdir=lower,upperdir=u,workdir=w m
sums m >m.sums
same plain.sums m.sums
[ "$(ls m)" = "delete
wal" ] || fail "left: $(ls m)"
umount m
sha256sum -c --quiet lower.sums || fail "the lower branch changed"
