/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images as the store records them. */
#ifndef STORE_IMAGE_H
#define STORE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"
#include "value/digest.h"

struct image_layer {
	struct digest diff_id;
	/*
	 * The directory under layers/: the diff ID, or the chain ID if the layer
	 * holds files copied up from the layers below it.
	 */
	struct digest branch;
	uint64_t size; /* of its files; filled in by image_load */
};

struct image {
	struct digest id; /* of the config */
	bool has_manifest;
	struct digest manifest;
	char *architecture, *os, *created; /* NULL: not said */
	struct digest chain;
	struct image_layer *layers; /* lowest first */
	size_t n_layers;
};

/* Frees what the fields hold. */
void image_done(struct image *image);
uint64_t image_size(const struct image *image);

enum { IMAGE_ABSENT = 0, IMAGE_FOUND = 1 };

/* IMAGE_FOUND with an image for image_done, IMAGE_ABSENT, or negative errno (-EUCLEAN: damaged). */
int image_load(struct index_txn *txn, const struct digest *id, struct image *ret);

/* Writes the record; failures are kept in the transaction, but for -ENOMEM. */
int image_save(struct index_txn *txn, const struct image *image);

/*
 * Every image, or every tag ("NAME:TAG", id), until `each` returns other than
 * 0; that, or 0, or negative errno.  The arguments are good during the call.
 */
int image_each(struct index_txn *txn, int (*each)(void *context, const struct image *image),
	       void *context);
int image_each_tag(struct index_txn *txn,
		   int (*each)(void *context, const char *tag, const struct digest *id),
		   void *context);

#endif
