/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The memory that all workers of a mount and their supervisor share: a memfd.
 *
 * Each field has one writer at a time, or is atomic.
 */
#ifndef REQUEST_SHARED_H
#define REQUEST_SHARED_H

#include <stdatomic.h>
#include <stdint.h>

#include "host/mount_note.h"
#include "request/attempt.h"
#include "survive/kept.h"

enum {
	INIT_MAX = 4096,
	/*
	 * Of what workers share, for mount_note.version: to be raised whenever the meaning
	 * of struct shared, of the ledger, or of what is in the work directory changes, or
	 * how descriptors are handed on (daemon/successor.h).
	 */
	SHARED_VERSION = 5,
};

struct shared {
	struct mount_note note;
	atomic_ulong n_served; /* requests; what tells bad luck from a worker that cannot work */
	struct kept kept;
	uint32_t init_size; /* 0: no INIT request has come yet */
	uint8_t init[INIT_MAX];
	struct attempts attempts;
};

/*
 * Makes it, zeroed but for the note: *fd is the caller's to close, *ret to unmap.
 * 0 or negative errno.
 */
int shared_make(int *fd, struct shared **ret);

/*
 * Maps what another program made.  -EPROTO, with *error an allocated sentence, if it is
 * not of our version; or another negative errno.
 */
int shared_map(int fd, struct shared **ret, char **error);

/* Accepts NULL. */
void shared_unmap(struct shared *shared);

/* The mount is gone: the note is of none. For the one supervisor. */
void shared_note_over(struct shared *shared);

/* An upgrade has ended: `why` it was refused, or empty. For the one supervisor. */
void shared_note_upgrade(struct shared *shared, const char *why);

#endif
