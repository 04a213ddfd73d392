#!/bin/sh
# The rooms of doc/architecture.md: an include never points up, nor from one program's rooms into the other's. LMDB and FUSE
# are seen by the files that are for them alone, every header compiles by itself, no two files share a name, and libraries do not
# print, exit or read the environment. Needs the sources and a compiler ($CC), no build and no root. check-calls.sh asks the same
# of the objects.
set -eu

top_srcdir=$(cd "${top_srcdir:-$(dirname "$0")/..}" && pwd)
cd "$top_srcdir"
. tests/rooms.sh
bad=0
includes=$(mktemp)
trap 'rm -f "$includes"' EXIT

wrong() {
	echo "check-includes: $*" >&2
	bad=1
}

# The file that an include in double quotes means.
resolve() {
	for place in include fs tools; do
		[ ! -f "$place/$1" ] || { echo "$place/$1" && return; }
	done
}

sources=$(find fs tools include -name '*.[ch]' | LC_ALL=C sort)

for file in $sources; do
	room=$(room_of "$file")
	[ "$room" != none ] || wrong "$file: in no room"
	sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*\([<"].*[>"]\).*/\1/p' "$file" >"$includes"
	while read -r include; do
		name=${include#?}
		name=${name%?}
		case $name in
		../* | */../*) wrong "$file: '..' in an include: $name" ;;
		lmdb.h) [ "$file" = fs/index/index.c ] || wrong "$file: only fs/index/index.c may see <lmdb.h>" ;;
		fuse*.h) [ "$room" = request ] || wrong "$file: only fs/request/ may see <$name>" ;;
		esac
		case $include in
		'"config.h"') ;;
		'"'*)
			found=$(resolve "$name")
			if [ -z "$found" ]; then
				wrong "$file: includes \"$name\", which is not there (from include/, fs/ or tools/)"
			elif ! may_use "$room" "$(room_of "$found")"; then
				wrong "$file: must not include $found, which is in a room above or beside its own"
			fi
			;;
		esac
	done <"$includes"
done

# Each room says what belongs there.
for room in $ground $cairnfs_rooms; do
	[ -s "fs/$room/README" ] || wrong "fs/$room: has no README"
done
for room in $cairn_rooms $backing_rooms; do
	[ "$room" = cmd ] || [ -s "tools/$room/README" ] || wrong "tools/$room: has no README"
done

# One noun, one file: what is included or talked of by its last name is one thing. Each program has a main.c.
for twice in $(echo "$sources" | sed 's|.*/||' | grep -vx main.c | LC_ALL=C sort | uniq -d); do
	wrong "$twice: several files of that name: $(echo "$sources" | grep "/$twice\$" | tr '\n' ' ')"
done

# Libraries return; programs print. Calls in comments and strings do not count, nor do functions of others that end so
# (strerror_r is fine).
for file in $sources; do
	case $(room_of "$file")-$file in
	request-* | daemon-* | cmd-* | backing-* | *.h) continue ;;
	esac
	calls=$(sed -e 's|"\([^"\\]\|\\.\)*"|""|g' -e 's|/\*.*\*/||' -e '/^[[:space:]]*\/\*/,/\*\//d' -e '/^[[:space:]]*\*/d' "$file" |
		grep -nE '(^|[^[:alnum:]_])(v?f?printf|puts|fputs|putchar|perror|_?exit|abort|(secure_)?getenv|setenv|syslog)[[:space:]]*\(' || :)
	[ -z "$calls" ] || wrong "$file: a library prints, exits or reads the environment: $calls"
done

# Every header compiles alone; those that want FUSE's are proved by the source that includes them first.
if command -v "${CC:-cc}" >/dev/null 2>&1; then
	for file in $sources; do
		case $file in
		*.c) continue ;;
		esac
		! grep -q '^#include <fuse' "$file" || continue
		printf '#include "%s"\n' "$PWD/$file" |
			"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Iinclude -Ifs -Itools -Wall -Wextra -Werror \
				-Wno-unused-function -fsyntax-only -x c - || wrong "$file: does not compile alone"
	done
fi

# The first include of a module is its own header: proof that it needs nothing before it.
for file in $sources; do
	case $file in
	*.h) continue ;;
	esac
	own=$(room_dir "$file")$(basename "$file" .c).h
	[ -n "$(resolve "$own")" ] || continue
	first=$(sed -n 's/^#include ["<]\(.*\)[">].*/\1/p' "$file" | head -n 1)
	[ "$first" = "$own" ] || wrong "$file: its first include is $first and not its own header, $own"
done

exit "$bad"
