/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lower files with several names: what has been found out about one, which its node does not keep,
 * as the kernel may forget that between one name and the next. So what is done to all names of a
 * file does not look at all names for each.
 *
 * Of which a search has found no copy in upper: none comes to be without a note that is found first
 * (copyup/group.h), so they need not be searched for again. How many names show: counted once, then
 * kept by those who take one away. As one may go while they are counted, each change has a
 * beginning and an end, and a count is kept only if none was under way.
 *
 * Without memory for it, what is not kept is found out again. From any thread.
 */
#ifndef NODE_LINKED_H
#define NODE_LINKED_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/table.h"

enum { LINKED_BUCKETS = 64 };

struct linked {
	pthread_mutex_t lock; /* guards what follows */
	struct table files; /* by number */
	/* Changes of files by their number's hash: under way, and that have begun or ended. */
	struct {
		unsigned int n_now, n;
	} changes[LINKED_BUCKETS];
};

/* Empty; and gives its memory back, when nobody uses it any more. */
void linked_init(struct linked *linked);
void linked_done(struct linked *linked);

/* Whether a search has found no copy; and: it has not. */
bool linked_has_no_copy(struct linked *linked, uint64_t ino);
void linked_note_no_copy(struct linked *linked, uint64_t ino);

/*
 * Names of a file may go: before anything changes on disk, and after, when `change` more show, or
 * fewer if it is negative; LINKED_LOST: it is not known how many. Each beginning has its end.
 */
enum { LINKED_LOST = INT_MAX };
void linked_begin(struct linked *linked, uint64_t ino);
void linked_end(struct linked *linked, uint64_t ino, int change);

/* How many names show, as far as it is known; or -1, with *mark for linked_keep. */
int linked_count(struct linked *linked, uint64_t ino, unsigned int *mark);

/* So many were counted since linked_count gave `mark`. */
void linked_keep(struct linked *linked, uint64_t ino, unsigned int mark, int n);

#endif
