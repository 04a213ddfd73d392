/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A path in a branch, as its last name and the path above it.  Paths share what they have in
 * common, so a tree of any depth takes the room of its names, and a directory is opened from the
 * nearest one above it that is open, not from the root.
 *
 * Trails are counted, constant, and may be used by any thread.  Private to fs/lower/.
 */
#ifndef LOWER_TRAIL_H
#define LOWER_TRAIL_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/fdcache.h"

struct trail {
	struct trail *above; /* a reference; NULL: this is the root */
	size_t length; /* of the whole path; 0: the root */
	struct fd_slot fd; /* of the directory, where there is one */
	atomic_uint refs;
	char name[];
};

/* The path of `name` below `above` (NULL: the root, which has no name); NULL: out of memory. */
struct trail *trail_new(struct trail *above, const char *name);

/* The trail of a path of any number of components, none of them dots; NULL: out of memory. */
struct trail *trail_of_path(const char *path);

/* A reference more, which is returned. */
struct trail *trail_ref(struct trail *trail);
/* Accepts NULL.  `fds` is where its descriptor is kept. */
void trail_unref(struct trail *trail, struct fdcache *fds);

/* The whole path, allocated, "." for the root; with `name`, if not NULL, below it.  NULL: no
 * memory. */
char *trail_path(const struct trail *trail, const char *name);

/*
 * An O_PATH descriptor of the directory at the end, in the tree whose root is open as `root`; the
 * caller's reference.  NULL with *error set on failure.
 */
struct fd_ref *trail_open(struct trail *trail, int root, struct fdcache *fds, int *error);

#endif
