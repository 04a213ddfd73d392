#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# deny.sh [all]: the daemon on systems that lack something: kernels, filesystems, containers (tests/crash/deny.c). The tests pass
# all the same, or the mount is refused with one line. Without `all` it is the shorter tests and fewer seeds.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need "${CC:-cc}"
: "${DIFFER:=$top_builddir/tests/compare/differ/differ}"
amount=${1:-some}

cd "$TMP"
"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O2 -shared -fPIC -o deny.so "$top_srcdir/tests/crash/deny.c"
"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O2 -o denied "$top_srcdir/tests/crash/denied.c"
export ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0"
real=$CAIRNFS
mkdir inner l u w m
cat >cairnfs <<END
#!/bin/sh
LD_PRELOAD=$TMP/deny.so exec "$real" "\$@"
END
chmod 755 cairnfs

# Where there are no xattrs at all the other tests, which use them, are no good: owners, modes, names and contents are all there is.
plain_files() {
	(
		cd "$TMP"
		rm -rf tree plain u w
		mkdir -p tree/dir/sub tree/gone tree/kept u w
		for name in mine others dir/a dir/sub/b gone/c kept/d linked; do
			echo "$name" >"tree/$name"
		done
		chown 12:34 tree/others tree/dir/a tree/dir
		chmod 640 tree/dir/a
		ln tree/linked tree/kept/linked # not in what moves: that may be EXDEV
		cp -a tree plain
		"$TMP/cairnfs" -o lowerdir=tree,upperdir=u,workdir=w m
		for at in plain m; do
			LC_ALL=C sh -c 'cd "$1" && cat mine others dir/a; chown 56:78 mine; cat mine; chmod 600 others; cat others
				setpriv --reuid 1000 --regid 1000 --clear-groups cat mine dir/a dir/sub/b others
				mv dir moved; ls moved; rm -r gone; mkdir gone; ls gone; echo more >>linked; cat kept/linked
				rm kept/d; echo new >kept/new; mv kept/new kept/d; cat kept/d; mkdir x y; echo z >y/z; mv -T y x; ls x
				truncate -s 3 moved/sub/b; cp -p mine copy; rm mine; ln -s nowhere link' sh "$at" >"$at.out" 2>&1 || :
			(cd "$at" && find . -printf "%P %y %m %U:%G %l\n" && find . -type f -exec md5sum {} +) |
				LC_ALL=C sort >>"$at.out"
		done
		umount m
		diff -u plain.out m.out
	)
}

# A test, or the differ, with that daemon.
run_test() {
	case $1 in
	differ*)
		# shellcheck disable=SC2086 # words
		"$DIFFER" --cairnfs "$TMP/cairnfs" --dir "$TMP/inner" $2
		;;
	plain_files) plain_files ;;
	*) CAIRNFS=$TMP/cairnfs TMPDIR=$TMP/inner sh "$top_srcdir"/tests/*/"$1.sh" ;;
	esac
}

# What the differ is to leave out, as the mount cannot do it there and a plain directory can; or as kernel overlayfs does not
# read the whiteouts that are then written.
differ_options() {
	without=
	case ,$DENY, in *,fallocate,*) without=fallocate ;; esac
	case ,$DENY, in *,rename-flags,*) without=${without:+$without,}rename ;; esac # RENAME_EXCHANGE
	case ,$DENY, in
	*,rename-flags,* | *,rename-whiteout,* | *,whiteout-device,*)
		echo --profile all
		without=${without:+$without,}long-names # those that are then written are files, with longer names
		;;
	esac
	[ -z "$without" ] || echo --disable "$without"
}

# deny RULES: all tests without these.
failed=
deny() {
	DENY=$1
	export DENY
	started=$(date +%s)
	passed=
	# What is not refused at all proves nothing.
	# shellcheck disable=SC2046 # words
	LD_PRELOAD=$TMP/deny.so ./denied $(echo "$DENY" | tr , ' ') >out || failed="$failed $DENY:$(tr '\n' ' ' <out)"
	if ! ./cairnfs -o lowerdir=l,upperdir=u,workdir=w m 2>err; then
		[ "$(wc -l <err)" = 1 ] && [ "$(wc -c <err)" -gt 20 ] || failed="$failed $DENY:refused-with:$(cat err)"
		echo "$DENY: refused: $(cat err)"
		return 0
	fi
	umount m
	case ,$DENY, in
	*,xattrs,*) now="plain_files unlinked special" ;;
	*,trusted,*) now="plain_files $tests" ;; # the differ's files have such xattrs
	*) now="plain_files $tests differ" ;;
	esac
	case $DENY in
	*,*) some_seeds=1..3 ;;
	*) some_seeds=1..1 ;;
	esac
	for name in $now; do
		status=0
		run_test "$name" "--seeds ${seeds:-$some_seeds} --ops 500 $(differ_options)" >out 2>&1 </dev/null || status=$?
		case $status in
		0) passed="$passed $name" ;;
		77) passed="$passed ($name)" ;;
		*)
			failed="$failed $DENY:$name"
			echo "FAILED: $name without $DENY:"
			tail -n "${DENY_LINES:-25}" out | cut -c 1-300
			;;
		esac
	done
	echo "without $DENY:$passed; $(($(date +%s) - started)) s"
}

if [ "$amount" = all ]; then
	tests="basics unlinked special remount permissions" seeds=1..15
else
	tests="unlinked special" seeds=
fi

for rule in ${DENY_RULES:-openat2 whiteout-device copy_file_range copy_file_range-across clone tmpfile trusted rename-flags \
	rename-whiteout birth mount-id link-descriptor times-descriptor close_range fallocate pidfd xattrs}; do
	deny "$rule"
done
if [ -z "${DENY_RULES:-}" ]; then
	# An old kernel; a container; a poor filesystem; everything.
	deny openat2,close_range,birth,mount-id,times-descriptor,pidfd
	deny whiteout-device,trusted,link-descriptor
	deny clone,copy_file_range,tmpfile,fallocate,birth,rename-flags
	deny openat2,whiteout-device,copy_file_range,clone,tmpfile,trusted,rename-flags,birth,mount-id,link-descriptor,times-descriptor,close_range,fallocate,pidfd
fi
[ -z "$failed" ] || fail "$failed"
