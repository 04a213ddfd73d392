/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests under way, in memory that outlives a worker.
 *
 * The kernel sends a request again that was read and not answered when a worker
 * died (FUSE_NOTIFY_RESEND, Linux 6.9), and marks it.  It may have been carried
 * out: then what it was about to do is done, and doing it again would fail or,
 * worse, succeed.  While a request is under way the kernel holds the directories
 * it changes, so nobody else can have undone or done the same: a name that is
 * there after a creation that was begun, is ours.
 *
 * Each thread has one place, where the request lies as it was read.  In it is
 * noted that a change was begun, and which nodes the answer tells the kernel
 * of: if the answer never went out, the kernel was not told.  FORGET is sent
 * once only; what a worker has read and not worked off, the next one does.
 */
#ifndef REQUEST_ATTEMPT_H
#define REQUEST_ATTEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/node.h"

enum {
	ATTEMPT_PLACES = 64,
	ATTEMPT_WRITE_MAX = 1 << 20, /* bytes in one WRITE */
	ATTEMPT_REQUEST_MAX = ATTEMPT_WRITE_MAX + 4096,
	ATTEMPT_TOLD_MAX = 2000,
	ATTEMPT_PAST = 4 * ATTEMPT_PLACES,
};

struct attempt {
	uint64_t ino; /* what the change is about, for the verb to know again */
	uint32_t is_begun;
	uint32_t n_forgotten; /* of a FORGET: how much is done */
	uint32_t n_told;
	uint64_t told[ATTEMPT_TOLD_MAX];
	_Alignas(4096) unsigned char request[ATTEMPT_REQUEST_MAX]; /* its size is 0: none */
};

/* Of an earlier worker: a request that may come again. */
struct past_attempt {
	uint64_t unique; /* 0: none */
	uint64_t ino;
	uint32_t is_begun;
	uint32_t n_told;
	uint64_t told[ATTEMPT_TOLD_MAX];
};

/* Shared by all workers; zeroed memory at first. */
struct attempts {
	/*
	 * All that came again has been read.  The kernel sends that first, and what it
	 * sends then is new.
	 */
	uint32_t is_drained;
	struct past_attempt past[ATTEMPT_PAST];
	struct attempt places[ATTEMPT_PLACES];
};

/*
 * Takes over what an earlier worker left: forgets what that one was told to
 * forget, and keeps what may come again, until it does, whichever worker it is
 * then.
 */
void attempts_take_over(struct attempts *attempts, struct nodes *nodes);

/* Whether a request that may come again had begun with this number. */
bool attempts_await(const struct attempts *attempts, uint64_t ino);

/* Before the thread reads a request into `place`. */
void attempt_clear(struct attempt *place);

/*
 * The request in `place` has been read; the calling thread works on it until
 * attempt_end.  True if it was a FORGET, which is done then.
 */
bool attempt_start(struct attempts *attempts, struct attempt *place, struct nodes *nodes);

/*
 * It has been answered.  If it had come again, what an earlier worker counted for
 * an answer that the kernel never had is taken back: only now, or the last that
 * held a node could go before this answer told of it.
 */
void attempt_end(struct attempt *place, struct nodes *nodes);

/* --- of the request that the calling thread works on; without effect if there is none --- */

/* The change is about to be made; `ino` is for the worker after. */
void attempt_begin(uint64_t ino);

/* Whether a worker before had begun the change, with *ino (may be NULL) as it said. */
bool attempt_was_begun(uint64_t *ino);

/* The answer is going to tell the kernel of a node once. False: no room for more. */
bool attempt_tell(struct node *node);
/* It did not after all; the last one told only. */
void attempt_untell(struct node *node);

#endif
