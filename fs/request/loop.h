/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef REQUEST_LOOP_H
#define REQUEST_LOOP_H

#include "request/supervised.h"

struct fuse_session;

/*
 * Answers requests of a session, by as many threads as there is work for, and
 * returns when all that were received have been answered.  The first request of
 * a mount, INIT, is kept in the shared memory; a worker that follows another
 * answers that one for itself, and has the kernel send again what was in
 * flight. `begun` (if not NULL) is called when nothing can fail any more, before the caller is
 * told that the mount answers.  An enum loop_end, or negative errno.
 */
enum loop_end {
	LOOP_OVER, /* the mount is gone */
	LOOP_ASKED, /* by the supervisor or, without one, by a signal */
	LOOP_HAND_OVER, /* another worker goes on */
};
int loop_run(struct fuse_session *session, const struct supervised *supervised, struct nodes *nodes,
	     void (*begun)(void));

#endif
