/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "request/flusher.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { END_MS = 100 };

struct part {
	uint64_t ino;
	int64_t offset, length;
};

static int discard(int fuse_fd, const struct part *part)
{
	struct {
		struct fuse_out_header header;
		struct fuse_notify_inval_inode_out what;
	} message = {
		.header = { .len = sizeof(message), .error = FUSE_NOTIFY_INVAL_INODE },
		.what = { .ino = part->ino, .off = part->offset, .len = part->length },
	};

	/* ENOENT: the kernel does not know the file, so it holds nothing of it. */
	return write(fuse_fd, &message, sizeof(message)) < 0 && errno != ENOENT ? -errno : 0;
}

/* The process: keeps nothing open that would keep the mount's directories locked. */
static _Noreturn void serve(int fuse_fd, int socket)
{
	int low = fuse_fd < socket ? fuse_fd : socket, high = fuse_fd < socket ? socket : fuse_fd;
	struct part part;

	if (low > 0)
		close_range(0, (unsigned int)low - 1, 0);
	if (high > low + 1)
		close_range((unsigned int)low + 1, (unsigned int)high - 1, 0);
	close_range((unsigned int)high + 1, ~0u, 0);
	signal(SIGTERM, SIG_DFL);
	while (recv(socket, &part, sizeof(part), 0) == sizeof(part)) {
		int r = discard(fuse_fd, &part);

		if (send(socket, &r, sizeof(r), MSG_NOSIGNAL) != sizeof(r))
			break;
	}
	_exit(0);
}

static int start(struct flusher *flusher)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	flusher->pid = fork();
	if (flusher->pid == 0)
		serve(flusher->fuse_fd, ends[1]);
	close(ends[1]);
	if (flusher->pid < 0) {
		close(ends[0]);
		return -EAGAIN;
	}
	flusher->socket = ends[0];
	return 0;
}

int flusher_flush(struct flusher *flusher, uint64_t ino, off_t offset, off_t length)
{
	struct part part = { .ino = ino, .offset = offset, .length = length };
	int r = flusher->socket < 0 ? start(flusher) : 0;

	if (r < 0)
		return r;
	if (send(flusher->socket, &part, sizeof(part), MSG_NOSIGNAL) != sizeof(part) ||
	    recv(flusher->socket, &r, sizeof(r), 0) != sizeof(r))
		return -EIO;
	return r;
}

void flusher_stop(struct flusher *flusher)
{
	if (flusher->socket >= 0)
		shutdown(flusher->socket, SHUT_RDWR);
}

void flusher_done(struct flusher *flusher)
{
	struct pollfd ended = { .fd = -1, .events = POLLIN };

	if (flusher->socket < 0)
		return;
	close(take_fd(&flusher->socket));
	/* It ends at once, unless the kernel still keeps it waiting: then it is init's. */
	ended.fd = (int)syscall(SYS_pidfd_open, flusher->pid, 0);
	if (ended.fd < 0)
		return;
	if (poll(&ended, 1, END_MS) == 1)
		waitpid(flusher->pid, NULL, WNOHANG);
	close(ended.fd);
}
