/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "upper/verdict.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/fd.h"
#include "branch/whiteout.h"

int verdict_on(int dirfd, const char *name, struct stat *st)
{
	int r = fd_stat(dirfd, name, st);

	if (r == -ENOENT) {
		r = whiteout_has_file(dirfd, name);
		return r < 0 ? r : r ? UPPER_HIDDEN : UPPER_NOTHING;
	}
	if (r < 0)
		return r;
	return whiteout_is_at(dirfd, name, st) ? UPPER_WHITEOUT : UPPER_OBJECT;
}

int verdict_on_new(const char *name)
{
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	return whiteout_is_mark_name(name) ? -EINVAL : 0;
}
