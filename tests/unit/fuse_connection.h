/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A FUSE mount without a library: its connection is up, with passthrough, and nothing is answered.
 */
#ifndef TEST_FUSE_CONNECTION_H
#define TEST_FUSE_CONNECTION_H

#include <linux/fuse.h>
#include <sched.h>
#include <sys/mount.h>

#include "scratch.h"

/* Of Linux 6.9. */
enum { CONNECTION_PASSTHROUGH = 1 << (37 - 32) };

/* The next request of that opcode; others are passed over. */
static inline uint64_t connection_await(int fuse, uint32_t opcode)
{
	static char buffer[1 << 20];
	struct fuse_in_header *request = (struct fuse_in_header *)buffer;

	do
		assert(read(fuse, buffer, sizeof(buffer)) > 0);
	while (request->opcode != opcode);
	return request->unique;
}

static inline void connection_answer(int fuse, uint64_t unique, const void *data, size_t size)
{
	char buffer[256];
	struct fuse_out_header head = { .len = sizeof(head) + size, .unique = unique };

	memcpy(buffer, &head, sizeof(head));
	memcpy(buffer + sizeof(head), data, size);
	assert(write(fuse, buffer, head.len) == (ssize_t)head.len);
}

/* Mounts at the directory; the mount is this process's, and goes with it. -1: it may not be done.
 */
static inline int connection_mount(const char *path)
{
	struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION,
		.minor = 40,
		.max_readahead = 65536,
		.flags = FUSE_INIT_EXT,
		.flags2 = CONNECTION_PASSTHROUGH,
		.max_write = 65536,
		.unused = { 1 }, /* the first is max_stack_depth */
	};
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[100];

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
		 fuse);
	if (fuse < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("test", path, "fuse", 0, options) < 0)
		return -1;
	connection_answer(fuse, connection_await(fuse, FUSE_INIT), &init, sizeof(init));
	return fuse;
}

#endif
