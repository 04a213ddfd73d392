/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One worker takes over from another that serves: an executed one, of another program. */
#ifndef DAEMON_TAKEOVER_H
#define DAEMON_TAKEOVER_H

#include <stddef.h>

#include "daemon/child.h"

enum takeover {
	TAKEOVER_REFUSED, /* the next one has ended, the other serves on */
	TAKEOVER_DONE, /* *worker is the next one */
	TAKEOVER_FAILED, /* both have ended, *worker is none */
};

/*
 * Waits for the word of `next` that it can, has `worker` answer what it has and
 * end, and `next` go on.  Each of these has its limit, of some seconds.
 *
 * *program_fd is then the program of the one that serves (O_PATH), whatever its
 * name stands for by now; or -1.  `why`, of `size` bytes, says what was wrong.
 */
enum takeover takeover(struct child *worker, struct child *next, int *program_fd, char *why,
		       size_t size);

#endif
