/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A worker as its supervisor has it, a child process; and the socket by which
 * the two talk.  The worker alone has the other end open, so that the end of the
 * talk is the end of the worker.
 */
#ifndef FS_WORKER_H
#define FS_WORKER_H

#include <stdbool.h>
#include <sys/types.h>

/* What is said, a byte each time; a program that cannot take over says why in words. */
enum talk {
	/* by a worker */
	TALK_ABLE = 'a', /* an executed one: it can take over, and waits for the word */
	TALK_READY = 'r', /* it answers requests */
	/* to a worker */
	TALK_GO = 'g', /* take over */
	TALK_HAND_OVER = 'h', /* answer what you have, leave the rest to the next, and end */
	TALK_END = 'e', /* let go of everything, and end */
};

/* Says one thing; who has ended does not hear it. */
void talk_say(int talk, enum talk what);

/*
 * Waits for what the other says, `ms` milliseconds at most (-1: for ever).  The
 * number of bytes in `text`, which is terminated; 0: the other has ended;
 * -ETIMEDOUT.
 */
ssize_t talk_hear(int talk, int ms, char *text, size_t size);

/* What a worker exits with. */
enum worker_exit {
	WORKER_DONE = 0, /* the mount is gone */
	WORKER_FAILED = 1, /* it cannot serve */
	WORKER_SHORT = 2, /* something that it needs to begin is used up, and may come back */
	WORKER_HANDED_OVER = 3,
};

struct worker {
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
int worker_start(int (*be)(void *context, int talk), void *context, struct worker *ret);

/* Waits for a worker that has ended or, with `do_kill`, is ended; its status, as of waitpid(2). */
int worker_bury(struct worker *worker, bool do_kill);

#endif
