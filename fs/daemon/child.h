/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A worker as its supervisor has it: a child process that it talks to.
 *
 * The processes that call these have one thread.
 */
#ifndef DAEMON_CHILD_H
#define DAEMON_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct child {
	pid_t pid; /* 0: there is none */
	int talk; /* -1 then */
	bool is_ready;
	bool is_executed; /* from a program; the others are forked from us */
	unsigned long served_before; /* requests, by all workers before it */
};

/*
 * Forks a worker, which exits with what `be` returns; `talk` is its end of the
 * socket.  0 or negative errno: -EAGAIN and others where there is no room.
 */
int child_start(int (*be)(void *context, int talk), void *context, struct child *ret);

/* Waits for a worker that has ended or, with `do_kill`, is ended; its status, as of waitpid(2). */
int child_bury(struct child *child, bool do_kill);

#endif
