/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the readers of the two forms of image archive. */
#ifndef ARCHIVE_MANIFEST_IMPL_H
#define ARCHIVE_MANIFEST_IMPL_H

#include "archive/document.h"
#include "archive/manifest.h"

struct manifest_reader {
	struct documents documents;
	struct bundle *bundle;
	const char *architecture; /* that is wanted */
	struct error *error;
	struct manifest_list *list;
};

/* Adds an empty manifest to the list, which has an end. */
int manifest_begin(struct manifest_reader *reader, struct manifest **ret);

/* Adds a layer that is in the member `name`. */
int manifest_add_layer(struct manifest *manifest, const char *name, const struct digest *digest);
int manifest_add_tag(struct manifest *manifest, const char *tag);

/*
 * Completes the manifest that was added last, and which has its layers, text and tags: reads the
 * config from the member `name` and takes the diff IDs for the layers out of it.  If an earlier
 * manifest is of the same image, that one gets the tags, and this one goes.
 */
int manifest_end(struct manifest_reader *reader, const char *name, const struct digest *digest);

/* Reads all manifests of an archive of the one form or the other. 0, or negative errno with the
 * error set. */
int manifest_read_docker(struct manifest_reader *reader);
int manifest_read_oci(struct manifest_reader *reader);

#endif
