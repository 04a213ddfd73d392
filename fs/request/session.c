/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "request/session.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/process.h"
#include "request/loop.h"
#include "request/op.h"
#include "request/op_seek.h"
#include "request/talk.h"

/* --- mounting --- */

/* Keeps the last thing libfuse has said, without its line end and its prefix. */
static char last_words[256];

static void remember(enum fuse_log_level level, const char *format, va_list args)
{
	(void)level;
	vsnprintf(last_words, sizeof(last_words), format, args);
	last_words[strcspn(last_words, "\n")] = '\0';
}

int session_mount(const char *options, const char *mountpoint, struct fuse_session **ret,
		  const char **why)
{
	static const struct fuse_lowlevel_ops no_ops;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session = NULL;
	int r = fuse_opt_add_arg(&args, "cairnfs") < 0 || fuse_opt_add_arg(&args, "-o") < 0 ||
				fuse_opt_add_arg(&args, options) < 0
			? -ENOMEM
			: 0;

	fuse_set_log_func(remember);
	if (r == 0) {
		session = fuse_session_new(&args, &no_ops, sizeof(no_ops), NULL);
		if (!session || fuse_session_mount(session, mountpoint) < 0)
			r = -EIO;
	}
	fuse_opt_free_args(&args);
	*ret = session;
	*why = last_words;
	return r;
}

int session_fd(struct fuse_session *session)
{
	return fuse_session_fd(session);
}

void session_unmount(struct fuse_session *session)
{
	fuse_session_unmount(session);
}

void session_free(struct fuse_session *session)
{
	if (session)
		fuse_session_destroy(session);
}

/* --- serving --- */

static void print_log(enum fuse_log_level level, const char *format, va_list args)
{
	(void)level;
	vfprintf(stderr, format, args);
}

static bool is_awaited(void *attempts, uint64_t ino)
{
	return attempts_await(attempts, ino);
}

int session_serve(struct fs *fs, const struct session_config *config,
		  const struct supervised *supervised, void (*begun)(void))
{
	struct mount mount = { .fs = fs,
			       .ids = config->ids,
			       .has_acl = config->has_acl,
			       .has_xattrs = config->has_xattrs,
			       .timeout = config->timeout };
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_lowlevel_ops handlers;
	struct fuse_session *session = NULL;
	struct seeker seeker;
	char device[32];
	int r = 0;

	if (config->debug)
		fuse_set_log_func(print_log);
	snprintf(device, sizeof(device), "/dev/fd/%d", supervised->fuse_fd);
	if (!isfinite(mount.timeout))
		mount.timeout = 1e9; /* some thirty years: libfuse wants a finite number */
	if (fs->config->passthrough && (process_is_privileged() || supervised->helper_fd >= 0))
		r = opened_init(fs, supervised, &mount.opened);
	handlers = op_table(&mount);
	if (r == 0 && fuse_opt_add_arg(&args, "cairnfs") == 0 &&
	    (!config->debug || fuse_opt_add_arg(&args, "-d") == 0))
		session = fuse_session_new(&args, &handlers, sizeof(handlers), &mount);
	seeker_init(&seeker, supervised->fuse_fd);
	mount.session = session;
	mount.seeker = &seeker;
	fs->nodes.changed = op_changed;
	fs->nodes.changed_context = &mount;
	fs->nodes.forgotten = mount.opened ? op_forgotten : NULL;
	fs->nodes.forgotten_context = &mount;
	if (r == 0 && (!session || fuse_session_mount(session, device) != 0))
		r = -EIO;
	if (r == 0) {
		attempts_take_over(&supervised->shared->attempts, &fs->nodes);
		if (supervised->is_restart)
			r = fs_drop_orphans(fs, is_awaited, &supervised->shared->attempts);
	}
	if (r == 0)
		r = loop_run(session, supervised, &fs->nodes, begun);
	/*
	 * The next one has all there is to know in the memory that we share, as if we had been
	 * killed; to close what it uses would be wrong.
	 */
	if (r == LOOP_HAND_OVER)
		_exit(WORKER_HANDED_OVER);
	fs->nodes.changed = NULL;
	fs->nodes.forgotten = NULL;
	opened_done(mount.opened, r >= 0);
	seeker_done(&seeker);
	if (session)
		fuse_session_destroy(session);
	fuse_opt_free_args(&args);
	return r;
}
