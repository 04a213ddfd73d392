/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "node/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/fd.h"
#include "branch/whiteout.h"
#include "node/data_place.h"
#include "node/merge.h"
#include "node/object.h"
#include "upper/owner.h"
#include "upper/verdict.h"

/* A file that seems to have holes may have no data of its own at all. */
static int find_data(struct fs *fs, struct lower_obj *lower, int dirfd, const char *name,
		     struct found *ret)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_PATH, 0);
	int r = fd < 0 ? fd : data_place_of(fs, fd, lower, name, &ret->made.lower);

	if (r < 0)
		return r == -EIO ? 0 : r; /* who reads it, will see */
	ret->made.has_data_place = true;
	return ret->made.lower ? data_place_blocks(ret->made.lower, &ret->st) : 0;
}

static int find_upper(struct fs *fs, struct lower_obj *lower, int dirfd, const char *name,
		      struct found *ret)
{
	struct node *made = &ret->made;
	int r = owner_complete(&fs->upper, dirfd, name, &ret->st);

	if (r < 0)
		return r;
	*made = (struct node){ .type = ret->st.st_mode & S_IFMT,
			       .has_upper = true,
			       .real = ret->st.st_ino };
	if (S_ISDIR(made->type)) {
		r = merge_lower(fs, dirfd, name, lower, &made->lower);
	} else if (S_ISREG(made->type) && ret->st.st_blocks * 512 < ret->st.st_size) {
		r = find_data(fs, lower, dirfd, name, ret);
	}
	if (r < 0)
		return r;
	made->ino = S_ISDIR(made->type) && made->lower
			    ? numbers_set(&fs->numbers, made->real, made->lower->ino)
			    : numbers_get(&fs->numbers, dirfd, name, &ret->st);
	return made->ino ? FS_FOUND : -ENOMEM;
}

static int find_lower(struct fs *fs, struct lower_obj *lower, const char *name, struct found *ret)
{
	cleanup_lower_obj struct lower_obj *obj = NULL;
	int r = lower_lookup(lower, name, &obj, &ret->st);
	bool is_shared;

	if (r != LOWER_FOUND)
		return r;
	is_shared = ret->st.st_nlink > 1 && !S_ISDIR(obj->type) && fs->config->upper >= 0;
	ret->made = (struct node){ .ino = obj->ino, .type = obj->type };
	ret->made.lower = take_ptr(obj);
	return is_shared ? LOOKUP_SHARED : FS_FOUND;
}

int lookup_find(struct fs *fs, struct node *dir, const char *name, struct found *ret)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	int r = 0;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	if (whiteout_is_mark_name(name) || node_is_removed(dir))
		return FS_ABSENT;
	lower = node_lower(dir);
	if (node_has_upper(dir)) {
		cleanup_fd_ref struct fd_ref *ref = object_open(fs, dir, &r);

		if (!ref)
			return r;
		r = verdict_on(ref->fd, name, &ret->st);
		if (r == UPPER_OBJECT)
			return find_upper(fs, lower, ref->fd, name, ret);
		if (r != UPPER_NOTHING)
			return r < 0 ? r : FS_ABSENT;
	}
	return lower ? find_lower(fs, lower, name, ret) : FS_ABSENT;
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
	ref = object_open(fs, dir, &r);
	if (ref)
		r = verdict_on(ref->fd, name, &found.st);
	if (r < 0 || r == UPPER_NOTHING)
		return r;
	r = lookup_find(fs, dir, name, &found);
	if (r != FS_FOUND || !found.made.has_upper || found.made.ino != node->ino)
		return r < 0 ? r : 0;
	lock_take(&node->lock);
	if (!node->has_upper) {
		node->has_upper = true;
		node->real = found.made.real;
		if (!S_ISDIR(node->type))
			dropped = take_ptr(node->lower);
	}
	lock_release(&node->lock);
	return 0;
}

/*
 * A number may be used twice, by marks of other branches, or by redirects to one directory as a
 * copy of upper has them: the second is not to be had, as with overlayfs.
 */
static bool is_same_object(struct node *node, const struct node *made)
{
	bool is_same;

	lock_take(&node->lock);
	is_same = ((node->type ^ made->type) & S_IFMT) == 0 &&
		  (!node->has_upper || !made->has_upper || node->real == made->real);
	lock_release(&node->lock);
	return is_same;
}

int lookup_node(struct fs *fs, struct node *dir, const char *name, const struct node *made,
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

int lookup_step(struct fs *fs, struct node *dir, const char *name, struct node **ret)
{
	cleanup_found struct found found = { 0 };
	int r = lookup_find(fs, dir, name, &found);

	if (r == FS_FOUND)
		r = lookup_node(fs, dir, name, &found.made, ret);
	return r == LOOKUP_SHARED ? FS_ABSENT : r;
}
