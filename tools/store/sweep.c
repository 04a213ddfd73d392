/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "store/collect.h"

/* Removes one directory of tmp/ if it is dead: 1 if it was. */
static int sweep_one(struct store *store, const char *name)
{
	cleanup_fd int fd = fd_open(store->tmp, name, O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (fd == -ENOENT)
		return 0;
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 0 : -errno;
	/* Its name goes last, so that another command finds it until all is done. */
	r = fd_remove_tree(store->tmp, name);
	/* Something is mounted in it: no reason to refuse all commands. It is for the next one. */
	return r < 0 && r != -EBUSY ? r : 1;
}

/* Whether a dead staging directory is there, without removing it. */
static int is_dead(struct store *store, const char *name)
{
	cleanup_fd int fd = fd_open(store->tmp, name, O_RDONLY | O_DIRECTORY, 0);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static int each_name(struct store *store, int (*act)(struct store *store, const char *name))
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int total = 0, r = fd_opendir(store->tmp, &dir);

	if (r < 0)
		return r;
	while ((errno = 0, entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		r = act(store, entry->d_name);
		if (r < 0)
			return r;
		total += r;
	}
	return errno ? -errno : total;
}

int store_sweep(struct store *store, struct error *error)
{
	struct workspace workspace = { .fd = -1 };
	int r = each_name(store, is_dead);

	if (r <= 0)
		return r < 0 ? error_errno(error, r, "store %s: tmp", store->path) : 0;
	/* The dead staging directory stays until its orphans are found: it is what tells of them.
	 */
	r = workspace_begin(store, error, &workspace);
	if (r < 0)
		return r;
	r = store_collect(store, &workspace, error);
	if (r == 0) {
		r = each_name(store, sweep_one);
		if (r < 0)
			error_errno(error, r, "store %s: tmp", store->path);
	}
	workspace_end(&workspace);
	return r < 0 ? r : 0;
}
