#!/bin/sh
# The rings of doc/architecture.md: base < core < {fs, image} < {op, cmd}; an include never points up. LMDB and FUSE are seen
# by the files that are for them alone, every header compiles by itself, and libraries do not print, exit or read the
# environment. Needs the sources and a compiler ($CC), no build and no root.
set -eu

top_srcdir=$(cd "${top_srcdir:-$(dirname "$0")/..}" && pwd)
cd "$top_srcdir"
bad=0

wrong() {
	echo "check-includes: $*" >&2
	bad=1
}

# The ring of a source file or header.
ring_of() {
	case $1 in
	include/base/* | fs/base/*) echo 1 ;;
	include/core/* | fs/core/*) echo 2 ;;
	include/image/* | tools/image/*) echo image ;;
	fs/op*.[ch] | fs/attempt.[ch] | fs/flusher.[ch] | fs/daemon.h | fs/detach.[ch] | fs/loop.[ch] | fs/main.c | fs/mount.c | fs/options.[ch] | fs/remount.c | fs/serve.c | fs/shared.[ch] | fs/stack.[ch] | fs/successor.[ch] | fs/supervisor.[ch] | fs/takeover.[ch] | fs/worker.[ch]) echo op ;;
	include/fs/* | fs/*) echo fs ;;
	tools/*) echo cmd ;;
	*) echo none ;;
	esac
}

# may_use RING RING: whether the first may include headers of the second.
may_use() {
	case $1-$2 in
	1-1 | 2-[12] | fs-[12] | fs-fs | image-[12] | image-image) ;;
	op-[12] | op-fs | op-op | cmd-[12] | cmd-image | cmd-cmd) ;;
	*) return 1 ;;
	esac
}

# The file that an include in double quotes means: beside the includer, or below include/.
resolve() {
	for place in "${1%/*}" include; do
		[ ! -f "$place/$2" ] || { echo "$place/$2" && return; }
	done
}

sources=$(find fs tools include -name '*.[ch]' | LC_ALL=C sort)

for file in $sources; do
	ring=$(ring_of "$file")
	[ "$ring" != none ] || wrong "$file: in no ring"
	sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*\([<"].*[>"]\).*/\1/p' "$file" >"${TMPDIR:-/tmp}/includes.$$"
	while read -r include; do
		name=${include#?}
		name=${name%?}
		case $name in
		../* | */../*) wrong "$file: '..' in an include: $name" ;;
		lmdb.h) [ "$file" = fs/core/index.c ] || wrong "$file: only fs/core/index.c may see <lmdb.h>" ;;
		fuse*.h)
			case $file in
			fs/op*.[ch] | fs/loop.c | fs/mount.c | fs/serve.c) ;;
			*) wrong "$file: only op*, loop.c, mount.c and serve.c may see <$name>" ;;
			esac
			;;
		esac
		case $include in
		'"config.h"') ;;
		'"'*)
			found=$(resolve "$file" "$name")
			if [ -z "$found" ]; then
				wrong "$file: includes \"$name\", which is not there"
			elif ! may_use "$ring" "$(ring_of "$found")"; then
				wrong "$file: must not include $found, which is of a ring above or beside it"
			fi
			;;
		esac
	done <"${TMPDIR:-/tmp}/includes.$$"
	rm -f "${TMPDIR:-/tmp}/includes.$$"
done

# Libraries return; programs print. Calls in comments and strings do not count, nor do functions of others that end so (strerror_r is fine).
for file in $sources; do
	case $(ring_of "$file") in
	op | cmd | none) continue ;;
	esac
	# The daemon's process and the tool's screen are what these two are for.
	case $file in
	*.h) continue ;;
	esac
	calls=$(sed -e 's|"\([^"\\]\|\\.\)*"|""|g' -e 's|/\*.*\*/||' -e '/^[[:space:]]*\/\*/,/\*\//d' -e '/^[[:space:]]*\*/d' "$file" |
		grep -nE '(^|[^[:alnum:]_])(v?f?printf|puts|fputs|putchar|perror|_?exit|abort|(secure_)?getenv|setenv|syslog)[[:space:]]*\(' || :)
	[ -z "$calls" ] || wrong "$file: a library prints, exits or reads the environment: $calls"
done

# Every header compiles alone, with what its ring may see.
if command -v "${CC:-cc}" >/dev/null 2>&1; then
	for file in $sources; do
		case $file in
		*.c) continue ;;
		fs/op.h) continue ;; # wants FUSE's flags; op.c, which includes it first, proves the same
		esac
		printf '#include "%s"\n' "$PWD/$file" |
			"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Iinclude -Wall -Wextra -Werror \
				-Wno-unused-function -fsyntax-only -x c - || wrong "$file: does not compile alone"
	done
fi

# The first include of a module is its own header: proof that it needs nothing before it.
for file in $sources; do
	case $file in
	fs/base/*.c | fs/core/*.c) ;;
	*) continue ;;
	esac
	own=include/$(basename "$(dirname "$file")")/$(basename "$file" .c).h
	[ -f "$own" ] || continue
	first=$(sed -n 's/^#include ["<]\(.*\)[">].*/\1/p' "$file" | head -n 1)
	[ "include/$first" = "$own" ] || wrong "$file: its first include is $first and not its own header"
done

exit "$bad"
