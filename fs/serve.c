/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The worker: opens the branches as one tree, and answers requests. */
#include "op.h"

#include <errno.h>
#include <linux/securebits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <syslog.h>
#include <unistd.h>

#include "daemon.h"
#include "loop.h"
#include "op_seek.h"
#include "timeout.h"

static void print_log(enum fuse_log_level level, const char *format, va_list args)
{
	(void)level;
	vfprintf(stderr, format, args);
}

static bool is_awaited(void *attempts, uint64_t ino)
{
	return attempts_await(attempts, ino);
}

/* An enum loop_end, or negative errno. */
static int serve(struct fs *fs, struct daemon *daemon, const struct supervised *supervised)
{
	struct mount mount = { .fs = fs,
			       .ids = &daemon->options.ids,
			       .has_acl = !daemon->options.no_acl,
			       .timeout = daemon->options.timeout };
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_lowlevel_ops handlers = ops;
	struct fuse_session *session = NULL;
	struct seeker seeker;
	char device[32];
	int r;

	snprintf(device, sizeof(device), "/dev/fd/%d", supervised->fuse_fd);
	if (!isfinite(mount.timeout))
		mount.timeout = 1e9; /* some thirty years: libfuse wants a finite number */
	/* Without handlers the requests are answered ENOSYS, and the kernel makes no more. */
	if (daemon->options.no_xattrs) {
		handlers.getxattr = NULL;
		handlers.setxattr = NULL;
		handlers.listxattr = NULL;
		handlers.removexattr = NULL;
	}
	if (fuse_opt_add_arg(&args, "cairnfs") == 0 &&
	    (!daemon->options.debug || fuse_opt_add_arg(&args, "-d") == 0))
		session = fuse_session_new(&args, &handlers, sizeof(handlers), &mount);
	seeker_init(&seeker, supervised->fuse_fd);
	mount.session = session;
	mount.seeker = &seeker;
	fs->nodes.changed = op_changed;
	fs->nodes.changed_context = session;
	r = session && fuse_session_mount(session, device) == 0 ? 0 : -EIO;
	if (r == 0) {
		attempts_take_over(&supervised->shared->attempts, &fs->nodes);
		if (supervised->is_restart)
			r = fs_drop_orphans(fs, is_awaited, &supervised->shared->attempts);
	}
	if (r == 0)
		r = loop_run(session, supervised, &fs->nodes,
			     daemon->options.foreground ? NULL : daemon_leave_stdio);
	/*
	 * The next one has all there is to know in the memory that we share, as if we had been
	 * killed; to close what it uses would be wrong.
	 */
	if (r == LOOP_HAND_OVER)
		_exit(WORKER_HANDED_OVER);
	fs->nodes.changed = NULL;
	seeker_done(&seeker);
	if (session)
		fuse_session_destroy(session);
	fuse_opt_free_args(&args);
	return r;
}

/* Whether what could not be done now may be possible later. */
static bool is_shortage(int r)
{
	switch (-r) {
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case EAGAIN:
	case ENOSPC:
	case EDQUOT:
		return true;
	default:
		return false;
	}
}

/* Says why there is no mount. */
static void complain(const struct daemon *daemon, int r)
{
	if (r == -EOPNOTSUPP && daemon->options.upperdir)
		daemon_complain("upperdir %s takes no whiteouts%s", daemon->options.upperdir,
				daemon->options.file_whiteouts ? " that are .wh. files"
							       : ", neither devices nor files");
	else
		daemon_complain("%s: %s", daemon->options.mountpoint, strerror(-r));
}

int daemon_serve(struct daemon *daemon, const struct supervised *supervised)
{
	struct fs *fs = NULL;
	int r;

	daemon->stack.config.is_restart = supervised->is_restart;
	daemon->stack.config.kept = &supervised->shared->kept;
	daemon->stack.config.ledger_fd = supervised->ledger_fd;
	/* Whoever waits for the first word waits for the supervisor's. */
	if (supervised->talk >= 0 && daemon->launcher >= 0)
		close(take_fd(&daemon->launcher));
	umask(0);
	/* So that creating files as their owners does not cost the rights to do so. */
	daemon->stack.config.loses_caps = prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0;
	if (daemon->options.debug)
		fuse_set_log_func(print_log);
	r = fs_open(&daemon->stack.config, &fs);
	if (r == FS_STALE_CHAIN)
		syslog(LOG_WARNING, "chain index %s cannot be used: reading the branches",
		       daemon->options.chain);
	if (r >= 0 && fs->config->upper >= 0 && !fs->caps.can_user_xattr && !supervised->is_restart)
		daemon_complain("upperdir %s takes no user xattrs: files lose them when they are "
				"copied up",
				daemon->options.upperdir);
	if (r >= 0 && timeout_max() > 0 && !supervised->is_restart)
		daemon_complain("fs.fuse.max_request_timeout is %u: who waits longer than that, as "
				"for a large file that is copied up, ends the mount",
				timeout_max());
	if (r >= 0)
		r = serve(fs, daemon, supervised);
	/* Another worker goes on, or is to. */
	if (r < 0 && supervised->is_restart)
		fs_leave(fs);
	else
		fs_close(fs);
	if (r < 0)
		complain(daemon, r);
	if (r < 0)
		return is_shortage(r) ? WORKER_SHORT : WORKER_FAILED;
	return WORKER_DONE;
}
