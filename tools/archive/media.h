/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Media types: what a descriptor says its blob is.  NULL or "" is no word, which is taken for the
 * best. */
#ifndef ARCHIVE_MEDIA_H
#define ARCHIVE_MEDIA_H

#include <stdbool.h>

enum media {
	MEDIA_FITS = 0, /* it may be what it is wanted for */
	MEDIA_OTHER, /* it is something else: what has it is no image */
	MEDIA_UNREADABLE, /* it is that, in a form that is not read */
};

enum media media_of_config(const char *type);

/* Of a manifest or an index; MEDIA_UNREADABLE: of schema 1. */
enum media media_of_manifest(const char *type);

/* `*ret_words`, of MEDIA_UNREADABLE: what the layer is, "encrypted" for one. */
enum media media_of_layer(const char *type, const char **ret_words);

/* What is said of a manifest of schema 1, and of the layers of nydus. */
extern const char media_schema1[], media_nydus[];

#endif
