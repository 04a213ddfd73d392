/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A walk over the lower tree, depth first, the names of a directory in the order of its listing.
 * It takes memory for the depth that it is at and no stack, as a tree may be of any depth.
 *
 *	CLEANUP(tour_done) struct tour tour = { 0 };
 *	r = tour_enter(&tour, root, 0);
 *	while (r == 0 && (entry = tour_next(&tour)))
 *		... tour.dir is its directory; tour_enter goes into it next, if it is one
 *
 * An object is for one thread at a time.
 */
#ifndef LOWER_TOUR_H
#define LOWER_TOUR_H

#include <stdint.h>

#include "lower/lower.h"

struct tour {
	struct tour_stop *at;
	/* Of what tour_next has returned: its directory, and the number that was given for that. */
	struct lower_obj *dir;
	uint64_t number;
};

/* Goes on in `dir` and then where it was; `number` means nothing to the tour.  0 or -errno. */
int tour_enter(struct tour *tour, struct lower_obj *dir, uint64_t number);

/* The next name, good until the call after this one; NULL: there is none. */
const struct listing_entry *tour_next(struct tour *tour);

/* Ends it wherever it is. */
void tour_done(struct tour *tour);

/*
 * The object of a number, looked for in all of the tree: LOWER_FOUND with *ret a reference,
 * LOWER_ABSENT, or negative errno.
 */
int tour_find(struct lower *lower, uint64_t ino, struct lower_obj **ret);

#endif
