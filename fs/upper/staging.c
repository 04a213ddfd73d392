/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "upper/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/copy.h"
#include "base/fd.h"
#include "base/xattr.h"

void staged_init(struct upper *upper, struct staged *ret)
{
	*ret = (struct staged){ .upper = upper, .dirfd = upper->staging, .inherit = -1 };
	snprintf(ret->name, sizeof(ret->name), "%lx",
		 atomic_fetch_add_explicit(&upper->n_staged, 1, memory_order_relaxed));
}

static bool is_inherited(const char *name)
{
	return strcmp(name, "system.posix_acl_default") == 0;
}

int staged_init_like(struct upper *upper, int dirfd, struct staged *ret)
{
	struct stat st;
	int r = fd_stat(dirfd, NULL, &st);

	staged_init(upper, ret);
	if (r < 0)
		return r;
	if (!(st.st_mode & S_ISGID) && xattr_get(dirfd, "system.posix_acl_default", NULL, 0) <= 0)
		return 0;
	if (mkdirat(upper->staging, ret->name, 0700) < 0)
		return -errno;
	ret->inherit = fd_open(upper->staging, ret->name, O_PATH | O_DIRECTORY, 0);
	if (ret->inherit < 0)
		return ret->inherit;
	ret->dirfd = ret->inherit;
	r = fd_chown(ret->inherit, st.st_uid, st.st_gid);
	if (r == 0)
		r = fd_chmod(ret->inherit, st.st_mode & 07777);
	if (r == 0)
		r = copy_xattrs(dirfd, ret->inherit, is_inherited);
	return r;
}

void staged_done(struct staged *staged)
{
	if (!staged->upper)
		return;
	if (!staged->is_published)
		fd_remove_tree(staged->dirfd, staged->name);
	if (staged->inherit >= 0) {
		close(staged->inherit);
		fd_remove_tree(staged->upper->staging, staged->name);
	}
}

int staged_publish(struct staged *staged, int dirfd, const char *name, unsigned int flags)
{
	int r = fd_rename(staged->dirfd, staged->name, dirfd, name, flags);

	/* Filesystems without renameat2's flags: the caller has seen that the name is free. */
	if (r == -EINVAL && flags == RENAME_NOREPLACE)
		r = fd_rename(staged->dirfd, staged->name, dirfd, name, 0);
	staged->is_published = r == 0 && !(flags & RENAME_EXCHANGE);
	return r;
}
