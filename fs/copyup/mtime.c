/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "copyup/mtime.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fd.h"
#include "survive/quiet.h"

struct held_mtime {
	unsigned int n_holders;
	struct timespec times[2]; /* atime is left as it is */
	struct quiet_note *note; /* of the same, for the next worker; or NULL */
};

/* With node->names held. */
static int begin(struct fs *fs, struct node *node, int fd)
{
	struct held_mtime *held;
	struct stat st;
	int r = fd_stat(fd, NULL, &st);

	if (r < 0)
		return r;
	held = malloc(sizeof(*held));
	if (!held)
		return -ENOMEM;
	*held = (struct held_mtime){ .times = { { .tv_nsec = UTIME_OMIT }, st.st_mtim } };
	held->note = quiet_begin(fs_quiet_notes(fs), node->ino, held->times, 0);
	node->held_mtime = held;
	return 0;
}

int mtime_hold(struct fs *fs, struct node *node, int fd, struct mtime *ret)
{
	int r = 0;

	lock_take(&node->names);
	if (!node->held_mtime)
		r = begin(fs, node, fd);
	if (r == 0)
		node->held_mtime->n_holders++;
	lock_release(&node->names);
	if (r == 0)
		*ret = (struct mtime){ .node = node, .fd = fd };
	return r;
}

int mtime_leave_to_kernel(struct fs *fs, struct node *node, int fd, struct mtime *ret)
{
	return fs->config->writeback ? mtime_hold(fs, node, fd, ret) : 0;
}

/* With node->names held. */
static int end(struct node *node, int fd)
{
	struct held_mtime *held = take_ptr(node->held_mtime);
	int r = fd_utimens(fd, held->times);

	quiet_end(held->note);
	free(held);
	return r;
}

int mtime_release(struct mtime *mtime)
{
	struct node *node = take_ptr(mtime->node);
	int r = 0;

	if (!node)
		return 0;
	lock_take(&node->names);
	if (--node->held_mtime->n_holders == 0)
		r = end(node, mtime->fd);
	lock_release(&node->names);
	return r;
}

/* With node->names held: what is put back is what was set last. */
static int replace(struct held_mtime *held, int fd, const struct timespec times[2])
{
	struct stat st = { .st_mtim = times[1] };
	int r = 0;

	if (times[1].tv_nsec == UTIME_NOW)
		r = fd_stat(fd, NULL, &st);
	if (r < 0)
		return r;
	held->times[1] = st.st_mtim;
	/* Dying in the midst of it does no harm: the request was not answered and comes again. */
	if (held->note)
		held->note->times[1] = st.st_mtim;
	return 0;
}

int mtime_set(struct node *node, int fd, const struct timespec times[2])
{
	int r;

	lock_take(&node->names);
	r = fd_utimens(fd, times);
	if (r == 0 && node->held_mtime && times[1].tv_nsec != UTIME_OMIT)
		r = replace(node->held_mtime, fd, times);
	lock_release(&node->names);
	return r;
}
