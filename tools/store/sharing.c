/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/sharing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct use {
	struct digest branch, image;
};

void sharing_done(struct sharing *sharing)
{
	free(sharing->uses);
	*sharing = (struct sharing){ 0 };
}

static int compare(const void *a, const void *b)
{
	const struct use *x = a, *y = b;
	int order = strcmp(x->branch.hex, y->branch.hex);

	return order ? order : strcmp(x->image.hex, y->image.hex);
}

static int add_uses(void *context, const struct image *image)
{
	struct sharing *sharing = context;

	for (size_t i = 0; i < image->n_layers; i++) {
		if (sharing->n == sharing->room) {
			size_t room = sharing->room ? sharing->room * 2 : 64;
			struct use *more = realloc(sharing->uses, room * sizeof(*more));

			if (!more)
				return -ENOMEM;
			sharing->uses = more;
			sharing->room = room;
		}
		sharing->uses[sharing->n++] = (struct use){ image->layers[i].branch, image->id };
	}
	return 0;
}

int sharing_read(struct index_txn *txn, struct sharing *ret)
{
	size_t n = 0;
	int r;

	*ret = (struct sharing){ 0 };
	r = image_each(txn, add_uses, ret);
	if (r < 0 || ret->n == 0)
		return r;
	qsort(ret->uses, ret->n, sizeof(*ret->uses), compare);
	/* An image may have a layer twice. */
	for (size_t i = 0; i < ret->n; i++) {
		if (n == 0 || compare(&ret->uses[n - 1], &ret->uses[i]) != 0)
			ret->uses[n++] = ret->uses[i];
	}
	ret->n = n;
	return 0;
}

static bool is_shared(const struct sharing *sharing, const struct digest *branch,
		      const struct digest *image)
{
	const struct use wanted = { *branch, *image };
	const struct use *use = sharing->n > 0 ? bsearch(&wanted, sharing->uses, sharing->n,
							 sizeof(*use), compare)
					       : NULL;
	size_t i;

	if (!use)
		return false;
	i = (size_t)(use - sharing->uses);
	return (i > 0 && digest_equal(&use[-1].branch, branch)) ||
	       (i + 1 < sharing->n && digest_equal(&use[1].branch, branch));
}

uint64_t sharing_size(const struct sharing *sharing, const struct image *image)
{
	uint64_t size = 0;

	for (size_t i = 0; i < image->n_layers; i++) {
		if (is_shared(sharing, &image->layers[i].branch, &image->id))
			size += image->layers[i].size;
	}
	return size;
}
