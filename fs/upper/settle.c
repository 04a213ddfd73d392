/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "upper/settle.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/copy.h"
#include "base/fd.h"

enum { JOURNAL_INO = 8 }; /* of ext4, where its journal is a file of its own */

/*
 * Each journal of ext4 is listed, one on the same disk with its inode's number. With
 * journal_async_commit the disk's cache is not flushed before the journal has the name.
 */
static bool has_journal(int dir)
{
	char link[64], target[PATH_MAX], path[PATH_MAX + 64], options[4096];
	const char *name;
	struct stat st;
	ssize_t n;

	if (fstat(dir, &st) < 0)
		return false;
	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	snprintf(path, sizeof(path), "/proc/fs/jbd2/%s-%d", name, JOURNAL_INO);
	if (access(path, F_OK) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/fs/ext4/%s/options", name);
	return fd_read_text(path, options, sizeof(options)) > 0 &&
	       !strstr(options, "journal_async_commit");
}

/* New files of an xfs may get their data on another disk, whose cache the journal does not flush.
 */
static bool has_other_disk(int dir)
{
	struct fsxattr attributes;

	return ioctl(dir, FS_IOC_FSGETXATTR, &attributes) < 0 ||
	       (attributes.fsx_xflags & FS_XFLAG_RTINHERIT);
}

enum settling settling_of(int dir)
{
	struct statfs st;

	if (fstatfs(dir, &st) < 0)
		return SETTLE_BY_FSYNC;
	switch (st.f_type) {
	case XFS_SUPER_MAGIC:
		return has_other_disk(dir) ? SETTLE_BY_FSYNC : SETTLE_BY_ORDER;
	case EXT4_SUPER_MAGIC:
		return has_journal(dir) ? SETTLE_BY_ORDER : SETTLE_BY_FSYNC;
	default:
		return SETTLE_BY_FSYNC;
	}
}

int settle(enum settling how, int fd, int copied)
{
	const unsigned int all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				 SYNC_FILE_RANGE_WAIT_AFTER;
	int r = 0;

	if (how == SETTLE_BY_FSYNC)
		r = fsync(fd);
	else if (how == SETTLE_BY_ORDER && copied != COPY_CLONED)
		r = sync_file_range(fd, 0, 0, all);
	return r < 0 ? -errno : 0;
}
