/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "node/merge.h"

#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "branch/redirect.h"
#include "branch/whiteout.h"

int merge_lower(struct fs *fs, int dirfd, const char *name, struct lower_obj *lower,
		struct lower_obj **ret)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_PATH | O_DIRECTORY, 0);
	cleanup_lower_obj struct lower_obj *found = NULL;
	cleanup_free char *redirect = NULL;
	int r = fd < 0 ? fd : redirect_get(fd, MARKS_ANY, &redirect);

	*ret = NULL;
	if (r == 0 && !redirect && !lower)
		return 0;
	if (r >= 0)
		r = opaque_get(fd);
	if (r < 0 || r == OPAQUE_YES)
		return r < 0 ? r : 0;
	if (redirect) {
		r = lower_follow(fs->lower, lower, redirect, S_IFDIR, &found);
	} else {
		r = whiteout_has_file(dirfd, name);
		if (r > 0)
			return 0;
		if (r == 0)
			r = lower_lookup(lower, name, &found, NULL);
	}
	if (r == LOWER_FOUND && S_ISDIR(found->type))
		*ret = take_ptr(found);
	return r < 0 ? r : 0;
}
