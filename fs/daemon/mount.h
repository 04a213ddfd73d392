/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The mount itself.
 *
 * The processes that call these have one thread.
 */
#ifndef DAEMON_MOUNT_H
#define DAEMON_MOUNT_H

#include "daemon/daemon.h"

/* The descriptor of a mount that mount.fuse3 made for us (drop_privileges), or -1. */
int mount_given_fd(const struct options *options);

/* Mounts, which sets session and fuse_fd; or says why not. 0 or negative errno. */
int mount_make(struct daemon *daemon);

/* Lets go of the session, and leaves the mount. */
void mount_done(struct daemon *daemon);

/*
 * Unmounts our mount, and no other that may be there by now, above it or in its place;
 * what is mapped is written back before, unless `is_dead`: nobody would answer.
 */
void mount_end(struct daemon *daemon, bool is_dead);

#endif
