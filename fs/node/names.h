/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where lower names are in the union: for files that have several.
 *
 * All functions may be called from any thread.
 */
#ifndef NODE_NAMES_H
#define NODE_NAMES_H

#include "node/fs.h"

/*
 * How many names of a lower file show in the union, and for each of them
 * `each` (may be NULL), with its directory, until it answers other than 0; the
 * count or that answer; or negative errno.
 */
int names_visible(struct fs *fs, struct lower_obj *lower,
		  int (*each)(void *context, struct node *dir, const char *name), void *context);

/*
 * How many names of a lower file that is not in upper show, or negative errno: they are counted
 * once, and then known (linked.h).
 */
int names_count(struct fs *fs, struct lower_obj *lower);

/* A directory with a lower part has been given another name: it is remembered where it is. */
void names_moved(struct fs *fs, struct node *dir);

/* Lets go of what is remembered, at the end. */
void names_done(struct fs *fs);

#endif
