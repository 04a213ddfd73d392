/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "node/orphans.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "upper/orphan.h"
#include "upper/staging.h"

/* A node that was made since the last one went has the orphan from now on. */
static void inherit_orphan(struct node *heir)
{
	lock_take(&heir->lock);
	heir->is_orphan = true;
	lock_release(&heir->lock);
}

static bool has_other_names(const struct stat *st)
{
	return !S_ISDIR(st->st_mode) && st->st_nlink > 1;
}

/* A directory may have marks in it, and to free a large file takes long. */
static bool goes_quickly(const struct stat *st)
{
	enum { SMALL_BLOCKS = 2048 }; /* of 512 bytes */

	return !S_ISDIR(st->st_mode) && (st->st_nlink > 1 || st->st_blocks <= SMALL_BLOCKS);
}

void orphans_remove(struct fs *fs, uint64_t ino)
{
	struct orphan_name name = orphan_name(ino);
	cleanup_node struct node *heir = NULL; /* let go of when the lock is: it may be the next */
	cleanup_staged struct staged staged = { 0 };
	struct stat st;
	int r;

	pthread_mutex_lock(orphan_lock(&fs->upper, ino));
	r = fd_stat(fs->upper.orphans, name.s, &st);
	if (r == 0)
		heir = nodes_get(&fs->nodes, ino);
	if (heir) {
		inherit_orphan(heir);
	} else if (r == 0) {
		if (!has_other_names(&st))
			numbers_drop(&fs->numbers, st.st_ino, ino);
		r = goes_quickly(&st) ? fd_remove_tree(fs->upper.orphans, name.s) : 1;
	}
	if (r == 1) {
		/* It goes with what is staged, when nobody waits for the lock. */
		staged_init(&fs->upper, &staged);
		r = fd_rename(fs->upper.orphans, name.s, staged.dirfd, staged.name, 0);
		if (r == -EPERM && fd_take_flags(fs->upper.orphans, name.s) == 0)
			fd_rename(fs->upper.orphans, name.s, staged.dirfd, staged.name, 0);
	}
	pthread_mutex_unlock(orphan_lock(&fs->upper, ino));
}
