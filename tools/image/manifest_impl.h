/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the readers of the two forms of image archive. */
#ifndef IMAGE_MANIFEST_IMPL_H
#define IMAGE_MANIFEST_IMPL_H

#include "image/manifest.h"
#include "json.h"

/*
 * Reads and parses a document of the bundle.  With `digest` it must have that
 * one.  The text goes to `ret_text` too, unless that is NULL.
 */
int manifest_load(struct bundle *bundle, const char *name, const struct digest *digest,
		  struct error *error, json_t **ret, char **ret_text, size_t *ret_size);

/* Adds an empty manifest at the end of the list, or NULL. */
struct manifest *manifest_list_add(struct manifest_list *list);

/* Adds a layer that is in the member `name`. */
int manifest_add_layer(struct manifest *manifest, const char *name, const struct digest *digest);
int manifest_add_tag(struct manifest *manifest, const char *tag);

/*
 * Reads the config from the member `name` and takes the diff IDs out of it for
 * the layers, which have been added.
 */
int manifest_read_config(struct bundle *bundle, const char *name, const struct digest *digest,
			 struct error *error, struct manifest *manifest);

int manifest_read_docker(struct bundle *bundle, struct error *error, struct manifest_list *list);
int manifest_read_oci(struct bundle *bundle, const char *architecture, struct error *error,
		      struct manifest_list *list);

#endif
