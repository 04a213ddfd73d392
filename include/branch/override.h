/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owner, mode and type that an object is to be shown with, written beside it
 * because the filesystem did not let them be set: containers without privilege
 * keep other users' files that way.
 *
 * The xattr holds UID:GID:MODE[:TYPE], the mode in octal; TYPE is file, dir,
 * pipe, socket, char-MAJOR-MINOR or block-MAJOR-MINOR (also with colons), for a
 * regular file that stands for something else.  containers/storage writes
 * user.containers.override_stat, fuse-overlayfs wrote the other two.
 *
 * All functions may be called from any thread.
 */
#ifndef BRANCH_OVERRIDE_H
#define BRANCH_OVERRIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* Which of them count: the values of the option xattr_permissions. */
enum override {
	OVERRIDE_NONE = 0,
	OVERRIDE_SECURITY = 1, /* security.fuseoverlayfs.override_stat */
	OVERRIDE_USER = 2, /* user.containers.override_stat, user.fuseoverlayfs.override_stat */
};

/* The i-th xattr that counts, the one that is written first; NULL when there are no more. */
const char *override_name(enum override kind, size_t i);

/*
 * Whether an xattr is one of these, of whatever kind. It is not to be seen or set through any
 * mount: what one does not count, another one would.
 */
bool override_is_name(const char *name);

enum { OVERRIDE_MAX = 96 }; /* bytes of a value, with a NUL */

/*
 * Puts what the text says into *st, whose type is the object's own.  False, and
 * *st untouched, where it is no such text.  A type is taken of a regular file
 * only, and never makes a directory or a symbolic link of it.
 */
bool override_parse(const char *text, struct stat *st);

/* Writes what override_parse reads; its length. */
size_t override_format(const struct stat *st, char text[OVERRIDE_MAX]);

/*
 * Reads and parses the override of the object `fd` (O_PATH will do) into *st: 1 if there was one,
 * 0, or negative errno.
 */
int override_read(enum override kind, int fd, struct stat *st);
int override_write(enum override kind, int fd, const struct stat *st);

#endif
