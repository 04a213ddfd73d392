#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What is kept in a work directory is damaged in every way between two mounts: bits, bytes, pages, its end. The next mount comes
# up, its worker lives, no two files have one number, and each has its content. STATE_DAMAGES says how many ways.
# In a mount namespace of its own: what is mounted would live on, after it is unmounted here, in those that others make meanwhile.
[ "$(id -u)" != 0 ] || [ -n "${STATE_DAMAGE_ALONE:-}" ] ||
	STATE_DAMAGE_ALONE=yes exec unshare --mount --propagation private sh "$0"
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse
need python3

cd "$TMP"
mkdir l u w m
for i in $(seq 20); do
	echo "lower $i" >"l/lower$i"
	ln -s "target $i" "l/link$i"
done
mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w,userxattr m
python3 - m <<'END_PYTHON'
import os, sys
for i in range(800):
    path = "%s/f%d" % (sys.argv[1], i)
    with open(path, "w") as f:
        f.write("f%d" % i)
    if i % 3 == 0:
        os.unlink(path)
for i in range(1, 11):
    os.chown("%s/link%d" % (sys.argv[1], i), 7, 7, follow_symlinks=False) # numbers that only the work directory has
    os.chmod("%s/lower%d" % (sys.argv[1], i), 0o600)
END_PYTHON
umount m
cp -a w work.good

cat >mutate.py <<'END_PYTHON'
import os, random, sys
work, seed = sys.argv[1], int(sys.argv[2])
rng = random.Random(seed)
names = sorted(n for n in os.listdir(work) if os.path.isfile(os.path.join(work, n)) and n not in ("owner", "volatile"))
name = names[seed % len(names)]
path = os.path.join(work, name)
data = bytearray(open(path, "rb").read())
page = 4096
kind = rng.randrange(9)
if not data:
    data = bytearray(rng.randbytes(100))
elif kind == 0:
    for _ in range(rng.choice([1, 1, 10, 1000])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
elif kind == 1: # in the part that says where the rest is
    for _ in range(rng.choice([1, 3, 20])):
        data[rng.randrange(min(len(data), 2 * page))] = rng.randrange(256)
elif kind == 2:
    data = data[:rng.randrange(len(data))]
elif kind == 3:
    at = rng.randrange(len(data)) // page * page
    data[at:at + page] = bytes(page)
elif kind == 4:
    at = rng.randrange(len(data)) // page * page
    data[at:at + page] = rng.randbytes(page)
elif kind == 5: # pages change places
    a, b = (rng.randrange(len(data)) // page * page for _ in range(2))
    data[a:a + page], data[b:b + page] = data[b:b + page], data[a:a + page]
elif kind == 6: # the heads of pages
    for _ in range(10):
        at = rng.randrange(len(data)) // page * page + rng.randrange(32)
        if at < len(data):
            data[at] = rng.randrange(256)
elif kind == 7:
    data += rng.randbytes(rng.choice([1, page, 100 * page]))
else:
    data = bytearray(rng.randbytes(rng.choice([1, 100, 8192, 100000])))
with open(path, "r+b") as f:
    f.write(data)
    f.truncate(len(data))
print(name, kind)
END_PYTHON

cat >check.py <<'END_PYTHON'
import os, sys
top = sys.argv[1]
numbers = {}
def note(path):
    numbers.setdefault(os.lstat(path).st_ino, []).append(path)
for i in range(800):
    path = "%s/f%d" % (top, i)
    if i % 3 == 0:
        assert not os.path.lexists(path), path
    else:
        note(path)
for i in range(1, 21):
    note("%s/lower%d" % (top, i))
    note("%s/link%d" % (top, i))
for i in range(60):
    path = "%s/new%d" % (top, i)
    with open(path, "w") as f:
        f.write("new%d" % i)
    note(path)
for shared in numbers.values():
    assert len(shared) == 1, shared
for i in range(800):
    if i % 3:
        assert open("%s/f%d" % (top, i)).read() == "f%d" % i, i
for i in range(1, 21):
    assert open("%s/lower%d" % (top, i)).read() == "lower %d\n" % i, i
    assert os.readlink("%s/link%d" % (top, i)) == "target %d" % i, i
for i in range(60):
    path = "%s/new%d" % (top, i)
    assert open(path).read() == "new%d" % i, i
    os.unlink(path)
END_PYTHON

# The lock of upper is free, so that all processes of the last mount have gone.
is_over() {
	flock --nonblock u true
}

first=${STATE_DAMAGE_FIRST:-1}
for seed in $(seq "$first" $((first + ${STATE_DAMAGES:-30} - 1))); do
	rm -rf w
	cp -a work.good w
	what=$(python3 mutate.py w "$seed")
	mount_cairnfs -o lowerdir=l,upperdir=u,workdir=w,userxattr m || fail "seed $seed ($what): the mount is refused"
	pid=$(worker)
	timeout 60 python3 check.py m || fail "seed $seed ($what)"
	[ "$(worker)" = "$pid" ] || fail "seed $seed ($what): the worker died"
	umount m
	wait_for is_over
done
