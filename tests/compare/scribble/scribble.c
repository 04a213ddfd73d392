/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scribble: options, the loop over seeds, mounting. What it does: scribble.h. */
#include "scribble.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

struct settings settings = {
	.dir = "/tmp", .n_processes = 4, .n_ops = 300, .first_seed = 1, .last_seed = 10
};
struct shared *shared;
char *scratch;

char *path_in(char *path, const char *dir, const char *name)
{
	snprintf(path, PATH_MAX, "%s/%s/%s", scratch, dir, name);
	return path;
}

/* ---- processes ---- */

static void bus_error(int signal_number)
{
	fail("signal %d: a mapping of the file cannot be used", signal_number);
}

/* A process that hangs is ended, and told of, by the alarm's signal. */
void child_begins(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(HUNG_SECONDS);
	signal(SIGBUS, bus_error);
}

static int wait_for(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	if (WIFSIGNALED(status) && !shared->reported) {
		shared->reported = true;
		fprintf(stderr, "scribble: seed %lu: a process ended by signal %d%s\n", plan.seed,
			WTERMSIG(status), WTERMSIG(status) == SIGALRM ? " (it hung)" : "");
		show_log(-1);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

/* In a process of its own, for a failure ends it. */
static int in_child(void (*function)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		child_begins();
		function();
		_exit(0);
	}
	return wait_for(pid);
}

static int run(char *const argv[])
{
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], argv);
		fprintf(stderr, "scribble: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	return wait_for(pid);
}

static int mount_it(void)
{
	cleanup_free char *options = NULL, *dir = NULL;
	char *argv[] = { (char *)settings.cairnfs, "-o", NULL, NULL, NULL };

	if (settings.plain)
		return 0;
	if (asprintf(&options, "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work%s%s", scratch,
		     scratch, scratch, settings.more_options ? "," : "",
		     settings.more_options ? settings.more_options : "") < 0)
		return -ENOMEM;
	if (asprintf(&dir, "%s/mnt", scratch) < 0)
		return -ENOMEM;
	argv[2] = options;
	argv[3] = dir;
	return run(argv);
}

static int unmount_it(bool at_any_rate)
{
	cleanup_free char *dir = NULL;
	char *argv[] = { "umount", NULL, NULL, NULL };

	if (settings.plain)
		return 0;
	if (asprintf(&dir, "%s/mnt", scratch) < 0)
		return -ENOMEM;
	argv[1] = at_any_rate ? "-l" : dir;
	argv[2] = at_any_rate ? dir : NULL;
	return run(argv);
}

/* All end when one fails: it may have had the lock. */
static int run_workers(void)
{
	pid_t pids[MAX_PROCESSES], pid;
	unsigned i, left;
	int status, r = 0;

	for (i = 0; i < settings.n_processes; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			work(i);
	}
	for (left = settings.n_processes; left; left--) {
		siginfo_t info = { 0 };

		if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) < 0)
			return -errno;
		pid = info.si_pid;
		status = wait_for(pid);
		for (i = 0; i < settings.n_processes; i++) {
			if (pids[i] == pid)
				pids[i] = 0;
			else if (status < 0 && pids[i] > 0)
				kill(pids[i], SIGKILL);
		}
		if (status < 0 && r == 0)
			r = status;
		shared->reported |= status < 0;
	}
	return r;
}

static int use_mount(void)
{
	int r;

	r = in_child(make_in_mount);
	if (r < 0)
		return r;
	r = before_open();
	if (r < 0)
		fprintf(stderr, "scribble: the file cannot be opened: %s\n", strerror(-r));
	else
		r = run_workers();
	if (r == 0)
		r = in_child(verify_open);
	before_close();
	return r;
}

static int use_again(void)
{
	int r;

	r = in_child(verify_upper);
	if (r < 0)
		return r;
	r = mount_it();
	if (r < 0)
		return r;
	r = in_child(verify_mount);
	return r < 0 ? r : unmount_it(false);
}

static void shared_init(void)
{
	pthread_rwlockattr_t attributes;
	uint64_t n_ops = shared->n_ops;

	memset(shared, 0, sizeof(*shared));
	shared->n_ops = n_ops;
	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	/* Without this, readers can keep a writer waiting for ever. */
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&shared->lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
}

static int run_seed(uint64_t seed)
{
	int r;

	plan_choose(seed);
	shared_init();
	if (settings.verbose) {
		plan_show(stdout);
		putchar('\n');
	}
	fflush(NULL);
	if (asprintf(&scratch, "%s/scribble.XXXXXX", settings.dir) < 0 || !mkdtemp(scratch)) {
		fprintf(stderr, "scribble: %s: %s\n", settings.dir, strerror(errno));
		return -EIO;
	}
	r = in_child(make_branches);
	if (r == 0)
		r = mount_it();
	if (r == 0) {
		r = use_mount();
		if (r < 0)
			unmount_it(true);
		else
			r = unmount_it(false);
	}
	if (r == 0)
		r = use_again();
	if (r == 0)
		r = in_child(verify_lower);
	if (r < 0)
		fprintf(stderr, "scribble: seed %lu failed; again: --replay %lu\n", seed, seed);
	if (!settings.keep)
		run((char *[]){ "rm", "-rf", "--one-file-system", scratch, NULL });
	free(scratch);
	return r;
}

/* ---- main ---- */

/* What the filesystem below cannot do, a mount on it need not do either. */
static int probe(void)
{
	static const int modes[] = { FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE };
	cleanup_fd int fd = open(settings.dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	cleanup_fd int direct = open(settings.dir, O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	unsigned i;

	if (fd < 0) {
		fprintf(stderr, "scribble: %s: %s\n", settings.dir, strerror(errno));
		return -errno;
	}
	for (i = 0; i < 3; i++)
		if (fallocate(fd, modes[i], 0, PAGE) == 0)
			settings.modes |= modes[i];
	settings.has_direct = direct >= 0;
	return 0;
}

static const char usage[] =
	"Usage: scribble [OPTION]...\n"
	"Several processes write and read one file on a cairnfs mount; each byte is checked.\n\n"
	"  --cairnfs PROGRAM  the program to mount with ($CAIRNFS, cairnfs)\n"
	"  --options LIST     more mount options\n"
	"  --dir DIR          where to work (/tmp)\n"
	"  --plain DIR        work in this directory, without a mount: checks the tester\n"
	"  --seeds A..B       the seeds to run (1..10)\n"
	"  --replay N         this seed alone, with its plan shown\n"
	"  --seconds N        begin no new seed after so long\n"
	"  --processes N      at most 64 (4)\n"
	"  --ops N            operations of each process for each seed (300)\n"
	"  --disable KIND,... leave operations out\n"
	"  --strict           more at once than FUSE in the kernel can do right\n"
	"  --keep             leave the directories\n"
	"  --verbose          show the plans\n\n"
	"Exit status: 0 all right, 1 something was wrong, 2 usage.\n";

static void parse_seeds(const char *s)
{
	char *rest;

	settings.first_seed = settings.last_seed = strtoull(s, &rest, 10);
	if (!strncmp(rest, "..", 2))
		settings.last_seed = strtoull(rest + 2, NULL, 10);
}

static void set_option(int option, const char *value)
{
	switch (option) {
	case 'c':
		settings.cairnfs = value;
		break;
	case 'o':
		settings.more_options = value;
		break;
	case 'p':
		settings.plain = true;
		settings.dir = value;
		break;
	case 'd':
		settings.dir = value;
		break;
	case 'r':
		settings.verbose = true;
		parse_seeds(value);
		break;
	case 's':
		parse_seeds(value);
		break;
	case 't':
		settings.seconds = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'P':
		settings.n_processes = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'n':
		settings.n_ops = (unsigned)strtoul(value, NULL, 10);
		break;
	case 'x':
		settings.disabled = value;
		break;
	case 'S':
		settings.strict = true;
		break;
	case 'k':
		settings.keep = true;
		break;
	case 'v':
		settings.verbose = true;
		break;
	}
}

static bool parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "cairnfs", required_argument, NULL, 'c' },
		{ "options", required_argument, NULL, 'o' },
		{ "dir", required_argument, NULL, 'd' },
		{ "plain", required_argument, NULL, 'p' },
		{ "seeds", required_argument, NULL, 's' },
		{ "replay", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 't' },
		{ "processes", required_argument, NULL, 'P' },
		{ "ops", required_argument, NULL, 'n' },
		{ "disable", required_argument, NULL, 'x' },
		{ "strict", no_argument, NULL, 'S' },
		{ "keep", no_argument, NULL, 'k' },
		{ "verbose", no_argument, NULL, 'v' },
		{ 0 },
	};
	int option;

	settings.cairnfs = getenv("CAIRNFS");
	if (!settings.cairnfs)
		settings.cairnfs = "cairnfs";
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == '?')
			return false;
		set_option(option, optarg);
	}
	return optind == argc && settings.n_processes > 0 && settings.n_processes <= MAX_PROCESSES;
}

int main(int argc, char **argv)
{
	time_t end;
	uint64_t seed, n_seeds = 0;
	int r = 0;

	if (!parse(argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	if (probe() < 0)
		return 1;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return 1;
	end = time(NULL) + (time_t)settings.seconds;
	for (seed = settings.first_seed; seed <= settings.last_seed && r == 0; seed++) {
		if (settings.seconds && time(NULL) >= end)
			break;
		r = run_seed(seed);
		n_seeds++;
	}
	printf("scribble: %lu seeds, %lu operations\n", n_seeds, shared->n_ops);
	return r < 0 ? 1 : 0;
}
