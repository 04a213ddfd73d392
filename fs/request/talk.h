/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The socket by which a worker and its supervisor talk, and what a worker exits with. The worker
 * alone has its end open, so that the end of the talk is the end of the worker.
 *
 * All functions may be called from any thread.
 */
#ifndef REQUEST_TALK_H
#define REQUEST_TALK_H

#include <sys/types.h>

/* What is said, a byte each time; a program that cannot take over says why in words. */
enum talk {
	/* by a worker */
	TALK_ABLE = 'a', /* an executed one: it can take over, and waits for the word */
	TALK_READY = 'r', /* it answers requests */
	TALK_OVER = 'o', /* the mount is gone: it answers what it has, and ends */
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

#endif
