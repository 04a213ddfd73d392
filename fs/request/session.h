/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libfuse's session: mounting by it, and serving what is mounted.
 *
 * For the thread that mounts, or serves.
 */
#ifndef REQUEST_SESSION_H
#define REQUEST_SESSION_H

#include <stdbool.h>

#include "branch/idmap.h"
#include "node/fs.h"
#include "request/supervised.h"

struct fuse_session;

/*
 * Mounts at `mountpoint` with the mount options `options`, in one list with commas: 0; -ENOMEM; or
 * -EIO, with *why what libfuse says of it, a line that is good until the next call, or empty.
 * *ret is for session_free, whatever the result.
 */
int session_mount(const char *options, const char *mountpoint, struct fuse_session **ret,
		  const char **why);

/* The open /dev/fuse. */
int session_fd(struct fuse_session *session);

/* Unmounts what session_mount did, by fusermount3 where that takes it. */
void session_unmount(struct fuse_session *session);

/* Accepts NULL. */
void session_free(struct fuse_session *session);

struct session_config {
	const struct idmaps *ids; /* how ids are shown */
	double timeout; /* seconds; how long the kernel may keep names and attributes */
	bool has_acl; /* what the kernel is to do itself */
	bool has_xattrs;
	bool debug; /* requests are logged to stderr */
};

/*
 * Answers requests; `begun` (if not NULL) as of loop_run. An enum loop_end, or negative errno. It
 * does not return when another worker goes on: then the process ends with WORKER_HANDED_OVER.
 */
int session_serve(struct fs *fs, const struct session_config *config,
		  const struct supervised *supervised, void (*begun)(void));

#endif
