/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Union mounts inside union mounts.  The inner one's branches lie in the outer one, which takes
 * overlay.* xattrs for marks of its own and neither shows them nor lets anybody set them.  So it
 * escapes those that come through it, as kernel overlayfs does (Linux 6.7,
 * Documentation/filesystems/overlayfs.rst, "Nested overlayfs mounts"): what is
 * trusted.overlay.NAME in the mount is trusted.overlay.overlay.NAME on disk, and user.overlay.NAME
 * likewise.  Such a name is never a mark of the mount that shows it, at whatever depth.
 *
 * All functions may be called from any thread.
 */
#ifndef BRANCH_NESTING_H
#define BRANCH_NESTING_H

#include <stdbool.h>
#include <stddef.h>

enum { NESTING_NAME_SIZE = 256 }; /* of the longest name of an xattr, with its NUL */

/* Whether a name on disk is an escaped one. */
bool nesting_is_escaped(const char *name);

/* The name on disk of what a mount shows as `name`: that itself or in `buf`; NULL: too long. */
const char *nesting_escape(const char *name, char buf[NESTING_NAME_SIZE]);

/* Makes a list of names on disk, as listxattr(2) has it, one of names that show; its new size. */
size_t nesting_unescape_list(char *names, size_t size);

#endif
