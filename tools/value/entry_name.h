/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names of archive entries, which are not to be trusted, made into paths that are. */
#ifndef VALUE_ENTRY_NAME_H
#define VALUE_ENTRY_NAME_H

#include <stdbool.h>

/*
 * The path, relative to the archive's root and allocated, with "/" at the
 * front, "." and doubled or trailing slashes taken away; "" is the root.
 * -EXDEV: a component is "..";  -ENAMETOOLONG: one is longer than a name can
 * be;  -ENOMEM.
 */
int entry_name_clean(const char *raw, char **ret);

/* Splits a clean path that is not "": the part after the last slash. */
const char *entry_name_last(const char *path);

/*
 * Where the symbolic link `path` with the text `target` leads, as a clean path
 * allocated.  -EXDEV: out of the archive.
 */
int entry_name_follow(const char *path, const char *target, char **ret);

#endif
