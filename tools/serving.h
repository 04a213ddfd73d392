/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The processes that keep mounts of cairnfs alive, as other processes see them. */
#ifndef TOOLS_SERVING_H
#define TOOLS_SERVING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/mount_note.h"

struct serving {
	pid_t pid;
	int note_fd; /* the number, in that process, of what its note is in */
	dev_t dev; /* of its mount; 0: not known */
};

/*
 * All that this process may look into: *ret is allocated.  0 or negative errno; to
 * find none is no error.
 */
int serving_find_all(struct serving **ret, size_t *ret_n);

/*
 * Has the mount go on with the program that is installed now, and waits for the
 * outcome.  0; SERVING_REFUSED: it goes on as before, for the reason in `why`; or
 * negative errno: -ESRCH if the mount is gone, -EPERM, -ETIMEDOUT.
 */
enum { SERVING_REFUSED = 1 };
int serving_upgrade(const struct serving *process, unsigned int max_seconds,
		    char why[MOUNT_NOTE_TEXT]);

#endif
