/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What one call of the program holds, and its parts: the mount itself, and the worker. */
#ifndef FS_DAEMON_H
#define FS_DAEMON_H

#include "options.h"
#include "stack.h"
#include "supervisor.h"

struct fuse_session;

struct daemon {
	struct options options;
	struct stack stack;
	struct fuse_session *session; /* of the supervisor: for mounting and unmounting only */
	int fuse_fd; /* the session's */
	int launcher; /* the waiting parent is released through it; -1: none */
	uint64_t mount_id; /* 0: not known */
	char **argv; /* as we were called */
	char *program; /* where we were executed from, and a newer program is to be found */
};

/* Prints one line on stderr, with the program's name before it. */
void daemon_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Points the standard descriptors at nothing: the caller waits for their end. */
void daemon_leave_stdio(void);

/* --- the mount (mount.c) --- */

/* The descriptor of a mount that mount.fuse3 made for us (drop_privileges), or -1. */
int daemon_given_fd(const struct options *options);

/* Mounts, which sets session and fuse_fd; or says why not. 0 or negative errno. */
int daemon_mount(struct daemon *daemon);
/* Lets go of the session, and leaves the mount. */
void daemon_mount_done(struct daemon *daemon);

/*
 * Unmounts our mount, and no other that may be there by now, above it or in its place;
 * what is mapped is written back before, unless `is_dead`: nobody would answer.
 */
void daemon_unmount(struct daemon *daemon, bool is_dead);

/* --- remounting (remount.c) --- */

/*
 * Gives the cairnfs that is mounted at the mount point the flags of `options` (ro, nosuid and
 * their like); all else stays as it was mounted. 0 or negative errno, which it has said.
 */
int daemon_remount(const struct options *options);

/* --- the worker (serve.c) --- */

/* Serves; an enum worker_exit. What it fails for it has said. */
int daemon_serve(struct daemon *daemon, const struct supervised *supervised);

#endif
