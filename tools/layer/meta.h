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

#include "layer/acl.h"
#include "layer/layer.h"
#include "value/error.h"

struct archive_entry;

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
 * made inside later, and the entries of its ACL that hold a name and no number, which cannot be
 * resolved yet: the end of the layer (layer_late) is the time for both.
 *
 * Unless the site is privileged, what the system refuses is written beside it
 * (branch/override.h), and the object stays readable and writable for its owner.
 * `stands_in`: the object is a regular file in place of a node that could not be made.
 * Attributes that cannot be here are left out and noted in the site's loss, unless they are about
 * who may do what and the site is not lossy: -EOPNOTSUPP.
 */
int meta_apply(const struct meta *meta, int fd, const struct layer_site *site, bool stands_in,
	       struct error *error);

/* Whether its access ACL has entries with a name and no number. */
bool meta_has_names(const struct meta *meta);

extern const char meta_access_acl[], meta_default_acl[]; /* the attributes that hold them */

/* The last attribute of the entry called meta_default_acl, which is the archive's; 0 if there is
 * none. */
size_t meta_raw_default_acl(const struct meta *meta, const void **ret);

/*
 * What becomes of the refusal r of an attribute: 0, and it is noted, or a negative errno with
 * `error` set.
 */
int meta_refused(const struct meta *meta, const struct layer_site *site, const char *name, int r,
		 struct error *error);

#endif
