/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Containers: a writable layer, or only a mount, of an image. */
#ifndef IMAGE_CONTAINER_H
#define IMAGE_CONTAINER_H

#include <stdbool.h>

#include "image/digest.h"
#include "image/error.h"
#include "image/store.h"

struct container {
	char id[17]; /* hex */
	char *name;
	struct digest image;
	char *image_name; /* what the user called it */
	char *mount_point; /* absolute; NULL: kept, and not mounted */
	char *created; /* RFC 3339 */
	bool read_only;
};

void container_done(struct container *container);

/* A letter or digit, then letters, digits, '_', '.' and '-'; at most 128. */
bool container_name_is_valid(const char *name);

/* Every container, as image_each. */
int container_each(struct index_txn *txn,
		   int (*each)(void *context, const struct container *container), void *context);

enum { CONTAINER_ABSENT = 0, CONTAINER_FOUND = 1 };

/*
 * The container of that name, id, or unique prefix of an id of 4 digits or
 * more; else of that mount point.  CONTAINER_FOUND, CONTAINER_ABSENT, or
 * negative errno.
 */
int container_find(struct index_txn *txn, const char *key, struct container *ret);

int container_save(struct index_txn *txn, const struct container *container);
void container_delete(struct index_txn *txn, const char *id);

/*
 * What a command has of a container so that no other one touches it: its directory, locked, from
 * before it is looked at until all is done, mounting included; and its upper and work, claimed
 * (core/claim.h), which shows that it is mounted nowhere, in no mount namespace. -1: not held.
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

/* The path of its directory `part` ("upper", "work", "merged"), allocated; NULL: no memory. */
char *container_path(const struct store *store, const char *id, const char *part);

#endif
