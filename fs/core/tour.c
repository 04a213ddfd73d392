/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/tour.h"

#include <errno.h>
#include <stdlib.h>

/* A directory that has been entered and not been left. */
struct tour_stop {
	struct tour_stop *above;
	struct lower_obj *dir;
	struct listing *listing;
	size_t next;
	uint64_t number;
};

int tour_enter(struct tour *tour, struct lower_obj *dir, uint64_t number)
{
	cleanup_listing struct listing *listing = NULL;
	int r = lower_list(dir, &listing);
	struct tour_stop *stop = r < 0 ? NULL : malloc(sizeof(*stop));

	if (!stop)
		return r < 0 ? r : -ENOMEM;
	*stop = (struct tour_stop){
		.above = tour->at,
		.dir = lower_ref(dir),
		.listing = take_ptr(listing),
		.number = number,
	};
	tour->at = stop;
	return 0;
}

static void leave(struct tour *tour)
{
	struct tour_stop *stop = tour->at;

	tour->at = stop->above;
	listing_unref(stop->listing);
	lower_unref(stop->dir);
	free(stop);
}

const struct listing_entry *tour_next(struct tour *tour)
{
	while (tour->at && tour->at->next == listing_count(tour->at->listing))
		leave(tour);
	if (!tour->at)
		return NULL;
	tour->dir = tour->at->dir;
	tour->number = tour->at->number;
	return listing_at(tour->at->listing, tour->at->next++);
}

void tour_done(struct tour *tour)
{
	while (tour->at)
		leave(tour);
}
