/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libarchive's "raw" format is one entry whose data is the file with its
 * filters undone.  That gives the bytes of the tar inside, which must be
 * digested whole (the diff ID covers the padding after the last entry too)
 * before a second reader takes them apart; so the two are separate.
 *
 * Only filters that run inside the process are enabled: libarchive would
 * start programs for some others.
 *
 * zstd is undone before libarchive sees it (unzstd.h).  Zeros behind the data,
 * as tapes and block devices leave them, are no part of what is packed:
 * libarchive passes over them behind gzip and bzip2, but fails for xz, and
 * with the last of the data undelivered, where they are no multiple of four.
 * An xz file does not end in a zero, so there they are kept from it.
 */
#include "archive/stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/unzstd.h"
#include "base/cleanup.h"

enum { BLOCK = 256 << 10, ZEROS = 64 << 10 };

enum form { AS_IS, XZ, ZSTD };

struct stream {
	struct extent extent;
	const struct watch *watch;
	struct error *error;
	struct archive *raw;
	enum form form;
	struct unzstd *unzstd; /* of ZSTD */
	struct hasher *blob, *content;
	bool is_plain; /* not compressed: the content is the blob */
	int failure; /* of the reading callback: a negative errno */
	bool at_end;
	char block[BLOCK];
	size_t ready; /* bytes of the block that were read and not given yet */
	uint64_t zeros; /* of XZ: read before those and not given */
};

/* Reads into the block from `at` on. */
static ssize_t read_some(struct stream *stream, size_t at)
{
	struct extent *extent = &stream->extent;
	size_t room = BLOCK - at;
	size_t want = extent->size < room ? (size_t)extent->size : room;
	ssize_t n;

	if (want == 0)
		return 0;
	do {
		n = extent->offset < 0
			    ? read(extent->fd, stream->block + at, want)
			    : pread(extent->fd, stream->block + at, want, extent->offset);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (extent->offset >= 0)
		extent->offset += n;
	if (extent->size != UINT64_MAX)
		extent->size -= (uint64_t)n;
	return n;
}

/* Reads more into the block, from `at` on: how much, or negative errno, which is also noted. */
static ssize_t read_block(struct stream *stream, size_t at)
{
	ssize_t n = read_some(stream, at);

	if (n < 0)
		return stream->failure = (int)n;
	hasher_update(stream->blob, stream->block + at, (size_t)n);
	if (stream->watch && stream->watch->step(stream->watch->context, (uint64_t)n) != 0)
		return stream->failure = -ECANCELED;
	return n;
}

/* The next bytes as they are stored. */
static ssize_t give_stored(void *context, const void **ret)
{
	struct stream *stream = context;
	ssize_t n = stream->ready > 0 ? (ssize_t)stream->ready : read_block(stream, 0);

	stream->ready = 0;
	*ret = stream->block;
	return n;
}

static size_t size_without_zeros(const char *data, size_t size)
{
	while (size > 0 && data[size - 1] == 0)
		size--;
	return size;
}

/* The same without the zeros at the end of all. */
static ssize_t give_unpadded(struct stream *stream, const void **ret)
{
	static const char zeros[ZEROS];
	uint64_t before = stream->zeros;
	const void *data;
	size_t size;
	ssize_t n;

	for (;;) {
		n = give_stored(stream, &data);
		if (n <= 0)
			return n;
		size = size_without_zeros(data, (size_t)n);
		if (size > 0)
			break;
		before += (uint64_t)n;
	}
	stream->zeros = before;
	if (before > 0) {
		stream->ready = (size_t)n;
		n = before < ZEROS ? (ssize_t)before : ZEROS;
		stream->zeros -= (uint64_t)n;
		*ret = zeros;
		return n;
	}
	stream->zeros = (uint64_t)n - size;
	*ret = data;
	return (ssize_t)size;
}

/* libarchive's reading callback. */
static ssize_t give(struct archive *raw, void *context, const void **ret)
{
	struct stream *stream = context;
	const char *words = NULL;
	ssize_t n;

	if (stream->form == ZSTD)
		n = unzstd_read(stream->unzstd, ret, &words);
	else
		n = stream->form == XZ ? give_unpadded(stream, ret) : give_stored(stream, ret);
	if (n >= 0)
		return n;
	archive_set_error(raw, (int)-n, "zstd: %s", words ? words : "the stream failed");
	return ARCHIVE_FATAL;
}

static int fail(struct stream *stream)
{
	const char *words = archive_error_string(stream->raw);
	int r = stream->failure < 0 ? stream->failure : -EBADMSG;

	if (r == -ECANCELED)
		return error_set(stream->error, r, "interrupted");
	if (stream->failure < 0)
		return error_errno(stream->error, r, "cannot read");
	return error_set(stream->error, r, "%s", words ? words : "cannot be unpacked");
}

void stream_free(struct stream *stream)
{
	if (!stream)
		return;
	archive_read_free(stream->raw);
	unzstd_free(stream->unzstd);
	hasher_free(stream->blob);
	hasher_free(stream->content);
	free(stream);
}
DEFINE_CLEANUP(struct stream *, stream, stream_free)

static int set_up(struct stream *stream)
{
	int r = hasher_new(&stream->blob);

	if (r == 0)
		r = hasher_new(&stream->content);
	if (r < 0)
		return r;
	stream->raw = archive_read_new();
	if (!stream->raw)
		return -ENOMEM;
	archive_read_support_filter_gzip(stream->raw);
	archive_read_support_filter_xz(stream->raw);
	archive_read_support_filter_bzip2(stream->raw);
	archive_read_support_format_raw(stream->raw);
	archive_read_support_format_empty(stream->raw);
	return 0;
}

/* Reads as much as it takes to tell what form the data have. */
static int recognise(struct stream *stream)
{
	static const char xz[] = { '\xfd', '7', 'z', 'X', 'Z', '\0' };
	ssize_t n;

	do { /* a pipe may give less than that at once */
		n = read_block(stream, stream->ready);
		if (n < 0)
			return (int)n;
		stream->ready += (size_t)n;
	} while (n > 0 && stream->ready < sizeof(xz));
	if (stream->ready >= sizeof(xz) && memcmp(stream->block, xz, sizeof(xz)) == 0)
		stream->form = XZ;
	if (!unzstd_knows(stream->block, stream->ready))
		return 0;
	stream->form = ZSTD;
	return unzstd_new(give_stored, stream, &stream->unzstd);
}

int stream_open(const struct extent *extent, const struct watch *watch, struct error *error,
		struct stream **ret)
{
	CLEANUP(cleanup_stream) struct stream *stream = calloc(1, sizeof(*stream));
	struct archive_entry *entry;
	int r = stream ? 0 : -ENOMEM;

	if (r == 0) {
		stream->extent = *extent;
		stream->watch = watch;
		stream->error = error;
		r = set_up(stream);
	}
	if (r < 0)
		return error_errno(error, r, "cannot start to read");
	r = recognise(stream);
	if (r < 0)
		return stream->failure < 0 ? fail(stream)
					   : error_errno(error, r, "cannot start to read");
	if (archive_read_open(stream->raw, stream, NULL, give, NULL) < ARCHIVE_WARN)
		return fail(stream);
	r = archive_read_next_header(stream->raw, &entry);
	if (r < ARCHIVE_WARN)
		return fail(stream);
	stream->at_end = r == ARCHIVE_EOF;
	stream->is_plain = stream->form == AS_IS &&
			   archive_filter_code(stream->raw, 0) == ARCHIVE_FILTER_NONE;
	*ret = take_ptr(stream);
	return 0;
}

ssize_t stream_read(struct stream *stream, const void **ret)
{
	const void *data;
	size_t size = 0;
	int64_t offset;

	while (!stream->at_end && size == 0) {
		int r = archive_read_data_block(stream->raw, &data, &size, &offset);

		if (r < ARCHIVE_WARN)
			return fail(stream);
		stream->at_end = r == ARCHIVE_EOF;
	}
	if (size == 0)
		return 0;
	if (!stream->is_plain)
		hasher_update(stream->content, data, size);
	*ret = data;
	return (ssize_t)size;
}

/* What follows the end of the compressed data is part of the blob all the same. */
static int read_rest(struct stream *stream)
{
	const void *data;
	ssize_t n;

	while ((n = stream_read(stream, &data)) > 0)
		;
	if (n < 0)
		return (int)n;
	while ((n = give_stored(stream, &data)) > 0)
		;
	return n < 0 ? fail(stream) : 0;
}

int stream_finish(struct stream *stream, struct digest *ret_blob, struct digest *ret_content)
{
	int r = read_rest(stream);

	if (r == 0)
		r = hasher_finish(stream->blob, ret_blob);
	if (r == 0 && stream->is_plain)
		*ret_content = *ret_blob;
	else if (r == 0)
		r = hasher_finish(stream->content, ret_content);
	return r;
}
