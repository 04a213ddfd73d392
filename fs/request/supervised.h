/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a worker is given by whoever started it, and by which signals it may be ended.
 *
 * All functions may be called from any thread.
 */
#ifndef REQUEST_SUPERVISED_H
#define REQUEST_SUPERVISED_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "request/shared.h"

struct supervised {
	int fuse_fd;
	struct shared *shared;
	int ledger_fd; /* of a memfd (survive/ledger.h); -1: no other worker will follow */
	int opened_fd; /* likewise (opened.h) */
	int helper_fd; /* as backing_connect gave it (host/backing.h); -1: none */
	int shared_fd; /* of `shared`, for who hands it on; -1: nobody */
	int talk; /* to the supervisor (talk.h); -1: there is none, and what follows is called: */
	bool is_restart; /* another worker served before */
	void (*ready)(void *context, uint64_t *dev); /* as of struct supervisor */
	void (*unmount)(void *context, bool is_dead);
	void *context;
};

/* The signals that a supervisor, or a worker without one, waits for. */
void supervised_signals(sigset_t *ret);

#endif
