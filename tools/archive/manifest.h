/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an image archive says it holds: manifest.json of `docker save`, or the
 * index and manifests of the OCI image spec, or the one of skopeo's dir:, brought to one form.
 */
#ifndef ARCHIVE_MANIFEST_H
#define ARCHIVE_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/bundle.h"
#include "archive/form.h"
#include "value/digest.h"
#include "value/error.h"
#include "value/platform.h"

/* A layer as the archive has it. */
struct manifest_layer {
	char *member; /* its name in the bundle; NULL: none, see manifest_layer_is_empty */
	bool has_digest;
	struct digest digest; /* of the blob as stored */
	struct digest diff_id;
};

struct manifest {
	const char *text; /* as pulled; NULL: there is none */
	size_t text_size;
	struct digest digest; /* of the text */

	char *config_name; /* its name in the bundle, or NULL */
	const char *config; /* as pulled */
	size_t config_size;
	struct digest image_id; /* of the config */
	char *architecture, *os, *variant, *created; /* NULL: not said */

	char **tags; /* as written in the archive, unchecked, but without digests of others */
	size_t n_tags;

	struct manifest_layer *layers; /* lowest first */
	size_t n_layers;
};

/* No two are the same image: one that an archive has several times has all its tags. */
struct manifest_list {
	struct manifest *items;
	size_t n_items;
	char **texts; /* what their `text` and `config` point to: many may have the same */
	size_t n_texts;
	size_t n_others; /* what the archive has beside images: signatures, charts and the like */
	char *others; /* what the first of them are */
};

/* What is wanted of an archive. */
struct manifest_choice {
	struct platform platform; /* where an index offers several, the one that suits this best */
	bool is_strict; /* an image for another platform is no answer, even if it is the only one */
	const char *name; /* the image that is called so, or has this digest; NULL: all */
	const char *file; /* the name of the file, for those that have a tag alone; or NULL */
};

/*
 * Reads what describes the images in `bundle`, which are of the form `form`, checking the digest of
 * each document.  The result is the caller's, to be given back by manifest_list_done.  However much
 * the archive holds, the memory taken is bounded (document.h).
 */
int manifest_list_read(struct bundle *bundle, enum form form, const struct manifest_choice *choice,
		       struct error *error, struct manifest_list *ret);
void manifest_list_done(struct manifest_list *list);

/* Adds an empty manifest at the end of the list; NULL: out of memory. */
struct manifest *manifest_list_add(struct manifest_list *list);

/* Gives `text` (allocated) to the list, for its manifests to point to; -ENOMEM: it stays the
 * caller's. */
int manifest_list_keep(struct manifest_list *list, char *text);

/*
 * Whether it is the layer of an image that has none: nothing has to be read for it, and what it
 * stands for is MANIFEST_EMPTY_TAR bytes of zeros.
 */
enum { MANIFEST_EMPTY_TAR = 1024 };
bool manifest_layer_is_empty(const struct manifest_layer *layer);

#endif
