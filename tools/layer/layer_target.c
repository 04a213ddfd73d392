/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The targets of hard links.  A layer should hold every name of a file that it
 * holds one of, and nearly all do.  When the target is only in a lower layer,
 * the link is made as overlayfs makes it: the file is copied up under its own
 * name, with the directories on the way, and then linked.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/copy.h"
#include "base/fd.h"
#include "branch/whiteout.h"
#include "layer/below.h"
#include "layer/layer_tree.h"
#include "value/entry_name.h"

static bool is_not_a_mark(const char *name)
{
	return !whiteout_is_private_xattr(name);
}

static int find_shown(struct layer_tree *tree, const char *path, int *ret)
{
	cleanup_free int *layers = NULL;
	int r = layer_tree_all(tree, &layers);

	return r < 0 ? r : below_find(layers, tree->n_below + 1, path, ret);
}

/* Makes the directory `name`, `from` of a lower layer, in `dirfd` without what is in it. */
static int copy_directory(struct layer_tree *tree, const char *path, int from, int dirfd,
			  const char *name)
{
	cleanup_fd int to = -1;
	struct meta meta = { 0 };
	struct stat st;
	int r = fd_stat(from, NULL, &st);

	if (r == 0 && !S_ISDIR(st.st_mode))
		r = -ENOTDIR;
	if (r == 0 && mkdirat(dirfd, name, 0700) < 0)
		r = -errno;
	if (r < 0)
		return r;
	to = fd_open(dirfd, name, O_RDONLY | O_DIRECTORY, 0);
	if (to < 0)
		return to;
	r = copy_xattrs(from, to, is_not_a_mark);
	if (r == 0)
		r = copy_stat(to, &st);
	meta.times[0] = st.st_atim;
	meta.times[1] = st.st_mtim;
	return r < 0 ? r : layer_tree_later(tree, path, to, &meta);
}

/* The directory at the end of `path`, whose parent is `dirfd`; copied if it is not there. */
static int copy_step(struct layer_tree *tree, struct below *below, const char *path, int dirfd)
{
	const char *name = entry_name_last(path);
	cleanup_fd int from = -1;
	int r = below_step(below, name, &from);
	int fd;

	if (r != BELOW_FOUND)
		return r < 0 ? r : -ENOENT;
	fd = fd_open(dirfd, name, O_PATH | O_DIRECTORY, 0);
	if (fd != -ENOENT)
		return fd;
	r = copy_directory(tree, path, from, dirfd, name);
	return r < 0 ? r : fd_open(dirfd, name, O_PATH | O_DIRECTORY, 0);
}

/* Makes the parents of `path` as they are below, and opens the last one. */
static int copy_parents(struct layer_tree *tree, const char *path, int *ret)
{
	cleanup_fd int at = fd_open(tree->root, ".", O_PATH | O_DIRECTORY, 0);
	cleanup_free int *layers = NULL;
	cleanup_below struct below below = { 0 };
	int r = layer_tree_all(tree, &layers);

	if (r < 0)
		return r;
	r = below_begin(&below, layers, tree->n_below + 1);
	for (size_t end = strcspn(path, "/"); r == 0 && path[end];
	     end += 1 + strcspn(path + end + 1, "/")) {
		cleanup_free char *dir = strndup(path, end);
		int next = dir ? copy_step(tree, &below, dir, at) : -ENOMEM;

		if (next < 0)
			return next;
		close(at);
		at = next;
	}
	if (r < 0)
		return r;
	*ret = take_fd(&at);
	return 0;
}

static int copy_regular(int from, const struct stat *st, int dirfd, const char *name)
{
	cleanup_fd int in = fd_reopen(from, O_RDONLY);
	cleanup_fd int out = -1;
	int r;

	if (in < 0)
		return in;
	out = fd_open(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (out < 0)
		return out;
	r = copy_data(in, out, st->st_size);
	if (r >= 0)
		r = fd_chown(out, st->st_uid, st->st_gid); /* before a capability set */
	if (r == 0)
		r = copy_xattrs(in, out, is_not_a_mark);
	return r < 0 ? r : copy_stat(out, st);
}

static int copy_special(int from, const struct stat *st, int dirfd, const char *name)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	cleanup_free char *target = NULL;
	cleanup_fd int to = -1;
	int r = S_ISLNK(st->st_mode) ? fd_readlink(from, NULL, &target) : 0;

	if (r < 0)
		return r;
	r = target ? symlinkat(target, dirfd, name)
		   : mknodat(dirfd, name, st->st_mode, st->st_rdev);
	if (r < 0)
		return -errno;
	to = fd_open(dirfd, name, O_PATH, 0);
	if (to < 0)
		return to;
	r = fd_chown(to, st->st_uid, st->st_gid);
	if (r == 0)
		r = copy_xattrs(from, to, is_not_a_mark);
	if (r == 0 && !target)
		r = fd_chmod(to, st->st_mode & 07777);
	return r < 0 ? r : fd_utimens(to, times);
}

static int borrow(struct layer_tree *tree, const char *path, int from)
{
	const char *name = entry_name_last(path);
	cleanup_fd int dirfd = -1;
	struct stat st;
	int r = fd_stat(from, NULL, &st);

	if (r == 0 && S_ISDIR(st.st_mode))
		return -EISDIR;
	if (r == 0)
		r = copy_parents(tree, path, &dirfd);
	if (r < 0)
		return r;
	tree->borrowed = true;
	if (S_ISREG(st.st_mode))
		return copy_regular(from, &st, dirfd, name);
	return copy_special(from, &st, dirfd, name);
}

/* What is a mark is no object; but of AUFS's records a layer may have brought some. */
static bool is_mark(const struct layer_tree *tree, const char *path)
{
	static const char plinks[] = LAYER_PLINKS "/";

	if (tree->has_plinks && strncmp(path, plinks, strlen(plinks)) == 0)
		return false;
	return layer_path_is_below_mark(path) || whiteout_is_mark_name(entry_name_last(path));
}

/* Opens what this layer has at `*path`, which is replaced where it leads through links. */
static int open_own(struct layer_tree *tree, char **path)
{
	int fd = fd_open_beneath(tree->root, *path, O_PATH | O_NOFOLLOW);
	char *found;
	int r;

	if (fd != -ELOOP && fd != -ENOTDIR)
		return fd;
	r = layer_tree_follow(tree, *path, &found);
	if (r < 0)
		return r;
	free(*path);
	*path = found;
	return fd_open_beneath(tree->root, *path, O_PATH | O_NOFOLLOW);
}

int layer_tree_target(struct layer_tree *tree, const char *given, int *ret)
{
	cleanup_free char *path = strdup(given);
	cleanup_fd int fd = path ? open_own(tree, &path) : -ENOMEM;
	cleanup_fd int from = -1;
	struct stat st;
	int r;

	if (fd == -ENOMEM || fd == -ELOOP)
		return fd;
	if (is_mark(tree, path))
		return -ENOENT;
	if (fd >= 0) {
		r = fd_stat(fd, NULL, &st);
		if (r < 0 || whiteout_is(fd, &st))
			return r < 0 ? r : -ENOENT;
		*ret = take_fd(&fd);
		return S_ISDIR(st.st_mode) ? -EISDIR : 0;
	}
	/* What is noted of each directory that is borrowed has its whole path. */
	if (strlen(path) >= PATH_MAX)
		return -ENAMETOOLONG;
	r = find_shown(tree, path, &from);
	if (r != BELOW_FOUND)
		return r < 0 ? r : -ENOENT;
	r = borrow(tree, path, from);
	if (r < 0 && r != -EEXIST)
		return r;
	r = find_shown(tree, path, &fd);
	if (r != BELOW_FOUND)
		return r < 0 ? r : -ENOENT;
	*ret = take_fd(&fd);
	return 0;
}
