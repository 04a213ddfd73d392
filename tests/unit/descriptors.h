/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages with descriptors, of which a careless peer sends any number. */
#ifndef TESTS_UNIT_DESCRIPTORS_H
#define TESTS_UNIT_DESCRIPTORS_H

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

enum { MOST_COPIES = 200 };

/* Sends `bytes` with `n` copies of `fd`; as sendmsg(2). */
static inline ssize_t send_copies(int socket, const void *bytes, size_t size, int fd, size_t n)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(MOST_COPIES * sizeof(int))];
	} control = { 0 };
	struct iovec text = { (void *)bytes, size };
	struct msghdr message = { .msg_iov = &text, .msg_iovlen = 1 };

	assert(n <= MOST_COPIES);
	if (n) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(n * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(n * sizeof(int));
		for (size_t i = 0; i < n; i++)
			memcpy(CMSG_DATA(&control.head) + i * sizeof(int), &fd, sizeof(fd));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL);
}

#endif
