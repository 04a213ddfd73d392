/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whiteouts in upper.  The filesystem leaves a device behind by itself as it renames
 * (RENAME_WHITEOUT).  One that is a file with an xattr is made in the staging directory, and
 * either replaces what stands at the name or changes places with it, so that no lower object
 * shows in between.
 */
#include "upper/hide.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "branch/whiteout.h"
#include "upper/orphan.h"
#include "upper/staging.h"

int hide_place(struct upper *upper, int dirfd, const char *name, unsigned int flags)
{
	cleanup_staged struct staged staged = { 0 };
	int r = upper->caps.style.format == WHITEOUT_XATTR
			? whiteout_admit(&upper->caps.style, dirfd)
			: 0;

	if (r < 0)
		return r;
	staged_init(upper, &staged);
	r = whiteout_create(&upper->caps.style, staged.dirfd, staged.name);
	return r < 0 ? r : staged_publish(&staged, dirfd, name, flags);
}

int hide_free(struct upper *upper, int dirfd, const char *name)
{
	if (upper->caps.style.format == WHITEOUT_XATTR)
		return hide_place(upper, dirfd, name, RENAME_NOREPLACE);
	return whiteout_create(&upper->caps.style, dirfd, name);
}

/* The whiteout waits under the name that the directory is to have, and they change places. */
static int orphan_dir(struct upper *upper, int dirfd, const char *name, const char *orphan)
{
	int r = whiteout_admit(&upper->caps.style, dirfd);

	if (r == 0)
		r = hide_place(upper, upper->orphans, orphan, 0);
	if (r < 0)
		return r;
	r = fd_rename(dirfd, name, upper->orphans, orphan, RENAME_EXCHANGE);
	if (r < 0)
		unlinkat(upper->orphans, orphan, 0);
	return r;
}

int hide_orphaned(struct upper *upper, int dirfd, const char *name, mode_t type, uint64_t ino)
{
	struct orphan_name orphan = orphan_name(ino);

	if (upper->caps.style.format == WHITEOUT_DEVICE)
		return fd_rename(dirfd, name, upper->orphans, orphan.s, RENAME_WHITEOUT);
	if (S_ISDIR(type))
		return orphan_dir(upper, dirfd, name, orphan.s);
	/* Another file's, of an earlier life of the number. */
	unlinkat(upper->orphans, orphan.s, 0);
	if (linkat(dirfd, name, upper->orphans, orphan.s, 0) < 0)
		return -errno;
	return hide_place(upper, dirfd, name, 0);
}
