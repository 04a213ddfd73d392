/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Other flags for a mount that is there: what `mount -o remount` asks of us.
 *
 * The processes that call these have one thread.
 */
#ifndef DAEMON_REMOUNT_H
#define DAEMON_REMOUNT_H

#include "daemon/options.h"

/*
 * Gives the cairnfs that is mounted at the mount point the flags of `options` (ro, nosuid and
 * their like); all else stays as it was mounted. 0 or negative errno, which it has said.
 */
int remount(const struct options *options);

#endif
