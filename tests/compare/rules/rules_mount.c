/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the mount's options and the daemon's limits say. */
#include "rules.h"

#include <dirent.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>

/* ---- atime ---- */

/* The plain directory gets the option by a mount of its own. */
static void start_atime(const char *option, unsigned long flags)
{
	branch(3);
	dir("d");
	file("d/f", "x");
	file("low", "low");
	branch(1);
	file("f", "content");
	if (!on_mount()) {
		const char *path = path_in("plain", "");

		ok(mount(path, path, NULL, MS_BIND, NULL));
		ok(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | flags, NULL));
	}
	start_with(option);
	file("new", "new");
}

/* Sets atime to an hour ago, mtime to the same or an hour before; reads; whether atime moved. */
static bool read_moves_atime(const char *path, bool newer_than_mtime)
{
	struct timespec times[2];
	struct stat before;

	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= 3600;
	times[1] = times[0];
	times[1].tv_sec += newer_than_mtime ? -3600 : 0;
	ok(utimensat(AT_FDCWD, path, times, 0));
	before = st(path);
	if (S_ISDIR(before.st_mode))
		count_names(path);
	else
		check(*text(path));
	return !same_time(st(path).st_atim, before.st_atim);
}

static const char *const read_files[] = { "new", "f", "low" };

static void check_atime(const char *path, bool newer_than_mtime, bool moves)
{
	if (read_moves_atime(path, newer_than_mtime) != moves)
		failed(__FILE__, __LINE__, "%s: atime %s", path, moves ? "stays" : "moves");
}

static void noatime_of_files(void)
{
	start_atime("noatime", MS_NOATIME);
	for (int i = 0; i < 3; i++)
		check_atime(read_files[i], false, false);
}

static void noatime_of_directories(void)
{
	start_atime("noatime", MS_NOATIME);
	dir("new.d");
	check_atime("d", false, false);
	check_atime("new.d", false, false);
}

static void strictatime(void)
{
	start_atime("strictatime", MS_STRICTATIME);
	for (int i = 0; i < 3; i++) {
		check_atime(read_files[i], false, true);
		if (!accepted("strictatime"))
			check_atime(read_files[i], true, true);
	}
	if (!accepted("strictatime"))
		check_atime("d", true, true);
}

/* The first read after a change is noted, and the next is not. */
static void relatime(void)
{
	start_atime("relatime", MS_RELATIME);
	for (int i = 0; i < 3; i++) {
		check_atime(read_files[i], false, true);
		struct stat before = st(read_files[i]);
		usleep(20000);
		check(*text(read_files[i]));
		check(same_time(st(read_files[i]).st_atim, before.st_atim));
	}
}

static void nodiratime(void)
{
	start_atime("strictatime,nodiratime", MS_STRICTATIME | MS_NODIRATIME);
	check_atime("d", false, false);
	check_atime("new", false, true);
}

static void open_without_atime(void)
{
	start_atime("strictatime", MS_STRICTATIME);
	set_times("f", 1000, 0);
	cleanup_fd int fd = open_as("f", O_RDONLY | O_NOATIME);
	check_text(fd_text(fd), "content");
	if (!accepted("o-noatime"))
		check_eq(fd_st(fd).st_atim.tv_sec, 1000);
	AS_USER(1000, 1000)
	{
		fails(open("f", O_RDONLY | O_NOATIME), EPERM);
	}
}

#define ATIME_FLAGS (ST_NOATIME | ST_NODIRATIME | ST_RELATIME)

static void check_flags(const char *option, unsigned long flags, unsigned long want)
{
	struct statvfs fs;

	start_atime(option, flags);
	ok(statvfs(".", &fs));
	check_mode(fs.f_flag & ATIME_FLAGS, want);
}

static void noatime_is_shown(void)
{
	check_flags("noatime", MS_NOATIME, ST_NOATIME);
}

static void relatime_is_shown(void)
{
	check_flags("relatime", MS_RELATIME, ST_RELATIME);
}

static void strictatime_is_shown(void)
{
	check_flags("strictatime", MS_STRICTATIME, accepted("strictatime-flag") ? ST_RELATIME : 0);
}

static void nodiratime_is_shown(void)
{
	check_flags("nodiratime", MS_RELATIME | MS_NODIRATIME, ST_RELATIME | ST_NODIRATIME);
}

static void other_flags_hold(void)
{
	struct statvfs fs;

	branch(2);
	ok(system("cp /bin/true true; cp /usr/bin/id id"));
	set_mode("id", 04755);
	ok(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	if (!on_mount()) {
		const char *path = path_in("plain", "");

		ok(mount(path, path, NULL, MS_BIND, NULL));
		ok(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_NOEXEC | MS_NODEV | MS_NOSUID,
			 NULL));
	}
	start_with("noexec,nodev,nosuid");
	ok(statvfs(".", &fs));
	check_mode(fs.f_flag & (ST_NOEXEC | ST_NODEV | ST_NOSUID),
		   ST_NOEXEC | ST_NODEV | ST_NOSUID);
	fails(access("true", X_OK), EACCES);
	fails(execl("./true", "true", NULL), EACCES);
	fails(open("null", O_RDONLY), EACCES);
	check_mode(mode_of("id"), 04755);
}

/* Nothing of a branch changes by being read, whatever the option. */
static void reading_leaves_branches_alone(void)
{
	start_atime("strictatime", 0);
	struct stat f = st(path_in("branch3", "low")), d = st(path_in("branch3", "d"));
	check_text(text("low"), "low");
	check_eq(count_names("d"), 1);
	check_text(text("d/f"), "x");
	append("low", "er");
	ok(unlink("d/f"));
	check(same_time(st(path_in("branch3", "low")).st_mtim, f.st_mtim));
	check(same_time(st(path_in("branch3", "low")).st_ctim, f.st_ctim));
	check(same_time(st(path_in("branch3", "d")).st_ctim, d.st_ctim));
	check_text(text(path_in("branch3", "low")), "low");
	check_text(text(path_in("branch3", "d/f")), "x");
}

/* ---- descriptors ---- */

#define N_OPEN 1500

static void make_many(const char *prefix, int n)
{
	char path[64];

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s%d", prefix, i);
		file(path, path);
	}
}

static void limit_to_200(void)
{
	struct rlimit limit = { 100, 200 };

	setrlimit(RLIMIT_NOFILE, &limit);
	prctl(PR_CAPBSET_DROP, 24 /* CAP_SYS_RESOURCE */, 0, 0, 0);
}

/* All open at once; read, copied up, and in use without a name. */
static void use_many(void)
{
	static int fds[N_OPEN];
	struct rlimit limit;
	char path[64];

	ok(getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_cur < N_OPEN + 100)
		skip("so many files cannot be open here");
	for (int i = 0; i < N_OPEN; i++) {
		snprintf(path, sizeof(path), "d/%d", i);
		fds[i] = open_as(path, O_RDWR);
		check_text(fd_text(fds[i]), path);
	}
	for (int i = 0; i < N_OPEN; i += 3)
		ok(pwrite(fds[i], "D", 1, 0));
	for (int i = 0; i < N_OPEN; i += 2) {
		snprintf(path, sizeof(path), "d/%d", i);
		ok(unlink(path));
	}
	for (int i = 0; i < N_OPEN; i++) {
		snprintf(path, sizeof(path), "%c/%d", i % 3 ? 'd' : 'D', i);
		check_text(fd_text(fds[i]), path);
		ok(close(fds[i]));
	}
	check_eq(count_names("d"), N_OPEN / 2);
}

static void more_files_than_descriptors(void)
{
	branch(2);
	dir("d");
	make_many("d/", N_OPEN);
	world.before_daemon = limit_to_200;
	start();
	use_many();
	make_many("new", 300);
	remount();
	check_eq(count_names("."), 301);
}

/* Deep and wide: each directory is open while a program is in it. */
static void more_directories_than_descriptors(void)
{
	int fds[500];
	char path[64];

	branch(3);
	for (int i = 0; i < 500; i++) {
		snprintf(path, sizeof(path), "d%d", i);
		dir(path);
	}
	branch(2);
	for (int i = 0; i < 500; i += 2) {
		snprintf(path, sizeof(path), "d%d", i);
		dir(path);
		strcat(path, "/f");
		file(path, "x");
	}
	world.before_daemon = limit_to_200;
	start();
	for (int i = 0; i < 500; i++) {
		snprintf(path, sizeof(path), "d%d", i);
		fds[i] = open_as(path, O_RDONLY | O_DIRECTORY);
	}
	for (int i = 0; i < 500; i++) {
		close(ok(openat(fds[i], "new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644)));
		DIR *d = fdopendir(fds[i]);

		check(d && readdir(d) && readdir(d) && readdir(d));
		closedir(d);
	}
	check_eq(system("rm -rf d*"), 0);
	check_text(names("."), "");
}

static void limit_soft_only(void)
{
	struct rlimit limit = { 64, 4096 };

	setrlimit(RLIMIT_NOFILE, &limit);
}

/* The soft limit of a process or of a child of it, whichever is the highest. */
static long limit_of(pid_t pid)
{
	struct rlimit limit = { 0 };
	char path[64];
	long highest;
	int child;

	ok(prlimit(pid, RLIMIT_NOFILE, NULL, &limit));
	highest = (long)limit.rlim_cur;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	FILE *f = fopen(path, "re");
	if (!f)
		skip("no list of children in /proc here");
	while (fscanf(f, "%d", &child) == 1) {
		long of_child = limit_of(child);

		highest = of_child > highest ? of_child : highest;
	}
	fclose(f);
	return highest;
}

static void daemon_raises_its_limit(void)
{
	branch(2);
	dir("d");
	world.before_daemon = limit_soft_only;
	start();
	check(limit_of(world.daemon) >= 4096);
}

const struct rule rules_mount[] = {
	RULE(noatime_of_files, "noatime: reading moves no atime"),
	RULE(noatime_of_directories, "noatime: nor does listing"),
	RULE(strictatime, "strictatime"),
	RULE(relatime, "relatime"),
	RULE(nodiratime, "nodiratime"),
	RULE(noatime_is_shown, "noatime in statfs and /proc/mounts"),
	RULE(relatime_is_shown, "relatime"),
	RULE(strictatime_is_shown, "strictatime"),
	RULE(nodiratime_is_shown, "nodiratime"),
	RULE(other_flags_hold, "noexec, nodev, nosuid"),
	RULE(open_without_atime, "O_NOATIME"),
	MOUNT_RULE(reading_leaves_branches_alone,
		   "reads and changes leave the branches as they are"),
	RULE(more_files_than_descriptors, "more open files than the daemon can have descriptors"),
	RULE(more_directories_than_descriptors, "and directories"),
	MOUNT_RULE(daemon_raises_its_limit, "the daemon raises its RLIMIT_NOFILE"),
	{ 0 },
};
