/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef STORE_REMOVAL_H
#define STORE_REMOVAL_H

#include <stddef.h>

#include "store/store.h"
#include "value/error.h"

/*
 * Removes images, all of `references` or, when one cannot be, none.  A name
 * takes away that tag, and the image with its last one; an id takes the image
 * with all its tags.  Layers, chain indexes and blobs that no other image uses
 * go too.  -EBUSY: a container uses it, which `error` names.
 */
int image_remove(struct store *store, const char *const references[], size_t n_references,
		 struct error *error);

#endif
