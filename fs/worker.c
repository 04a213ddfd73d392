/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

void talk_say(int talk, enum talk what)
{
	char byte = (char)what;

	send(talk, &byte, 1, MSG_NOSIGNAL);
}

ssize_t talk_hear(int talk, int ms, char *text, size_t size)
{
	struct pollfd word = { .fd = talk, .events = POLLIN };
	ssize_t n;
	int r;

	do {
		r = poll(&word, 1, ms);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;
	n = recv(talk, text, size - 1, 0);
	/* One that ended without having read all that was said to it gives ECONNRESET. */
	n = n < 0 ? 0 : n;
	text[n] = '\0';
	return n;
}

int worker_start(int (*be)(void *context, int talk), void *context, struct worker *ret)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		exit(be(context, ends[1]));
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -EAGAIN;
	}
	*ret = (struct worker){ .pid = pid, .talk = ends[0] };
	return 0;
}

int worker_bury(struct worker *worker, bool do_kill)
{
	int status = 0;

	if (do_kill)
		kill(worker->pid, SIGKILL);
	while (waitpid(worker->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(worker->talk);
	*worker = (struct worker){ .talk = -1 };
	return status;
}
