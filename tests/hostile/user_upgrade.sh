#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# cairn upgrade asks the processes of a mount's owner only: another user's process that says it is one can neither make it report
# what did not happen nor keep it waiting.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3 setpriv

cd "$TMP"
mkdir l u w m
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w m
dev=$(stat -c %d m)
cat >liar <<'END'
import os, signal, struct, sys, time
dev, answers = int(sys.argv[1]), sys.argv[2] == "answers"
fd = os.memfd_create("cairnfs mount")
def note(n):
    # Magic, version, size, the mount, how many upgrades, unused, the outcome.
    os.pwrite(fd, struct.pack("IIQQII256s", 0x6e726163, 2, 8192, dev, n, 0, b""), 0)
note(0)
asked = 0
def upgrade(*_):
    global asked
    asked += 1
    if answers:
        note(asked)
    open(sys.argv[3], "a").close()
signal.signal(signal.SIGUSR2, upgrade)
open(sys.argv[4], "w").close()
while True:
    time.sleep(60)
END
mkdir -m 1777 said
for how in answers silence; do
	# shellcheck disable=SC2016 # the other shell, which looks for a python that this user has
	background setpriv --reuid 12345 --regid 12345 --clear-groups sh -c 'exec "$(command -v /usr/bin/python3 || command -v python3)" liar "$@"' sh \
		"$dev" $how "$TMP/said/asked" "$TMP/said/ready.$how"
	wait_for test -e "said/ready.$how"
done
before=$(worker)
# Of this mount alone: those of other tests are to be left as they are.
timeout 20 "$CAIRN" upgrade "$TMP/m" >out 2>err || fail "$(cat err)"
grep -qx "$TMP/m" out || fail "nothing is said of the mount: $(cat out)"
[ "$(worker)" != "$before" ] || fail "nothing was upgraded"
[ ! -e said/asked ] || fail "another user's process was asked"
umount m
