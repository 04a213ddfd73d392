/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The time of a file's last change, where changing the content is not to move it: it is put back
 * when the last of those who change the file at once is done, or by the next worker if this one
 * dies. A time that is set meanwhile takes its place.
 *
 * A plain filesystem says itself when a file was changed. With `writeback=1` Linux does (6.18,
 * fs/fuse): it notes the time of what is done to a file, shows that for as long as it knows the
 * file whatever we answer, and sends it (SETATTR) when it writes the inode back, which is before
 * or after the pages, or not at all if the clock stood still between two changes. So nothing else
 * moves that time in upper: what is sent last is what the kernel has shown.
 *
 * All functions may be called from any thread.
 */
#ifndef COPYUP_MTIME_H
#define COPYUP_MTIME_H

#include "node/fs.h"

/* One who changes the content. */
struct mtime {
	struct node *node; /* whoever has this has a reference; NULL: nothing is held */
	int fd; /* of the file, whose owner outlives this */
};

/*
 * The file that `fd` is open on is about to be changed, and its time stays. 0 or negative errno.
 * Takes node->names.
 */
int mtime_hold(struct fs *fs, struct node *node, int fd, struct mtime *ret);
/* Holds it as mtime_hold if it is the kernel that has the time (writeback=1); else nothing is held.
 */
int mtime_leave_to_kernel(struct fs *fs, struct node *node, int fd, struct mtime *ret);

/* It has been changed: 0, or negative errno if the time cannot be put back. Nothing is held now. */
int mtime_release(struct mtime *mtime);

static inline void mtime_cleanup(struct mtime *mtime)
{
	mtime_release(mtime);
}
#define cleanup_mtime CLEANUP(mtime_cleanup)

/*
 * Sets the times of the node's object in upper, for which `fd` is any descriptor, as
 * utimensat(2) takes them. 0 or negative errno. Takes node->names.
 */
int mtime_set(struct node *node, int fd, const struct timespec times[2]);

#endif
