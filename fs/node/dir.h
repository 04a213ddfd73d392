/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Directories as they are listed. All functions may be called from any thread. */
#ifndef NODE_DIR_H
#define NODE_DIR_H

#include "node/fs.h"

/*
 * The merged, sealed listing with a reference; a new one if `fresh` and names have changed. 0 or
 * negative errno.
 */
int dir_list(struct fs *fs, struct node *dir, bool fresh, struct listing **ret);

/*
 * Readings: a process going through a directory from its first name to its
 * last.  The kernel keeps the names that one reading gives it, and once that
 * was at the end shows them to any reader who is in the middle, without a look
 * at whether names have changed.  So readings begun before and after a change
 * have different numbers, of READING_BITS bits, which are part of the positions
 * that their readers are given: none goes on with what another began.  Both
 * functions return whether what the kernel has kept must be discarded before
 * the answer is sent.
 */
bool dir_reading_begin(struct node *dir, unsigned int *number);
bool dir_reading_end(struct node *dir, unsigned int number);

#endif
