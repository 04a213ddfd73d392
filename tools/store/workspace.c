/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A staging directory is locked (flock) by the command that made it, and the
 * kernel drops the lock when the process dies however it dies.  So a staging
 * directory that can be locked is a dead one.  Between making one and locking
 * it another command may take it for dead: then it is gone, and is made anew.
 */
#include "store/workspace.h"

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

static int try_begin(struct store *store, struct workspace *ret)
{
	struct workspace workspace = { .store = store };
	cleanup_fd int fd = -1;
	struct stat st;

	snprintf(workspace.name, sizeof(workspace.name), "%016llx",
		 (unsigned long long)random_u64());
	if (mkdirat(store->tmp, workspace.name, 0700) < 0)
		return -errno;
	fd = fd_open(store->tmp, workspace.name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -ENOENT : -errno;
	if (fd_stat(store->tmp, workspace.name, &st) < 0)
		return -ENOENT;
	workspace.fd = take_fd(&fd);
	*ret = workspace;
	return 0;
}

int workspace_begin(struct store *store, struct error *error, struct workspace *ret)
{
	int r;

	do {
		r = try_begin(store, ret);
	} while (r == -ENOENT || r == -EEXIST);
	return r < 0 ? error_errno(error, r, "store %s: tmp", store->path) : 0;
}

void workspace_end(struct workspace *workspace)
{
	if (workspace->fd < 0)
		return;
	fd_remove_tree(workspace->store->tmp, workspace->name);
	close(workspace->fd);
	workspace->fd = -1;
}

int workspace_publish(struct workspace *workspace, const char *name, int dirfd, const char *to)
{
	char away[300];
	int r = fd_rename(workspace->fd, name, dirfd, to, 0);

	if (r != -EEXIST && r != -ENOTEMPTY && r != -ENOTDIR && r != -EISDIR)
		return r;
	snprintf(away, sizeof(away), "old-%s", to);
	r = fd_rename(dirfd, to, workspace->fd, away, 0);
	return r < 0 ? r : fd_rename(workspace->fd, name, dirfd, to, 0);
}
