/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A session: one directory with the branches, the plain copy and the mount.
 * The daemon runs in the foreground as a child, so that what it says and how it
 * ends is known.
 */
#include "differ.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define MOUNT_SECONDS 20

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* ---- directories ---- */

static int make_directory(const char *path, const struct stack *stack, int64_t branch)
{
	cleanup_fd int fd = -1;

	if (mkdir(path, 0755) < 0)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return stack ? stack_materialise(stack, branch, fd) : 0;
}

static struct lowers *read_lowers(const char *path, const struct stack *merged)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return lowers_read(merged, fd);
}

static int make_all(struct session *session, const struct program *program)
{
	struct stack merged;
	int64_t i;
	int r;

	for (i = 0; i < (int64_t)program->stack.count; i++)
		session->has_redirects |= program->stack.entries[i].redirect != NULL;
	for (i = 0; i < session->n_branches; i++) {
		r = make_directory(session->branches[i], &program->stack, i);
		if (r < 0)
			return r;
	}
	stack_merge(&program->stack, 0, &merged);
	r = make_directory(session->ref, &merged, 0);
	if (r >= 0 && session->options->redirect_off)
		session->lowers = read_lowers(session->ref, &merged);
	stack_done(&merged);
	if (r >= 0)
		r = make_directory(session->work, NULL, 0);
	if (r >= 0)
		r = make_directory(session->mnt, NULL, 0);
	return r;
}

int session_open(struct session *session, const struct options *options,
		 const struct program *program)
{
	mode_t old = umask(0);
	int64_t i;
	int r = 0;

	*session = (struct session){ .options = options, .n_branches = program->stack.n_branches };
	session->dir = xformat("%s/differ.XXXXXX", options->dir);
	if (!mkdtemp(session->dir)) {
		r = -errno;
		fprintf(stderr, "differ: %s: %s\n", session->dir, strerror(-r));
		return r;
	}
	chmod(session->dir, 0755);
	session->small = xformat("%s%s", session->dir, options->full ? "/small" : "");
	if (options->full)
		r = full_mount(session);
	session->branches[0] = xformat("%s/upper", session->small);
	for (i = 1; i < session->n_branches; i++)
		session->branches[i] = xformat("%s/lower%jd", session->dir, (intmax_t)i);
	session->ref = xformat("%s/plain", session->dir);
	session->work = xformat("%s/work", session->small);
	session->mnt = xformat("%s/mount", session->dir);
	session->log = xformat("%s/log", session->dir);
	if (r >= 0)
		r = make_all(session, program);
	umask(old);
	return r;
}

void session_close(struct session *session)
{
	cleanup_text struct text why = { 0 };
	int64_t i;

	if (session->mounted && session_unmount(session, &why) < 0)
		fprintf(stderr, "differ: %s\n", why.s);
	if (session->options->full)
		full_unmount(session);
	if (session->options->keep)
		printf("kept: %s\n", session->dir);
	else if (!session->mounted && session->dir)
		fd_remove_tree(AT_FDCWD, session->dir);
	for (i = 0; i < session->n_branches; i++)
		free(session->branches[i]);
	free(session->small);
	lowers_free(session->lowers);
	free(session->ref);
	free(session->work);
	free(session->mnt);
	free(session->log);
	free(session->dir);
}

char *session_log(const struct session *session)
{
	FILE *f = fopen(session->log, "re");
	cleanup_text struct text text = { 0 };
	char buf[4096];
	size_t n;

	if (!f)
		return NULL;
	while ((n = fread(buf, 1, sizeof(buf) - 1, f)) > 0) {
		buf[n] = '\0';
		text_add(&text, "%s", buf);
	}
	fclose(f);
	if (text.len && session->options->kills)
		kill_filter_log(text.s);
	return text.len && *text.s ? xstrdup(text.s) : NULL;
}

/* ---- cairnfs ---- */

static char *mount_options(const struct session *session)
{
	cleanup_text struct text text = { 0 };
	const char *extra = session->options->mount_options;
	int64_t i;

	text_add(&text, "lowerdir=");
	for (i = 1; i < session->n_branches; i++)
		text_add(&text, "%s%s", i > 1 ? ":" : "", session->branches[i]);
	text_add(&text, ",upperdir=%s,workdir=%s%s%s", session->branches[0], session->work,
		 extra ? "," : "", extra ? extra : "");
	return xstrdup(text.s);
}

static _Noreturn void run_daemon(const struct session *session)
{
	char *options = mount_options(session);
	int log = open(session->log, O_WRONLY | O_CREAT | O_APPEND, 0600);

	/* Not in our group: an interrupt at the terminal is for us alone. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	dup2(log, 1);
	dup2(log, 2);
	execl(session->options->cairnfs, "cairnfs", "-f", "-o", options, session->mnt, NULL);
	dprintf(2, "%s: %s\n", session->options->cairnfs, strerror(errno));
	_exit(127);
}

static bool is_mounted(const struct session *session)
{
	struct stat above, here;

	return stat(session->dir, &above) == 0 && stat(session->mnt, &here) == 0 &&
	       above.st_dev != here.st_dev;
}

static int begin_kills(const struct session *session, struct text *why)
{
	if (!session->options->kills)
		return 0;
	if (!growth_begin(session, why))
		return -EIO;
	kill_begin();
	return 0;
}

int session_mount(struct session *session, struct text *why)
{
	int i, r, status = 0;

	session->daemon = fork();
	if (session->daemon < 0)
		return -errno;
	if (session->daemon == 0)
		run_daemon(session);
	r = kill_start(session->daemon, session->options->kills);
	if (r < 0)
		text_add(why, "no killer: %s; ", strerror(-r));
	for (i = 0; r >= 0 && i < MOUNT_SECONDS * 500; i++) {
		if (is_mounted(session)) {
			session->mounted = true;
			return begin_kills(session, why);
		}
		if (waitpid(session->daemon, &status, WNOHANG) == session->daemon)
			break;
		pause_ms(2);
	}
	kill_stop();
	cleanup_free char *log = session_log(session);

	text_add(why, "cannot mount (status %#x): %s", status, log ? log : "it says nothing");
	return -EIO;
}

static int wait_daemon(struct session *session, int *ret)
{
	int i;

	for (i = 0; i < 2000; i++) {
		if (waitpid(session->daemon, ret, WNOHANG) == session->daemon)
			return 0;
		pause_ms(i < 100 ? 1 : 10);
	}
	return -ETIMEDOUT;
}

static int unmount_and_wait(struct session *session, struct text *why)
{
	int i, r, status = 0;

	for (i = 0, r = -1; r < 0 && i < 50; i++) {
		r = umount2(session->mnt, 0);
		if (r < 0)
			pause_ms(10);
	}
	if (r < 0) {
		text_add(why, "cannot unmount: %s; ", strerror(errno));
		umount2(session->mnt, MNT_FORCE);
		umount2(session->mnt, MNT_DETACH);
	}
	session->mounted = false;
	if (wait_daemon(session, &status) < 0) {
		stuck_report(getpid());
		text_add(why, "the daemon (%d) does not end; ", session->daemon);
		kill(session->daemon, SIGTERM);
		r = -1;
	} else if (status != 0) {
		cleanup_free char *log = session_log(session);

		text_add(why, "the daemon ended with status %#x: %s; ", status, log ? log : "");
		r = -1;
	}
	return r < 0 ? -EIO : 0;
}

int session_unmount(struct session *session, struct text *why)
{
	bool has_grown;
	int r;

	kill_halt();
	has_grown = session->options->kills && !growth_end(session, why);
	r = unmount_and_wait(session, why);
	kill_stop();
	if (!kill_saw_hang())
		return has_grown ? -EIO : r;
	text_add(why, "an operation hung, and the daemon was ended; ");
	return -EIO;
}

/* ---- the kernel's overlayfs ---- */

int session_mount_kernel(struct session *session)
{
	cleanup_text struct text text = { 0 };
	int64_t i;

	text_add(&text, "lowerdir=");
	for (i = 0; i < session->n_branches; i++)
		text_add(&text, "%s%s", i ? ":" : "", session->branches[i]);
	/* With redirect_dir=off we have made none, and overlayfs finds that out. */
	text_add(&text, ",redirect_dir=%s,xino=auto",
		 session->options->redirect_off && !session->has_redirects ? "nofollow" : "follow");
	return mount("overlay", session->mnt, "overlay", MS_RDONLY, text.s) < 0 ? -errno : 0;
}

void session_unmount_kernel(struct session *session)
{
	umount2(session->mnt, 0);
}
