/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "verb/killer.h"

#include <sys/stat.h>

#include "node/object.h"
#include "upper/owner.h"

/* With node->names held, as for every change of a file's mode: 1 if bits were taken, 0, or -errno.
 */
static int take_suidgid(struct fs *fs, int fd, const struct killer *killer)
{
	struct stat st;
	mode_t mode;
	int r = owner_stat(&fs->upper, fd, NULL, &st);

	if (r < 0 || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode))
		return r;
	mode = st.st_mode & ~(mode_t)S_ISUID;
	if (mode & S_ISGID && (mode & S_IXGRP || !killer->is_member(killer, st.st_gid)))
		mode &= ~(mode_t)S_ISGID;
	if (mode == st.st_mode)
		return 0;
	r = owner_set_mode(&fs->upper, fd, mode);
	return r < 0 ? r : 1;
}

int killer_strike_fd(struct fs *fs, struct node *node, int fd, const struct killer *killer)
{
	int r;

	lock_take(&node->names);
	r = take_suidgid(fs, fd, killer);
	lock_release(&node->names);
	if (r == 1 && killer->killed)
		killer->killed(killer, node);
	return r < 0 ? r : 0;
}

int killer_strike(struct fs *fs, struct node *node, const struct killer *killer)
{
	int r = 0;
	cleanup_fd_ref struct fd_ref *ref = object_open(fs, node, &r);

	return ref ? killer_strike_fd(fs, node, ref->fd, killer) : r;
}
