/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * --kills: a process of its own ends the daemon's worker with SIGKILL at random instants
 * while programs run on the mount.  How long the operations took during which that
 * happened is counted, in memory that all processes of the differ share.
 *
 * The killer also watches: when no operation on the mount has come to its end for a
 * minute it says where everybody stands and ends the daemon, so that what hangs fails.
 *
 * It is no thread, for the differ forks: a child would for ever wait for a lock of the
 * allocator that a thread just held.
 */
#include "differ.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { MAX_PAUSE_MS = 20000, HANG_SECONDS = 60 };

static struct {
	atomic_ulong kills;
	atomic_ulong done; /* operations on the mount */
	atomic_int victim; /* the worker that was killed last */
	atomic_bool hung;
	atomic_ulong pauses[MAX_PAUSE_MS + 1]; /* by length in milliseconds */
} * tally;

/* What the differ says to the killer, who repeats it once it is so. */
enum { KILL = 'k', HALT = 'h' };

static struct {
	pid_t pid; /* 0: none */
	int socket;
} killer;

int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int kill_prepare(void)
{
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	return tally == MAP_FAILED ? -errno : 0;
}

/* ---- the killer: no allocator and no streams from here on ---- */

struct hunt {
	pid_t differ, daemon;
	char children[64]; /* the file that lists the daemon's */
	unsigned int rate, seed;
	int socket;
	bool kills;
	unsigned long done; /* operations, when there was last a new one */
	int64_t since;
};

/* The first number in the file at `path`, or 0. */
static pid_t read_number(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), number = 0;
	char buf[256];
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf));

	for (ssize_t i = 0; i < n && buf[i] >= '0' && buf[i] <= '9'; i++)
		number = number * 10 + buf[i] - '0';
	if (fd >= 0)
		close(fd);
	return number;
}

static void strike(const struct hunt *hunt)
{
	/* The daemon is the supervisor; its first child is the worker. */
	pid_t worker = read_number(hunt->children);

	/* One that is still dying is not killed twice. */
	if (worker <= 0 || worker == atomic_load(&tally->victim) || kill(worker, SIGKILL) < 0)
		return;
	atomic_store(&tally->victim, worker);
	atomic_fetch_add(&tally->kills, 1);
}

/* Once nobody has /dev/fuse open any more, all that waits for an answer gets ENOTCONN. */
static void end_what_hangs(const struct hunt *hunt)
{
	pid_t worker = read_number(hunt->children);

	atomic_store(&tally->hung, true);
	stuck_report(hunt->differ);
	kill(hunt->daemon, SIGKILL); /* first, or it would start another worker */
	if (worker > 0)
		kill(worker, SIGKILL);
}

static void watch(struct hunt *hunt)
{
	unsigned long done = atomic_load(&tally->done);

	if (done != hunt->done || !hunt->since)
		hunt->since = now_us();
	hunt->done = done;
	if (now_us() - hunt->since > HANG_SECONDS * INT64_C(1000000) && !atomic_load(&tally->hung))
		end_what_hangs(hunt);
}

/* Does what the differ says now; false when it has gone. */
static bool obey(struct hunt *hunt)
{
	char order;

	if (read(hunt->socket, &order, 1) != 1)
		return false;
	hunt->kills = order == KILL;
	hunt->since = 0;
	return write(hunt->socket, &order, 1) == 1;
}

/* Until an order comes or it is time to strike: evenly spread, so at twice the mean at most. */
static struct timespec next_pause(struct hunt *hunt)
{
	long us = hunt->kills ? rand_r(&hunt->seed) % (2000000 / (long)hunt->rate) : 500000;

	return (struct timespec){ us / 1000000, us % 1000000 * 1000 };
}

static _Noreturn void run_killer(struct hunt *hunt)
{
	struct pollfd orders = { .fd = hunt->socket, .events = POLLIN };

	/* That of a differ which ended before this line does not come any more. The signal is
	 * sent when the thread ends that has forked us, and the differ has only that one. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != hunt->differ)
		_exit(0);
	for (;;) {
		struct timespec pause = next_pause(hunt);

		if (ppoll(&orders, 1, &pause, NULL) > 0) {
			if (!obey(hunt))
				_exit(0);
			continue;
		}
		watch(hunt);
		if (hunt->kills)
			strike(hunt);
	}
}

/* ---- the differ's side ---- */

/*
 * The differ has no threads: those that run a program are in processes that it forks, and
 * these have come to their end before something is mounted again.  So it may fork here.
 */
int kill_start(pid_t daemon, unsigned int rate)
{
	struct hunt hunt = { .differ = getpid(), .daemon = daemon, .rate = rate };
	int pair[2];

	if (!rate)
		return 0;
	snprintf(hunt.children, sizeof(hunt.children), "/proc/%d/task/%d/children", daemon, daemon);
	hunt.seed = (unsigned int)now_us();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	killer.socket = pair[0];
	hunt.socket = pair[1];
	killer.pid = fork();
	if (killer.pid < 0) {
		int r = -errno;

		killer.pid = 0;
		close(pair[0]);
		close(pair[1]);
		return r;
	}
	if (killer.pid == 0) {
		close(pair[0]);
		run_killer(&hunt);
	}
	close(pair[1]);
	return 0;
}

/* Returns when it is so: no kill follows a HALT. */
static void order(char what)
{
	char answer;

	if (!killer.pid || send(killer.socket, &what, 1, MSG_NOSIGNAL) != 1)
		return;
	while (read(killer.socket, &answer, 1) < 0 && errno == EINTR)
		;
}

void kill_begin(void)
{
	order(KILL);
}

void kill_halt(void)
{
	order(HALT);
}

void kill_stop(void)
{
	if (!killer.pid)
		return;
	kill(killer.pid, SIGKILL);
	while (waitpid(killer.pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(killer.socket);
	killer.pid = 0;
}

bool kill_was_last(pid_t worker)
{
	return tally && atomic_load(&tally->victim) == worker;
}

bool kill_saw_hang(void)
{
	return tally && atomic_exchange(&tally->hung, false);
}

unsigned long kill_count(void)
{
	return tally ? atomic_load(&tally->kills) : 0;
}

void kill_note(unsigned long before, int64_t began)
{
	int64_t ms = (now_us() - began) / 1000;

	if (!tally)
		return;
	atomic_fetch_add(&tally->done, 1);
	if (atomic_load(&tally->kills) != before)
		atomic_fetch_add(&tally->pauses[ms < MAX_PAUSE_MS ? ms : MAX_PAUSE_MS], 1);
}

/* The pause that `part` of a hundred are no longer than. */
static unsigned int percentile(unsigned long total, unsigned int part)
{
	unsigned long sum = 0;
	unsigned int ms = 0;

	for (; ms < MAX_PAUSE_MS; ms++) {
		sum += tally->pauses[ms];
		if (sum * 100 >= total * part)
			break;
	}
	return ms;
}

void kill_report(void)
{
	unsigned long total = 0;

	if (!tally)
		return;
	for (unsigned int ms = 0; ms <= MAX_PAUSE_MS; ms++)
		total += tally->pauses[ms];
	printf("differ: %lu kills; %lu operations under way then took p50 %u, p99 %u, at most %u "
	       "ms\n",
	       kill_count(), total, percentile(total, 50), percentile(total, 99),
	       percentile(total, 100));
	growth_report();
}

/* Takes the lines out that say what we did. */
void kill_filter_log(char *log)
{
	char *from = log, *to = log;

	while (*from) {
		size_t length = strcspn(from, "\n") + 1;
		char *end = memchr(from, '\n', length);

		if (!end)
			length--;
		if (!memmem(from, length, "was killed by signal 9", 22)) {
			memmove(to, from, length);
			to += length;
		}
		from += length;
	}
	*to = '\0';
}
