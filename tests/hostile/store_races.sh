#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Many commands at once on one store, killed at random: whatever they leave, the next command works, every mounted image shows what
# it holds, nothing is stuck, and in the end nothing is left. RACE_ROUNDS says how long.
. "$(dirname "$0")/../tools/lib.sh"
need_root
need_fuse
need tar python3
# A process that is killed while it looks for leaks leaves a report of that.
ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
export ASAN_OPTIONS

two_layers
oci_layout "$TMP/app" 1 cat "$TMP/low.tar" "$TMP/high.tar"
oci_layout "$TMP/one" 1 cat "$TMP/low.tar"
cairn import --tag app:1 "$TMP/app" >"$TMP/out"
cairn import --tag one:1 "$TMP/one" >"$TMP/out"
mkdir "$TMP/look"
for image in app one; do
	cairn mount --read-only $image:1 "$TMP/look"
	treelist "$TMP/look" >"$TMP/$image.tree"
	cairn umount "$TMP/look"
	mkdir "$TMP/mnt-$image"
done

python3 - "$CAIRN" "$store" "${RACE_ROUNDS:-120}" <<'END'
import os, random, signal, subprocess, sys, time
cairn, store, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
top = os.environ["TMP"]
rng = random.Random(7)
names = ["a", "b", "c"]

def command():
    name = rng.choice(names)
    image = rng.choice(["app", "one"])
    place = "%s/mnt-%s" % (top, image)
    return rng.choice([
        ["mount", "--name", name, image + ":1", place], ["mount", "--name", name, image + ":1"], ["mount", image + ":1"],
        ["mount", "--read-only", image + ":1", place], ["umount", name], ["umount", "--keep", name], ["umount", place],
        ["images"], ["containers"], ["import", "--tag", image + ":2", "%s/%s" % (top, image)], ["rm", image + ":2"],
    ])

known = ("busy", "no container", "mounted", "another command", "something else", "uses it", "no such image", "is of another image",
         "could not mount", "in use by another mount", "is read-only", "is writable", "named", "was removed", "No such file")
for round in range(rounds):
    running = [subprocess.Popen([cairn, "--root", store] + command(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
               for _ in range(8)]
    for process in rng.sample(running, 3):
        time.sleep(rng.random() * 0.01)
        process.send_signal(signal.SIGKILL)
    for process in running:
        _, said = process.communicate(timeout=120)
        if process.returncode == 1:
            for line in said.decode(errors="replace").splitlines():
                assert any(word in line for word in known), (process.args, line)
        assert process.returncode in (0, 1, -9), (process.args, process.returncode, said)
    # Whatever has happened: the next command works.
    for listing in ("images", "containers"):
        done = subprocess.run([cairn, "--root", store, listing], capture_output=True, timeout=60)
        assert done.returncode == 0, (round, listing, done.stderr)
END

# What is mounted shows what it holds; and all of it can be taken away.
cairn containers | tail -n +2 | while read -r id _ image _ point; do
	if mountpoint -q "$point" && [ "$(find "$store/containers/$id/upper" -mindepth 1 2>"$TMP/none" | wc -l)" = 0 ]; then
		treelist "$point" >"$TMP/shown"
		same "$TMP/${image%:*}.tree" "$TMP/shown"
	fi
done
# One that was to be mounted where another one is, is in its way until that has gone.
ids() {
	cairn containers | tail -n +2 | cut -d' ' -f1
}
while [ "$(ids)" ]; do
	before=$(ids)
	for id in $before; do
		cairn umount "$id" 2>"$TMP/err" || grep -q "something else is mounted there" "$TMP/err" || fail "$id: $(cat "$TMP/err")"
	done
	[ "$(ids)" != "$before" ] || fail "cannot be taken away: $before"
done
[ -z "$(mounts)" ] || fail "mounted still: $(mounts)"
sweep
[ -z "$(ls "$store/containers")" ] || fail "left: $(ls "$store/containers")"
nothing_left
for image in app one; do
	cairn mount --read-only $image:1 "$TMP/look"
	treelist "$TMP/look" >"$TMP/shown"
	same "$TMP/$image.tree" "$TMP/shown"
	cairn umount "$TMP/look"
done
