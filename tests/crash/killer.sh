#!/bin/sh
# The worker is killed with SIGKILL twenty times a second at random instants, while random programs run on the mount as they
# run in a plain directory: no operation may notice, by its answer or by what is there (tests/compare/differ/differ.c, differ_kill.c).
# KILLER_SECONDS says for how long; `make check-killer` does it for ten minutes, from seeds that no run before had. (inotify is
# left out: when the kernel lets go of a file that was closed depends on answers that are under way.)
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

seconds=$((${KILLER_SECONDS:-35} / 7))
first=${DIFFER_FIRST:-1}
set -- "" "--threads 3" "--processes 3" "--shared --threads 5" "--userns --threads 3" \
	"--threads 3 --options writeback=1" "--threads 3 --options io=passthrough"
for mode; do
	# shellcheck disable=SC2086 # a mode is several words
	"$DIFFER" --cairnfs "$CAIRNFS" --dir "$TMP" --seeds "$first..9999999999" --ops 2000 --seconds "$seconds" --kills 20 \
		--disable watch,events $mode >"$TMP/out" 2>&1 || { tail -n 400 "$TMP/out" && fail "differences (seeds from $first, $mode)"; }
	tail -n 3 "$TMP/out"
done
