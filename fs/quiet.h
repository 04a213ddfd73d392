/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is changed for a moment only, so that nobody is to see it: the times of a directory in which
 * a name is made, those of a file that is written to (mtime.h), the mode of a file that we may not
 * open as it is. A note in memory that workers share says what it was; if the worker dies in that
 * moment, the next one puts it back.
 */
#ifndef FS_QUIET_H
#define FS_QUIET_H

#include "fs.h"

/*
 * Notes that `times` of the object `ino` (and mode 0), or the `mode` of the file, is to be put
 * back. The note, for quiet_end; NULL: there is no room or nobody to follow, which is no failure.
 */
struct quiet_note *quiet_begin(struct fs *fs, uint64_t ino, const struct timespec times[2],
			       mode_t mode);
/* It has been put back. Accepts NULL. */
void quiet_end(struct quiet_note *note);

/* Of a restart: puts back what the worker before has left. 0 or -ENOMEM. */
int quiet_take_over(struct fs *fs);

/*
 * Opens the file of a node in upper, for which `path` is an O_PATH descriptor, as `flags` say. An
 * owner without privileges may have taken the right to do so from itself, as git does; whoever
 * asks us has it by a descriptor from before, or the kernel would have refused. A descriptor, or
 * negative errno. Takes node->names.
 */
int quiet_open(struct fs *fs, struct node *node, int path, int flags);

#endif
