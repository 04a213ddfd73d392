/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A walk through a deep tree comes back to directories whose descriptors are not kept any more.
 * To go there from the root each time would take the square of the depth.  So who has a long way
 * to go leaves descriptors on it, at distances that grow by powers: the next one, which most
 * likely wants the directory above, finds one near.
 */
#include "lower/trail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

enum { STRIDE = 64 };

struct trail *trail_new(struct trail *above, const char *name)
{
	size_t size = strlen(name) + 1;
	struct trail *trail = calloc(1, sizeof(*trail) + size);

	if (!trail)
		return NULL;
	trail->refs = 1;
	if (above) {
		trail->above = trail_ref(above);
		trail->length = above->length + (above->length > 0) + size - 1;
	}
	memcpy(trail->name, name, size);
	return trail;
}

struct trail *trail_of_path(const char *path)
{
	struct trail *trail = trail_new(NULL, "");

	for (path += strspn(path, "/"); trail && *path; path += strspn(path, "/")) {
		size_t length = strcspn(path, "/");
		cleanup_free char *name = strndup(path, length);
		struct trail *next = name ? trail_new(trail, name) : NULL;

		trail_unref(trail, NULL); /* `next` has it, and nothing is open yet */
		trail = next;
		path += length;
	}
	return trail;
}

struct trail *trail_ref(struct trail *trail)
{
	atomic_fetch_add_explicit(&trail->refs, 1, memory_order_relaxed);
	return trail;
}

void trail_unref(struct trail *trail, struct fdcache *fds)
{
	while (trail && atomic_fetch_sub_explicit(&trail->refs, 1, memory_order_acq_rel) == 1) {
		struct trail *above = trail->above;

		if (fds)
			fdcache_drop(fds, &trail->fd);
		free(trail);
		trail = above;
	}
}

/* Writes the last `n` names of a path so that they end before `end`. */
static void write_names(const struct trail *trail, size_t n, char *end)
{
	for (; n > 0; n--, trail = trail->above) {
		size_t length = strlen(trail->name);

		end -= length;
		memcpy(end, trail->name, length);
		if (n > 1)
			*--end = '/';
	}
}

static size_t depth_of(const struct trail *trail)
{
	size_t depth = 0;

	for (; trail->above; trail = trail->above)
		depth++;
	return depth;
}

char *trail_path(const struct trail *trail, const char *name)
{
	size_t length = trail->length;
	char *path;

	if (length == 0)
		return strdup(name ? name : ".");
	path = malloc(length + (name ? strlen(name) + 2 : 1));
	if (!path)
		return NULL;
	write_names(trail, depth_of(trail), path + length);
	if (name) {
		path[length++] = '/';
		strcpy(path + length, name);
	} else {
		path[length] = '\0';
	}
	return path;
}

static struct trail *up(struct trail *trail, size_t n)
{
	while (n--)
		trail = trail->above;
	return trail;
}

/* Opens the directory from one that is `n` names above it. */
static struct fd_ref *open_below(struct trail *trail, size_t n, int from, struct fdcache *fds,
				 int *error)
{
	size_t length = trail->length;
	cleanup_free char *path = NULL;
	struct fd_ref *ref;
	int fd;

	if (n > 0 && up(trail, n)->length > 0)
		length -= up(trail, n)->length + 1;
	path = n > 0 ? malloc(length + 1) : strdup(".");
	if (!path) {
		*error = -ENOMEM;
		return NULL;
	}
	if (n > 0) {
		write_names(trail, n, path + length);
		path[length] = '\0';
	}
	fd = fd_open_beneath(from, path, O_PATH | O_DIRECTORY);
	if (fd < 0) {
		*error = fd;
		return NULL;
	}
	ref = fdcache_put(fds, &trail->fd, fd);
	if (!ref)
		*error = -ENOMEM;
	return ref;
}

/* The nearest that is open, itself or above, and how far that is; NULL: none, up to the root. */
static struct fd_ref *find_open(struct trail *trail, struct fdcache *fds, size_t *distance)
{
	struct fd_ref *ref;

	for (*distance = 0; !(ref = fdcache_get(fds, &trail->fd)) && trail->above; ++*distance)
		trail = trail->above;
	return ref;
}

/* How far from its end to stop first on a way of `distance`; 0: to go all of it. */
static size_t stop_before(size_t distance)
{
	size_t stop = STRIDE;

	if (distance <= STRIDE)
		return 0;
	while (distance / STRIDE > stop)
		stop *= STRIDE;
	return stop;
}

struct fd_ref *trail_open(struct trail *trail, int root, struct fdcache *fds, int *error)
{
	size_t distance;
	struct fd_ref *ref = find_open(trail, fds, &distance);

	while (!ref || distance > 0) {
		size_t stop = stop_before(distance);
		struct fd_ref *next = open_below(up(trail, stop), distance - stop,
						 ref ? ref->fd : root, fds, error);

		fd_ref_put(ref);
		if (!next)
			return NULL;
		ref = next;
		distance = stop;
	}
	return ref;
}
