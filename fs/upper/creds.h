/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who creates: the filesystem sets owner and group itself, in one step with the name. */
#ifndef UPPER_CREDS_H
#define UPPER_CREDS_H

#include <sys/types.h>

#include "upper/upper.h"

/* Who asks, in ids as they are stored. */
struct caller {
	uid_t uid;
	gid_t gid;
	mode_t umask;
};

/*
 * The calling thread creates files as `caller` from here to creds_drop, by the same caller. Nothing
 * is asked of the kernel where that is who we are.
 */
void creds_assume(const struct upper *upper, const struct caller *caller);
void creds_drop(const struct upper *upper, const struct caller *caller);

#endif
