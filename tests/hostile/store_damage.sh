#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# store.mdb is damaged in every way: bits, bytes, pages, its end. Each command then does what it did before, or says in one line
# which file is damaged and how to mend it; none dies of it, none shows what was not there, and nothing of the store is lost. What
# it says mends the store.
# STORE_DAMAGES says how many ways.
. "$(dirname "$0")/../tools/lib.sh"
need_root
need python3 tar

cd "$TMP"
two_layers
oci_layout app 1 cat low.tar high.tar
oci_layout base 1 cat low.tar
"$MKTAR" file f "another" >new.tar
for n in 1 2 3 4 5 6 7 8 9; do
	cairn import --tag "app:$n" app >out
done
cairn import base >out
cairn import --tag gone:1 new.tar >out
cairn rm gone:1
if [ -c /dev/fuse ]; then
	mkdir m
	cairn mount --name kept app:1 m
	echo written >m/file
	cairn umount --keep m
fi
cp -a "$store" good

cat >damage.py <<'END_PYTHON'
import os, random, re, shutil, subprocess, sys
cairn, store, good, new, first, n = sys.argv[1:4] + sys.argv[4:5] + [int(a) for a in sys.argv[5:7]]
path = store + "/store.mdb"
data = open(path, "rb").read()
page = 4096

def restore():
    shutil.rmtree(store)
    subprocess.check_call(["cp", "-a", good, store])

def mutate(seed):
    rng = random.Random(seed)
    bad = bytearray(data)
    kind = seed % 11
    at = rng.randrange(len(bad)) // page * page
    if kind == 0:
        for _ in range(rng.choice([1, 1, 10, 1000])):
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
    elif kind == 1: # in the part that says where the rest is
        for _ in range(rng.choice([1, 3, 20])):
            bad[rng.randrange(2 * page)] = rng.randrange(256)
    elif kind == 2:
        del bad[rng.randrange(len(bad)):]
    elif kind == 3:
        del bad[at:]
    elif kind == 4:
        bad[at:at + page] = bytes(page)
    elif kind == 5:
        bad[at:at + page] = rng.randbytes(page)
    elif kind == 6: # pages change places
        other = rng.randrange(len(bad)) // page * page
        bad[at:at + page], bad[other:other + page] = bad[other:other + page], bad[at:at + page]
    elif kind == 7: # the heads of pages
        for _ in range(10):
            place = rng.randrange(len(bad)) // page * page + rng.randrange(40)
            if place < len(bad):
                bad[place] = rng.randrange(256)
    elif kind == 8:
        bad += rng.randbytes(rng.choice([1, 32, page, 100 * page]))
    elif kind == 9: # the digits of a digest, the letters of a name
        words = [m.span() for m in re.finditer(rb"[0-9a-z:]{5,}", bytes(bad))]
        start, end = rng.choice(words)
        place = rng.randrange(start, end)
        bad[place] = ord("a") if bad[place] != ord("a") else ord("b")
    else:
        bad = bytearray(rng.randbytes(rng.choice([1, 100, 2 * page, 100000])))
    return kind, bytes(bad)

def run(*args):
    return subprocess.run([cairn, "--root", store] + list(args), capture_output=True, stdin=subprocess.DEVNULL)

def check(what, result, expected):
    said = result.stderr.decode(errors="replace")
    assert result.returncode in (0, 1), (what, result.returncode, said)
    if result.returncode == 0:
        assert not said, (what, said)
        assert expected is None or result.stdout == expected, (what, result.stdout)
        return
    assert said.count("\n") == 1 and "store.mdb" in said, (what, said)
    assert re.search("store.mdb.old, .*: see DAMAGE in cairn\\(1\\)", said), (what, said) # how to mend it

def objects():
    return sorted(p for d, _, names in os.walk(store) if not d.startswith(store + "/tmp") for p in [d] + [d + "/" + m for m in names]
                  if "/store.mdb" not in p)

listings = [["images"], ["images", "--json"], ["containers"], ["containers", "--json"]]
before = [run(*listing).stdout for listing in listings]
there = objects()
n_refused = 0
for seed in range(first, first + n):
    kind, bad = mutate(seed)
    if bad == data:
        continue
    what = "seed %d (kind %d)" % (seed, kind)
    with open(path, "wb") as out:
        out.write(bad)
    results = [run(*listing) for listing in listings]
    for listing, result, expected in zip(listings, results, before):
        check((what, listing), result, expected)
    for command in (["rm", "no/such/image"], ["import", new]):
        result = run(*command)
        if result.returncode == 1 and b"no such image" in result.stderr:
            continue
        check((what, command), result, None)
    if result.returncode == 1:
        n_refused += 1
        assert objects() == there, what
        assert open(path, "rb").read() == bad, what
    restore()
print("%d of %d refused" % (n_refused, n))
END_PYTHON
python3 damage.py "$CAIRN" "$store" good new.tar "${STORE_DAMAGE_FIRST:-1}" "${STORE_DAMAGES:-300}"

# ---- something else in its place ----
odd() {
	for command in images containers "rm no/such/image" "import new.tar"; do
		# shellcheck disable=SC2086 # words
		fails 1 "$1" timeout 60 "$CAIRN" --root "$store" $command
	done
	rm -rf "$store"
	cp -a good "$store"
}
damaged="store.mdb is damaged; store.mdb.old, from before the last change, can take its place: see DAMAGE in cairn.1."
mv "$store/store.mdb" there
mkfifo "$store/store.mdb"
odd "$damaged"
rm "$store/store.mdb"
mkdir "$store/store.mdb"
odd "$damaged"
ln -sf "$TMP/there" "$store/store.mdb"
odd "store.mdb: Too many levels of symbolic links"
: >"$store/store.mdb"
odd "$damaged"
truncate -s 1T "$store/store.mdb"
odd "$damaged"
rm "$store/store.mdb"
odd "store.mdb is missing; store.mdb.old, from before the last change, can take its place: see DAMAGE in cairn.1."
printf x >>"$store/store.mdb.old"
printf x >>"$store/store.mdb"
odd "store.mdb is damaged; without it the images are to be imported again: see DAMAGE in cairn.1."

# ---- store.mdb.old in its place: as before the last change ----
cairn images >before
cairn containers >containers.before
cairn import --tag last:1 new.tar >out
printf x >>"$store/store.mdb"
fails 1 "$damaged" cairn images
mv "$store/store.mdb.old" "$store/store.mdb"
cairn images >after
same before after
cairn containers >after
same containers.before after
cairn import --tag last:1 new.tar >out
cairn images >before
cairn rm last:1
printf x >>"$store/store.mdb"
mv "$store/store.mdb.old" "$store/store.mdb"
cairn images >after # last:1, whose layer has gone
same before after
cairn rm last:1
cairn import --tag last:1 new.tar >out
cairn images >after
same before after
sweep
nothing_left

# ---- without it: imported again ----
rm "$store/store.mdb" "$store/store.mdb.old"
cairn import app >out
cairn images | grep -q '^app ' || fail "not imported again"
sweep
nothing_left

# ---- a change that has no room is none, and one that makes room needs none ----
mkdir disk
mount -t tmpfs -o size=2m none disk
"$CAIRN" --root disk import --tag new:1 new.tar >out
"$CAIRN" --root disk import --tag new:2 new.tar >out
"$CAIRN" --root disk images >before
dd if=/dev/zero of=disk/full bs=4k status=none 2>none || :
"$CAIRN" --root disk images >after
same before after
"$CAIRN" --root disk rm new:1 || fail "nothing can be removed from a full disk"
grep -v '^new *1 ' before >expected
"$CAIRN" --root disk images >after
same expected after
umount disk
