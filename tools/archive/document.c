/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "archive/document.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

void document_done(struct document *document)
{
	json_decref(document->json);
	free(document->text);
	*document = (struct document){ 0 };
}

/*
 * Before anything is made of it: each value but the first has one of these characters before it,
 * an empty object or array of its own besides.
 * Where the text is no JSON, the parser comes no further than we counted rightly.
 */
static bool has_too_many_values(const struct document *document)
{
	bool in_string = false;
	size_t n = 0;

	for (size_t i = 0; i < document->size; i++) {
		char c = document->text[i];

		if (c == '"')
			in_string = !in_string;
		else if (in_string && c == '\\')
			i++;
		else if (!in_string && (c == ',' || c == '[' || c == '{'))
			n++;
	}
	return n >= DOCUMENT_MAX_VALUES;
}

static int parse(struct documents *documents, const char *name, struct document *document)
{
	json_error_t where;

	if (has_too_many_values(document))
		return error_set(documents->error, -EFBIG,
				 "'%s' in the archive: more than %d values", name,
				 DOCUMENT_MAX_VALUES);
	document->json = json_loadb(document->text, document->size, 0, &where);
	if (!document->json)
		return error_set(documents->error, -EBADMSG, "'%s' in the archive: line %d: %s",
				 name, where.line, where.text);
	return 0;
}

int document_read(struct documents *documents, const char *name, const struct digest *digest,
		  struct document *ret)
{
	cleanup_document struct document document = { 0 };
	int r = bundle_read(documents->bundle, name, documents->error, &document.text,
			    &document.size);

	if (r < 0)
		return r;
	documents->size += document.size;
	if (documents->size > DOCUMENTS_MAX_SIZE)
		return error_set(
			documents->error, -EFBIG,
			"'%s' in the archive: all documents together are larger than %d bytes",
			name, DOCUMENTS_MAX_SIZE);
	r = digest_of(document.text, document.size, &document.digest);
	if (r < 0)
		return error_errno(documents->error, r, "'%s' in the archive", name);
	if (digest && !digest_equal(digest, &document.digest))
		return error_set(documents->error, -EBADMSG,
				 "'%s' in the archive: its digest is sha256:%s", name,
				 document.digest.hex);
	r = parse(documents, name, &document);
	if (r < 0)
		return r;
	*ret = document;
	document = (struct document){ 0 };
	return 0;
}
