/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cairnfs: from the command line to a mount that answers.
 *
 * Three processes take part.  The one that was called waits until the mount
 * answers, and is gone.  Its child, the supervisor, opens the directories and
 * mounts; everything that can be wrong with the arguments is found there, and
 * said on stderr.  The supervisor's child, the worker, serves.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "loop.h"
#include "op.h"
#include "op_seek.h"
#include "options.h"
#include "stack.h"
#include "supervisor.h"

enum { EXIT_USAGE = 2 };

struct daemon {
	struct options options;
	struct stack stack;
	struct fuse_session *session; /* of the supervisor: for mounting and unmounting only */
	int launcher; /* the waiting parent is released through it; -1: none */
};

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("cairnfs: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

/* --- what libfuse is told --- */

/* Keeps the last thing libfuse has said, without its line end and its prefix. */
static char last_words[256];

static void remember(enum fuse_log_level level, const char *format, va_list args)
{
	(void)level;
	vsnprintf(last_words, sizeof(last_words), format, args);
	last_words[strcspn(last_words, "\n")] = '\0';
}

static void print_log(enum fuse_log_level level, const char *format, va_list args)
{
	(void)level;
	vfprintf(stderr, format, args);
}

static int add_option(struct fuse_args *args, const char *format, const char *value)
{
	cleanup_free char *option = NULL;

	if (asprintf(&option, format, value) < 0)
		return -ENOMEM;
	return fuse_opt_add_arg(args, "-o") < 0 || fuse_opt_add_arg(args, option) < 0 ? -ENOMEM : 0;
}

/* The source as it may stand in an option list. */
static char *escape(const char *source)
{
	char *escaped = malloc(2 * strlen(source) + 1), *to = escaped;

	for (; escaped && *source; source++) {
		if (*source == ',' || *source == '\\')
			*to++ = '\\';
		*to++ = *source;
	}
	if (escaped)
		*to = '\0';
	return escaped;
}

static int mount_options(const struct options *options, struct fuse_args *args)
{
	cleanup_free char *source = escape(options->source);
	int r = fuse_opt_add_arg(args, "cairnfs") < 0 || !source ? -ENOMEM : 0;

	if (r == 0)
		r = add_option(args, "fsname=%s", source);
	if (r == 0)
		r = add_option(args, "subtype=cairnfs,default_permissions%s",
			       options->allow_other ? ",allow_other" : "");
	if (r == 0)
		r = add_option(args, options->allow_root ? "allow_root,%s" : "%s",
			       options->has_suid ? "suid" : "nosuid");
	if (r == 0)
		r = add_option(args, options->has_dev ? "dev,%s" : "nodev,%s",
			       options->has_exec ? "exec" : "noexec");
	/* libfuse knows no strictatime, which would change nothing: the kernel keeps what it read.
	 */
	if (r == 0 && options->atime == ATIME_NONE)
		r = add_option(args, "%s", "noatime");
	if (r == 0 && options->no_dir_atime)
		r = add_option(args, "%s", "nodiratime");
	if (r == 0 && (options->read_only || !options->upperdir))
		r = add_option(args, "%s", "ro");
	return r;
}

/* --- the worker --- */

/* Points the standard descriptors at nothing: the caller waits for their end. */
static void leave_stdio(void)
{
	cleanup_fd int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; nothing >= 0 && fd <= 2; fd++)
		dup2(nothing, fd);
}

static int serve(struct fs *fs, struct daemon *daemon, const struct supervised *supervised)
{
	struct mount mount = { .fs = fs,
			       .uids = &daemon->options.uids,
			       .gids = &daemon->options.gids,
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
	if (r == 0 && !daemon->options.foreground)
		leave_stdio();
	if (r == 0) {
		attempts_take_over(&supervised->shared->attempts, &fs->nodes);
		r = loop_run(session, supervised, &fs->nodes);
	}
	fs->nodes.changed = NULL;
	seeker_done(&seeker);
	if (session)
		fuse_session_destroy(session);
	fuse_opt_free_args(&args);
	return r;
}

static int work(void *context, const struct supervised *supervised)
{
	struct daemon *daemon = context;
	struct fs *fs = NULL;
	int r;

	daemon->stack.config.is_restart = supervised->is_restart;
	daemon->stack.config.journal = &supervised->shared->journal;
	daemon->stack.config.quiet = supervised->shared->quiet;
	daemon->stack.config.ledger_fd = supervised->ledger_fd;
	umask(0);
	/* So that creating files as their owners does not cost the rights to do so. */
	prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
	if (daemon->options.debug)
		fuse_set_log_func(print_log);
	r = fs_open(&daemon->stack.config, &fs);
	if (r == FS_STALE_CHAIN)
		syslog(LOG_WARNING, "chain index %s cannot be used: reading the branches",
		       daemon->options.chain);
	if (r >= 0)
		r = serve(fs, daemon, supervised);
	fs_close(fs);
	if (r < 0)
		complain("%s: %s", daemon->options.mountpoint, strerror(-r));
	if (supervised->is_alone) {
		fuse_session_unmount(daemon->session);
		return r < 0 ? WORKER_FAILED : WORKER_DONE;
	}
	/* What the supervisor left us belongs to it, but leak checkers look at us too. */
	fuse_session_destroy(take_ptr(daemon->session));
	stack_done(&daemon->stack);
	options_done(&daemon->options);
	return r < 0 ? WORKER_FAILED : WORKER_DONE;
}

/* --- the supervisor --- */

/* The mount answers: lets go of everything that belongs to the caller, and of the caller. */
static void ready(void *context)
{
	struct daemon *daemon = context;

	stack_note_owner(&daemon->stack, daemon->options.mountpoint);
	if (daemon->launcher < 0)
		return;
	leave_stdio();
	if (write(daemon->launcher, "r", 1) == 1)
		close(take_fd(&daemon->launcher));
}

static void unmount(void *context)
{
	struct daemon *daemon = context;

	fuse_session_unmount(daemon->session);
}

static int mount_it(struct daemon *daemon)
{
	static const struct fuse_lowlevel_ops no_ops;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int r = mount_options(&daemon->options, &args);

	fuse_set_log_func(remember);
	if (r == 0) {
		daemon->session = fuse_session_new(&args, &no_ops, sizeof(no_ops), NULL);
		if (!daemon->session ||
		    fuse_session_mount(daemon->session, daemon->options.mountpoint) < 0)
			r = -EIO;
	}
	fuse_opt_free_args(&args);
	if (r < 0)
		complain("%s: cannot mount%s%s", daemon->options.mountpoint,
			 *last_words ? ": " : "", last_words);
	return r;
}

static int run(struct daemon *daemon)
{
	struct supervisor supervisor = {
		.work = work, .ready = ready, .unmount = unmount, .context = daemon
	};
	cleanup_free char *error = NULL;
	int r = stack_open(&daemon->options, &daemon->stack, &error);

	if (r < 0) {
		complain("%s", error ? error : strerror(-r));
		return r;
	}
	r = stack_mark_volatile(&daemon->stack);
	if (r < 0) {
		complain("workdir %s: %s", daemon->options.workdir, strerror(-r));
		return r;
	}
	supervisor_block(&supervisor.old_mask);
	r = mount_it(daemon);
	if (r < 0)
		return r;
	if (chdir("/") < 0)
		return -errno;
	supervisor.fuse_fd = fuse_session_fd(daemon->session);
	r = daemon->options.no_recover ? serve_alone(&supervisor) : supervise(&supervisor);
	if (r == 0)
		stack_unmark_volatile(&daemon->stack);
	return r;
}

static void daemon_done(struct daemon *daemon)
{
	if (daemon->session)
		fuse_session_destroy(daemon->session);
	stack_done(&daemon->stack);
	options_done(&daemon->options);
}

/* Waits for the daemon's word; if it ends without, its exit status is ours. */
static int wait_for(pid_t pid, int fd)
{
	char byte;
	int status;

	if (read(fd, &byte, 1) == 1)
		return EXIT_SUCCESS;
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return EXIT_FAILURE;
	return WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

/* Goes on in a child that has left the caller's session; the parent does not return. */
static int detach(struct daemon *daemon)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return -errno;
	if (pid > 0) {
		int status;

		close(ends[1]);
		status = wait_for(pid, ends[0]);
		daemon_done(daemon);
		exit(status);
	}
	close(ends[0]);
	daemon->launcher = ends[1];
	setsid();
	return 0;
}

/* The descriptor of a mount that mount.fuse3 made for us (drop_privileges), or -1. */
static int given_fuse_fd(const struct options *options)
{
	int fd;

	return sscanf(options->mountpoint, "/dev/fd/%d", &fd) == 1 && fd > 2 ? fd : -1;
}

/* A descriptor of ours must not come to stand where output is expected. */
static void open_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

/* Lets go of what the caller has open besides: who waits for the end of a pipe, waits for us. */
static void close_inherited(const struct options *options)
{
	unsigned int kept = (unsigned int)given_fuse_fd(options);

	if (kept != ~0u) {
		if (kept > 3)
			close_range(3, kept - 1, 0);
		close_range(kept + 1, ~0u, 0);
	} else {
		close_range(3, ~0u, 0);
	}
}

/* The mount point as it is found from anywhere. */
static int resolve_mountpoint(struct options *options)
{
	struct stat st;
	char *path;

	if (given_fuse_fd(options) >= 0)
		return 0;
	path = realpath(options->mountpoint, NULL);
	if (path && stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		free(take_ptr(path));
		errno = ENOTDIR;
	}
	if (!path) {
		int code = -errno;

		complain("%s: %s", options->mountpoint, strerror(-code));
		return code;
	}
	free(options->mountpoint);
	options->mountpoint = path;
	return 0;
}

int main(int argc, char *argv[])
{
	struct daemon daemon = { .launcher = -1,
				 .stack.config = { .upper = -1, .work = -1, .chain_dir = -1 } };
	cleanup_free char *error = NULL;
	int r;

	open_stdio();
	r = options_parse(argc, argv, &daemon.options, &error);

	if (r < 0) {
		complain("%s", error ? error : strerror(-r));
		options_done(&daemon.options);
		return EXIT_USAGE;
	}
	if (daemon.options.show_help || daemon.options.show_version) {
		fputs(daemon.options.show_help ? options_help
					       : "cairnfs: version " PACKAGE_VERSION "\n",
		      stdout);
		options_done(&daemon.options);
		return EXIT_SUCCESS;
	}
	close_inherited(&daemon.options);
	openlog("cairnfs", LOG_PID | (daemon.options.foreground ? LOG_PERROR : 0), LOG_DAEMON);
	r = resolve_mountpoint(&daemon.options);
	if (r == 0 && !daemon.options.foreground)
		r = detach(&daemon);
	if (r == 0)
		r = run(&daemon);
	daemon_done(&daemon);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
