/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What there is to know of an object. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "node/data_place.h"
#include "node/dir.h"
#include "node/names.h"
#include "node/object.h"
#include "upper/orphan.h"
#include "upper/owner.h"
#include "verb/verbs.h"

static int merged_nlink(struct fs *fs, struct node *dir, struct stat *st)
{
	cleanup_listing struct listing *listing = NULL;
	unsigned int mark;
	int n = node_tally(dir, &mark);
	int r = n < 0 ? dir_list(fs, dir, true, &listing) : 0;

	if (r < 0)
		return r;
	if (n < 0) {
		n = (int)listing_subdirs(listing);
		node_tally_keep(dir, mark, n);
	}
	st->st_nlink = 2 + (nlink_t)n;
	return 0;
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
	int links = 0;

	if (!node_is_removed(node))
		links = st->st_nlink > 1 ? names_count(fs, lower) : (int)st->st_nlink;
	if (links < 0)
		return links;
	st->st_nlink = (nlink_t)links;
	return 0;
}

static bool is_among_orphans(struct fs *fs, struct node *node)
{
	struct stat st;

	return fd_stat(fs->upper.orphans, orphan_name(node->ino).s, &st) == 0;
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
		r = owner_stat(&fs->upper, fd, NULL, st);
		after = is_among_orphans(fs, node);
	} while (r == 0 && before != after);
	st->st_nlink -= after && st->st_nlink > 0;
	return r;
}

static int stat_upper(struct fs *fs, struct node *node, struct stat *st)
{
	cleanup_lower_obj struct lower_obj *data = NULL;
	int r = 0;
	cleanup_fd_ref struct fd_ref *ref = object_open(fs, node, &r);
	bool is_orphan;

	if (!ref)
		return r;
	r = owner_stat(&fs->upper, ref->fd, NULL, st);
	if (r < 0 || S_ISDIR(node->type))
		return r;
	lock_take(&node->lock);
	is_orphan = node->is_orphan;
	data = node->lower ? lower_ref(node->lower) : NULL;
	lock_release(&node->lock);
	if (st->st_nlink > 1)
		r = stat_links(fs, node, ref->fd, st);
	else
		st->st_nlink -= is_orphan;
	return r == 0 && data ? data_place_blocks(data, st) : r;
}

int fs_getattr(struct fs *fs, struct node *node, struct stat *ret)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	bool has_upper;
	int r;

	/* Before anything is looked at, where it is included. */
	if (S_ISDIR(node->type))
		answer_begin(&node_dir(node)->answered);
	has_upper = node_has_upper(node);
	if (!has_upper)
		lower = node_lower(node);
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
	ref = object_open(fs, node, &r);
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
	ref = object_open(fs, node, &r);
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
