/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The content of files. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/xattr.h"
#include "copyup.h"
#include "metacopy.h"
#include "mtime.h"
#include "protect.h"
#include "quiet.h"
#include "upper.h"

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
	path = upper_open(fs, node, error);
	if (!path)
		return NULL;
	fd = quiet_open(fs, node, path->fd, (for_writing ? O_RDWR : O_RDONLY) | O_NONBLOCK);
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
	return metacopy_below(fs, node, ret);
}

struct fd_ref *fs_file(struct fs *fs, struct node *node, bool for_writing, int *error)
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

/* Where what is written must begin if the file may only be appended to: this says anywhere. */
enum { ANYWHERE = -1 };

/* A file whose content is being changed. */
struct change {
	struct fd_ref *ref;
	struct mtime mtime;
};

static void change_end(struct change *change)
{
	mtime_release(&change->mtime);
	if (change->ref)
		fd_ref_put(change->ref);
}
#define cleanup_change CLEANUP(change_end)

/*
 * The file to change from `offset` on, with setuid and setgid gone if the caller's change takes
 * them. 0 or negative errno; ended by change_end, whatever the result.
 */
static int change_begin(struct fs *fs, struct node *node, off_t offset, const struct killer *killer,
			struct change *ret)
{
	int r = offset == ANYWHERE ? 0 : protect_check(fs, node, PROTECT_IMMUTABLE);
	struct stat st;

	*ret = (struct change){ 0 };
	if (r == 0)
		ret->ref = fs_file(fs, node, true, &r);
	if (ret->ref && offset != ANYWHERE)
		r = protect_check_write(fs, node, ret->ref->fd, offset);
	if (r == 0 && killer)
		r = fs_setattr(fs, node, &st, 0, killer, &st);
	return r < 0 ? r : mtime_leave_to_kernel(fs, node, ret->ref->fd, &ret->mtime);
}

ssize_t fs_write(struct fs *fs, struct node *node, const void *data, size_t size, off_t offset,
		 const struct killer *killer)
{
	cleanup_change struct change change;
	int r = change_begin(fs, node, offset, killer, &change);

	return r < 0 ? r : fd_pwrite_all(change.ref->fd, data, size, offset);
}

int privileges_get(int fd, struct privileges *ret)
{
	struct stat st;
	int r = fd_stat(fd, NULL, &st);

	ret->mode = st.st_mode;
	ret->size = xattr_get(fd, "security.capability", ret->capability, sizeof(ret->capability));
	return r;
}

int privileges_restore(int fd, const struct privileges *privileges)
{
	int r = 0;

	if (privileges->size > 0)
		r = xattr_set(fd, "security.capability", privileges->capability,
			      (size_t)privileges->size, 0);
	if (r == 0 && privileges->mode & (S_ISUID | S_ISGID))
		r = fd_chmod(fd, privileges->mode & 07777);
	return r;
}

ssize_t fs_write_back(struct fs *fs, struct node *node, const void *data, size_t size, off_t offset)
{
	struct privileges privileges;
	cleanup_change struct change change;
	/* It was stored while that was allowed, or by a mapping, of which nobody told us. */
	int r = change_begin(fs, node, ANYWHERE, NULL, &change);
	ssize_t n;

	if (r == 0)
		r = privileges_get(change.ref->fd, &privileges);
	if (r < 0)
		return r;
	n = fd_pwrite_all(change.ref->fd, data, size, offset);
	privileges_restore(change.ref->fd, &privileges);
	return n;
}

int fs_fallocate(struct fs *fs, struct node *node, int mode, off_t offset, off_t length,
		 const struct killer *killer)
{
	/* What only reserves blocks changes nothing of what is there (vfs_fallocate()). */
	off_t changed = mode & ~FALLOC_FL_KEEP_SIZE ? 0 : INT64_MAX;
	cleanup_change struct change change;
	int r = change_begin(fs, node, changed, killer, &change);

	if (r < 0)
		return r;
	return fallocate(change.ref->fd, mode, offset, length) < 0 ? -errno : 0;
}

ssize_t fs_copy_range(struct fs *fs, struct node *in, off_t in_offset, struct node *out,
		      off_t out_offset, size_t size, const struct killer *killer)
{
	cleanup_fd_ref struct fd_ref *src = NULL;
	cleanup_change struct change change;
	/* The target first: if both are the same file, the source is then its copy. */
	int r = change_begin(fs, out, out_offset, killer, &change);
	ssize_t n;

	if (r == 0)
		src = fs_file(fs, in, false, &r);
	if (!src)
		return r;
	n = copy_file_range(src->fd, &in_offset, change.ref->fd, &out_offset, size, 0);
	return n < 0 ? -errno : n;
}

/* The part from `start` up to `end`, if there is any. */
static struct extent extent_between(off_t start, off_t end)
{
	return (struct extent){ start, end > start ? end - start : 0 };
}

off_t fs_seek(struct fs *fs, struct node *node, off_t offset, int whence, struct extent *hole)
{
	int r;
	cleanup_fd_ref struct fd_ref *ref = fs_file(fs, node, false, &r);
	struct stat st;
	off_t at, data, end;

	*hole = (struct extent){ 0 };
	if (!ref)
		return r;
	/* The position of a shared descriptor is nobody's: only the answer counts. */
	at = lseek(ref->fd, offset, whence);
	at = at < 0 ? -errno : at;
	if (fd_stat(ref->fd, NULL, &st) < 0 || offset < 0 || (at < 0 && at != -ENXIO))
		return at;
	/* What the kernel collects may also make the file longer. */
	end = fs->config->writeback ? INT64_MAX : st.st_size;
	if (whence == SEEK_DATA) {
		*hole = extent_between(offset, at < 0 ? end : at);
	} else if (whence == SEEK_HOLE) {
		data = at < 0 ? -1 : lseek(ref->fd, at, SEEK_DATA);
		*hole = extent_between(at < 0 ? offset : at, data < 0 ? end : data);
	}
	return at;
}

int fs_sync_all(struct fs *fs)
{
	if (fs->config->is_volatile || fs->config->upper < 0)
		return 0;
	return syncfs(fs->config->upper) < 0 ? -errno : 0;
}

int fs_sync(struct fs *fs, struct node *node, bool data_only)
{
	cleanup_fd_ref struct fd_ref *path = NULL;
	cleanup_fd int fd = -1;
	int r = 0;

	if (node == fs->root)
		return fs_sync_all(fs);
	if (fs->config->is_volatile || !node_has_upper(node))
		return 0;
	path = upper_open(fs, node, &r);
	if (!path)
		return r;
	fd = S_ISREG(node->type) ? quiet_open(fs, node, path->fd, O_RDONLY)
				 : fd_reopen(path->fd, O_RDONLY);
	if (fd < 0)
		return fd;
	return (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;
}
