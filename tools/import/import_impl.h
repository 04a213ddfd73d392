/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One run of an import, shared by the files that carry it out. */
#ifndef IMPORT_IMPORT_IMPL_H
#define IMPORT_IMPORT_IMPL_H

#include "archive/bundle.h"
#include "archive/manifest.h"
#include "archive/stream.h"
#include "import/import.h"
#include "layer/layer.h"
#include "store/image.h"
#include "store/workspace.h"

/* A branch that was unpacked into the staging directory by this run. */
struct staged_branch {
	struct digest branch;
	uint64_t size;
};

/* An image with all its branches in the store or staged. */
struct prepared {
	struct image image;
	bool builds_chain; /* its chain index is staged rather than in the store */
	size_t n_new;
};

struct import {
	struct store *store;
	const struct import_request *request;
	struct error *error;
	struct workspace workspace;
	struct layer_site site;
	struct watch watch; /* steps `done` */
	uint64_t done, total;

	struct manifest_choice choice;
	struct bundle *bundle; /* NULL: a root filesystem */
	int spool; /* the directory it was unpacked to, or -1 */
	struct manifest_list manifests;

	struct staged_branch *staged;
	size_t n_staged;
	struct prepared *prepared; /* one for each manifest */
};

/* import_layers.c */

/*
 * Unpacks `extent` into "new/diff" of the staging directory.  `below`: the lower layers,
 * topmost first.
 */
struct unpacked {
	struct digest blob, diff_id;
	struct layer_summary summary;
};
int import_unpack(struct import *import, const struct extent *extent, const int below[],
		  size_t n_below, struct unpacked *ret);

/* Makes "new" the staged branch of that id. */
int import_stage(struct import *import, const struct digest *branch, uint64_t size);

/* Drops what is staged for the branch. */
void import_unstage(struct import *import, size_t i);

/* Makes every layer and the chain index of manifest `i` be there, and describes the image. */
int import_prepare(struct import *import, size_t i);

/* Whether an image in the store has the chain `chain`: 1, 0 or negative errno. */
int import_has_chain(struct index_txn *txn, const struct digest *chain);

/* The number of bytes of layers that import_prepare will have to read. */
int import_count_bytes(struct import *import);

/* import_publish.c */

/* The names that manifest `i` gets; they belong to `ret`. */
int import_choose_tags(struct import *import, size_t i, struct imported *ret);

/* IMPORT_CHANGED: the store is no longer as it was when the images were prepared. */
enum { IMPORT_CHANGED = 1 };
int import_publish(struct import *import, const struct import_result *result);

#endif
