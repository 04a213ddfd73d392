/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files in upper that have attributes of their own and no data yet (node/data_place.h): how one is
 * made, kept right while names change, and given its data by the first write.
 *
 * Functions return 0 or a negative errno, and may be called from any thread.
 */
#ifndef COPYUP_METACOPY_H
#define COPYUP_METACOPY_H

#include "node/fs.h"

/*
 * Makes `fd`, an empty file that is not published yet, one of `size` bytes whose data are in
 * `lower`.
 */
int metacopy_mark(struct fs *fs, struct lower_obj *lower, int fd, off_t size);

/*
 * Before a name of the node changes: what finds its data must not depend on names. It may bring the
 * data instead, and so takes the node's copyup lock: not with names held.
 */
int metacopy_pin(struct fs *fs, struct node *node);

/*
 * Brings the data of a node in upper, or only the first `limit` bytes, and the
 * file is then no longer than that.  Nothing happens if they are there. Takes the node's copyup
 * lock.
 */
int metacopy_complete(struct fs *fs, struct node *node, off_t limit);

#endif
