/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "node/pile.h"

#include <errno.h>
#include <stdlib.h>

int pile_put(struct pile *pile, struct node *node)
{
	if (pile->n == pile->room) {
		size_t room = pile->room ? pile->room * 2 : 64;
		struct node **nodes = realloc(pile->nodes, room * sizeof(struct node *));

		if (!nodes) {
			node_unref(node);
			return -ENOMEM;
		}
		pile->nodes = nodes;
		pile->room = room;
	}
	pile->nodes[pile->n++] = node;
	return 0;
}

struct node *pile_take(struct pile *pile)
{
	return pile->n ? pile->nodes[--pile->n] : NULL;
}

int pile_climb(struct pile *pile, struct fs *fs, struct node *dir,
	       bool (*is_there)(struct fs *fs, struct node *dir))
{
	cleanup_node struct node *at = node_ref(dir);

	while (at != fs->root && !is_there(fs, at)) {
		struct node *above = node_parent(at);
		bool has_none = above == at;
		int r = pile_put(pile, at);

		at = above;
		if (r < 0 || has_none)
			return r;
	}
	return 0;
}

void pile_done(struct pile *pile)
{
	while (pile->n)
		node_unref(pile_take(pile));
	free(pile->nodes);
}
