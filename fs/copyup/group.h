/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Notes of copy-ups of files with several names. The copy has a name in the work directory, by the
 * file's number, from before its first name is in upper until all are; what a crash has left is
 * completed when the next worker begins (verb/recover.h), or when one of the names is looked up.
 *
 * All functions may be called from any thread.
 */
#ifndef COPYUP_GROUP_H
#define COPYUP_GROUP_H

#include "node/fs.h"
#include "upper/staging.h"

/* Gives a staged copy that name. 0 or negative errno. */
int group_begin(struct fs *fs, uint64_t ino, struct staged *staged);

/*
 * A copy that was begun, as an O_PATH descriptor that is the caller's, and its inode in *ret;
 * -ENOENT: there is none; or another negative errno.
 */
int group_resume(struct fs *fs, uint64_t ino, ino_t *ret);

/* All names have it, or none. */
void group_end(struct fs *fs, uint64_t ino);

#endif
