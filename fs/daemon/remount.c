/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Other flags for a mount that is there: what `mount -o remount` asks of us. */
#include "daemon/remount.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>

#include "daemon/console.h"
#include "host/mounted.h"

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

int remount(const struct options *options)
{
	int r = mounted_at(options->mountpoint, NULL);

	if (r == MOUNTED_NOTHING || r == MOUNTED_OTHER) {
		console_complain("%s: no cairnfs is mounted there", options->mountpoint);
		return -EINVAL;
	}
	if (r == MOUNTED_CAIRNFS)
		r = mount(NULL, options->mountpoint, NULL, flags_of(options), NULL) < 0 ? -errno
											: 0;
	if (r < 0)
		console_complain("%s: cannot remount: %s", options->mountpoint, strerror(-r));
	return r;
}
