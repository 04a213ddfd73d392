/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a user calls an image: NAME[:TAG], or its id or the beginning of it. */
#ifndef STORE_REFERENCE_H
#define STORE_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "index/index.h"
#include "value/digest.h"
#include "value/error.h"

/*
 * Makes NAME[:TAG] whole ("NAME:latest" without a tag), allocated.  NAME is of
 * letters, digits and ". _ -" in parts between slashes, the first of which may
 * be a host with a port; TAG has at most 128 characters, of which "+" may be one.
 * NAME@sha256:HEX is whole as it is.
 * -EINVAL: no such name; -ENOMEM.
 */
int reference_complete(const char *text, char **ret);

/*
 * The same of a name as an archive has it, which may be a tag alone: of that NAME is `file`, what
 * its file is called, unless that is NULL.
 */
int reference_of_archive(const char *text, const char *file, char **ret);

/* Whether the first `length` bytes of `text` end in a tag. */
bool reference_has_tag(const char *text, size_t length);

/* Whether it is NAME@sha256:HEX: one that its content gives, and not the user. */
bool reference_is_digest(const char *text);

/* Whether `text` can be a tag alone, as OCI archives often have it. */
bool reference_is_tag(const char *text);

/*
 * The name that a file of this path suggests, allocated: the last component
 * without ".tar" and what follows, ".tgz" and the like; NULL: none that is valid.
 */
char *reference_of_file(const char *path);

/* What a reference was found to be. */
struct reference {
	struct digest id;
	char tag[INDEX_MAX_KEY + 1]; /* "NAME:TAG", or "" if it was an id */
};

/*
 * Finds an image: by NAME[:TAG]; by the last part of a name, if only one has
 * it; by id, or a beginning of 4 digits or more, if only one has it.
 * 0, or negative errno with `error` set: -ENOENT, -ENOTUNIQ.
 */
int reference_find(struct index_txn *txn, const char *text, struct error *error,
		   struct reference *ret);

#endif
