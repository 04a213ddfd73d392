/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the data of a file in upper are. With metacopy=on a change of attributes copies no more
 * than those; an xattr says that the data are still in lower, where a redirect says, or under the
 * same name (Linux Documentation/filesystems/overlayfs.rst, "Metadata only copy up"). Whoever
 * wrote such a file, it is read right; how one is made, and gets its data, is in
 * copyup/metacopy.h.
 *
 * A regular file's node that is in upper and has a lower part is such a file, and the lower part
 * is its data. All functions may be called from any thread.
 */
#ifndef NODE_DATA_PLACE_H
#define NODE_DATA_PLACE_H

#include "node/fs.h"

/*
 * Where the data of `fd` are, a regular file in upper called `name` (NULL: not known) in a
 * directory whose lower part is `dir` (NULL if it has none, or that is not known): *ret is a
 * reference to a lower file, or NULL if they are in it. 0; -EIO: they are nowhere; or another
 * negative errno.
 */
int data_place_of(struct fs *fs, int fd, struct lower_obj *dir, const char *name,
		  struct lower_obj **ret);

/* The same of a node that is in upper; what is found is kept with it. */
int data_place_of_node(struct fs *fs, struct node *node, struct lower_obj **ret);

/*
 * What is kept of that: whether it is known, with *ret a reference, or NULL if the data are in the
 * file.
 */
bool data_place_is_known(struct node *node, struct lower_obj **ret);

/* Whether `fd`, a regular file in upper, says that its data are elsewhere. */
bool data_place_is_marked(struct fs *fs, int fd);

/* The namespaces (bits of enum mark_space) whose marks count on files of upper. */
unsigned int data_place_spaces(struct fs *fs);

/* Blocks in *st, which counts those of upper, as the file that has the data has them. */
int data_place_blocks(struct lower_obj *data, struct stat *st);

#endif
