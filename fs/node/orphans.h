/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Objects that nobody has a name for any more. */
#ifndef NODE_ORPHANS_H
#define NODE_ORPHANS_H

#include "node/fs.h"

/*
 * Removes the orphan `ino`, which nobody knows any more; one that a node was made of meanwhile is
 * that node's instead. Takes the orphan's lock. From any thread, with no other lock held.
 */
void orphans_remove(struct fs *fs, uint64_t ino);

#endif
