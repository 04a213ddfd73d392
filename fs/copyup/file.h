/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The content of a node's file, opened. */
#ifndef COPYUP_FILE_H
#define COPYUP_FILE_H

#include "node/fs.h"

/*
 * A descriptor, with a reference, to read a file by, or (copying it up first) to write it by; it is
 * shared, so its position is nobody's. NULL with *error set to a negative errno: -EISDIR, -EINVAL
 * for what is no file. From any thread.
 */
struct fd_ref *file_get(struct fs *fs, struct node *node, bool for_writing, int *error);

/*
 * Whether the content of a node's file is still a lower one's: 1, 0, or negative errno. It may be
 * copied up meanwhile. From any thread.
 */
int file_is_below(struct fs *fs, struct node *node);

#endif
