/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which layers more than one image has. */
#ifndef STORE_SHARING_H
#define STORE_SHARING_H

#include "store/image.h"

struct sharing {
	struct use *uses; /* sorted, one for each layer and image */
	size_t n, room;
};

/* Looks at all images.  0, or negative errno; in either case sharing_done gives it back. */
int sharing_read(struct index_txn *txn, struct sharing *ret);
void sharing_done(struct sharing *sharing);

/* The bytes of the image's layers that another image has too. */
uint64_t sharing_size(const struct sharing *sharing, const struct image *image);

#endif
