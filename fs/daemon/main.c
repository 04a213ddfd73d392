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
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "base/fd.h"
#include "daemon/console.h"
#include "daemon/daemon.h"
#include "daemon/mount.h"
#include "daemon/remount.h"
#include "daemon/successor.h"
#include "daemon/supervisor.h"
#include "daemon/worker.h"
#include "host/backing.h"
#include "host/claim.h"
#include "host/mounted.h"
#include "host/process.h"
#include "request/talk.h"

enum { EXIT_USAGE = 2 };

/* --- the supervisor --- */

static int work(void *context, const struct supervised *supervised)
{
	return worker_serve(context, supervised);
}

static void unmount(void *context, bool is_dead)
{
	mount_end(context, is_dead);
}

static void let_go(void *context)
{
	struct daemon *daemon = context;

	directories_unmark_volatile(&daemon->directories);
	directories_let_go(&daemon->directories);
}

/* Without a note, cairn umount goes by the place and the image. */
static void note_claim(const struct daemon *daemon)
{
	int r = claim_note(daemon->directories.config.claim, daemon->options.mountpoint);

	if (r < 0)
		syslog(LOG_WARNING, "%s: noting whose the work directory is: %s",
		       daemon->options.mountpoint, strerror(-r));
}

/* The mount answers: lets go of everything that belongs to the caller, and of the caller. */
static void ready(void *context, uint64_t *dev)
{
	struct daemon *daemon = context;

	if (mount_given_fd(&daemon->options) < 0)
		daemon->mount_id = mounted_id(daemon->options.mountpoint, dev);
	if (daemon->directories.config.claim >= 0)
		note_claim(daemon);
	if (daemon->launcher < 0)
		return;
	console_leave();
	if (write(daemon->launcher, "r", 1) == 1)
		close(take_fd(&daemon->launcher));
}

/* The program that is installed now, or the reason why there is none that can be executed. */
static int open_program(const struct daemon *daemon, uint64_t dev, const char **reason)
{
	cleanup_fd int fd = -1;
	struct stat st;

	if (!daemon->program) {
		*reason = "it is not known where it is";
		return -ENOENT;
	}
	fd = open(daemon->program, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		*reason = strerror(errno);
		return -errno;
	}
	*reason = !S_ISREG(st.st_mode) ? "not a program"
		  : st.st_dev == dev   ? "on the mount itself"
				       : NULL;
	return *reason ? -EINVAL : take_fd(&fd);
}

static void execute(void *context, const struct supervised *supervised, int program_fd)
{
	struct daemon *daemon = context;
	const char *reason = NULL;
	char text[MOUNT_NOTE_TEXT];
	int fd = program_fd;

	if (fd < 0)
		fd = open_program(daemon, supervised->shared->note.dev, &reason);
	if (fd >= 0)
		reason = strerror(-successor_execute(fd, daemon->argv, supervised,
						     &daemon->directories.config));
	snprintf(text, sizeof(text), "%s: %s", daemon->program ? daemon->program : "the program",
		 reason);
	send(supervised->talk, text, strlen(text), MSG_NOSIGNAL);
}

/* The helper for who may not give the kernel files to read and write itself, or -1. */
static int find_helper(const struct daemon *daemon)
{
	int fd;

	if (daemon->options.io != IO_PASSTHROUGH || process_is_privileged())
		return -1;
	fd = backing_connect(daemon->fuse_fd, BACKING_SOCKET);
	if (fd < 0)
		console_complain(
			"io=passthrough takes root, or cairn-backing(8): %s: %s; files are "
			"read and written by requests",
			BACKING_SOCKET, strerror(-fd));
	return fd;
}

static int run(struct daemon *daemon)
{
	struct supervisor supervisor = { .work = work,
					 .execute = execute,
					 .ready = ready,
					 .unmount = unmount,
					 .let_go = let_go,
					 .context = daemon };
	cleanup_free char *error = NULL;
	int r = directories_open(&daemon->options, &daemon->directories, &error);

	if (r < 0) {
		console_complain("%s", error ? error : strerror(-r));
		return r;
	}
	r = directories_mark_volatile(&daemon->directories);
	if (r < 0) {
		console_complain("workdir %s: %s", daemon->options.workdir, strerror(-r));
		return r;
	}
	supervisor_block(&supervisor.old_mask);
	r = mount_make(daemon);
	if (r < 0)
		return r;
	if (chdir("/") < 0)
		return -errno;
	supervisor.fuse_fd = daemon->fuse_fd;
	supervisor.helper_fd = find_helper(daemon);
	r = daemon->options.no_recover ? serve_alone(&supervisor) : supervise(&supervisor);
	if (r == 0)
		directories_unmark_volatile(&daemon->directories);
	else if (r < 0)
		console_complain("%s: cannot serve: %s", daemon->options.mountpoint,
				 r == -ECHILD ? "the process that was to serve it was killed"
					      : strerror(-r));
	return r == SUPERVISE_SAID ? -EIO : r;
}

static void daemon_done(struct daemon *daemon)
{
	mount_done(daemon);
	directories_done(&daemon->directories);
	options_done(&daemon->options);
	free(daemon->program);
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

	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		int r = -errno;

		console_complain("cannot start a daemon: %s", strerror(-r));
		return r;
	}
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

/* Lets go of what the caller has open besides: who waits for the end of a pipe, waits for us. */
static void close_inherited(const struct options *options)
{
	unsigned int kept = (unsigned int)mount_given_fd(options);

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

	if (mount_given_fd(options) >= 0)
		return 0;
	path = realpath(options->mountpoint, NULL);
	if (path && stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		free(take_ptr(path));
		errno = ENOTDIR;
	}
	if (!path) {
		int code = -errno;

		console_complain("%s: %s", options->mountpoint, strerror(-code));
		return code;
	}
	free(options->mountpoint);
	options->mountpoint = path;
	return 0;
}

/* --- the worker that follows one of another program --- */

/* Words for the supervisor. */
static int refuse(const struct supervised *supervised, const char *error, int r)
{
	const char *words = error ? error : strerror(-r);

	send(supervised->talk, words, strlen(words), MSG_NOSIGNAL);
	return WORKER_FAILED;
}

static int succeed(const char *text, int argc, char *argv[])
{
	struct daemon daemon = { .launcher = -1, .directories = DIRECTORIES_NONE };
	struct supervised supervised = { .talk = successor_talk(text) };
	cleanup_free char *error = NULL;
	char word[2];
	int r;

	argv[1] = argv[0];
	r = options_parse(argc - 1, argv + 1, &daemon.options, &error);
	if (r == 0)
		r = successor_take_over(text, &daemon.options, &supervised, &daemon.directories,
					&error);
	if (r < 0) {
		r = refuse(&supervised, error, r);
	} else {
		openlog("cairnfs", LOG_PID | (daemon.options.foreground ? LOG_PERROR : 0),
			LOG_DAEMON);
		talk_say(supervised.talk, TALK_ABLE);
		r = talk_hear(supervised.talk, -1, word, sizeof(word)) == 1 && *word == TALK_GO
			    ? worker_serve(&daemon, &supervised)
			    : WORKER_FAILED;
	}
	daemon_done(&daemon);
	return r;
}

/*
 * How long files may be is a matter of who writes them, and the kernel sees to that. What limits us
 * is raised as far as it goes; beyond that a call fails, where the signal would leave a mount
 * behind that nobody serves.
 */
static void lift_limits(void)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &unlimited) == 0 || getrlimit(RLIMIT_FSIZE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
}

int main(int argc, char *argv[])
{
	struct daemon daemon = { .launcher = -1, .argv = argv, .directories = DIRECTORIES_NONE };
	cleanup_free char *error = NULL;
	int r;

	fd_open_stdio();
	lift_limits();
	if (successor_asked(argc, argv))
		return succeed(successor_asked(argc, argv), argc, argv);
	r = options_parse(argc, argv, &daemon.options, &error);

	if (r < 0) {
		console_complain("%s", error ? error : strerror(-r));
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
	fd_readlink(AT_FDCWD, "/proc/self/exe", &daemon.program);
	openlog("cairnfs", LOG_PID | (daemon.options.foreground ? LOG_PERROR : 0), LOG_DAEMON);
	r = resolve_mountpoint(&daemon.options);
	if (r < 0 || daemon.options.is_fake) {
		daemon_done(&daemon);
		return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	if (daemon.options.is_remount) {
		r = remount(&daemon.options);
		daemon_done(&daemon);
		return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	if (!daemon.options.foreground)
		r = detach(&daemon);
	if (r == 0)
		r = run(&daemon);
	daemon_done(&daemon);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
