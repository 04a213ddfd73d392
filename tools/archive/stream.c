/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libarchive's "raw" format is one entry whose data is the file with its
 * filters undone.  That gives the bytes of the tar inside, which must be
 * digested whole (the diff ID covers the padding after the last entry too)
 * before a second reader takes them apart; so the two are separate.
 *
 * Only filters that run inside the process are enabled: libarchive would
 * start programs for some others.
 */
#include "archive/stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { BLOCK = 256 << 10 };

struct stream {
	struct extent extent;
	const struct watch *watch;
	struct error *error;
	struct archive *raw;
	struct hasher *blob, *content;
	bool is_plain; /* not compressed: the content is the blob */
	int failure; /* of the reading callback: a negative errno */
	bool at_end;
	char block[BLOCK];
};

static ssize_t read_some(struct stream *stream)
{
	struct extent *extent = &stream->extent;
	size_t want = extent->size < BLOCK ? (size_t)extent->size : BLOCK;
	ssize_t n;

	if (want == 0)
		return 0;
	do {
		n = extent->offset < 0 ? read(extent->fd, stream->block, want)
				       : pread(extent->fd, stream->block, want, extent->offset);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (extent->offset >= 0)
		extent->offset += n;
	if (extent->size != UINT64_MAX)
		extent->size -= (uint64_t)n;
	return n;
}

/* libarchive's reading callback. */
static ssize_t give(struct archive *raw, void *context, const void **ret)
{
	struct stream *stream = context;
	ssize_t n = read_some(stream);

	if (n < 0) {
		stream->failure = (int)n;
		archive_set_error(raw, (int)-n, "Cannot read");
		return ARCHIVE_FATAL;
	}
	hasher_update(stream->blob, stream->block, (size_t)n);
	if (stream->watch && stream->watch->step(stream->watch->context, (uint64_t)n) != 0) {
		stream->failure = -ECANCELED;
		archive_set_error(raw, ECANCELED, "Interrupted");
		return ARCHIVE_FATAL;
	}
	*ret = stream->block;
	return n;
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
	archive_read_support_filter_zstd(stream->raw);
	archive_read_support_filter_xz(stream->raw);
	archive_read_support_filter_bzip2(stream->raw);
	archive_read_support_format_raw(stream->raw);
	archive_read_support_format_empty(stream->raw);
	return 0;
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
	if (archive_read_open(stream->raw, stream, NULL, give, NULL) < ARCHIVE_WARN)
		return fail(stream);
	r = archive_read_next_header(stream->raw, &entry);
	if (r < ARCHIVE_WARN)
		return fail(stream);
	stream->at_end = r == ARCHIVE_EOF;
	stream->is_plain = archive_filter_code(stream->raw, 0) == ARCHIVE_FILTER_NONE;
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
	while ((n = give(stream->raw, stream, &data)) > 0)
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
