/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who has a container, and where it is mounted. */
#ifndef STORE_HOLD_H
#define STORE_HOLD_H

#include "store/container.h"

/*
 * What a command has of a container so that no other one touches it: its directory, locked, from
 * before it is looked at until all is done, mounting included; and its upper and work, claimed
 * (host/claim.h), which shows that it is mounted nowhere, in no mount namespace. -1: not held.
 */
struct container_hold {
	int dir, upper, claim;
};
#define CONTAINER_NOT_HELD                                                                         \
	{                                                                                          \
		-1, -1, -1                                                                         \
	}
void container_hold_done(struct container_hold *hold);

/* Holds the directory. -EBUSY: another command has it; 0 also when it is not there. */
int container_hold(struct store *store, const char *id, struct error *error,
		   struct container_hold *ret);

/* After it was unmounted, of which there may be no note: waits, some seconds, for the daemon. */
void container_await(const struct container_hold *hold);

/* Claims upper and work besides; a read-only container has none. -EBUSY: it is mounted. */
int container_hold_layer(const struct container *container, struct container_hold *hold,
			 struct error *error);

/*
 * Whether and where the container is mounted: CONTAINER_UNMOUNTED; CONTAINER_MOUNTED with *place
 * allocated, which is another place than the recorded one if a command was killed; -EBUSY:
 * something else is mounted where it was; or another negative errno. `hold` has its directory.
 */
enum { CONTAINER_UNMOUNTED = 0, CONTAINER_MOUNTED = 1 };
int container_look(const struct container *container, const struct container_hold *hold,
		   struct error *error, char **place);

#endif
