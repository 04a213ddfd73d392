/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Redirects: the mark that says where the branches below have an object, in all branches and for
 * all kinds of objects (Linux Documentation/filesystems/overlayfs.rst, "redirect_dir" and
 * "Metadata only copy up"). A mark may have been written by anybody; what is no redirect is found
 * out here, and nobody else looks at its text but by what is below.
 *
 * All functions may be called from any thread.
 */
#ifndef BRANCH_REDIRECT_H
#define BRANCH_REDIRECT_H

#include <stdbool.h>

#include "branch/whiteout.h"

/*
 * The redirect of a directory, or of a file without data, in one of the namespaces `spaces` (bits
 * of enum mark_space), allocated: one component, the name beside it; or a path from the branch's
 * root, with its slash first, of one or more components, none of them empty, `.` or `..`. 1; 0:
 * it has none; -EIO: it has one of another form; or negative errno.
 */
int redirect_get(int fd, unsigned int spaces, char **ret);

/* -EOPNOTSUPP where no xattr can be written. */
int redirect_set(const struct whiteout_style *style, int fd, const char *path);

/* Takes all of them away, of all namespaces; 0 also where there was none. */
int redirect_remove(int fd);

/* Whether it is a path, not a name. */
static inline bool redirect_is_path(const char *redirect)
{
	return *redirect == '/';
}

/*
 * Cuts a path before its last component, which is the result; what is left of it is the directory,
 * from the branch's root, "" for the root.
 */
char *redirect_split(char *path);

#endif
