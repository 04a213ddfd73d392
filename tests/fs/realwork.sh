#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Real work in a mounted Debian root gives what the same commands give in a plain copy of that root: gcc, python3, dpkg -i,
# git clone, apt-get install where packages can be had, untar and rm -r, find, sed -i and a shared mmap of a lower file.
# Run by `make check-realwork`; CAIRN_DEBIAN_ROOT names a root to use instead of making one with mmdebstrap.
. "$(dirname "$0")/../lib.sh"
need_root
need_fuse

mkdir "$TMP/upper" "$TMP/work" "$TMP/union"
root=${CAIRN_DEBIAN_ROOT:-$TMP/lower}
if [ ! -d "$root" ]; then
	need mmdebstrap
	mmdebstrap --quiet --variant=apt --include=gcc,libc6-dev,python3,git,make bookworm "$root" >"$TMP/mmdebstrap.log" 2>&1 ||
		skip "no Debian root can be made here: $(tail -n 1 "$TMP/mmdebstrap.log")"
fi
cp -a "$root" "$TMP/plain"
treelist --dir-times "$root" >"$TMP/lower.before"
mount_cairnfs -o "lowerdir=$root,upperdir=$TMP/upper,workdir=$TMP/work" "$TMP/union"

# The package to install by hand is fetched once, so that both roots get the same.
mkdir "$TMP/debs"
fetched=no
cp /etc/resolv.conf "$TMP/resolv.conf"
if (cd "$TMP/debs" && apt-get -q -o APT::Sandbox::User=root download hello >log 2>&1 && mv hello_*.deb hello.deb); then
	fetched=yes
else
	echo "note: no package can be fetched here; dpkg -i and apt-get install are left out"
fi

cat >"$TMP/job" <<'JOB'
set -eu
export LC_ALL=C HOME=/root PYTHONDONTWRITEBYTECODE=1 DEBIAN_FRONTEND=noninteractive
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
mkdir /job && cd /job
echo "== gcc"
printf '#include <stdio.h>\nint main(void){puts("compiled");return 0;}\n' >hello.c
gcc -O2 -o hello hello.c && ./hello
echo "== python3"
python3 -c 'import json, hashlib, os; print(json.dumps({"n": sum(1 for _ in os.walk("/usr"))}), hashlib.sha256(b"x").hexdigest())'
echo "== shared mmap of a lower file"
python3 -c '
import mmap
with open("/etc/login.defs", "r+b") as f:
    m = mmap.mmap(f.fileno(), 0)
    m[0:4] = b"MMAP"
    m.flush()
    print(f.read(8))
print(open("/etc/login.defs","rb").read(8))'
echo "== sed -i"
sed -i 's/UMASK/umask/' /etc/login.defs && grep -c umask /etc/login.defs
echo "== git"
git init -q -b main source && cp -r /usr/share/perl5 source/ && git -C source add -A && git -C source commit -q -m one
git clone -q source clone && git -C clone log --oneline | cut -d' ' -f2 && diff -r --no-dereference source/perl5 clone/perl5 && git -C clone fsck 2>&1
echo "== tar and rm"
tar --sort=name -C /usr/share -cf doc.tar doc && mkdir untarred && tar -C untarred -xf doc.tar && diff -r --no-dereference /usr/share/doc untarred/doc
rm -r untarred /usr/share/doc/gcc* && ls /usr/share/doc | wc -l
echo "== find"
find / -xdev -path /proc -prune -o -path /dev -prune -o -path /var/cache -prune -o -type f -print | sort | sha256sum
if [ -e /tmp/hello.deb ]; then
	echo "== dpkg -i"
	dpkg -i /tmp/hello.deb >/job/dpkg.out 2>&1 && hello && dpkg -L hello | wc -l
	dpkg -r hello >/job/dpkg.out 2>&1 && ! command -v hello
	echo "== apt-get install"
	apt-get -qq update >/job/apt.out 2>&1
	apt-get -qq -y install bc >/job/apt.out 2>&1 && echo '6*7' | bc
fi
rm -rf /job/apt.out /job/dpkg.out
JOB

# run ROOT OUTPUT
run() {
	mount --bind /dev "$1/dev"
	mount -t proc proc "$1/proc"
	cp "$TMP/job" "$1/tmp/job"
	cp "$TMP/resolv.conf" "$1/etc/resolv.conf"
	[ "$fetched" = no ] || cp "$TMP/debs/hello.deb" "$1/tmp/"
	chroot "$1" /bin/sh /tmp/job >"$2" 2>&1 || { cat "$2" >&2 && fail "the job failed in $1"; }
	umount "$1/dev" "$1/proc"
}

run "$TMP/plain" "$TMP/plain.out"
run "$TMP/union" "$TMP/union.out"
cat "$TMP/union.out"
same "$TMP/plain.out" "$TMP/union.out"

# The trees too, but for what holds the time of the run.
listing() {
	treelist --no-times "$1" | grep -vE '^/(var/log|var/cache|var/lib/apt|var/lib/dpkg/.*-old|job/[a-z]*/.git/(index|logs))' |
		grep -vE '^/(var/lib/dpkg/info/|etc/ld.so.cache|root/)'
}
listing "$TMP/plain" >"$TMP/plain.list"
listing "$TMP/union" >"$TMP/union.list"
same "$TMP/plain.list" "$TMP/union.list"
umount "$TMP/union"
treelist --dir-times "$root" >"$TMP/lower.after"
same "$TMP/lower.before" "$TMP/lower.after"
