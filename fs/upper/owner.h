/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owner, mode and type of objects in upper: the filesystem's, or with
 * xattr_permissions those of an override (branch/override.h).  What stands under
 * an override belongs to us and is ours to read and write; what is neither
 * file, directory nor symbolic link is a file with the type written beside it.
 * Symbolic links carry no override in the user namespace: they have the owner
 * that the filesystem lets them have.
 *
 * Functions return 0 or a negative errno unless said, and may be called from any thread.
 */
#ifndef UPPER_OWNER_H
#define UPPER_OWNER_H

#include <stdbool.h>
#include <sys/stat.h>

#include "upper/upper.h"

/* Whether an object of such a mode has its owner, mode and type written beside it. */
bool owner_is_written(const struct upper *upper, mode_t mode);

/* What such an object is on disk. */
mode_t owner_real_mode(mode_t mode);

/* As fd_stat, with the owner, mode and type that count. */
int owner_stat(const struct upper *upper, int dirfd, const char *name, struct stat *ret);

/* The same where fd_stat has been asked already, with what it said in *st. */
int owner_complete(const struct upper *upper, int dirfd, const char *name, struct stat *st);

/* Writes owner, mode and type beside the object, which owner_is_written said yes of. */
int owner_write(const struct upper *upper, int fd, const struct stat *st);

/* As fd_chown (an id of -1 stays) and fd_chmod. */
int owner_set(const struct upper *upper, int fd, uid_t uid, gid_t gid);
int owner_set_mode(const struct upper *upper, int fd, mode_t mode);

/* Gives a copy the owner, mode and times of the original. */
int owner_copy(const struct upper *upper, int fd, const struct stat *st);

#endif
