/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef FS_PROBE_H
#define FS_PROBE_H

#include "fs.h"

/*
 * Finds out by trying, in the scratch directory `scratch` on the filesystem of
 * upper, what can be done there.  Nothing of it is learned later.  0 or negative errno.
 */
int probe_upper(const struct fs_config *config, int scratch, struct caps *ret);

/* For the workers to come, and from one that was before: false if there was none. */
void probe_keep(const struct caps *caps, struct kept_caps *ret);
bool probe_recall(const struct kept_caps *kept, struct caps *ret);

#endif
