/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * --kills: a thread ends the daemon's worker with SIGKILL at random instants while
 * programs run on the mount.  How long the operations took during which that happened
 * is counted, in memory that the processes which run the programs share.
 */
#include "differ.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { MAX_PAUSE_MS = 20000 };

static struct {
	atomic_ulong kills;
	atomic_ulong pauses[MAX_PAUSE_MS + 1]; /* by length in milliseconds */
} * tally;

static struct {
	pthread_t thread;
	atomic_bool runs;
	pid_t daemon;
	unsigned int rate;
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

/* The daemon is the supervisor; its first child is the worker. */
static pid_t worker_of(pid_t daemon)
{
	cleanup_free char *path = xformat("/proc/%d/task/%d/children", daemon, daemon);
	FILE *f = fopen(path, "re");
	int pid = 0;

	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

static void *run(void *unused)
{
	unsigned int seed = (unsigned int)now_us();

	(void)unused;
	while (killer.runs) {
		pid_t worker;

		/* Evenly spread, so at twice the mean at most. */
		usleep((useconds_t)(rand_r(&seed) % (2000000 / killer.rate)));
		worker = killer.runs ? worker_of(killer.daemon) : 0;
		if (worker > 0 && kill(worker, SIGKILL) == 0)
			atomic_fetch_add(&tally->kills, 1);
	}
	return NULL;
}

void kill_start(pid_t daemon, unsigned int rate)
{
	if (!rate)
		return;
	killer.daemon = daemon;
	killer.rate = rate;
	killer.runs = true;
	if (pthread_create(&killer.thread, NULL, run, NULL))
		killer.runs = false;
}

void kill_stop(void)
{
	if (!killer.runs)
		return;
	killer.runs = false;
	pthread_join(killer.thread, NULL);
}

unsigned long kill_count(void)
{
	return tally ? atomic_load(&tally->kills) : 0;
}

void kill_note(unsigned long before, int64_t began)
{
	int64_t ms = (now_us() - began) / 1000;

	if (tally && atomic_load(&tally->kills) != before)
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
