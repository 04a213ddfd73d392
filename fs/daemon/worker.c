/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The worker: opens the branches as one tree, and answers requests. */
#include "daemon/worker.h"

#include <errno.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "daemon/console.h"
#include "request/session.h"
#include "request/talk.h"
#include "request/timeout.h"
#include "verb/verbs.h"

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
		console_complain("upperdir %s takes no whiteouts%s", daemon->options.upperdir,
				 daemon->options.file_whiteouts ? " that are .wh. files"
								: ", neither devices nor files");
	else
		console_complain("%s: %s", daemon->options.mountpoint, strerror(-r));
}

int worker_serve(struct daemon *daemon, const struct supervised *supervised)
{
	const struct session_config session = { .ids = &daemon->options.ids,
						.timeout = daemon->options.timeout,
						.has_acl = !daemon->options.no_acl,
						.has_xattrs = !daemon->options.no_xattrs,
						.debug = daemon->options.debug };
	struct fs *fs = NULL;
	int r;

	daemon->directories.config.is_restart = supervised->is_restart;
	daemon->directories.config.kept = &supervised->shared->kept;
	daemon->directories.config.ledger_fd = supervised->ledger_fd;
	/* Whoever waits for the first word waits for the supervisor's. */
	if (supervised->talk >= 0 && daemon->launcher >= 0)
		close(take_fd(&daemon->launcher));
	umask(0);
	/* So that creating files as their owners does not cost the rights to do so. */
	daemon->directories.config.loses_caps = prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) <
						0;
	r = fs_open(&daemon->directories.config, &fs);
	if (r == FS_STALE_CHAIN)
		syslog(LOG_WARNING, "chain index %s cannot be used: reading the branches",
		       daemon->options.chain);
	if (r >= 0 && fs->config->upper >= 0 && !fs->upper.caps.can_user_xattr &&
	    !supervised->is_restart)
		console_complain("upperdir %s takes no user xattrs: files lose them when they are "
				 "copied up",
				 daemon->options.upperdir);
	if (r >= 0 && timeout_max() > 0 && !supervised->is_restart)
		console_complain(
			"fs.fuse.max_request_timeout is %u: who waits longer than that, as "
			"for a large file that is copied up, ends the mount",
			timeout_max());
	if (r >= 0)
		r = session_serve(fs, &session, supervised,
				  daemon->options.foreground ? NULL : console_leave);
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
