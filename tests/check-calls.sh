#!/bin/sh
# What check-includes.sh asks of the sources, asked of the objects: no file of a room calls (or takes the address of, or reads)
# anything in a room above, and no files go in a circle by calls, inside a room or across rooms. Calls by a pointer to a function
# are not seen; they are how what is below tells what is above.
# check-calls.sh [DIRECTORY]: the build directory; needs nm(1).
set -eu

top_srcdir=$(cd "${top_srcdir:-$(dirname "$0")/..}" && pwd)
. "$top_srcdir/tests/rooms.sh"
cd "${1:-${top_builddir:-$top_srcdir/build}}"
tables=$(mktemp -d)
trap 'rm -rf "$tables"' EXIT

# "OBJECT FILE ROOM": the build puts the library's name before the source's. An object may be left of a file that is there no more.
for object in $(find fs tools -name '*.o' | LC_ALL=C sort); do
	name=${object##*/}
	name=${name##*-}
	file=${object%/*}/${name%.o}.c
	[ ! -f "$top_srcdir/$file" ] || echo "$object $file $(room_of "$file")"
done >"$tables/objects"
if ! [ -s "$tables/objects" ]; then
	echo "check-calls: no objects in $PWD: build first" >&2
	exit 1
fi
# "FILE ROOM KIND SYMBOL" for each symbol that a file needs (U) or gives (D).
cut -d ' ' -f 1 "$tables/objects" | xargs nm -A | awk '
	FILENAME != "-" { file[$1] = $2; room[$1] = $3; next }
	{ object = $1; sub(/:.*/, "", object) }
	$(NF - 1) == "U" { print file[object], room[object], "U", $NF }
	$(NF - 1) ~ /^[BCDGRSTVW]$/ { print file[object], room[object], "D", $NF }' "$tables/objects" - >"$tables/symbols"

awk -v cairnfs="$ground $cairnfs_rooms" -v cairn="$ground $cairn_rooms" -v backing="$ground $backing_rooms" '
	function rank_rooms(list, rank, n, i, names) {
		n = split(list, names, " ")
		for (i = 1; i <= n; i++)
			rank[names[i]] = i
	}

	# Whether `from` may call `to`: in one of the lists it stands at or before it.
	function may_call(from, to) {
		return (from in fs_rank && to in fs_rank && fs_rank[to] <= fs_rank[from]) ||
			(from in tool_rank && to in tool_rank && tool_rank[to] <= tool_rank[from]) ||
			(from in helper_rank && to in helper_rank && helper_rank[to] <= helper_rank[from])
	}

	# Takes away, until there is none, each file that calls none of those that are left, or that none of them calls.
	function peel(    pair, ends, calls, called, file, is_less) {
		do {
			is_less = 0
			delete calls
			delete called
			for (pair in edge) {
				split(pair, ends, SUBSEP)
				if (!(ends[1] in left) || !(ends[2] in left))
					continue
				calls[ends[1]] = 1
				called[ends[2]] = 1
			}
			for (file in left) {
				if (!(file in calls) || !(file in called)) {
					delete left[file]
					is_less = 1
				}
			}
		} while (is_less)
	}

	BEGIN {
		rank_rooms(cairnfs, fs_rank)
		rank_rooms(cairn, tool_rank)
		rank_rooms(backing, helper_rank)
	}
	{ room[$1] = $2; left[$1] = 1 }
	$3 == "D" { giver[$4] = giver[$4] " " $1 }
	$3 == "U" { need[$1, $4] = 1 }
	END {
		for (pair in need) {
			split(pair, ends, SUBSEP)
			n = split(giver[ends[2]], files, " ")
			for (i = 1; i <= n; i++) {
				# The programs have names of their own, main() among them.
				is_other = room[files[i]] != room[ends[1]] && !may_call(room[ends[1]], room[files[i]]) &&
					!may_call(room[files[i]], room[ends[1]])
				if (files[i] == ends[1] || (is_other && n > 1))
					continue
				edge[ends[1], files[i]] = edge[ends[1], files[i]] " " ends[2]
				if (!may_call(room[ends[1]], room[files[i]])) {
					printf "check-calls: %s calls up, into %s: %s\n", ends[1], files[i], ends[2] | "sort >&2"
					bad = 1
				}
			}
		}
		peel()
		for (pair in edge) {
			split(pair, ends, SUBSEP)
			if (ends[1] in left && ends[2] in left) {
				printf "check-calls: a circle: %s -> %s:%s\n", ends[1], ends[2], edge[pair] | "sort >&2"
				bad = 1
			}
		}
		close("sort >&2")
		exit bad
	}' "$tables/symbols"
