/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VERB_REMOVE_H
#define VERB_REMOVE_H

#include "node/fs.h"

/* Whether a directory has no entries: 0, -ENOTEMPTY, or another negative errno. */
int remove_check_empty(struct fs *fs, struct node *dir);

/* The node has lost the name, which its tally knows, and with its last one, all. */
void remove_note(struct fs *fs, struct node *node, struct node *dir, const char *name);

#endif
