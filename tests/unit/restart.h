/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEST_RESTART_H
#define TEST_RESTART_H

#include <endian.h>

#include "base/table.h"
#include "scratch.h"

/* The file (doc/index-format.md) is as one that was written in another run of the machine, with
 * hashes that are right. */
static inline void restart_machine(int work)
{
	cleanup_fd int fd = openat(work, "state.map", O_RDWR);
	uint64_t head[6], slot[7];
	off_t at = 4096;

	assert(pread(fd, head, sizeof(head), 0) == sizeof(head));
	head[4] = htole64(le64toh(head[4]) + 1);
	head[5] = htole64(table_hash_bytes(head, 40));
	assert(pwrite(fd, head, sizeof(head), 0) == sizeof(head));
	slot[0] = head[1];
	for (; pread(fd, slot + 1, 48, at) == 48; at += 48) {
		if (!slot[1])
			continue;
		slot[5] = head[4];
		slot[6] = htole64(table_hash_bytes(slot, 48));
		assert(pwrite(fd, slot + 1, 48, at) == 48);
	}
}

#endif
