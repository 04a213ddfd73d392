/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The object of a node in upper. */
#ifndef NODE_OBJECT_H
#define NODE_OBJECT_H

#include "node/fs.h"

/*
 * It, as an O_PATH descriptor and the caller's reference; NULL with *error set to a negative errno:
 * -ESTALE when it is not where it was left, or the node is not in upper. From any thread.
 */
struct fd_ref *object_open(struct fs *fs, struct node *node, int *error);

/*
 * Opens the file of a node in upper, for which `path` is an O_PATH descriptor, as `flags` say. An
 * owner without privileges may have taken the right to do so from itself, as git does; whoever
 * asks us has it by a descriptor from before, or the kernel would have refused. A descriptor, the
 * caller's, or negative errno. Takes node->names.
 */
int object_open_file(struct fs *fs, struct node *node, int path, int flags);

#endif
