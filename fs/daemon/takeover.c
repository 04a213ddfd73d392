/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/takeover.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "request/talk.h"

enum {
	ANSWER_MS = 10000, /* for a program to say that it can take over, and then that it has */
	DRAIN_MS = 3000, /* for a worker to answer what it has */
};

/* Waits for the next one's word that it can. */
static bool can(const struct child *worker, const struct child *next, char *why, size_t size)
{
	struct pollfd fds[2] = { { .fd = next->talk, .events = POLLIN },
				 { .fd = worker->talk, .events = POLLIN } };
	ssize_t n;

	poll(fds, 2, ANSWER_MS);
	if (fds[1].revents) {
		snprintf(why, size, "the worker ended meanwhile");
		return false;
	}
	n = talk_hear(next->talk, 0, why, size);
	if (n < 0)
		snprintf(why, size, "the program says nothing within %d seconds", ANSWER_MS / 1000);
	else if (n == 0)
		snprintf(why, size, "the program ends and does not say why");
	return n == 1 && *why == TALK_ABLE;
}

/* The worker answers what it has, and ends; if that takes too long, without. */
static void drain(struct child *worker)
{
	char text[2];
	ssize_t n;

	talk_say(worker->talk, TALK_HAND_OVER);
	do {
		n = talk_hear(worker->talk, DRAIN_MS, text, sizeof(text));
	} while (n > 0);
	child_bury(worker, n < 0);
}

static int program_of(const struct child *worker)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)worker->pid);
	return open(path, O_PATH | O_CLOEXEC);
}

enum takeover takeover(struct child *worker, struct child *next, int *program_fd, char *why,
		       size_t size)
{
	*program_fd = -1;
	if (!can(worker, next, why, size)) {
		child_bury(next, true);
		return TAKEOVER_REFUSED;
	}
	*program_fd = program_of(next);
	drain(worker);
	talk_say(next->talk, TALK_GO);
	if (talk_hear(next->talk, ANSWER_MS, why, size) == 1 && *why == TALK_READY) {
		next->is_ready = true;
		*worker = *next;
		return TAKEOVER_DONE;
	}
	snprintf(why, size, "the program fails when it has taken over");
	child_bury(next, true);
	if (*program_fd >= 0)
		close(*program_fd);
	*program_fd = -1;
	return TAKEOVER_FAILED;
}
