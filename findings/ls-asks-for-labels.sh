#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Finding: on a machine without SELinux, ls -l asks each file for its label (security.selinux) all the same, as long as the filesystem says
# ENODATA: there is none. After one EOPNOTSUPP it does not ask on that filesystem again. Where an xattr is a round trip, as
# on FUSE and network filesystems, the first answer makes ls -l of files whose attributes are known several times slower.
#
# Seen with Debian's coreutils 9.1-1 on Linux 6.18:
#     tmpfs (ENODATA): 51 questions for 50 files and their directory
#     proc (EOPNOTSUPP): 1 questions for 116 files and their directory
#
# Needs apt-get with Debian 12's packages; strace is one of them. Exits with 1 if ls behaves otherwise, with 2 if it cannot be tried.
set -eu

! grep -q selinuxfs /proc/filesystems || { echo "SELinux is on: the kernel answers for labels" && exit 2; }
tmp=$(mktemp -d /dev/shm/finding.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
apt-get -q download coreutils=9.1-1 strace=6.1-0.1 libselinux1=3.4-1+b6 libunwind8=1.6.2-3 >log 2>&1 || { cat log >&2 && exit 2; }
for package in *.deb; do
	dpkg -x "$package" root
done
libraries=$(find "$tmp/root" -name 'lib*.so*' -printf '%h\n' | sort -u | tr '\n' ':')

# questions DIR: for how many of its names ls -l asks for a label, and what the last answer was.
questions() {
	LD_LIBRARY_PATH=$libraries root/usr/bin/strace -qq -o trace -e trace=getxattr,lgetxattr root/bin/ls -l "$1" >listed
	grep -c '"security.selinux"' trace || :
}
mkdir files
for i in $(seq 50); do
	: >"files/$i"
done
on_tmpfs=$(questions files)
echo "tmpfs ($(sed -n '/selinux/s/.* = -1 \([A-Z]*\).*/\1/p' trace | tail -n 1)): $on_tmpfs questions for 50 files and their directory"
on_proc=$(questions /proc/sys/kernel)
echo "proc ($(sed -n '/selinux/s/.* = -1 \([A-Z]*\).*/\1/p' trace | tail -n 1)): $on_proc questions for $(($(wc -l <listed) - 1)) files and their directory"
[ "$on_tmpfs" = 51 ] && [ "$on_proc" = 1 ]
