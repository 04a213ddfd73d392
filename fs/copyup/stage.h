/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The copy of a lower object, as it is made in the staging directory.
 *
 * All functions may be called from any thread.
 */
#ifndef COPYUP_STAGE_H
#define COPYUP_STAGE_H

#include <sys/stat.h>

#include "node/fs.h"
#include "upper/staging.h"

/* How much of a file's content is needed, in bytes; of one that is only to have other attributes:
 */
enum { STAGE_NO_CONTENT = -1 };

struct copy {
	struct stat st; /* of the original */
	ino_t real; /* its inode number */
	bool has_data;
};

/*
 * Makes the whole copy of `lower`, the lower part of `node`, under the staged name, of what ret->st
 * says: owner, mode, times, attributes, flags, and content, which is durable if the mount wants
 * that. 0; -EOVERFLOW: it belongs to an id that has none here; or another negative errno.
 */
int stage_copy(struct fs *fs, struct node *node, struct lower_obj *lower, off_t limit,
	       struct staged *staged, struct copy *ret);

#endif
