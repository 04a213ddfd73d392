/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Several workers on the same names: no two runs are alike, so nothing is compared with a
 * plain directory, but what has to be so however it went.
 */
#ifndef DIFFER_SHARED_H
#define DIFFER_SHARED_H

#include <stdatomic.h>

#include "differ.h"

/* In memory that all workers and the main process share. */
struct crowd {
	atomic_ulong done; /* operations */
	atomic_bool failed;
	char message[1000]; /* by the first that failed */
};

/* ---- the workers (differ_shared_worker.c) ---- */

struct crowd_job {
	const struct stack *stack; /* merged: names to try first */
	const struct options *options;
	const char *dir; /* the mount */
	uint64_t seed;
	struct crowd *crowd;
};

/* Starts the workers below one process; its id. */
pid_t crowd_start(const struct crowd_job *job);
/* Content that says who wrote it: 8 bytes, none of which is 0. */
uint64_t tag_make(unsigned int worker, unsigned long number);
bool tag_is_one(uint64_t tag);

/* ---- what has to be so (differ_invariant.c) ---- */

/* Each function says what is wrong, and then gives false. */
bool invariant_tree(const struct tree *tree, struct text *wrong);
/* Each block of each file holds what one writer, or a lower branch, put there. */
bool invariant_content(const struct tree *tree, const struct stack *stack, int rootfd,
		       struct text *wrong);
bool invariant_same(const struct tree *before, const struct tree *after, struct text *wrong);
/* Nothing is left in the directories of a work directory. */
bool invariant_work_empty(const char *work, struct text *wrong);

#endif
