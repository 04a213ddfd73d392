/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Nodes that are still to be seen to, the last one put first.  Trees may be of any depth, so what
 * goes through them has its way on a pile and not on the stack.
 *
 * An object is for one thread at a time.
 */
#ifndef NODE_PILE_H
#define NODE_PILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "node/fs.h"

struct pile {
	struct node **nodes;
	size_t n, room;
};

/* Takes the reference over.  0 or -ENOMEM. */
int pile_put(struct pile *pile, struct node *node);

/* The last one, with its reference; NULL: there is none. */
struct node *pile_take(struct pile *pile);

/* Puts `dir` and the directories above it, up to the first that `is_there` is true of. */
int pile_climb(struct pile *pile, struct fs *fs, struct node *dir,
	       bool (*is_there)(struct fs *fs, struct node *dir));

/* Gives the references that are left back, and the memory. */
void pile_done(struct pile *pile);
#define cleanup_pile CLEANUP(pile_done)

#endif
