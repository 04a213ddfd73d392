/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finding objects in upper.
 *
 * A node's object is reached from the directory of one of its names, and a
 * directory's descriptor from its own directory's, up to the root: single
 * components all the way, so a rename of something above never matters.  The
 * inode number found is compared with the one remembered; if another object
 * stands there, the name has moved meanwhile and the next one is tried.
 */
#include "upper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/xattr.h"
#include "core/redirect.h"
#include "pile.h"

enum { MAX_MOVES = 200 };

struct orphan_name orphan_name(uint64_t ino)
{
	struct orphan_name name;

	snprintf(name.s, sizeof(name.s), "%" PRIx64, ino);
	return name;
}

bool orphan_is_kept(struct fs *fs, uint64_t ino, ino_t real)
{
	struct stat st;

	return fd_stat(fs->orphans, orphan_name(ino).s, &st) == 0 && st.st_ino == real;
}

/* A node that was made since the last one went has the orphan from now on. */
static void inherit_orphan(struct node *heir)
{
	pthread_mutex_lock(&heir->lock);
	heir->is_orphan = true;
	pthread_mutex_unlock(&heir->lock);
}

void orphan_remove(struct fs *fs, uint64_t ino)
{
	struct orphan_name name = orphan_name(ino);
	cleanup_node struct node *heir = NULL; /* let go of when the lock is: it may be the next */
	cleanup_staged struct staged staged;
	struct stat st;
	int r;

	staged_init(fs, &staged);
	pthread_mutex_lock(&fs->orphans_lock);
	r = fd_stat(fs->orphans, name.s, &st);
	if (r == 0)
		heir = nodes_get(&fs->nodes, ino);
	if (heir) {
		inherit_orphan(heir);
	} else if (r < 0) {
		/* It is not there. */
	} else if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
		fd_remove_tree(fs->orphans, name.s);
	} else {
		state_drop(fs->state, st.st_ino);
		ino32_drop(fs->ino32, ino);
		/* Freeing it can take long: it goes with what is staged. */
		r = fd_rename(fs->orphans, name.s, staged.dirfd, staged.name, 0);
		if (r == -EPERM && fd_take_flags(fs->orphans, name.s) == 0)
			fd_rename(fs->orphans, name.s, staged.dirfd, staged.name, 0);
	}
	pthread_mutex_unlock(&fs->orphans_lock);
}

void node_named_again(struct node *node)
{
	pthread_mutex_lock(&node->lock);
	node->is_removed = false;
	pthread_mutex_unlock(&node->lock);
}

static int open_in(int dirfd, const char *name, ino_t real)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_PATH, 0);
	struct stat st;
	int r = fd < 0 ? fd : fd_stat(fd, NULL, &st);

	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? -ESTALE : r;
	return st.st_ino == real ? take_fd(&fd) : -ESTALE;
}

static bool is_open(struct fs *fs, struct node *dir)
{
	struct fd_ref *ref = fdcache_get(&fs->fds, &dir->path);

	fd_ref_put(ref);
	return ref;
}

/* A directory is opened from the one above it: first those above that are not open. */
static struct fd_ref *open_dir(struct fs *fs, struct node *dir, int *error)
{
	cleanup_pile struct pile way = { 0 };
	struct fd_ref *ref = fdcache_get(&fs->fds, &dir->path);

	if (ref)
		return ref;
	*error = pile_climb(&way, fs, dir, is_open);
	while (*error == 0 && way.n > 1) {
		cleanup_node struct node *above = pile_take(&way);

		fd_ref_put(upper_open(fs, above, error));
	}
	return *error < 0 ? NULL : upper_open(fs, dir, error);
}

/* Opens the object by the i-th of its names; -ENOENT when it has not so many. */
static int open_by_alias(struct fs *fs, struct node *node, ino_t real, unsigned int i)
{
	cleanup_node struct node *parent = NULL;
	cleanup_free char *name = NULL;
	cleanup_fd_ref struct fd_ref *dir = NULL;
	int r = node_alias(node, i, &parent, &name);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	dir = open_dir(fs, parent, &r);
	return dir ? open_in(dir->fd, name, real) : r;
}

static int open_object(struct fs *fs, struct node *node)
{
	bool is_orphan;
	ino_t real;
	int r = -ESTALE;

	if (node == fs->root)
		return fd_open(fs->config->upper, ".", O_PATH | O_DIRECTORY, 0);
	pthread_mutex_lock(&node->lock);
	is_orphan = node->is_orphan;
	real = node->real;
	pthread_mutex_unlock(&node->lock);
	if (is_orphan)
		return open_in(fs->orphans, orphan_name(node->ino).s, real);
	for (unsigned int i = 0; r == -ESTALE; i++)
		r = open_by_alias(fs, node, real, i);
	return r == -ENOENT ? -ESTALE : r;
}

struct fd_ref *upper_open(struct fs *fs, struct node *node, int *error)
{
	struct fd_ref *ref = fdcache_get(&fs->fds, &node->path);
	int fd;

	if (ref)
		return ref;
	if (!node_has_upper(node)) {
		*error = -ESTALE;
		return NULL;
	}
	fd = open_object(fs, node);
	/* A name can move between being read and being used; it does not move for ever. */
	for (int i = 0; fd == -ESTALE && i < MAX_MOVES; i++) {
		usleep(100);
		fd = open_object(fs, node);
	}
	if (fd < 0) {
		*error = fd;
		return NULL;
	}
	ref = fdcache_put(&fs->fds, &node->path, fd);
	if (!ref)
		*error = -ENOMEM;
	return ref;
}

struct fd_ref *upper_open_copied(struct fs *fs, struct node *node, int *error)
{
	int r = fs_copyup(fs, node);

	if (r < 0) {
		*error = r;
		return NULL;
	}
	return upper_open(fs, node, error);
}

int upper_probe(int dirfd, const char *name, struct stat *st)
{
	int r = fd_stat(dirfd, name, st);

	if (r == -ENOENT) {
		r = whiteout_has_file(dirfd, name);
		return r < 0 ? r : r ? UPPER_HIDDEN : UPPER_NOTHING;
	}
	if (r < 0)
		return r;
	return whiteout_is_at(dirfd, name, st) ? UPPER_WHITEOUT : UPPER_OBJECT;
}

int upper_check_name(const char *name)
{
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	return whiteout_is_mark_name(name) ? -EINVAL : 0;
}

uint64_t upper_own_number(struct fs *fs, int fd, const struct stat *st)
{
	uint64_t ino = S_ISDIR(st->st_mode) ? 0 : origin_get(fs, fd, st->st_ino);

	/* What it says itself counts more than what was noted before a power loss. */
	return ino ? ino : state_confirm(fs->state, st->st_ino, fd_birth(fd));
}

uint64_t upper_give_number(struct fs *fs, int dirfd, const char *name, const struct stat *st)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_PATH, 0);

	return state_set(fs->state, st->st_ino, fd < 0 ? 0 : upper_own_number(fs, fd, st));
}

uint64_t upper_number(struct fs *fs, int dirfd, const char *name, const struct stat *st)
{
	uint64_t ino = state_find(fs->state, st->st_ino);

	return ino ? ino : upper_give_number(fs, dirfd, name, st);
}

/* What the redirect of an upper directory leads to, as a reference, or NULL. */
static int follow_redirect(struct fs *fs, struct lower_obj *lower, const char *redirect,
			   struct lower_obj **ret)
{
	if (redirect_is_path(redirect))
		return lower_walk(fs->lower, redirect, ret);
	return lower ? lower_lookup(lower, redirect, ret, NULL) : LOWER_ABSENT;
}

int upper_merges_with(struct fs *fs, int dirfd, const char *name, struct lower_obj *lower,
		      struct lower_obj **ret)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_PATH | O_DIRECTORY, 0);
	cleanup_lower_obj struct lower_obj *found = NULL;
	cleanup_free char *redirect = NULL;
	int r = fd < 0 ? fd : redirect_get(fd, MARKS_ANY, &redirect);

	*ret = NULL;
	if (r == 0 && !redirect && !lower)
		return 0;
	if (r >= 0)
		r = opaque_get(fd);
	if (r < 0 || r == OPAQUE_YES)
		return r < 0 ? r : 0;
	if (redirect) {
		r = follow_redirect(fs, lower, redirect, &found);
	} else {
		r = whiteout_has_file(dirfd, name);
		if (r > 0)
			return 0;
		if (r == 0)
			r = lower_lookup(lower, name, &found, NULL);
	}
	if (r == LOWER_FOUND && S_ISDIR(found->type))
		*ret = take_ptr(found);
	return r < 0 ? r : 0;
}
