#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# A work directory in which somebody else has put something: links of both kinds, directories, FIFOs, sockets and files of another
# owner, under every name that is used there. Root's mount changes nothing elsewhere, waits for nobody and either works or says
# in one line what is in the way.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3

cd "$TMP"
mkdir l m elsewhere
echo lower >l/f
echo precious >elsewhere/victim
chmod 640 elsewhere/victim
echo precious >elsewhere/other
mkdir elsewhere/dir
echo precious >elsewhere/dir/file
# Any change moves them.
set_times() {
	touch -d @1000000000 elsewhere/victim elsewhere/other elsewhere/dir/file elsewhere/dir elsewhere
}

# What is used in a work directory, by name: what a mount of every kind leaves, while it is there and after it was killed; and what
# earlier versions had.
names() {
	for option in '' ,ino32_t ,volatile ,metacopy=on; do
		mkdir u w
		mount_cairnfs -o "lowerdir=l,upperdir=u,workdir=w$option" m
		echo x >>m/f
		echo new >m/new
		exec 8<m/new
		rm m/new
		ls w
		exec 8<&-
		umount m
		ls w
		rm -r u w
	done
	printf '%s\n' state.map state.new state.mdb state.mdb-lock state.seal state.log volatile owner ino32.map
}
names | sort -u >names.all

# plant KIND PATH
plant() {
	case $1 in
	symlink) ln -s "$TMP/elsewhere/victim" "$2" ;;
	dangling) ln -s "$TMP/elsewhere/not-there" "$2" ;;
	symlink_dir) ln -s "$TMP/elsewhere/dir" "$2" ;;
	hardlink) ln elsewhere/other "$2" ;;
	dir) mkdir "$2" && echo precious >"$2/file" ;;
	fifo) mkfifo "$2" ;;
	socket) python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$2" ;;
	device) mknod "$2" c 1 3 ;;
	foreign) printf '%s' precious >"$2" && chown nobody "$2" && chmod 666 "$2" ;;
	foreign_dir) mkdir "$2" && chown nobody "$2" && chmod 777 "$2" ;;
	esac
}

# What is elsewhere; a second name of a file there may go.
see() {
	find elsewhere -printf '%p %y %m %U %G %s %T@\n' | sort
	cat elsewhere/victim elsewhere/other elsewhere/dir/file
}

# untouched WHAT: nothing elsewhere is other than it was.
untouched() {
	see >after
	cmp -s before after || fail "$1: elsewhere was changed: $(diff before after)"
}

n_refused=0
while read -r name; do
	for kind in symlink dangling symlink_dir hardlink dir fifo socket device foreign foreign_dir; do
		mkdir u w
		plant "$kind" "w/$name"
		set_times
		see >before
		for option in '' ,ino32_t ,volatile; do
			status=0
			timeout 60 "$CAIRNFS" -o "lowerdir=l,upperdir=u,workdir=w$option" m 2>err || status=$?
			if [ "$status" = 0 ]; then
				[ "$(cat m/f)" = lower ] || fail "$kind at $name$option: content"
				echo new >m/new && rm m/new || fail "$kind at $name$option: cannot be written to"
				umount m
				[ ! -s err ] || fail "$kind at $name$option: said $(cat err)"
			else
				[ "$status" = 1 ] || fail "$kind at $name$option: status $status"
				[ "$(wc -l <err)" = 1 ] || fail "$kind at $name$option: not one line: $(cat err)"
				n_refused=$((n_refused + 1))
			fi
			case $kind$name$option in
			foreign_dirstaging | foreign_dirorphans | foreign_dirgroups)
				[ "$status" = 1 ] || fail "$name of another owner, who could change what is made there, is used" ;;
			esac
			! mountpoint -q m || fail "$kind at $name$option: a dead mount is left"
			[ ! -e elsewhere/not-there ] || fail "$kind at $name$option: made elsewhere/not-there"
			untouched "$kind at $name$option"
		done
		# What is another's is not used.
		if [ "$kind" = foreign ] && [ -e "w/$name" ] && [ "$(stat -c %U "w/$name")" = nobody ]; then
			[ "$(cat "w/$name")" = precious ] || fail "$name of another owner was written to"
		fi
		rm -rf u w
	done
done <names.all
[ "$n_refused" -gt 20 ] || fail "only $n_refused mounts were refused"
