/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "upper/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
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

/* Of both namespaces, in the order in which they are kept; overlayfs hides what has its prefix. */
static const char *const prefixes[] = { NULL, "trusted.overlay.", "user.overlay." };
static const char *const origins[] = { NULL, "trusted.overlay.cairn", "user.overlay.cairn" };
enum { N_SPACES = 3 };

static uint32_t number_of(const char *const list[], const char *name)
{
	uint32_t i = N_SPACES - 1;

	while (i > 0 && (!name || strcmp(list[i], name) != 0))
		i--;
	return i;
}

void probe_keep(const struct caps *caps, struct kept_caps *ret)
{
	ret->format = caps->style.format;
	ret->marks = number_of(prefixes, caps->style.xattr_prefix);
	ret->origin = number_of(origins, caps->origin_xattr);
	ret->can_exchange = caps->can_exchange;
	ret->can_rename_whiteout = caps->can_rename_whiteout;
	ret->can_acl = caps->can_acl;
	ret->can_user_xattr = caps->can_user_xattr;
	__atomic_store_n(&ret->is_kept, 1, __ATOMIC_RELEASE);
}

bool probe_recall(const struct kept_caps *kept, struct caps *ret)
{
	if (!kept->is_kept || kept->marks >= N_SPACES || kept->origin >= N_SPACES)
		return false;
	*ret = (struct caps){ .style = { .format = kept->format,
					 .xattr_prefix = prefixes[kept->marks] },
			      .can_exchange = kept->can_exchange,
			      .can_rename_whiteout = kept->can_rename_whiteout,
			      .can_acl = kept->can_acl,
			      .can_user_xattr = kept->can_user_xattr,
			      .origin_xattr = origins[kept->origin] };
	return true;
}

/* Of overlayfs' own prefix, so that it hides the mark where it reads what we wrote. */
static const char *origin_xattr(int scratch, bool user_only)
{
	cleanup_fd int fd = fd_open(scratch, a, O_PATH, 0);

	for (int i = user_only ? 2 : 1; fd >= 0 && i < N_SPACES; i++) {
		if (xattr_set(fd, origins[i], "", 0, 0) == 0)
			return origins[i];
	}
	return NULL;
}

/* A device in the place of a name is only good if it can be put there in one step. */
static bool can_rename_whiteout(int scratch)
{
	struct stat st;

	return fd_rename(scratch, a, scratch, b, RENAME_WHITEOUT) == 0 &&
	       fd_stat(scratch, a, &st) == 0 && whiteout_is_device(&st);
}

/* What whiteouts may be, where they can be: those in the place of a directory need an exchange. */
static unsigned int formats_for(const struct fs_config *config, const struct caps *caps)
{
	unsigned int formats = WHITEOUT_AS_FILE;

	if (config->file_whiteouts)
		return formats;
	if (caps->can_exchange && caps->can_rename_whiteout)
		formats |= WHITEOUT_AS_DEVICE;
	if (caps->can_exchange)
		formats |= WHITEOUT_AS_XATTR;
	return formats;
}

/* Times are cut down to a multiple of this, as far as one can tell from those of one second. */
static unsigned int time_unit(int scratch)
{
	const struct timespec latest = { 1, 999999999 }, times[2] = { latest, latest };
	cleanup_fd int fd = fd_open(scratch, a, O_PATH, 0);
	struct stat st;

	if (fd < 0 || fd_utimens(fd, times) < 0 || fd_stat(fd, NULL, &st) < 0)
		return 1;
	return 1000000000 - (unsigned int)st.st_mtim.tv_nsec;
}

int probe_upper(const struct fs_config *config, int scratch, struct caps *ret)
{
	struct caps caps = { 0 };
	ssize_t n;
	int r = make_files(scratch);

	if (r < 0)
		return r;
	caps.origin_xattr = origin_xattr(scratch, config->user_xattrs);
	caps.can_exchange = fd_rename(scratch, a, scratch, b, RENAME_EXCHANGE) == 0;
	caps.can_rename_whiteout = can_rename_whiteout(scratch);
	n = xattr_get(config->upper, "system.posix_acl_default", NULL, 0);
	caps.can_acl = n >= 0 || n == -ENODATA;
	n = xattr_get(config->upper, "user.cairn.probe", NULL, 0);
	caps.can_user_xattr = n >= 0 || n == -ENODATA;
	if (config->writeback)
		caps.time_unit = time_unit(scratch);
	unlinkat(scratch, a, 0);
	unlinkat(scratch, b, 0);
	r = whiteout_probe(scratch, formats_for(config, &caps), config->user_xattrs, &caps.style);
	if (r < 0)
		return r;
	*ret = caps;
	return 0;
}
