/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/xattr.h"

static const char a[] = "probe-a";
static const char b[] = "probe-b";

static int make_files(int scratch)
{
	cleanup_fd int fd_a = fd_open(scratch, a, O_CREAT | O_WRONLY, 0600);
	cleanup_fd int fd_b = fd_open(scratch, b, O_CREAT | O_WRONLY, 0600);

	return fd_a < 0 ? fd_a : fd_b < 0 ? fd_b : 0;
}

/* Of overlayfs' own prefix, so that it hides the mark where it reads what we wrote. */
static const char *origin_xattr(int scratch, bool user_only)
{
	cleanup_fd int fd = fd_open(scratch, a, O_PATH, 0);

	if (fd >= 0 && !user_only && xattr_set(fd, "trusted.overlay.cairn", "", 0, 0) == 0)
		return "trusted.overlay.cairn";
	if (fd >= 0 && xattr_set(fd, "user.overlay.cairn", "", 0, 0) == 0)
		return "user.overlay.cairn";
	return NULL;
}

int probe_upper(const struct fs_config *config, int scratch, struct caps *ret)
{
	struct caps caps = { 0 };
	ssize_t n;
	int r = whiteout_probe(scratch, config->user_xattrs, &caps.style);

	if (r == 0)
		r = make_files(scratch);
	if (r < 0)
		return r;
	caps.origin_xattr = origin_xattr(scratch, config->user_xattrs);
	caps.can_exchange = fd_rename(scratch, a, scratch, b, RENAME_EXCHANGE) == 0;
	caps.can_rename_whiteout = caps.style.format == WHITEOUT_DEVICE &&
				   fd_rename(scratch, a, scratch, b, RENAME_WHITEOUT) == 0;
	n = xattr_get(config->upper, "system.posix_acl_default", NULL, 0);
	caps.can_acl = n >= 0 || n == -ENODATA;
	unlinkat(scratch, a, 0);
	unlinkat(scratch, b, 0);
	/* A device in the place of a name is only good if it can be put there in one step. */
	if (!caps.can_exchange || !caps.can_rename_whiteout || config->file_whiteouts)
		caps.style.format = WHITEOUT_FILE;
	*ret = caps;
	return 0;
}
