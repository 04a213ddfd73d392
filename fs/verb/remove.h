/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All functions may be called from any thread. */
#ifndef VERB_REMOVE_H
#define VERB_REMOVE_H

#include "node/fs.h"

/* Whether a directory has no entries: 0, -ENOTEMPTY, or another negative errno. */
int remove_check_empty(struct fs *fs, struct node *dir);

/*
 * The node has lost the name, which those who count names know already, and with its last one, all.
 * `n_links` is the link count that it had with the name.
 */
void remove_note(struct fs *fs, struct node *node, nlink_t n_links, struct node *dir,
		 const char *name);

#endif
