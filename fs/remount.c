/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Other flags for a mount that is there: what `mount -o remount` asks of us. */
#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "daemon.h"

/* Whether what is mounted there, on top, is ours: 1, 0 or negative errno. */
static int is_ours(const char *mountpoint)
{
	FILE *table = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;
	int answer = 0;

	if (!table)
		return -errno;
	while ((entry = getmntent(table))) {
		if (strcmp(entry->mnt_dir, mountpoint) == 0)
			answer = strcmp(entry->mnt_type, "fuse.cairnfs") == 0;
	}
	endmntent(table);
	return answer;
}

static unsigned long flags_of(const struct options *options)
{
	unsigned long flags = MS_REMOUNT;

	flags |= options->read_only ? MS_RDONLY : 0;
	flags |= options->has_suid ? 0 : MS_NOSUID;
	flags |= options->has_dev ? 0 : MS_NODEV;
	flags |= options->has_exec ? 0 : MS_NOEXEC;
	flags |= options->no_dir_atime ? MS_NODIRATIME : 0;
	switch (options->atime) {
	case ATIME_NONE:
		return flags | MS_NOATIME;
	case ATIME_STRICT:
		return flags | MS_STRICTATIME;
	default:
		return flags | MS_RELATIME;
	}
}

int daemon_remount(const struct options *options)
{
	int r = is_ours(options->mountpoint);

	if (r == 0) {
		daemon_complain("%s: no cairnfs is mounted there", options->mountpoint);
		return -EINVAL;
	}
	if (r == 1)
		r = mount(NULL, options->mountpoint, NULL, flags_of(options), NULL) < 0 ? -errno
											: 0;
	if (r < 0)
		daemon_complain("%s: cannot remount: %s", options->mountpoint, strerror(-r));
	return r;
}
