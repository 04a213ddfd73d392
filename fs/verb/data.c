/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The content of files. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "copyup/copyup.h"
#include "copyup/file.h"
#include "copyup/mtime.h"
#include "copyup/protect.h"
#include "node/object.h"
#include "upper/privileges.h"
#include "verb/killer.h"

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

	*ret = (struct change){ 0 };
	if (r == 0)
		ret->ref = file_get(fs, node, true, &r);
	if (ret->ref && offset != ANYWHERE)
		r = protect_check_write(fs, node, ret->ref->fd, offset);
	if (r == 0 && killer)
		r = killer_strike(fs, node, killer);
	return r < 0 ? r : mtime_leave_to_kernel(fs, node, ret->ref->fd, &ret->mtime);
}

/* What may be copied for nothing, if the file is to lose its content next: we are not told. */
enum { COPIED_AT_ONCE = 1 << 20 };

/* Whether a file that is opened to be written is to be copied up when that happens. */
static int is_for_later(struct fs *fs, struct node *node, int flags)
{
	struct stat st;
	int r = (flags & O_ACCMODE) == O_WRONLY ? file_is_below(fs, node) : 0;

	if (r == 1)
		r = fs_getattr(fs, node, &st);
	else if (r == 0)
		return 0;
	return r < 0 ? r : st.st_size > COPIED_AT_ONCE;
}

/* Opened to be written: 1: it is to be copied up later; 0: it is in upper; or negative errno. */
static int open_to_write(struct fs *fs, struct node *node, int flags, bool *by_us)
{
	int r = protect_get(fs, node);

	if (r < 0)
		return r;
	*by_us = r & PROTECT_APPEND_ONLY;
	if (r & PROTECT_IMMUTABLE || (*by_us && !(flags & O_APPEND)))
		return -EPERM;
	r = is_for_later(fs, node, flags);
	return r == 0 ? copyup_data(fs, node, INT64_MAX) : r;
}

/* The kernel opens the file as `fd` is and with the flags, where an error would become EIO. */
static int try_direct(int fd)
{
	cleanup_fd int direct = open(fd_path(fd).s, O_RDONLY | O_DIRECT | O_CLOEXEC);

	return direct < 0 ? -errno : 0;
}

int fs_content_open(struct fs *fs, struct node *node, int flags, struct fd_ref **ret, bool *by_us)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	int r, at;

	*by_us = false;
	r = writes ? open_to_write(fs, node, flags, by_us) : 0;
	if (r != 0)
		return r < 0 ? r : FS_CONTENT_LATER;
	/* Before it is opened: what is copied up in between is taken for the lower file. */
	at = file_is_below(fs, node);
	if (at < 0)
		return at;
	*ret = file_get(fs, node, writes, &r);
	if (*ret && flags & O_DIRECT)
		r = try_direct((*ret)->fd);
	if (r < 0)
		return r;
	return at == 0 ? FS_CONTENT_UPPER : FS_CONTENT_BELOW;
}

ssize_t fs_write(struct fs *fs, struct node *node, const void *data, size_t size, off_t offset,
		 const struct killer *killer)
{
	cleanup_change struct change change;
	int r = change_begin(fs, node, offset, killer, &change);

	return r < 0 ? r : fd_pwrite_all(change.ref->fd, data, size, offset);
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
		src = file_get(fs, in, false, &r);
	if (!src)
		return r;
	n = copy_file_range(src->fd, &in_offset, change.ref->fd, &out_offset, size, 0);
	return n < 0 ? -errno : n;
}

/* The part from `start` up to `end`, if there is any. */
static struct hole hole_between(off_t start, off_t end)
{
	return (struct hole){ start, end > start ? end - start : 0 };
}

off_t fs_seek(struct fs *fs, struct node *node, off_t offset, int whence, struct hole *hole)
{
	int r;
	cleanup_fd_ref struct fd_ref *ref = file_get(fs, node, false, &r);
	struct stat st;
	off_t at, data, end;

	*hole = (struct hole){ 0 };
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
		*hole = hole_between(offset, at < 0 ? end : at);
	} else if (whence == SEEK_HOLE) {
		data = at < 0 ? -1 : lseek(ref->fd, at, SEEK_DATA);
		*hole = hole_between(at < 0 ? offset : at, data < 0 ? end : data);
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
	path = object_open(fs, node, &r);
	if (!path)
		return r;
	fd = S_ISREG(node->type) ? object_open_file(fs, node, path->fd, O_RDONLY)
				 : fd_reopen(path->fd, O_RDONLY);
	if (fd < 0)
		return fd;
	return (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;
}
