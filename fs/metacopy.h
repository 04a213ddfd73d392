/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files in upper whose data are still in lower. For the files of the verbs. */
#ifndef FS_METACOPY_H
#define FS_METACOPY_H

#include "fs.h"

/*
 * Where the data of `fd` are, a regular file in upper called `name` in a
 * directory whose lower part is `dir` (NULL if it has none, or that is not
 * known): *ret is a reference to a lower file, or NULL if they are in it.
 * -EIO: nowhere.
 */
int metacopy_source(struct fs *fs, int fd, struct lower_obj *dir, const char *name,
		    struct lower_obj **ret);

/* Whether `fd`, a regular file in upper, is such a file. */
bool metacopy_is_marked(struct fs *fs, int fd);

/* The same as metacopy_source of a node that is in upper; what is found is kept with it. */
int metacopy_below(struct fs *fs, struct node *node, struct lower_obj **ret);

/* Blocks in *st, which counts those of upper, as the file that has the data has them. */
int metacopy_blocks(struct lower_obj *data, struct stat *st);

/* Makes `fd`, an empty file that is not published yet, one whose data are in `lower`. */
int metacopy_mark(struct fs *fs, struct lower_obj *lower, int fd, off_t size);

/* Before a name of the node changes: what finds its data must not depend on names. */
int metacopy_pin(struct fs *fs, struct node *node);

/*
 * Brings the data of a node in upper, or only the first `limit` bytes, and the
 * file is then no longer than that.  Nothing happens if they are there.
 */
int metacopy_complete(struct fs *fs, struct node *node, off_t limit);

#endif
