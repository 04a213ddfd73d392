#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Finding: on a FUSE mount that takes direct I/O asynchronously (FUSE_ASYNC_DIO, which libfuse asks for unless told otherwise), a
# buffered read that begins after an O_DIRECT write by AIO has been reported as done can return the bytes from before it, as long as
# somebody else reads the file through the page cache. On the filesystem below it never does.
#
# Seen with Debian's fuse-overlayfs 1.10-1 (libfuse 3.14.0) on Linux 6.18:
#     plain directory: 0 stale of 9600 reads
#     FUSE mount:      40 stale of 9600 reads
#
# Needs root, /dev/fuse, cc and apt-get with Debian 12's packages. Exits with 1 if the mount shows no stale read any more.
set -eu

tmp=$(mktemp -d)
finish() {
	umount "$tmp/m" 2>/dev/null || :
	rm -rf "$tmp"
}
trap finish EXIT
cd "$tmp"

apt-get -q download fuse-overlayfs=1.10-1 >log 2>&1 || { cat log >&2 && exit 2; }
dpkg -x fuse-overlayfs_1.10-1_*.deb package

cat >stale.c <<'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PIECE = 65536, PIECES = 32, ROUNDS = 60 };
static atomic_bool is_over;

static void *read_all(void *path)
{
	static char piece[PIECE];
	int fd = open(path, O_RDONLY);

	while (!is_over) {
		if (read(fd, piece, PIECE) <= 0)
			lseek(fd, 0, SEEK_SET);
	}
	close(fd);
	return NULL;
}

int main(int argc, char *argv[])
{
	static char written[PIECE] __attribute__((aligned(4096))), seen[PIECE];
	int direct = open(argv[argc - 1], O_RDWR | O_CREAT | O_DIRECT, 0644);
	int buffered = open(argv[argc - 1], O_RDONLY), stale = 0;
	aio_context_t context = 0;
	pthread_t reader;

	if (direct < 0 || ftruncate(direct, PIECE * PIECES) < 0 || syscall(SYS_io_setup, PIECES, &context) < 0)
		return 2;
	pthread_create(&reader, NULL, read_all, argv[argc - 1]);
	for (int round = 1; round <= ROUNDS; round++) {
		struct iocb requests[PIECES], *list[PIECES];

		memset(written, round, PIECE);
		for (int i = 0; i < PIECES; i++) {
			requests[i] = (struct iocb){ .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = (uint32_t)direct,
						     .aio_buf = (uintptr_t)written, .aio_nbytes = PIECE,
						     .aio_offset = (int64_t)i * PIECE };
			list[i] = &requests[i];
		}
		if (syscall(SYS_io_submit, context, PIECES, list) != PIECES)
			return 2;
		for (int i = 0; i < PIECES; i++) {
			struct io_event event;

			if (syscall(SYS_io_getevents, context, 1, 1, &event, NULL) != 1 || event.res != PIECE)
				return 2;
			if (pread(buffered, seen, PIECE, ((struct iocb *)(uintptr_t)event.obj)->aio_offset) != PIECE)
				return 2;
			stale += memcmp(seen, written, PIECE) != 0;
		}
	}
	is_over = 1;
	pthread_join(reader, NULL);
	printf("%d\n", stale);
	return 0;
}
END
cc -O2 -pthread -o stale stale.c

mkdir lower upper work m
package/usr/bin/fuse-overlayfs -o lowerdir=lower,upperdir=upper,workdir=work m 2>log
plain=0 mounted=0
for _ in 1 2 3 4 5; do
	plain=$((plain + $(./stale plain)))
	mounted=$((mounted + $(./stale m/file)))
done
echo "plain directory: $plain stale of 9600 reads"
echo "FUSE mount:      $mounted stale of 9600 reads"
[ "$plain" = 0 ] && [ "$mounted" -gt 0 ]
