#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# store.mdb with bytes changed or lost: a command works or refuses the store in one line, and never dies of a signal.
. "$(dirname "$0")/../tools/lib.sh"
need python3

cd "$TMP"
two_layers
for i in $(seq 12); do
	mkdir -p "layout$i"
	oci_layout "layout$i" "app:$i" cat low.tar high.tar
	cairn import --tag "app:$i" "layout$i" >/dev/null
done
cp "$store/store.mdb" good

cat >mutate.py <<'END_PYTHON'
import random, sys
seed = int(sys.argv[1])
rng = random.Random(seed)
data = bytearray(open("good", "rb").read())
kind = seed % 5
pages = len(data) // 4096
if kind == 0: # the heads of pages
    for _ in range(rng.choice([1, 3, 10])):
        data[rng.randrange(pages) * 4096 + rng.randrange(40)] = rng.randrange(256)
elif kind == 1: # where the trees begin
    for _ in range(rng.choice([1, 2])):
        data[rng.randrange(2) * 4096 + rng.randrange(170)] = rng.randrange(256)
elif kind == 2:
    for _ in range(rng.choice([1, 30])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
elif kind == 3:
    del data[rng.randrange(len(data)):]
else: # pages change places
    a, b = rng.randrange(pages) * 4096, rng.randrange(pages) * 4096
    data[a:a + 4096], data[b:b + 4096] = data[b:b + 4096], data[a:a + 4096]
open(sys.argv[2], "wb").write(data)
END_PYTHON

refused=0
for seed in $(seq "${STORE_DAMAGES:-100}"); do
	python3 mutate.py "$seed" "$store/store.mdb"
	for command in images containers "rm no/such/image"; do
		status=0
		# shellcheck disable=SC2086 # words
		cairn $command >out 2>err || status=$?
		[ "$status" -lt 2 ] || fail "seed $seed: $command ends with $status: $(cat err)"
		[ "$(wc -l <err)" -le 1 ] || fail "seed $seed: $command: $(cat err)"
	done
	! grep -q "store.mdb is damaged; cairn(1)" err || refused=$((refused + 1))
done
[ "$refused" -gt 0 ] || fail "nothing was refused"
cp good "$store/store.mdb"
[ "$(cairn images | wc -l)" = 13 ] || fail "the good one does not list 12 images: $(cairn images)"
