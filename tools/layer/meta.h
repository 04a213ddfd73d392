/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owner, mode, times and extended attributes of an archive entry, and how they
 * get onto an object in a layer.
 */
#ifndef LAYER_META_H
#define LAYER_META_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "value/error.h"

struct archive_entry;

/* Where what the caller may not do itself is written for the mount to show. */
struct meta {
	mode_t mode; /* type and permissions */
	uid_t uid;
	gid_t gid;
	dev_t rdev;
	struct timespec times[2]; /* access, modification */
	/* For extended attributes and ACLs; NULL: none.  The archive's. */
	struct archive_entry *entry;
};

/* -EOVERFLOW: an owner or a device number that the system cannot hold. */
int meta_read(struct archive_entry *entry, struct error *error, struct meta *ret);

/* A directory that the archive does not mention: root's, 0755, now. */
struct meta meta_of_missing_directory(void);

/*
 * Gives the object `fd` (an O_PATH descriptor, or one open for writing if it
 * is a regular file) all of `meta` but a default ACL, which would spread to what is
 * made inside later: meta_set_default_acl does that at the end.
 *
 * Unless `privileged`, what the system refuses is written beside it
 * (branch/override.h), and the object stays readable and writable for its owner.
 * `stands_in`: the object is a regular file in place of a node that could not be made.
 */
int meta_apply(const struct meta *meta, int fd, bool privileged, bool stands_in,
	       struct error *error);

/* The default ACL of an entry as the xattr holds it, allocated, or NULL and 0. */
int meta_default_acl(const struct meta *meta, void **ret, size_t *ret_size);

#endif
