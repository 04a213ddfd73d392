/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "copyup/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/copy.h"
#include "base/fd.h"
#include "base/xattr.h"
#include "branch/idxattr.h"
#include "copyup/metacopy.h"
#include "copyup/protect.h"
#include "upper/owner.h"
#include "upper/settle.h"

/* Makes the object of the lower type, empty, under the staged name. */
static int make_like(struct lower_obj *lower, const struct stat *st, struct staged *staged)
{
	cleanup_free char *target = NULL;
	mode_t mode = owner_is_written(staged->upper, st->st_mode) ? owner_real_mode(st->st_mode)
								   : st->st_mode;
	int r;

	switch (mode & S_IFMT) {
	case S_IFDIR:
		r = mkdirat(staged->dirfd, staged->name, 0700);
		break;
	case S_IFLNK:
		r = lower_readlink(lower, &target);
		if (r < 0)
			return r;
		r = symlinkat(target, staged->dirfd, staged->name);
		break;
	default:
		r = mknodat(staged->dirfd, staged->name, (mode & S_IFMT) | 0600, st->st_rdev);
	}
	return r < 0 ? -errno : 0;
}

static int copy_content(struct fs *fs, struct lower_obj *lower, struct staged *staged, off_t size)
{
	cleanup_fd int src = lower_open(lower, O_RDONLY);
	cleanup_fd int dst = fd_open(staged->dirfd, staged->name, O_RDWR, 0);
	int r = src < 0 ? src : dst < 0 ? dst : copy_data(src, dst, size);

	return r < 0 ? r : settle(fs->upper.settling, dst, r);
}

/*
 * The flags that chattr(1) sets and that say how a file is to be treated, not
 * how it is stored.  Immutable and append-only become a mark (protect.h).
 */
static void copy_flags(struct lower_obj *lower, struct staged *staged, mode_t mode)
{
	enum { KEPT = FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL | FS_NODUMP_FL };
	cleanup_fd int src = -1;
	cleanup_fd int dst = -1;
	int flags, had;

	if (!S_ISREG(mode) && !S_ISDIR(mode))
		return;
	src = lower_open(lower, O_RDONLY);
	if (src < 0 || ioctl(src, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & KEPT))
		return;
	dst = fd_open(staged->dirfd, staged->name, O_RDONLY, 0);
	if (dst < 0 || ioctl(dst, FS_IOC_GETFLAGS, &had) < 0)
		return;
	had |= flags & KEPT;
	ioctl(dst, FS_IOC_SETFLAGS, &had);
}

static int copy_attributes(struct fs *fs, struct lower_obj *lower, int fd, const struct stat *st)
{
	cleanup_free char *names = NULL;
	int r = owner_copy(&fs->upper, fd, st);
	ssize_t n;

	if (r < 0)
		return r;
	n = lower_xattr_list(lower, &names);
	if (n < 0)
		return (int)n;
	for (const char *name = names; name < names + n; name += strlen(name) + 1) {
		ssize_t size = lower_xattr_get(lower, name, NULL, 0);
		cleanup_free char *value = malloc(size > 0 ? (size_t)size : 1);

		if (size < 0 || !value)
			return size < 0 ? (int)size : -ENOMEM;
		if (size > 0)
			size = lower_xattr_get(lower, name, value, (size_t)size);
		if (size < 0)
			return (int)size;
		if (!idxattr_is_whole(name, value, (size_t)size))
			return -EOVERFLOW;
		r = xattr_set(fd, name, value, (size_t)size, 0);
		if (r < 0 && !xattr_may_be_refused(name, r))
			return r;
	}
	return 0;
}

static int stage_content(struct fs *fs, struct lower_obj *lower, off_t limit, struct staged *staged,
			 int fd, const struct stat *st, bool *has_data)
{
	*has_data = true;
	if (!S_ISREG(st->st_mode) || st->st_size == 0 || limit == 0)
		return 0;
	if (limit == STAGE_NO_CONTENT && fs->config->metacopy) {
		*has_data = false;
		if (metacopy_mark(fs, lower, fd, st->st_size) == 0)
			return 0;
		/* Such a mark cannot be made here: a whole copy will do. */
		*has_data = true;
		metacopy_remove(fd);
	}
	return copy_content(fs, lower, staged,
			    limit != STAGE_NO_CONTENT && limit < st->st_size ? limit : st->st_size);
}

int stage_copy(struct fs *fs, struct node *node, struct lower_obj *lower, off_t limit,
	       struct staged *staged, struct copy *ret)
{
	struct stat *st = &ret->st;
	cleanup_fd int fd = -1;
	struct stat made;
	int r;

	/* As kernel overlayfs has it: the copy would be somebody else's. */
	if (st->st_uid == IDMAP_NONE || st->st_gid == IDMAP_NONE)
		return -EOVERFLOW;
	r = make_like(lower, st, staged);
	if (r < 0)
		return r;
	fd = fd_open(staged->dirfd, staged->name, O_PATH, 0);
	r = fd < 0 ? fd : fd_stat(fd, NULL, &made);
	if (r < 0)
		return r;
	/* Directories have the number of their lower part; rootless, only files take marks. */
	if (!S_ISDIR(st->st_mode))
		numbers_mark_copy(&fs->numbers, fd, made.st_ino, node->ino);
	r = stage_content(fs, lower, limit, staged, fd, st, &ret->has_data);
	if (r == 0)
		r = copy_attributes(fs, lower, fd, st);
	if (r == 0)
		copy_flags(lower, staged, st->st_mode);
	if (r == 0)
		r = protect_copy(fs, node, fd);
	ret->real = made.st_ino;
	return r;
}
