/* SPDX-License-Identifier: GPL-3.0-or-later */
#undef NDEBUG
#include "archive/stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct error error;
static const size_t size = 1000000;

/* A temporary file of `size` bytes packed by `filter`, and what they digest to. */
static int pack(int (*filter)(struct archive *), struct digest *ret)
{
	FILE *file = tmpfile();
	int fd = dup(fileno(file));
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	char *data = malloc(size);

	for (size_t i = 0; i < size; i++)
		data[i] = (char)(i * i >> 7);
	assert(digest_of(data, size, ret) == 0);
	assert(filter(archive) == ARCHIVE_OK);
	archive_write_set_format_raw(archive);
	archive_write_set_bytes_in_last_block(archive, 1);
	assert(archive_write_open_fd(archive, fd) == ARCHIVE_OK);
	archive_entry_set_filetype(entry, AE_IFREG);
	assert(archive_write_header(archive, entry) == ARCHIVE_OK);
	assert(archive_write_data(archive, data, size) == (la_ssize_t)size);
	archive_entry_free(entry);
	assert(archive_write_free(archive) == ARCHIVE_OK);
	free(data);
	fclose(file);
	return fd;
}

static int read_all(const struct extent *extent, const struct watch *watch, size_t *ret_read,
		    struct digest *ret_blob, struct digest *ret_content)
{
	struct stream *stream;
	const void *data;
	ssize_t n;
	int r = stream_open(extent, watch, &error, &stream);

	*ret_read = 0;
	if (r < 0)
		return r;
	while ((n = stream_read(stream, &data)) > 0)
		*ret_read += (size_t)n;
	r = n < 0 ? (int)n : stream_finish(stream, ret_blob, ret_content);
	stream_free(stream);
	return r;
}

static void test_filters(void)
{
	int (*const filters[])(struct archive *) = {
		archive_write_add_filter_none,	archive_write_add_filter_gzip,
		archive_write_add_filter_zstd,	archive_write_add_filter_xz,
		archive_write_add_filter_bzip2,
	};

	for (size_t i = 0; i < sizeof(filters) / sizeof(*filters); i++) {
		struct digest expected, blob, content, again;
		struct extent extent = { .size = UINT64_MAX };
		size_t n;

		extent.fd = pack(filters[i], &expected);
		assert(read_all(&extent, NULL, &n, &blob, &content) == 0);
		assert(n == size && digest_equal(&content, &expected));
		assert(digest_equal(&blob, &content) == (i == 0));
		/* As a pipe: from where the descriptor is. */
		assert(lseek(extent.fd, 0, SEEK_SET) == 0);
		extent.offset = -1;
		assert(read_all(&extent, NULL, &n, &again, &content) == 0);
		assert(n == size && digest_equal(&again, &blob));
		close(extent.fd);
	}
}

/* The digest of a blob covers what follows the compressed data, too. */
static void test_trailing_bytes_count(void)
{
	struct digest expected, blob, longer, content;
	struct extent extent = { .size = UINT64_MAX };
	size_t n;

	extent.fd = pack(archive_write_add_filter_gzip, &expected);
	assert(read_all(&extent, NULL, &n, &blob, &content) == 0);
	assert(lseek(extent.fd, 0, SEEK_END) > 0 && write(extent.fd, "\0\0", 2) == 2);
	assert(read_all(&extent, NULL, &n, &longer, &content) == 0);
	assert(digest_equal(&content, &expected) && !digest_equal(&blob, &longer));
	close(extent.fd);
}

static int stop(void *context, uint64_t bytes)
{
	*(uint64_t *)context += bytes;
	return *(uint64_t *)context > 300000;
}

static void test_stops(void)
{
	struct digest expected, blob, content;
	struct extent extent = { .size = UINT64_MAX };
	uint64_t seen = 0;
	struct watch watch = { .step = stop, .context = &seen };
	size_t n;

	extent.fd = pack(archive_write_add_filter_none, &expected);
	assert(read_all(&extent, &watch, &n, &blob, &content) == -ECANCELED);
	assert(strcmp(error.text, "interrupted") == 0 && n < size);
	close(extent.fd);
	extent.fd = pack(archive_write_add_filter_xz, &expected);
	extent.size = 1000;
	assert(read_all(&extent, NULL, &n, &blob, &content) == -EBADMSG);
	close(extent.fd);
}

int main(void)
{
	test_filters();
	test_trailing_bytes_count();
	test_stops();
	return 0;
}
