/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Extended attributes of whatever a descriptor refers to: an open file, or an
 * O_PATH descriptor of any type of object (a symbolic link is never followed).
 *
 * Results are negative errno as the system gives them (-ENODATA: no such
 * attribute; -EOPNOTSUPP: none here; -ERANGE: `size` is too small), or as said.
 *
 * All functions may be called from any thread.
 */
#ifndef BASE_XATTR_H
#define BASE_XATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The value's length; with size 0 only the length. */
ssize_t xattr_get(int fd, const char *name, void *value, size_t size);

/* flags: 0, XATTR_CREATE or XATTR_REPLACE. */
int xattr_set(int fd, const char *name, const void *value, size_t size, int flags);
int xattr_remove(int fd, const char *name);

/*
 * All names, each ended by a NUL, in an allocated block that belongs to the
 * caller; returns its length.  A filesystem without attributes has none.
 */
ssize_t xattr_list(int fd, char **ret);

/* These two of what `name` is in the directory `dirfd`, without opening it; no link is followed. */
ssize_t xattr_list_at(int dirfd, const char *name, char **ret);
ssize_t xattr_get_at(int dirfd, const char *name, const char *attribute, void *value, size_t size);

/* Whether `name` is in a list of `size` bytes. */
bool xattr_list_has(const char *names, size_t size, const char *name);

/* An attribute whose value is the single letter `letter`: true or false, no error. */
bool xattr_is_letter(int fd, const char *name, char letter);

/* The value, allocated and followed by a NUL that is not counted; its length. */
ssize_t xattr_get_all(int fd, const char *name, char **ret);

/*
 * Takes out of a list of `size` bytes the names for which drop() is true;
 * returns what is left of `size`.
 */
size_t xattr_list_filter(char *names, size_t size, bool (*drop)(const char *name));

/*
 * Whether a failure to copy this attribute is no failure of the copy: it is of
 * a namespace (trusted, security) that wants privileges, and was refused; or the user's, and the
 * filesystem takes none, as kernel overlayfs has it.
 */
bool xattr_may_be_refused(const char *name, int error);

#endif
