/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lower/tour.h"

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

/* Whether an entry is it; if it is another directory, that is gone through next. */
static int step_lower(struct tour *tour, const struct listing_entry *entry, uint64_t ino,
		      struct lower_obj **ret)
{
	cleanup_lower_obj struct lower_obj *obj = NULL;
	int r;

	if (entry->ino != ino && entry->type != DT_DIR)
		return LOWER_ABSENT;
	r = lower_lookup(tour->dir, entry->name, &obj, NULL);
	if (r != LOWER_FOUND)
		return r;
	if (obj->ino == ino) {
		*ret = take_ptr(obj);
		return LOWER_FOUND;
	}
	return S_ISDIR(obj->type) ? tour_enter(tour, obj, 0) : LOWER_ABSENT;
}

int tour_find(struct lower *lower, uint64_t ino, struct lower_obj **ret)
{
	CLEANUP(tour_done) struct tour tour = { 0 };
	cleanup_lower_obj struct lower_obj *root = lower_root(lower);
	const struct listing_entry *entry;
	int r = root ? tour_enter(&tour, root, 0) : -ENOMEM;

	while (r == LOWER_ABSENT && (entry = tour_next(&tour)))
		r = step_lower(&tour, entry, ino, ret);
	return r;
}
