/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The files of an image archive by name: an unpacked directory, or a plain tar
 * file whose members are read where they lie.
 */
#ifndef ARCHIVE_BUNDLE_H
#define ARCHIVE_BUNDLE_H

#include <stddef.h>

#include "archive/stream.h"
#include "value/digest.h"
#include "value/error.h"

struct bundle;

enum bundle_kind {
	BUNDLE_NONE = 0, /* no image archive: a root filesystem, for one */
	BUNDLE_DOCKER, /* manifest.json */
	BUNDLE_OCI, /* oci-layout and index.json */
};

/* `dirfd` stays the caller's and must outlive the bundle. */
int bundle_of_directory(int dirfd, struct bundle **ret);

enum bundle_scan { BUNDLE_SCANNED = 0, BUNDLE_NOT_PLAIN = 1 };

/*
 * Lists the members of the tar file `fd`, which stays the caller's.
 * BUNDLE_NOT_PLAIN when it is compressed, no regular file, has sparse members,
 * or more members, or longer names, than an image archive would.
 */
int bundle_of_tar(int fd, struct error *error, struct bundle **ret);

/* Accepts NULL. */
void bundle_free(struct bundle *bundle); /* accepts NULL */

/* bundle_kind, or negative errno. */
int bundle_kind(struct bundle *bundle);

enum bundle_found { BUNDLE_ABSENT = 0, BUNDLE_PRESENT = 1 };

/*
 * The bytes of the regular file `name`; links within the bundle are followed.
 * The extent's descriptor belongs to the bundle and is good until the next
 * call.  BUNDLE_PRESENT, BUNDLE_ABSENT, or negative errno.
 */
int bundle_find(struct bundle *bundle, const char *name, struct extent *ret);

/* Documents larger than this are refused. */
enum { BUNDLE_MAX_DOCUMENT = 4 << 20 };

/*
 * Reads a small file whole: allocated, followed by a NUL that is not counted.
 * `error` is set on every failure, absence (-ENOENT) among them.
 */
int bundle_read(struct bundle *bundle, const char *name, struct error *error, char **ret,
		size_t *ret_size);

#endif
