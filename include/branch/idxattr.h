/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ids inside extended attributes: users and groups that an ACL names, and the
 * root user whose programs the capabilities of a file are for. They are mapped
 * as owners are (branch/idmap.h), but never squashed.
 *
 * The formats are the kernel's: posix_acl_xattr_header in linux/posix_acl_xattr.h,
 * vfs_cap_data in linux/capability.h. A value of another form is left as it is.
 *
 * All functions may be called from any thread.
 */
#ifndef BRANCH_IDXATTR_H
#define BRANCH_IDXATTR_H

#include <stdbool.h>
#include <sys/types.h>

#include "branch/idmap.h"

/* Whether values of this attribute hold ids. */
bool idxattr_has_ids(const char *name);

/* How many bytes longer than it is a value may become. */
enum { IDXATTR_GROWTH = 4 };

/*
 * The value with the ids that are shown in place of stored ones, in the same buffer; its length.
 * What an ACL says of an id that is not shown is left out, as it is about nobody here, and as the
 * kernel would refuse the whole. -ENODATA: the capabilities are for nobody.
 */
ssize_t idxattr_show(const struct idmaps *maps, const char *name, void *value, size_t size);

/* The same with the ids that are stored in place of shown ones. -EINVAL: one cannot be. */
ssize_t idxattr_store(const struct idmaps *maps, const char *name, void *value, size_t size);

/*
 * Turns the ids in a value that an id-mapped mount shows back into stored ones, with IDMAP_NONE for
 * an id that is in no range. Never fails.
 */
ssize_t idxattr_store_any(const struct idmaps *maps, const char *name, void *value, size_t size);

/* Whether a stored value has no IDMAP_NONE in it; if it has, the value is spoilt. */
bool idxattr_is_whole(const char *name, void *value, size_t size);

#endif
