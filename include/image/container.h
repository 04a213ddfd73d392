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
 * Makes the record and the directories of a new container, and commits.
 * `name` NULL: its id.  -EEXIST: there is one of that name.
 */
struct container_request {
	const char *name, *image_name, *mount_point; /* mount_point NULL: its own `merged` */
	struct digest image;
	bool read_only;
};
int container_create(struct store *store, const struct container_request *request,
		     struct error *error, struct container *ret);

/* Records where it is mounted (NULL: nowhere), and commits. */
int container_set_mount_point(struct store *store, const char *id, const char *mount_point,
			      struct error *error);

/* Removes the record, commits, then removes the directories. */
int container_remove(struct store *store, const char *id, struct error *error);

/* The path of its directory `part` ("upper", "work", "merged"), allocated; NULL: no memory. */
char *container_path(const struct store *store, const char *id, const char *part);

#endif
