/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The world of one run: its branches and its mount, or the plain directory in
 * their place.  There, what goes into a branch goes into the one directory, so
 * branches are to be made from the lowest upward.
 */
#include "rules.h"

#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "base/fd.h"

struct world world;
struct report *report;

/* ---- outcomes ---- */

static _Noreturn void end_test(bool skipped, const char *why)
{
	if (!*report->why) {
		report->skipped = skipped;
		snprintf(report->why, sizeof(report->why), "%s", why);
	}
	_exit(EXIT_FAILURE);
}

_Noreturn void failed(const char *file, int line, const char *format, ...)
{
	const char *slash = strrchr(file, '/');
	char what[500], why[600];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	snprintf(why, sizeof(why), "%s:%d: %s", slash ? slash + 1 : file, line, what);
	end_test(false, why);
}

_Noreturn void skip(const char *why)
{
	end_test(true, why);
}

bool on_mount(void)
{
	return world.on_mount;
}

const char *path_in(const char *what, const char *path)
{
	static char buffers[8][PATH_MAX];
	static int next;
	char *ret = buffers[next++ % 8];

	snprintf(ret, PATH_MAX, "%s/%s%s%s", world.dir, what, *path ? "/" : "", path);
	return ret;
}

/* ---- branches ---- */

static const char *branch_path(int n)
{
	char name[16];

	snprintf(name, sizeof(name), "branch%d", n);
	return path_in(world.on_mount ? name : "plain", "");
}

static void go_to(const char *path)
{
	if (chdir(path) < 0)
		failed(__FILE__, __LINE__, "%s: %s", path, strerror(errno));
}

void branch(int n)
{
	check(n >= 1 && n <= N_BRANCHES);
	go_to(branch_path(n));
}

void hide(const char *path)
{
	if (!world.on_mount)
		remove_all(path);
	else
		ok(mknod(path, S_IFCHR, makedev(0, 0)));
}

void opaque(const char *path)
{
	if (!world.on_mount)
		remove_all(path);
	dir(path);
	if (world.on_mount)
		set_xattr(path, "trusted.overlay.opaque", "y");
}

/* As root of the tmpfs, a directory that looks as one made here. */
static void mount_tmpfs(const char *path, const char *options)
{
	if (mount("tmpfs", path, "tmpfs", 0, options) < 0)
		failed(__FILE__, __LINE__, "tmpfs: %s", strerror(errno));
	ok(chmod(path, 0755));
}

void small_top(const char *options)
{
	mount_tmpfs(path_in(world.on_mount ? "top" : "plain", ""), options);
	if (world.on_mount) {
		ok(mkdir(path_in("top", "upper"), 0755));
		ok(mkdir(path_in("top", "work"), 0755));
	}
}

void tmpfs_branch(int n, const char *options)
{
	if (world.on_mount)
		mount_tmpfs(branch_path(n), options);
}

/* ---- the mount ---- */

/* In the foreground, where it says on stderr what it has to say; and in no group of the test's. */
static _Noreturn void run_daemon(const char *options)
{
	int log = open(path_in("log", ""), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	setsid();
	if (world.before_daemon)
		world.before_daemon();
	dup2(log, 1);
	dup2(log, 2);
	if (chdir("/") == 0)
		execl(world.cairnfs, "cairnfs", "-f", "-o", options, path_in("mnt", ""), NULL);
	dprintf(2, "%s: %s\n", world.cairnfs, strerror(errno));
	_exit(127);
}

/* What the daemons have said; empty if nothing. */
static const char *read_log(void)
{
	static char said[300];
	cleanup_fd int log = open(path_in("log", ""), O_RDONLY | O_CLOEXEC);
	ssize_t n = log < 0 ? 0 : read(log, said, sizeof(said) - 1);

	said[n > 0 ? n : 0] = '\0';
	return said;
}

static void await_mount(void)
{
	const char *mnt = path_in("mnt", "");
	dev_t below = st(world.dir).st_dev;
	int status;

	for (int i = 0; i < 5000; i++) {
		if (st(mnt).st_dev != below)
			return;
		if (waitpid(world.daemon, &status, WNOHANG) == world.daemon)
			break;
		usleep(2000);
	}
	failed(__FILE__, __LINE__, "cannot mount: %s", read_log());
}

static void mount_cairnfs(void)
{
	char options[PATH_MAX * 3];

	snprintf(options, sizeof(options), "lowerdir=%s:%s:%s,upperdir=%s,workdir=%s%s%s%s%s",
		 branch_path(1), branch_path(2), branch_path(3), path_in("top", "upper"),
		 path_in("top", "work"), *world.options ? "," : "", world.options,
		 *world.all_options ? "," : "", world.all_options);
	world.daemon = ok(fork());
	if (world.daemon == 0)
		run_daemon(options);
	await_mount();
	go_to(path_in("mnt", ""));
}

void start_with(const char *options)
{
	world.options = options;
	if (world.on_mount)
		mount_cairnfs();
	else
		go_to(path_in("plain", ""));
}

void start(void)
{
	start_with("");
}

void remount(void)
{
	int status;

	if (!world.on_mount) {
		go_to(path_in("plain", ""));
		return;
	}
	go_to("/");
	if (umount2(path_in("mnt", ""), 0) < 0)
		failed(__FILE__, __LINE__, "unmount: %s", strerror(errno));
	ok(waitpid(world.daemon, &status, 0));
	if (status != 0)
		failed(__FILE__, __LINE__, "the daemon ended with %#x: %s", status, read_log());
	mount_cairnfs();
}

/* ---- processes ---- */

bool child_begin(void)
{
	int status;
	pid_t pid = ok(fork());

	if (pid == 0)
		return true;
	ok(waitpid(pid, &status, 0));
	/* One that failed has said so itself. */
	if (status != 0)
		failed(__FILE__, __LINE__, "a process of the test ended with %#x", status);
	return false;
}

bool user_begin(uid_t uid, gid_t gid)
{
	if (!child_begin())
		return false;
	ok(setgroups(0, NULL));
	ok(setresgid(gid, gid, gid));
	ok(setresuid(uid, uid, uid));
	return true;
}

_Noreturn void child_end(void)
{
	_exit(0);
}

/* ---- the runner's ---- */

int world_make(const char *tmp)
{
	static const char *const below[] = { "plain", "branch1", "branch2",   "branch3",
					     "top",   "mnt",	 "top/upper", "top/work" };

	snprintf(world.dir, sizeof(world.dir), "%s/rules.XXXXXX", tmp);
	if (!mkdtemp(world.dir) || chmod(world.dir, 0755) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(below) / sizeof(*below); i++)
		if (mkdir(path_in(below[i], ""), 0755) < 0)
			return -errno;
	return 0;
}

/* Unmounts what was mounted last below the directory; false when there is nothing. */
static bool unmount_one(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, last[PATH_MAX] = "", point[PATH_MAX];
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0)
		if (sscanf(line, "%*s %*s %*s %*s %4095s", point) == 1 &&
		    !strncmp(point, world.dir, strlen(world.dir)))
			strcpy(last, point);
	if (f)
		fclose(f);
	free(line);
	if (!*last)
		return false;
	/* A process that is just ending may keep it busy for a moment. */
	for (int i = 0; i < 100; i++) {
		if (umount2(last, 0) == 0)
			return true;
		usleep(10000);
	}
	return umount2(last, MNT_FORCE | MNT_DETACH) == 0;
}

/* Ends the children that are left; they were started by us, or by what we started. */
static void kill_children(void)
{
	FILE *f = fopen("/proc/thread-self/children", "re");
	int pid;

	while (f && fscanf(f, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	if (f)
		fclose(f);
}

/* Daemons are our children too: we are the subreaper. They end by themselves once unmounted. */
static const char *await_children(void)
{
	const char *bad = NULL;
	int status;

	for (int i = 0; i < 1000; i++) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid < 0)
			return bad;
		if (pid > 0 && status != 0 && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
			bad = "a daemon, or a process of the test, ended badly";
		if (pid == 0)
			usleep(i < 100 ? 1000 : 10000);
		if (i == 900)
			kill_children();
	}
	return "a daemon did not end";
}

const char *world_end(void)
{
	const char *bad = NULL;

	/* Locks of a busy file system are waited for by the next test, so none may stay. */
	while (unmount_one())
		;
	bad = await_children();
	if (*read_log())
		bad = read_log();
	if (fd_remove_tree(AT_FDCWD, world.dir) < 0 && !bad)
		bad = "the directory cannot be removed";
	return bad;
}
