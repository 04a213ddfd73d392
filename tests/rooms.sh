# shellcheck shell=sh
# The rooms of the house (doc/architecture.md), from the ground up, for check-includes.sh and check-calls.sh to ask.

# Each may use those before it: what both programs stand on, then one program's own rooms each.
ground="base host branch index lower"
cairnfs_rooms="upper survive node copyup verb request daemon"
cairn_rooms="value store archive layer import cmd"
backing_rooms="backing"

# room_of FILE: the room of a source file or header, or `none`.
room_of() {
	case $1 in
	include/*/*.h | fs/*/*.[ch] | tools/*/*.[ch])
		its_room=${1#*/}
		its_room=${its_room%%/*}
		;;
	tools/*.[ch]) its_room=cmd ;;
	*) its_room=none ;;
	esac
	case " $ground $cairnfs_rooms $cairn_rooms $backing_rooms " in
	*" $its_room "*) echo "$its_room" ;;
	*) echo none ;;
	esac
}

# room_dir FILE: what includes of its room's headers begin with: "ROOM/", or nothing.
room_dir() {
	case $1 in
	tools/*/* | fs/*/*) dir=${1#*/} && echo "${dir%/*}/" ;;
	esac
}

# is_below ROOM ROOM ROOMS: whether the second is the first, or before it, in the list.
is_below() {
	for at in $3; do
		[ "$at" != "$2" ] || return 0
		[ "$at" != "$1" ] || return 1
	done
	return 1
}

# may_use ROOM ROOM: whether the first may use the second.
may_use() {
	[ "$1" != "$2" ] || return 0
	is_below "$1" "$2" "$ground $cairnfs_rooms" || is_below "$1" "$2" "$ground $cairn_rooms" ||
		is_below "$1" "$2" "$ground $backing_rooms"
}
