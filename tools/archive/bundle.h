/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The files of an image archive by name: an unpacked directory, or a plain tar
 * file whose members are read where they lie.
 */
#ifndef ARCHIVE_BUNDLE_H
#define ARCHIVE_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>

#include "archive/stream.h"
#include "value/digest.h"
#include "value/error.h"

struct bundle;

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

/*
 * Has names be relative to the directory `name` of where they are relative to now; NULL: to the
 * whole bundle again, as they are at first.  0 or -ENOMEM.
 */
int bundle_enter(struct bundle *bundle, const char *name);

/*
 * Tells of each name that is at the top of where names are relative to; of a tar's, whose own words
 * for directories do not count, as often as there are files below it.  Stops when `each` returns
 * other than 0; that, or 0, or negative errno.
 */
typedef int (*bundle_each)(void *context, const char *name, bool is_dir);
int bundle_each_top(struct bundle *bundle, bundle_each each, void *context);

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
