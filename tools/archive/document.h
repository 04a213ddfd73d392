/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The JSON documents of one archive, which say what they like: reading them takes bounded memory
 * and time. */
#ifndef ARCHIVE_DOCUMENT_H
#define ARCHIVE_DOCUMENT_H

#include <stdint.h>

#include "archive/bundle.h"
#include "value/digest.h"
#include "value/error.h"
#include "value/json.h"

enum {
	DOCUMENTS_MAX_SIZE = 32 << 20, /* bytes of all documents that are read from one archive */
	DOCUMENT_MAX_VALUES =
		1 << 18, /* in one of them: an empty object takes a hundred times its text */
};

struct documents {
	struct bundle *bundle;
	struct error *error;
	uint64_t size; /* of all that were read */
};

struct document {
	json_t *json;
	char *text;
	size_t size;
	struct digest digest; /* of the text */
};
void document_done(struct document *document);
#define cleanup_document CLEANUP(document_done)

/*
 * Reads and parses the member `name`.  With `digest` it must have that one.  Of a key that an
 * object has twice the last one counts, as it does for docker and podman.  `error` is set on every
 * failure: of a document that is no JSON, is not UTF-8, has a number that 64 bits do not hold, or
 * is beyond the limits above or BUNDLE_MAX_DOCUMENT.
 */
int document_read(struct documents *documents, const char *name, const struct digest *digest,
		  struct document *ret);

#endif
