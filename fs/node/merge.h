/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which lower directory a directory of upper merges with.
 *
 * All functions may be called from any thread.
 */
#ifndef NODE_MERGE_H
#define NODE_MERGE_H

#include "node/fs.h"

/*
 * That of the directory `name` of `dirfd`, an upper directory: *ret is a reference, or NULL if
 * there is none. `lower` is the lower part of the parent, or NULL. 0; -EIO: its redirect is none;
 * or another negative errno.
 */
int merge_lower(struct fs *fs, int dirfd, const char *name, struct lower_obj *lower,
		struct lower_obj **ret);

#endif
