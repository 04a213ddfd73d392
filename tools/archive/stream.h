/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A blob read from front to back: decompressed (gzip, zstd, xz, bzip2, or
 * plain) and digested on the way, both as it is stored and as it unpacks.
 */
#ifndef ARCHIVE_STREAM_H
#define ARCHIVE_STREAM_H

#include <stdint.h>
#include <sys/types.h>

#include "value/digest.h"
#include "value/error.h"

/* A run of bytes in a file, or all that a pipe has to give. */
struct extent {
	int fd; /* the holder's, not the stream's */
	off_t offset; /* -1: a pipe, read from where it is */
	uint64_t size; /* UINT64_MAX: to the end */
};

/*
 * Told of work as it is done.  `step` is called from the thread that runs the
 * import; a result other than 0 stops the work with -ECANCELED.
 */
struct watch {
	int (*step)(void *context, uint64_t bytes);
	void *context;
};

struct stream;

/* `extent` is copied; `watch` may be NULL, and must outlive the stream, as `error` must. */
int stream_open(const struct extent *extent, const struct watch *watch, struct error *error,
		struct stream **ret);
void stream_free(struct stream *stream); /* accepts NULL */

/*
 * The next block of unpacked bytes, which are good until the next call; its
 * length, 0 at the end, or negative errno with `error` set.
 */
ssize_t stream_read(struct stream *stream, const void **ret);

/*
 * Reads what is left, and tells the digest of the blob as stored and of the
 * bytes it unpacked to.
 */
int stream_finish(struct stream *stream, struct digest *ret_blob, struct digest *ret_content);

#endif
