/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "copyup/metacopy.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/copy.h"
#include "base/fd.h"
#include "branch/redirect.h"
#include "branch/whiteout.h"
#include "copyup/mtime.h"
#include "node/data_place.h"
#include "node/object.h"
#include "upper/privileges.h"
#include "upper/settle.h"

int metacopy_pin(struct fs *fs, struct node *node)
{
	cleanup_lower_obj struct lower_obj *data = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_free char *redirect = NULL;
	cleanup_free char *path = NULL;
	int r;

	if (!S_ISREG(node->type) || !node_has_upper(node))
		return 0;
	r = data_place_of_node(fs, node, &data);
	if (r < 0 || !data)
		return r == -EIO ? 0 : r; /* what has no data now has none later */
	ref = object_open(fs, node, &r);
	if (!ref)
		return r;
	r = redirect_get(ref->fd, data_place_spaces(fs), &redirect);
	if (r != 0)
		return r < 0 ? r : 0;
	r = lower_path(data, &path);
	if (r == 0)
		r = redirect_set(&fs->upper.caps.style, ref->fd, path);
	/* It can go without, once it has its data. */
	return r < 0 ? metacopy_complete(fs, node, INT64_MAX) : 0;
}

int metacopy_mark(struct fs *fs, struct lower_obj *lower, int fd, off_t size)
{
	cleanup_free char *path = NULL;
	cleanup_fd int file = -1;
	int r = lower_path(lower, &path);

	if (r == 0)
		r = redirect_set(&fs->upper.caps.style, fd, path);
	if (r == 0)
		r = metacopy_set(&fs->upper.caps.style, fd);
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
	int copied, r;

	ref = object_open(fs, node, &r);
	if (!ref)
		return r;
	src = lower_open(data, O_RDONLY);
	dst = object_open_file(fs, node, ref->fd, O_RDWR);
	r = src < 0 ? src : dst < 0 ? dst : privileges_get(dst, &privileges);
	if (r == 0)
		r = fd_stat(dst, NULL, &st);
	if (r == 0)
		r = mtime_hold(fs, node, dst, &mtime);
	if (r < 0)
		return r;
	copied = copy_data(src, dst, limit < st.st_size ? limit : st.st_size);
	r = copied < 0 ? copied : privileges_restore(dst, &privileges);
	if (r == 0)
		r = mtime_release(&mtime);
	if (r == 0)
		r = settle(fs->upper.settling, dst, copied);
	/* From here on the data are the file's own. */
	return r < 0 ? r : metacopy_remove(dst);
}

int metacopy_complete(struct fs *fs, struct node *node, off_t limit)
{
	cleanup_lower_obj struct lower_obj *data = NULL;
	cleanup_lower_obj struct lower_obj *dropped = NULL;
	int r;

	if (data_place_is_known(node, &data) && !data)
		return 0;
	lower_unref(take_ptr(data));
	lock_take(&node->copyup);
	r = data_place_of_node(fs, node, &data);
	if (r == 0 && data)
		r = complete(fs, node, data, limit);
	if (r == 0 && data) {
		lock_take(&node->lock);
		dropped = take_ptr(node->lower);
		lock_release(&node->lock);
		fdcache_drop(&fs->fds, &node->lower_data);
	}
	lock_release(&node->copyup);
	return r;
}
