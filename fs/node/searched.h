/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lower files with several names of which a search has found no copy in upper. None comes to be
 * without a note that is found first (copyup/group.h), so they need not be searched for again, name
 * after name for each of the names. From any thread.
 */
#ifndef NODE_SEARCHED_H
#define NODE_SEARCHED_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/table.h"

struct searched {
	pthread_mutex_t lock; /* guards the table */
	struct table files; /* by number */
};

void searched_init(struct searched *searched);
void searched_done(struct searched *searched);

bool searched_has(struct searched *searched, uint64_t ino);
/* Without memory for it, it is searched for again. */
void searched_add(struct searched *searched, uint64_t ino);

#endif
