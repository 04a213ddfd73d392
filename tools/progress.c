/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "cmd.h"

static double since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

void progress_begin(struct progress *progress)
{
	*progress = (struct progress){ .shown = isatty(STDERR_FILENO) };
	clock_gettime(CLOCK_MONOTONIC, &progress->began);
	progress->drew = progress->began;
}

static void draw(const struct progress *progress, uint64_t done, uint64_t total)
{
	double elapsed = since(&progress->began);
	double rate = elapsed > 0 ? (double)done / elapsed : 0;
	char sizes[3][16];

	fprintf(stderr, "\r\033[K%s", cmd_size(sizes[0], done));
	if (total >= done && total > 0)
		fprintf(stderr, " of %s, %d %%", cmd_size(sizes[1], total),
			(int)((double)done * 100 / (double)total));
	fprintf(stderr, ", %s/s", cmd_size(sizes[2], (unsigned long long)rate));
	if (total >= done && total > 0 && rate > 0) {
		unsigned int left = (unsigned int)((double)(total - done) / rate);

		fprintf(stderr, ", %u:%02u left", left / 60, left % 60);
	}
	fflush(stderr);
}

void progress_step(struct progress *progress, uint64_t done, uint64_t total)
{
	if (!progress->shown)
		return;
	if (done < progress->last_done) /* the next phase */
		clock_gettime(CLOCK_MONOTONIC, &progress->began);
	progress->last_done = done;
	if (since(&progress->drew) < 0.1)
		return;
	clock_gettime(CLOCK_MONOTONIC, &progress->drew);
	progress->drawn = true;
	draw(progress, done, total);
}

void progress_end(struct progress *progress)
{
	if (progress->drawn)
		fputs("\r\033[K", stderr);
	progress->drawn = false;
}
