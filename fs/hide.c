/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whiteouts in upper.  The filesystem leaves a device behind by itself as it renames
 * (RENAME_WHITEOUT).  One that is a file with an xattr is made in the staging directory, and
 * either replaces what stands at the name or changes places with it, so that no lower object
 * shows in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "upper.h"

int hide_place(struct fs *fs, int dirfd, const char *name, unsigned int flags)
{
	cleanup_staged struct staged staged = { 0 };
	int r = fs->caps.style.format == WHITEOUT_XATTR ? whiteout_admit(&fs->caps.style, dirfd)
							: 0;

	if (r < 0)
		return r;
	staged_init(fs, &staged);
	r = whiteout_create(&fs->caps.style, staged.dirfd, staged.name);
	return r < 0 ? r : staged_publish(&staged, dirfd, name, flags);
}

int hide_free(struct fs *fs, int dirfd, const char *name)
{
	if (fs->caps.style.format == WHITEOUT_XATTR)
		return hide_place(fs, dirfd, name, RENAME_NOREPLACE);
	return whiteout_create(&fs->caps.style, dirfd, name);
}

/* The whiteout waits under the name that the directory is to have, and they change places. */
static int orphan_dir(struct fs *fs, int dirfd, const char *name, const char *orphan)
{
	int r = whiteout_admit(&fs->caps.style, dirfd);

	if (r == 0)
		r = hide_place(fs, fs->orphans, orphan, 0);
	if (r < 0)
		return r;
	r = fd_rename(dirfd, name, fs->orphans, orphan, RENAME_EXCHANGE);
	if (r < 0)
		unlinkat(fs->orphans, orphan, 0);
	return r;
}

int hide_orphaned(struct fs *fs, int dirfd, const char *name, mode_t type, uint64_t ino)
{
	struct orphan_name orphan = orphan_name(ino);

	if (fs->caps.style.format == WHITEOUT_DEVICE)
		return fd_rename(dirfd, name, fs->orphans, orphan.s, RENAME_WHITEOUT);
	if (S_ISDIR(type))
		return orphan_dir(fs, dirfd, name, orphan.s);
	/* Another file's, of an earlier life of the number. */
	unlinkat(fs->orphans, orphan.s, 0);
	if (linkat(dirfd, name, fs->orphans, orphan.s, 0) < 0)
		return -errno;
	return hide_place(fs, dirfd, name, 0);
}
