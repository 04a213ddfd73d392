/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What one call of the program holds. */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <stdint.h>

#include "daemon/directories.h"
#include "daemon/options.h"

struct fuse_session;

struct daemon {
	struct options options;
	struct directories directories;
	struct fuse_session *session; /* of the supervisor: for mounting and unmounting only */
	int fuse_fd; /* the session's */
	int launcher; /* the waiting parent is released through it; -1: none */
	uint64_t mount_id; /* 0: not known */
	char **argv; /* as we were called */
	char *program; /* where we were executed from, and a newer program is to be found */
};

#endif
