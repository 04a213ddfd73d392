/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef FS_COPYUP_H
#define FS_COPYUP_H

#include "fs.h"

/*
 * As fs_copyup, with the content of a file, of which only the first `limit`
 * bytes are needed.
 */
int copyup_data(struct fs *fs, struct node *node, off_t limit);

/*
 * Goes on with the copy-up of a file of which some names have the copy and others not, as an error
 * has left it (group.c): all that show have it then. `lower` is the file in lower. 0, also if there
 * is nothing to do, or negative errno.
 */
int copyup_finish(struct fs *fs, struct node *node, struct lower_obj *lower);

/* What a name says that the lower object had when it was last looked at. */
enum { COPYUP_GONE = 1 };

/*
 * Gives the copy `fd` of a file another of the lower file's names, without the
 * directory's times showing it; 0 also if the name is there.
 */
int copyup_link(struct fs *fs, int fd, struct node *dir, const char *name);

#endif
