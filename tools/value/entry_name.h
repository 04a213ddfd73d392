/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names of archive entries, which are not to be trusted, made into paths that are. */
#ifndef VALUE_ENTRY_NAME_H
#define VALUE_ENTRY_NAME_H

#include <stddef.h>

/* How many symbolic links may have to be followed for one path, as Linux has it. */
enum { ENTRY_NAME_LINKS = 40 };

/*
 * The path, relative to the archive's root and allocated, with "/" at the
 * front, "." and doubled or trailing slashes taken away, and ".." with the
 * component before it; "" is the root.
 * -EXDEV: it leads out of the archive;  -ENAMETOOLONG: a component is longer
 * than a name can be;  -ENOMEM.
 */
int entry_name_clean(const char *raw, char **ret);

/* Splits a clean path that is not "": the part after the last slash. */
const char *entry_name_last(const char *path);

/*
 * Where the symbolic link `path` with the text `target` leads, as a clean path
 * allocated.  -EXDEV: out of the archive.
 */
int entry_name_follow(const char *path, const char *target, char **ret);

/*
 * Where the clean `path` leads when its first `length` bytes are a symbolic link with the text
 * `target`, as a clean path allocated.  The archive's root is the system's: ".." stays there.
 * -ENAMETOOLONG: it would be as long as the system takes none.
 */
int entry_name_lead(const char *path, size_t length, const char *target, char **ret);

#endif
