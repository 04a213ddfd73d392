/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A staging directory is locked (flock) by the command that made it, and the
 * kernel drops the lock when the process dies however it dies.  So a staging
 * directory that can be locked is a dead one.  Between making one and locking
 * it another command may take it for dead: then it is gone, and is made anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/random.h"
#include "image/store.h"
#include "store_sweep.h"

static int try_begin(struct store *store, struct staging *ret)
{
	struct staging staging = { .store = store };
	cleanup_fd int fd = -1;
	struct stat st;

	snprintf(staging.name, sizeof(staging.name), "%016llx", (unsigned long long)random_u64());
	if (mkdirat(store->tmp, staging.name, 0700) < 0)
		return -errno;
	fd = fd_open(store->tmp, staging.name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -ENOENT : -errno;
	if (fd_stat(store->tmp, staging.name, &st) < 0)
		return -ENOENT;
	staging.fd = take_fd(&fd);
	*ret = staging;
	return 0;
}

int staging_begin(struct store *store, struct error *error, struct staging *ret)
{
	int r;

	do {
		r = try_begin(store, ret);
	} while (r == -ENOENT || r == -EEXIST);
	return r < 0 ? error_errno(error, r, "store %s: tmp", store->path) : 0;
}

void staging_end(struct staging *staging)
{
	if (staging->fd < 0)
		return;
	fd_remove_tree(staging->store->tmp, staging->name);
	close(staging->fd);
	staging->fd = -1;
}

int staging_publish(struct staging *staging, const char *name, int dirfd, const char *to)
{
	char away[300];
	int r = fd_rename(staging->fd, name, dirfd, to, 0);

	if (r != -EEXIST && r != -ENOTEMPTY && r != -ENOTDIR && r != -EISDIR)
		return r;
	snprintf(away, sizeof(away), "old-%s", to);
	r = fd_rename(dirfd, to, staging->fd, away, 0);
	return r < 0 ? r : fd_rename(staging->fd, name, dirfd, to, 0);
}

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
	struct staging staging = { .fd = -1 };
	int r = each_name(store, is_dead);

	if (r <= 0)
		return r < 0 ? error_errno(error, r, "store %s: tmp", store->path) : 0;
	/* The dead staging directory stays until its orphans are found: it is what tells of them.
	 */
	r = staging_begin(store, error, &staging);
	if (r < 0)
		return r;
	r = store_collect(store, &staging, error);
	if (r == 0) {
		r = each_name(store, sweep_one);
		if (r < 0)
			error_errno(error, r, "store %s: tmp", store->path);
	}
	staging_end(&staging);
	return r < 0 ? r : 0;
}
