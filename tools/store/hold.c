/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "host/claim.h"
#include "host/mounted.h"

void container_hold_done(struct container_hold *hold)
{
	int *fds[] = { &hold->dir, &hold->upper, &hold->claim };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (*fds[i] >= 0)
			close(take_fd(fds[i]));
	}
}

int container_hold(struct store *store, const char *id, struct error *error,
		   struct container_hold *ret)
{
	cleanup_fd int fd = fd_open(store->containers, id, O_RDONLY | O_DIRECTORY, 0);

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return error_errno(error, fd, "container %s", id);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(error, -EBUSY, "container %s: another command is at work on it",
				 id);
	ret->dir = take_fd(&fd);
	return 0;
}

void container_await(const struct container_hold *hold)
{
	cleanup_fd int work = fd_open(hold->dir, "work", O_RDONLY | O_DIRECTORY, 0);

	if (work >= 0)
		claim_await(work);
}

static int claim_parts(struct container_hold *hold)
{
	cleanup_fd int work = fd_open(hold->dir, "work", O_RDONLY | O_DIRECTORY, 0);
	cleanup_fd int upper = fd_open(hold->dir, "upper", O_RDONLY | O_DIRECTORY, 0);
	int r = work < 0 ? work : claim_work(work);

	if (r >= 0)
		hold->claim = r;
	if (r >= 0 || r == -ENOENT)
		r = upper < 0 ? upper : claim_upper(upper, hold->claim);
	if (r == 0)
		hold->upper = take_fd(&upper);
	return r == -ENOENT ? 0 : r;
}

int container_hold_layer(const struct container *container, struct container_hold *hold,
			 struct error *error)
{
	int r;

	if (hold->dir < 0 || container->read_only)
		return 0;
	r = claim_parts(hold);
	if (r == -EBUSY)
		return error_set(error, r, "container %s is mounted, perhaps in another namespace",
				 container->name);
	return r < 0 ? error_errno(error, r, "container %s", container->name) : 0;
}

/*
 * Where its upper is mounted now, allocated; NULL: nowhere that we see, on top. *is_noted: that is
 * known, which a full disk can have prevented.
 */
static char *find_layer(const struct container_hold *hold, bool *is_noted)
{
	cleanup_fd int work = fd_open(hold->dir, "work", O_RDONLY | O_DIRECTORY, 0);
	cleanup_free char *place = NULL;
	uint64_t id = work < 0 ? 0 : claim_mount(work, &place);

	*is_noted = id != 0;
	return id && mounted_id(place, NULL) == id ? take_ptr(place) : NULL;
}

static bool is_image(const struct container *container, const char *source)
{
	return strncmp(source, "cairn:", 6) == 0 && strcmp(source + 6, container->image_name) == 0;
}

int container_look(const struct container *container, const struct container_hold *hold,
		   struct error *error, char **place)
{
	bool is_noted = false;
	cleanup_free char *source = NULL;
	int r;

	*place = container->read_only || hold->dir < 0 ? NULL : find_layer(hold, &is_noted);
	if (*place)
		return CONTAINER_MOUNTED;
	r = container->mount_point ? mounted_at(container->mount_point, &source) : MOUNTED_NOTHING;
	if (r < 0)
		return error_errno(error, r, "%s", container->mount_point);
	if (r == MOUNTED_NOTHING)
		return CONTAINER_UNMOUNTED;
	/* One without a layer of its own, or without a note, is like any other of its image. */
	if (r == MOUNTED_OTHER || is_noted || !is_image(container, source))
		return error_set(error, -EBUSY, "%s: something else is mounted there",
				 container->mount_point);
	*place = strdup(container->mount_point);
	return *place ? CONTAINER_MOUNTED : error_errno(error, -ENOMEM, "%s", container->name);
}
