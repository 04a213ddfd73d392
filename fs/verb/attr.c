/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes of attributes. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "copyup/copyup.h"
#include "copyup/file.h"
#include "copyup/mtime.h"
#include "copyup/protect.h"
#include "node/object.h"
#include "upper/owner.h"
#include "verb/killer.h"

static struct timespec time_to_set(unsigned int set, unsigned int flag, unsigned int now_flag,
				   struct timespec time)
{
	if (set & now_flag)
		time.tv_nsec = UTIME_NOW;
	else if (!(set & flag))
		time.tv_nsec = UTIME_OMIT;
	return time;
}

static int set_times(struct node *node, int fd, const struct stat *st, unsigned int set)
{
	const struct timespec times[2] = {
		time_to_set(set, FS_SET_ATIME, FS_SET_ATIME_NOW, st->st_atim),
		time_to_set(set, FS_SET_MTIME, FS_SET_MTIME_NOW, st->st_mtim),
	};

	return mtime_set(node, fd, times);
}

static int set_mode(struct fs *fs, struct node *node, int fd, mode_t mode)
{
	int r;

	lock_take(&node->names);
	r = owner_set_mode(&fs->upper, fd, mode);
	lock_release(&node->names);
	return r;
}

static int set_size(struct fs *fs, struct node *node, off_t size)
{
	int r = 0;
	cleanup_fd_ref struct fd_ref *ref = file_get(fs, node, true, &r);
	cleanup_mtime struct mtime mtime = { 0 };

	if (ref)
		r = mtime_leave_to_kernel(fs, node, ref->fd, &mtime);
	if (!ref || r < 0)
		return r;
	return ftruncate(ref->fd, size) < 0 ? -errno : 0;
}

static int apply(struct fs *fs, struct node *node, int fd, const struct stat *st, unsigned int set,
		 const struct killer *killer)
{
	/* Before a change of owner: it is the old group that counts. */
	int r = killer ? killer_strike_fd(fs, node, fd, killer) : 0;

	if (r == 0 && set & (FS_SET_UID | FS_SET_GID))
		r = owner_set(&fs->upper, fd, set & FS_SET_UID ? st->st_uid : (uid_t)-1,
			      set & FS_SET_GID ? st->st_gid : (gid_t)-1);
	if (r == 0 && set & FS_SET_SIZE)
		r = set_size(fs, node, st->st_size);
	/* After a change of owner, which takes setuid and setgid away. */
	if (r == 0 && set & FS_SET_MODE)
		r = set_mode(fs, node, fd, st->st_mode);
	if (r == 0 && set & (FS_SET_ATIME | FS_SET_MTIME | FS_SET_ATIME_NOW | FS_SET_MTIME_NOW))
		r = set_times(node, fd, st, set);
	return r;
}

/*
 * As Linux' notify_change() and truncate(2) have it: what may only be appended to may still be
 * told that it was used now. With writeback the times of a write come as any other.
 */
static int check_protection(struct fs *fs, struct node *node, unsigned int set)
{
	unsigned int harmless = FS_SET_ATIME_NOW | FS_SET_MTIME_NOW;

	if (set & FS_SET_ATIME_NOW || fs->config->writeback)
		harmless |= FS_SET_ATIME;
	if (set & FS_SET_MTIME_NOW || fs->config->writeback)
		harmless |= FS_SET_MTIME;
	if (!set)
		return 0;
	return protect_check(fs, node, set & ~harmless ? PROTECT_ANY : PROTECT_IMMUTABLE);
}

/*
 * With writeback the kernel notes with each unlink that the file was changed, and tells its time at
 * once. It shows that itself for as long as it knows the file (copyup/mtime.h), and nobody finds
 * one of lower again that has no name any more: to copy it up for that would be for nobody.
 */
static bool is_for_nobody(struct fs *fs, struct node *node, unsigned int set)
{
	return fs->config->writeback && set == FS_SET_MTIME && S_ISREG(node->type) &&
	       node_is_removed(node) && !node_has_upper(node);
}

int fs_setattr(struct fs *fs, struct node *node, const struct stat *st, unsigned int set,
	       const struct killer *killer, struct stat *ret)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r = check_protection(fs, node, set);

	if (r == 0 && !killer && is_for_nobody(fs, node, set))
		return fs_getattr(fs, node, ret);
	/* What will be cut off need not be copied. */
	if (r == 0)
		r = set & FS_SET_SIZE ? copyup_data(fs, node, st->st_size) : copyup_node(fs, node);
	if (r < 0)
		return r;
	ref = object_open(fs, node, &r);
	if (!ref)
		return r;
	r = apply(fs, node, ref->fd, st, set, killer);
	return r < 0 ? r : fs_getattr(fs, node, ret);
}
