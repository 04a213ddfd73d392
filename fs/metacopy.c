/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files in upper that have attributes of their own and no data yet: with
 * metacopy=on a change of attributes copies no more than those.  The mark and
 * what it means are overlayfs' (Documentation/filesystems/overlayfs.rst,
 * "Metadata only copy up"): an xattr says that the data are still in lower,
 * where a redirect says, or under the same name.  Whoever wrote such a file,
 * it is read right; the first write brings the data.
 *
 * A regular file's node that is in upper and has a lower part is such a file,
 * and the lower part is its data.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/copy.h"
#include "base/fd.h"
#include "core/redirect.h"
#include "metacopy.h"
#include "mtime.h"
#include "quiet.h"
#include "upper.h"

/* The lower file at a path from the root, with its slash first. */
static int walk_to_file(struct fs *fs, char *path, struct lower_obj **ret)
{
	cleanup_lower_obj struct lower_obj *dir = NULL;
	const char *name = redirect_split(path);
	int r = lower_walk(fs->lower, path, &dir);

	return r == LOWER_FOUND ? lower_lookup(dir, name, ret, NULL) : r;
}

/* In upper, besides what lower takes, what we write ourselves. */
static unsigned int marks_of(struct fs *fs)
{
	const char *prefix = fs->caps.style.xattr_prefix;
	bool is_user = fs->config->user_xattrs || (prefix && *prefix == 'u');

	return MARKS_TRUSTED | (is_user ? MARKS_USER : 0);
}

bool metacopy_is_marked(struct fs *fs, int fd)
{
	return metacopy_get(fd, marks_of(fs));
}

int metacopy_source(struct fs *fs, int fd, struct lower_obj *dir, const char *name,
		    struct lower_obj **ret)
{
	cleanup_lower_obj struct lower_obj *found = NULL;
	cleanup_free char *redirect = NULL;
	int r;

	*ret = NULL;
	if (!metacopy_is_marked(fs, fd))
		return 0;
	r = redirect_get(fd, marks_of(fs), &redirect);
	if (r < 0)
		return r;
	if (redirect && redirect_is_path(redirect))
		r = walk_to_file(fs, redirect, &found);
	else
		r = dir && name ? lower_lookup(dir, redirect ? redirect : name, &found, NULL)
				: LOWER_ABSENT;
	if (r < 0)
		return r;
	if (r != LOWER_FOUND || !S_ISREG(found->type))
		return -EIO; /* the data are nowhere: better none than others */
	*ret = take_ptr(found);
	return 0;
}

int metacopy_blocks(struct lower_obj *data, struct stat *st)
{
	struct stat below;
	int r = lower_stat(data, &below);

	if (r == 0)
		st->st_blocks = below.st_blocks;
	return r;
}

/* What is known of where the data are: true, with *ret a reference or NULL. */
static bool is_known(struct node *node, struct lower_obj **ret)
{
	bool known;

	pthread_mutex_lock(&node->lock);
	known = node->has_data_place;
	*ret = known && node->lower ? lower_ref(node->lower) : NULL;
	pthread_mutex_unlock(&node->lock);
	return known;
}

static void set_known(struct node *node, struct lower_obj *data)
{
	struct lower_obj *dropped = NULL;

	pthread_mutex_lock(&node->lock);
	if (!node->has_data_place) {
		node->has_data_place = true;
		dropped = node->lower;
		node->lower = data ? lower_ref(data) : NULL;
	}
	pthread_mutex_unlock(&node->lock);
	lower_unref(dropped);
}

int metacopy_below(struct fs *fs, struct node *node, struct lower_obj **ret)
{
	cleanup_lower_obj struct lower_obj *dir = NULL;
	cleanup_node struct node *parent = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_free char *name = NULL;
	int r;

	if (is_known(node, ret))
		return 0;
	ref = upper_open(fs, node, &r);
	if (!ref)
		return r;
	r = node_alias(node, 0, &parent, &name);
	if (r < 0)
		return r;
	dir = parent ? node_lower(parent) : NULL;
	r = metacopy_source(fs, ref->fd, dir, name, ret);
	if (r == 0)
		set_known(node, *ret);
	return r;
}

int metacopy_pin(struct fs *fs, struct node *node)
{
	cleanup_lower_obj struct lower_obj *data = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_free char *redirect = NULL;
	cleanup_free char *path = NULL;
	int r;

	if (!S_ISREG(node->type) || !node_has_upper(node))
		return 0;
	r = metacopy_below(fs, node, &data);
	if (r < 0 || !data)
		return r == -EIO ? 0 : r; /* what has no data now has none later */
	ref = upper_open(fs, node, &r);
	if (!ref)
		return r;
	r = redirect_get(ref->fd, marks_of(fs), &redirect);
	if (r != 0)
		return r < 0 ? r : 0;
	r = lower_path(data, &path);
	if (r == 0)
		r = redirect_set(&fs->caps.style, ref->fd, path);
	/* It can go without, once it has its data. */
	return r < 0 ? metacopy_complete(fs, node, INT64_MAX) : 0;
}

int metacopy_mark(struct fs *fs, struct lower_obj *lower, int fd, off_t size)
{
	cleanup_free char *path = NULL;
	cleanup_fd int file = -1;
	int r = lower_path(lower, &path);

	if (r == 0)
		r = redirect_set(&fs->caps.style, fd, path);
	if (r == 0)
		r = metacopy_set(&fs->caps.style, fd);
	if (r < 0)
		return r;
	file = fd_reopen(fd, O_WRONLY);
	return file < 0 ? file : ftruncate(file, size) < 0 ? -errno : 0;
}

/* With node->copyup held: copies the data into the file and takes the mark away. */
static int complete(struct fs *fs, struct node *node, struct lower_obj *data, off_t limit)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_fd int src = -1;
	cleanup_fd int dst = -1;
	cleanup_mtime struct mtime mtime = { 0 };
	struct privileges privileges;
	struct stat st;
	int r;

	ref = upper_open(fs, node, &r);
	if (!ref)
		return r;
	src = lower_open(data, O_RDONLY);
	dst = quiet_open(fs, node, ref->fd, O_RDWR);
	r = src < 0 ? src : dst < 0 ? dst : privileges_get(dst, &privileges);
	if (r == 0)
		r = fd_stat(dst, NULL, &st);
	if (r == 0)
		r = mtime_hold(fs, node, dst, &mtime);
	if (r < 0)
		return r;
	r = copy_data(src, dst, limit < st.st_size ? limit : st.st_size);
	if (r == 0 && limit < st.st_size && ftruncate(dst, limit) < 0)
		r = -errno;
	if (r == 0)
		r = privileges_restore(dst, &privileges);
	if (r == 0)
		r = mtime_release(&mtime);
	if (r == 0 && fs->config->do_fsync && fsync(dst) < 0)
		r = -errno;
	/* From here on the data are the file's own. */
	return r < 0 ? r : metacopy_remove(dst);
}

int metacopy_complete(struct fs *fs, struct node *node, off_t limit)
{
	cleanup_lower_obj struct lower_obj *data = NULL;
	cleanup_lower_obj struct lower_obj *dropped = NULL;
	int r;

	if (is_known(node, &data) && !data)
		return 0;
	lower_unref(take_ptr(data));
	pthread_mutex_lock(&node->copyup);
	r = metacopy_below(fs, node, &data);
	if (r == 0 && data)
		r = complete(fs, node, data, limit);
	if (r == 0 && data) {
		pthread_mutex_lock(&node->lock);
		dropped = take_ptr(node->lower);
		pthread_mutex_unlock(&node->lock);
		fdcache_drop(&fs->fds, &node->lower_data);
	}
	pthread_mutex_unlock(&node->copyup);
	return r;
}
