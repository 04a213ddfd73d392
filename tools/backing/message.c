/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backing/message.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

/* The first descriptor that came, or -1; the others are closed. *n: how many they were. */
static int take_descriptors(struct msghdr *header, int *n)
{
	int first = -1;

	*n = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t size = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= size; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			if ((*n)++ == 0)
				first = fd;
			else
				close(fd);
		}
	}
	return first;
}

static bool is_well_formed(const struct backing_request *request, int n_fds)
{
	bool has_id = request->op == BACKING_CLOSE;

	return request->magic == BACKING_MAGIC && request->zero == 0 &&
	       request->op >= BACKING_HELLO && request->op <= BACKING_CLOSE &&
	       n_fds == (has_id ? 0 : 1) && (has_id ? request->id > 0 : request->id == 0);
}

int message_receive(int socket, struct message *ret)
{
	/* Room for one too many; of what does not fit the kernel gives no descriptor (MSG_CTRUNC).
	 */
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct backing_request request;
	struct iovec text = { &request, sizeof(request) };
	struct msghdr header = { .msg_iov = &text,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control) };
	cleanup_fd int fd = -1;
	ssize_t size;
	int n_fds;

	do
		size = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	fd = take_descriptors(&header, &n_fds);
	if (size == 0 && n_fds == 0 && !(header.msg_flags & MSG_CTRUNC))
		return 0;
	if (size != sizeof(request) || header.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ||
	    !is_well_formed(&request, n_fds))
		return -EPROTO;
	*ret = (struct message){ request, take_fd(&fd) };
	return 1;
}
