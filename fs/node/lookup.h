/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Looking a name up: upper first, then lower, then which node that is.
 *
 * The number of a directory that has a lower part is that part's; of anything
 * in upper else, the one that numbers_get gives; of anything in lower, its
 * own.  A lower file whose number belongs to a node that is in upper already
 * is that node: another name of a file that has been copied up.
 *
 * All functions may be called from any thread.
 */
#ifndef NODE_LOOKUP_H
#define NODE_LOOKUP_H

#include <sys/stat.h>

#include "base/cleanup.h"
#include "node/fs.h"

/* What a name was found to be: what its node is made from, if there is none yet. */
struct found {
	struct node made; /* ino, type, has_upper, real, lower (a reference), has_data_place */
	struct stat st; /* of upper or of lower, not completed */
};

static inline void found_done(struct found *found)
{
	lower_unref(found->made.lower);
}
#define cleanup_found CLEANUP(found_done)

/*
 * What stands at a name, found_done in any case: FS_FOUND; FS_ABSENT; LOOKUP_SHARED: found, a lower
 * file of several names, the copy of which may stand at another of them and is then to be given
 * this name first (copyup/rejoin.h); -ENAMETOOLONG; or another negative errno.
 */
enum { LOOKUP_SHARED = 2 };
int lookup_find(struct fs *fs, struct node *dir, const char *name, struct found *ret);

/*
 * The node of what was found, with this name noted: FS_FOUND with *ret a reference; -ESTALE: its
 * number is another object's; or another negative errno.
 */
int lookup_node(struct fs *fs, struct node *dir, const char *name, const struct node *made,
		struct node **ret);

/* Both, for directories: FS_ABSENT also for what would be LOOKUP_SHARED. */
int lookup_step(struct fs *fs, struct node *dir, const char *name, struct node **ret);

#endif
