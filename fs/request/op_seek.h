/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef REQUEST_OP_SEEK_H
#define REQUEST_OP_SEEK_H

#include <pthread.h>
#include <stdbool.h>

#include "request/flusher.h"

struct seek;

/* Answers the seeks that have to wait; of one session. */
struct seeker {
	struct flusher flusher;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	struct seek *seeks; /* not begun yet */
	bool has_thread, is_ending;
	pthread_t thread;
};

/* For the session of `fuse_fd`, an open /dev/fuse that must outlive it; it starts its thread when
 * needed. */
void seeker_init(struct seeker *seeker, int fuse_fd);

/* When no requests are answered any more, and while the session is still there. */
void seeker_done(struct seeker *seeker);

#endif
