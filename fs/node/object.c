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
#include "node/object.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "node/pile.h"
#include "survive/quiet.h"
#include "upper/orphan.h"

enum { MAX_MOVES = 200 };

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

		fd_ref_put(object_open(fs, above, error));
	}
	return *error < 0 ? NULL : object_open(fs, dir, error);
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
	lock_take(&node->lock);
	is_orphan = node->is_orphan;
	real = node->real;
	lock_release(&node->lock);
	if (is_orphan)
		return open_in(fs->upper.orphans, orphan_name(node->ino).s, real);
	for (unsigned int i = 0; r == -ESTALE; i++)
		r = open_by_alias(fs, node, real, i);
	return r == -ENOENT ? -ESTALE : r;
}

struct fd_ref *object_open(struct fs *fs, struct node *node, int *error)
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

/* With node->names held, so that the mode is nobody else's to change. */
static int open_by_mode(struct fs *fs, struct node *node, int path, int flags)
{
	struct quiet_note *note;
	struct stat st;
	int fd, r = fd_stat(path, NULL, &st);

	if (r < 0)
		return r;
	if (st.st_uid != geteuid())
		return -EACCES;
	note = quiet_begin(fs_quiet_notes(fs), node->ino, NULL, st.st_mode);
	r = fd_chmod(path, (st.st_mode & 07777) | 0600);
	fd = r < 0 ? r : fd_reopen(path, flags);
	r = fd_chmod(path, st.st_mode & 07777);
	quiet_end(note);
	if (r < 0 && fd >= 0) {
		close(fd);
		return r;
	}
	return fd;
}

int object_open_file(struct fs *fs, struct node *node, int path, int flags)
{
	int fd = fd_reopen(path, flags);

	if (fd != -EACCES)
		return fd;
	lock_take(&node->names);
	fd = open_by_mode(fs, node, path, flags);
	lock_release(&node->names);
	return fd;
}
