/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backing/report.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

enum { LINES = 20, SECONDS = 60 };

void report_refusal(uid_t uid, pid_t pid, const char *why)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static time_t since; /* the minute began */
	static unsigned int n; /* refusals in it */
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&lock);
	if (now.tv_sec - since >= SECONDS) {
		if (n > LINES)
			fprintf(stderr, "cairn-backing: %u more refused\n", n - LINES);
		since = now.tv_sec;
		n = 0;
	}
	if (n++ < LINES)
		fprintf(stderr, "cairn-backing: refused to user %u, process %d: %s\n", uid,
			(int)pid, why);
	pthread_mutex_unlock(&lock);
}
