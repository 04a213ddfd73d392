/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the filesystem of upper and the kernel can do; found out by trying, once for a mount.
 *
 * All functions may be called from any thread.
 */
#ifndef UPPER_PROBE_H
#define UPPER_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "branch/whiteout.h"
#include "upper/fs_config.h"

struct caps {
	struct whiteout_style style;
	bool can_exchange; /* RENAME_EXCHANGE */
	bool can_rename_whiteout; /* RENAME_WHITEOUT */
	bool can_acl; /* POSIX ACLs are kept */
	bool can_user_xattr; /* xattrs of the user namespace are */
	const char *origin_xattr; /* of the trusted or user namespace; NULL: none */
	/*
	 * What times of upper are multiples of, in nanoseconds, for the kernel to know before
	 * the first request. 0: not asked for, as without writeback, or in a later worker.
	 */
	unsigned int time_unit;
};

/*
 * What the first worker of a mount has found out, and those after it go by: they could
 * find something else, on a disk that is full or with another index, and the kernel has
 * been told what goes with the first.
 */
struct kept_caps {
	uint32_t is_kept; /* the rest is there */
	uint32_t format, marks, origin; /* as probe.c numbers them */
	uint32_t can_exchange, can_rename_whiteout, can_acl, can_user_xattr;
};

/*
 * Tries in the scratch directory `scratch`, on the filesystem of upper. 0; -EOPNOTSUPP: it takes no
 * whiteouts of any kind; or another negative errno.
 */
int probe_upper(const struct fs_config *config, int scratch, struct caps *ret);

/* For the workers to come, and from one that was before: false if there was none. */
void probe_keep(const struct caps *caps, struct kept_caps *ret);
bool probe_recall(const struct kept_caps *kept, struct caps *ret);

#endif
