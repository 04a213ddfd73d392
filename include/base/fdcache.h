/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Open descriptors kept for reuse, least recently used first to go.
 *
 * An owner (a directory, a file) embeds an fd_slot, which is its address and hardly more: there are
 * many that never have a descriptor.  Whoever uses the descriptor holds a reference, so that
 * eviction never closes it under them.
 * Thread safe: one lock guards all slots and the list; it is never held over
 * a system call.
 */
#ifndef BASE_FDCACHE_H
#define BASE_FDCACHE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/table.h"

/* Zeroed memory is an empty one. It stays where it is until it was dropped. */
struct fd_slot {
	bool is_filled; /* guarded by the cache's lock */
};

struct fd_ref {
	atomic_uint refs;
	int fd;
	/* While it is in a slot, guarded by the cache's lock: */
	struct fd_slot *slot;
	struct table_link link;
	struct fd_ref *newer, *older;
};

struct fdcache {
	pthread_mutex_t lock; /* guards what follows */
	struct table filled; /* descriptors by their slot's address */
	struct fd_ref *newest, *oldest;
	size_t limit;
};

/* Keeps `limit` descriptors open at most, not counting those in use. */
void fdcache_init(struct fdcache *cache, size_t limit);
/* Every slot must have been dropped. */
void fdcache_done(struct fdcache *cache);

/* The slot's descriptor with a reference for the caller, or NULL. */
struct fd_ref *fdcache_get(struct fdcache *cache, struct fd_slot *slot);

/*
 * Puts `fd` into the slot and returns a reference to it.  Takes ownership of
 * `fd`, also on failure, which is NULL (out of memory).  If the slot is
 * occupied already, `fd` is closed and the occupant returned.
 */
struct fd_ref *fdcache_put(struct fdcache *cache, struct fd_slot *slot, int fd);

/* Empties the slot; the descriptor is closed when its last user lets go. */
void fdcache_drop(struct fdcache *cache, struct fd_slot *slot);

/* A reference to a descriptor that is in no slot; takes ownership of `fd`. */
struct fd_ref *fd_ref_new(int fd);
struct fd_ref *fd_ref_get(struct fd_ref *ref);

/* Gives a reference back; accepts NULL. */
void fd_ref_put(struct fd_ref *ref);

DEFINE_CLEANUP(struct fd_ref *, fd_ref_at, fd_ref_put)
#define cleanup_fd_ref CLEANUP(cleanup_fd_ref_at)

#endif
