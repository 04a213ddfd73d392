/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "node/data_place.h"

#include <errno.h>

#include "branch/redirect.h"
#include "branch/whiteout.h"
#include "node/object.h"

/* In upper, besides what lower takes, what we write ourselves. */
unsigned int data_place_spaces(struct fs *fs)
{
	const char *prefix = fs->upper.caps.style.xattr_prefix;
	bool is_user = fs->config->user_xattrs || (prefix && *prefix == 'u');

	return MARKS_TRUSTED | (is_user ? MARKS_USER : 0);
}

bool data_place_is_marked(struct fs *fs, int fd)
{
	return metacopy_get(fd, data_place_spaces(fs));
}

int data_place_of(struct fs *fs, int fd, struct lower_obj *dir, const char *name,
		  struct lower_obj **ret)
{
	cleanup_lower_obj struct lower_obj *found = NULL;
	cleanup_free char *redirect = NULL;
	int r;

	*ret = NULL;
	if (!data_place_is_marked(fs, fd))
		return 0;
	r = redirect_get(fd, data_place_spaces(fs), &redirect);
	if (r < 0)
		return r;
	if (redirect || name)
		r = lower_follow(fs->lower, dir, redirect ? redirect : name, S_IFREG, &found);
	if (r < 0)
		return r;
	if (r != LOWER_FOUND || !S_ISREG(found->type))
		return -EIO; /* the data are nowhere: better none than others */
	*ret = take_ptr(found);
	return 0;
}

int data_place_blocks(struct lower_obj *data, struct stat *st)
{
	struct stat below;
	int r = lower_stat(data, &below);

	if (r == 0)
		st->st_blocks = below.st_blocks;
	return r;
}

/* What is known of where the data are: true, with *ret a reference or NULL. */
bool data_place_is_known(struct node *node, struct lower_obj **ret)
{
	bool known;

	lock_take(&node->lock);
	known = node->has_data_place;
	*ret = known && node->lower ? lower_ref(node->lower) : NULL;
	lock_release(&node->lock);
	return known;
}

static void set_known(struct node *node, struct lower_obj *data)
{
	struct lower_obj *dropped = NULL;

	lock_take(&node->lock);
	if (!node->has_data_place) {
		node->has_data_place = true;
		dropped = node->lower;
		node->lower = data ? lower_ref(data) : NULL;
	}
	lock_release(&node->lock);
	lower_unref(dropped);
}

int data_place_of_node(struct fs *fs, struct node *node, struct lower_obj **ret)
{
	cleanup_lower_obj struct lower_obj *dir = NULL;
	cleanup_node struct node *parent = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_free char *name = NULL;
	int r;

	if (data_place_is_known(node, ret))
		return 0;
	ref = object_open(fs, node, &r);
	if (!ref)
		return r;
	r = node_alias(node, 0, &parent, &name);
	if (r < 0)
		return r;
	dir = parent ? node_lower(parent) : NULL;
	r = data_place_of(fs, ref->fd, dir, name, ret);
	if (r == 0)
		set_known(node, *ret);
	return r;
}
