/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Attributes and extended attributes of one object. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/xattr.h"
#include "copyup.h"
#include "core/nesting.h"
#include "metacopy.h"
#include "mtime.h"
#include "names.h"
#include "protect.h"
#include "upper.h"

static int merged_nlink(struct fs *fs, struct node *dir, struct stat *st)
{
	cleanup_listing struct listing *listing = NULL;
	int r = fs_list(fs, dir, true, &listing);

	if (r == 0)
		st->st_nlink = 2 + listing_subdirs(listing);
	return r;
}

/* Link count of a directory. */
static int dir_nlink(struct fs *fs, struct node *dir, bool has_upper, struct stat *st)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;

	if (node_is_removed(dir)) {
		st->st_nlink = 0;
		return 0;
	}
	if (fs->config->static_nlink) {
		st->st_nlink = 1;
		return 0;
	}
	lower = node_lower(dir);
	return lower && has_upper ? merged_nlink(fs, dir, st) : 0;
}

/* Link count of a file that is not in upper: lower names that show. */
static int lower_nlink(struct fs *fs, struct node *node, struct lower_obj *lower, struct stat *st)
{
	int links;

	pthread_mutex_lock(&node->lock);
	links = node->is_removed ? 0 : node->lower_links;
	pthread_mutex_unlock(&node->lock);
	if (links < 0 && st->st_nlink > 1) {
		links = names_visible(fs, lower, NULL, NULL);
		if (links < 0)
			return links;
		pthread_mutex_lock(&node->lock);
		node->lower_links = links;
		pthread_mutex_unlock(&node->lock);
	}
	if (links >= 0)
		st->st_nlink = (nlink_t)links;
	return 0;
}

static bool is_among_orphans(struct fs *fs, struct node *node)
{
	struct stat st;

	return fd_stat(fs->orphans, orphan_name(node->ino).s, &st) == 0;
}

/*
 * The name among the orphans does not count.  It can go at any time, by the last
 * node that it was kept for, so it is asked for before and after.
 */
static int stat_links(struct fs *fs, struct node *node, int fd, struct stat *st)
{
	bool before, after;
	int r;

	do {
		before = is_among_orphans(fs, node);
		r = owner_stat(fs, fd, NULL, st);
		after = is_among_orphans(fs, node);
	} while (r == 0 && before != after);
	st->st_nlink -= after && st->st_nlink > 0;
	return r;
}

static int stat_upper(struct fs *fs, struct node *node, struct stat *st)
{
	cleanup_lower_obj struct lower_obj *data = NULL;
	int r = 0;
	cleanup_fd_ref struct fd_ref *ref = upper_open(fs, node, &r);
	bool is_orphan;

	if (!ref)
		return r;
	r = owner_stat(fs, ref->fd, NULL, st);
	if (r < 0 || S_ISDIR(node->type))
		return r;
	pthread_mutex_lock(&node->lock);
	is_orphan = node->is_orphan;
	data = node->lower ? lower_ref(node->lower) : NULL;
	pthread_mutex_unlock(&node->lock);
	if (st->st_nlink > 1)
		r = stat_links(fs, node, ref->fd, st);
	else
		st->st_nlink -= is_orphan;
	return r == 0 && data ? metacopy_blocks(data, st) : r;
}

int fs_getattr(struct fs *fs, struct node *node, struct stat *ret)
{
	bool has_upper = node_has_upper(node);
	cleanup_lower_obj struct lower_obj *lower = has_upper ? NULL : node_lower(node);
	int r;

	if (lower)
		r = lower_stat(lower, ret);
	else
		r = stat_upper(fs, node, ret);
	if (r < 0)
		return r;
	if (S_ISDIR(node->type))
		r = dir_nlink(fs, node, has_upper, ret);
	else if (lower)
		r = lower_nlink(fs, node, lower, ret);
	ret->st_ino = node->ino;
	return r;
}

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

/* With node->names held, as for every change of a file's mode: 1 if bits were taken, 0, or -errno.
 */
static int take_suidgid(struct fs *fs, int fd, const struct killer *killer)
{
	struct stat st;
	mode_t mode;
	int r = owner_stat(fs, fd, NULL, &st);

	if (r < 0 || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode))
		return r;
	mode = st.st_mode & ~(mode_t)S_ISUID;
	if (mode & S_ISGID && (mode & S_IXGRP || !killer->is_member(killer, st.st_gid)))
		mode &= ~(mode_t)S_ISGID;
	if (mode == st.st_mode)
		return 0;
	r = owner_set_mode(fs, fd, mode);
	return r < 0 ? r : 1;
}

static int kill_suidgid(struct fs *fs, struct node *node, int fd, const struct killer *killer)
{
	int r;

	pthread_mutex_lock(&node->names);
	r = take_suidgid(fs, fd, killer);
	pthread_mutex_unlock(&node->names);
	if (r == 1 && killer->killed)
		killer->killed(killer, node);
	return r < 0 ? r : 0;
}

static int set_mode(struct fs *fs, struct node *node, int fd, mode_t mode)
{
	int r;

	pthread_mutex_lock(&node->names);
	r = owner_set_mode(fs, fd, mode);
	pthread_mutex_unlock(&node->names);
	return r;
}

static int set_size(struct fs *fs, struct node *node, off_t size)
{
	int r = 0;
	cleanup_fd_ref struct fd_ref *ref = fs_file(fs, node, true, &r);
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
	int r = killer ? kill_suidgid(fs, node, fd, killer) : 0;

	if (r == 0 && set & (FS_SET_UID | FS_SET_GID))
		r = owner_set(fs, fd, set & FS_SET_UID ? st->st_uid : (uid_t)-1,
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

int fs_setattr(struct fs *fs, struct node *node, const struct stat *st, unsigned int set,
	       const struct killer *killer, struct stat *ret)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r = check_protection(fs, node, set);

	/* What will be cut off need not be copied. */
	if (r == 0)
		r = set & FS_SET_SIZE ? copyup_data(fs, node, st->st_size) : fs_copyup(fs, node);
	if (r < 0)
		return r;
	ref = upper_open(fs, node, &r);
	if (!ref)
		return r;
	r = apply(fs, node, ref->fd, st, set, killer);
	return r < 0 ? r : fs_getattr(fs, node, ret);
}

/* An O_PATH descriptor of the object itself, wherever it is; or -errno. */
static int open_path(struct fs *fs, struct node *node)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r = 0;

	if (!node_has_upper(node)) {
		lower = node_lower(node);
		if (lower)
			return lower_open(lower, O_PATH);
	}
	ref = upper_open(fs, node, &r);
	return ref ? fcntl(ref->fd, F_DUPFD_CLOEXEC, 0) : r;
}

int fs_birth(struct fs *fs, struct node *node, struct timespec *ret)
{
	cleanup_fd int fd = open_path(fs, node);
	struct statx stx;

	if (fd < 0)
		return fd;
	if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BTIME, &stx) < 0)
		return -errno;
	if (stx.stx_mask & STATX_BTIME)
		*ret = (struct timespec){ stx.stx_btime.tv_sec, stx.stx_btime.tv_nsec };
	return 0;
}

int fs_readlink(struct fs *fs, struct node *node, char **ret)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r = 0;

	if (!S_ISLNK(node->type))
		return -EINVAL;
	if (!node_has_upper(node)) {
		lower = node_lower(node);
		if (lower)
			return lower_readlink(lower, ret);
	}
	ref = upper_open(fs, node, &r);
	return ref ? fd_readlink(ref->fd, NULL, ret) : r;
}

int fs_statfs(struct fs *fs, struct statvfs *ret)
{
	int fd = fs->config->upper >= 0 ? fs->config->upper : fs->config->branches[0];

	if (fstatvfs(fd, ret) < 0)
		return -errno;
	ret->f_namemax = NAME_MAX;
	return 0;
}

/* --- extended attributes --- */

/* What is not to be seen: marks, and overrides; by their names on disk. */
static bool is_private(const char *name)
{
	return whiteout_is_private_xattr(name) || override_is_name(name);
}

static bool is_acl(const char *name)
{
	return strncmp(name, "system.posix_acl_", 17) == 0;
}

static ssize_t get_xattr(struct fs *fs, struct node *node, const char *name, void *value,
			 size_t size)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r = 0;

	if (!node_has_upper(node)) {
		lower = node_lower(node);
		if (lower)
			return lower_xattr_get(lower, name, value, size);
	}
	ref = upper_open(fs, node, &r);
	return ref ? xattr_get(ref->fd, name, value, size) : r;
}

ssize_t fs_xattr_get(struct fs *fs, struct node *node, const char *shown, void *value, size_t size)
{
	char escaped[NESTING_NAME_SIZE];
	const char *name = nesting_escape(shown, escaped);
	ssize_t n;

	if (!name || is_private(name))
		return -ENODATA;
	if (fs->config->no_acl && is_acl(name))
		return -EOPNOTSUPP;
	n = get_xattr(fs, node, name, value, size);
	/* A branch whose filesystem has no ACLs: the kernel would take it for an answer to open(2).
	 */
	return n == -EOPNOTSUPP && is_acl(name) ? -ENODATA : n;
}

/* All names, in upper or lower; marks among them. */
static ssize_t list_xattrs(struct fs *fs, struct node *node, char **ret)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r = 0;

	if (!node_has_upper(node)) {
		lower = node_lower(node);
		if (lower)
			return lower_xattr_list(lower, ret);
	}
	ref = upper_open(fs, node, &r);
	return ref ? xattr_list(ref->fd, ret) : r;
}

ssize_t fs_xattr_list(struct fs *fs, struct node *node, char **ret)
{
	ssize_t n = list_xattrs(fs, node, ret);
	size_t left;

	if (n < 0)
		return n;
	left = xattr_list_filter(*ret, (size_t)n, is_private);
	if (fs->config->no_acl)
		left = xattr_list_filter(*ret, left, is_acl);
	return (ssize_t)nesting_unescape_list(*ret, left);
}

/* The object in upper, copied up if it has to be, for a change of its attributes. */
static struct fd_ref *open_to_change(struct fs *fs, struct node *node, const char *name, int *error)
{
	*error = is_private(name) ? -EPERM : 0;
	if (*error == 0 && fs->config->no_acl && is_acl(name))
		*error = -EOPNOTSUPP;
	if (*error == 0)
		*error = protect_check(fs, node, PROTECT_ANY);
	return *error < 0 ? NULL : upper_open_copied(fs, node, error);
}

int fs_xattr_set(struct fs *fs, struct node *node, const char *shown, const void *value,
		 size_t size, int flags)
{
	char escaped[NESTING_NAME_SIZE];
	const char *name = nesting_escape(shown, escaped);
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r = -ERANGE;

	if (name)
		ref = open_to_change(fs, node, name, &r);
	return ref ? xattr_set(ref->fd, name, value, size, flags) : r;
}

int fs_xattr_remove(struct fs *fs, struct node *node, const char *shown)
{
	char escaped[NESTING_NAME_SIZE];
	const char *name = nesting_escape(shown, escaped);
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r;

	if (!name || is_private(name))
		return name ? -EPERM : -ERANGE;
	/* What is not there need not be copied up to be missed; an ACL never is. */
	r = (int)fs_xattr_get(fs, node, shown, NULL, 0);
	if (r == -ENODATA)
		return is_acl(name) ? 0 : r;
	ref = open_to_change(fs, node, name, &r);
	return ref ? xattr_remove(ref->fd, name) : r;
}
