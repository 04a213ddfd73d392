/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef FS_COPYUP_H
#define FS_COPYUP_H

#include "fs.h"

/*
 * As fs_copyup, with the content of a file, of which only the first `limit`
 * bytes are needed.
 */
int copyup_data(struct fs *fs, struct node *node, off_t limit);

#endif
