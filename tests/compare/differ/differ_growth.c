/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the supervisor holds before its workers are killed and after: however many it has
 * started, it must have no more descriptors, mappings and memory than with the first.
 *
 * Both times it is settled, that is, it waits for something to happen and has nothing left
 * from what did: the last worker that was killed is no child of it any more; another has
 * answered a statfs, which the kernel never answers by itself, so that this one had said
 * before that it is ready; and the supervisor sleeps, so it has heard that and closed the
 * pipe on which it came.
 */
#include "differ.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/cleanup.h"

enum { SETTLE_MS = 20000 };

/*
 * No growth is expected, nor seen: 32 KiB are for pages of the stack and of libraries that
 * the first death of a worker is first to touch, and a page for each death is more.
 * AddressSanitizer keeps what was freed (its quarantine), as syslog's buffers are each time:
 * there memory is only reported.  Without the quarantine it grows by 12 KiB.
 */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define MEMORY_BOUND LONG_MAX
#else
#define MEMORY_BOUND 32
#endif

enum figure { DESCRIPTORS, MAPPINGS, MEMORY, N_FIGURES };

static const struct {
	const char *name;
	long bound; /* of growth */
} figures[N_FIGURES] = {
	[DESCRIPTORS] = { "descriptors", 0 },
	[MAPPINGS] = { "mappings", 0 },
	[MEMORY] = { "KiB of memory", MEMORY_BOUND },
};

struct range {
	long min, max;
};

static struct {
	unsigned int n_mounts;
	unsigned long kills; /* before the mount that stands */
	long before[N_FIGURES]; /* of that */
	struct range all_before[N_FIGURES], all_after[N_FIGURES], growth[N_FIGURES];
} measured;

/* ---- one measurement ---- */

static FILE *open_proc(pid_t pid, const char *name)
{
	cleanup_free char *path = xformat("/proc/%d/%s", pid, name);

	return fopen(path, "re");
}

static long count_descriptors(pid_t pid)
{
	cleanup_free char *path = xformat("/proc/%d/fd", pid);
	cleanup_dir DIR *dir = opendir(path);
	struct dirent *entry;
	long n = 0;

	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		n += *entry->d_name != '.';
	return n;
}

static long count_mappings(pid_t pid)
{
	FILE *f = open_proc(pid, "maps");
	long n = 0;
	int c;

	if (!f)
		return -1;
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

/* What stands behind `key` in a file of the process, in 100 bytes. */
static bool read_value(pid_t pid, const char *name, const char *key, char value[static 100])
{
	FILE *f = open_proc(pid, name);
	cleanup_free char *line = NULL;
	size_t size = 0;
	bool found = false;

	while (f && !found && getline(&line, &size, f) > 0) {
		found = !strncmp(line, key, strlen(key));
		if (found)
			snprintf(value, 100, "%s", line + strlen(key));
	}
	if (f)
		fclose(f);
	return found;
}

static bool measure(pid_t pid, long ret[N_FIGURES])
{
	char value[100];
	bool found;

	ret[DESCRIPTORS] = count_descriptors(pid);
	ret[MAPPINGS] = count_mappings(pid);
	/* The same as RssAnon in its status, but counted when it is read: the other is summed up
	 * for each processor, and may be wrong by 32 pages for each. */
	found = read_value(pid, "smaps_rollup", "Anonymous:", value);
	ret[MEMORY] = found ? strtol(value, NULL, 10) : -1;
	return ret[DESCRIPTORS] > 0 && ret[MAPPINGS] > 0 && ret[MEMORY] > 0;
}

/* ---- the supervisor, settled ---- */

static bool has_child_to_lose(pid_t daemon)
{
	cleanup_free char *name = xformat("task/%d/children", daemon);
	FILE *f = open_proc(daemon, name);
	bool found = false;
	int pid;

	while (f && fscanf(f, "%d", &pid) == 1)
		found |= kill_was_last(pid);
	if (f)
		fclose(f);
	return found;
}

static bool sleeps(pid_t pid)
{
	char value[100];

	return read_value(pid, "status", "State:\t", value) && *value == 'S';
}

static bool settle(const struct session *session)
{
	int64_t end = now_us() + SETTLE_MS * INT64_C(1000);
	const struct timespec pause = { 0, 1000000 };
	struct statvfs st;

	while (has_child_to_lose(session->daemon) && now_us() < end)
		nanosleep(&pause, NULL);
	if (statvfs(session->mnt, &st) < 0)
		return false;
	while (!sleeps(session->daemon) && now_us() < end)
		nanosleep(&pause, NULL);
	return now_us() < end;
}

static bool measure_settled(const struct session *session, long ret[N_FIGURES], struct text *why)
{
	if (settle(session) && measure(session->daemon, ret))
		return true;
	text_add(why, "the supervisor does not come to rest, or cannot be seen; ");
	return false;
}

/* ---- before and after ---- */

bool growth_begin(const struct session *session, struct text *why)
{
	measured.kills = kill_count();
	return measure_settled(session, measured.before, why);
}

static void widen(struct range *range, long value)
{
	if (!measured.n_mounts || value < range->min)
		range->min = value;
	if (!measured.n_mounts || value > range->max)
		range->max = value;
}

bool growth_end(const struct session *session, struct text *why)
{
	bool fine = true;
	long after[N_FIGURES];

	if (kill_count() == measured.kills)
		return true;
	if (!measure_settled(session, after, why))
		return false;
	for (enum figure i = 0; i < N_FIGURES; i++) {
		long growth = after[i] - measured.before[i];

		widen(&measured.all_before[i], measured.before[i]);
		widen(&measured.all_after[i], after[i]);
		widen(&measured.growth[i], growth);
		if (growth <= figures[i].bound)
			continue;
		text_add(why, "the supervisor had %ld %s, and %ld after %lu kills; ",
			 measured.before[i], figures[i].name, after[i],
			 kill_count() - measured.kills);
		fine = false;
	}
	measured.n_mounts++;
	return fine;
}

void growth_report(void)
{
	printf("differ: the supervisors of %u mounts before their workers were killed, and after:",
	       measured.n_mounts);
	for (enum figure i = 0; i < N_FIGURES; i++)
		printf("%s %ld..%ld, %ld..%ld %s (%+ld at most)", i ? ";" : "",
		       measured.all_before[i].min, measured.all_before[i].max,
		       measured.all_after[i].min, measured.all_after[i].max, figures[i].name,
		       measured.growth[i].max);
	printf("\n");
}
