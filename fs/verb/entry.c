/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looking a name up, and what an application is told of it. */
#include "copyup/rejoin.h"
#include "verb/verbs.h"

int fs_lookup(struct fs *fs, struct node *dir, const char *name, struct entry *ret)
{
	cleanup_found struct found found = { 0 };
	cleanup_node struct node *node = NULL;
	int r = rejoin_lookup(fs, dir, name, &found);

	if (r == FS_FOUND)
		r = lookup_node(fs, dir, name, &found.made, &node);
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
