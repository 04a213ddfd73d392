/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int child_start(int (*be)(void *context, int talk), void *context, struct child *ret)
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
	*ret = (struct child){ .pid = pid, .talk = ends[0] };
	return 0;
}

int child_bury(struct child *child, bool do_kill)
{
	int status = 0;

	if (do_kill)
		kill(child->pid, SIGKILL);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(child->talk);
	*child = (struct child){ .talk = -1 };
	return status;
}
