/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef FS_PROBE_H
#define FS_PROBE_H

#include "fs.h"

/*
 * Finds out by trying, in the scratch directory `scratch` on the filesystem of
 * upper, what can be done there.  Nothing of it is learned later.  0 or negative errno.
 */
int probe_upper(const struct fs_config *config, int scratch, struct caps *ret);

#endif
