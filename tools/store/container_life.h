/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Containers are made, moved and removed; each in one write transaction. */
#ifndef STORE_CONTAINER_LIFE_H
#define STORE_CONTAINER_LIFE_H

#include "store/hold.h"

/*
 * Makes the record and the directories of a new container, and commits; *hold has its directory.
 * `name` NULL: its id.  -EEXIST: there is one of that name. -EBUSY: one is mounted on that mount
 * point, or is about to be.
 */
struct container_request {
	const char *name, *image_name, *mount_point; /* mount_point NULL: its own `merged` */
	struct digest image;
	bool read_only;
};
int container_create(struct store *store, const struct container_request *request,
		     struct error *error, struct container *ret, struct container_hold *hold);

/*
 * Records where it is mounted (NULL: nowhere), and commits; -EBUSY as container_create. The caller
 * holds its directory.
 */
int container_set_mount_point(struct store *store, const char *id, const char *mount_point,
			      struct error *error);

/*
 * Removes the record, commits, then removes the directories. The caller holds the directory and,
 * if it may ever have been mounted, the layer.
 */
int container_remove(struct store *store, const char *id, struct error *error);

#endif
