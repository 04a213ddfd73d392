/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "copyup/rejoin.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "copyup/copyup.h"
#include "copyup/group.h"
#include "upper/origin.h"

struct hunt {
	struct fs *fs;
	uint64_t ino;
	int fd; /* the copy, once found */
};

/* Answers 1 when the copy stands at this name of the group. */
static int is_copy(void *context, const char *path)
{
	struct hunt *hunt = context;
	cleanup_fd int fd = fd_open_beneath(hunt->fs->config->upper, path, O_PATH);
	struct stat st;

	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -ENAMETOOLONG)
		return 0;
	if (fd < 0)
		return fd; /* it may be behind that */
	if (fd_stat(fd, NULL, &st) < 0 || S_ISDIR(st.st_mode))
		return 0;
	if (origin_get(&hunt->fs->upper, fd, st.st_ino) != hunt->ino)
		return 0;
	hunt->fd = take_fd(&fd);
	return 1;
}

/* Goes on with a copy-up that was begun, and left. 0 or negative errno. */
static int finish_group(struct fs *fs, struct node *dir, const char *name, struct lower_obj *obj)
{
	struct node made = { .ino = obj->ino, .type = obj->type, .lower = obj };
	cleanup_node struct node *node = NULL;
	int r = lookup_node(fs, dir, name, &made, &node);

	return r < 0 ? r : copyup_finish(fs, node, obj);
}

/*
 * The copy that the names of the lower file are being given; where that cannot be gone on with, it
 * is there for this name at least. A descriptor; -ENOENT: there is none.
 */
static int find_begun(struct fs *fs, struct node *dir, const char *name, struct lower_obj *obj)
{
	cleanup_fd int fd = -1;
	ino_t real;

	fd = group_resume(fs, obj->ino, &real);
	if (fd < 0 || finish_group(fs, dir, name, obj) == 0)
		return take_fd(&fd);
	/* Unless it was given up. */
	close(take_fd(&fd));
	return group_resume(fs, obj->ino, &real);
}

/* The copy that stands at one of the names, of those that carry their number; as find_begun. */
static int find_marked(struct fs *fs, struct lower_obj *obj)
{
	struct hunt hunt = { .fs = fs, .ino = obj->ino, .fd = -1 };
	int r;

	if (linked_has_no_copy(&fs->linked, obj->ino))
		return -ENOENT;
	r = lower_names(obj, is_copy, &hunt);
	if (r == 0)
		linked_note_no_copy(&fs->linked, obj->ino);
	return r == 0 ? -ENOENT : r < 0 ? r : hunt.fd;
}

/*
 * Gives a lower name of a file whose other names were copied up the copy.
 * 1 if the name is in upper now, or gone; 0 if there is none.
 */
static int rejoin(struct fs *fs, struct node *dir, const char *name, struct lower_obj *obj)
{
	cleanup_fd int fd = find_begun(fs, dir, name, obj);
	int r;

	if (fd == -ENOENT)
		fd = find_marked(fs, obj);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = copyup_link(fs, fd, dir, name);
	return r < 0 ? r : 1;
}

int rejoin_lookup(struct fs *fs, struct node *dir, const char *name, struct found *ret)
{
	int r = lookup_find(fs, dir, name, ret);

	while (r == LOOKUP_SHARED) {
		r = rejoin(fs, dir, name, ret->made.lower);
		if (r <= 0)
			return r < 0 ? r : FS_FOUND;
		found_done(ret);
		*ret = (struct found){ 0 };
		r = lookup_find(fs, dir, name, ret);
	}
	return r;
}

int rejoin_step(struct fs *fs, struct node *dir, const char *name, struct node **ret)
{
	cleanup_found struct found found = { 0 };
	int r = rejoin_lookup(fs, dir, name, &found);

	return r == FS_FOUND ? lookup_node(fs, dir, name, &found.made, ret) : r;
}
