/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Looking a name up: upper first, then lower, then which node that is.
 *
 * The number of a directory that has a lower part is that part's; of anything
 * in upper else, the one that upper_number gives; of anything in lower, its
 * own.  A lower file whose number belongs to a node that is in upper already
 * is that node: another name of a file that has been copied up.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "copyup.h"
#include "metacopy.h"
#include "upper.h"

/* What a name was found to be: what its node is made from, if there is none yet. */
struct found {
	struct node made;
	struct stat st;
};

static void found_done(struct found *found)
{
	lower_unref(found->made.lower);
}
#define cleanup_found CLEANUP(found_done)

/* A file that seems to have holes may have no data of its own at all. */
static int find_data(struct fs *fs, struct lower_obj *lower, int dirfd, const char *name,
		     struct found *ret)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_PATH, 0);
	int r = fd < 0 ? fd : metacopy_source(fs, fd, lower, name, &ret->made.lower);

	if (r < 0)
		return r == -EIO ? 0 : r; /* who reads it, will see */
	ret->made.has_data_place = true;
	return ret->made.lower ? metacopy_blocks(ret->made.lower, &ret->st) : 0;
}

static int find_upper(struct fs *fs, struct lower_obj *lower, int dirfd, const char *name,
		      struct found *ret)
{
	struct node *made = &ret->made;
	int r = owner_complete(fs, dirfd, name, &ret->st);

	if (r < 0)
		return r;
	*made = (struct node){ .type = ret->st.st_mode & S_IFMT,
			       .has_upper = true,
			       .real = ret->st.st_ino };
	if (S_ISDIR(made->type)) {
		r = upper_merges_with(fs, dirfd, name, lower, &made->lower);
	} else if (S_ISREG(made->type) && ret->st.st_blocks * 512 < ret->st.st_size) {
		r = find_data(fs, lower, dirfd, name, ret);
	}
	if (r < 0)
		return r;
	made->ino = S_ISDIR(made->type) && made->lower
			    ? state_set(fs->state, made->real, made->lower->ino)
			    : upper_number(fs, dirfd, name, &ret->st);
	return made->ino ? FS_FOUND : -ENOMEM;
}

/* --- groups of names that a crash left half copied up --- */

struct search {
	struct fs *fs;
	uint64_t ino;
	int fd; /* the copy, once found */
};

/* Answers 1 when the copy stands at this name of the group. */
static int is_copy(void *context, const char *path)
{
	struct search *search = context;
	cleanup_fd int fd = fd_open_beneath(search->fs->config->upper, path, O_PATH);
	struct stat st;

	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -ENAMETOOLONG)
		return 0;
	if (fd < 0)
		return fd; /* it may be behind that */
	if (fd_stat(fd, NULL, &st) < 0 || S_ISDIR(st.st_mode))
		return 0;
	if (origin_get(search->fs, fd, st.st_ino) != search->ino)
		return 0;
	search->fd = take_fd(&fd);
	return 1;
}

static int node_of(struct fs *fs, struct node *dir, const char *name, const struct node *made,
		   struct node **ret);

/* Goes on with a copy-up that was begun, and left. 0 or negative errno. */
static int finish_group(struct fs *fs, struct node *dir, const char *name, struct lower_obj *obj)
{
	struct node made = { .ino = obj->ino, .type = obj->type, .lower = obj };
	cleanup_node struct node *node = NULL;
	int r = node_of(fs, dir, name, &made, &node);

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
	struct search search = { .fs = fs, .ino = obj->ino, .fd = -1 };
	int r;

	if (searched_has(&fs->searched, obj->ino))
		return -ENOENT;
	r = lower_names(obj, is_copy, &search);
	if (r == 0)
		searched_add(&fs->searched, obj->ino);
	return r == 0 ? -ENOENT : r < 0 ? r : search.fd;
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

static int find(struct fs *fs, struct node *dir, const char *name, struct found *ret);

static int find_lower(struct fs *fs, struct node *dir, struct lower_obj *lower, const char *name,
		      struct found *ret)
{
	cleanup_lower_obj struct lower_obj *obj = NULL;
	int r = lower_lookup(lower, name, &obj, &ret->st);

	if (r != LOWER_FOUND)
		return r;
	if (ret->st.st_nlink > 1 && !S_ISDIR(obj->type) && fs->config->upper >= 0) {
		r = rejoin(fs, dir, name, obj);
		if (r != 0)
			return r < 0 ? r : find(fs, dir, name, ret);
	}
	ret->made = (struct node){ .ino = obj->ino, .type = obj->type };
	ret->made.lower = take_ptr(obj);
	return FS_FOUND;
}

/* What stands at a name: FS_FOUND, FS_ABSENT or -errno. */
static int find(struct fs *fs, struct node *dir, const char *name, struct found *ret)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	int r = 0;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	if (whiteout_is_mark_name(name) || node_is_removed(dir))
		return FS_ABSENT;
	lower = node_lower(dir);
	if (node_has_upper(dir)) {
		cleanup_fd_ref struct fd_ref *ref = upper_open(fs, dir, &r);

		if (!ref)
			return r;
		r = upper_probe(ref->fd, name, &ret->st);
		if (r == UPPER_OBJECT)
			return find_upper(fs, lower, ref->fd, name, ret);
		if (r != UPPER_NOTHING)
			return r < 0 ? r : FS_ABSENT;
	}
	return lower ? find_lower(fs, dir, lower, name, ret) : FS_ABSENT;
}

/*
 * A node that has just been made of a lower object may be late: another thread
 * can have copied the object up, and its node been forgotten, since upper was
 * asked.  From now on a copy-up goes by this node, so asking once more will do.
 */
static int catch_up(struct fs *fs, struct node *dir, const char *name, struct node *node)
{
	cleanup_lower_obj struct lower_obj *dropped = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_found struct found found = { 0 };
	int r = 0;

	if (!node_has_upper(dir))
		return 0;
	ref = upper_open(fs, dir, &r);
	if (ref)
		r = upper_probe(ref->fd, name, &found.st);
	if (r < 0 || r == UPPER_NOTHING)
		return r;
	r = find(fs, dir, name, &found);
	if (r != FS_FOUND || !found.made.has_upper || found.made.ino != node->ino)
		return r < 0 ? r : 0;
	pthread_mutex_lock(&node->lock);
	if (!node->has_upper) {
		node->has_upper = true;
		node->real = found.made.real;
		if (!S_ISDIR(node->type))
			dropped = take_ptr(node->lower);
	}
	pthread_mutex_unlock(&node->lock);
	return 0;
}

/*
 * A number may be used twice, by marks of other branches, or by redirects to one directory as a
 * copy of upper has them: the second is not to be had, as with overlayfs.
 */
static bool is_same_object(struct node *node, const struct node *made)
{
	bool is_same;

	pthread_mutex_lock(&node->lock);
	is_same = ((node->type ^ made->type) & S_IFMT) == 0 &&
		  (!node->has_upper || !made->has_upper || node->real == made->real);
	pthread_mutex_unlock(&node->lock);
	return is_same;
}

/* The node of what was found, with this name noted. */
static int node_of(struct fs *fs, struct node *dir, const char *name, const struct node *made,
		   struct node **ret)
{
	cleanup_node struct node *node = NULL;
	bool is_new;
	int r;

	node = nodes_get_or_add(&fs->nodes, made, &is_new);
	if (!node)
		return -ENOMEM;
	if (!is_same_object(node, made))
		return -ESTALE;
	r = node_add_alias(node, dir, name);
	if (r == 0 && is_new && !made->has_upper)
		r = catch_up(fs, dir, name, node);
	if (r < 0)
		return r;
	if (node_is_removed(node))
		node_named_again(node); /* a name of it that was not known */
	*ret = take_ptr(node);
	return FS_FOUND;
}

int upper_step(struct fs *fs, struct node *dir, const char *name, struct node **ret)
{
	cleanup_found struct found found = { 0 };
	int r = find(fs, dir, name, &found);

	return r == FS_FOUND ? node_of(fs, dir, name, &found.made, ret) : r;
}

int fs_lookup(struct fs *fs, struct node *dir, const char *name, struct entry *ret)
{
	cleanup_found struct found found = { 0 };
	cleanup_node struct node *node = NULL;
	int r = find(fs, dir, name, &found);

	if (r == FS_FOUND)
		r = node_of(fs, dir, name, &found.made, &node);
	if (r != FS_FOUND)
		return r;
	/* Attributes of upper need completing; so do those of a lower name of a file in upper. */
	if (S_ISDIR(node->type) || found.st.st_nlink > 1 ||
	    node_has_upper(node) != found.made.has_upper) {
		r = fs_getattr(fs, node, &found.st);
		if (r < 0)
			return r;
	}
	found.st.st_ino = node->ino;
	ret->st = found.st;
	ret->node = take_ptr(node);
	return FS_FOUND;
}

struct node *fs_parent(struct node *dir)
{
	struct node *parent;
	char *name;

	if (node_alias(dir, 0, &parent, &name) <= 0)
		return node_ref(dir);
	free(name);
	return parent;
}
