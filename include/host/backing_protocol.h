/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is said between a FUSE daemon (fs/host/backing.c) and cairn-backing, and by both to the
 * kernel. The socket is of type SOCK_SEQPACKET: a message is a request or an answer, each request
 * has one answer. The first request is BACKING_HELLO.
 */
#ifndef HOST_BACKING_PROTOCOL_H
#define HOST_BACKING_PROTOCOL_H

#include <stdint.h>
#include <sys/ioctl.h>

enum { BACKING_MAGIC = 0x6b636263 }; /* "cbck"; another one when this changes */

enum backing_op {
	BACKING_HELLO =
		1, /* with a descriptor: the FUSE connection all others are for; the answer is 0 */
	BACKING_OPEN, /* with a descriptor: the file; the answer is its id */
	BACKING_CLOSE, /* of `id`, which this connection got; the answer is 0 */
};

/* No bytes between the members: both sides are of one machine, but need not be of one build. */
struct backing_request {
	uint32_t magic;
	uint32_t op;
	uint64_t tag; /* the answer has the same */
	int32_t id; /* 0 but for BACKING_CLOSE */
	uint32_t zero;
};

struct backing_answer {
	uint64_t tag;
	uint32_t op; /* the request's */
	int32_t result; /* as the op says, or negative errno */
};

/* Of <linux/fuse.h>, which knows them from Linux 6.9 on. */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define BACKING_IOC_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_IOC_CLOSE _IOW(229, 2, uint32_t)

#endif
