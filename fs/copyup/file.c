/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "copyup/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "copyup/copyup.h"
#include "node/data_place.h"
#include "node/object.h"

/*
 * To read, by a descriptor that cannot write: a program that runs, or a file that is immutable or
 * on a disk that has become read-only, can be opened for no more. One that can is as good.
 */
static struct fd_ref *open_upper_file(struct fs *fs, struct node *node, bool for_writing,
				      int *error)
{
	struct fd_slot *slot = for_writing ? &node->data : &node->read_data;
	cleanup_fd_ref struct fd_ref *path = NULL;
	struct fd_ref *ref = fdcache_get(&fs->fds, &node->data);
	int fd;

	if (!ref && !for_writing)
		ref = fdcache_get(&fs->fds, slot);
	if (ref)
		return ref;
	path = object_open(fs, node, error);
	if (!path)
		return NULL;
	fd = object_open_file(fs, node, path->fd, (for_writing ? O_RDWR : O_RDONLY) | O_NONBLOCK);
	if (fd < 0) {
		*error = fd;
		return NULL;
	}
	if (fs->config->no_atime)
		fd_keep_atime(fd);
	ref = fdcache_put(&fs->fds, slot, fd);
	if (!ref)
		*error = -ENOMEM;
	return ref;
}

static struct fd_ref *open_lower_file(struct fs *fs, struct node *node, struct lower_obj *lower,
				      int *error)
{
	struct fd_ref *ref = fdcache_get(&fs->fds, &node->lower_data);
	int fd;

	if (ref)
		return ref;
	fd = lower_open(lower, O_RDONLY);
	if (fd < 0) {
		*error = fd;
		return NULL;
	}
	ref = fdcache_put(&fs->fds, &node->lower_data, fd);
	if (!ref)
		*error = -ENOMEM;
	return ref;
}

/* The lower file that has the data, if they are not in upper. */
static int data_below(struct fs *fs, struct node *node, struct lower_obj **ret)
{
	if (!node_has_upper(node)) {
		*ret = node_lower(node);
		if (*ret)
			return 0;
	}
	return data_place_of_node(fs, node, ret);
}

int file_is_below(struct fs *fs, struct node *node)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	int r = data_below(fs, node, &lower);

	return r < 0 ? r : lower != NULL;
}

struct fd_ref *file_get(struct fs *fs, struct node *node, bool for_writing, int *error)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;

	*error = S_ISREG(node->type) ? 0 : S_ISDIR(node->type) ? -EISDIR : -EINVAL;
	if (*error == 0 && for_writing)
		*error = copyup_data(fs, node, INT64_MAX);
	if (*error == 0 && !for_writing)
		*error = data_below(fs, node, &lower);
	if (*error < 0)
		return NULL;
	if (lower)
		return open_lower_file(fs, node, lower, error);
	return open_upper_file(fs, node, for_writing, error);
}
