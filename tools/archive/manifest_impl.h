/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the readers of the two forms of image archive. */
#ifndef ARCHIVE_MANIFEST_IMPL_H
#define ARCHIVE_MANIFEST_IMPL_H

#include "archive/document.h"
#include "archive/manifest.h"

/* Names of what an archive has, as far as an error has room for them. */
struct name_list {
	char text[256];
};
void name_list_add(struct name_list *list, const char *name);

struct manifest_reader {
	struct documents documents;
	struct bundle *bundle;
	const struct manifest_choice *choice;
	struct error *error;
	struct manifest_list *list;
	struct name_list names; /* of images that were not chosen */
	bool is_flat; /* blobs are called HEX, and not blobs/sha256/HEX */
};

/* The platforms that there are, as far as an error has room for them. */
struct offered {
	struct name_list names;
};
void offered_add(struct offered *offered, const struct platform *platform);
int manifest_not_offered(struct manifest_reader *reader, const struct offered *offered);

/*
 * Whether it is wanted: it is called `ref` in the archive (NULL: it has no name), and has this
 * digest (NULL: none that is known).  What is not wanted is noted.
 */
bool manifest_is_wanted(struct manifest_reader *reader, const char *ref,
			const struct digest *digest);

/* Notes that something is no image: its digest, and what it is instead. 0 or -ENOMEM. */
int manifest_add_other(struct manifest_reader *reader, const struct digest *digest,
		       const char *what);

/* Frees what the fields hold. */
void manifest_done(struct manifest *manifest);

/* Adds an empty manifest to the list, which has an end. */
int manifest_begin(struct manifest_reader *reader, struct manifest **ret);

/* Adds a layer that is in the member `name`. */
int manifest_add_layer(struct manifest *manifest, const char *name, const struct digest *digest);

/*
 * A name.  A digest after "@" is dropped, unless there is no tag and it is `digest`, that of what
 * has the name (NULL: not known).
 */
int manifest_add_tag(struct manifest *manifest, const char *tag, const struct digest *digest);

/*
 * Completes the manifest that was added last, and which has its layers, text and tags: reads the
 * config from the member `name` and takes the diff IDs for the layers out of it.  If an earlier
 * manifest is of the same image, that one gets the tags, and this one goes.
 */
int manifest_end(struct manifest_reader *reader, const char *name, const struct digest *digest);

/* Reads all manifests of an archive of a form. 0, or negative errno with the
 * error set. */
int manifest_read_docker(struct manifest_reader *reader);
int manifest_read_oci(struct manifest_reader *reader);
int manifest_read_dir(struct manifest_reader *reader);

#endif
