/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Containers: a writable layer, or only a mount, of an image. */
#ifndef STORE_CONTAINER_H
#define STORE_CONTAINER_H

#include <stdbool.h>

#include "store/store.h"
#include "value/digest.h"
#include "value/error.h"

struct container {
	char id[17]; /* hex */
	char *name;
	struct digest image;
	char *image_name; /* what the user called it */
	char *mount_point; /* absolute; NULL: kept, and not mounted */
	char *created; /* RFC 3339 */
	bool read_only;
};

/* Frees what the fields hold. */
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

/* Writes the record, in place of the one there is: 0, -EILSEQ: a field is no UTF-8; or -ENOMEM. And
 * removes one. */
int container_save(struct index_txn *txn, const struct container *container);
void container_delete(struct index_txn *txn, const char *id);

/* The path of its directory `part` ("upper", "work", "merged"), allocated; NULL: no memory. */
char *container_path(const struct store *store, const char *id, const char *part);

#endif
