/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rules [--cairnfs PROGRAM] [--dir DIR] [--options OPTIONS] [--list] [NAME...]: see rules.h. */
#include "rules.h"

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define TEST_SECONDS 20

static const struct rule *const tables[] = {
	rules_copyup, rules_privileges, rules_data,   rules_mapping,  rules_locks,
	rules_files,  rules_links,	rules_rename, rules_dirs,     rules_list,
	rules_owners, rules_xattrs,	rules_names,  rules_symlinks, rules_identity,
	rules_mount,  rules_formats,	rules_full,   rules_special,
};
#define N_TABLES (sizeof(tables) / sizeof(*tables))

/* ---- the differences that are accepted ---- */

static const struct {
	const char *name, *reason;
} differences[] = {
	{ "move-extents", "the kernel's FUSE refuses COLLAPSE_RANGE and INSERT_RANGE itself" },
	{ "strictatime",
	  "reads and listings from the kernel's cache send FUSE nothing (S_NOATIME)" },
	{ "chown -1 -1", "it clears setuid on Linux, but FUSE sends nothing" },
	{ "long-redirect",
	  "a path of over 4 KiB has room in no xattr of ext4: EXDEV, and mv copies" },
	{ "strictatime-flag", "libfuse has no such option, and it would change nothing" },
	{ "o-noatime", "files are opened without asking the daemon, which reads for all" },
	{ "ctime-above", "no call can set a ctime: copy-up moves that of the directories above" },
	{ "late-room",
	  "FORGET, which says that a removed file is unused, comes after unlink's end" },
};

bool accepted(const char *name)
{
	for (size_t i = 0; i < sizeof(differences) / sizeof(*differences); i++)
		if (!strcmp(differences[i].name, name))
			return world.on_mount;
	failed(__FILE__, __LINE__, "no such difference: %s", name);
}

/* ---- one test ---- */

enum outcome { PASSED, FAILED, SKIPPED };

/* Waits for a process; true if it ended well in time. It and its children are ended. */
static bool await_test(pid_t pid)
{
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	int status = -1;

	if (poll(&ended, 1, TEST_SECONDS * 1000) == 0)
		snprintf(report->why, sizeof(report->why), "did not end in %d s", TEST_SECONDS);
	kill(-pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (status != 0 && !*report->why)
		snprintf(report->why, sizeof(report->why), "ended with status %#x", status);
	return status == 0 && !*report->why;
}

static bool run_in(const struct rule *rule, bool on_mount, const char *tmp)
{
	const char *bad;
	bool passed;
	pid_t pid;

	world.on_mount = on_mount;
	*report = (struct report){ 0 };
	if (world_make(tmp) < 0) {
		snprintf(report->why, sizeof(report->why), "no world: %s", strerror(errno));
		return false;
	}
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		rule->run();
		_exit(EXIT_SUCCESS);
	}
	setpgid(pid, pid);
	passed = await_test(pid);
	bad = world_end();
	if (bad && passed) {
		snprintf(report->why, sizeof(report->why), "%s", bad);
		passed = false;
	}
	return passed;
}

static enum outcome run_rule(const struct rule *rule, const char *tmp)
{
	if (!rule->mount_only && !run_in(rule, false, tmp)) {
		if (report->skipped) {
			printf("skipped %s: %s\n", rule->name, report->why);
			return SKIPPED;
		}
		printf("FAIL %s: in a plain directory: %s\n", rule->name, report->why);
		return FAILED;
	}
	if (!run_in(rule, true, tmp)) {
		/* What a plain directory could do, the mount must; without one it may be the
		 * machine. */
		if (report->skipped && rule->mount_only) {
			printf("skipped %s: %s\n", rule->name, report->why);
			return SKIPPED;
		}
		printf("FAIL %s: %s\n", rule->name, report->why);
		return FAILED;
	}
	printf("ok %s\n", rule->name);
	return PASSED;
}

/* ---- which ---- */

static bool wanted(const struct rule *rule, char **only)
{
	if (!*only)
		return true;
	for (; *only; only++)
		if (!strcmp(*only, rule->name))
			return true;
	return false;
}

static void list_rules(void)
{
	for (size_t i = 0; i < N_TABLES; i++)
		for (const struct rule *rule = tables[i]; rule->name; rule++)
			printf("%-36s %s\n", rule->name, rule->says);
	for (size_t i = 0; i < sizeof(differences) / sizeof(*differences); i++)
		printf("accepted: %-26s %s\n", differences[i].name, differences[i].reason);
}

static int run_rules(char **only, const char *tmp)
{
	unsigned int counts[3] = { 0 };
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (size_t i = 0; i < N_TABLES; i++)
		for (const struct rule *rule = tables[i]; rule->name; rule++)
			if (wanted(rule, only)) {
				counts[run_rule(rule, tmp)]++;
				fflush(stdout);
			}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%u ok, %u failed, %u skipped in %ld s\n", counts[PASSED], counts[FAILED],
	       counts[SKIPPED], (long)(to.tv_sec - from.tv_sec));
	return counts[FAILED] || !(counts[PASSED] + counts[SKIPPED]) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Tests have many files open. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "cairnfs", required_argument, NULL, 'c' },
						 { "dir", required_argument, NULL, 'd' },
						 { "options", required_argument, NULL, 'o' },
						 { "list", no_argument, NULL, 'l' },
						 { 0 } };
	const char *tmp = "/tmp";
	int c;

	world.cairnfs = "cairnfs";
	world.all_options = "";
	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'c')
			world.cairnfs = optarg;
		else if (c == 'd')
			tmp = optarg;
		else if (c == 'o')
			world.all_options = optarg;
		else if (c == 'l')
			return list_rules(), EXIT_SUCCESS;
		else
			return 2;
	}
	umask(022);
	raise_limit();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	return report == MAP_FAILED ? EXIT_FAILURE : run_rules(argv + optind, tmp);
}
