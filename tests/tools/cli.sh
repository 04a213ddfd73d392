#!/bin/sh
# Help, version, wrong use, and where the store is.
. "$(dirname "$0")/lib.sh"

"$CAIRN" --help >"$TMP/help"
for command in import images mount umount containers rm; do
	grep -qE "^  $command +[a-z]" "$TMP/help" || fail "$command is not in the help"
	"$CAIRN" "$command" --help >"$TMP/out" || fail "$command --help"
	grep -qE "^Usage: cairn $command " "$TMP/out" || fail "$command --help says: $(cat "$TMP/out")"
	fails 2 "^cairn $command: unknown option --nonsense" "$CAIRN" "$command" --nonsense
	fails 2 "^cairn $command: --root needs a value" "$CAIRN" "$command" --root
done
"$CAIRN" --version | grep -qE '^cairn: version [0-9]' || fail "--version"
fails 2 "unknown command nonsense" "$CAIRN" nonsense
for pair in ps=containers rmi=rm ls=images load=import unmount=umount imoprt=import mout=mount umounts=umount imagse=images; do
	fails 2 "unknown command ${pair%=*}: did you mean ${pair#*=}\?" "$CAIRN" "${pair%=*}"
done
fails 2 "unknown command x; see" "$CAIRN" x
fails 2 "unknown option --nonsense" "$CAIRN" --nonsense images
for use in "import" "import a b" "images x" "mount" "mount a b c" "umount" "umount a b" "rm"; do
	# shellcheck disable=SC2086
	fails 2 "too (few|many) arguments: cairn ${use%% *} " cairn $use
done
status=0
"$CAIRN" 2>"$TMP/err" || status=$?
[ "$status" = 2 ] || fail "without a command: status $status"
[ ! -d "$store" ] || fail "a wrong use made a store"

# --root before or after the command, then CAIRN_ROOT, then the user's own.
"$CAIRN" --root "$TMP/one" images >"$TMP/out"
"$CAIRN" images --root "$TMP/two" >"$TMP/out"
CAIRN_ROOT=$TMP/three "$CAIRN" images >"$TMP/out"
(cd "$TMP" && "$CAIRN" --root four/deep images) >"$TMP/out"
for name in one two three four/deep; do
	[ -f "$TMP/$name/store.mdb" ] || fail "no store in $name"
	[ "$(stat -c %a "$TMP/$name")" = 700 ] || fail "the store is open to others"
done
if [ "$(id -u)" != 0 ]; then
	XDG_DATA_HOME=$TMP/data "$CAIRN" images >"$TMP/out"
	HOME=$TMP/home XDG_DATA_HOME='' "$CAIRN" images >"$TMP/out"
	[ -f "$TMP/data/cairn/store.mdb" ] || fail "no store in XDG_DATA_HOME"
	[ -f "$TMP/home/.local/share/cairn/store.mdb" ] || fail "no store in HOME"
fi

# What cannot be written is a failure.
# shellcheck disable=SC2016
fails 1 "cannot write the output" sh -c '"$CAIRN" --help >/dev/full'
